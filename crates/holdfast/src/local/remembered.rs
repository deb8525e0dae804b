//! What this machine saw last of a vault: an older state shown later is an alarm, not a backup.

use super::files::{exists, read_private, write_private};
use super::vault_home::VaultHome;
use crate::failure::{Exit, Failure, Outcome};
use contract::ItemHead;
use engine::Alarm;
use format::{DomainId, ItemName};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};

/// Most bytes of what is remembered of one vault: hundreds of thousands of items.
const SEEN_BYTES_MAX: u64 = 64 << 20;

/// The newest state seen.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Remembered {
    /// Version of the descriptor.
    descriptor: u64,
    /// For each `domain/item`, what the engine remembers of it.
    items: BTreeMap<String, String>,
    /// For each `domain/item`, its newest point, if it need not be there: this machine purged it, or took the state without it.
    #[serde(default)]
    gone: BTreeMap<String, String>,
    /// What this process learnt itself.
    #[serde(skip)]
    learnt: BTreeSet<String>,
    /// The user takes the state that is there, whatever was seen before.
    #[serde(skip)]
    accepts_less: bool,
}

impl Remembered {
    /// What was written last; nothing, where this machine never saw the vault.
    pub(crate) fn load(home: &VaultHome, accepts_less: bool) -> Outcome<Self> {
        Ok(Self { accepts_less, ..Self::read(home)? })
    }

    fn read(home: &VaultHome) -> Outcome<Self> {
        let path = home.seen();
        if !exists(&path)? {
            return Ok(Self::default());
        }
        let bytes = read_private(&path, SEEN_BYTES_MAX)?;
        serde_json::from_slice(&bytes).map_err(|error| {
            Failure::new(Exit::Failed, format!("'{}' is damaged", path.display())).because(&error).with_hint(
                "it remembers what this machine saw last of the vault; remove it only if you trust the vault's present state",
            )
        })
    }

    /// Adds what this process learnt to what others wrote meanwhile: the newest state counts, unless less was accepted here.
    pub(crate) fn store(&self, home: &VaultHome) -> Outcome<()> {
        let _alone = lock(home)?;
        let mut all = Self::read(home)?;
        all.descriptor = if self.accepts_less { self.descriptor } else { all.descriptor.max(self.descriptor) };
        for name in &self.learnt {
            let is_newer = |seen: &String| all.items.get(name).is_none_or(|there| sequence(there) < sequence(seen));
            match self.items.get(name) {
                Some(seen) if self.accepts_less || is_newer(seen) => {
                    all.items.insert(name.clone(), seen.clone());
                }
                Some(_) => {}
                None => {
                    all.items.remove(name);
                }
            }
            if let Some(gone) = self.gone.get(name) {
                all.gone.insert(name.clone(), gone.clone());
            }
        }
        let bytes =
            serde_json::to_vec_pretty(&all).map_err(|error| Failure::new(Exit::Failed, "cannot remember").because(&error))?;
        write_private(&home.seen(), &bytes)
    }

