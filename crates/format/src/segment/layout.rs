//! Where everything stands in a segment, and what was verified of it.
//!
//! ```text
//! header   = magic (8) ‖ lengths of the nine sections (u64 each) ‖ their checksums (32 each)
//!            ‖ entries (u32) ‖ fan-out bits (u8) ‖ checksum of the header (32)
//! pack     = number (u64) ‖ name (16) ‖ kind (1) ‖ length (u64) ‖ footer hash (32) ‖ entries (u32) ‖ keys (u16) ‖ links (u32)
//! key      = key id (32)                                    each once, sorted
//! pack key = place of a key (u32)                           for each pack those of its footer
//! row      = id (32) ‖ offset (u32) ‖ length (u32) ‖ key (u16) ‖ checksum (16) ‖ end of its links among its pack's (u32)
//! link     = id (32)
//! order    = first 8 bytes of the id ‖ ordinal (u32)        sorted by id, then ordinal
//! filter   = fingerprints (1 each)                          those of all shards
//! shard    = first id (32) ‖ seed (u64) ‖ segment (u32) ‖ segments (u32) ‖ fingerprints (u32)
//! fan-out  = place in the order (u32) of the first id whose leading bits are at least b, for each b, and the number of entries
//! ```

use super::SegmentPack;
use super::filter::Filter;
use crate::blob::BlobKind;
use crate::codec::{FormatError, Reader, Result, Writer, checksum};
use crate::id::{BlobId, FooterHash, PackName};
use crate::limits;
use crate::pack::Checksum;
use std::ops::Range;

pub(super) const SECTIONS: usize = 9;
pub(super) const HEADER_BYTES: usize = 8 + SECTIONS * (8 + 32) + 4 + 1 + 32;
pub(super) const PACK_BYTES: usize = 8 + 16 + 1 + 8 + 32 + 4 + 2 + 4;
pub(super) const ROW_BYTES: usize = 32 + 4 + 4 + 2 + 16 + 4;
pub(super) const LINK_BYTES: usize = 32;
pub(super) const ORDER_BYTES: usize = 8 + 4;

/// The sections in the order in which they stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Section {
    Packs = 0,
    Keys = 1,
    PackKeys = 2,
    Rows = 3,
    Links = 4,
    Order = 5,
    Filters = 6,
    Shards = 7,
    FanOut = 8,
}

const NAMES: [&str; SECTIONS] = [
    "packs of a segment",
    "keys of a segment",
    "packs' keys of a segment",
    "rows of a segment",
    "links of a segment",
    "order of a segment",
    "filters of a segment",
    "shards of a segment",
    "fan-out of a segment",
];

/// What a segment starts with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) lengths: [u64; SECTIONS],
    pub(super) checksums: [[u8; 32]; SECTIONS],
    pub(super) entries: u32,
    pub(super) fan_out_bits: u8,
}

impl Header {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.raw(&limits::MAGIC_SEGMENT);
        self.lengths.iter().for_each(|length| {
            writer.u64(*length);
        });
        self.checksums.iter().for_each(|sum| {
            writer.raw(sum);
        });
        writer.u32(self.entries).u8(self.fan_out_bits);
        writer.finish_with_checksum()
    }

    fn parse(bytes: &[u8]) -> Result<Self> {
        let head = bytes.first_chunk::<HEADER_BYTES>().ok_or(FormatError::Truncated("segment"))?;
        let mut reader = Reader::new("segment", head);
        reader.magic(limits::MAGIC_SEGMENT)?;
        let (body, sum) = head.split_last_chunk::<32>().ok_or(FormatError::Truncated("segment"))?;
        if checksum(body) != *sum {
            return Err(FormatError::Checksum("header of a segment"));
        }
        let mut header = Self { lengths: [0; SECTIONS], checksums: [[0; 32]; SECTIONS], entries: 0, fan_out_bits: 0 };
        for length in &mut header.lengths {
            *length = reader.u64()?;
        }
        for sum in &mut header.checksums {
            *sum = reader.array()?;
        }
        header.entries = reader.u32()?;
        header.fan_out_bits = reader.u8()?;
        Ok(header)
    }
}

/// Place of a pack's rows, keys and links.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PackPlace {
    pub(super) ordinals: Range<u32>,
    pub(super) keys: Range<usize>,
    pub(super) links: Range<usize>,
}

/// A piece of the order with a filter of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shard {
    pub(super) first: BlobId,
    pub(super) filter: Filter,
}

