//! One entry of a directory with everything that a restore needs.

use crate::id::BlobId;
use std::sync::Arc;

/// What an entry is. Sockets are not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum EntryKind {
    /// A regular file.
    File = 1,
    /// A directory.
    Directory = 2,
    /// A symbolic link.
    Symlink = 3,
    /// A named pipe.
    Fifo = 4,
    /// A character device.
    CharacterDevice = 5,
    /// A block device.
    BlockDevice = 6,
}

/// A point in time: seconds since 1970 and nanoseconds (0 to 999,999,999) after them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Hash)]
pub struct Timestamp {
    /// Seconds since 1970, negative before.
    pub seconds: i64,
    /// Nanoseconds after the second.
    pub nanoseconds: u32,
}

/// An owner or group, by number and, where the system knew one, by name.
#[derive(Debug, Clone, PartialEq, Eq, Default, Hash)]
pub struct Owner {
    /// Number.
    pub id: u32,
    /// Name, in bytes as the system gives it.
    pub name: Option<Arc<[u8]>>,
}

/// What `stat` tells of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    /// What it is.
    pub kind: EntryKind,
    /// Permission bits, set-id bits and sticky bit (the low 12 bits).
    pub mode: u16,
    /// Owner.
    pub user: Owner,
    /// Group.
    pub group: Owner,
    /// Time of the last change of content.
    pub modified: Timestamp,
    /// Time of the last change of content or attributes; for change detection only.
    pub changed: Timestamp,
    /// Inode number; for change detection only.
    pub inode: u64,
    /// Number of names.
    pub names: u32,
    /// Length in bytes; of a symlink, its target's.
    pub size: u64,
    /// Major and minor number of a device, otherwise zeros.
    pub device: (u32, u32),
}

/// An extended attribute. ACLs and capabilities are extended attributes too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribute {
    /// Full name with its name space, like `user.comment`.
    pub name: Vec<u8>,
    /// Value.
    pub value: Vec<u8>,
}

/// Extended attributes of an entry, sorted by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attributes {
    /// In the leaf itself.
    Inline(Vec<Attribute>),
    /// In a stream of this many bytes whose content is [`Attributes::encode_list`].
    Stream {
        /// Root page of the stream.
        root: BlobId,
        /// Bytes in the stream.
        length: u64,
    },
}

/// A piece of a file's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// Bytes of a data blob's plaintext.
    Data {
        /// The blob.
        blob: BlobId,
        /// Where they start in it.
        offset: u32,
        /// How many they are, at least 1.
        length: u32,
    },
    /// A hole of this many bytes.
    Hole {
        /// How many bytes, at least 1.
        length: u64,
    },
}

impl Extent {
    /// Bytes of content.
    #[must_use]
    pub fn length(&self) -> u64 {
        match self {
            Self::Data { length, .. } => u64::from(*length),
            Self::Hole { length } => *length,
        }
    }
}

/// The content of a regular file: its extents one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// In the leaf itself; at most [`crate::limits::INLINE_EXTENTS_MAX`]. Empty for everything but files.
    Extents(Vec<Extent>),
    /// In a stream.
    Stream {
        /// Root page of the stream.
        root: BlobId,
    },
}

/// An entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Name, in bytes; without `/` and zero.
    pub name: Vec<u8>,
    /// What `stat` told.
    pub metadata: Metadata,
    /// Extended attributes.
    pub attributes: Attributes,
    /// Target of a symlink, otherwise empty.
    pub target: Vec<u8>,
    /// Content of a regular file. Its extents add up to what was read, which is `metadata.size` unless a warning was given.
    pub content: Content,
    /// Names with the same group are names of one file. A keyed hash of device and inode.
    pub link_group: Option<[u8; 16]>,
    /// Read within two seconds of its last change (or changed while being read): read it again next time.
    pub unsettled: bool,
}
