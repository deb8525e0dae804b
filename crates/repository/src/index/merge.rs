//! Making segments: of tails, and of smaller segments.
//!
//! A set of segments replaces another in one transaction, and only if it covers the same packs with the same numbers of
//! entries: a pack's `segment` field moves with it.

use super::{Index, Table, TableCache};
use crate::fault::{Fault, Outcome};
use crate::ledger::{PackRow, PackState, SegmentRow, Transaction};
use crate::repository::Inner;
use crate::simulated::in_tests;
use crate::view::SessionView;
use contract::{Error, ErrorKind};
use format::pack::Footer;
use format::segment::{self, Segment};
use std::collections::BTreeSet;
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
        let gone = self.merge_small_segments(transaction.as_mut()).await?;
        transaction.commit().await?;
        gone.into_iter().for_each(|id| self.files.remove(id));
        Ok(())
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
        let bytes = segment::build(packs)?;
        let domain = transaction.domain(self.domain).await?;
        let mut domain = domain.ok_or_else(|| Fault::answer(ErrorKind::NotFound, "the database does not know the domain"))?;
        let id = domain.next_segment;
        domain.next_segment += 1;
        self.files.store(id, &bytes).map_err(|error| cannot_store(&error))?;
        let entries = packs.iter().map(|(_, _, footer)| footer.entries.len() as u64).sum();
        transaction.put_segment(&SegmentRow { domain: self.domain, id, packs: packs.len() as u64, entries }).await?;
        transaction.put_domain(&domain).await?;
        for row in rows {
            transaction.put_pack(&PackRow { segment: Some(id), footer: None, ..row }).await?;
        }
        let opened = self.files.open(id).map_err(|error| cannot_store(&error))?;
        Ok(Arc::new(Table::Segment(Segment::open(opened)?)))
    }

    /// Merges small segments, packs that are gone left out. Answers the segments that no row names any more.
    async fn merge_small_segments(&self, transaction: &mut dyn Transaction) -> Outcome<Vec<u64>> {
        let segments = transaction.segments(self.domain).await?;
        if segments.len() <= SEGMENTS_MAX {
            return Ok(Vec::new());
        }
        let small: BTreeSet<u64> = segments.iter().filter(|row| row.entries <= SMALL_SEGMENT_ENTRIES).map(|row| row.id).collect();
        if small.len() < 2 {
            return Ok(Vec::new());
        }
        // Not this process's cache: a segment of this transaction may never be committed, and its id be given to another one.
        let index = Index::load(transaction, self.domain, &self.files, &TableCache::default()).await?;
        let (mut packs, mut rows) = (Vec::new(), Vec::new());
        for (number, table) in index.tables.iter().enumerate() {
            for (place, pack) in index.table_packs[number].iter().enumerate() {
                let Some(pack) = pack.map(|pack| &index.packs[pack as usize]) else { continue };
                if !pack.row.segment.is_some_and(|id| small.contains(&id)) {
                    continue;
                }
                let footer = table.footer(place as u32, self.domain);
                if Footer::hash(&footer.encode()) != pack.row.footer_hash {
                    let message =
                        format!("an index segment does not hold the footer of pack {} as it was registered", pack.row.name);
                    let error = Error::new(ErrorKind::Corrupt, message);
                    return Err(Fault::Answer(error.with_hint("run 'holdfast rebuild': it makes the index anew from storage")));
                }
                packs.push((pack.row.number, pack.row.length, footer));
                rows.push(pack.row.clone());
            }
        }
        debug_assert!(rows.iter().all(|row| matches!(row.state, PackState::Registered | PackState::Proven)));
        packs.sort_by_key(|(number, _, footer)| (*number, footer.name));
        if !packs.is_empty() {
            self.store_segment(transaction, &packs, rows).await?;
        }
        for id in &small {
            transaction.remove_segment(self.domain, *id).await?;
        }
        Ok(small.into_iter().collect())
    }
}

fn cannot_store(error: &io::Error) -> Fault {
    let answer = Error::new(ErrorKind::Unavailable, format!("cannot write an index segment: {error}"));
    Fault::Answer(answer.with_hint("make room on the disk that holds the vault's index and run the command again"))
}
