//! Writing and removing objects, durably.
//!
//! A put: write a temporary file, fsync it, move it to its name without replacing (the object is there, whole, from then on),
//! fsync the directory (it stays there), answer. A crash before the move leaves a temporary file, one behind it the object.

use super::direct::Chunks;
use super::directories::{Directories, Failure};
use super::disk::Disk;
use super::read;
use super::root::{Root, parent};
use super::temporary::{Temporaries, TemporaryFile};
use crate::error::{ErrorKind, Result, StorageError};
use crate::name::ObjectName;
use crate::store::{PutOutcome, check_length};
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// How often a put starts again because others remove what it just saw.
const TRIES_MAX: u32 = 10;

/// The writing side of a store.
#[derive(Default)]
pub(super) struct Writer {
    pub(super) disk: Disk,
    directories: Directories,
    chunks: Chunks,
    /// Made by the first put, so that a medium that cannot be written can be read.
    temporaries: Mutex<Option<Arc<Temporaries>>>,
}

/// What is in an object's place.
enum There {
    Nothing,
    Identical,
    Other,
}

impl Writer {
    pub(super) fn put(&self, root: &Root, name: &ObjectName, bytes: &[u8]) -> Result<PutOutcome> {
        check_length("write", name, bytes.len() as u64)?;
        self.check(root, "write", name)?;
        let path = root.join(name.as_str());
        self.ensure_directory(root, name)?;
        let mut temporary = None;
        for _ in 0..TRIES_MAX {
            match self.look(name, &path, bytes)? {
                There::Nothing => {}
                There::Identical => {
                    // Its writer may have died before this sync, or not have come to it yet.
                    self.sync_directory("write", root, name)?;
                    return Ok(PutOutcome::Identical);
                }
                There::Other => {
                    self.sync_directory("write", root, name)?;
                    return Err(StorageError::new(ErrorKind::Exists, "write", name.as_str()));
                }
            }
            let written = match &mut temporary {
                Some(written) => written,
                none => none.insert(self.write_temporary(root, name, bytes)?),
            };
            match written.publish(&path) {
                Ok(()) => {
                    self.sync_directory("write", root, name)?;
                    return Ok(PutOutcome::Created);
                }
                // Somebody was faster: look again.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                // Somebody removed the directory, or the temporary file.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    self.directories.forget();
                    temporary = None;
                    self.check(root, "write", name)?;
                    self.ensure_directory(root, name)?;
                }
                Err(error) => return Err(write_error(name, error)),
            }
        }
        Err(StorageError::new(ErrorKind::Unavailable, "write", name.as_str()).because("others keep making and removing it"))
    }

    pub(super) fn delete(&self, root: &Root, name: &ObjectName) -> Result<()> {
        self.check(root, "delete", name)?;
        let path = root.join(name.as_str());
        let absent = match path.symlink_metadata() {
            Ok(metadata) => !metadata.is_file(),
            Err(error) if read::is_absent(&error) => true,
            Err(error) => return Err(StorageError::from_io("delete", name.as_str(), error)),
        };
        if absent {
            // Perhaps removed by a process that died before the sync.
            return self.sync_nearest_directory(root, name);
        }
        match self.disk.remove_file(&path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(StorageError::from_io("delete", name.as_str(), error)),
        }
        self.sync_directory("delete", root, name)
    }

    /// Nothing may be changed in a wrong place or after a failed sync.
    fn check(&self, root: &Root, doing: &'static str, name: &ObjectName) -> Result<()> {
        if self.disk.is_broken() {
            let reason = "an earlier sync of a directory failed: what is on the disk is not known";
            return Err(StorageError::new(ErrorKind::Unavailable, doing, name.as_str()).because(reason));
        }
        root.check().map_err(|error| StorageError::from_io(doing, name.as_str(), error))
    }

    fn look(&self, name: &ObjectName, path: &Path, bytes: &[u8]) -> Result<There> {
        let there = match read::open(path) {
            Ok(Some(opened)) => opened.has_bytes(bytes),
            Ok(None) => return self.look_for_what_is_no_object(name, path),
            Err(error) => Err(error),
        };
        match there {
            Ok(true) => Ok(There::Identical),
            Ok(false) => Ok(There::Other),
            Err(error) => Err(StorageError::from_io("write", name.as_str(), error)),
        }
    }

    fn look_for_what_is_no_object(&self, name: &ObjectName, path: &Path) -> Result<There> {
        match path.symlink_metadata() {
            // An object that appeared in between is found when its name turns out to be taken.
            Ok(metadata) if metadata.is_file() => Ok(There::Nothing),
            Ok(_) => {
                let reason = "a directory, or what no object can be, has this name";
                Err(StorageError::new(ErrorKind::Invalid, "write", name.as_str()).because(reason))
            }
            Err(error) if read::is_absent(&error) => Ok(There::Nothing),
            Err(error) => Err(StorageError::from_io("write", name.as_str(), error)),
        }
    }

    fn ensure_directory(&self, root: &Root, name: &ObjectName) -> Result<()> {
        match self.directories.ensure(&self.disk, root, parent(name.as_str())) {
            Ok(()) => Ok(()),
            Err(Failure::Making(error)) if error.kind() == io::ErrorKind::NotADirectory => {
                let reason = "an object has the name of a directory above it";
                Err(StorageError::new(ErrorKind::Invalid, "write", name.as_str()).because(reason))
            }
            Err(Failure::Making(error)) => Err(write_error(name, error)),
            Err(Failure::Syncing(error)) => Err(sync_failed("write", name, error)),
        }
    }

    fn write_temporary(&self, root: &Root, name: &ObjectName, bytes: &[u8]) -> Result<TemporaryFile<'_>> {
        let write = || {
            let temporary = self.make_temporary(root)?;
            self.chunks.write(&temporary.file, bytes)?;
            self.disk.sync_file(&temporary.file, &temporary.path)?;
            Ok(temporary)
        };
        write().map_err(|error| write_error(name, error))
    }

    fn make_temporary(&self, root: &Root) -> io::Result<TemporaryFile<'_>> {
        let open = |slot: &mut Option<Arc<Temporaries>>| -> io::Result<Arc<Temporaries>> {
            Ok(match slot {
                Some(open) => Arc::clone(open),
                none => Arc::clone(none.insert(Arc::new(Temporaries::open(&self.disk, root)?))),
            })
        };
        let slot = || self.temporaries.lock().unwrap_or_else(PoisonError::into_inner);
        let temporaries = open(&mut slot())?;
        match temporaries.make_file(&self.disk) {
            // Somebody removed our directory: others made after it keep theirs.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let mut slot = slot();
                slot.take_if(|open| Arc::ptr_eq(open, &temporaries));
                open(&mut slot)?.make_file(&self.disk)
            }
            other => other,
        }
    }

    /// Syncs the directory of an object.
    fn sync_directory(&self, doing: &'static str, root: &Root, name: &ObjectName) -> Result<()> {
        let directory = root.join(parent(name.as_str()));
        self.disk.sync_directory(&directory).map_err(|error| sync_failed(doing, name, error))
    }

    /// Syncs the lowest directory above an absent object that is there.
    fn sync_nearest_directory(&self, root: &Root, name: &ObjectName) -> Result<()> {
        let mut directory = name.as_str();
        while !directory.is_empty() {
            directory = parent(directory);
            match self.disk.sync_directory(&root.join(directory)) {
                Ok(()) => break,
                Err(error) if read::is_absent(&error) && !directory.is_empty() => {}
                Err(error) => return Err(sync_failed("delete", name, error)),
            }
        }
        Ok(())
    }
}

/// After a sync that failed: never `Full` or the like, whatever the cause, as the effect is not known.
fn sync_failed(doing: &'static str, name: &ObjectName, error: io::Error) -> StorageError {
    StorageError::new(ErrorKind::Unavailable, doing, name.as_str()).because(error)
}

/// An error before the object had its name. That something is missing says nothing about the object.
fn write_error(name: &ObjectName, error: io::Error) -> StorageError {
    let error = StorageError::from_io("write", name.as_str(), error);
    if error.kind() == ErrorKind::NotFound { StorageError { kind: ErrorKind::Unavailable, ..error } } else { error }
}
