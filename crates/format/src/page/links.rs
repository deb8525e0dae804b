//! Links of a page: sorted and unique beside its content, which refers to them by position.

use super::{Page, PageType};
use crate::blob::{BlobKind, check_links};
use crate::codec::{FormatError, Reader, Result, Writer, within};
use crate::id::BlobId;
use crate::limits;

/// The links of a page that is being encoded.
pub(super) struct LinkTable {
    ids: Vec<BlobId>,
}

impl LinkTable {
    /// Sorts the ids that a page names.
    pub(super) fn of(ids: impl Iterator<Item = BlobId>) -> Result<Self> {
        let mut ids: Vec<BlobId> = ids.collect();
        ids.sort_unstable();
        ids.dedup();
        // Of a leaf with many small files they are a few, and they are kept until the pack of pages is full.
        ids.shrink_to_fit();
        within("links of a page", ids.len(), limits::PAGE_LINKS_MAX)?;
        Ok(Self { ids })
    }

    /// Position of an id that the table was made of.
    pub(super) fn position(&self, id: &BlobId) -> u64 {
        self.ids.binary_search(id).expect("the table was made of all ids of the page") as u64
    }

    /// Puts the page together.
    pub(super) fn finish(self, content: Writer) -> Result<Page> {
        within("content of a page", content.len(), limits::PAGE_PLAINTEXT_MAX)?;
        Ok(Page { links: self.ids, content: content.finish() })
    }
}

/// The links of a page that is being decoded: each must be used.
pub(super) struct Links<'a> {
    ids: &'a [BlobId],
    used: Vec<bool>,
}

impl<'a> Links<'a> {
    /// Starts decoding: checks sizes, links and type.
    pub(super) fn open(
        what: &'static str,
        page_type: PageType,
        links: &'a [BlobId],
        content: &'a [u8],
    ) -> Result<(Self, Reader<'a>)> {
        within("content of a page", content.len(), limits::PAGE_PLAINTEXT_MAX)?;
        check_links(BlobKind::Page, links)?;
        let mut reader = Reader::new(what, content);
        if reader.u8()? != page_type as u8 {
            return Err(FormatError::Invalid("a page is of another type than expected"));
        }
        Ok((Self { ids: links, used: vec![false; links.len()] }, reader))
    }

    /// The id at a position, which is used by that.
    pub(super) fn at(&mut self, position: u64) -> Result<BlobId> {
        let place = usize::try_from(position).unwrap_or(usize::MAX);
        let id = self.ids.get(place).ok_or(FormatError::Invalid("a page names a link that it does not have"))?;
        self.used[place] = true;
        Ok(*id)
    }

    /// Ends decoding: everything was read and every link used.
    pub(super) fn end(self, reader: Reader<'_>) -> Result<()> {
        if self.used.contains(&false) {
            return Err(FormatError::Invalid("a page has a link that it does not use"));
        }
        reader.end()
    }
}
