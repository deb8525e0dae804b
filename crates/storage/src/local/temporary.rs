//! Where objects are written before they get their names, and how what a dead process left there is removed.
//!
//! `.tmp/<16 digits>/` belongs to one open store, which holds an advisory lock (flock) on it until it is closed. The kernel
//! drops the lock when the last descriptor of its holder is closed, at the latest when the process ends: who gets the lock of
//! such a directory knows that its owner is dead, whatever happened to process ids in between. A file system without these
//! locks gives no such proof, and there nothing is removed.

use super::disk::Disk;
use super::root::Root;
use rustix::fs::FlockOperation;
use rustix::rand::GetRandomFlags;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Name of the directory of temporaries. No object's name starts with a full stop.
const TEMPORARIES: &str = ".tmp";

/// A directory of temporary files of our own, locked.
#[derive(Debug)]
pub(super) struct Temporaries {
    path: PathBuf,
    next: AtomicU64,
    _locked: File,
}

/// A temporary file, removed on drop unless it was published.
pub(super) struct TemporaryFile<'a> {
    pub(super) file: File,
    pub(super) path: PathBuf,
    disk: &'a Disk,
    published: bool,
}

impl Temporaries {
    /// Makes and locks a directory of our own.
    pub(super) fn open(disk: &Disk, root: &Root) -> io::Result<Self> {
        let above = root.path().join(TEMPORARIES);
        disk.make_directory(&above)?;
        loop {
            let mut digits = [0; 8];
            rustix::rand::getrandom(&mut digits, GetRandomFlags::empty())?;
            let path = above.join(format!("{:016x}", u64::from_le_bytes(digits)));
            if !disk.make_directory(&path)? {
                continue;
            }
            let locked = File::open(&path)?;
            disk.lock(&locked, &path)?;
            // Somebody who cleared between the making and the locking took it for a dead one's and removed it.
            if is_still_there(&locked, &path)? {
                return Ok(Self { path, next: AtomicU64::new(0), _locked: locked });
            }
        }
    }

    /// Makes an empty temporary file.
    pub(super) fn make_file<'a>(&self, disk: &'a Disk) -> io::Result<TemporaryFile<'a>> {
        let path = self.path.join(self.next.fetch_add(1, Ordering::Relaxed).to_string());
        let file = disk.make_file(&path)?;
        Ok(TemporaryFile { file, path, disk, published: false })
    }
}

impl Drop for Temporaries {
    fn drop(&mut self) {
        // Fails when a file is left in it; then its being there tells the next one that something was not finished.
        let _ = fs::remove_dir(&self.path);
    }
}

impl TemporaryFile<'_> {
    /// Moves the file to its name; see [`Disk::publish`].
    pub(super) fn publish(&mut self, to: &Path) -> io::Result<()> {
        self.disk.publish(&self.path, to)?;
        self.published = true;
        Ok(())
    }
}

impl Drop for TemporaryFile<'_> {
    fn drop(&mut self) {
        if !self.published {
            // What cannot be removed now is a left-over for later.
            let _ = self.disk.remove_file(&self.path);
        }
    }
}

/// Removes what dead processes left. Such a process may have published an object and died before the sync of its directory:
/// we would see the object, build on it, and lose it with the power. So everything is synced before the trace of the dead one
/// goes.
pub(super) fn clear_leftovers(disk: &Disk, root: &Root) -> io::Result<()> {
    let entries = match fs::read_dir(root.path().join(TEMPORARIES)) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let mut dead = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir()
            && is_ours(&entry.file_name())
            && let Some(locked) = lock_of_the_dead(&entry.path())?
        {
            dead.push((entry.path(), locked));
        }
    }
    if dead.is_empty() {
        return Ok(());
    }
    disk.sync_all(root.path())?;
    for (path, _locked) in &dead {
        for file in fs::read_dir(path)? {
            disk.remove_file(&file?.path())?;
        }
        fs::remove_dir(path)?;
    }
    Ok(())
}

/// The lock, if its owner is dead.
fn lock_of_the_dead(path: &Path) -> io::Result<Option<File>> {
    let directory = match File::open(path) {
        Ok(directory) => directory,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    match rustix::fs::flock(&directory, FlockOperation::NonBlockingLockExclusive) {
        // Another one may have cleared it away since it was listed.
        Ok(()) => Ok(is_still_there(&directory, path)?.then_some(directory)),
        // Locked, or not to be known.
        Err(_) => Ok(None),
    }
}

fn is_still_there(directory: &File, path: &Path) -> io::Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(there) => {
            let held = directory.metadata()?;
            Ok((there.dev(), there.ino()) == (held.dev(), held.ino()))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn is_ours(name: &OsStr) -> bool {
    name.len() == 16 && name.as_encoded_bytes().iter().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'))
}
