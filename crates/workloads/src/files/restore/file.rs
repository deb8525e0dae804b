//! A regular file being restored.

use super::attributes::apply;
use super::directories::OpenDirectory;
use super::target::Policy;
use crate::platform::{self, Named};
use engine::target::{Shortfall, TargetFile};
use format::page::{Attribute, Metadata};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Files up to this size get it at the end, and only where the last byte was not written: for small files that saves a call.
const SIZE_LATER_BYTES_MAX: u64 = 1 << 20;

/// An open file beneath the destination.
pub(super) struct RestoredFile {
    file: OwnedFd,
    parent: Arc<OpenDirectory>,
    policy: Arc<Policy>,
    /// Size that it still has to get.
    size: u64,
    /// End of what was written behind everything else.
    written: AtomicU64,
    settled: AtomicBool,
}

impl RestoredFile {
    /// A file that was just created, to become so large.
    pub(super) fn created(file: OwnedFd, parent: Arc<OpenDirectory>, policy: Arc<Policy>, size: u64) -> io::Result<Self> {
        let settled = size > SIZE_LATER_BYTES_MAX;
        if settled {
            platform::truncate(&file, size)?;
        }
        Ok(Self { file, parent, policy, size, written: AtomicU64::new(0), settled: AtomicBool::new(settled) })
    }

    /// A file that was created before and has its size.
    pub(super) fn opened(file: OwnedFd, parent: Arc<OpenDirectory>, policy: Arc<Policy>) -> Self {
        Self { file, parent, policy, size: 0, written: AtomicU64::new(0), settled: AtomicBool::new(true) }
    }
}

impl TargetFile for RestoredFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        platform::write_at(&self.file, bytes, offset)?;
        self.written.fetch_max(offset + bytes.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    fn finish(&self, metadata: &Metadata, attributes: &[Attribute]) -> io::Result<Vec<Shortfall>> {
        self.settle_size()?;
        Ok(apply(Named::Open(self.file.as_fd()), self.parent.has_default_acl, &self.policy, metadata, attributes))
    }
}

impl RestoredFile {
    /// Gives it its size, once.
    fn settle_size(&self) -> io::Result<()> {
        if self.settled.swap(true, Ordering::Relaxed) || self.written.load(Ordering::Relaxed) >= self.size {
            return Ok(());
        }
        platform::truncate(&self.file, self.size)
    }
}

impl Drop for RestoredFile {
    /// Closed before it was finished: it will be opened again, and then nobody knows its size.
    fn drop(&mut self) {
        let is_shorter = || platform::stat_open(self.file.as_fd()).is_ok_and(|stat| stat.size < self.size);
        if !self.settled.load(Ordering::Relaxed) && is_shorter() {
            // Where that fails the file is short; whoever finishes it finds an error of the same kind.
            let _ = self.settle_size();
        }
    }
}
