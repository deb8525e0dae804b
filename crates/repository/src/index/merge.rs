//! Making segments: of tails, and of smaller segments.
//!
//! A set of segments replaces another in one transaction, and only if it covers the same packs with the same numbers of
//! entries: a pack's `segment` field moves with it.

use super::files::{Draft, SegmentBytes};
use super::load::damaged;
use super::{Index, Pack, Table};
use crate::fault::{Fault, Outcome};
use crate::heavy::{compute, compute_aside};
use crate::ledger::{DomainRow, PackRow, PackState, SegmentRow, Transaction};
use crate::repository::Inner;
use crate::simulated::in_tests;
use bytes::Bytes;
use contract::{Error, ErrorKind};
use format::PackName;
use format::pack::Footer;
use format::segment::{self, Segment};
use std::collections::{BTreeSet, HashSet};
use std::io;
use std::sync::Arc;

/// Tails of all sessions that are left before they are merged.
const TAILS_MAX: usize = in_tests(6, 64);
/// The same of bytes of their footers.
const TAILS_BYTES_MAX: usize = in_tests(600, 32 << 20);
/// Segments that are left before the smaller ones are merged, while somebody waits for a commit.
const SEGMENTS_MAX: usize = in_tests(3, 12);
/// The same before a marking, which looks for each link in each of them: entries are written more often for it.
const MARKED_SEGMENTS_MAX: usize = in_tests(3, 4);
/// Entries that are merged while somebody waits for a commit: less than a second's work. Larger merges are left to collections.
const WAITED_FOR_ENTRIES_MAX: u64 = 1 << 20;
/// A pack counts as so many entries at least, since its row is written anew.
const PACK_ENTRIES_MIN: u64 = in_tests(1, 64) as u64;
/// Merges of one collection before it goes on, each of which leaves fewer segments: sessions that send meanwhile make new ones.
const MERGES_MAX: usize = 16;
/// Those of them that come to nothing, since others merge the same segments.
const IN_VAIN_MAX: usize = 3;

impl Inner {
    /// Merges what somebody waits for: tails, if there are many, and segments of which there is not much. Those are left to whoever merges
    /// segments already.
    pub(crate) async fn merge_some(&self) -> Outcome<()> {
        self.merge_some_tails().await?;
        if let Ok(_merging) = self.merging.try_lock() {
            self.merge_segments(SEGMENTS_MAX, WAITED_FOR_ENTRIES_MAX).await?;
        }
        Ok(())
    }

    /// Merges all tails, and segments until a marking has few to look into.
    pub(crate) async fn merge_for_marking(&self) -> Outcome<()> {
        self.merge_all(MARKED_SEGMENTS_MAX).await
    }

    /// Merges all tails, and segments as there are too many.
    pub(crate) async fn merge_most(&self) -> Outcome<()> {
        self.merge_all(SEGMENTS_MAX).await
    }

    async fn merge_all(&self, most: usize) -> Outcome<()> {
        self.merge_tails(0).await?;
        let _merging = self.merging.lock().await;
        let mut in_vain = 0;
        for _ in 0..MERGES_MAX {
            match self.merge_segments(most, u64::MAX).await? {
                Merging::Nothing => break,
                // One of two small ones may be large enough for the next.
                Merging::Done => {}
                Merging::InVain => in_vain += 1,
            }
            if in_vain == IN_VAIN_MAX {
                tracing::warn!("others merge the same index segments: look-ups stay slower until the next collection");
                break;
            }
        }
        Ok(())
    }

    /// Merges tails, if there are many.
    pub(crate) async fn merge_some_tails(&self) -> Outcome<()> {
        self.merge_tails(TAILS_MAX).await
    }

    /// Removes files of segments that were replaced by a process that died before it removed them. In a transaction, since a file is there
    /// before the row that names it.
    pub(crate) async fn remove_left_files(&self) -> Outcome<()> {
        let Some(domain) = self.ledger.snapshot().await?.domain(self.domain).await? else { return Ok(()) };
        self.fence(domain.incarnation).await?;
        let mut transaction = self.ledger.begin().await?;
        let named: BTreeSet<u64> = transaction.segments(self.domain).await?.iter().map(|row| row.id).collect();
        let is_same = transaction.domain(self.domain).await?.is_some_and(|now| now.nonce == domain.nonce);
        if is_same {
            compute(|| self.files.remove_left(&named));
        }
        // Nobody waits for the others.
        drop(transaction);
        compute(|| self.files.remove_drafts());
        Ok(())
    }

