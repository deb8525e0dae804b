//! The proof of completeness: what a point reaches is there.
//!
//! It remembers two bits for each blob that the session sent, and of the pages that it knows the way to only those whose links it has not
//! looked up: a session has as many pages as it sent, and they may name 4,096 times as many blobs.

use crate::index::Slot;
use crate::simulated::in_tests;
use crate::view::OwnTables;
use format::blob::BlobKind;
use format::{BlobId, PackName};
use std::collections::BTreeMap;
use std::ops::Range;

/// Links that are looked up together, at least while there are more.
const LINKS_TOGETHER: usize = in_tests(8, 128 << 10);

/// Pages of the session that its root does not reach: their places, by pack.
pub(crate) type Unreached = BTreeMap<PackName, Vec<u32>>;

/// Proves that the root and all links of the session's own pages resolve: in its own packs, or where `is_visible` says. Otherwise answers
/// an id that does not; finding it ends the search, since pages may name any number.
pub(crate) fn prove(own: &OwnTables, root: BlobId, is_visible: impl Fn(&[BlobId]) -> Vec<bool>) -> Result<Unreached, BlobId> {
    let mut proof = Proof { own, is_visible, reached: Bits::of(own), followed: Bits::of(own), pages: Vec::new() };
    proof.reach(root)?;
    proof.unreached()
}

struct Proof<'a, V> {
    own: &'a OwnTables,
    is_visible: V,
    /// Pages of the session that the root reaches.
    reached: Bits,
    /// Those of them whose links are looked up for that. Another copy of a page may name other blobs: nothing binds them to its id here.
    followed: Bits,
    /// Those of them whose links were not looked up yet.
    pages: Vec<Slot>,
}

impl<V: Fn(&[BlobId]) -> Vec<bool>> Proof<'_, V> {
    /// Follows what the root names.
    fn reach(&mut self, root: BlobId) -> Result<(), BlobId> {
        let mut ids = vec![root];
        while !ids.is_empty() {
            self.resolve(&mut ids, true)?;
            while ids.len() < LINKS_TOGETHER
                && let Some(page) = self.pages.pop()
            {
                self.own.each_link(page, |id| ids.push(id));
            }
        }
        Ok(())
    }

    /// The pages that were not reached. Their links must resolve all the same, and those of all copies.
    fn unreached(&mut self) -> Result<Unreached, BlobId> {
        let (own, mut unreached, mut ids) = (self.own, Unreached::new(), Vec::new());
        for (pack, table, ordinals) in own.page_packs() {
            for (place, ordinal) in (0..).zip(ordinals) {
                let slot = Slot { table, ordinal };
                if !self.reached.has(slot) {
                    unreached.entry(pack).or_default().push(place);
                }
                if self.followed.has(slot) {
                    continue;
                }
                own.each_link(slot, |id| ids.push(id));
                if ids.len() >= LINKS_TOGETHER {
                    self.resolve(&mut ids, false)?;
                }
            }
        }
        self.resolve(&mut ids, false)?;
        Ok(unreached)
    }

    /// Takes these ids, all of which must resolve. Pages of the session among them are reached, if the root does.
    fn resolve(&mut self, ids: &mut Vec<BlobId>, by_root: bool) -> Result<(), BlobId> {
        // Of each page they are sorted already, which this makes use of.
        ids.sort();
        ids.dedup();
        let (mut is_own, mut pages) = (vec![false; ids.len()], Vec::new());
        self.own.find_batch(ids, |asked, slot, kind| {
            is_own[asked] = true;
            if by_root && kind == BlobKind::Page {
                pages.push((asked, slot));
            }
        });
        // Each table answered in order: this merges what they answered.
        pages.sort_by_key(|(asked, _)| *asked);
        for copies in pages.chunk_by(|left, right| left.0 == right.0) {
            // One of several is followed, as it was found first. They are seen together or not at all.
            let is_new = copies.iter().fold(false, |is_new, (_, slot)| self.reached.set(*slot) || is_new);
            if is_new {
                self.followed.set(copies[0].1);
                self.pages.push(copies[0].1);
            }
        }
        let mut is_own = is_own.into_iter();
        ids.retain(|_| !is_own.next().unwrap_or(false));
        let unresolved = (self.is_visible)(ids).iter().position(|visible| !visible).map(|place| ids[place]);
        ids.clear();
        unresolved.map_or(Ok(()), Err)
    }
}

/// A bit for each blob that the session sent: of each table, runs of ordinals and their bits.
struct Bits(Vec<Vec<(Range<u32>, Vec<u64>)>>);

impl Bits {
    fn of(own: &OwnTables) -> Self {
        let bits = |run: Range<u32>| (run.clone(), vec![0; run.len().div_ceil(64)]);
        Self(own.ordinals().map(|runs| runs.into_iter().map(bits).collect()).collect())
    }

    /// In which word a bit is, and where.
    fn place(&self, slot: Slot) -> (usize, usize, u32) {
        let run = self.0[slot.table as usize].partition_point(|(run, _)| run.end <= slot.ordinal);
        let bit = slot.ordinal - self.0[slot.table as usize][run].0.start;
        (run, bit as usize / 64, bit % 64)
    }

    fn has(&self, slot: Slot) -> bool {
        let (run, word, bit) = self.place(slot);
        self.0[slot.table as usize][run].1[word] >> bit & 1 == 1
    }

