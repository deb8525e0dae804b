//! Directories whose attributes are set when everything in them is there: the last one found comes first.

use crate::error::{EngineError, Result};
use crate::spill::SpillList;
use format::page::{Leaf, Page, TreeEntry};
use format::{BlobId, Reader, Writer, limits};

/// Entries, and bytes of entries, that are kept together.
const TOGETHER: usize = 512;
const TOGETHER_BYTES: usize = 512 << 10;

/// Directories in the order of the tree, most of them encoded as leaves.
#[derive(Default)]
pub(crate) struct FoundDirectories {
    last: Vec<TreeEntry>,
    last_bytes: usize,
    before: SpillList,
}

impl FoundDirectories {
    pub(crate) fn push(&mut self, directory: TreeEntry) -> Result<()> {
        self.last_bytes += directory.entry.bytes_max() + directory.directory.len();
        self.last.push(directory);
        if self.last.len() >= TOGETHER || self.last_bytes >= TOGETHER_BYTES { self.put_away() } else { Ok(()) }
    }

    fn put_away(&mut self) -> Result<()> {
        self.last_bytes = 0;
        let leaf = Leaf { entries: std::mem::take(&mut self.last) };
        let Page { links, content } = leaf.encode().map_err(EngineError::format("note directories"))?;
        let mut writer = Writer::new();
        writer.varint(links.len() as u64);
        links.iter().for_each(|link| {
            writer.raw(link.as_bytes());
        });
        writer.raw(&content);
        self.before.push(writer.finish())
    }

    /// Gives all of them to `each`, the last one found first, so that what lies deeper comes before what it lies in.
    pub(crate) fn drain_backwards(mut self, mut each: impl FnMut(TreeEntry) -> Result<()>) -> Result<()> {
        self.last.drain(..).rev().try_for_each(&mut each)?;
        for place in (0..self.before.len()).rev() {
            let bytes = self.before.get(place)?;
            let entries = decode(&bytes).map_err(EngineError::format("read noted directories"))?;
            entries.into_iter().rev().try_for_each(&mut each)?;
        }
        Ok(())
    }
}

fn decode(bytes: &[u8]) -> format::codec::Result<Vec<TreeEntry>> {
    let mut reader = Reader::new("noted directories", bytes);
    let count = reader.count("links", limits::PAGE_LINKS_MAX, BlobId::BYTES)?;
    let links = (0..count).map(|_| Ok(BlobId(reader.array()?))).collect::<format::codec::Result<Vec<_>>>()?;
    let content = reader.take(reader.remaining())?;
    Leaf::decode(&links, content).map(|leaf| leaf.entries)
}
