//! Leaves of a tree, in columns: what is alike stands together, and what repeats stands once.
//!
//! ```text
//! type (1) ‖ entries (varint) ‖ directories ‖ owners ‖ classes ‖ attribute lists ‖ columns
//!
//! directories     = count (varint) ‖ columns: bytes of the path shared with the one before, further bytes, entries in it
//!                   (varints), further bytes themselves
//! owners          = count (varint) ‖ for each: number (varint) ‖ 0 or 1 + length of the name (varint) ‖ name
//! classes         = count (varint) ‖ for each: kind (1) ‖ mode (varint) ‖ user ‖ group (positions of owners, varints)
//! attribute lists = count (varint) ‖ lists
//! ```
//! Owners, classes and lists stand in the order in which they are first used, each once, each used. The columns, each with
//! the values of all entries that have one, one entry after the other:
//!
//! | column | entries | value |
//! |---|---|---|
//! | class | all | position of the class (varint) |
//! | flags | all | see below (1) |
//! | shared | all | bytes of the name shared with the one before in the directory (varint) |
//! | further | all | further bytes of the name (varint) |
//! | name | all | these bytes |
//! | modified, s | all | seconds, less those of the entry before (zigzag, wrapping) |
//! | modified, ns | all | nanoseconds, less those of the entry before (zigzag) |
//! | changed, s | flag 0x80 clear | seconds, less those of the entry before (zigzag, wrapping) |
//! | changed, ns | flag 0x80 clear | nanoseconds, less those of the entry before (zigzag) |
//! | inode | all | number, less that of the entry before (zigzag, wrapping) |
//! | names | all | number of names (varint) |
//! | size | flag 0x40 | bytes (varint) |
//! | extents | content 2 | how many (varint), at least 1 |
//! | tags, offsets | content 2 | see extents |
//! | lengths | content 1 and 2 | see extents |
//! | content | content 3 | link to the root of the stream (varint) |
//! | target length, then target | symlinks | (varint), bytes |
//! | device | devices | major, minor (varints) |
//! | attributes | attributes 1 | position of the list (varint) |
//! | attributes | attributes 2 | link to the root of the stream (varint) ‖ bytes in it (varint) |
//! | link group | flag 0x10 | 16 bytes |
//!
//! Flags: 0x03 content (0 none, 1 one data extent that goes on where the last one of the leaf ended, 2 extents, 3 a stream), 0x0c
//! attributes (0 none, 1 a list, 2 a stream), 0x10 link group, 0x20 unsettled, 0x40 the size is written down because it is
//! not what it is expected to be (the bytes of the extents, the length of the target, otherwise 0), 0x80 changed equals
//! modified. Each value has one encoding only.

mod decode;
mod encode;
mod tables;

use super::check::{check_path, check_paths_total};
use super::tree::compare_keys;
use super::{Content, Entry, Page};
use crate::codec::{FormatError, Result, within};
use crate::id::BlobId;
use crate::limits;
use std::sync::Arc;

const CONTENT: u8 = 0x03;
const CONTENT_GOES_ON: u8 = 1;
const CONTENT_EXTENTS: u8 = 2;
const CONTENT_STREAM: u8 = 3;
const ATTRIBUTES: u8 = 0x0c;
const ATTRIBUTES_LIST: u8 = 0x04;
const ATTRIBUTES_STREAM: u8 = 0x08;
const LINK_GROUP: u8 = 0x10;
const UNSETTLED: u8 = 0x20;
const SIZE: u8 = 0x40;
const CHANGED_IS_MODIFIED: u8 = 0x80;

/// An entry with the directory that it stands in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeEntry {
    /// Path of the directory; entries of one directory share it.
    pub directory: Arc<[u8]>,
    /// The entry.
    pub entry: Entry,
}

impl TreeEntry {
    /// Its place in the tree.
    #[must_use]
    pub fn key(&self) -> super::TreeKey {
        super::TreeKey { directory: self.directory.clone(), name: self.entry.name.clone() }
    }
}

/// A leaf of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    /// Entries in order, 1 to [`limits::LEAF_ENTRIES_MAX`].
    pub entries: Vec<TreeEntry>,
}

impl Leaf {
    /// Encodes it; its links are the blobs that its entries name.
    pub fn encode(&self) -> Result<Page> {
        self.check()?;
        encode::encode(&self.entries)
    }

    /// Decodes it: sorted, unique, names and paths well-formed, every link used.
    pub fn decode(links: &[BlobId], content: &[u8]) -> Result<Self> {
        decode::decode(links, content).map(|entries| Self { entries })
    }

    /// Place of its first entry.
    #[must_use]
    pub fn first_key(&self) -> Option<super::TreeKey> {
        self.entries.first().map(TreeEntry::key)
    }

    /// Place of its last entry.
    #[must_use]
    pub fn last_key(&self) -> Option<super::TreeKey> {
        self.entries.last().map(TreeEntry::key)
    }

    fn check(&self) -> Result<()> {
        within("entries of a leaf", self.entries.len(), limits::LEAF_ENTRIES_MAX)?;
        if self.entries.is_empty() {
            return Err(EMPTY);
        }
        let mut paths = 0;
        let mut before: Option<&TreeEntry> = None;
        for each in &self.entries {
            each.entry.check()?;
            if before.is_none_or(|before| before.directory != each.directory) {
                check_path(&each.directory)?;
                paths += each.directory.len();
            }
            if before.is_some_and(|before| {
                compare_keys((&before.directory, &before.entry.name), (&each.directory, &each.entry.name)).is_ge()
            }) {
                return Err(UNSORTED);
            }
            before = Some(each);
        }
        check_paths_total(paths)
    }
}

const EMPTY: FormatError = FormatError::Invalid("a leaf has no entries");
const UNSORTED: FormatError = FormatError::Invalid("entries of a leaf are not sorted and unique");

/// The size that an entry has when it is not written down.
fn expected_size(content: &Content, target: &[u8]) -> u64 {
    content.length().unwrap_or(0) + target.len() as u64
}
