//! Marking: which copies the roots reach.
//!
//! Of a blob with several copies the lowest-numbered sound one is kept: garbage that a stolen agent plants later under an id
//! that exists never displaces the good copy. Copies that an agent merely reported or storage could not read, and copies in packs
//! whose order a rebuild does not know, are kept beside it.

use super::roots::Root;
use crate::fault::{Fault, Outcome};
use crate::index::{Index, PlacedCopy, Slot};
use crate::ledger::{CondemnedRow, DamageSource};
use contract::{ErrorKind, Progress, ProgressSink};
use format::BlobId;
use format::blob::BlobKind;

/// Blobs that are looked up together, at least while there are more.
const TOGETHER: usize = 256 << 10;
/// Pages between two words about progress.
const PROGRESS_EVERY: u64 = 256;

/// Which entries of an index are reached.
pub(crate) struct Marks {
    bits: Vec<Vec<u64>>,
    pub(crate) pages: u64,
    /// Blobs that a root reaches and of which there is no copy at all.
    pub(crate) missing: Vec<BlobId>,
}

impl Marks {
    /// Nothing reached yet.
    pub(crate) fn new(index: &Index) -> Self {
        let bits = index.tables.iter().map(|table| vec![0; table.len().div_ceil(64)]).collect();
        Self { bits, pages: 0, missing: Vec::new() }
    }

    /// Whether the entry was reached.
    pub(crate) fn is_marked(&self, slot: Slot) -> bool {
        self.bits[slot.table as usize][slot.ordinal as usize / 64] >> (slot.ordinal % 64) & 1 == 1
    }

    /// Marks an entry; true if it was not marked before.
    fn mark(&mut self, slot: Slot) -> bool {
        let word = &mut self.bits[slot.table as usize][slot.ordinal as usize / 64];
        let before = *word;
        *word |= 1 << (slot.ordinal % 64);
        *word != before
    }

    /// Marks everything that a root reaches. A blob without any copy is an error, unless the root was set aside.
    pub(crate) fn reach(&mut self, index: &Index, root: Root, progress: &ProgressSink) -> Outcome<()> {
        let mut todo = vec![root.page];
        // What pages name is fetched when there is room for it: all that the pages of a level name may be all that there is.
        let mut pages: Vec<Slot> = Vec::new();
        loop {
            while todo.len() < TOGETHER
                && let Some(page) = pages.pop()
            {
                todo.extend(index.links(page));
                self.pages += 1;
                if self.pages.is_multiple_of(PROGRESS_EVERY) {
                    progress(Progress { phase: "marking", done: self.pages, total: None, bytes: 0 });
                }
            }
            if todo.is_empty() {
                return Ok(());
            }
            // Of each page they are sorted already, which this makes use of.
            todo.sort();
            todo.dedup();
            self.reach_some(index, root, &todo, &mut pages)?;
            todo.clear();
        }
    }

    /// Marks the copies of these blobs that are kept, and adds those of pages that were not marked before.
    fn reach_some(&mut self, index: &Index, root: Root, ids: &[BlobId], pages: &mut Vec<Slot>) -> Outcome<()> {
        let copies = index.copies_of(ids);
        let mut expected = 0;
        for copies in copies.chunk_by(|left, right| left.asked == right.asked) {
            let place = copies[0].asked as usize;
            self.lack(&ids[expected..place], root)?;
            expected = place + 1;
            for copy in kept_copies(index, copies) {
                // Copies that are kept beside each other may name different blobs: only a reader can tell which one is right.
                if self.mark(copy.slot) && index.packs[copy.pack as usize].row.kind == Some(BlobKind::Page) {
                    pages.push(copy.slot);
                }
            }
        }
        self.lack(&ids[expected..], root)
    }

    /// Blobs that are in no pack.
    fn lack(&mut self, ids: &[BlobId], root: Root) -> Outcome<()> {
        self.missing.extend_from_slice(ids);
        match ids.first() {
            Some(id) if !root.set_aside => Err(Fault::answer(
                ErrorKind::Corrupt,
                format!("blob {id} is needed by a point and in no pack; nothing is collected until 'holdfast check' is clean"),
            )),
            _ => Ok(()),
        }
    }
}

/// The copies that are kept of a blob that is reached.
fn kept_copies<'a>(index: &'a Index, copies: &'a [PlacedCopy]) -> impl Iterator<Item = &'a PlacedCopy> {
    let damage = |copy: &PlacedCopy| index.packs[copy.pack as usize].damaged.get(&copy.place).copied();
    // A page whose links do not resolve is seen by nobody: it must not displace one whose do.
    let hidden = |copy: &PlacedCopy| index.packs[copy.pack as usize].condemned.get(&copy.place) == Some(&CondemnedRow::UNPROVEN);
    let sound = || copies.iter().filter(|copy| damage(copy).is_none());
    let winner = sound().find(|copy| !hidden(copy)).or_else(|| sound().next());
    let only_damaged = copies.iter().all(|copy| damage(copy) == Some(DamageSource::Verified));
    copies.iter().filter(move |copy| {
        let is_winner = winner.is_some_and(|winner| winner.slot == copy.slot);
        let kept_beside = match damage(copy) {
            Some(DamageSource::Verified) => false,
            Some(DamageSource::Reported | DamageSource::Unreadable) => true,
            None => index.packs[copy.pack as usize].row.recovered,
        };
        is_winner || kept_beside || only_damaged
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::{Table, samples};
    use crate::ledger::PackRow;
    use std::sync::Arc;

    const BLOB: BlobId = BlobId([7; 32]);

    /// Two packs with one blob each, of the same id; the damage is of the first one's copy.
    fn two_copies(damage: Option<DamageSource>, recovered: bool) -> Index {
        let mut index = Index::default();
        for number in 1..=2u8 {
            let row = PackRow { recovered, ..samples::pack_row(number, 1) };
            let footer = samples::footer(&row, &[BLOB]);
            samples::push(&mut index, row);
            index.add(Arc::new(Table::Tail(footer)), None);
        }
        index.packs[0].damaged = damage.map(|source| (0, source)).into_iter().collect();
        index
    }

    fn kept(index: &Index) -> [bool; 2] {
        let mut marks = Marks::new(index);
        let progress: ProgressSink = Arc::new(|_| {});
        marks.reach(index, Root { page: BLOB, set_aside: false }, &progress).unwrap();
        [0, 1].map(|table| marks.is_marked(Slot { table, ordinal: 0 }))
    }

    #[test]
    fn garbage_planted_under_an_existing_id_does_not_displace_the_good_copy() {
        assert_eq!(kept(&two_copies(None, false)), [true, false]);
        // Somebody who merely says that the good copy is bad does not get rid of it.
        assert_eq!(kept(&two_copies(Some(DamageSource::Reported), false)), [true, true]);
        assert_eq!(kept(&two_copies(Some(DamageSource::Unreadable), false)), [true, true]);
        // A copy whose checksum was found wrong here gives way to one that is sound.
        assert_eq!(kept(&two_copies(Some(DamageSource::Verified), false)), [false, true]);
        // After a rebuild nobody knows which came first.
        assert_eq!(kept(&two_copies(None, true)), [true, true]);
    }
}