    async fn merge_tails(&self, most: usize) -> Outcome<()> {
        let mut transaction = self.ledger.begin().await?;
        let rows = transaction.tails(self.domain).await?;
        let bytes: usize = rows.iter().filter_map(|row| row.footer.as_ref()).map(Bytes::len).sum();
        if rows.len() > most || bytes > TAILS_BYTES_MAX {
            let tails = rows.into_iter().map(|mut row| {
                let footer = row.footer.take().ok_or_else(|| Fault::answer(ErrorKind::Internal, "a tail has no footer"))?;
                Ok((row, Arc::new(Table::tail(Footer::parse(&footer)?))))
            });
            let tails = tails.collect::<Outcome<Vec<_>>>()?;
            self.merge_rows(transaction.as_mut(), tails).await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    /// One segment of these packs, which are tails.
    pub(super) async fn merge_rows(
        &self,
        transaction: &mut dyn Transaction,
        tails: Vec<(PackRow, Arc<Table>)>,
    ) -> Outcome<Option<(u64, Arc<Table>)>> {
        if tails.is_empty() {
            return Ok(None);
        }
        let footers = tails.iter().filter_map(|(row, table)| Some((row.number, row.length, table.tail_footer()?)));
        let mut packs: Vec<(u64, u64, &Footer)> = footers.collect();
        packs.sort_by_key(|(number, _, footer)| (*number, footer.name));
        let bytes = compute(|| segment::build(&packs))?;
        let rows = tails.into_iter().map(|(row, _)| row).collect();
        self.store_segment(transaction, &bytes, rows).await.map(Some)
    }

    /// Makes these bytes a segment that covers these packs.
    async fn store_segment(
        &self,
        transaction: &mut dyn Transaction,
        bytes: &[u8],
        rows: Vec<PackRow>,
    ) -> Outcome<(u64, Arc<Table>)> {
        let id = self.next_segment(transaction).await?;
        compute(|| self.files.store(id, bytes)).map_err(|error| cannot_store(&error))?;
        let opened = self.files.open(id).map_err(|error| cannot_store(&error))?;
        let segment = compute(|| Segment::open(opened))?;
        let names: HashSet<PackName> = segment.packs().iter().map(|pack| pack.name).collect();
        if rows.iter().any(|row| !names.contains(&row.name)) {
            return Err(does_not_cover());
        }
        self.put_segment(transaction, id, rows.len() as u64, &segment).await?;
        for row in rows {
            transaction.put_pack(&PackRow { segment: Some(id), footer: None, ..row }).await?;
        }
        Ok((id, Arc::new(Table::Segment(segment))))
    }

    async fn put_segment(
        &self,
        transaction: &mut dyn Transaction,
        id: u64,
        packs: u64,
        segment: &Segment<SegmentBytes>,
    ) -> Outcome<()> {
        let entries = segment.len() as u64;
        Ok(transaction.put_segment(&SegmentRow { domain: self.domain, id, packs, entries }).await?)
    }

    async fn next_segment(&self, transaction: &mut dyn Transaction) -> Outcome<u64> {
        let domain = transaction.domain(self.domain).await?;
        let mut domain = domain.ok_or_else(|| Fault::answer(ErrorKind::NotFound, "the database does not know the domain"))?;
        let id = domain.next_segment;
        domain.next_segment += 1;
        transaction.put_domain(&domain).await?;
        Ok(id)
    }

    /// Merges the smaller segments, packs that are gone left out. The file is made while others write to the ledger; in one
    /// transaction it then takes the place of the segments that it was made of, if they are still there.
    async fn merge_segments(&self, most: usize, entries_max: u64) -> Outcome<Merging> {
        let mut transaction = self.ledger.snapshot().await?;
        if to_merge(sizes(&transaction.segments(self.domain).await?), most, entries_max).is_empty() {
            return Ok(Merging::Nothing);
        }
        drop(transaction);
        let (mut transaction, index) = self.snapshot_with_index().await?;
        let small = to_merge(sizes(&transaction.segments(self.domain).await?), most, entries_max);
        let Some(domain) = transaction.domain(self.domain).await? else { return Ok(Merging::Nothing) };
        drop(transaction);
        let bytes = segments_of(&index, &small).iter().map(|segment| segment.bytes().as_ref().len() as u64).sum();
        if small.is_empty() || !self.make_room_for_merge(bytes) {
            return Ok(Merging::Nothing);
        }
        let name = self.environment.random();
        let write = || self.write_merged(&index, &small, name);
        let draft = if entries_max > WAITED_FOR_ENTRIES_MAX { compute_aside(write) } else { compute(write) }?;
        match self.replace_segments(&Replacing { small: &small, domain: &domain, draft, packs: None }).await? {
            Replaced::Not => Ok(Merging::InVain),
            Replaced::ByNothing | Replaced::By(..) => Ok(Merging::Done),
        }
    }

    /// Removes drafts left behind, and answers whether there is room for one. Merging only makes look-ups faster: it must not fill a disk that
    /// others need, least of all in a collection that is to free it.
    pub(super) fn make_room_for_merge(&self, bytes: u64) -> bool {
        self.files.remove_drafts();
        let has_room = self.files.has_room(bytes);
        if !has_room {
            tracing::warn!(bytes, "no room to merge index segments: look-ups stay slower until there is");
        }
        has_room
    }

    /// A draft takes the place of the segments that it was made of, behind the fence: a rebuild that set this database aside has other segments
    /// in the same directory by now.
    pub(super) async fn replace_segments(&self, replacing: &Replacing<'_>) -> Outcome<Replaced> {
        let replaced = self.replace_behind_fence(replacing).await;
        self.files.remove_draft(&replacing.draft);
        let replaced = replaced?;
        if !matches!(replaced, Replaced::Not) {
            replacing.small.iter().for_each(|id| self.files.remove(*id));
        }
        Ok(replaced)
    }

    async fn replace_behind_fence(&self, replacing: &Replacing<'_>) -> Outcome<Replaced> {
        self.fence(replacing.domain.incarnation).await?;
        let opened = match self.files.open_draft(&replacing.draft) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Replaced::Not),
            opened => opened.map_err(|error| cannot_store(&error))?,
        };
        let segment = compute(|| Segment::open(opened))?;
        self.swap_segments(replacing, segment).await
    }

