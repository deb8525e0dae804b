//! Marking: which copies the roots reach.
//!
//! Of a blob with several copies the lowest-numbered sound one is kept: garbage that a stolen agent plants later under an id
//! that exists never displaces the good copy. Copies that an agent merely reported or storage could not read, and copies in packs
//! whose order a rebuild does not know, are kept beside it.

use super::roots::Root;
use crate::fault::{Fault, Outcome};
use crate::index::{Index, PlacedCopy, Slot};
use crate::ledger::{CondemnedRow, DamageSource};
use crate::simulated::in_tests;
use contract::{ErrorKind, Progress, ProgressSink};
use format::blob::BlobKind;
use format::{BlobId, limits};
use std::num::NonZero;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::{mem, thread};

/// Blobs that all threads together look up at once, while there are more.
const TOGETHER: usize = in_tests(32, 256 << 10);
/// Of them, those of which all copies are known at once: somebody may have sent many.
const COPIES_TOGETHER: usize = in_tests(5, 8 << 10);
/// Pages that a thread takes at once.
const PAGES_TOGETHER: usize = in_tests(2, 64);
/// Threads, at most: each has its own blobs in memory.
const THREADS_MAX: usize = 4;
/// Entries of an index for which one thread is enough.
const ENTRIES_OF_ONE: usize = in_tests(8, 1 << 17);
/// Pages between two words about progress.
const PROGRESS_EVERY: u64 = 256;

/// Which entries of an index are reached.
pub(crate) struct Marks {
    bits: Vec<Vec<AtomicU64>>,
    pub(crate) pages: u64,
    /// Blobs that a root reaches and of which there is no copy at all.
    pub(crate) missing: Vec<BlobId>,
}

/// What the threads of a marking share.
struct Marking<'a> {
    index: &'a Index,
    bits: &'a [Vec<AtomicU64>],
    progress: &'a ProgressSink,
    /// Whether a blob without any copy is an error.
    must_be_there: bool,
    todo: Mutex<Todo>,
    /// There are more pages, or nobody will find any more.
    changed: Condvar,
}

struct Todo {
    /// Pages that were reached and whose links were not. What they name is fetched when there is room for it: all that the pages of a
    /// level name may be all that there is.
    pages: Vec<Slot>,
    /// Pages whose links were fetched.
    done: u64,
    /// Threads that may find more pages.
    busy: usize,
    missing: Vec<BlobId>,
    failed: Option<Fault>,
}

impl Marks {
    /// Nothing reached yet.
    pub(crate) fn new(index: &Index) -> Self {
        let bits = index.tables.iter().map(|table| (0..table.len().div_ceil(64)).map(|_| AtomicU64::new(0)).collect()).collect();
        Self { bits, pages: 0, missing: Vec::new() }
    }

    /// Whether the entry was reached.
    pub(crate) fn is_marked(&self, slot: Slot) -> bool {
        self.bits[slot.table as usize][slot.ordinal as usize / 64].load(Ordering::Relaxed) >> (slot.ordinal % 64) & 1 == 1
    }

    /// Marks everything that these roots reach. A blob without any copy is an error, unless the roots that reach it were set aside.
    pub(crate) fn reach(&mut self, index: &Index, roots: &[Root], progress: &ProgressSink) -> Outcome<()> {
        for set_aside in [false, true] {
            let mut ids: Vec<BlobId> = roots.iter().filter(|root| root.set_aside == set_aside).map(|root| root.page).collect();
            ids.sort_unstable();
            ids.dedup();
            let todo = Todo { pages: Vec::new(), done: self.pages, busy: 0, missing: mem::take(&mut self.missing), failed: None };
            let (must_be_there, todo) = (!set_aside, Mutex::new(todo));
            let marking = Marking { index, bits: &self.bits, progress, must_be_there, todo, changed: Condvar::new() };
            let outcome = ids.chunks(TOGETHER).try_for_each(|ids| marking.reach_some(ids));
            let outcome = outcome.and_then(|()| marking.reach_all());
            let todo = marking.todo.into_inner().expect("no panic under this lock");
            (self.pages, self.missing) = (todo.done, todo.missing);
            outcome?;
        }
        Ok(())
    }
}

