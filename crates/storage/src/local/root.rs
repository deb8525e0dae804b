//! The directory that a store lives in.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A store's directory, held open: a disk cannot be unmounted normally under a running process.
#[derive(Debug)]
pub(super) struct Root {
    path: PathBuf,
    identity: (u64, u64),
    _held: File,
}

impl Root {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let path = fs::canonicalize(path)?;
        let held = File::open(&path)?;
        let metadata = held.metadata()?;
        if !metadata.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        Ok(Self { path, identity: identity(&metadata), _held: held })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The path of an object or directory of objects; the root itself for an empty name.
    pub(super) fn join(&self, name: &str) -> PathBuf {
        if name.is_empty() { self.path.clone() } else { self.path.join(name) }
    }

    /// An error when another directory, or none, is in its place: an empty mount point must be taken neither for a store
    /// without objects nor for a place to write to.
    pub(super) fn check(&self) -> io::Result<()> {
        match fs::metadata(&self.path) {
            Ok(metadata) if identity(&metadata) == self.identity => Ok(()),
            Ok(_) => Err(io::Error::other("another directory has taken the place of the store")),
            Err(error) => Err(io::Error::other(format!("the directory of the store is gone: {error}"))),
        }
    }
}

fn identity(metadata: &fs::Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

/// The directory in an object's name; empty for the root.
pub(super) fn parent(name: &str) -> &str {
    name.rsplit_once('/').map_or("", |(parent, _)| parent)
}