    /// The transaction for which others wait: whatever takes long was done before.
    async fn swap_segments(&self, replacing: &Replacing<'_>, segment: Segment<SegmentBytes>) -> Outcome<Replaced> {
        let Replacing { small, domain, draft, packs } = replacing;
        let mut transaction = self.ledger.begin().await?;
        let is_same = transaction.domain(self.domain).await?.is_some_and(|now| now.nonce == domain.nonce);
        let there: BTreeSet<u64> = transaction.segments(self.domain).await?.iter().map(|row| row.id).collect();
        if !is_same || !small.is_subset(&there) {
            return Ok(Replaced::Not);
        }
        let id = self.next_segment(transaction.as_mut()).await?;
        let moved = match packs {
            None => transaction.move_packs(self.domain, small, id).await?,
            Some(packs) => self.move_named(transaction.as_mut(), small, id, packs).await?,
        };
        // Packs that went while the file was made are in it all the same.
        if moved > segment.packs().len() as u64 {
            return Err(does_not_cover());
        }
        let replaced = if moved == 0 {
            Replaced::ByNothing
        } else {
            match self.files.adopt(draft, id) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Replaced::Not),
                outcome => outcome.map_err(|error| cannot_store(&error))?,
            }
            self.put_segment(transaction.as_mut(), id, moved, &segment).await?;
            Replaced::By(id, Arc::new(Table::Segment(segment)))
        };
        for id in *small {
            transaction.remove_segment(self.domain, *id).await?;
        }
        transaction.commit().await?;
        Ok(replaced)
    }

    /// Of these packs those that the segments cover, one by one: not all of a domain's are looked through for a few.
    async fn move_named(
        &self,
        transaction: &mut dyn Transaction,
        small: &BTreeSet<u64>,
        segment: u64,
        packs: &[PackName],
    ) -> Outcome<u64> {
        let mut moved = 0;
        for name in packs {
            let row = transaction.pack_alone(self.domain, *name).await?;
            let row = row.filter(|row| matches!(row.state, PackState::Registered | PackState::Proven));
            if let Some(row) = row.filter(|row| row.segment.is_some_and(|id| small.contains(&id))) {
                transaction.update_pack(&PackRow { segment: Some(segment), ..row }).await?;
                moved += 1;
            }
        }
        Ok(moved)
    }

    /// One file of what these segments cover, footer by footer and section by section: their entries never stand in memory
    /// together.
    fn write_merged(&self, index: &Index, small: &BTreeSet<u64>, name: [u8; 16]) -> Outcome<Draft> {
        for (table, place, pack) in covered(index, small) {
            if Footer::hash(&table.footer(place, self.domain).encode()) != pack.row.footer_hash {
                return Err(damaged(format!(
                    "an index segment does not hold the footer of pack {} as it was registered",
                    pack.row.name
                )));
            }
        }
        let kept: HashSet<PackName> = covered(index, small).map(|(_, _, pack)| pack.row.name).collect();
        let segments = segments_of(index, small);
        let merged = self.files.merge(name, &segments, |pack| kept.contains(&pack.name));
        merged.map_err(|error| cannot_merge(&error))
    }
}