impl Marking<'_> {
    fn lock(&self) -> MutexGuard<'_, Todo> {
        self.todo.lock().expect("no panic under this lock")
    }

    /// Marks what pages name, and so on.
    fn reach_all(&self) -> Outcome<()> {
        if !self.lock().pages.is_empty() {
            let entries: usize = self.index.tables.iter().map(|table| table.len()).sum();
            let cores = thread::available_parallelism().map_or(1, NonZero::get);
            let threads = if entries <= ENTRIES_OF_ONE { 1 } else { cores.min(THREADS_MAX) };
            thread::scope(|scope| {
                for _ in 1..threads {
                    // Where there is no thread to be had, fewer do it.
                    let _ = thread::Builder::new().spawn_scoped(scope, || self.work(TOGETHER / threads));
                }
                self.work(TOGETHER / threads);
            });
        }
        self.lock().failed.take().map_or(Ok(()), Err)
    }

    /// Marks until there is nothing left to do for anybody, about so many blobs at once.
    fn work(&self, together: usize) {
        let mut ids = Vec::new();
        while let Some(_busy) = self.fetch(&mut ids, together) {
            // Of each page they are sorted already, which this makes use of.
            ids.sort();
            ids.dedup();
            if let Err(fault) = self.reach_some(&ids) {
                self.lock().failed.get_or_insert(fault);
            }
            ids.clear();
        }
    }

    /// Fetches links of pages. None if no page is left and nobody can find one, or somebody failed.
    fn fetch(&self, ids: &mut Vec<BlobId>, together: usize) -> Option<Busy<'_>> {
        let mut todo = self.lock();
        while todo.pages.is_empty() && todo.busy > 0 && todo.failed.is_none() {
            todo = self.changed.wait(todo).expect("no panic under this lock");
        }
        if todo.pages.is_empty() || todo.failed.is_some() {
            return None;
        }
        todo.busy += 1;
        drop(todo);
        let busy = Busy(self);
        while ids.len() < together {
            let pages = self.take_pages((together - ids.len()) / limits::PAGE_LINKS_MAX + 1);
            if pages.is_empty() {
                break;
            }
            pages.into_iter().for_each(|page| self.index.each_link(page, |id| ids.push(id)));
        }
        Some(busy)
    }

    /// Takes pages of which the links are to be fetched, at most so many.
    fn take_pages(&self, most: usize) -> Vec<Slot> {
        let mut todo = self.lock();
        // Not all of them, so that others have something to do.
        let some = todo.pages.len().div_ceil(2).min(PAGES_TOGETHER).min(most);
        let rest = todo.pages.len() - some;
        let pages = todo.pages.split_off(rest);
        let before = todo.done;
        todo.done += pages.len() as u64;
        let done = todo.done;
        drop(todo);
        if done / PROGRESS_EVERY > before / PROGRESS_EVERY {
            (self.progress)(Progress { phase: "marking", done, total: None, bytes: 0 });
        }
        pages
    }

    /// Marks the copies of these blobs that are kept. Pages among them that were not marked before are to do.
    fn reach_some(&self, ids: &[BlobId]) -> Outcome<()> {
        let (mut pages, mut missing) = (Vec::new(), Vec::new());
        ids.chunks(COPIES_TOGETHER).for_each(|ids| self.reach_few(ids, &mut pages, &mut missing));
        let lacking = missing.first().filter(|_| self.must_be_there).copied();
        let has_more = !pages.is_empty();
        let mut todo = self.lock();
        todo.pages.append(&mut pages);
        todo.missing.append(&mut missing);
        drop(todo);
        if has_more {
            self.changed.notify_all();
        }
        lacking.map_or(Ok(()), |id| {
            Err(Fault::answer(
                ErrorKind::Corrupt,
                format!("blob {id} is needed by a point and in no pack; nothing is collected until 'holdfast check' is clean"),
            ))
        })
    }

    fn reach_few(&self, ids: &[BlobId], pages: &mut Vec<Slot>, missing: &mut Vec<BlobId>) {
        let copies = self.index.copies_of(ids);
        let mut expected = 0;
        for copies in copies.chunk_by(|left, right| left.asked == right.asked) {
            let place = copies[0].asked as usize;
            missing.extend_from_slice(&ids[expected..place]);
            expected = place + 1;
            for copy in kept_copies(self.index, copies) {
                // Copies that are kept beside each other may name different blobs: only a reader can tell which one is right.
                if self.mark(copy.slot) && self.index.packs[copy.pack as usize].row.kind == Some(BlobKind::Page) {
                    pages.push(copy.slot);
                }
            }
        }
        missing.extend_from_slice(&ids[expected..]);
    }

    /// Marks an entry; true if it was not marked before.
    fn mark(&self, slot: Slot) -> bool {
        let bit = 1 << (slot.ordinal % 64);
        self.bits[slot.table as usize][slot.ordinal as usize / 64].fetch_or(bit, Ordering::Relaxed) & bit == 0
    }
}

/// A thread that may find more pages, until this is dropped.
struct Busy<'a>(&'a Marking<'a>);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        let mut todo = self.0.todo.lock().unwrap_or_else(PoisonError::into_inner);
        todo.busy -= 1;
        // Whoever waits for pages has been told of them.
        let is_over = todo.busy == 0 || todo.failed.is_some() || thread::panicking();
        drop(todo);
        if is_over {
            self.0.changed.notify_all();
        }
    }
}

