//! Index segments: derived, local, immutable tables from blob id to place, each with a filter.
//!
//! A segment covers whole packs. It keeps what their footers say in rows, pack after pack in the order of their numbers,
//! so that a footer comes back bit for bit; the place of a row is the blob's *ordinal*. An order of all ordinals by blob
//! id, with the first bytes of the ids, is what look-ups search; a binary fuse filter answers most look-ups of ids that
//! are not there without touching it.
//!
//! ```text
//! header ‖ packs ‖ keys ‖ pack keys ‖ rows ‖ links ‖ order ‖ filters ‖ shards ‖ fan-out
//! ```
//! Trust: [`Segment::open`] verifies the checksums of everything but rows, links and order, [`Segment::verify`] of these. No
//! bytes make this module panic. Until `verify` has answered, a damaged row can make a look-up miss or answer wrongly, and links
//! go missing: who deletes by what a segment says verifies it first, or takes [`Segment::verified_footer`].

mod filter;
mod layout;
mod search;
mod set;
mod write;

pub use set::{PackEntries, SegmentListing, SegmentSet};
pub use write::{build, merge};

use crate::blob::BlobKind;
use crate::codec::{FormatError, Result};
use crate::id::{BlobId, DomainId, FooterHash, KeyId, PackName};
use crate::pack::{Checksum, Footer, FooterEntry};
use layout::{LINK_BYTES, Layout, ORDER_BYTES, ROW_BYTES, Row, Section};
use search::Search;
use std::ops::Range;

/// A pack that a segment covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentPack {
    /// Order of registration: the lowest-numbered undamaged copy of a blob wins.
    pub number: u64,
    /// Its name.
    pub name: PackName,
    /// Kind of its blobs.
    pub kind: BlobKind,
    /// Length of the object in bytes.
    pub length: u64,
    /// Hash of its footer.
    pub footer_hash: FooterHash,
    /// Blobs in it.
    pub entries: u32,
}

impl SegmentPack {
    /// What packs are sorted by.
    fn place(&self) -> (u64, PackName) {
        (self.number, self.name)
    }
}

/// A copy of a blob, as a segment tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentEntry {
    /// Place in the segment: 0 to `len() - 1`, pack after pack, and in each in the order of its footer. The ordinals of a
    /// pack are [`Segment::ordinals`].
    pub ordinal: u32,
    /// The blob's id.
    pub id: BlobId,
    /// Place of its pack in [`Segment::packs`].
    pub pack: u32,
    /// Place of the blob in its pack's footer.
    pub place: u32,
    /// Where its sealed bytes start in the pack.
    pub offset: u32,
    /// How many they are.
    pub length: u32,
    /// The key that it is sealed with.
    pub key: KeyId,
    /// Checksum of the sealed bytes.
    pub checksum: Checksum,
}

/// Where a segment has a copy of a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentPlace {
    /// Place in the segment.
    pub ordinal: u32,
    /// Place of its pack in [`Segment::packs`].
    pub pack: u32,
    /// Place of the blob in its pack's footer.
    pub place: u32,
}

/// A segment over bytes in memory or memory-mapped.
#[derive(Debug)]
pub struct Segment<B> {
    bytes: B,
    layout: Layout,
}

impl<B: AsRef<[u8]>> Segment<B> {
    /// Checks header, tables and filters and opens the segment. Reads neither rows nor links nor the order.
    pub fn open(bytes: B) -> Result<Self> {
        let layout = Layout::read(bytes.as_ref())?;
        Ok(Self { bytes, layout })
    }

    /// Checks what [`Segment::open`] leaves unread: rows, links and order.
    pub fn verify(&self) -> Result<()> {
        self.layout.verify(self.bytes.as_ref())
    }

    /// What it stands in.
    pub fn bytes(&self) -> &B {
        &self.bytes
    }

