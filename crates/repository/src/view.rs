//! What a session sees: the index at its opening, and its own packs.

use crate::index::{Index, Slot, Table, TableEntry, TablePlace};
use format::blob::BlobKind;
use format::{BlobId, KeyId, PackName};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
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
    /// Segments that this process made of own packs alone, and which nobody has merged with others since.
    segments: BTreeMap<u64, Arc<Table>>,
    /// Other segments that hold own packs.
    merged: Vec<OwnTable>,
    /// All of them.
    names: BTreeSet<PackName>,
    unmerged: Unmerged,
}

/// What a session added since its packs were merged last.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Unmerged {
    pub(crate) packs: usize,
    /// Bytes that their footers take in memory.
    pub(crate) bytes: usize,
}

/// A table with packs of the session.
#[derive(Clone)]
struct OwnTable {
    table: Arc<Table>,
    /// Which of its packs they are; all where there is no such list.
    own: Option<Arc<[bool]>>,
}

/// The session's own packs at one moment.
pub(crate) struct OwnTables(Vec<OwnTable>);

/// A blob of the session's own packs.
pub(crate) struct OwnBlob {
    pub(crate) pack: PackName,
    pub(crate) offset: u32,
    pub(crate) length: u32,
    pub(crate) key: KeyId,
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

    /// Adds a pack of the session itself, once. Answers what was added since the last merge.
    pub(crate) fn add_own(&self, name: PackName, table: Arc<Table>) -> Unmerged {
        let mut own = self.own();
        if own.names.insert(name) {
            own.unmerged.packs += 1;
            own.unmerged.bytes += table.tail_bytes();
            own.tails.insert(name, table);
        }
        own.unmerged
    }

    /// Replaces own packs by a segment that covers them; none if there was nothing to merge.
    pub(crate) fn merge_own(&self, merged: Option<(u64, Arc<Table>)>) {
        let mut own = self.own();
        own.unmerged = Unmerged::default();
        let Some((segment, table)) = merged else { return };
        for name in table.pack_names() {
            own.tails.remove(&name);
        }
        own.segments.insert(segment, table);
    }

    /// Segments that this process made of the session's packs.
    pub(crate) fn own_segments(&self) -> BTreeMap<u64, Arc<Table>> {
        self.own().segments.clone()
    }

    /// Replaces some of these by one that covers the same packs.
    pub(crate) fn merge_own_segments(&self, small: &BTreeMap<u64, Arc<Table>>, segment: u64, table: Arc<Table>) {
        let mut own = self.own();
        own.segments.retain(|segment, _| !small.contains_key(segment));
        // Another request may have found them gone before it was told here.
        own.merged.retain(|own| !small.values().any(|gone| Arc::ptr_eq(gone, &own.table)));
        own.segments.insert(segment, table);
    }

    /// Of those that are no longer there the session keeps what it sees, and merges them no more: somebody else has, with others'.
    pub(crate) fn keep_own_segments(&self, is_there: impl Fn(u64) -> bool) {
        let mut own = self.own();
        let own = &mut *own;
        let gone = own.segments.extract_if(.., |segment, _| !is_there(*segment));
        own.merged.extend(gone.map(|(_, table)| OwnTable { table, own: None }));
    }

    /// Adds own packs that lie in a segment already, perhaps beside those of others: for each pack of the segment, whether it
    /// is the session's.
    pub(crate) fn add_merged(&self, table: Arc<Table>, is_own: Vec<bool>) {
        let mut own = self.own();
        let names = table.pack_names().into_iter().zip(&is_own).filter(|(_, is_own)| **is_own).map(|(name, _)| name);
        own.names.extend(names);
        own.merged.push(OwnTable { table, own: Some(is_own.into()) });
    }

    /// Packs that are in no merged table.
    pub(crate) fn own_tails(&self) -> Vec<(PackName, Arc<Table>)> {
        self.own().tails.iter().map(|(name, table)| (*name, table.clone())).collect()
    }

