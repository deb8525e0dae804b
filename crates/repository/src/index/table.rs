//! Tables: segments and tails.

use super::files::SegmentBytes;
use format::blob::BlobKind;
use format::pack::{Footer, FooterEntry};
use format::segment::{Segment, SegmentEntry, SegmentPlace};
use format::{BlobId, DomainId, FooterHash, KeyId, PackName};
use std::ops::Range;

/// An immutable piece of the index.
#[derive(Debug)]
pub(crate) enum Table {
    /// A segment file.
    Segment(Segment<SegmentBytes>),
    /// One pack.
    Tail(Tail),
}

/// The footer of one pack, and what look-ups search.
#[derive(Debug)]
pub(crate) struct Tail {
    pub(crate) footer: Footer,
    /// The leading bytes of the ids as numbers: they stand closer together than the entries.
    prefixes: Vec<u64>,
    /// Bytes that both take in memory.
    bytes: usize,
}

/// An entry of a table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TableEntry {
    pub(crate) ordinal: u32,
    /// Place of the pack among the table's packs.
    pub(crate) pack: u32,
    pub(crate) place: u32,
    pub(crate) offset: u32,
    pub(crate) length: u32,
    pub(crate) key: KeyId,
}

/// Where a table has an entry.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TablePlace {
    pub(crate) ordinal: u32,
    /// Place of the pack among the table's packs.
    pub(crate) pack: u32,
    /// Place in the pack's footer.
    pub(crate) place: u32,
}

impl Tail {
    /// The places of these ids, best sorted: of each that is here its place in `ids`, and its place in the footer.
    fn find_batch(&self, ids: &[BlobId], mut found: impl FnMut(usize, usize)) {
        let mut at = 0;
        for (asked, id) in ids.iter().enumerate() {
            let wanted = prefix(id);
            at += first_from(&self.prefixes[at..], wanted);
            match self.prefixes.get(at) {
                Some(prefix) if *prefix == wanted => {
                    let several =
                        wanted.checked_add(1).map_or(self.prefixes.len() - at, |next| first_from(&self.prefixes[at..], next));
                    let place = self.footer.entries[at..at + several].binary_search_by(|entry| entry.id.cmp(id));
                    place.into_iter().for_each(|place| found(asked, at + place));
                }
                Some(_) => {}
                None => break,
            }
        }
    }
}

impl Table {
    /// One pack that no segment covers.
    pub(crate) fn tail(footer: Footer) -> Self {
        let prefixes = footer.entries.iter().map(|entry| prefix(&entry.id)).collect();
        let entry = |entry: &FooterEntry| size_of::<FooterEntry>() + size_of::<u64>() + size_of_val(entry.links.as_slice());
        let bytes = footer.entries.iter().map(entry).sum();
        Self::Tail(Tail { footer, prefixes, bytes })
    }

    /// The segment that it is.
    pub(crate) fn segment(&self) -> Option<&Segment<SegmentBytes>> {
        match self {
            Self::Segment(segment) => Some(segment),
            Self::Tail(_) => None,
        }
    }

    /// The footer of the one pack that it is.
    pub(crate) fn tail_footer(&self) -> Option<&Footer> {
        match self {
            Self::Segment(_) => None,
            Self::Tail(tail) => Some(&tail.footer),
        }
    }

    /// Bytes that it takes in memory, which a segment does not.
    pub(crate) fn tail_bytes(&self) -> usize {
        match self {
            Self::Segment(_) => 0,
            Self::Tail(tail) => tail.bytes,
        }
    }

    /// Names of its packs.
    pub(crate) fn pack_names(&self) -> Vec<PackName> {
        match self {
            Self::Segment(segment) => segment.packs().iter().map(|pack| pack.name).collect(),
            Self::Tail(Tail { footer, .. }) => vec![footer.name],
        }
    }

    /// Names of its packs, with the hashes of their footers where the table keeps them.
    pub(crate) fn pack_hashes(&self) -> Vec<(PackName, Option<FooterHash>)> {
        match self {
            Self::Segment(segment) => segment.packs().iter().map(|pack| (pack.name, Some(pack.footer_hash))).collect(),
            Self::Tail(Tail { footer, .. }) => vec![(footer.name, None)],
        }
    }

