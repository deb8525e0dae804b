//! Content of files with several names, so that it is read once.

use super::shared::same_state;
use format::page::{Attributes, Content, Metadata};
use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

/// Most files that are remembered. Names of a forgotten one are read again, and their blobs found to be there.
const FILES_MAX: usize = 20_000;
/// Most extents that are remembered of one file.
const EXTENTS_MAX: usize = 64;

/// What was read of a file.
#[derive(Clone)]
pub(crate) struct LinkedContent {
    pub(crate) metadata: Metadata,
    pub(crate) attributes: Attributes,
    pub(crate) content: Content,
    pub(crate) target: Vec<u8>,
    pub(crate) unsettled: bool,
}

/// Files by file system and inode, the oldest forgotten first.
#[derive(Default)]
pub(crate) struct LinkCache(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    files: HashMap<(u64, u64), LinkedContent>,
    order: VecDeque<(u64, u64)>,
}

impl LinkCache {
    /// What was read of the file, if it is still in the same state.
    pub(crate) fn get(&self, file_system: u64, metadata: &Metadata) -> Option<LinkedContent> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = kept.files.get(&(file_system, metadata.inode))?;
        same_state(&found.metadata, metadata).then(|| found.clone())
    }

    pub(crate) fn insert(&self, file_system: u64, read: LinkedContent) {
        if matches!(&read.content, Content::Extents(extents) if extents.len() > EXTENTS_MAX) {
            return;
        }
        let key = (file_system, read.metadata.inode);
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.files.insert(key, read).is_none() {
            kept.order.push_back(key);
        }
        if kept.order.len() > FILES_MAX
            && let Some(oldest) = kept.order.pop_front()
        {
            kept.files.remove(&oldest);
        }
    }
}
