//! A regular file being restored.

use super::attributes::apply;
use super::directories::OpenDirectory;
use super::target::Policy;
use super::turns::Turns;
use super::unfinished::Unfinished;
use crate::platform::{self, Named};
use engine::target::{Shortfall, TargetFile};
use format::page::{Attribute, Metadata};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Files up to this size get it at the end, and only where the last byte was not written: for small files that saves a call.
const SIZE_LATER_BYTES_MAX: u64 = 1 << 20;

/// An open file beneath the destination.
pub(super) struct RestoredFile {
    file: OwnedFd,
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
    ) -> io::Result<Self> {
        let file = turns.take(|| platform::create_file(entry.parent().as_fd(), entry.temporary()))?;
        let file = Self { file, entry, policy, size, written: AtomicU64::new(0) };
        if size > SIZE_LATER_BYTES_MAX {
            platform::truncate(&file.file, size)?;
        }
        Ok(file)
    }
}

impl TargetFile for RestoredFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        platform::write_at(&self.file, bytes, offset)?;
        self.written.fetch_max(offset + bytes.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    fn finish(&self, metadata: &Metadata, attributes: &[Attribute]) -> io::Result<Vec<Shortfall>> {
        if self.size <= SIZE_LATER_BYTES_MAX && self.written.load(Ordering::Relaxed) < self.size {
            platform::truncate(&self.file, self.size)?;
        }
        let may_inherit = self.entry.parent().has_default_acl;
        let shortfalls = apply(Named::Open(self.file.as_fd()), may_inherit, &self.policy, metadata, attributes);
        self.entry.give_name(self.policy.overwrite_of(&self.entry, metadata)?)?;
        Ok(shortfalls)
    }
}