    /// Number of entries.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Segment(segment) => segment.len(),
            Self::Tail(Tail { footer, .. }) => footer.entries.len(),
        }
    }

    /// Calls `found` for each entry with this id.
    pub(crate) fn find(&self, id: &BlobId, mut found: impl FnMut(TableEntry)) {
        match self {
            Self::Segment(segment) => segment.find_each(id, |entry| found(segment_entry(&entry))),
            Self::Tail(Tail { footer, .. }) => {
                if let Ok(place) = footer.entries.binary_search_by(|entry| entry.id.cmp(id)) {
                    found(tail_entry(footer, place));
                }
            }
        }
    }

    /// Calls `found` with an id's place in `ids`, which are sorted, for each entry with that id.
    pub(crate) fn find_batch(&self, ids: &[BlobId], mut found: impl FnMut(usize, TablePlace)) {
        match self {
            Self::Segment(segment) => segment.find_places(ids, |asked, SegmentPlace { ordinal, pack, place }| {
                found(asked, TablePlace { ordinal, pack, place });
            }),
            Self::Tail(tail) => tail.find_batch(ids, |asked, place| {
                found(asked, TablePlace { ordinal: place as u32, pack: 0, place: place as u32 });
            }),
        }
    }

    /// The entry at this ordinal.
    pub(crate) fn entry(&self, ordinal: u32) -> TableEntry {
        match self {
            Self::Segment(segment) => segment_entry(&segment.entry(ordinal)),
            Self::Tail(Tail { footer, .. }) => tail_entry(footer, ordinal as usize),
        }
    }

    /// The id of the entry at this ordinal.
    pub(crate) fn id(&self, ordinal: u32) -> BlobId {
        match self {
            Self::Segment(segment) => segment.entry(ordinal).id,
            Self::Tail(Tail { footer, .. }) => footer.entries[ordinal as usize].id,
        }
    }

    /// Name and kind of the pack at this place among the table's packs.
    pub(crate) fn pack_at(&self, pack: u32) -> (PackName, BlobKind) {
        match self {
            Self::Segment(segment) => {
                let pack = &segment.packs()[pack as usize];
                (pack.name, pack.kind)
            }
            Self::Tail(Tail { footer, .. }) => (footer.name, footer.kind),
        }
    }

    /// Keys of the pack at this place among the table's packs.
    pub(crate) fn keys(&self, pack: u32) -> Vec<KeyId> {
        match self {
            Self::Segment(segment) => segment.pack_keys(pack),
            Self::Tail(Tail { footer, .. }) => footer.keys.clone(),
        }
    }

    /// Links of the entry at this ordinal.
    pub(crate) fn links(&self, ordinal: u32) -> Vec<BlobId> {
        match self {
            Self::Segment(segment) => segment.links(ordinal),
            Self::Tail(Tail { footer, .. }) => footer.entries[ordinal as usize].links.clone(),
        }
    }

    /// Calls `each` with the links of the entry at this ordinal.
    pub(crate) fn each_link(&self, ordinal: u32, each: impl FnMut(BlobId)) {
        match self {
            Self::Segment(segment) => segment.each_link(ordinal).for_each(each),
            Self::Tail(Tail { footer, .. }) => footer.entries[ordinal as usize].links.iter().copied().for_each(each),
        }
    }

    /// The ordinals of the pack at this place among the table's packs, in the order of its footer.
    pub(crate) fn ordinals(&self, pack: u32) -> Range<u32> {
        match self {
            Self::Segment(segment) => segment.ordinals(pack),
            Self::Tail(Tail { footer, .. }) => 0..footer.entries.len() as u32,
        }
    }

    /// The footer of the pack at this place among the table's packs.
    pub(crate) fn footer(&self, pack: u32, domain: DomainId) -> Footer {
        match self {
            Self::Segment(segment) => segment.footer(pack, domain),
            Self::Tail(Tail { footer, .. }) => footer.clone(),
        }
    }

    /// The id at a place of a pack's footer.
    pub(crate) fn id_at(&self, pack: u32, place: u32) -> Option<BlobId> {
        match self {
            // Not by way of the footer: that is as large as the pack has blobs, and this is asked for every damaged one.
            Self::Segment(segment) => {
                let ordinals = segment.ordinals(pack);
                let ordinal = ordinals.start.checked_add(place).filter(|ordinal| *ordinal < ordinals.end)?;
                Some(segment.entry(ordinal).id)
            }
            Self::Tail(Tail { footer, .. }) => footer.entries.get(place as usize).map(|entry| entry.id),
        }
    }
}

/// The leading bytes of an id as a number of the same order.
fn prefix(id: &BlobId) -> u64 {
    u64::from_be_bytes(*id.0.first_chunk().expect("an id has 32 bytes"))
}

/// The place of the first number that is not before this one, looked for near the beginning first.
fn first_from(sorted: &[u64], wanted: u64) -> usize {
    let (mut low, mut step) = (0, 1);
    while sorted.get(low + step - 1).is_some_and(|number| *number < wanted) {
        low += step;
        step *= 2;
    }
    let high = sorted.len().min(low + step - 1);
    low + sorted[low..high].partition_point(|number| *number < wanted)
}

fn segment_entry(entry: &SegmentEntry) -> TableEntry {
    let SegmentEntry { ordinal, pack, place, offset, length, key, .. } = *entry;
    TableEntry { ordinal, pack, place, offset, length, key }
}

fn tail_entry(footer: &Footer, place: usize) -> TableEntry {
    let entry = &footer.entries[place];
    TableEntry {
        ordinal: place as u32,
        pack: 0,
        place: place as u32,
        offset: entry.offset,
        length: entry.length,
        key: footer.keys[usize::from(entry.key)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::samples;

    #[test]
    fn a_place_that_is_looked_for_from_the_beginning_is_found_wherever_it_is() {
        let numbers: Vec<u64> = (0..100).map(|number| 2 * number).collect();
        for length in [0, 1, 2, 3, 63, 64, 65, 100] {
            for wanted in 0..=255 {
                let expected = numbers[..length].partition_point(|number| *number < wanted);
                assert_eq!(first_from(&numbers[..length], wanted), expected, "{wanted} among {length}");
            }
        }
    }

    #[test]
    fn ids_that_begin_alike_are_told_apart_in_a_tail() {
        let id = |first: u8, last: u8| {
            let mut id = [first; 32];
            id[31] = last;
            BlobId(id)
        };
        let there: Vec<BlobId> = [0, 7, 255].into_iter().flat_map(|first| [2, 4, 6].map(|last| id(first, last))).collect();
        let asked: Vec<BlobId> = [0, 7, 9, 255].into_iter().flat_map(|first| (1..8).map(move |last| id(first, last))).collect();
        let mut found = Vec::new();
        Table::tail(samples::footer(&samples::pack_row(1, 9), &there))
            .find_batch(&asked, |place, entry| found.push((asked[place], there[entry.place as usize])));
        assert_eq!(found, there.iter().map(|id| (*id, *id)).collect::<Vec<_>>());
    }
}
