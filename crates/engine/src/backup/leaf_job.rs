//! A leaf on its way: what was kept from the base, what threads still read, and the page when all is there.

use super::shared::Shared;
use super::stream_builder::{put_attributes, put_stream};
use crate::error::{EngineError, Result};
use crate::path;
use crate::source::{SourceDirectory, SourceEntry, Warning, WarningKind};
use crossbeam_channel::Receiver;
use format::page::{Attributes, Content, EntryKind, Leaf, TreeEntry, TreeKey};
use format::{BlobId, limits};
use std::collections::HashSet;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// An entry that is to be read.
pub(crate) struct Task {
    /// Its place in the leaf.
    pub(crate) place: usize,
    pub(crate) directory: Arc<[u8]>,
    pub(crate) handle: Arc<dyn SourceDirectory>,
    pub(crate) found: SourceEntry,
}

impl Task {
    pub(crate) fn path(&self) -> Vec<u8> {
        path::join(&self.directory, &self.found.name)
    }

    pub(crate) fn warning(&self, kind: WarningKind, detail: impl ToString) -> Warning {
        Warning { path: self.path(), kind, detail: detail.to_string() }
    }
}

/// What a leaf came to.
pub(crate) struct LeafResult {
    /// Its place in the order of the tree.
    pub(crate) index: u64,
    /// None if nothing of it could be read.
    pub(crate) leaf: Option<DoneLeaf>,
    /// Given back when the tree has taken the leaf up.
    pub(crate) place: LeafPlace,
}

/// A leaf that has a page.
pub(crate) struct DoneLeaf {
    pub(crate) first: TreeKey,
    pub(crate) page: BlobId,
    pub(crate) entries: u64,
    pub(crate) bytes: u64,
}

/// One of the places for leaves that are on their way at once; given back when dropped.
pub(crate) struct LeafPlace(pub(crate) Receiver<()>);

impl Drop for LeafPlace {
    fn drop(&mut self) {
        // the place was taken by sending: it is there
        let _ = self.0.try_recv();
    }
}

/// A leaf whose entries are being read.
pub(crate) struct LeafJob {
    index: u64,
    entries: Mutex<Vec<Option<TreeEntry>>>,
    /// Items that are not done.
    pending: AtomicU32,
    place: Mutex<Option<LeafPlace>>,
}

impl LeafJob {
    /// A leaf with these entries, those that are to be read left out, and so many items of work.
    pub(crate) fn new(index: u64, entries: Vec<Option<TreeEntry>>, items: u32, place: LeafPlace) -> Arc<Self> {
        let (entries, place) = (Mutex::new(entries), Mutex::new(Some(place)));
        Arc::new(Self { index, entries, pending: AtomicU32::new(items), place })
    }

    /// Puts an entry that was read into its place.
    pub(crate) fn fill(&self, place: usize, entry: TreeEntry) {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)[place] = Some(entry);
    }

    /// Says that an item is done. Whoever does the last one makes the page.
    pub(crate) fn item_done(&self, shared: &Shared) -> Result<()> {
        if self.pending.fetch_sub(1, Ordering::AcqRel) == 1 { self.finish(shared) } else { Ok(()) }
    }

    fn finish(&self, shared: &Shared) -> Result<()> {
        let entries = std::mem::take(&mut *self.entries.lock().unwrap_or_else(PoisonError::into_inner));
        let mut entries: Vec<TreeEntry> = entries.into_iter().flatten().collect();
        let leaf = match entries.first().map(TreeEntry::key) {
            None => None,
            Some(first) => {
                fit(&mut entries, shared)?;
                let bytes = entries.iter().map(content_bytes).sum();
                let count = entries.len() as u64;
                let page = Leaf { entries }.encode().map_err(EngineError::format("make a page of the tree"))?;
                Some(DoneLeaf { first, page: shared.store.put_page(page)?, entries: count, bytes })
            }
        };
        let place = self.place.lock().unwrap_or_else(PoisonError::into_inner).take();
        let place = place.ok_or(EngineError::Internal("a leaf was finished twice"))?;
        let result = LeafResult { index: self.index, leaf, place };
        shared.results.send(result).map_err(|_| EngineError::Internal("the tree of the backup ended early"))
    }
}

/// Bytes of content of an entry, holes included.
pub(crate) fn content_bytes(entry: &TreeEntry) -> u64 {
    let metadata = &entry.entry.metadata;
    if metadata.kind == EntryKind::File { metadata.size } else { 0 }
}

/// Moves extents and attributes into streams, the longest first, until the entries fit a page.
fn fit(entries: &mut [TreeEntry], shared: &Shared) -> Result<()> {
    let (mut extents_max, mut attributes_max) = (limits::INLINE_EXTENTS_MAX, limits::INLINE_ATTRIBUTES_MAX);
    while !fits(entries) {
        // with one extent and no attributes inline, what is left is bounded by the boundaries of leaves
        if extents_max <= 1 && attributes_max == 0 {
            return Err(EngineError::Internal("a leaf of the tree does not fit a page"));
        }
        extents_max = (extents_max / 2).max(1);
        attributes_max /= 2;
        for each in entries.iter_mut() {
            if let Content::Extents(extents) = &each.entry.content
                && extents.len() > extents_max
            {
                each.entry.content = Content::Stream { root: put_stream(&shared.store, extents)? };
            }
            if let Attributes::Inline(list) = &each.entry.attributes
                && !list.is_empty()
                && Attributes::encode_list(list).len() > attributes_max
            {
                each.entry.attributes = put_attributes(&shared.store, list)?;
            }
        }
    }
    Ok(())
}

fn fits(entries: &[TreeEntry]) -> bool {
    let mut bytes = 0;
    let mut links = HashSet::new();
    let mut directory: Option<&Arc<[u8]>> = None;
    for each in entries {
        bytes += each.entry.bytes_max();
        if directory.is_none_or(|directory| *directory != each.directory) {
            bytes += each.directory.len() + 16;
            directory = Some(&each.directory);
        }
        links.extend(each.entry.links());
    }
    bytes <= limits::PAGE_PLAINTEXT_MAX && links.len() <= limits::PAGE_LINKS_MAX
}
