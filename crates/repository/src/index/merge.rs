//! Making segments: of tails, and of smaller segments.
//!
//! A set of segments replaces another in one transaction, and only if it covers the same packs with the same numbers of
//! entries: a pack's `segment` field moves with it.

use super::files::SegmentBytes;
use super::load::damaged;
use super::{Index, Pack, Table};
use crate::fault::{Fault, Outcome};
use crate::heavy::compute;
use crate::ledger::{PackRow, PackState, SegmentRow, Transaction};
use crate::repository::Inner;
use crate::simulated::in_tests;
use crate::view::SessionView;
use contract::{Error, ErrorKind};
use format::pack::Footer;
use format::segment::{self, Segment};
use format::{ClaimNonce, PackName};
use std::collections::{BTreeSet, HashSet};
use std::io;
use std::sync::Arc;

/// Tails of all sessions that are left before they are merged.
pub(crate) const TAILS_MAX: usize = in_tests(6, 64);
/// Segments that are left before the smaller ones are merged.
const SEGMENTS_MAX: usize = in_tests(3, 12);
/// A segment with more entries than this is left alone.
const SMALL_SEGMENT_ENTRIES: u64 = 4 << 20;

impl Inner {
    /// Merges the session's own packs, which nobody else looks up one by one afterwards either.
    pub(crate) async fn merge_own_packs(&self, view: &SessionView) -> Outcome<()> {
        let mut transaction = self.ledger.begin().await?;
        let mut rows = Vec::new();
        for name in view.own_tails() {
            rows.extend(transaction.pack(self.domain, name).await?.filter(|row| row.footer.is_some()));
        }
        let table = self.merge_rows(transaction.as_mut(), rows).await?;
        transaction.commit().await?;
        // A collector may have merged them all: the view keeps its own footers then.
        view.merge_own(table);
        Ok(())
    }

    /// Merges tails into a segment if there are more than `most`, and small segments if there are many.
    pub(crate) async fn merge_tails(&self, most: usize) -> Outcome<()> {
        let mut transaction = self.ledger.begin().await?;
        let rows = transaction.tails(self.domain).await?;
        if rows.len() > most {
            self.merge_rows(transaction.as_mut(), rows).await?;
        }
        transaction.commit().await?;
        self.merge_small_segments().await
    }

    /// One segment of these packs, whose rows still have their footers.
    async fn merge_rows(&self, transaction: &mut dyn Transaction, rows: Vec<PackRow>) -> Outcome<Option<Arc<Table>>> {
        if rows.is_empty() {
            return Ok(None);
        }
        let mut packs = Vec::with_capacity(rows.len());
        for row in &rows {
            let footer = row.footer.as_ref().ok_or_else(|| Fault::answer(ErrorKind::Internal, "a tail has no footer"))?;
            packs.push((row.number, row.length, Footer::parse(footer)?));
        }
        packs.sort_by_key(|(number, _, footer)| (*number, footer.name));
        self.store_segment(transaction, &packs, rows).await.map(Some)
    }

    async fn store_segment(
        &self,
        transaction: &mut dyn Transaction,
        packs: &[(u64, u64, Footer)],
        rows: Vec<PackRow>,
    ) -> Outcome<Arc<Table>> {
        let bytes = compute(|| segment::build(packs))?;
        let id = self.next_segment(transaction).await?;
        compute(|| self.files.store(id, &bytes)).map_err(|error| cannot_store(&error))?;
        self.register_segment(transaction, id, rows).await
    }

    async fn next_segment(&self, transaction: &mut dyn Transaction) -> Outcome<u64> {
        let domain = transaction.domain(self.domain).await?;
        let mut domain = domain.ok_or_else(|| Fault::answer(ErrorKind::NotFound, "the database does not know the domain"))?;
        let id = domain.next_segment;
        domain.next_segment += 1;
        transaction.put_domain(&domain).await?;
        Ok(id)
    }

    /// The segment's file is there: these packs are in it from now on.
    async fn register_segment(&self, transaction: &mut dyn Transaction, id: u64, rows: Vec<PackRow>) -> Outcome<Arc<Table>> {
        let opened = self.files.open(id).map_err(|error| cannot_store(&error))?;
        let segment = Segment::open(opened)?;
        // Packs that went while the file was made are in it all the same.
        let names: HashSet<PackName> = segment.packs().iter().map(|pack| pack.name).collect();
        if rows.iter().any(|row| !names.contains(&row.name)) {
            return Err(Fault::answer(ErrorKind::Internal, "an index segment does not cover the packs that it should"));
        }
        let (packs, entries) = (rows.len() as u64, segment.len() as u64);
        transaction.put_segment(&SegmentRow { domain: self.domain, id, packs, entries }).await?;
        for row in rows {
            transaction.put_pack(&PackRow { segment: Some(id), footer: None, ..row }).await?;
        }
        Ok(Arc::new(Table::Segment(segment)))
    }

