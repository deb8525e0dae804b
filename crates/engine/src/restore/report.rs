//! What a restore did, and what it could not do.

use crate::error::printable;
use crate::progress::{Counter, Progress};
use crate::target::Shortfall;
use std::collections::BTreeMap;
use std::io;
use std::sync::{Mutex, PoisonError};

/// Most entries of each list of the report that are kept with their paths. All are counted.
pub const REPORTED_MAX: usize = 1000;

/// A path and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// The path in the point, in bytes.
    pub path: Vec<u8>,
    /// What is wrong.
    pub what: String,
}

/// Troubles: the first ones with their paths, all of them counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Troubles {
    /// The first ones, sorted by path.
    pub first: Vec<Trouble>,
    /// How many there were.
    pub count: u64,
}

impl Troubles {
    pub(crate) fn push(&mut self, path: &[u8], what: String) {
        self.count += 1;
        if self.first.len() < REPORTED_MAX {
            self.first.push(Trouble { path: path.to_vec(), what });
        }
    }

    pub(crate) fn sort(&mut self) {
        self.first.sort_by(|left, right| left.path.cmp(&right.path));
    }
}

/// What a restore did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RestoreReport {
    /// Regular files written, further names of files included.
    pub files: u64,
    /// Directories made or completed.
    pub directories: u64,
    /// Symlinks, fifos and devices made.
    pub others: u64,
    /// Entries that stayed as they were because the target says so.
    pub skipped: u64,
    /// Entries that an earlier, interrupted restore had finished.
    pub resumed: u64,
    /// Bytes of content written, holes left out.
    pub bytes_written: u64,
    /// Bytes of content that files changed in place had already.
    pub bytes_kept: u64,
    /// Blobs that were opened and whose id came out.
    pub blobs_verified: u64,
    /// Bytes of plaintext of these.
    pub bytes_verified: u64,
    /// What is damaged in the vault: these files were not restored, or these parts of the tree could not be read.
    pub damaged: Troubles,
    /// Entries that stayed as they were and must not have been there.
    pub in_the_way: Troubles,
    /// Entries that could not be written.
    pub failed: Troubles,
    /// Attributes that could not be restored.
    pub shortfalls: Troubles,
    /// How often what could not be restored.
    pub shortfalls_by_kind: BTreeMap<String, u64>,
    /// Selected paths that the point does not have.
    pub not_found: Vec<Vec<u8>>,
}

impl RestoreReport {
    /// Whether everything that was selected is there, as it was.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        let troubles = [&self.damaged, &self.in_the_way, &self.failed, &self.shortfalls];
        troubles.iter().all(|troubles| troubles.count == 0) && self.not_found.is_empty()
    }
}

/// Where threads tell what they did.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) files: Counter,
    pub(crate) directories: Counter,
    pub(crate) others: Counter,
    pub(crate) skipped: Counter,
    pub(crate) resumed: Counter,
    pub(crate) bytes_written: Counter,
    pub(crate) bytes_kept: Counter,
    pub(crate) blobs_verified: Counter,
    pub(crate) bytes_verified: Counter,
    lists: Mutex<RestoreReport>,
    progress: Progress,
}

impl Tally {
    pub(crate) fn new(progress: Progress) -> Self {
        Self { progress, ..Self::default() }
    }

    pub(crate) fn damaged(&self, path: &[u8], what: impl ToString) {
        self.progress.warnings.add(1);
        self.lock().damaged.push(path, what.to_string());
    }

    pub(crate) fn in_the_way(&self, path: &[u8]) {
        self.progress.warnings.add(1);
        self.lock().in_the_way.push(path, "it is there already".to_owned());
    }

    pub(crate) fn failed(&self, path: &[u8], error: &io::Error) {
        self.progress.warnings.add(1);
        self.lock().failed.push(path, error.to_string());
    }

    pub(crate) fn shortfalls(&self, path: &[u8], shortfalls: Vec<Shortfall>) {
        if shortfalls.is_empty() {
            return;
        }
        self.progress.warnings.add(shortfalls.len() as u64);
        let mut lists = self.lock();
        for Shortfall { what, why } in shortfalls {
            lists.shortfalls.push(path, format!("{}: {why}", printable(what.as_bytes())));
            *lists.shortfalls_by_kind.entry(what).or_default() += 1;
        }
    }

    pub(crate) fn report(&self, not_found: Vec<Vec<u8>>) -> RestoreReport {
        let mut report = self.lock().clone();
        report.damaged.sort();
        report.in_the_way.sort();
        report.failed.sort();
        report.shortfalls.sort();
        RestoreReport {
            files: self.files.get(),
            directories: self.directories.get(),
            others: self.others.get(),
            skipped: self.skipped.get(),
            resumed: self.resumed.get(),
            bytes_written: self.bytes_written.get(),
            bytes_kept: self.bytes_kept.get(),
            blobs_verified: self.blobs_verified.get(),
            bytes_verified: self.bytes_verified.get(),
            not_found,
            ..report
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, RestoreReport> {
        self.lists.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether an error of the target concerns one entry only; otherwise the restore ends: the disk is full or gone.
pub(crate) fn concerns_entry_only(error: &io::Error) -> bool {
    !matches!(
        error.kind(),
        io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::ReadOnlyFilesystem
            | io::ErrorKind::OutOfMemory
    ) && error.raw_os_error() != Some(EIO)
        && !matches!(error.raw_os_error(), Some(EMFILE | ENFILE))
}

const EIO: i32 = 5;
const ENFILE: i32 = 23;
const EMFILE: i32 = 24;
