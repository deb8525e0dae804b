//! A regular file being restored.

use super::attributes::apply;
use super::directories::OpenDirectory;
use super::past_cache::{Disk, PastCache};
use super::target::Policy;
use super::turns::Turns;
use super::unfinished::Unfinished;
use crate::platform::{self, Named};
use engine::target::{Shortfall, TargetFile};
use format::page::{Attribute, Metadata};
use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

/// Files up to this size get it at the end, and only where the last byte was not written: for small files that saves a call.
const SIZE_LATER_BYTES_MAX: u64 = 1 << 20;

/// An open file beneath the destination.
pub(super) struct RestoredFile {
    file: OwnedFd,
    /// What is written past the page cache from when room was made for much data, where the file system is one that lets it.
    past_cache: OnceLock<Option<PastCache>>,
    disk: Arc<Disk>,
    entry: Unfinished<Arc<OpenDirectory>>,
    policy: Arc<Policy>,
    size: u64,
    /// End of what was written behind everything else.
    written: AtomicU64,
}

impl RestoredFile {
    /// A file that is to become so large.
    pub(super) fn create(
        entry: Unfinished<Arc<OpenDirectory>>,
        policy: Arc<Policy>,
        size: u64,
        turns: &Turns,
        disk: &Arc<Disk>,
    ) -> io::Result<Self> {
        let file = turns.take(|| platform::create_file(entry.parent().as_fd(), entry.temporary()))?;
        let disk = disk.clone();
        let file = Self { file, past_cache: OnceLock::new(), disk, entry, policy, size, written: AtomicU64::new(0) };
        if size > SIZE_LATER_BYTES_MAX {
            platform::truncate(&file.file, size)?;
        }
        Ok(file)
    }

    fn past_cache(&self) -> Option<&PastCache> {
        self.past_cache.get()?.as_ref()
    }
}

/// The end of so many bytes from `offset` on; an error if it lies behind the end of the file.
pub(super) fn end_within(size: u64, offset: u64, length: u64) -> io::Result<u64> {
    let end = offset.checked_add(length).filter(|end| *end <= size);
    end.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "its content is longer than it should be"))
}

impl TargetFile for RestoredFile {
    fn reserve(&self, ranges: &[Range<u64>]) -> io::Result<()> {
        for range in ranges {
            end_within(self.size, range.start, range.end.saturating_sub(range.start))?;
        }
        if self.size <= SIZE_LATER_BYTES_MAX {
            return Ok(());
        }
        let open = || platform::open_past_cache(self.file.as_fd()).map(|file| PastCache::new(file, self.disk.clone()));
        self.past_cache.get_or_init(open).as_ref().map_or(Ok(()), |past_cache| past_cache.reserve(ranges))
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let end = end_within(self.size, offset, bytes.len() as u64)?;
        match self.past_cache() {
            Some(past_cache) => past_cache.write_at(self.file.as_fd(), bytes, offset)?,
            None => platform::write_at(&self.file, bytes, offset)?,
        }
        self.written.fetch_max(end, Ordering::Relaxed);
        Ok(())
    }

    fn finish(&self, metadata: &Metadata, attributes: &[Attribute]) -> io::Result<Vec<Shortfall>> {
        if let Some(past_cache) = self.past_cache() {
            past_cache.finish(self.file.as_fd())?;
        }
        if self.size <= SIZE_LATER_BYTES_MAX && self.written.load(Ordering::Relaxed) < self.size {
            platform::truncate(&self.file, self.size)?;
        }
        let may_inherit = self.entry.parent().has_default_acl;
        let shortfalls = apply(Named::Open(self.file.as_fd()), may_inherit, &self.policy, metadata, attributes);
        self.entry.give_name(self.policy.overwrite_of(&self.entry, metadata)?)?;
        Ok(shortfalls)
    }
}
