//! Where the engine restores files to: implemented by workloads.

use format::page::{Attribute, Metadata};
use std::io;
use std::ops::Range;

/// What to do with what is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Overwrite {
    /// Name it as a conflict and leave it.
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
    /// Something is there that must neither be replaced nor passed over in silence.
    Conflict,
}

/// Where a directory stands in a restore.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DirectoryRole {
    /// It is restored.
    Restored,
    /// It is on the way to something that is restored.
    OnTheWay,
}

/// A directory tree below one destination. Paths are components joined by `/`, relative to the destination. Nothing is ever
/// written outside the destination, whatever the paths say and whatever symlinks stand in it: every step is resolved
/// beneath it without following symlinks.
///
/// An entry that is no directory appears under its name whole, with all its attributes, or not at all; what is replaced stays until then.
pub trait TreeTarget: Send + Sync {
    /// Makes a directory (mode 0700 until it is finished) or keeps the one that is there. Answers whether it is to be finished:
    /// a directory that was there keeps its attributes unless `Overwrite` says otherwise.
    fn make_directory(&self, path: &[u8], role: DirectoryRole) -> io::Result<bool>;

    /// Decides about an entry that is not a directory. Nothing is changed yet.
    fn place(&self, path: &[u8], metadata: &Metadata) -> io::Result<Placement>;

    /// How many of its files may be open at once, more or less.
    fn open_files_max(&self) -> usize {
        usize::MAX
    }

    /// Whether an entry of this kind, size and modification time is there already, from a restore that was interrupted.
    fn holds(&self, path: &[u8], metadata: &Metadata) -> io::Result<bool> {
        let _ = (path, metadata);
        Ok(false)
    }

    /// Whether files that are there are changed where they differ, instead of being replaced.
    fn changes_in_place(&self) -> bool {
        false
    }

    /// Opens the file that is there to be changed in place; none if it is to be replaced. Unlike all else it is neither the old nor the
    /// new one until it is finished, and stays so if it never is.
    fn change_file(&self, path: &[u8], metadata: &Metadata, attributes: &[Attribute]) -> io::Result<Option<Box<dyn TargetFile>>> {
        let _ = (path, metadata, attributes);
        Ok(None)
    }

    /// Bytes that were to be written to files changed in place, and were the same already.
    fn bytes_kept(&self) -> u64 {
        0
    }

    /// Creates a regular file of the given size, all hole, which gets its name when it is finished. It must have been placed.
    fn create_file(&self, path: &[u8], size: u64) -> io::Result<Box<dyn TargetFile>>;

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

/// A regular file being restored; dropped before it is finished, it is gone, if it was created.
pub trait TargetFile: Send + Sync {
    /// What a file that is changed in place has here: fills the buffer, fewer bytes only at its end.
    fn read_before(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let _ = (buffer, offset);
        Ok(0)
    }

    /// This range of a file that is changed in place stays.
    fn keep(&self, range: &Range<u64>) {
        let _ = range;
    }

    /// These ranges are written next, in any order: whoever gains by making room for all of them at once does. For much data only.
    fn reserve(&self, ranges: &[Range<u64>]) -> io::Result<()> {
        let _ = ranges;
        Ok(())
    }

    /// Writes at a place.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Sets owner, mode, attributes and times, and gives it its name. Called once.
    fn finish(&self, metadata: &Metadata, attributes: &[Attribute]) -> io::Result<Vec<Shortfall>>;
}
