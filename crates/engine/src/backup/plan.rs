//! Cuts the walk into leaves: those that are as in the base are taken over by name, the others become jobs.

use super::boundary::Boundaries;
use super::join::{Base, BaseEntry};
use super::leaf_job::{DoneLeaf, LeafJob, LeafPlace, LeafResult, content_bytes};
use super::leaf_plan::{LeafPlan, Planned, plan_leaf};
use super::reading::{Item, Queue};
use super::shared::Shared;
use super::staying::Staying;
use crate::error::{EngineError, Result};
use crate::gate::reads_of_entries;
use crate::path;
use crate::source::{SourceDirectory, SourceEntry, WalkBatch, WalkEvent, Warning, WarningKind};
use crossbeam_channel::{Receiver, SendTimeoutError, Sender, bounded};
use format::page::{EntryKind, Metadata, TreeEntry};
use std::sync::Arc;
use std::time::Duration;

/// Leaves that are on their way at once.
const LEAVES_AT_ONCE: usize = 32;
/// How often a planner that waits looks whether it should stop.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Turns a walk into leaf jobs.
pub(crate) struct Planner {
    shared: Arc<Shared>,
    boundaries: Boundaries,
    base: Base,
    /// Where the walk gives only what has changed.
    staying: Option<Staying>,
    queue: Queue,
    places: (Sender<()>, Receiver<()>),
    entries: Vec<Planned>,
    bytes: usize,
    next_leaf: u64,
}

impl Planner {
    pub(crate) fn new(shared: Arc<Shared>, boundaries: Boundaries, base: Base, staying: Option<Staying>, queue: Queue) -> Self {
        let places = bounded(LEAVES_AT_ONCE);
        Self { shared, boundaries, base, staying, queue, places, entries: Vec::new(), bytes: 0, next_leaf: 0 }
    }

    /// Plans the whole walk; answers how many leaves there are.
    pub(crate) fn run(mut self, walk: impl Iterator<Item = std::io::Result<WalkEvent>>) -> Result<u64> {
        for event in walk {
            self.shared.stop.check()?;
            match event.map_err(EngineError::source("walk the source"))? {
                WalkEvent::Batch(batch) => {
                    // The walk is ahead by what it buffers, and no more.
                    self.shared.gate.pass(reads_of_entries(batch.entries.len()), &self.shared.stop)?;
                    self.batch(batch)?;
                }
                WalkEvent::Listed { path, whole } => {
                    self.keep_before(Some((&path, b"")))?;
                    self.staying.iter_mut().try_for_each(|staying| staying.listed(path.clone(), whole))?;
                }
                WalkEvent::Lost => {
                    return Err(EngineError::ChangesUnknown("a directory that leads to a change cannot be read"));
                }
                WalkEvent::Warning(warning) => self.shared.notices.warn(warning),
                WalkEvent::LeftOut(what) => self.shared.notices.left_out(what),
            }
        }
        self.keep_before(None)?;
        self.staying.iter().try_for_each(Staying::finish)?;
        self.close_leaf()?;
        Ok(self.next_leaf)
    }

    fn batch(&mut self, batch: WalkBatch) -> Result<()> {
        if batch.path.len() > format::limits::PATH_BYTES_MAX {
            let kind = WarningKind::PathTooLong;
            let detail = "the path of a directory is too long; nothing in it is in the point".to_owned();
            self.shared.notices.warn(Warning { path: batch.path.to_vec(), kind, detail });
            return Ok(());
        }
        for found in batch.entries {
            self.entry(&batch.path, &batch.directory, found)?;
        }
        Ok(())
    }

    fn entry(&mut self, path: &Arc<[u8]>, handle: &Arc<dyn SourceDirectory>, found: SourceEntry) -> Result<()> {
        if found.name.len() > format::limits::NAME_BYTES_MAX {
            self.count_found(&found.metadata);
            let (path, kind) = (path::join(path, &found.name), WarningKind::PathTooLong);
            self.shared.notices.warn(Warning { path, kind, detail: "its name is too long".to_owned() });
            return Ok(());
        }
        self.keep_before(Some((path, &found.name)))?;
        let base = self.base.find(path, &found.name, &self.shared.notices)?;
        if let Some(staying) = &mut self.staying {
            staying.found(path, &found, base.as_ref().map(BaseEntry::entry))?;
        }
        let unchanged = base.as_ref().is_some_and(|base| self.base.is_unchanged(&found, base));
        self.put(Planned { directory: path.clone(), handle: handle.clone(), found, base, unchanged })
    }

    /// Takes over what the walk of changes passed before this place.
    fn keep_before(&mut self, place: Option<(&[u8], &[u8])>) -> Result<()> {
        let Some(mut staying) = self.staying.take() else { return Ok(()) };
        let kept = self.keep(&mut staying, place);
        self.staying = Some(staying);
        kept
    }

