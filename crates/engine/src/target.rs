//! Where the engine restores files to: implemented by workloads.

use format::page::{Attribute, Metadata};
use std::io;

/// What to do with what is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Overwrite {
    /// Fail before anything is written to it.
    #[default]
    Fail,
    /// Leave it and skip the entry.
    Never,
    /// Replace it if it is older than the entry.
    Older,
    /// Replace it.
    Always,
}

/// An attribute that could not be restored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shortfall {
    /// What: `owner`, `mode`, `times`, `attribute NAME`.
    pub what: String,
    /// Why.
    pub why: String,
}

/// Whether an entry is to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    /// Write it.
    Write,
    /// It is there and stays.
    Skip,
}

/// A directory tree below one destination. Paths are components joined by `/`, relative to the destination. Nothing is ever
/// written outside the destination, whatever the paths say and whatever symlinks stand in it: every step is resolved
/// beneath it without following symlinks.
pub trait TreeTarget: Send + Sync {
    /// Makes a directory (mode 0700 until it is finished) or keeps the one that is there.
    fn make_directory(&self, path: &[u8]) -> io::Result<()>;

    /// Decides about an entry that is not a directory, and removes what is in its way where `Overwrite` says so.
    fn place(&self, path: &[u8], metadata: &Metadata) -> io::Result<Placement>;

    /// Whether an entry of this kind, size and modification time is there already, from a restore that was interrupted: a
    /// file gets its modification time last, when everything else of it is right.
    fn holds(&self, path: &[u8], metadata: &Metadata) -> io::Result<bool> {
        let _ = (path, metadata);
        Ok(false)
    }

    /// Removes what was restored of an entry that turned out to be damaged. What is not there is no error.
    fn discard(&self, path: &[u8]) -> io::Result<()>;

    /// Creates a regular file of the given size, all hole. It must have been placed.
    fn create_file(&self, path: &[u8], size: u64) -> io::Result<Box<dyn TargetFile>>;

    /// Opens a file again that `create_file` made in this restore.
    fn open_file(&self, path: &[u8]) -> io::Result<Box<dyn TargetFile>>;

    /// Makes a symlink with its attributes.
    fn make_symlink(
        &self,
        path: &[u8],
        target: &[u8],
        metadata: &Metadata,
        attributes: &[Attribute],
    ) -> io::Result<Vec<Shortfall>>;

    /// Makes a further name of a file that was restored before.
    fn make_link(&self, existing: &[u8], path: &[u8]) -> io::Result<()>;

    /// Makes a fifo or a device.
    fn make_node(&self, path: &[u8], metadata: &Metadata, attributes: &[Attribute]) -> io::Result<Vec<Shortfall>>;

    /// Sets owner, mode, attributes and times of a directory, after everything in it is there.
    fn finish_directory(&self, path: &[u8], metadata: &Metadata, attributes: &[Attribute]) -> io::Result<Vec<Shortfall>>;
}

/// A regular file being restored.
pub trait TargetFile: Send + Sync {
    /// Writes at a place.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Sets owner, mode, attributes and times.
    fn finish(&self, metadata: &Metadata, attributes: &[Attribute]) -> io::Result<Vec<Shortfall>>;
}
