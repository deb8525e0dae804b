//! The index: from a blob's id to its copies, and from a page to its links. Derived from footers, local.
//!
//! A [`Table`] is an immutable piece of it: a segment file, or the footer of one pack that no segment covers yet (a tail).
//! An [`Index`] is what one transaction of the ledger says: tables, packs and their states, condemned and damaged copies.
//!
//! Invariant: an index never changes after it was loaded; what a session sees is therefore fixed at its opening.

mod batch;
mod files;
mod load;
mod merge;
mod merge_own;
#[cfg(test)]
pub(crate) mod samples;
mod table;

pub(crate) use batch::PlacedCopy;
#[cfg(test)]
pub(crate) use files::MemoryFiles;
pub(crate) use files::SegmentFiles;
pub(crate) use load::TableCache;
#[cfg(test)]
pub(crate) use merge_own::TAILS_BYTES_MAX;
pub(crate) use table::{Table, TableEntry, TablePlace};

use crate::ledger::{DamageSource, PackRow};
use format::{BlobId, KeyId, PackName};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

/// Where an entry stands: the table's place in the index, the entry's in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Slot {
    pub(crate) table: u32,
    pub(crate) ordinal: u32,
}

/// One copy of a blob.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BlobCopy {
    pub(crate) slot: Slot,
    /// Place in [`Index::packs`].
    pub(crate) pack: u32,
    /// Place in the pack's footer.
    pub(crate) place: u32,
    pub(crate) offset: u32,
    pub(crate) length: u32,
    pub(crate) key: KeyId,
}

/// A pack as the index knows it.
#[derive(Debug, Clone)]
pub(crate) struct Pack {
    pub(crate) row: PackRow,
    /// Condemned places with their generation (the earliest, where several condemned them).
    pub(crate) condemned: BTreeMap<u32, u64>,
    /// Damaged places.
    pub(crate) damaged: BTreeMap<u32, DamageSource>,
}

impl Pack {
    fn is_damaged(&self, place: u32) -> bool {
        self.damaged.contains_key(&place)
    }
}

/// What one transaction of the ledger says about blobs.
#[derive(Debug, Clone, Default)]
pub(crate) struct Index {
    pub(crate) tables: Vec<Arc<Table>>,
    /// For each table, its packs' places in `packs`; none for a pack that is gone.
    pub(crate) table_packs: Vec<Vec<Option<u32>>>,
    pub(crate) packs: Vec<Pack>,
    pub(crate) by_name: HashMap<PackName, u32>,
}

impl Index {
    /// Whether a session that opened with this index may count on the blob: a copy in a proven pack, neither condemned nor
    /// known to be damaged.
    pub(crate) fn is_visible(&self, id: &BlobId) -> bool {
        self.copies(id).iter().any(|copy| self.counts(copy.pack, copy.place))
    }

    /// Whether a session that opened with this index may count on the copy at a place of a proven pack.
    fn counts(&self, pack: u32, place: u32) -> bool {
        let pack = &self.packs[pack as usize];
        let condemned = pack.condemned.contains_key(&place) && !crate::sabotaged(crate::Sabotage::CondemnedCopiesCountAsPresent);
        !condemned && !pack.is_damaged(place)
    }

    /// What copies of one blob are sorted by: their packs' places in the order of registration.
    fn order(&self, pack: u32) -> (u64, PackName) {
        let row = &self.packs[pack as usize].row;
        (row.number, row.name)
    }

    /// Whether any copy is not known to be damaged.
    pub(crate) fn has_sound_copy(&self, id: &BlobId) -> bool {
        self.copies(id).iter().any(|copy| !self.packs[copy.pack as usize].is_damaged(copy.place))
    }

    /// Calls `each` with the links of an entry.
    pub(crate) fn each_link(&self, slot: Slot, each: impl FnMut(BlobId)) {
        self.tables[slot.table as usize].each_link(slot.ordinal, each);
    }

    /// The links of an entry.
    pub(crate) fn links(&self, slot: Slot) -> Vec<BlobId> {
        self.tables[slot.table as usize].links(slot.ordinal)
    }

    /// Keys that its packs name.
    pub(crate) fn keys(&self) -> HashSet<KeyId> {
        let tables = self.tables.iter().zip(&self.table_packs);
        let packs = tables.flat_map(|(table, packs)| packs.iter().enumerate().map(move |(place, pack)| (table, place, pack)));
        packs.filter(|(_, _, pack)| pack.is_some()).flat_map(|(table, place, _)| table.keys(place as u32)).collect()
    }

    /// Damaged blobs on which no session may count, sorted: also those whose other copies are condemned or hidden.
    pub(crate) fn lost_blobs(&self) -> Vec<BlobId> {
        let mut lost = Vec::new();
        for (number, table) in self.tables.iter().enumerate() {
            for (place_in_table, pack) in self.table_packs[number].iter().enumerate() {
                let Some(pack) = pack else { continue };
                for place in self.packs[*pack as usize].damaged.keys() {
                    if let Some(id) = table.id_at(place_in_table as u32, *place)
                        && !self.is_visible(&id)
                    {
                        lost.push(id);
                    }
                }
            }
        }
        lost.sort_unstable();
        lost.dedup();
        lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    /// Blobs of a pack, all of them damaged: a stolen token can report as many.
    const MANY: u32 = 30_000;

    #[test]
    fn blobs_that_are_lost_are_named_in_time_that_grows_with_their_number_only() {
        let (mut index, ids) = samples::one_segment(MANY);
        index.packs[0].damaged = (0..MANY).map(|place| (place, DamageSource::Reported)).collect();
        let began = Instant::now();
        assert_eq!(index.lost_blobs(), ids);
        // By way of a footer for each it takes minutes.
        assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    }

    #[test]
    fn a_damaged_blob_whose_other_copy_is_condemned_is_named() {
        let mut index = Index::default();
        let id = BlobId([7; 32]);
        for number in 1..=2 {
            let row = samples::pack_row(number, 1);
            let footer = samples::footer(&row, &[id]);
            samples::push(&mut index, row);
            index.add(Arc::new(Table::tail(footer)), None);
        }
        index.packs[0].damaged = BTreeMap::from([(0, DamageSource::Verified)]);
        assert_eq!(index.lost_blobs(), []);
        index.packs[1].condemned = BTreeMap::from([(0, 1)]);
        // A commit does not count on it, so the session must hear of it.
        assert!(!index.is_visible(&id));
        assert_eq!(index.lost_blobs(), [id]);
    }

    #[test]
    fn a_place_that_a_pack_does_not_have_has_no_id() {
        let (index, ids) = samples::one_segment(3);
        let at = |place| index.tables[0].id_at(0, place);
        assert_eq!([0, 1, 2, 3, u32::MAX].map(at), [Some(ids[0]), Some(ids[1]), Some(ids[2]), None, None]);
        assert_eq!(index.tables[0].id_at(1, 0), None);
    }
}
