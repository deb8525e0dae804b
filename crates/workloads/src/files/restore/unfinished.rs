//! Entries that are being restored, under names of their own until they are whole.
//!
//! An entry gets its name by a rename, after its content and all its attributes. A process that is killed leaves temporary
//! names behind, never half an entry under a real one; a restore that resumes removes them.

use crate::platform::{self, Stat};
use engine::target::Overwrite;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Temporary names begin like this.
const PREFIX: &str = ".holdfast-restore-";

/// What has this name in a directory.
pub(super) fn look(parent: BorrowedFd<'_>, name: &[u8]) -> io::Result<Option<Stat>> {
    match platform::stat_at(parent, name) {
        Ok(stat) => Ok(Some(stat)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Makes temporary names, none of them twice in any restore.
#[derive(Debug)]
pub(super) struct TemporaryNames {
    restore: u64,
    next: AtomicU64,
}

impl TemporaryNames {
    pub(super) fn new() -> Self {
        Self { restore: platform::random_number(), next: AtomicU64::new(0) }
    }

    pub(super) fn next(&self) -> Vec<u8> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        format!("{PREFIX}{:016x}-{number:x}", self.restore).into_bytes()
    }

    /// Whether an earlier restore left this name behind.
    pub(super) fn is_left_behind(&self, name: &[u8]) -> bool {
        let own = format!("{PREFIX}{:016x}-", self.restore);
        name.starts_with(PREFIX.as_bytes()) && !name.starts_with(own.as_bytes())
    }
}

/// An entry with its temporary name; removed when dropped before it got its real one.
pub(super) struct Unfinished<D: AsFd> {
    parent: D,
    temporary: Vec<u8>,
    name: Vec<u8>,
    has_name: AtomicBool,
}

impl<D: AsFd> Unfinished<D> {
    /// A temporary name for an entry that the caller makes next.
    pub(super) fn new(names: &TemporaryNames, parent: D, name: &[u8]) -> Self {
        Self { parent, temporary: names.next(), name: name.to_vec(), has_name: AtomicBool::new(false) }
    }

    pub(super) fn parent(&self) -> &D {
        &self.parent
    }

    pub(super) fn temporary(&self) -> &[u8] {
        &self.temporary
    }

    /// What has its real name now.
    pub(super) fn look(&self) -> io::Result<Option<Stat>> {
        look(self.parent.as_fd(), &self.name)
    }

    /// Gives it its real name; replaces what has it only where that is allowed.
    pub(super) fn give_name(&self, overwrite: Overwrite) -> io::Result<()> {
        let parent = self.parent.as_fd();
        match overwrite {
            Overwrite::Fail | Overwrite::Never => platform::rename_new(parent, &self.temporary, &self.name)?,
            Overwrite::Older | Overwrite::Always => {
                platform::rename_over(parent, &self.temporary, &self.name)?;
                // Two names of one file: the kernel renames nothing then.
                match platform::remove_file(parent, &self.temporary) {
                    Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
            }
        }
        self.has_name.store(true, Ordering::Relaxed);
        Ok(())
    }
}

impl<D: AsFd> Drop for Unfinished<D> {
    fn drop(&mut self) {
        if !self.has_name.load(Ordering::Relaxed) {
            // What cannot be removed stays under its temporary name, which says what it is.
            let _ = platform::remove_file(self.parent.as_fd(), &self.temporary);
        }
    }
}