    /// True if it was not set before.
    fn set(&mut self, slot: Slot) -> bool {
        let (run, word, bit) = self.place(slot);
        let word = &mut self.0[slot.table as usize][run].1[word];
        let before = *word;
        *word |= 1 << bit;
        *word != before
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::{Index, SegmentFiles, Table, samples};
    use crate::view::SessionView;
    use format::pack::Footer;
    use std::cell::Cell;
    use std::sync::Arc;

    fn id(number: u32) -> BlobId {
        let mut id = [0; 32];
        id[..4].copy_from_slice(&number.to_be_bytes());
        BlobId(id)
    }

    /// A session that sent a page pack: page 1 names page 2 and much that nobody has, page 2 and page 3 as much again.
    fn hostile_session(links: u32) -> SessionView {
        let view = SessionView::new(Index::default());
        let row = samples::pack_row(1, 3);
        let mut footer = samples::footer(&row, &[id(1), id(2), id(3)]);
        footer.kind = BlobKind::Page;
        for (place, entry) in (1..).zip(&mut footer.entries) {
            entry.links = (1..=links).map(|link| id(place * 1_000_000 + link)).collect();
        }
        footer.entries[0].links.insert(0, id(2));
        view.add_own(row.name, Arc::new(Table::tail(footer)));
        view
    }

    #[test]
    fn pages_that_the_root_does_not_reach_are_told() {
        let view = hostile_session(4_000);
        let unreached = |root| prove(&view.own_tables(), root, |ids| vec![true; ids.len()]).unwrap();
        let in_pack = |places: &[u32]| Unreached::from([(samples::pack_row(1, 3).name, places.to_vec())]);
        assert_eq!(unreached(id(1)), in_pack(&[2]));
        assert_eq!(unreached(id(2)), in_pack(&[0, 2]));
        assert_eq!(unreached(id(7)), in_pack(&[0, 1, 2]));
    }

    #[test]
    fn what_is_remembered_does_not_grow_with_packs_of_others_that_were_merged_with_the_sessions() {
        let rows = [1, 2, 3].map(|number| samples::pack_row(number, 100));
        let ids = |number: u32| -> Vec<BlobId> { (0..100).map(|each| id(number * 1000 + each)).collect() };
        let footers: Vec<Footer> = (1..).zip(&rows).map(|(number, row)| samples::footer(row, &ids(number))).collect();
        let files = SegmentFiles::Memory(Arc::default());
        let packs: Vec<(u64, u64, &Footer)> = (1..).zip(&footers).map(|(number, footer)| (number, 1, footer)).collect();
        files.store(1, &format::segment::build(&packs).unwrap()).unwrap();
        let table = Arc::new(Table::Segment(format::segment::Segment::open(files.open(1).unwrap()).unwrap()));
        let view = SessionView::new(Index::default());
        let is_own: Vec<bool> = table.pack_names().iter().map(|name| *name != rows[1].name).collect();
        view.add_merged(1, table, is_own);
        let own = view.own_tables();
        let mut bits = Bits::of(&own);
        assert_eq!(bits.0.iter().flatten().map(|(run, words)| (run.len(), words.len())).collect::<Vec<_>>(), [(100, 2); 2]);
        let wanted = [ids(1), ids(3)].concat();
        let (mut found, mut set) = (0, 0);
        own.find_batch(&wanted, |_, slot, _| {
            found += 1;
            set += usize::from(!bits.has(slot) && bits.set(slot) && bits.has(slot) && !bits.set(slot));
        });
        assert_eq!((found, set), (200, 200), "each blob has a bit of its own");
    }

    #[test]
    fn links_of_pages_that_the_root_does_not_reach_must_resolve_too() {
        let view = hostile_session(10);
        let without = |lacking: BlobId| {
            let is_visible = move |ids: &[BlobId]| ids.iter().map(|id| *id != lacking).collect();
            prove(&view.own_tables(), id(1), is_visible).err()
        };
        assert_eq!(
            [1_000_003, 2_000_010, 3_000_001, 4_000_001].map(|link| without(id(link))),
            [Some(id(1_000_003)), Some(id(2_000_010)), Some(id(3_000_001)), None]
        );
    }

    #[test]
    fn links_of_each_copy_of_a_page_must_resolve_whichever_comes_first() {
        for bad in 1..=2_u8 {
            let view = SessionView::new(Index::default());
            for number in 1..=2 {
                let row = samples::pack_row(number, 1);
                let mut footer = samples::footer(&row, &[id(1)]);
                footer.kind = BlobKind::Page;
                footer.entries[0].links = if number == bad { vec![id(66)] } else { Vec::new() };
                view.add_own(row.name, Arc::new(Table::tail(footer)));
            }
            let visible = |ids: &[BlobId]| ids.iter().map(|each| *each != id(66)).collect();
            assert_eq!(prove(&view.own_tables(), id(1), visible).err(), Some(id(66)), "the {bad}. one");
            assert!(prove(&view.own_tables(), id(1), |ids| vec![true; ids.len()]).unwrap().is_empty(), "both are reached");
        }
    }

    #[test]
    fn a_proof_ends_at_the_first_links_that_do_not_resolve() {
        let view = hostile_session(LINKS_TOGETHER as u32);
        let asked = Cell::new(0);
        let is_visible = |ids: &[BlobId]| {
            asked.set(asked.get() + ids.len());
            view.index.visible(ids)
        };
        assert_eq!(prove(&view.own_tables(), id(1), is_visible).err(), Some(id(1_000_001)));
        assert!(asked.get() <= LINKS_TOGETHER + 2, "the root and one page's links: {}", asked.get());
        assert_eq!(prove(&view.own_tables(), id(9), is_visible).err(), Some(id(9)));
    }
}
