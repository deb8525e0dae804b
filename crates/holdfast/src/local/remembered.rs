//! What this machine saw last of a vault: an older state shown later is an alarm, not a backup.

use super::files::write_private;
use super::vault_home::VaultHome;
use crate::failure::{Exit, Failure, Outcome};
use contract::ItemHead;
use engine::Alarm;
use format::{DomainId, ItemName};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The newest state seen.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Remembered {
    /// Version of the descriptor.
    descriptor: u64,
    /// For each `domain/item`, what the engine remembers of it.
    items: BTreeMap<String, String>,
}

impl Remembered {
    /// What was written last; nothing, where this machine never saw the vault.
    pub(crate) fn load(home: &VaultHome) -> Outcome<Self> {
        let path = home.seen();
        let Some(bytes) = VaultHome::read(&path)? else { return Ok(Self::default()) };
        serde_json::from_slice(&bytes).map_err(|error| {
            Failure::new(Exit::Failed, format!("'{}' is damaged", path.display())).because(&error).with_hint(
                "it remembers what this machine saw last of the vault; remove it only if you trust the vault's present state",
            )
        })
    }

    pub(crate) fn store(&self, home: &VaultHome) -> Outcome<()> {
        let bytes =
            serde_json::to_vec_pretty(self).map_err(|error| Failure::new(Exit::Failed, "cannot remember").because(&error))?;
        write_private(&home.seen(), &bytes)
    }

    /// Fails if the vault shows an older descriptor than before.
    pub(crate) fn see_descriptor(&mut self, version: u64) -> Outcome<()> {
        if version < self.descriptor {
            return Err(alarm(&Alarm::DescriptorSetBack { shown: version, seen: self.descriptor }));
        }
        self.descriptor = version;
        Ok(())
    }

    /// Fails if an item's chain ends before, or beside, where it ended.
    pub(crate) fn check_item(&self, domain: DomainId, item: &ItemName, head: Option<ItemHead>) -> Outcome<()> {
        match self.item(domain, item)? {
            Some(seen) => seen.check(head, self.descriptor).map_err(|error| alarm(&error)),
            None => Ok(()),
        }
    }

    /// What is remembered of an item.
    pub(crate) fn item(&self, domain: DomainId, item: &ItemName) -> Outcome<Option<engine::Remembered>> {
        let text = self.items.get(&format!("{domain}/{item}"));
        Ok(text.map(|text| engine::Remembered::from_text(text)).transpose()?)
    }

    pub(crate) fn remember_item(&mut self, domain: DomainId, seen: &engine::Remembered) {
        self.items.insert(format!("{domain}/{}", seen.item), seen.to_text());
    }
}

fn alarm(alarm: &Alarm) -> Failure {
    Failure::new(Exit::Damage, "the vault shows an older state than this machine has seen").because(alarm).with_hint(
        "somebody put an old copy of the vault in its place, or points were lost: compare with other copies before you trust it; \
         --accept-rollback goes on with the state that is there",
    )
}
