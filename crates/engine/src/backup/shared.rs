//! What the reading threads of a backup share.

use super::findings::Notices;
use super::leaf_job::LeafResult;
use super::link_cache::LinkCache;
use super::storing::Store;
use crate::cut::Chunker;
use crate::gate::ReadGate;
use crate::progress::{Counter, Progress};
use crate::stop::Stop;
use crossbeam_channel::Sender;
use format::page::{EntryKind, Metadata, Timestamp};
use seal::DomainWriter;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// Times closer to being read than this do not tell whether there was another change behind the first.
const SETTLED_NS: i128 = 2_000_000_000;

/// Counted by kind and by whether they were read.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    pub(crate) files: Counter,
    pub(crate) directories: Counter,
    pub(crate) symlinks: Counter,
    pub(crate) others: Counter,
    pub(crate) entries_unchanged: Counter,
    pub(crate) entries_read: Counter,
}

impl Totals {
    pub(crate) fn count(&self, kind: EntryKind) {
        let counter = match kind {
            EntryKind::File => &self.files,
            EntryKind::Directory => &self.directories,
            EntryKind::Symlink => &self.symlinks,
            EntryKind::Fifo | EntryKind::CharacterDevice | EntryKind::BlockDevice => &self.others,
        };
        counter.add(1);
    }
}

/// What the reading threads share.
pub(crate) struct Shared {
    pub(crate) store: Store,
    pub(crate) writer: DomainWriter,
    pub(crate) chunker: Chunker,
    pub(crate) notices: Arc<Notices>,
    pub(crate) progress: Progress,
    pub(crate) totals: Arc<Totals>,
    pub(crate) stop: Arc<Stop>,
    pub(crate) gate: ReadGate,
    /// Small files that each reading thread opens before their turn.
    pub(crate) open_ahead: usize,
    pub(crate) links: LinkCache,
    pub(crate) results: Sender<LeafResult>,
}

/// Whether two looks at an entry saw the same state of it.
pub(crate) fn same_state(left: &Metadata, right: &Metadata) -> bool {
    left.kind == right.kind
        && left.size == right.size
        && left.modified == right.modified
        && left.changed == right.changed
        && left.inode == right.inode
}

/// The machine's clock, in nanoseconds since 1970.
pub(crate) fn now_ns() -> i128 {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => i128::try_from(since.as_nanos()).unwrap_or(i128::MAX),
        Err(before) => -i128::try_from(before.duration().as_nanos()).unwrap_or(i128::MAX),
    }
}

/// Whether an entry was changed so shortly before it was observed that its times would not tell another change.
pub(crate) fn is_unsettled(metadata: &Metadata, observed_ns: i128) -> bool {
    let near = |time: &Timestamp| {
        let time_ns = i128::from(time.seconds) * 1_000_000_000 + i128::from(time.nanoseconds);
        (observed_ns - time_ns).abs() < SETTLED_NS
    };
    near(&metadata.modified) || near(&metadata.changed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use format::page::Owner;

    fn metadata(modified: i64, changed: i64) -> Metadata {
        let time = |seconds| Timestamp { seconds, nanoseconds: 0 };
        Metadata {
            kind: EntryKind::File,
            mode: 0o644,
            user: Owner::default(),
            group: Owner::default(),
            modified: time(modified),
            changed: time(changed),
            inode: 1,
            names: 1,
            size: 1,
            device: (0, 0),
        }
    }

    #[test]
    fn an_entry_is_unsettled_when_either_time_is_near() {
        assert!(is_unsettled(&metadata(100, 5), 101_000_000_000));
        assert!(is_unsettled(&metadata(5, 100), 101_000_000_000));
        assert!(is_unsettled(&metadata(5, 102), 101_000_000_000), "a clock that is a little behind");
        assert!(!is_unsettled(&metadata(5, 99), 101_000_000_000));
        assert!(!is_unsettled(&metadata(4_000_000_000, 5), 101_000_000_000), "a time far in the future says nothing");
    }
}
