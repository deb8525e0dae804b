//! Many ids at once. They are asked for in their order, one table after the other, so that what is read of a table stays near: looked up
//! one by one, every id touches every table anew.

use super::{BlobCopy, Index, Slot, Table, TablePlace};
use crate::ledger::PackState;
use format::BlobId;
use std::sync::Arc;

/// A copy of one of the blobs that were asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PlacedCopy {
    /// Place of the blob's id among those.
    pub(crate) asked: u32,
    pub(crate) slot: Slot,
    /// Place in [`Index::packs`].
    pub(crate) pack: u32,
    /// Place in the pack's footer.
    pub(crate) place: u32,
}

impl Index {
    /// The pack of a copy at a place of a table. None in packs that are gone; and none in packs of running sessions that are not proven
    /// yet, which do not count for anybody else and go with their session.
    fn proven_pack(&self, table: u32, pack: u32) -> Option<u32> {
        let pack = self.table_packs[table as usize][pack as usize]?;
        (self.packs[pack as usize].row.state == PackState::Proven).then_some(pack)
    }

    fn numbered_tables(&self) -> impl Iterator<Item = (u32, &Arc<Table>)> {
        (0..).zip(&self.tables)
    }

    /// All copies in proven packs, lowest number first.
    pub(crate) fn copies(&self, id: &BlobId) -> Vec<BlobCopy> {
        let mut copies = Vec::new();
        for (table, entries) in self.numbered_tables() {
            entries.find(id, |entry| {
                copies.extend(self.proven_pack(table, entry.pack).map(|pack| BlobCopy {
                    slot: Slot { table, ordinal: entry.ordinal },
                    pack,
                    place: entry.place,
                    offset: entry.offset,
                    length: entry.length,
                    key: entry.key,
                }));
            });
        }
        copies.sort_by_key(|copy| self.order(copy.pack));
        copies
    }

    /// All copies of ids that are sorted and unique, by the places of their ids; those of one id as [`Index::copies`] has them.
    pub(crate) fn copies_of(&self, ids: &[BlobId]) -> Vec<PlacedCopy> {
        let mut copies: Vec<PlacedCopy> = Vec::with_capacity(ids.len());
        for (table, entries) in self.numbered_tables() {
            entries.find_batch(ids, |asked, TablePlace { ordinal, pack, place }| {
                let placed = |pack| PlacedCopy { asked: asked as u32, slot: Slot { table, ordinal }, pack, place };
                copies.extend(self.proven_pack(table, pack).map(placed));
            });
        }
        // Each table answered in order: this merges what they answered.
        copies.sort_by_key(|copy| copy.asked);
        for several in copies.chunk_by_mut(|left, right| left.asked == right.asked).filter(|copies| copies.len() > 1) {
            several.sort_by_key(|copy| self.order(copy.pack));
        }
        copies
    }

    /// For each id, in sorted order, whether a session that opened with this index may count on it.
    pub(crate) fn visible(&self, ids: &[BlobId]) -> Vec<bool> {
        let mut visible = vec![false; ids.len()];
        let mut wanted = ids.to_vec();
        let mut places: Vec<usize> = (0..ids.len()).collect();
        for (table, entries) in self.numbered_tables() {
            let mut some = false;
            entries.find_batch(&wanted, |asked, TablePlace { pack, place, .. }| {
                if self.proven_pack(table, pack).is_some_and(|pack| self.counts(pack, place)) {
                    visible[places[asked]] = true;
                    some = true;
                }
            });
            if some {
                places.retain(|place| !visible[*place]);
                wanted.clear();
                wanted.extend(places.iter().map(|place| ids[*place]));
            }
        }
        visible
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    /// Packs with these blobs, one behind the other: some in segments, some condemned, damaged or not proven.
    fn index(packs: &[(Vec<u8>, u8)]) -> Index {
        let mut index = Index::default();
        for (number, (blobs, fate)) in (1..).zip(packs) {
            let mut ids: Vec<BlobId> = blobs.iter().map(|blob| id(*blob)).collect();
            ids.sort_unstable();
            ids.dedup();
            let mut row = samples::pack_row(number, ids.len() as u32);
            if fate % 5 == 0 {
                row.state = PackState::Registered;
            }
            let table = samples::table(&mut row, &ids, fate % 2 == 0);
            let segment = row.segment;
            samples::push(&mut index, row);
            let pack = index.packs.last_mut().unwrap();
            if fate % 3 == 0 {
                pack.condemned = BTreeMap::from([(0, 1)]);
            }
            if fate % 7 == 0 {
                pack.damaged = BTreeMap::from([(0, crate::ledger::DamageSource::Reported)]);
            }
            index.add(Arc::new(table), segment);
        }
        index
    }

    fn id(number: u8) -> BlobId {
        BlobId([number; 32])
    }

    proptest! {
        #[test]
        fn many_ids_at_once_are_answered_as_each_by_itself(
            packs in proptest::collection::vec((proptest::collection::vec(0..40_u8, 1..12), any::<u8>()), 0..8),
            asked in proptest::collection::vec(0..50_u8, 0..60),
        ) {
            let index = index(&packs);
            let mut asked: Vec<BlobId> = asked.into_iter().map(id).collect();
            asked.sort_unstable();
            let one_by_one: Vec<bool> = asked.iter().map(|id| index.is_visible(id)).collect();
            prop_assert_eq!(index.visible(&asked), one_by_one);

            let mut sorted = asked;
            sorted.dedup();
            let slots = |copies: &[BlobCopy]| copies.iter().map(|copy| copy.slot).collect::<Vec<_>>();
            let one_by_one: Vec<(u32, Slot)> =
                (0..).zip(&sorted).flat_map(|(place, id)| slots(&index.copies(id)).into_iter().map(move |slot| (place, slot))).collect();
            let together: Vec<(u32, Slot)> = index.copies_of(&sorted).iter().map(|copy| (copy.asked, copy.slot)).collect();
            prop_assert_eq!(together, one_by_one);
        }
    }
}
