//! Nodes of a tree.
//!
//! ```text
//! type (1) ‖ level (1) ‖ count (varint) ‖ in columns, for each child:
//!   bytes of the directory shared with the one before (varint)  ‖ further bytes of the directory (varint)
//!   bytes of the name shared with the one before (varint)       ‖ further bytes of the name (varint)
//!   link (varint) ‖ entries (varint) ‖ bytes (varint) ‖ further bytes of directory and name
//! ```

use super::check::{check_name, check_path, check_paths_total, shared_prefix};
use super::extents;
use super::links::{LinkTable, Links};
use super::tree::{TreeKey, compare_keys};
use super::{Page, PageType};
use crate::codec::{FormatError, Reader, Result, Writer, within};
use crate::id::BlobId;
use crate::limits;
use std::sync::Arc;

/// A page below a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeChild {
    /// Place of the first entry below it.
    pub first: TreeKey,
    /// The page.
    pub page: BlobId,
    /// Entries below it.
    pub entries: u64,
    /// Bytes of content below it.
    pub bytes: u64,
}

impl NodeChild {
    /// No node grows by more than this many bytes when the child is added to it.
    #[must_use]
    pub fn bytes_max(&self) -> usize {
        64 + self.first.directory.len() + self.first.name.len()
    }
}

/// An inner page of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// 1 where its children are leaves.
    pub level: u8,
    /// Children in order, 1 to [`limits::PAGE_LINKS_MAX`].
    pub children: Vec<NodeChild>,
}

impl Node {
    /// Encodes it.
    pub fn encode(&self) -> Result<Page> {
        self.check()?;
        let links = LinkTable::of(self.children.iter().map(|child| child.page))?;
        let mut columns: [Writer; 8] = Default::default();
        let (mut directory, mut name): (&[u8], &[u8]) = (b"", b"");
        for child in &self.children {
            let shared = [shared_prefix(directory, &child.first.directory), shared_prefix(name, &child.first.name)];
            (directory, name) = (&child.first.directory, &child.first.name);
            let [in_directory, in_name] = shared;
            let numbers = [
                in_directory as u64,
                (directory.len() - in_directory) as u64,
                in_name as u64,
                (name.len() - in_name) as u64,
                links.position(&child.page),
                child.entries,
                child.bytes,
            ];
            for (column, number) in columns.iter_mut().zip(numbers) {
                column.varint(number);
            }
            columns[7].raw(&directory[in_directory..]).raw(&name[in_name..]);
        }
        let mut writer = Writer::new();
        writer.u8(PageType::TreeNode as u8).u8(self.level).varint(self.children.len() as u64);
        for column in columns {
            writer.raw(&column.finish());
        }
        links.finish(writer)
    }

    /// Decodes it.
    pub fn decode(links: &[BlobId], content: &[u8]) -> Result<Self> {
        let (mut links, mut reader) = Links::open("node of a tree", PageType::TreeNode, links, content)?;
        let level = reader.u8()?;
        let count = reader.count("children of a tree's node", limits::PAGE_LINKS_MAX, 7)?;
        let mut rows = vec![[0u64; 7]; count];
        for column in 0..7 {
            for row in &mut rows {
                row[column] = reader.varint()?;
            }
        }
        let mut children = Vec::with_capacity(count);
        let (mut directory, mut name) = (Arc::<[u8]>::from(&b""[..]), Vec::new());
        let mut total = 0;
        for [in_directory, more_directory, in_name, more_name, position, entries, bytes] in rows {
            if in_directory as usize != directory.len() || more_directory != 0 {
                directory = read_shared(&mut reader, &directory, in_directory, more_directory, limits::PATH_BYTES_MAX)?.into();
            }
            name = read_shared(&mut reader, &name, in_name, more_name, limits::NAME_BYTES_MAX)?;
            total += directory.len() + name.len();
            check_paths_total(total)?;
            let first = TreeKey { directory: directory.clone(), name: name.clone() };
            children.push(NodeChild { first, page: links.at(position)?, entries, bytes });
        }
        links.end(reader)?;
        let node = Self { level, children };
        node.check()?;
        Ok(node)
    }

    fn check(&self) -> Result<()> {
        within("level of a page", usize::from(self.level), usize::from(limits::LEVELS_MAX))?;
        within("children of a tree's node", self.children.len(), limits::PAGE_LINKS_MAX)?;
        if self.level == 0 || self.children.is_empty() || self.children.iter().any(|child| child.entries == 0) {
            return Err(FormatError::Invalid("a tree's node is empty, has an empty child, or level 0"));
        }
        let mut total = 0;
        for child in &self.children {
            check_path(&child.first.directory)?;
            check_name(&child.first.name)?;
            total += child.first.directory.len() + child.first.name.len();
        }
        check_paths_total(total)?;
        extents::total(self.children.iter().map(|child| child.entries))?;
        extents::total(self.children.iter().map(|child| child.bytes))?;
        let ordered = |pair: &[NodeChild]| {
            let (left, right) = (&pair[0].first, &pair[1].first);
            compare_keys((&left.directory, &left.name), (&right.directory, &right.name)).is_lt()
        };
        if !self.children.windows(2).all(ordered) {
            return Err(FormatError::Invalid("children of a tree's node are not sorted and unique"));
        }
        Ok(())
    }
}

/// Reads `more` bytes behind the first `shared` of `before`; `shared` must be all that is shared.
pub(super) fn read_shared(reader: &mut Reader<'_>, before: &[u8], shared: u64, more: u64, limit: usize) -> Result<Vec<u8>> {
    let shared = usize::try_from(shared).unwrap_or(usize::MAX);
    let more = usize::try_from(more).unwrap_or(usize::MAX);
    let head = before.get(..shared).ok_or(FormatError::Invalid("a name shares more than the one before it has"))?;
    within("name or path", shared.saturating_add(more), limit)?;
    let tail = reader.take(more)?;
    if !tail.is_empty() && tail.first() == before.get(shared) {
        return Err(FormatError::Invalid("a name shares less than it could with the one before it"));
    }
    Ok([head, tail].concat())
}