    /// Fails if the vault shows an older descriptor than before.
    pub(crate) fn see_descriptor(&mut self, version: u64) -> Outcome<()> {
        if version < self.descriptor && !self.accepts_less {
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

    /// Whether the user takes the state that is there.
    pub(crate) fn accepts_less(&self) -> bool {
        self.accepts_less
    }

    /// The items of a domain of which anything is remembered.
    pub(crate) fn items(&self, domain: DomainId) -> Vec<ItemName> {
        let prefix = format!("{domain}/");
        self.items.keys().filter_map(|name| name.strip_prefix(&prefix)?.parse().ok()).collect()
    }

    /// What is remembered of an item and counts.
    pub(crate) fn item(&self, domain: DomainId, item: &ItemName) -> Outcome<Option<engine::Remembered>> {
        if self.accepts_less { Ok(None) } else { self.shown(domain, item) }
    }

    /// What is remembered of an item.
    pub(crate) fn shown(&self, domain: DomainId, item: &ItemName) -> Outcome<Option<engine::Remembered>> {
        let text = self.items.get(&format!("{domain}/{item}"));
        Ok(text.map(|text| engine::Remembered::from_text(text)).transpose()?)
    }

    pub(crate) fn remember_item(&mut self, domain: DomainId, seen: &engine::Remembered) {
        let name = format!("{domain}/{}", seen.item);
        self.items.insert(name.clone(), seen.to_text());
        self.learnt.insert(name);
    }

    /// Takes what is shown of an item for what was seen.
    pub(crate) fn accept(&mut self, domain: DomainId, item: &ItemName, head: Option<ItemHead>) {
        match head {
            Some(ItemHead { point, sequence }) => {
                let (item, descriptor_version) = (item.clone(), self.descriptor);
                self.remember_item(domain, &engine::Remembered { item, point, sequence, descriptor_version });
            }
            None => {
                let name = format!("{domain}/{item}");
                self.items.remove(&name);
                self.learnt.insert(name);
            }
        }
    }

    /// The newest point that was seen of an item need not be there any more.
    pub(crate) fn note_gone(&mut self, domain: DomainId, seen: &engine::Remembered) {
        let name = format!("{domain}/{}", seen.item);
        self.gone.insert(name.clone(), seen.point.to_string());
        self.learnt.insert(name);
    }

    /// Whether that was noted.
    pub(crate) fn is_gone(&self, domain: DomainId, seen: &engine::Remembered) -> bool {
        self.gone.get(&format!("{domain}/{}", seen.item)).is_some_and(|point| *point == seen.point.to_string())
    }
}

/// Place in the chain; what cannot be read is behind everything.
fn sequence(text: &str) -> u64 {
    engine::Remembered::from_text(text).map_or(0, |seen| seen.sequence.0)
}

/// Held while a file of the state is read and written anew; other processes wait.
pub(super) fn lock(home: &VaultHome) -> Outcome<File> {
    let path = home.seen().with_extension("lock");
    let lock = || {
        fs::create_dir_all(&home.state)?;
        let file = File::options().create(true).truncate(false).write(true).open(&path)?;
        file.lock()?;
        Ok(file)
    };
    lock().map_err(|error: std::io::Error| Failure::io(format!("cannot lock '{}'", path.display()), &error))
}

pub(crate) fn alarm(alarm: &Alarm) -> Failure {
    Failure::new(Exit::Damage, "the vault shows an older state than this machine has seen").because(alarm).with_hint(
        "somebody put an old copy of the vault in its place, or points were lost: compare with other copies before you trust it; \
         --accept-rollback goes on with the state that is there",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use format::{PointId, Sequence};

    const DOMAIN: DomainId = DomainId([7; 16]);

    fn home() -> (tempfile::TempDir, VaultHome) {
        let directory = tempfile::tempdir().unwrap();
        let home = VaultHome { config: directory.path().join("config"), state: directory.path().join("state") };
        (directory, home)
    }

    fn seen(item: &str, sequence: u64) -> engine::Remembered {
        let (point, sequence) = (PointId([sequence as u8; 32]), Sequence(sequence));
        engine::Remembered { item: item.parse().unwrap(), point, sequence, descriptor_version: 1 }
    }

    fn stored(home: &VaultHome, item: &str) -> Option<u64> {
        let remembered = Remembered::load(home, false).unwrap();
        remembered.item(DOMAIN, &item.parse().unwrap()).unwrap().map(|seen| seen.sequence.0)
    }

    #[test]
    fn processes_that_run_at_once_forget_nothing_of_each_other() {
        let (_directory, home) = home();
        let mut slow = Remembered::load(&home, false).unwrap();
        slow.see_descriptor(1).unwrap();
        let mut quick = Remembered::load(&home, false).unwrap();
        quick.see_descriptor(2).unwrap();
        quick.remember_item(DOMAIN, &seen("quick", 5));
        quick.remember_item(DOMAIN, &seen("both", 9));
        quick.store(&home).unwrap();
        slow.remember_item(DOMAIN, &seen("slow", 3));
        slow.remember_item(DOMAIN, &seen("both", 8));
        slow.store(&home).unwrap();
        assert_eq!([stored(&home, "quick"), stored(&home, "slow"), stored(&home, "both")], [Some(5), Some(3), Some(9)]);
        assert!(Remembered::load(&home, false).unwrap().see_descriptor(1).is_err());
    }

    #[test]
    fn a_machine_that_backs_thousands_of_items_up_remembers_all_of_them() {
        let (_directory, home) = home();
        let mut remembered = Remembered::load(&home, false).unwrap();
        (0..5000).for_each(|number| remembered.remember_item(DOMAIN, &seen(&format!("item-{number}"), 3)));
        remembered.store(&home).unwrap();
        assert_eq!((stored(&home, "item-0"), stored(&home, "item-4999")), (Some(3), Some(3)));
    }

    #[test]
    fn accepting_less_of_one_item_forgets_no_other() {
        let (_directory, home) = home();
        let mut before = Remembered::load(&home, false).unwrap();
        before.see_descriptor(4).unwrap();
        before.remember_item(DOMAIN, &seen("one", 5));
        before.remember_item(DOMAIN, &seen("two", 6));
        before.store(&home).unwrap();
        let mut accepting = Remembered::load(&home, true).unwrap();
        accepting.see_descriptor(3).unwrap();
        assert!(accepting.item(DOMAIN, &"one".parse().unwrap()).unwrap().is_none());
        accepting.remember_item(DOMAIN, &seen("one", 2));
        accepting.store(&home).unwrap();
        assert_eq!([stored(&home, "one"), stored(&home, "two")], [Some(2), Some(6)]);
        Remembered::load(&home, false).unwrap().see_descriptor(3).unwrap();
    }

    #[test]
    fn what_is_accepted_replaces_what_was_seen_also_if_nothing_is_left() {
        let (_directory, home) = home();
        let mut before = Remembered::load(&home, false).unwrap();
        before.remember_item(DOMAIN, &seen("one", 5));
        before.remember_item(DOMAIN, &seen("two", 6));
        before.store(&home).unwrap();
        let mut accepting = Remembered::load(&home, true).unwrap();
        let head = ItemHead { point: PointId([2; 32]), sequence: Sequence(2) };
        accepting.accept(DOMAIN, &"one".parse().unwrap(), Some(head));
        accepting.accept(DOMAIN, &"two".parse().unwrap(), None);
        accepting.store(&home).unwrap();
        assert_eq!([stored(&home, "one"), stored(&home, "two")], [Some(2), None]);
    }
}
