//! Index segments and their sets.

use crate::with_checksum;
use format::codec::checksum;
use format::segment::{Segment, SegmentSet, build, merge};
use format::{BlobId, DomainId};
use std::io::Cursor;

const SECTIONS: usize = 9;
const CHECKSUMS_AT: usize = 8 + SECTIONS * 8;
const HEADER_BYTES: usize = CHECKSUMS_AT + SECTIONS * 32 + 4 + 1 + 32;

/// Writes the right checksums into header and sections.
fn repair(data: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = data.to_vec();
    let mut end = HEADER_BYTES;
    for section in 0..SECTIONS {
        let length = u64::from_le_bytes(*bytes.get(8 + section * 8..)?.first_chunk()?);
        let next = end.checked_add(usize::try_from(length).ok()?)?;
        let sum = checksum(bytes.get(end..next)?);
        bytes.get_mut(CHECKSUMS_AT + section * 32..)?.first_chunk_mut::<32>()?.copy_from_slice(&sum);
        end = next;
    }
    let (body, _) = bytes.get(..HEADER_BYTES)?.split_last_chunk::<32>()?;
    let sum = checksum(body);
    bytes[HEADER_BYTES - 32..HEADER_BYTES].copy_from_slice(&sum);
    Some(bytes)
}

/// An index segment: whatever it says, all questions have an answer.
pub fn segment(data: &[u8]) {
    let _ = Segment::open(data);
    let Some(bytes) = repair(data) else { return };
    let Ok(segment) = Segment::open(&bytes) else { return };
    segment.verify().expect("the checksums were made right");
    let ids: Vec<BlobId> = (0..segment.len().min(1000) as u32 + 2).map(|ordinal| segment.entry(ordinal).id).collect();
    segment.find_batch(&ids, |place, entry| assert_eq!(entry.id, ids[place]));
    for (ordinal, id) in ids.iter().enumerate() {
        let _ = (segment.links(ordinal as u32), segment.find(id));
    }
    let packs = segment.packs().len().min(100) as u32;
    (0..packs + 2).for_each(|pack| {
        let _ = (segment.footer(pack, DomainId([0; 16])), segment.ordinals(pack));
    });
    let sound = |pack: u32| {
        let covered = &segment.packs()[pack as usize];
        Some((covered.number, covered.length, segment.verified_footer(pack, DomainId([0; 16])).ok()?))
    };
    if let Some(footers) = (0..segment.packs().len() as u32).map(sound).collect::<Option<Vec<_>>>() {
        let _ = build(&footers);
    }
    let _ = merge(&[&segment, &segment], |pack| pack.number % 2 == 0, &mut Cursor::new(Vec::new()));
}

/// The list of a set of segments.
pub fn segment_set(data: &[u8]) {
    let _ = SegmentSet::parse(data);
    let Some(bytes) = with_checksum(data) else { return };
    if let Ok(set) = SegmentSet::parse(&bytes) {
        assert_eq!(set.encode(), bytes);
        assert!(set.may_replace(&set, &[], &[]));
    }
}
