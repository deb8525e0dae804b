//! Packs and key objects as storage has them.

use super::RebuildReport;
use super::history::History;
use crate::fault::{Fault, Outcome};
use crate::ledger::{PackRow, PackState};
use crate::repository::Inner;
use crate::simulated::in_tests;
use crate::stored::Stored;
use bytes::Bytes;
use format::key_object::KeyObject;
use format::pack::Footer;
use format::{ClaimNonce, KeyId, PackName, names};
use std::collections::HashSet;

/// Packs whose rows are inserted at once.
const BATCH_PACKS: usize = in_tests(4, 1024);
/// The same of bytes of their footers.
const BATCH_FOOTER_BYTES: usize = in_tests(1000, 32 << 20);

/// Keys whose objects are in storage.
#[derive(Default)]
pub(super) struct StoredKeys {
    /// At least one copy is sound.
    pub(super) sound: HashSet<KeyId>,
    /// Storage cannot read a copy. It may be readable again some day.
    pub(super) unreadable: HashSet<KeyId>,
}

impl Inner {
    /// Key objects. Those that a deletion list names are gone, or may be at any time.
    pub(super) async fn stored_keys(&self, history: &History) -> Outcome<StoredKeys> {
        let mut keys = StoredKeys::default();
        for name in self.list_all(&names::keys(self.domain)).await? {
            let Ok(key) = names::parse_key(&name) else { continue };
            if history.deleted_keys.contains(&key) {
                self.store.delete(&self.object(name)?).await?;
                continue;
            }
            if keys.sound.contains(&key) {
                continue;
            }
            match self.read_stored(&name).await? {
                Stored::Whole(bytes) if KeyObject::id(&bytes) == key => keys.sound.insert(key),
                Stored::Unreadable => keys.unreadable.insert(key),
                Stored::Whole(_) | Stored::Absent => false,
            };
        }
        Ok(keys)
    }

    /// Footers of all packs become rows. Their order is not known any more, so that none of their copies is given up for
    /// another.
    pub(super) async fn read_inventory(&self, history: &History, nonce: ClaimNonce, report: &mut RebuildReport) -> Outcome<()> {
        let (mut batch, mut footers) = (Vec::new(), 0);
        for object in self.list_all(&names::packs(self.domain)).await? {
            let Ok(name) = names::parse_pack(&object) else { continue };
            if history.deleted.contains(&name) {
                self.store.delete(&self.object(object)?).await?;
                continue;
            }
            match self.read_pack_row(name).await {
                Ok(row) => {
                    footers += row.footer.as_ref().map_or(0, Bytes::len);
                    batch.push(row);
                }
                Err(Fault::Format(error)) => report.unreadable_packs.push((name, error.to_string())),
                Err(fault) if fault.is_not_found() => {}
                Err(fault) if fault.is_unreadable() => report.unreadable_packs.push((name, "storage cannot read it".to_owned())),
                Err(fault) => return Err(fault),
            }
            report.packs += 1;
            if batch.len() >= BATCH_PACKS || footers >= BATCH_FOOTER_BYTES {
                self.insert_packs(std::mem::take(&mut batch), nonce).await?;
                footers = 0;
            }
        }
        self.insert_packs(batch, nonce).await?;
        report.packs -= report.unreadable_packs.len() as u64;
        Ok(())
    }

    async fn read_pack_row(&self, name: PackName) -> Outcome<PackRow> {
        let (bytes, trailer) = self.stored_footer(name).await?;
        let footer = Footer::parse(&bytes)?;
        if footer.name != name || footer.domain != self.domain {
            return Err(format::FormatError::Invalid("the pack belongs to another place").into());
        }
        let length = self.store.length(&self.object(names::pack(self.domain, name))?).await?;
        Ok(PackRow {
            kind: Some(footer.kind),
            state: PackState::Proven,
            session: None,
            length,
            entries: footer.entries.len() as u32,
            footer_hash: trailer.footer_hash,
            recovered: true,
            footer: Some(bytes),
            ..self.issued_row(name, None)
        })
    }

    /// Rows of packs, and a segment of them: what is in memory does not grow with the repository.
    async fn insert_packs(&self, packs: Vec<PackRow>, nonce: ClaimNonce) -> Outcome<()> {
        if packs.is_empty() {
            return Ok(());
        }
        let mut transaction = self.ledger.begin().await?;
        let mut row = self.row_in_rebuild(transaction.as_mut(), nonce).await?;
        for mut pack in packs {
            pack.number = row.next_pack;
            row.next_pack += 1;
            transaction.put_pack(&pack).await?;
        }
        transaction.put_domain(&row).await?;
        transaction.commit().await?;
        self.merge_most().await
    }
}
