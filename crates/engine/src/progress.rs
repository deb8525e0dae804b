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

    pub(crate) fn set(&self, value: u64) {
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
    /// Bytes that were read from the source (backup) or from the vault (restore, check).
    pub bytes_read: Counter,
    /// Bytes of packs that were stored.
    pub bytes_stored: Counter,
    /// How many entries and bytes there are, where a previous point or the point itself tells; otherwise 0.
    pub entries_expected: Counter,
    /// See `entries_expected`.
    pub bytes_expected: Counter,
    /// Warnings and damage so far.
    pub warnings: Counter,
}

impl std::ops::Deref for Progress {
    type Target = Counters;

    fn deref(&self) -> &Counters {
        &self.0
    }
}