/// What came of looking for segments to merge.
enum Merging {
    /// There are none, or no room.
    Nothing,
    /// Others merged some of them first.
    InVain,
    Done,
}

/// A draft that is to take the place of segments.
pub(super) struct Replacing<'a> {
    /// The segments.
    pub(super) small: &'a BTreeSet<u64>,
    /// The domain when they were read.
    pub(super) domain: &'a DomainRow,
    pub(super) draft: Draft,
    /// Their packs, where they are known: otherwise they have to be looked for among all.
    pub(super) packs: Option<&'a [PackName]>,
}

/// What came of putting a draft in the place of segments.
pub(super) enum Replaced {
    /// Somebody else merged them, or made the database anew, or took the draft for left behind.
    Not,
    /// All their packs are gone.
    ByNothing,
    /// The segment that covers their packs now.
    By(u64, Arc<Table>),
}

/// Ids and sizes.
fn sizes(segments: &[SegmentRow]) -> impl Iterator<Item = (u64, u64)> {
    segments.iter().map(|row| (row.id, row.entries.max(row.packs.saturating_mul(PACK_ENTRIES_MIN))))
}

/// Segments (ids and sizes) that are to be merged: none as long as there are few. Then the two smallest, and each larger one that is no
/// larger than those before it together: so where twelve are left an entry is written anew a few times, and not for each small segment.
/// Together they are no larger than that.
pub(super) fn to_merge(segments: impl Iterator<Item = (u64, u64)>, most: usize, size_max: u64) -> BTreeSet<u64> {
    let mut merged = BTreeSet::new();
    let mut by_size: Vec<(u64, u64)> = segments.map(|(id, size)| (size, id)).collect();
    if by_size.len() <= most {
        return merged;
    }
    by_size.sort_unstable();
    let mut before = 0_u64;
    for (size, id) in by_size {
        let together = before.saturating_add(size);
        if together > size_max || merged.len() >= 2 && size > before {
            break;
        }
        merged.insert(id);
        before = together;
    }
    if merged.len() < 2 { BTreeSet::new() } else { merged }
}

/// These segments, as far as the index has packs of them.
fn segments_of<'a>(index: &'a Index, small: &BTreeSet<u64>) -> Vec<&'a Segment<SegmentBytes>> {
    let is_small = |packs: &[Option<u32>]| {
        let mut packs = packs.iter().flatten().map(|pack| index.packs[*pack as usize].row.segment);
        packs.any(|segment| segment.is_some_and(|id| small.contains(&id)))
    };
    let tables = index.tables.iter().zip(&index.table_packs).filter(|(_, packs)| is_small(packs));
    tables.filter_map(|(table, _)| table.segment()).collect()
}