/// A blob's row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) id: BlobId,
    pub(super) offset: u32,
    pub(super) length: u32,
    pub(super) key: u16,
    pub(super) checksum: Checksum,
    pub(super) links_end: u32,
}

impl Row {
    pub(super) fn read(bytes: &[u8; ROW_BYTES]) -> Self {
        let number = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        Self {
            id: BlobId(*bytes.first_chunk().expect("a row has 62 bytes")),
            offset: number(32),
            length: number(36),
            key: u16::from_le_bytes([bytes[40], bytes[41]]),
            checksum: Checksum(*bytes[42..].first_chunk().expect("a row has 62 bytes")),
            links_end: number(58),
        }
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        writer.raw(self.id.as_bytes()).u32(self.offset).u32(self.length).u16(self.key).raw(&self.checksum.0).u32(self.links_end);
    }
}

/// The leading bytes of an id as a number of the same order.
pub(super) fn prefix(id: &BlobId) -> u64 {
    u64::from_be_bytes(*id.0.first_chunk().expect("an id has 32 bytes"))
}

pub(super) fn read_order(bytes: &[u8; ORDER_BYTES]) -> (u64, u32) {
    let prefix = u64::from_be_bytes(*bytes.first_chunk().expect("12 bytes start with 8"));
    (prefix, u32::from_le_bytes(*bytes.last_chunk().expect("12 bytes end with 4")))
}

pub(super) fn encode_order(prefix: u64, ordinal: u32) -> [u8; ORDER_BYTES] {
    let mut bytes = [0; ORDER_BYTES];
    bytes[..8].copy_from_slice(&prefix.to_be_bytes());
    bytes[8..].copy_from_slice(&ordinal.to_le_bytes());
    bytes
}

/// Place of a prefix in the fan-out.
pub(super) fn bucket_of(prefix: u64, bits: u8) -> usize {
    prefix.checked_shr(64 - u32::from(bits)).unwrap_or(0) as usize
}

/// Leading bits that the fan-out tells apart: 64 to 128 entries a bucket.
pub(super) fn fan_out_bits(entries: u32) -> u8 {
    entries.checked_ilog2().unwrap_or(0).saturating_sub(6) as u8
}

/// Where everything stands.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) entries: u32,
    pub(super) packs: Vec<SegmentPack>,
    pub(super) places: Vec<PackPlace>,
    /// Where the ordinals of each pack end.
    ends: Vec<u32>,
    shards: Vec<Shard>,
    pub(super) fan_out_bits: u8,
    sections: [Range<usize>; SECTIONS],
    checksums: [[u8; 32]; SECTIONS],
}

impl Layout {
    /// Reads and verifies header, tables and filters.
    pub(super) fn read(bytes: &[u8]) -> Result<Self> {
        let header = Header::parse(bytes)?;
        let sections = section_ranges(&header, bytes.len())?;
        let mut layout = Self {
            entries: header.entries,
            packs: Vec::new(),
            places: Vec::new(),
            ends: Vec::new(),
            shards: Vec::new(),
            fan_out_bits: header.fan_out_bits,
            sections,
            checksums: header.checksums,
        };
        let tables = [Section::Packs, Section::Keys, Section::PackKeys, Section::Shards, Section::FanOut, Section::Filters];
        tables.iter().try_for_each(|section| layout.verify_section(bytes, *section))?;
        layout.read_packs(bytes)?;
        layout.read_shards(bytes)?;
        layout.check_lengths()?;
        Ok(layout)
    }

    /// Verifies rows, links and order.
    pub(super) fn verify(&self, bytes: &[u8]) -> Result<()> {
        [Section::Rows, Section::Links, Section::Order].iter().try_for_each(|section| self.verify_section(bytes, *section))
    }