    /// The session's own packs now.
    pub(crate) fn own_tables(&self) -> OwnTables {
        let own = self.own();
        let alone = own.tails.values().chain(own.segments.values());
        let alone = alone.map(|table| OwnTable { table: table.clone(), own: None });
        OwnTables(alone.chain(own.merged.iter().cloned()).collect())
    }

    /// For each id, whether the session may count on the blob.
    pub(crate) fn visible(&self, ids: &[BlobId]) -> Vec<bool> {
        self.own_tables().or_in(ids, &self.index)
    }
}

impl OwnTable {
    fn is_own(&self, pack: u32) -> bool {
        self.own.as_ref().is_none_or(|own| own.get(pack as usize).is_some_and(|is_own| *is_own))
    }

    fn find(&self, id: &BlobId) -> Option<TableEntry> {
        let mut found = None;
        self.table.find(id, |entry| found = Some(entry).filter(|entry| self.is_own(entry.pack)).or(found));
        found
    }

    /// Places and names of the session's packs.
    fn packs(&self) -> impl Iterator<Item = (u32, PackName)> {
        (0..).zip(self.table.pack_names()).filter(|(pack, _)| self.is_own(*pack))
    }
}

impl OwnTables {
    /// The blob in the session's own packs.
    pub(crate) fn find(&self, id: &BlobId) -> Option<OwnBlob> {
        let (own, entry) = self.0.iter().find_map(|own| own.find(id).map(|entry| (own, entry)))?;
        let (pack, _) = own.table.pack_at(entry.pack);
        Some(OwnBlob { pack, offset: entry.offset, length: entry.length, key: entry.key })
    }

    /// For each id, whether the blob is there, or visible in an index.
    pub(crate) fn or_in(&self, ids: &[BlobId], index: &Index) -> Vec<bool> {
        let mut places: Vec<usize> = (0..ids.len()).collect();
        places.sort_by_key(|place| ids[*place]);
        let sorted: Vec<BlobId> = places.iter().map(|place| ids[*place]).collect();
        let mut found = index.visible(&sorted);
        for own in &self.0 {
            own.table.find_batch(&sorted, |place, entry| found[place] |= own.is_own(entry.pack));
        }
        let mut visible = vec![false; ids.len()];
        places.into_iter().zip(found).for_each(|(place, found)| visible[place] = found);
        visible
    }

    /// Names of the packs.
    pub(crate) fn packs(&self) -> BTreeSet<PackName> {
        self.0.iter().flat_map(OwnTable::packs).map(|(_, name)| name).collect()
    }

    /// Entries of the tables, with those of others in them.
    pub(crate) fn lengths(&self) -> impl Iterator<Item = usize> {
        self.0.iter().map(|own| own.table.len())
    }

    /// Calls `found` with an id's place in `ids`, which are sorted, and with slot and kind of each of its copies, one table after the other.
    pub(crate) fn find_batch(&self, ids: &[BlobId], mut found: impl FnMut(usize, Slot, BlobKind)) {
        for (table, own) in (0..).zip(&self.0) {
            own.table.find_batch(ids, |asked, TablePlace { ordinal, pack, .. }| {
                if own.is_own(pack) {
                    found(asked, Slot { table, ordinal }, own.table.pack_at(pack).1);
                }
            });
        }
    }

    /// Calls `each` with the links of a blob.
    pub(crate) fn each_link(&self, slot: Slot, each: impl FnMut(BlobId)) {
        self.0[slot.table as usize].table.each_link(slot.ordinal, each);
    }

    /// Packs of pages: name, table, and the ordinals of the pages.
    pub(crate) fn page_packs(&self) -> impl Iterator<Item = (PackName, u32, Range<u32>)> {
        let packs = (0..).zip(&self.0).flat_map(|(number, own)| own.packs().map(move |(pack, name)| (number, own, pack, name)));
        let pages = packs.filter(|(_, own, pack, _)| own.table.pack_at(*pack).1 == BlobKind::Page);
        pages.map(|(number, own, pack, name)| (name, number, own.table.ordinals(pack)))
    }
}
