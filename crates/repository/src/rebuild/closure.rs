//! Which copies are proven: the largest set in which every link and key resolves.
//!
//! By copies, not by packs: a pack may hold, beside pages that a point needs, pages that nothing needs any more and whose
//! links were collected. Such a page must not take its pack with it (`docs/design/proven-by-copies.md`).

use super::history::History;
use crate::collect::{Marks, Root};
use crate::fault::Outcome;
use crate::index::{Index, Slot};
use crate::ledger::CondemnedRow;
use crate::repository::Inner;
use format::{BlobId, ClaimNonce, KeyId, PackName};
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

impl Inner {
    /// Copies that are not proven are seen by nobody. Those that a record reaches all the same are kept; the others go with
    /// the next collections.
    pub(super) async fn hide_unproven(&self, keys: &HashSet<KeyId>, history: &History, nonce: ClaimNonce) -> Outcome<()> {
        let index = self.fresh_index().await?;
        let unproven = unproven_copies(&index, keys);
        if unproven.is_empty() {
            return Ok(());
        }
        let mut marks = Marks::new(&index);
        for page in history.roots() {
            marks.reach(&index, Root { page, set_aside: true }, &(Arc::new(|_| {}) as _))?;
        }
        let mut rows: BTreeMap<(PackName, u64), Vec<u32>> = BTreeMap::new();
        for slot in unproven {
            let entry = index.tables[slot.table as usize].entry(slot.ordinal);
            let Some(pack) = index.table_packs[slot.table as usize][entry.pack as usize] else { continue };
            let generation = if marks.is_marked(slot) { CondemnedRow::UNPROVEN } else { 0 };
            rows.entry((index.packs[pack as usize].row.name, generation)).or_default().push(entry.place);
        }
        let mut transaction = self.ledger.begin().await?;
        self.row_in_rebuild(transaction.as_mut(), nonce).await?;
        for ((pack, generation), mut places) in rows {
            places.sort_unstable();
            transaction.put_condemned(&CondemnedRow { domain: self.domain, pack, generation, places }).await?;
        }
        transaction.commit().await?;
        Ok(())
    }
}

/// Copies whose key object is gone, or with a link to a blob of which no copy is proven.
fn unproven_copies(index: &Index, keys: &HashSet<KeyId>) -> HashSet<Slot> {
    let mut unproven = HashSet::new();
    loop {
        let before = unproven.len();
        for (table, entries) in index.tables.iter().enumerate() {
            for ordinal in 0..entries.len() as u32 {
                let slot = Slot { table: table as u32, ordinal };
                if unproven.contains(&slot) {
                    continue;
                }
                let proven = |id: &BlobId| index.copies(id).iter().any(|copy| !unproven.contains(&copy.slot));
                if !keys.contains(&entries.entry(ordinal).key) || !index.links(slot).iter().all(proven) {
                    unproven.insert(slot);
                }
            }
        }
        if unproven.len() == before {
            return unproven;
        }
    }
}