    /// Merges small segments, packs that are gone left out. The file is made while others write to the ledger; in one
    /// transaction it then takes the place of the segments that it was made of, if they are still there.
    async fn merge_small_segments(&self) -> Outcome<()> {
        let mut transaction = self.ledger.snapshot().await?;
        if small_segments(&transaction.segments(self.domain).await?).is_empty() {
            return Ok(());
        }
        drop(transaction);
        let (mut transaction, index) = self.snapshot_with_index().await?;
        let small = small_segments(&transaction.segments(self.domain).await?);
        let Some(domain) = transaction.domain(self.domain).await? else { return Ok(()) };
        drop(transaction);
        if small.is_empty() {
            return Ok(());
        }
        let draft = self.environment.random();
        compute(|| self.write_merged(&index, &small, draft))?;
        // A rebuild that set this database aside has other segments in the same directory by now.
        if let Err(fenced) = self.fence(domain.incarnation).await {
            self.files.remove_draft(draft);
            return Err(fenced);
        }
        let swapped = self.swap_segments(&small, domain.nonce, draft).await;
        self.files.remove_draft(draft);
        if swapped? {
            small.into_iter().for_each(|id| self.files.remove(id));
        }
        Ok(())
    }

    /// False if somebody else merged these segments, or made the database anew, or gave up the draft for left over.
    async fn swap_segments(&self, small: &BTreeSet<u64>, nonce: ClaimNonce, draft: [u8; 16]) -> Outcome<bool> {
        let mut transaction = self.ledger.begin().await?;
        let is_same = transaction.domain(self.domain).await?.is_some_and(|domain| domain.nonce == nonce);
        let there: BTreeSet<u64> = transaction.segments(self.domain).await?.iter().map(|row| row.id).collect();
        if !is_same || !small.is_subset(&there) {
            return Ok(false);
        }
        let mut rows = transaction.packs(self.domain).await?;
        rows.retain(|row| matches!(row.state, PackState::Registered | PackState::Proven));
        rows.retain(|row| row.segment.is_some_and(|id| small.contains(&id)));
        if !rows.is_empty() {
            let id = self.next_segment(transaction.as_mut()).await?;
            match self.files.adopt(draft, id) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
                outcome => outcome.map_err(|error| cannot_store(&error))?,
            }
            self.register_segment(transaction.as_mut(), id, rows).await?;
        }
        for id in small {
            transaction.remove_segment(self.domain, *id).await?;
        }
        transaction.commit().await?;
        Ok(true)
    }

    /// One file of what these segments cover, footer by footer and section by section: their entries never stand in memory
    /// together.
    fn write_merged(&self, index: &Index, small: &BTreeSet<u64>, draft: [u8; 16]) -> Outcome<()> {
        for (table, place, pack) in covered(index, small) {
            if Footer::hash(&table.footer(place, self.domain).encode()) != pack.row.footer_hash {
                return Err(damaged(format!(
                    "an index segment does not hold the footer of pack {} as it was registered",
                    pack.row.name
                )));
            }
        }
        let kept: HashSet<PackName> = covered(index, small).map(|(_, _, pack)| pack.row.name).collect();
        let is_small = |packs: &[Option<u32>]| {
            let mut packs = packs.iter().flatten().map(|pack| index.packs[*pack as usize].row.segment);
            packs.any(|segment| segment.is_some_and(|id| small.contains(&id)))
        };
        let tables = index.tables.iter().zip(&index.table_packs).filter(|(_, packs)| is_small(packs));
        let segments: Vec<&Segment<SegmentBytes>> = tables
            .filter_map(|(table, _)| match table.as_ref() {
                Table::Segment(segment) => Some(segment),
                Table::Tail(_) => None,
            })
            .collect();
        let merged = self.files.merge(draft, &segments, |pack| kept.contains(&pack.name));
        merged.map_err(|error| match error.kind() {
            io::ErrorKind::InvalidData => damaged(format!("an index segment is damaged: {error}")),
            _ => cannot_store(&error),
        })
    }
}

/// Segments that are to be merged: none as long as there are few.
fn small_segments(segments: &[SegmentRow]) -> BTreeSet<u64> {
    let small = segments.iter().filter(|row| row.entries <= SMALL_SEGMENT_ENTRIES).map(|row| row.id).collect::<BTreeSet<u64>>();
    if segments.len() <= SEGMENTS_MAX || small.len() < 2 { BTreeSet::new() } else { small }
}

/// Packs that these segments cover: the table, their place in it, and themselves.
fn covered<'a>(index: &'a Index, segments: &'a BTreeSet<u64>) -> impl Iterator<Item = (&'a Table, u32, &'a Pack)> {
    let tables = index.tables.iter().zip(&index.table_packs);
    let packs = tables.flat_map(|(table, packs)| (0..).zip(packs).map(move |(place, pack)| (table.as_ref(), place, *pack)));
    let known = packs.filter_map(|(table, place, pack)| Some((table, place, &index.packs[pack? as usize])));
    known.filter(|(_, _, pack)| pack.row.segment.is_some_and(|id| segments.contains(&id)))
}

fn cannot_store(error: &io::Error) -> Fault {
    let answer = Error::new(ErrorKind::Unavailable, format!("cannot write an index segment: {error}"));
    Fault::Answer(answer.with_hint("make room on the disk that holds the vault's index and run the command again"))
}
