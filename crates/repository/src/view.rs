//! What a session sees: the index at its opening, and its own packs.

use crate::index::{Index, Table};
use format::blob::BlobKind;
use format::{BlobId, DomainId, KeyId, PackName};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

/// A session of this process.
pub(crate) struct SessionView {
    /// The index at its opening; fixed.
    pub(crate) index: Index,
    own: Mutex<OwnPacks>,
}

#[derive(Default)]
struct OwnPacks {
    key: Option<KeyId>,
    /// Packs that are not in a merged table yet.
    tails: BTreeMap<PackName, Arc<Table>>,
    /// Segments made of the session's own packs.
    merged: Vec<Arc<Table>>,
    /// All of them.
    names: BTreeSet<PackName>,
    /// Packs that were added since the last merge.
    unmerged: usize,
}

/// The session's own packs at one moment.
pub(crate) struct OwnTables(Vec<Arc<Table>>);

/// A blob of the session's own packs.
pub(crate) struct OwnBlob {
    pub(crate) pack: PackName,
    pub(crate) kind: BlobKind,
    pub(crate) offset: u32,
    pub(crate) length: u32,
    pub(crate) key: KeyId,
    pub(crate) links: Vec<BlobId>,
}

impl SessionView {
    pub(crate) fn new(index: Index) -> Self {
        Self { index, own: Mutex::default() }
    }

    fn own(&self) -> std::sync::MutexGuard<'_, OwnPacks> {
        self.own.lock().expect("no panic under this lock")
    }

    /// The session's key, once its object is durable.
    pub(crate) fn key(&self) -> Option<KeyId> {
        self.own().key
    }

    pub(crate) fn set_key(&self, key: KeyId) {
        self.own().key = Some(key);
    }

    /// Adds a pack of the session itself, once. Answers how many were added since the last merge.
    pub(crate) fn add_own(&self, name: PackName, table: Arc<Table>) -> usize {
        let mut own = self.own();
        if own.names.insert(name) {
            own.tails.insert(name, table);
            own.unmerged += 1;
        }
        own.unmerged
    }

    /// Replaces own packs by a table that covers them; none if there was nothing to merge.
    pub(crate) fn merge_own(&self, table: Option<Arc<Table>>) {
        let mut own = self.own();
        own.unmerged = 0;
        let Some(table) = table else { return };
        for name in table.pack_names() {
            own.tails.remove(&name);
        }
        own.merged.push(table);
    }

    /// Packs that are in no merged table.
    pub(crate) fn own_tails(&self) -> Vec<PackName> {
        self.own().tails.keys().copied().collect()
    }

    /// The session's own packs now.
    pub(crate) fn own_tables(&self) -> OwnTables {
        let own = self.own();
        OwnTables(own.tails.values().chain(&own.merged).cloned().collect())
    }

    /// Whether the session may count on the blob.
    pub(crate) fn is_visible(&self, id: &BlobId) -> bool {
        let own = {
            let own = self.own();
            own.tails.values().chain(&own.merged).any(|table| table.contains(id))
        };
        own || self.index.is_visible(id)
    }
}

impl OwnTables {
    /// The blob in the session's own packs.
    pub(crate) fn find(&self, id: &BlobId) -> Option<OwnBlob> {
        for table in &self.0 {
            let mut found = None;
            table.find(id, |entry| found = Some(entry));
            if let Some(entry) = found {
                let (pack, kind) = table.pack_at(entry.pack);
                return Some(OwnBlob {
                    pack,
                    kind,
                    offset: entry.offset,
                    length: entry.length,
                    key: entry.key,
                    links: table.links(entry.ordinal),
                });
            }
        }
        None
    }

    /// Names of the packs.
    pub(crate) fn packs(&self) -> BTreeSet<PackName> {
        self.0.iter().flat_map(|table| table.pack_names()).collect()
    }

    /// Calls `each` with (pack, place, id, links) for every page.
    pub(crate) fn each_page(&self, domain: DomainId, mut each: impl FnMut(PackName, u32, BlobId, &[BlobId])) {
        for table in &self.0 {
            for (number, name) in table.pack_names().into_iter().enumerate() {
                let (_, kind) = table.pack_at(number as u32);
                if kind != BlobKind::Page {
                    continue;
                }
                for (place, entry) in table.footer(number as u32, domain).entries.iter().enumerate() {
                    each(name, place as u32, entry.id, &entry.links);
                }
            }
        }
    }
}