    /// Number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.layout.entries as usize
    }

    /// Whether it has no entries.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The packs that it covers, by number (and name, where a number is there twice).
    #[must_use]
    pub fn packs(&self) -> &[SegmentPack] {
        &self.layout.packs
    }

    /// The ordinals of a pack's blobs, in the order of its footer; none for a pack that is not here.
    #[must_use]
    pub fn ordinals(&self, pack: u32) -> Range<u32> {
        self.layout.places.get(pack as usize).map_or(0..0, |place| place.ordinals.clone())
    }

    /// Whether the filter lets the id through: false means that it is not here, true that it probably is.
    #[must_use]
    pub fn contains_maybe(&self, id: &BlobId) -> bool {
        self.search().contains_maybe(id)
    }

    /// All copies of a blob, lowest pack number first.
    #[must_use]
    pub fn find(&self, id: &BlobId) -> Vec<SegmentEntry> {
        let mut found = Vec::new();
        self.find_each(id, |entry| found.push(entry));
        found
    }

    /// Calls `found` for all copies of a blob, lowest pack number first.
    pub fn find_each(&self, id: &BlobId, mut found: impl FnMut(SegmentEntry)) {
        self.search().find(id, |ordinal| self.try_entry(ordinal).into_iter().for_each(&mut found));
    }

    /// Looks up many ids, best sorted: calls `found` with an id's place in `ids` for each of its copies, lowest pack number first.
    pub fn find_batch(&self, ids: &[BlobId], mut found: impl FnMut(usize, SegmentEntry)) {
        self.search().find_batch(ids, |place, ordinal| {
            self.try_entry(ordinal).into_iter().for_each(|entry| found(place, entry));
        });
    }

    /// Looks up where many ids are, best sorted: as [`Segment::find_batch`], with no more of the copies than that.
    pub fn find_places(&self, ids: &[BlobId], mut found: impl FnMut(usize, SegmentPlace)) {
        self.search().find_batch(ids, |place, ordinal| {
            self.place(ordinal).into_iter().for_each(|copy| found(place, copy));
        });
    }

    /// The entry at this place; zeros where the segment has none or it is damaged.
    #[must_use]
    pub fn entry(&self, ordinal: u32) -> SegmentEntry {
        self.try_entry(ordinal).unwrap_or(SegmentEntry {
            ordinal,
            id: BlobId([0; 32]),
            pack: 0,
            place: 0,
            offset: 0,
            length: 0,
            key: KeyId([0; 32]),
            checksum: Checksum([0; 16]),
        })
    }

    /// Links of the entry at this place; see [`Segment::verify`] before anything is deleted by them.
    #[must_use]
    pub fn links(&self, ordinal: u32) -> Vec<BlobId> {
        self.each_link(ordinal).collect()
    }

    /// The same one by one.
    pub fn each_link(&self, ordinal: u32) -> impl Iterator<Item = BlobId> {
        let links = self.layout.pack_of(ordinal).and_then(|pack| self.link_list(pack, ordinal));
        links.unwrap_or_default().iter().map(|link| BlobId(*link))
    }

    /// The footer of a pack, exactly as it stands in the pack; `domain` is not kept in the segment. Not verified.
    #[must_use]
    pub fn footer(&self, pack: u32, domain: DomainId) -> Footer {
        let Some(covered) = self.packs().get(pack as usize) else {
            return Footer { domain, name: PackName([0; 16]), kind: BlobKind::Data, keys: Vec::new(), entries: Vec::new() };
        };
        let entries = self.ordinals(pack).filter_map(|ordinal| {
            let row = self.row(ordinal)?;
            let (key, offset, length) = (row.key, row.offset, row.length);
            let links = self.link_list(pack, ordinal).unwrap_or_default().iter().map(|link| BlobId(*link)).collect();
            Some(FooterEntry { id: row.id, key, offset, length, checksum: row.checksum, links })
        });
        Footer { domain, name: covered.name, kind: covered.kind, keys: self.pack_keys(pack), entries: entries.collect() }
    }

    /// The footer of a pack, compared with its hash in the table that was verified when the segment was opened.
    pub fn verified_footer(&self, pack: u32, domain: DomainId) -> Result<Footer> {
        let covered = self.packs().get(pack as usize).ok_or(FormatError::Invalid("a segment does not have this pack"))?;
        let footer = self.footer(pack, domain);
        if Footer::hash(&footer.encode()) != covered.footer_hash {
            return Err(FormatError::Checksum("footer in a segment"));
        }
        Ok(footer)
    }

    fn search(&self) -> Search<'_> {
        Search::new(&self.layout, self.bytes.as_ref())
    }

    fn section(&self, section: Section) -> &[u8] {
        self.layout.section(self.bytes.as_ref(), section)
    }

    fn row(&self, ordinal: u32) -> Option<Row> {
        record::<ROW_BYTES>(self.section(Section::Rows), ordinal as usize).map(Row::read)
    }

    /// Rows of a pack as they stand in the segment.
    fn pack_rows(&self, pack: u32) -> &[u8] {
        let ordinals = self.ordinals(pack);
        let range = ordinals.start as usize * ROW_BYTES..ordinals.end as usize * ROW_BYTES;
        self.section(Section::Rows).get(range).unwrap_or_default()
    }

    /// Links of a pack as they stand in the segment.
    fn pack_links(&self, pack: u32) -> &[u8] {
        let range = self.layout.places.get(pack as usize).map_or(0..0, |place| place.links.clone());
        self.section(Section::Links).get(range.start * LINK_BYTES..range.end * LINK_BYTES).unwrap_or_default()
    }

    /// The keys that a pack's blobs are sealed with; none for a pack that is not here.
    #[must_use]
    pub fn pack_keys(&self, pack: u32) -> Vec<KeyId> {
        let range = self.layout.places.get(pack as usize).map_or(0..0, |place| place.keys.clone());
        range.filter_map(|place| self.key(place)).collect()
    }

    fn key(&self, place: usize) -> Option<KeyId> {
        let key = u32::from_le_bytes(*record::<4>(self.section(Section::PackKeys), place)?);
        record::<32>(self.section(Section::Keys), key as usize).map(|id| KeyId(*id))
    }

    fn try_entry(&self, ordinal: u32) -> Option<SegmentEntry> {
        let SegmentPlace { pack, place, .. } = self.place(ordinal)?;
        let keys = &self.layout.places[pack as usize].keys;
        let row = self.row(ordinal)?;
        let key = keys.start + usize::from(row.key);
        let key = if key < keys.end { self.key(key)? } else { return None };
        let (id, offset, length, checksum) = (row.id, row.offset, row.length, row.checksum);
        Some(SegmentEntry { ordinal, id, pack, place, offset, length, key, checksum })
    }

    fn place(&self, ordinal: u32) -> Option<SegmentPlace> {
        let pack = self.layout.pack_of(ordinal)?;
        Some(SegmentPlace { ordinal, pack, place: ordinal - self.layout.places[pack as usize].ordinals.start })
    }

    fn link_list(&self, pack: u32, ordinal: u32) -> Option<&[[u8; LINK_BYTES]]> {
        let place = self.layout.places.get(pack as usize)?;
        if place.links.is_empty() {
            return None;
        }
        let start = if ordinal == place.ordinals.start { 0 } else { self.row(ordinal.checked_sub(1)?)?.links_end as usize };
        let end = self.row(ordinal)?.links_end as usize;
        let links = self.pack_links(pack).get(start.checked_mul(LINK_BYTES)?..end.checked_mul(LINK_BYTES)?)?;
        Some(links.as_chunks().0)
    }

    /// Prefix and ordinal at a place of the order.
    fn order(&self, place: usize) -> Option<(u64, u32)> {
        record::<ORDER_BYTES>(self.section(Section::Order), place).map(layout::read_order)
    }
}

/// The record of `N` bytes at a place of a section.
fn record<const N: usize>(section: &[u8], place: usize) -> Option<&[u8; N]> {
    section.get(place.checked_mul(N)?..)?.first_chunk()
}
