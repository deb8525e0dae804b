//! What is to be done for a leaf: which entries are kept, which are read, and which files share a blob.

use super::join::{BaseEntry, BaseLeaf};
use super::leaf_job::Task;
use super::reading::{OWN_BLOBS_FROM, RUN_BYTES_FULL, Work, is_linked};
use crate::source::{SourceDirectory, SourceEntry};
use format::BlobId;
use format::page::{Content, Entry, EntryKind, Extent, TreeEntry};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// An entry of the leaf that is being planned.
pub(crate) struct Planned {
    pub(crate) directory: Arc<[u8]>,
    pub(crate) handle: Arc<dyn SourceDirectory>,
    pub(crate) found: SourceEntry,
    /// What the base has of it.
    pub(crate) base: Option<BaseEntry>,
    pub(crate) unchanged: bool,
}

impl Planned {
    fn base_entry(&self) -> Option<&Entry> {
        self.base.as_ref().map(BaseEntry::entry)
    }

    fn is_small(&self) -> bool {
        let metadata = &self.found.metadata;
        metadata.kind == EntryKind::File && (1..OWN_BLOBS_FROM).contains(&metadata.size) && !is_linked(metadata)
    }
}

/// What is to be done for a leaf.
pub(crate) struct LeafPlan {
    /// Entries that are taken over from the base, by their place.
    pub(crate) kept: Vec<Option<TreeEntry>>,
    /// What is to be read; never empty.
    pub(crate) works: Vec<Work>,
}

/// Plans a leaf.
pub(crate) fn plan_leaf(mut entries: Vec<Planned>) -> LeafPlan {
    let mut runs = Runs::of(&entries);
    runs.give_up_sparse(&mut entries);
    runs.find_whole(&entries);
    let mut works = Works::default();
    let mut kept = Vec::with_capacity(entries.len());
    for (place, each) in entries.into_iter().enumerate() {
        let small = each.is_small();
        let Planned { directory, handle, found, base, unchanged } = each;
        let base = base.as_ref().map(BaseEntry::entry);
        if let (true, Some(entry)) = (unchanged, base) {
            kept.push(Some(TreeEntry { directory, entry: entry.clone() }));
            continue;
        }
        kept.push(None);
        let whole = base.and_then(first_blob).filter(|blob| runs.is_whole(blob));
        let task = Task { place, directory, handle, found };
        if small { works.add_small(task, whole) } else { works.add(task) }
    }
    LeafPlan { kept, works: works.finish() }
}

/// The first data blob of an entry whose extents stand in the leaf.
fn first_blob(entry: &Entry) -> Option<BlobId> {
    data(entry).next().map(|(blob, _, _)| blob)
}

/// Blob, offset and length of the data extents that stand in the leaf.
fn data(entry: &Entry) -> impl Iterator<Item = (BlobId, u64, u64)> + '_ {
    let extents = match &entry.content {
        Content::Extents(extents) => extents.as_slice(),
        Content::Stream { .. } => &[],
    };
    extents.iter().filter_map(|extent| match extent {
        Extent::Data { blob, offset, length } => Some((*blob, u64::from(*offset), u64::from(*length))),
        Extent::Hole { .. } => None,
    })
}

/// What is known of a blob that entries of the base share.
#[derive(Default)]
struct Run {
    /// The end of what the base needs of it.
    end: u64,
    /// Bytes that are kept of it.
    kept: u64,
    /// Entries of the base that start in it.
    members: u32,
    /// How many of these are read anew, at the same size.
    read_anew: u32,
}

/// The shared blobs of the base's leaves that a leaf comes from.
struct Runs(HashMap<BlobId, Run>);

impl Runs {
    fn of(entries: &[Planned]) -> Self {
        let mut runs: HashMap<BlobId, Run> = HashMap::new();
        let mut before: Option<&Arc<BaseLeaf>> = None;
        for base in entries.iter().filter_map(|each| each.base.as_ref()) {
            if before.is_some_and(|before| Arc::ptr_eq(before, &base.leaf)) {
                continue;
            }
            before = Some(&base.leaf);
            for TreeEntry { entry, .. } in &base.leaf.leaf.entries {
                for (blob, offset, length) in data(entry) {
                    let run = runs.entry(blob).or_default();
                    run.end = run.end.max(offset + length);
                }
                if let Some(run) = first_blob(entry).and_then(|blob| runs.get_mut(&blob)) {
                    run.members += 1;
                }
            }
        }
        Self(runs)
    }

    /// Runs of which less than half is kept in this leaf are written anew, so that they do not live on for little.
    fn give_up_sparse(&mut self, entries: &mut [Planned]) {
        for entry in entries.iter().filter(|each| each.unchanged).filter_map(Planned::base_entry) {
            for (blob, _, length) in data(entry) {
                self.0.entry(blob).or_default().kept += length;
            }
        }
        let sparse = |run: &Run| run.kept * 2 < run.end;
        for each in entries.iter_mut().filter(|each| each.unchanged && each.is_small()) {
            let needs_sparse = each.base_entry().is_some_and(|entry| data(entry).any(|(blob, ..)| sparse(&self.0[&blob])));
            each.unchanged = !needs_sparse;
        }
    }

    /// Where all files of a run are read anew they are put together as they were: if their bytes are the same, because only
    /// their times changed or because the blob is damaged, the same blob comes out.
    fn find_whole(&mut self, entries: &[Planned]) {
        for each in entries.iter().filter(|each| !each.unchanged && each.is_small()) {
            let same_size = |entry: &&Entry| entry.metadata.size == each.found.metadata.size;
            if let Some(run) = each.base_entry().filter(same_size).and_then(first_blob).and_then(|blob| self.0.get_mut(&blob)) {
                run.read_anew += 1;
            }
        }
    }

    fn is_whole(&self, blob: &BlobId) -> bool {
        self.0.get(blob).is_some_and(|run| run.read_anew == run.members)
    }
}

/// Tasks put together to units of work.
#[derive(Default)]
struct Works {
    bare: Vec<Task>,
    done: Vec<Work>,
    /// Runs that are not full, by owner: compression must not leak from one to the other.
    filling: BTreeMap<u32, (Vec<Task>, u64)>,
    /// Runs of the base that are put together again, by blob and owner.
    again: BTreeMap<(BlobId, u32), Vec<Task>>,
}

impl Works {
    fn add(&mut self, task: Task) {
        let metadata = &task.found.metadata;
        if metadata.kind == EntryKind::File && (metadata.size > 0 || is_linked(metadata)) {
            self.done.push(Work::Own(task));
        } else {
            self.bare.push(task);
        }
    }

    fn add_small(&mut self, task: Task, again: Option<BlobId>) {
        let (size, owner) = (task.found.metadata.size, task.found.metadata.user.id);
        if let Some(blob) = again {
            self.again.entry((blob, owner)).or_default().push(task);
            return;
        }
        let (tasks, bytes) = self.filling.entry(owner).or_default();
        if *bytes + size > RUN_BYTES_FULL && !tasks.is_empty() {
            self.done.push(Work::Run(std::mem::take(tasks)));
            *bytes = 0;
        }
        tasks.push(task);
        *bytes += size;
    }

    fn finish(mut self) -> Vec<Work> {
        let filling = self.filling.into_values().map(|(tasks, _)| tasks).chain(self.again.into_values());
        self.done.extend(filling.filter(|tasks| !tasks.is_empty()).map(Work::Run));
        if !self.bare.is_empty() {
            self.done.push(Work::Bare(self.bare));
        }
        if self.done.is_empty() {
            self.done.push(Work::Nothing);
        }
        self.done
    }
}