    fn keep(&mut self, staying: &mut Staying, place: Option<(&[u8], &[u8])>) -> Result<()> {
        while let Some(base) = self.base.take_before(place, &self.shared.notices)? {
            let TreeEntry { directory, entry } = base.tree_entry();
            if !staying.stays(directory, entry)? {
                continue;
            }
            let (found, unchanged) = match staying.look(directory, entry) {
                None => {
                    let (name, metadata) = (entry.name.clone(), entry.metadata.clone());
                    (SourceEntry { name, metadata, file_system: 0, observed_ns: 0 }, true)
                }
                Some(Ok(found)) => {
                    let unchanged = self.base.is_unchanged(&found, &base);
                    (found, unchanged)
                }
                Some(Err(error)) => {
                    let vanished = error.kind() == std::io::ErrorKind::NotFound;
                    let kind = if vanished { WarningKind::Vanished } else { WarningKind::Unreadable };
                    let path = path::join(directory, &entry.name);
                    self.shared.notices.warn(Warning { path, kind, detail: error.to_string() });
                    continue;
                }
            };
            let (directory, handle) = (directory.clone(), staying.handle(directory));
            self.put(Planned { directory, handle, found, base: Some(base), unchanged })?;
        }
        Ok(())
    }

    fn put(&mut self, planned: Planned) -> Result<()> {
        let Planned { directory, found, .. } = &planned;
        self.count_found(&found.metadata);
        if self.boundaries.leaf_starts(directory, &found.name, self.entries.len(), self.bytes) {
            self.close_leaf()?;
        }
        if self.entries.last().is_none_or(|last| last.directory != *directory) {
            self.bytes += directory.len() + 16;
        }
        self.bytes += weight(found);
        self.entries.push(planned);
        Ok(())
    }

    fn close_leaf(&mut self) -> Result<()> {
        self.bytes = 0;
        let entries = std::mem::take(&mut self.entries);
        if entries.is_empty() {
            return Ok(());
        }
        let index = self.next_leaf;
        self.next_leaf += 1;
        let place = self.place()?;
        match self.adopted(&entries) {
            Some(leaf) => {
                entries.iter().for_each(|each| self.count_kept(&each.found.metadata));
                let result = LeafResult { index, leaf: Some(leaf), place };
                self.shared.results.send(result).map_err(|_| EngineError::Internal("the tree of the backup ended early"))
            }
            None => self.start(index, entries, place),
        }
    }

    /// The leaf of the base, if this one is the same.
    fn adopted(&self, entries: &[Planned]) -> Option<DoneLeaf> {
        let base = entries.first()?.base.as_ref()?.leaf.clone();
        let same = |each: &Planned| each.unchanged && each.base.as_ref().is_some_and(|entry| Arc::ptr_eq(&entry.leaf, &base));
        if base.leaf.entries.len() != entries.len() || !entries.iter().all(same) || self.base.is_page_damaged(&base) {
            return None;
        }
        let first = base.leaf.first_key()?;
        let bytes = base.leaf.entries.iter().map(content_bytes).sum();
        Some(DoneLeaf { first, page: base.page, entries: entries.len() as u64, bytes })
    }

    /// Waits for a place for one more leaf.
    fn place(&self) -> Result<LeafPlace> {
        loop {
            match self.places.0.send_timeout((), LOOK_EVERY) {
                Ok(()) => return Ok(LeafPlace(self.places.1.clone())),
                Err(SendTimeoutError::Timeout(())) => self.shared.stop.check()?,
                Err(SendTimeoutError::Disconnected(())) => return Err(EngineError::Internal("places for leaves are gone")),
            }
        }
    }

    fn start(&mut self, index: u64, entries: Vec<Planned>, place: LeafPlace) -> Result<()> {
        let LeafPlan { kept, works } = plan_leaf(entries);
        for entry in kept.iter().flatten() {
            self.count_kept(&entry.entry.metadata);
        }
        let job = LeafJob::new(index, kept, works.len() as u32, place);
        works.into_iter().try_for_each(|work| self.queue.put(Item { job: job.clone(), work }))
    }

    fn count_found(&self, metadata: &Metadata) {
        self.shared.progress.entries_found.add(1);
        if metadata.kind == EntryKind::File {
            self.shared.progress.bytes_found.add(metadata.size);
        }
    }

    fn count_kept(&self, metadata: &Metadata) {
        self.shared.totals.count(metadata.kind);
        self.shared.totals.entries_unchanged.add(1);
        self.shared.progress.entries_done.add(1);
        if metadata.kind == EntryKind::File {
            self.shared.progress.bytes_done.add(metadata.size);
        }
    }
}

/// Bytes that an entry takes in a leaf as far as the walk tells.
fn weight(found: &SourceEntry) -> usize {
    let target = if found.metadata.kind == EntryKind::Symlink { found.metadata.size as usize } else { 0 };
    let owner = |name: &Option<Arc<[u8]>>| name.as_ref().map_or(0, |name| name.len());
    128 + found.name.len() + target + owner(&found.metadata.user.name) + owner(&found.metadata.group.name)
}
