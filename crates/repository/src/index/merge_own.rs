//! Merging a session's own packs while it goes on: its packs into segments, and those into larger ones.
//!
//! A session may send for days. Each of its packs is looked up by itself, and each segment is a mapping of which a process may have 65,530; both
//! are asked for every id. What is merged here holds the session's packs alone: nobody frees or rewrites them while it is open.

use super::Table;
use super::files::SegmentBytes;
use super::merge::{Replaced, cannot_merge, to_merge};
use crate::fault::Outcome;
use crate::heavy::compute;
use crate::ledger::PackRow;
use crate::repository::Inner;
use crate::simulated::in_tests;
use crate::view::SessionView;
use format::PackName;
use format::segment::Segment;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Segments of the session that are left before the smaller ones are merged; those that are larger than half of what follows do not count.
const SEGMENTS_MAX: usize = in_tests(2, 12);
/// Largest size of a segment that is made of those, in bytes: less than a second's work, for which the session's agent waits.
const SIZE_MAX: u64 = in_tests(64 << 10, 256 << 20) as u64;
/// A pack counts as so many bytes at least, since its row is written anew, in a transaction for which others wait.
const PACK_SIZE_MIN: u64 = in_tests(1, 32 << 10) as u64;

impl Inner {
    /// Merges the session's own packs, which nobody else looks up one by one afterwards either.
    pub(crate) async fn merge_own_packs(&self, view: &SessionView) -> Outcome<()> {
        let mut transaction = self.ledger.begin().await?;
        let mut tails = Vec::new();
        for (name, table) in view.own_tails() {
            let row = transaction.pack(self.domain, name).await?.filter(|row| row.footer.is_some());
            tails.extend(row.map(|row| (PackRow { footer: None, ..row }, table)));
        }
        let merged = self.merge_rows(transaction.as_mut(), tails).await?;
        transaction.commit().await?;
        // A collector may have merged them all: the view keeps its own footers then.
        view.merge_own(merged);
        if let Err(fault) = self.merge_own_segments(view).await {
            // The packs are there all the same; the next ones try again.
            tracing::warn!(%fault, "cannot merge index segments of a session");
        }
        Ok(())
    }

    async fn merge_own_segments(&self, view: &SessionView) -> Outcome<()> {
        let own = view.own_segments();
        let sizes = own.iter().map(|(id, table)| (*id, size(table))).filter(|(_, size)| *size <= SIZE_MAX / 2);
        let ids = to_merge(sizes, SEGMENTS_MAX, SIZE_MAX);
        let small: BTreeMap<u64, Arc<Table>> = own.into_iter().filter(|(id, _)| ids.contains(id)).collect();
        let segments: Vec<&Segment<SegmentBytes>> = small.values().filter_map(|table| table.segment()).collect();
        let bytes = segments.iter().map(|segment| segment.bytes().as_ref().len() as u64).sum();
        if small.is_empty() || !self.has_room_for_merge(bytes) {
            return Ok(());
        }
        let Some(domain) = self.ledger.snapshot().await?.domain(self.domain).await? else { return Ok(()) };
        let draft = self.environment.random();
        compute(|| self.files.merge(draft, &segments, |_| true)).map_err(|error| cannot_merge(&error))?;
        let packs: Vec<PackName> = small.values().flat_map(|table| table.pack_names()).collect();
        if let Replaced::By(segment, table) = self.replace_segments(&ids, &domain, draft, Some(&packs)).await? {
            view.merge_own_segments(&small, segment, table);
            return Ok(());
        }
        let there = self.ledger.snapshot().await?.segments(self.domain).await?;
        let there: BTreeSet<u64> = there.iter().map(|row| row.id).collect();
        view.keep_own_segments(|segment| there.contains(&segment));
        Ok(())
    }
}

fn size(table: &Table) -> u64 {
    let Some(segment) = table.segment() else { return 0 };
    (segment.bytes().as_ref().len() as u64).max(segment.packs().len() as u64 * PACK_SIZE_MIN)
}