/// Packs that these segments cover: the table, their place in it, and themselves.
fn covered<'a>(index: &'a Index, segments: &'a BTreeSet<u64>) -> impl Iterator<Item = (&'a Table, u32, &'a Pack)> {
    let tables = index.tables.iter().zip(&index.table_packs);
    let packs = tables.flat_map(|(table, packs)| (0..).zip(packs).map(move |(place, pack)| (table.as_ref(), place, *pack)));
    let known = packs.filter_map(|(table, place, pack)| Some((table, place, &index.packs[pack? as usize])));
    known.filter(|(_, _, pack)| pack.row.segment.is_some_and(|id| segments.contains(&id)))
}

fn does_not_cover() -> Fault {
    Fault::answer(ErrorKind::Internal, "an index segment does not cover the packs that it should")
}

pub(super) fn cannot_merge(error: &io::Error) -> Fault {
    match error.kind() {
        io::ErrorKind::InvalidData => damaged(format!("an index segment is damaged: {error}")),
        _ => cannot_store(error),
    }
}

fn cannot_store(error: &io::Error) -> Fault {
    let answer = Error::new(ErrorKind::Unavailable, format!("cannot write an index segment: {error}"));
    Fault::Answer(answer.with_hint("make room on the disk that holds the vault's index and run the command again"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use format::DomainId;

    fn rows(entries: &[u64]) -> Vec<SegmentRow> {
        (1..)
            .zip(entries)
            .map(|(id, entries)| SegmentRow { domain: DomainId([0; 16]), id, packs: 1, entries: *entries })
            .collect()
    }

    fn merged(entries: &[u64], entries_max: u64) -> Vec<u64> {
        to_merge(sizes(&rows(entries)), 3, entries_max).into_iter().collect()
    }

    #[test]
    fn few_segments_are_left_and_of_many_the_smaller_ones_are_merged() {
        assert_eq!(merged(&[1, 1, 1], u64::MAX), []);
        assert_eq!(merged(&[1000, 1, 5, 2], u64::MAX), [2, 4], "what is larger than they together stays");
        assert_eq!(merged(&[1000, 5, 5, 10, 20, 40], u64::MAX), [2, 3, 4, 5, 6]);
        assert_eq!(merged(&[1000, 5, 5, 10, 20, 40], 30), [2, 3, 4], "somebody waits");
        assert_eq!(merged(&[1000, 500, 500, 800], 999), [], "and for large ones nobody does");
    }

    #[test]
    fn two_small_ones_that_are_merged_may_be_large_enough_for_the_next() {
        let mut segments = vec![2, 3, 40, 40, 40];
        let mut steps = Vec::new();
        loop {
            let gone = merged(&segments, u64::MAX);
            if gone.is_empty() {
                break;
            }
            let together = gone.iter().map(|id| segments[*id as usize - 1]).sum();
            segments = (1..).zip(segments).filter(|(id, _)| !gone.contains(id)).map(|(_, entries)| entries).collect();
            segments.push(together);
            steps.push(segments.len());
        }
        assert_eq!((steps, segments), (vec![4, 1], vec![125]));
    }

    /// Entries written where so many segments of one entry are merged after each, until no more than `most` are left.
    fn written(number: u64, most: usize) -> u64 {
        let (mut segments, mut written) = (Vec::new(), 0);
        for _ in 0..number {
            segments.push(1);
            loop {
                let gone = to_merge(sizes(&rows(&segments)), most, u64::MAX);
                if gone.is_empty() {
                    break;
                }
                let together: u64 = gone.iter().map(|id| segments[*id as usize - 1]).sum();
                written += together;
                segments = (1..).zip(segments).filter(|(id, _)| !gone.contains(id)).map(|(_, entries)| entries).collect();
                segments.push(together);
            }
            assert!(segments.len() <= most);
        }
        assert_eq!(segments.iter().sum::<u64>(), number);
        written
    }

    #[test]
    fn an_entry_is_written_a_few_times_where_twelve_segments_are_left_and_more_often_where_a_marking_wants_four() {
        assert!(written(4096, 12) < 4 * 4096);
        assert!(written(365, 4) < 10 * 365, "of a collection every day");
        assert!(written(4096, 4) < 60 * 4096);
    }
}
