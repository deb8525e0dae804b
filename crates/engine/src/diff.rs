//! What differs between two points, found by walking both trees and skipping what they share.

use crate::call::{Calls, on_thread};
use crate::cancel::Cancel;
use crate::error::{EngineError, Result};
use crate::path;
use crate::read::{ContentReader, OpenPoint, PageReader, Pair, ReadKeys, SideBySide, read_attributes};
use contract::{Domain, PointInfo};
use format::descriptor::Descriptor;
use format::page::{Content, Entry, EntryKind, Extent};
use std::sync::Arc;

/// A comparison to be made.
pub struct DiffRequest {
    /// Where the points are.
    pub domain: Arc<dyn Domain>,
    /// The vault's descriptor, verified.
    pub descriptor: Arc<Descriptor>,
    /// Keys.
    pub keys: ReadKeys,
    /// The earlier point.
    pub before: PointInfo,
    /// The later point.
    pub after: PointInfo,
    /// Stops it.
    pub cancel: Cancel,
}

/// What of an entry differs. Times of change and inodes do not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Differences {
    /// It is another kind of thing.
    pub kind: bool,
    /// Bytes of a file, target of a symlink, numbers of a device.
    pub content: bool,
    /// Mode bits.
    pub mode: bool,
    /// Owner or group.
    pub owner: bool,
    /// Modification time.
    pub modified: bool,
    /// Extended attributes, ACLs and capabilities among them.
    pub attributes: bool,
}

impl Differences {
    /// Whether anything differs.
    #[must_use]
    pub fn any(self) -> bool {
        self != Self::default()
    }
}

/// A difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Only the later point has it.
    Added(Vec<u8>, Entry),
    /// Only the earlier point has it.
    Removed(Vec<u8>, Entry),
    /// Both have it.
    Changed(Vec<u8>, Differences),
}

/// How many differences there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DiffReport {
    /// Entries only in the later point.
    pub added: u64,
    /// Entries only in the earlier point.
    pub removed: u64,
    /// Entries that differ.
    pub changed: u64,
    /// Pages that were equal and skipped.
    pub pages_skipped: u64,
}

/// Gives every difference to `each`, in the order of the tree.
pub async fn run(request: DiffRequest, mut each: impl FnMut(Change) + Send + 'static) -> Result<DiffReport> {
    on_thread(move |runtime| {
        let calls = Calls::new(request.domain.clone(), runtime);
        let open = |info: &PointInfo| OpenPoint::open(&calls, &request.descriptor, &request.keys, info);
        let (before, after) = (open(&request.before)?, open(&request.after)?);
        let roots = (before.files()?.root, after.files()?.root);
        let mut trees = SideBySide::new((&before.pages, roots.0), (&after.pages, roots.1));
        let mut diff = Diff { pages: (&before.pages, &after.pages), report: DiffReport::default() };
        while let Some(pair) = trees.next(&request.cancel)? {
            diff.tell(pair, &mut each)?;
        }
        diff.report.pages_skipped = trees.pages_skipped;
        Ok(diff.report)
    })
    .await
}

struct Diff<'a> {
    pages: (&'a PageReader, &'a PageReader),
    report: DiffReport,
}

