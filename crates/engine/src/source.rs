//! What the engine reads files from: implemented by workloads.

use format::PointId;
use format::page::{Attribute, EntryKind, Metadata};
use std::io;
use std::sync::Arc;

/// Something that happened on the way and must stand on the job's record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// Path (directory and name, no leading `/`), in bytes.
    pub path: Vec<u8>,
    /// What happened.
    pub kind: WarningKind,
    /// The system's words, where there are any.
    pub detail: String,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum WarningKind {
    /// It could not be read and is not in the point.
    Unreadable,
    /// A directory could not be listed whole: part of what is in it is not in the point.
    PartlyListed,
    /// It was there when its directory was listed and gone when it was read.
    Vanished,
    /// It changed while it was read; what is in the point is a mixture.
    Changed,
    /// Some of its attributes could not be read.
    AttributesUnreadable,
    /// It is of a kind that is not kept: a socket.
    NotKept,
    /// Its path is longer than a point can hold.
    PathTooLong,
    /// The set of paths differs from the item's last point.
    ScopeChanged,
    /// Part of the previous point could not be read; everything below it was read anew.
    BaseUnreadable,
}

impl WarningKind {
    /// Whether what it tells of is not in the point.
    #[must_use]
    pub fn is_absence(self) -> bool {
        matches!(self, Self::Unreadable | Self::Vanished | Self::PathTooLong)
    }

    /// Its name for programs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::PartlyListed => "partly_listed",
            Self::Vanished => "vanished",
            Self::Changed => "changed",
            Self::AttributesUnreadable => "attributes_unreadable",
            Self::NotKept => "not_kept",
            Self::PathTooLong => "path_too_long",
            Self::ScopeChanged => "scope_changed",
            Self::BaseUnreadable => "base_unreadable",
        }
    }
}

/// Something left out on purpose: recorded, not a warning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// Path (directory and name, no leading `/`), in bytes.
    pub path: Vec<u8>,
    /// Why: an exclude pattern, a pseudo file system, the vault itself, another mount.
    pub why: String,
}

/// An entry as the walk found it.
#[derive(Debug, Clone)]
pub struct SourceEntry {
    /// Name in its directory.
    pub name: Vec<u8>,
    /// What `statx` told.
    pub metadata: Metadata,
    /// Device number of the file system (for hard-link groups).
    pub file_system: u64,
    /// When `statx` was called, in nanoseconds since 1970 by the machine's clock (for unsettled entries).
    pub observed_ns: i128,
}

/// Part of a directory's entries, sorted by name.
pub struct WalkBatch {
    /// The directory's path: components joined by `/`, without one at start or end; empty for the root.
    pub path: Arc<[u8]>,
    /// Opens its entries.
    pub directory: Arc<dyn SourceDirectory>,
    /// The entries, at most a few thousand; further batches of the same directory follow.
    pub entries: Vec<SourceEntry>,
}

/// What a walk gives.
pub enum WalkEvent {
    /// Entries.
    Batch(WalkBatch),
    /// In a walk of changes only: the entries of this directory that follow are all that there are.
    Listed {
        /// The directory's path.
        path: Arc<[u8]>,
        /// Whether everything below it follows as well.
        whole: bool,
    },
    /// In a walk of changes only: what is below a directory that leads to a change cannot be said.
    Lost,
    /// A warning.
    Warning(Warning),
    /// Left out on purpose.
    LeftOut(LeftOut),
}

/// A file set. A walk answers batches in the order of trees: directories by `format::page::compare_paths`, names by bytes;
/// each directory's own entry comes in its parent's batch. Walks in parallel ahead of its reader, in bounded memory.
pub trait TreeSource: Send + Sync {
    /// Starts a walk. An error of the walk as a whole (a root that does not exist) comes as `Err`.
    fn walk(&self) -> io::Result<Walk>;

    /// How many of its files may be open at once.
    fn open_files_max(&self) -> usize {
        usize::MAX
    }

    /// What has changed since the walk of which this point was made; none where that is not known for certain.
    fn changes(&self, since: PointId) -> Option<Arc<dyn Changes>> {
        let _ = since;
        None
    }
}

/// The events of a walk.
pub type Walk = Box<dyn Iterator<Item = io::Result<WalkEvent>> + Send>;

/// What has changed in a source since a point. The reader compares it with the point; what contradicts makes it walk everything.
pub trait Changes: Send + Sync {
    /// Starts a walk of what has changed, in the order of trees. Directories that are [`WalkEvent::Listed`] have the entries that
    /// follow and no others; of other directories it gives those that may have changed. All else is as it was.
    fn walk(&self) -> io::Result<Walk>;

    /// Whether the content of this inode may have changed under a name that the walk does not give: by another name of it.
    fn touches(&self, inode: u64) -> bool;

    /// Looks at an entry that the walk does not give.
    fn look(&self, directory: &[u8], name: &[u8]) -> io::Result<SourceEntry>;

    /// A directory in which the walk gives no entry; whether it is there is seen when it is used.
    fn directory(&self, path: &[u8]) -> Arc<dyn SourceDirectory>;
}

/// Target and attributes of an entry, read only when the entry is new or changed.
#[derive(Debug, Clone, Default)]
pub struct Details {
    /// Extended attributes, sorted by name.
    pub attributes: Vec<Attribute>,
    /// Target of a symlink.
    pub target: Vec<u8>,
    /// Attributes that could not be read, with the system's words.
    pub unreadable: Option<String>,
}

/// A directory of a source.
pub trait SourceDirectory: Send + Sync {
    /// Attributes, and the target of a symlink.
    fn details(&self, name: &[u8], kind: EntryKind) -> io::Result<Details>;

    /// Opens a regular file without following a symlink and without updating its access time.
    fn open(&self, name: &[u8]) -> io::Result<Box<dyn SourceFile>>;
}

/// A piece of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Segment {
    /// Data from `offset`, `length` bytes long.
    Data {
        /// Where it starts.
        offset: u64,
        /// How long it is.
        length: u64,
    },
    /// A hole.
    Hole {
        /// Where it starts.
        offset: u64,
        /// How long it is.
        length: u64,
    },
}

/// An open regular file.
pub trait SourceFile: Send {
    /// What `fstat` tells now.
    fn metadata(&self) -> io::Result<Metadata>;

    /// The segment at or behind `offset`, within the file's present size; none at the end. Without knowledge of holes: one data segment.
    fn segment(&self, offset: u64) -> io::Result<Option<Segment>>;

    /// Fills `buffer` from `offset`; fewer bytes only at the end of the file.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Says that all of it, so many bytes, is read soon: whoever can fetch it meanwhile does. Does not wait for it.
    fn will_read(&self, bytes: u64) {
        let _ = bytes;
    }

    /// Its attributes, where what is open can be asked for them; otherwise its directory is.
    fn details(&self) -> Option<Details> {
        None
    }
}
