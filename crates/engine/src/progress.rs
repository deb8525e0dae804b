//! How far a piece of work is: counters that its threads add to and that a caller polls.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A counter.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Its value.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    fn take_back(&self, less: u64) {
        self.0.fetch_sub(less, Ordering::Relaxed);
    }

    /// Sets it.
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }
}

/// Counters of a backup, restore or check. Shared: clones count together.
#[derive(Debug, Clone, Default)]
pub struct Progress(Arc<Counters>);

/// The counters.
#[derive(Debug, Default)]
pub struct Counters {
    /// Entries found by the walk, or to be restored or checked, so far.
    pub entries_found: Counter,
    /// Bytes of content of these.
    pub bytes_found: Counter,
    /// Entries that are done.
    pub entries_done: Counter,
    /// Bytes of content that are done: read, taken over unchanged, or written.
    pub bytes_done: Counter,
    /// Bytes that are done of files that are not: those whose turn takes long.
    pub bytes_under_way: Counter,
    /// Bytes that were read from the source (backup) or from the vault (restore, check).
    pub bytes_read: Counter,
    /// Bytes of packs that were stored.
    pub bytes_stored: Counter,
    /// How many entries and bytes there are, where a previous point or the point itself tells; otherwise 0.
    pub entries_expected: Counter,
    /// See `entries_expected`.
    pub bytes_expected: Counter,
    /// Points that were looked through.
    pub points_done: Counter,
    /// How many are to be; 0 where the work is about one.
    pub points_expected: Counter,
    /// Warnings and damage so far.
    pub warnings: Counter,
}

impl std::ops::Deref for Progress {
    type Target = Counters;

    fn deref(&self) -> &Counters {
        &self.0
    }
}

impl Progress {
    /// Content that is done, whether its file is or not.
    #[must_use]
    pub fn bytes_done_so_far(&self) -> u64 {
        self.bytes_done.get() + self.bytes_under_way.get()
    }

    /// Counts the bytes of a file until it ends.
    pub(crate) fn file_under_way(&self) -> FileUnderWay<'_> {
        FileUnderWay { progress: self, bytes: 0 }
    }
}

/// A file whose bytes are counted while it is under way. When it is not any more they are taken back: it counts as a whole then.
pub(crate) struct FileUnderWay<'a> {
    progress: &'a Progress,
    bytes: u64,
}

impl FileUnderWay<'_> {
    pub(crate) fn add(&mut self, more: u64) {
        self.bytes += more;
        self.progress.bytes_under_way.add(more);
    }
}

impl Drop for FileUnderWay<'_> {
    fn drop(&mut self) {
        self.progress.bytes_under_way.take_back(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_under_way_counts_until_it_counts_as_a_whole() {
        let progress = Progress::default();
        let mut file = progress.file_under_way();
        file.add(3);
        file.add(4);
        assert_eq!(progress.bytes_done_so_far(), 7);
        drop(file);
        progress.bytes_done.add(9);
        assert_eq!(progress.bytes_done_so_far(), 9);
    }
}
