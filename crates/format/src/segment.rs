//! Index segments: derived, local, immutable tables from blob id to place, each with a filter.

use crate::blob::BlobKind;
use crate::codec::Result;
use crate::id::{BlobId, FooterHash, KeyId, PackName};
use crate::pack::{Checksum, Footer};

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

/// A copy of a blob, as a segment tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentEntry {
    /// Place in the segment: 0 to `len() - 1`, in the order of ids (copies of one id by pack number).
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

/// A segment over bytes in memory or memory-mapped.
#[derive(Debug)]
pub struct Segment<B> {
    _bytes: B,
}

/// Encodes a segment that covers these packs (numbers with footers).
pub fn build(_packs: &[(u64, u64, Footer)]) -> Result<Vec<u8>> {
    unimplemented!()
}

impl<B: AsRef<[u8]>> Segment<B> {
    /// Checks header, tables and filter and opens the segment.
    pub fn open(_bytes: B) -> Result<Self> {
        unimplemented!()
    }

    /// Number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        unimplemented!()
    }

    /// Whether it has no entries.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The packs that it covers, by number.
    #[must_use]
    pub fn packs(&self) -> &[SegmentPack] {
        unimplemented!()
    }

    /// All copies of a blob, lowest pack number first.
    #[must_use]
    pub fn find(&self, _id: &BlobId) -> Vec<SegmentEntry> {
        unimplemented!()
    }

    /// The entry at this place.
    #[must_use]
    pub fn entry(&self, _ordinal: u32) -> SegmentEntry {
        unimplemented!()
    }

    /// Links of the entry at this place.
    #[must_use]
    pub fn links(&self, _ordinal: u32) -> Vec<BlobId> {
        unimplemented!()
    }

    /// The footer of a pack, exactly as it stands in the pack; `domain` is not kept in the segment.
    #[must_use]
    pub fn footer(&self, _pack: u32, _domain: crate::id::DomainId) -> Footer {
        unimplemented!()
    }
}
