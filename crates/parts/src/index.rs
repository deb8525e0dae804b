//! What every id goes through that is looked up.

use crate::samples::Numbers;
use crate::{Amount, Part};
use format::blob::BlobKind;
use format::pack::{Checksum, Footer, FooterEntry, HEADER_BYTES};
use format::segment::{self, Segment};
use format::{BlobId, DomainId, KeyId, PackName};

const PACKS: u64 = 400;
const BLOBS_A_PACK: usize = 500;
const IDS: usize = 10_000;

fn ids(numbers: &mut Numbers, count: usize) -> Vec<BlobId> {
    let id = |_| {
        let words: Vec<u8> = (0..4).flat_map(|_| numbers.next().to_be_bytes()).collect();
        BlobId(words.try_into().expect("32 bytes"))
    };
    let mut ids: Vec<BlobId> = (0..count).map(id).collect();
    ids.sort_unstable();
    ids
}

fn footer(number: u64, ids: &[BlobId]) -> Footer {
    let mut offset = HEADER_BYTES as u32;
    let entry = |id: &BlobId| {
        let entry = FooterEntry { id: *id, key: 0, offset, length: 30_000, checksum: Checksum([1; 16]), links: Vec::new() };
        offset += entry.length;
        entry
    };
    let mut name = [0; 16];
    name[..8].copy_from_slice(&number.to_be_bytes());
    let entries = ids.iter().map(entry).collect();
    Footer { domain: DomainId([1; 16]), name: PackName(name), kind: BlobKind::Data, keys: vec![KeyId([2; 32])], entries }
}

/// Ten thousand sorted ids in a segment of 200,000, half of them there.
pub(crate) fn look_up() -> Part {
    let mut numbers = Numbers::new(4);
    let (mut packs, mut wanted) = (Vec::new(), ids(&mut numbers, IDS / 2));
    for number in 0..PACKS {
        let ids = ids(&mut numbers, BLOBS_A_PACK);
        wanted.extend(ids.iter().step_by(BLOBS_A_PACK * PACKS as usize / (IDS / 2)));
        packs.push((number, 16 << 20, footer(number, &ids)));
    }
    wanted.sort_unstable();
    let segment = Segment::open(segment::build(&packs).expect("a segment can be built")).expect("a segment opens");
    Part::new("look-up", Amount::Things(wanted.len() as u64), move || {
        let mut found = 0;
        segment.find_batch(&wanted, |place, entry| found += (place as u64) ^ u64::from(entry.offset));
        found
    })
}
