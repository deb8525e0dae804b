//! The manifest: root page of a point, with its named parts.
//!
//! ```text
//! type (1) ‖ count (varint) ‖ parts
//! part = name (text) ‖ shape (1) ‖ 0 or 1 + link (varint) ‖ entries (varint) ‖ bytes (varint)
//! ```

use super::links::{LinkTable, Links};
use super::{Page, PageType};
use crate::codec::{FormatError, Reader, Result, Writer, within};
use crate::id::BlobId;
use crate::limits;

/// How a part is laid out below its root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Shape {
    /// Files.
    Tree = 1,
    /// Fixed blocks.
    Image = 2,
    /// Bytes.
    Stream = 3,
}

/// A named part of a point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Name; `files` in a file set.
    pub name: String,
    /// Shape.
    pub shape: Shape,
    /// Root page; none where the part is empty.
    pub root: Option<BlobId>,
    /// Entries of a tree (all kinds), blocks of an image, extents of a stream.
    pub entries: u64,
    /// Bytes of content, holes included.
    pub bytes: u64,
}

/// Root page of a point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The parts, sorted by name, names unique.
    pub parts: Vec<Part>,
}

impl Manifest {
    /// Encodes it.
    pub fn encode(&self) -> Result<Page> {
        within("parts of a point", self.parts.len(), limits::PARTS_MAX)?;
        let links = LinkTable::of(self.parts.iter().filter_map(|part| part.root))?;
        let mut writer = Writer::new();
        writer.u8(PageType::Manifest as u8).varint(self.parts.len() as u64);
        for part in &self.parts {
            check_part_name(&part.name)?;
            writer.bytes(part.name.as_bytes()).u8(part.shape as u8);
            writer.varint(part.root.map_or(0, |root| 1 + links.position(&root)));
            writer.varint(part.entries).varint(part.bytes);
        }
        check_order(&self.parts)?;
        links.finish(writer)
    }

    /// Decodes it.
    pub fn decode(links: &[BlobId], content: &[u8]) -> Result<Self> {
        let (mut links, mut reader) = Links::open("manifest", PageType::Manifest, links, content)?;
        let count = reader.count("parts of a point", limits::PARTS_MAX, 6)?;
        let parts = (0..count).map(|_| read_part(&mut reader, &mut links)).collect::<Result<Vec<_>>>()?;
        links.end(reader)?;
        check_order(&parts)?;
        Ok(Self { parts })
    }

    /// The part with this name.
    #[must_use]
    pub fn part(&self, name: &str) -> Option<&Part> {
        self.parts.iter().find(|part| part.name == name)
    }
}

fn read_part(reader: &mut Reader<'_>, links: &mut Links<'_>) -> Result<Part> {
    let name = reader.text("name of a part", limits::TEXT_BYTES_MAX)?.to_owned();
    check_part_name(&name)?;
    let shape = match reader.u8()? {
        1 => Shape::Tree,
        2 => Shape::Image,
        3 => Shape::Stream,
        _ => return Err(FormatError::Invalid("a part has an unknown shape")),
    };
    let root = match reader.varint()? {
        0 => None,
        position => Some(links.at(position - 1)?),
    };
    Ok(Part { name, shape, root, entries: reader.varint()?, bytes: reader.varint()? })
}

fn check_part_name(name: &str) -> Result<()> {
    within("name of a part", name.len(), limits::TEXT_BYTES_MAX)?;
    if name.is_empty() || name.chars().any(char::is_control) {
        return Err(FormatError::Invalid("a part has no name, or one with control characters"));
    }
    Ok(())
}

fn check_order(parts: &[Part]) -> Result<()> {
    if parts.windows(2).any(|pair| pair[0].name >= pair[1].name) {
        return Err(FormatError::Invalid("parts of a point are not sorted and unique"));
    }
    Ok(())
}