impl Diff<'_> {
    fn tell(&mut self, pair: Pair, each: &mut impl FnMut(Change)) -> Result<()> {
        match pair {
            Pair::Removed(found) => {
                self.report.removed += 1;
                each(Change::Removed(path::join(&found.directory, &found.entry.name), found.entry));
            }
            Pair::Added(found) => {
                self.report.added += 1;
                each(Change::Added(path::join(&found.directory, &found.entry.name), found.entry));
            }
            Pair::Both(left, right) => {
                let differences = self.compare(&left.entry, &right.entry)?;
                if differences.any() {
                    self.report.changed += 1;
                    each(Change::Changed(path::join(&left.directory, &left.entry.name), differences));
                }
            }
        }
        Ok(())
    }

    fn compare(&self, left: &Entry, right: &Entry) -> Result<Differences> {
        let (before, after) = (&left.metadata, &right.metadata);
        let content = match (before.kind, after.kind) {
            (EntryKind::File, EntryKind::File) => self.content_differs(left, right)?,
            _ => left.target != right.target || before.device != after.device,
        };
        let attributes = left.attributes != right.attributes
            && read_attributes(self.pages.0, &left.attributes)? != read_attributes(self.pages.1, &right.attributes)?;
        Ok(Differences {
            kind: before.kind != after.kind,
            content,
            mode: before.mode != after.mode,
            owner: before.user.id != after.user.id || before.group.id != after.group.id,
            modified: before.modified != after.modified,
            attributes,
        })
    }

    /// Blobs of small files are put together anew now and then, so that other extents may hold the same bytes: then these are
    /// compared, unless the file was not touched in between.
    fn content_differs(&self, left: &Entry, right: &Entry) -> Result<bool> {
        let (before, after) = (&left.metadata, &right.metadata);
        if left.content == right.content || before.size != after.size {
            return Ok(before.size != after.size);
        }
        if before.modified == after.modified && before.changed == after.changed && before.inode == after.inode {
            return Ok(false);
        }
        let mut left = Bytes::new(self.pages.0, &left.content);
        let mut right = Bytes::new(self.pages.1, &right.content);
        loop {
            if left.skip_equal_extent(&mut right)? {
                continue;
            }
            match (left.peek()?, right.peek()?) {
                (None, None) => return Ok(false),
                (Some(some), Some(other)) => {
                    let length = some.len().min(other.len());
                    if some[..length] != other[..length] {
                        return Ok(true);
                    }
                    left.advance(length);
                    right.advance(length);
                }
                _ => return Ok(true),
            }
        }
    }
}

/// Bytes of a content, blob by blob.
struct Bytes<'a> {
    pages: &'a PageReader,
    extents: ContentReader<'a>,
    /// The extent that is being read, and what was read of it.
    extent: Option<Extent>,
    piece: Vec<u8>,
    read: usize,
}

/// Bytes of a hole that are looked at together.
const HOLE_BYTES: u64 = 64 << 10;

impl<'a> Bytes<'a> {
    fn new(pages: &'a PageReader, content: &Content) -> Self {
        Self { pages, extents: ContentReader::new(pages, content), extent: None, piece: Vec::new(), read: 0 }
    }

    /// At the start of an extent, or within what is in memory?
    fn at_extent(&mut self) -> Result<bool> {
        if self.read < self.piece.len() {
            return Ok(false);
        }
        if self.extent.is_none() {
            self.extent = self.extents.next().transpose()?;
        }
        Ok(self.extent.is_some())
    }

    /// Skips an extent that both have next.
    fn skip_equal_extent(&mut self, other: &mut Self) -> Result<bool> {
        let equal = self.at_extent()? && other.at_extent()? && self.extent == other.extent;
        if equal {
            (self.extent, other.extent) = (None, None);
        }
        Ok(equal)
    }

    /// The next bytes; none at the end.
    fn peek(&mut self) -> Result<Option<&[u8]>> {
        if self.at_extent()? {
            match self.extent.take() {
                Some(Extent::Data { blob, offset, length }) => {
                    let data = self.pages.data(blob)?;
                    let range = offset as usize..offset as usize + length as usize;
                    let damaged = EngineError::Damaged { what: "data blob", id: blob };
                    self.piece = data.get(range).ok_or(damaged)?.to_vec();
                }
                Some(Extent::Hole { length }) => {
                    self.piece = vec![0; length.min(HOLE_BYTES) as usize];
                    let rest = length - self.piece.len() as u64;
                    self.extent = (rest > 0).then_some(Extent::Hole { length: rest });
                }
                None => {}
            }
            self.read = 0;
        }
        Ok(if self.read < self.piece.len() { Some(&self.piece[self.read..]) } else { None })
    }

    fn advance(&mut self, length: usize) {
        self.read += length;
    }
}