/// The copies that are kept of a blob that is reached.
fn kept_copies<'a>(index: &'a Index, copies: &'a [PlacedCopy]) -> impl Iterator<Item = &'a PlacedCopy> {
    // Whatever it is, the only one is kept.
    let is_only_one = copies.len() == 1;
    let damage = |copy: &PlacedCopy| index.packs[copy.pack as usize].damaged.get(&copy.place).copied();
    // A page whose links do not resolve is seen by nobody: it must not displace one whose do.
    let hidden = |copy: &PlacedCopy| index.packs[copy.pack as usize].condemned.get(&copy.place) == Some(&CondemnedRow::UNPROVEN);
    let sound = || copies.iter().filter(|copy| damage(copy).is_none());
    let winner = if is_only_one { None } else { sound().find(|copy| !hidden(copy)).or_else(|| sound().next()) };
    let only_damaged = is_only_one || copies.iter().all(|copy| damage(copy) == Some(DamageSource::Verified));
    copies.iter().filter(move |copy| {
        if only_damaged {
            return true;
        }
        let is_winner = winner.is_some_and(|winner| winner.slot == copy.slot);
        let kept_beside = match damage(copy) {
            Some(DamageSource::Verified) => false,
            Some(DamageSource::Reported | DamageSource::Unreadable) => true,
            None => index.packs[copy.pack as usize].row.recovered,
        };
        is_winner || kept_beside
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::{Table, samples};
    use crate::ledger::PackRow;
    use proptest::prelude::*;
    use std::sync::Arc;

    const BLOB: BlobId = BlobId([7; 32]);

    /// Two packs with one blob each, of the same id; the damage is of the first one's copy.
    fn two_copies(damage: Option<DamageSource>, recovered: bool) -> Index {
        let mut index = Index::default();
        for number in 1..=2u8 {
            let row = PackRow { recovered, ..samples::pack_row(number, 1) };
            let footer = samples::footer(&row, &[BLOB]);
            samples::push(&mut index, row);
            index.add(Arc::new(Table::tail(footer)), None);
        }
        index.packs[0].damaged = damage.map(|source| (0, source)).into_iter().collect();
        index
    }

    fn kept(index: &Index) -> [bool; 2] {
        let mut marks = Marks::new(index);
        let progress: ProgressSink = Arc::new(|_| {});
        marks.reach(index, &[Root { page: BLOB, set_aside: false }], &progress).unwrap();
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

    /// An index of pages in several packs, each naming some others by their numbers.
    fn graph(pages: &[(u8, Vec<u8>)]) -> Index {
        let id = |number: usize| BlobId([number as u8; 32]);
        let mut index = Index::default();
        for pack in 0..4 {
            let own: Vec<usize> = (0..pages.len()).filter(|page| pages[*page].0 % 4 == pack).collect();
            if own.is_empty() {
                continue;
            }
            let row = PackRow { kind: Some(BlobKind::Page), ..samples::pack_row(pack + 1, own.len() as u32) };
            let mut footer = samples::footer(&row, &own.iter().map(|page| id(*page)).collect::<Vec<_>>());
            footer.kind = BlobKind::Page;
            for (entry, page) in footer.entries.iter_mut().zip(&own) {
                entry.links = pages[*page].1.iter().map(|link| id(usize::from(*link))).collect();
                entry.links.sort_unstable();
                entry.links.dedup();
            }
            samples::push(&mut index, row);
            index.add(Arc::new(Table::tail(footer)), None);
        }
        index
    }

    fn reached(pages: &[(u8, Vec<u8>)]) -> Option<Vec<bool>> {
        let (mut reached, mut left) = (vec![false; pages.len()], vec![0]);
        while let Some(page) = left.pop() {
            if !mem::replace(reached.get_mut(page)?, true) {
                left.extend(pages[page].1.iter().map(|link| usize::from(*link)));
            }
        }
        Some(reached)
    }

    proptest! {
        #[test]
        fn threads_together_mark_what_a_plain_search_reaches_and_end_where_something_is_missing(
            pages in prop::collection::vec((any::<u8>(), prop::collection::vec(0..120_u8, 0..6)), 1..120),
            whole in any::<bool>(),
        ) {
            let count = pages.len() as u8;
            let within = |(pack, links): (u8, Vec<u8>)| (pack, links.into_iter().map(|link| if whole { link % count } else { link }).collect());
            let pages: Vec<(u8, Vec<u8>)> = pages.into_iter().map(within).collect();
            let index = graph(&pages);
            let mut marks = Marks::new(&index);
            let progress: ProgressSink = Arc::new(|_| {});
            let outcome = marks.reach(&index, &[Root { page: BlobId([0; 32]), set_aside: false }], &progress);
            match reached(&pages) {
                None => prop_assert!(outcome.is_err()),
                Some(expected) => {
                    prop_assert!(outcome.is_ok());
                    for (page, expected) in expected.into_iter().enumerate() {
                        let copies = index.copies_of(&[BlobId([page as u8; 32])]);
                        prop_assert_eq!(marks.is_marked(copies[0].slot), expected, "page {}", page);
                    }
                }
            }
        }
    }
}
