//! Packs and key objects as storage has them.

use super::RebuildReport;
use super::history::History;
use crate::fault::{Fault, Outcome};
use crate::index::TAILS_MAX;
use crate::ledger::{PackRow, PackState};
use crate::repository::Inner;
use contract::ErrorKind;
use format::key_object::KeyObject;
use format::pack::Footer;
use format::{KeyId, PackName, names};
use std::collections::HashSet;

impl Inner {
    /// Keys of which at least one copy is sound.
    pub(super) async fn sound_keys(&self) -> Outcome<HashSet<KeyId>> {
        let mut keys = HashSet::new();
        for name in self.list_all(&names::keys(self.domain)).await? {
            let Ok(key) = names::parse_key(&name) else { continue };
            if !keys.contains(&key) && self.read_if_there(&name).await?.is_some_and(|bytes| KeyObject::id(&bytes) == key) {
                keys.insert(key);
            }
        }
        Ok(keys)
    }

    /// Footers of all packs become rows. Their order is not known any more, so that none of their copies is given up for
    /// another.
    pub(super) async fn read_inventory(&self, history: &History, report: &mut RebuildReport) -> Outcome<()> {
        let mut batch = Vec::new();
        for object in self.list_all(&names::packs(self.domain)).await? {
            let Ok(name) = names::parse_pack(&object) else { continue };
            if history.deleted.contains(&name) {
                self.store.delete(&self.object(object)?).await?;
                continue;
            }
            match self.read_pack_row(name).await {
                Ok(row) => batch.push(row),
                Err(Fault::Format(error)) => report.unreadable_packs.push((name, error.to_string())),
                Err(fault) if fault.is_not_found() => {}
                Err(fault) => return Err(fault),
            }
            report.packs += 1;
            if batch.len() >= TAILS_MAX {
                self.insert_packs(std::mem::take(&mut batch)).await?;
            }
        }
        self.insert_packs(batch).await?;
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

    async fn insert_packs(&self, packs: Vec<PackRow>) -> Outcome<()> {
        if packs.is_empty() {
            return Ok(());
        }
        let mut transaction = self.ledger.begin().await?;
        let row = transaction.domain(self.domain).await?;
        let mut row = row.ok_or_else(|| Fault::answer(ErrorKind::Conflict, "the domain's row went away during a rebuild"))?;
        for mut pack in packs {
            pack.number = row.next_pack;
            row.next_pack += 1;
            transaction.put_pack(&pack).await?;
        }
        transaction.put_domain(&row).await?;
        transaction.commit().await?;
        Ok(())
    }
}