    pub(super) fn section<'b>(&self, bytes: &'b [u8], section: Section) -> &'b [u8] {
        bytes.get(self.sections[section as usize].clone()).unwrap_or_default()
    }

    fn verify_section(&self, bytes: &[u8], section: Section) -> Result<()> {
        if checksum(self.section(bytes, section)) == self.checksums[section as usize] {
            return Ok(());
        }
        Err(FormatError::Checksum(NAMES[section as usize]))
    }

    /// Place of the pack that an ordinal belongs to.
    pub(super) fn pack_of(&self, ordinal: u32) -> Option<u32> {
        let pack = self.ends.partition_point(|end| *end <= ordinal);
        (pack < self.ends.len()).then_some(pack as u32)
    }

    /// The shard that an id would stand in.
    pub(super) fn shard(&self, id: &BlobId) -> Option<&Shard> {
        self.shards.partition_point(|shard| shard.first <= *id).checked_sub(1).map(|place| &self.shards[place])
    }

    /// Number of shards.
    #[cfg(test)]
    pub(super) fn shards(&self) -> usize {
        self.shards.len()
    }

    /// Where in its bucket of so many entries a prefix is expected.
    pub(super) fn expected(&self, prefix: u64, entries: usize) -> usize {
        let behind = prefix << self.fan_out_bits;
        ((u128::from(behind) * entries as u128) >> 64) as usize
    }

    fn read_packs(&mut self, bytes: &[u8]) -> Result<()> {
        let mut reader = Reader::new(NAMES[0], self.section(bytes, Section::Packs));
        let (mut packs, mut places) = (Vec::new(), Vec::new());
        let (mut ordinal, mut key, mut link) = (0u32, 0usize, 0usize);
        while reader.remaining() > 0 {
            let (number, name) = (reader.u64()?, PackName(reader.array()?));
            let kind = BlobKind::from_number(reader.u8()?)?;
            let (length, footer_hash, entries) = (reader.u64()?, FooterHash(reader.array()?), reader.u32()?);
            let ordinals = ordinal..ordinal.checked_add(entries).ok_or(COUNTS)?;
            let keys = key..key + usize::from(reader.u16()?);
            let links = link..link + reader.u32()? as usize;
            (ordinal, key, link) = (ordinals.end, keys.end, links.end);
            packs.push(SegmentPack { number, name, kind, length, footer_hash, entries });
            places.push(PackPlace { ordinals, keys, links });
        }
        if packs.windows(2).any(|pair| pair[0].place() >= pair[1].place()) {
            return Err(FormatError::Invalid("packs of a segment are not sorted and unique"));
        }
        let sound = ordinal == self.entries
            && key * 4 == self.sections[Section::PackKeys as usize].len()
            && link * LINK_BYTES == self.sections[Section::Links as usize].len();
        self.ends = places.iter().map(|place| place.ordinals.end).collect();
        (self.packs, self.places) = (packs, places);
        if sound { Ok(()) } else { Err(COUNTS) }
    }

    fn read_shards(&mut self, bytes: &[u8]) -> Result<()> {
        let mut reader = Reader::new("shards of a segment", self.section(bytes, Section::Shards));
        let mut shards: Vec<Shard> = Vec::new();
        while reader.remaining() > 0 {
            let first = BlobId(reader.array()?);
            let start = shards.last().map_or(0, |shard| shard.filter.end());
            if shards.last().is_some_and(|last| last.first >= first) {
                return Err(FormatError::Invalid("shards of a segment are not sorted and unique"));
            }
            shards.push(Shard { first, filter: Filter::read(&mut reader, start)? });
        }
        let end = shards.last().map_or(0, |shard| shard.filter.end());
        self.shards = shards;
        if end == self.sections[Section::Filters as usize].len() { Ok(()) } else { Err(COUNTS) }
    }

    fn check_lengths(&self) -> Result<()> {
        let length = |section: Section| self.sections[section as usize].len();
        let sound = length(Section::Keys).is_multiple_of(32)
            && self.fan_out_bits <= 32
            && length(Section::FanOut) == ((1 << self.fan_out_bits) + 1) * 4
            && length(Section::Rows) == self.entries as usize * ROW_BYTES
            && length(Section::Order) == self.entries as usize * ORDER_BYTES;
        if sound { Ok(()) } else { Err(COUNTS) }
    }
}

const COUNTS: FormatError = FormatError::Invalid("the counts of a segment do not fit together");

fn section_ranges(header: &Header, length: usize) -> Result<[Range<usize>; SECTIONS]> {
    let mut ranges: [Range<usize>; SECTIONS] = Default::default();
    let mut end = HEADER_BYTES;
    for (range, length) in ranges.iter_mut().zip(header.lengths) {
        let next = usize::try_from(length).ok().and_then(|length| end.checked_add(length)).ok_or(COUNTS)?;
        *range = end..next;
        end = next;
    }
    match length.checked_sub(end) {
        Some(0) => Ok(ranges),
        Some(rest) => Err(FormatError::Trailing("segment", rest)),
        None => Err(FormatError::Truncated("segment")),
    }
}
