//! Which copies are proven: the largest set in which every link and key resolves.
//!
//! By copies, not by packs: a pack may hold, beside pages that a point needs, pages that nothing needs any more and whose
//! links were collected. Such a page must not take its pack with it (`docs/design/proven-by-copies.md`).

use super::inventory::StoredKeys;
use crate::fault::Outcome;
use crate::index::{BlobCopy, Index, Slot};
use crate::ledger::{CondemnedRow, DamageRow, DamageSource};
use crate::repository::Inner;
use format::{BlobId, ClaimNonce, KeyId, PackName};
use std::collections::{BTreeMap, HashSet};

/// Copies that are not proven.
#[derive(Default)]
struct Unproven {
    /// Their key object is gone: nobody can open them.
    keyless: HashSet<Slot>,
    /// One of their links leads to a blob of which no copy is proven.
    unresolved: HashSet<Slot>,
}

impl Inner {
    /// Copies that are not proven are seen by nobody: without a key they are as good as damaged, and pages whose links do not
    /// resolve are hidden. A key that storage cannot read may be back some day: nothing is given up for want of it. What a root
    /// reaches of them is kept; the rest goes with the next collections.
    pub(super) async fn hide_unproven(&self, keys: &StoredKeys, nonce: ClaimNonce) -> Outcome<()> {
        let index = self.fresh_index().await?;
        let unproven = unproven_copies(&index, &keys.sound);
        if unproven.keyless.is_empty() && unproven.unresolved.is_empty() {
            return Ok(());
        }
        let mut hidden: BTreeMap<PackName, Vec<u32>> = BTreeMap::new();
        let mut transaction = self.ledger.begin().await?;
        self.row_in_rebuild(transaction.as_mut(), nonce).await?;
        for (slots, are_hidden) in [(unproven.keyless, false), (unproven.unresolved, true)] {
            for slot in slots {
                let table = &index.tables[slot.table as usize];
                let entry = table.entry(slot.ordinal);
                let Some(pack) = index.table_packs[slot.table as usize][entry.pack as usize] else { continue };
                let (pack, place) = (index.packs[pack as usize].row.name, entry.place);
                if are_hidden {
                    hidden.entry(pack).or_default().push(place);
                } else {
                    let may_be_back = keys.unreadable.contains(&entry.key);
                    let source = if may_be_back { DamageSource::Unreadable } else { DamageSource::Verified };
                    let (domain, blob) = (self.domain, table.id(slot.ordinal));
                    transaction.put_damage(&DamageRow { domain, pack, place, blob, source }).await?;
                }
            }
        }
        for (pack, mut places) in hidden {
            places.sort_unstable();
            let row = CondemnedRow { domain: self.domain, pack, generation: CondemnedRow::UNPROVEN, places };
            transaction.put_condemned(&row).await?;
        }
        transaction.commit().await?;
        Ok(())
    }
}

/// The largest set of proven copies is what this leaves.
fn unproven_copies(index: &Index, keys: &HashSet<KeyId>) -> Unproven {
    let mut unproven = Unproven::default();
    let slots = |table: usize| (0..index.tables[table].len() as u32).map(move |ordinal| Slot { table: table as u32, ordinal });
    for (table, entries) in index.tables.iter().enumerate() {
        unproven.keyless.extend(slots(table).filter(|slot| !keys.contains(&entries.entry(slot.ordinal).key)));
    }
    loop {
        let before = unproven.unresolved.len();
        for slot in (0..index.tables.len()).flat_map(slots) {
            if unproven.keyless.contains(&slot) || unproven.unresolved.contains(&slot) {
                continue;
            }
            let is_proven = |copy: &BlobCopy| !unproven.keyless.contains(&copy.slot) && !unproven.unresolved.contains(&copy.slot);
            let proven = |id: &BlobId| index.copies(id).iter().any(is_proven);
            if !index.links(slot).iter().all(proven) {
                unproven.unresolved.insert(slot);
            }
        }
        if unproven.unresolved.len() == before {
            return unproven;
        }
    }
}
