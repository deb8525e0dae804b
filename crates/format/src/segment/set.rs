//! The list of a set of segments, and when one set may take the place of another.
//!
//! ```text
//! magic (8) ‖ domain (16) ‖ count (varint) ‖ segments ‖ checksum (32)
//! segment = name (u64) ‖ count (varint) ‖ packs
//! pack    = name (16) ‖ entries (varint)
//! ```

use crate::codec::{FormatError, Reader, Result, Writer, verified};
use crate::id::{DomainId, PackName};
use crate::limits;
use std::collections::BTreeMap;

/// A pack and the number of entries of its footer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PackEntries {
    /// The pack.
    pub pack: PackName,
    /// Entries of its footer.
    pub entries: u32,
}

/// A segment of a set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentListing {
    /// Its name: a number that is never used again.
    pub name: u64,
    /// The packs that it covers, sorted by name, each once.
    pub packs: Vec<PackEntries>,
}

/// A set of segments: together they cover each of their packs once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentSet {
    /// The domain.
    pub domain: DomainId,
    /// The segments, sorted by name.
    pub segments: Vec<SegmentListing>,
}

impl SegmentSet {
    /// Encodes it.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.raw(&limits::MAGIC_SEGMENT_SET).raw(self.domain.as_bytes()).varint(self.segments.len() as u64);
        for segment in &self.segments {
            writer.u64(segment.name).varint(segment.packs.len() as u64);
            for each in &segment.packs {
                writer.raw(each.pack.as_bytes()).varint(u64::from(each.entries));
            }
        }
        writer.finish_with_checksum()
    }

    /// Parses it: sorted, and no pack twice.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let body = verified("set of segments", bytes, limits::SEGMENT_SET_BYTES_MAX)?;
        let mut reader = Reader::new("set of segments", body);
        reader.magic(limits::MAGIC_SEGMENT_SET)?;
        let domain = DomainId(reader.array()?);
        let count = reader.count("segments of a set", limits::SEGMENTS_MAX, 9)?;
        let segments = (0..count).map(|_| read_segment(&mut reader)).collect::<Result<Vec<_>>>()?;
        reader.end()?;
        if segments.windows(2).any(|pair| pair[0].name >= pair[1].name) {
            return Err(FormatError::Invalid("segments of a set are not sorted and unique"));
        }
        let set = Self { domain, segments };
        set.packs()?;
        Ok(set)
    }

    /// All packs of the set with their entries; a pack that stands twice is an error.
    pub fn packs(&self) -> Result<BTreeMap<PackName, u32>> {
        let mut packs = BTreeMap::new();
        for each in self.segments.iter().flat_map(|segment| &segment.packs) {
            if packs.insert(each.pack, each.entries).is_some() {
                return Err(FormatError::Invalid("a pack stands twice in a set of segments"));
            }
        }
        Ok(packs)
    }

    /// Whether this set may take the place of `former`: it covers the same packs, with `added` ones and without `gone` ones,
    /// each once, with the entries of their footers.
    #[must_use]
    pub fn may_replace(&self, former: &Self, added: &[PackEntries], gone: &[PackName]) -> bool {
        let (Ok(mine), Ok(mut expected)) = (self.packs(), former.packs()) else { return false };
        for each in added {
            if expected.insert(each.pack, each.entries).is_some() {
                return false;
            }
        }
        for pack in gone {
            expected.remove(pack);
        }
        self.domain == former.domain && mine == expected
    }
}

fn read_segment(reader: &mut Reader<'_>) -> Result<SegmentListing> {
    let name = reader.u64()?;
    let count = reader.count("packs of a segment", limits::SEGMENT_SET_BYTES_MAX, PackName::BYTES + 1)?;
    let mut packs = Vec::with_capacity(count);
    for _ in 0..count {
        packs.push(PackEntries { pack: PackName(reader.array()?), entries: reader.varint_u32()? });
    }
    if packs.windows(2).any(|pair| pair[0].pack >= pair[1].pack) {
        return Err(FormatError::Invalid("packs of a segment are not sorted and unique"));
    }
    Ok(SegmentListing { name, packs })
}
