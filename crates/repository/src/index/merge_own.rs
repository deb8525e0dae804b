//! Merging a session's own packs while it goes on: its packs into segments, and those into larger ones.
//!
//! A session may send for days. Each of its packs is looked up by itself, and each segment is a mapping of which a process may have 65,530; both
//! are asked for every id. What is merged here holds the session's packs alone: nobody frees or rewrites them while it is open. Commits of
//! other sessions and collections merge them with others' at any time: the session then looks for them where they are, instead of keeping
//! what was there before.

use super::Table;
use super::files::SegmentBytes;
use super::merge::{Replaced, Replacing, cannot_merge, to_merge};
use crate::fault::Outcome;
use crate::heavy::compute;
use crate::ledger::PackState;
use crate::repository::Inner;
use crate::simulated::in_tests;
use crate::view::SessionView;
use format::PackName;
use format::segment::Segment;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Own packs of a session that are looked up one by one before they are merged into a segment.
const TAILS_MAX: usize = in_tests(3, 48);
/// The same of bytes that footers of all sessions of this process take in memory: a page pack's links may be as many bytes as its blobs.
pub(crate) const TAILS_BYTES_MAX: usize = in_tests(600, 32 << 20);
/// Segments of the session that are left before the smaller ones are merged; those that are larger than half of what follows do not count.
const SEGMENTS_MAX: usize = in_tests(2, 12);
/// Largest size of a segment that is made of those, in bytes: less than a second's work, for which the session's agent waits.
const SIZE_MAX: u64 = in_tests(64 << 10, 256 << 20) as u64;
/// A pack counts as so many bytes at least, since its row is written anew, in a transaction for which others wait.
const PACK_SIZE_MIN: u64 = in_tests(1, 32 << 10) as u64;

impl Inner {
    /// Refuses packs of a session that has far too many which could not be merged: what they take in memory has an end.
    pub(crate) async fn make_room_for_own_packs(&self, view: &SessionView) -> Outcome<()> {
        if !self.has_unmerged(view, 2) {
            return Ok(());
        }
        let merged = self.merge_own_packs(view).await;
        if self.has_unmerged(view, 2) { merged } else { Ok(()) }
    }

    /// Merges the session's own packs if there are too many. They are there all the same where that fails.
    pub(crate) async fn merge_own_if_due(&self, view: &SessionView) {
        if !self.has_unmerged(view, 1) {
            return;
        }
        if let Err(fault) = self.merge_own_packs(view).await {
            tracing::warn!(%fault, "cannot merge packs of a session: look-ups stay slower until that goes");
        }
    }

    /// Whether the session has packs to merge, and so many times too many, or all sessions together.
    fn has_unmerged(&self, view: &SessionView, times: usize) -> bool {
        let own = view.unmerged();
        let bytes = || -> usize {
            let views = self.views.lock().expect("no panic under this lock");
            views.values().map(|view| view.unmerged().bytes).sum()
        };
        own.packs > 0 && (own.packs >= times * TAILS_MAX || bytes() >= times * TAILS_BYTES_MAX)
    }

    /// Merges the session's own packs, which nobody else looks up one by one afterwards either.
    async fn merge_own_packs(&self, view: &SessionView) -> Outcome<()> {
        self.follow_others(view).await?;
        let mut transaction = self.ledger.begin().await?;
        let mut tails = Vec::new();
        for (name, table) in view.own_tails() {
            let row = transaction.pack_alone(self.domain, name).await?;
            let row = row.filter(|row| row.segment.is_none() && matches!(row.state, PackState::Registered | PackState::Proven));
            tails.extend(row.map(|row| (row, table)));
        }
        let merged = self.merge_rows(transaction.as_mut(), tails).await?;
        transaction.commit().await?;
        if let Some((segment, table)) = merged {
            view.merge_own(segment, table);
        }
        self.merge_own_segments(view).await
    }

    /// Takes up what others merged with packs of the session.
    async fn follow_others(&self, view: &SessionView) -> Outcome<()> {
        // Before the database is asked: what is told to the view meanwhile is not gone.
        let known = view.own_places();
        let mut transaction = self.ledger.snapshot().await?;
        let there: BTreeSet<u64> = transaction.segments(self.domain).await?.iter().map(|row| row.id).collect();
        let gone = &known.segments - &there;
        let mut holders = BTreeSet::new();
        for name in known.tails.into_iter().chain(view.own_packs_in(&gone)) {
            holders.extend(transaction.pack_alone(self.domain, name).await?.and_then(|row| row.segment));
        }
        drop(transaction);
        let tables = holders.into_iter().map(|segment| Ok((segment, compute(|| self.cache.segment(&self.files, segment))?)));
        // One that is merged again at this moment is found the next time.
        view.follow(&gone, tables.filter_map(Outcome::ok).collect());
        Ok(())
    }

    async fn merge_own_segments(&self, view: &SessionView) -> Outcome<()> {
        let own = view.own_segments();
        // A collection may be at these. One that takes very long is not waited for: one of both merges is in vain then.
        let merging = self.merging.try_lock();
        if merging.is_err() && own.len() <= 4 * SEGMENTS_MAX {
            return Ok(());
        }
        let sizes = own.iter().map(|(id, table)| (*id, size(table))).filter(|(_, size)| *size <= SIZE_MAX / 2);
        let ids = to_merge(sizes, SEGMENTS_MAX, SIZE_MAX);
        let small: BTreeMap<u64, Arc<Table>> = own.into_iter().filter(|(id, _)| ids.contains(id)).collect();
        let segments: Vec<&Segment<SegmentBytes>> = small.values().filter_map(|table| table.segment()).collect();
        let bytes = segments.iter().map(|segment| segment.bytes().as_ref().len() as u64).sum();
        if small.is_empty() || !self.make_room_for_merge(bytes) {
            return Ok(());
        }
        let Some(domain) = self.ledger.snapshot().await?.domain(self.domain).await? else { return Ok(()) };
        let name = self.environment.random();
        let draft = compute(|| self.files.merge(name, &segments, |_| true)).map_err(|error| cannot_merge(&error))?;
        let packs: Vec<PackName> = small.values().flat_map(|table| table.pack_names()).collect();
        let replacing = Replacing { small: &ids, domain: &domain, draft, packs: Some(&packs) };
        if let Replaced::By(segment, table) = self.replace_segments(&replacing).await? {
            view.merge_own_segments(&small, segment, table);
        }
        Ok(())
    }
}

fn size(table: &Table) -> u64 {
    let Some(segment) = table.segment() else { return 0 };
    (segment.bytes().as_ref().len() as u64).max(segment.packs().len() as u64 * PACK_SIZE_MIN)
}
