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
    /// Segments of own packs alone, which nobody has merged with others since.
    segments: BTreeMap<u64, Arc<Table>>,
    /// Other segments that hold own packs.
    merged: BTreeMap<u64, OwnTable>,
    /// All of them.
    names: BTreeSet<PackName>,
}

/// Packs of a session that are not in a merged table yet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Unmerged {
    pub(crate) packs: usize,
    /// Bytes that their footers take in memory.
    pub(crate) bytes: usize,
}

/// Where a session's packs are looked up at one moment.
pub(crate) struct OwnPlaces {
    pub(crate) tails: Vec<PackName>,
    pub(crate) segments: BTreeSet<u64>,
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

    /// Adds a pack of the session itself, once.
    pub(crate) fn add_own(&self, name: PackName, table: Arc<Table>) {
        let mut own = self.own();
        if own.names.insert(name) {
            own.tails.insert(name, table);
        }
    }

    pub(crate) fn unmerged(&self) -> Unmerged {
        let own = self.own();
        Unmerged { packs: own.tails.len(), bytes: own.tails.values().map(|table| table.tail_bytes()).sum() }
    }

    /// Replaces own packs by a segment that covers them.
    pub(crate) fn merge_own(&self, segment: u64, table: Arc<Table>) {
        let mut own = self.own();
        for name in table.pack_names() {
            own.tails.remove(&name);
        }
        own.keep_segment(segment, table);
    }

    /// Segments of the session's packs alone.
    pub(crate) fn own_segments(&self) -> BTreeMap<u64, Arc<Table>> {
        self.own().segments.clone()
    }

    /// Replaces some of these by one that covers the same packs.
    pub(crate) fn merge_own_segments(&self, small: &BTreeMap<u64, Arc<Table>>, segment: u64, table: Arc<Table>) {
        let mut own = self.own();
        own.segments.retain(|segment, _| !small.contains_key(segment));
        own.keep_segment(segment, table);
    }

    /// Where the session's packs are looked up now.
    pub(crate) fn own_places(&self) -> OwnPlaces {
        let own = self.own();
        let segments = own.segments.keys().chain(own.merged.keys()).copied().collect();
        OwnPlaces { tails: own.tails.keys().copied().collect(), segments }
    }

    /// The session's packs in these segments.
    pub(crate) fn own_packs_in(&self, segments: &BTreeSet<u64>) -> Vec<PackName> {
        let own = self.own();
        let alone = own.segments.iter().filter(|(segment, _)| segments.contains(segment));
        let beside = own.merged.iter().filter(|(segment, _)| segments.contains(segment));
        let alone = alone.flat_map(|(_, table)| table.pack_names());
        alone.chain(beside.flat_map(|(_, own)| own.names().collect::<Vec<_>>())).collect()
    }

    /// Others merged packs of the session with their own: these segments hold them, and `gone` are no longer there. What is not known to lie
    /// elsewhere now stays as the session sees it.
    pub(crate) fn follow(&self, gone: &BTreeSet<u64>, segments: Vec<(u64, Arc<Table>)>) {
        let mut own = self.own();
        let own = &mut *own;
        let mut found = BTreeSet::new();
        for (segment, table) in segments.into_iter().filter(|(segment, _)| !own.segments.contains_key(segment)) {
            let is_own = table.pack_names().iter().map(|name| own.names.contains(name)).collect();
            let table = OwnTable { table, own: Some(is_own) };
            found.extend(table.names());
            own.merged.insert(segment, table);
        }
        own.tails.retain(|name, _| !found.contains(name));
        own.segments
            .retain(|segment, table| !gone.contains(segment) || table.pack_names().iter().any(|name| !found.contains(name)));
        own.merged.retain(|segment, own| !gone.contains(segment) || own.names().any(|name| !found.contains(&name)));
    }

    /// Adds own packs that lie in a segment already, perhaps beside those of others: for each pack of the segment, whether it
    /// is the session's.
    pub(crate) fn add_merged(&self, segment: u64, table: Arc<Table>, is_own: Vec<bool>) {
        let mut own = self.own();
        let is_alone = is_own.iter().all(|is_own| *is_own);
        let beside = OwnTable { table: table.clone(), own: Some(is_own.into()) };
        own.names.extend(beside.names());
        if is_alone {
            own.keep_segment(segment, table);
        } else {
            own.merged.insert(segment, beside);
        }
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
        OwnTables(alone.chain(own.merged.values().cloned()).collect())
    }

    /// For each id, whether the session may count on the blob.
    pub(crate) fn visible(&self, ids: &[BlobId]) -> Vec<bool> {
        self.own_tables().or_in(ids, &self.index)
    }
}

impl OwnPacks {
    /// Another request may have found its packs there before it was told here.
    fn keep_segment(&mut self, segment: u64, table: Arc<Table>) {
        self.merged.remove(&segment);
        self.segments.insert(segment, table);
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

    /// Names of the session's packs.
    fn names(&self) -> impl Iterator<Item = PackName> {
        self.packs().map(|(_, name)| name)
    }

    fn ordinals(&self) -> Vec<Range<u32>> {
        if self.own.is_none() {
            let all = 0..self.table.len() as u32;
            return Vec::from([all]);
        }
        let mut ordinals: Vec<Range<u32>> = self.packs().map(|(pack, _)| self.table.ordinals(pack)).collect();
        ordinals.sort_unstable_by_key(|range| range.start);
        ordinals
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
        self.0.iter().flat_map(OwnTable::names).collect()
    }

    /// Of each table the ordinals of the session's blobs, in order.
    pub(crate) fn ordinals(&self) -> impl Iterator<Item = Vec<Range<u32>>> {
        self.0.iter().map(OwnTable::ordinals)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::samples;
    use format::pack::Footer;

    fn name(number: u8) -> PackName {
        samples::pack_row(number, 1).name
    }

    fn footer(number: u8) -> Footer {
        samples::footer(&samples::pack_row(number, 1), &[BlobId([number; 32])])
    }

    /// A segment of these packs.
    fn segment(numbers: &[u8]) -> Arc<Table> {
        let files = crate::index::SegmentFiles::Memory(Arc::default());
        let footers: Vec<Footer> = numbers.iter().map(|number| footer(*number)).collect();
        let packs: Vec<(u64, u64, &Footer)> =
            numbers.iter().zip(&footers).map(|(number, footer)| (u64::from(*number), 1, footer)).collect();
        files.store(1, &format::segment::build(&packs).unwrap()).unwrap();
        Arc::new(Table::Segment(format::segment::Segment::open(files.open(1).unwrap()).unwrap()))
    }

    fn view(tails: &[u8]) -> SessionView {
        let view = SessionView::new(Index::default());
        tails.iter().for_each(|number| view.add_own(name(*number), Arc::new(Table::tail(footer(*number)))));
        view
    }

    fn names(view: &SessionView) -> Vec<u8> {
        (0..100).filter(|number| view.own_tables().packs().contains(&name(*number))).collect()
    }

    #[test]
    fn packs_that_others_merged_are_looked_up_where_they_are_and_those_of_others_beside_them_are_not_seen() {
        let view = view(&[1, 2, 3]);
        view.merge_own(7, segment(&[1, 2]));
        // Others merged all of them with a pack of their own.
        view.follow(&BTreeSet::from([7]), vec![(8, segment(&[1, 2, 3, 50]))]);
        assert_eq!((names(&view), view.own_tails().len(), view.own_segments().len()), (vec![1, 2, 3], 0, 0));
        assert_eq!(view.visible(&[1, 3, 50].map(|number| BlobId([number; 32]))), [true, true, false]);
        // And once more.
        assert_eq!(view.own_packs_in(&BTreeSet::from([8])).len(), 3);
        view.follow(&BTreeSet::from([8]), vec![(9, segment(&[1, 2, 3, 50, 51]))]);
        assert_eq!((names(&view), view.own_tables().ordinals().count()), (vec![1, 2, 3], 1));
    }

    #[test]
    fn what_is_not_known_to_lie_elsewhere_stays_as_the_session_sees_it() {
        let view = view(&[1, 2, 3]);
        view.merge_own(7, segment(&[1, 2]));
        view.follow(&BTreeSet::from([7]), vec![(8, segment(&[1, 50]))]);
        assert_eq!(names(&view), [1, 2, 3]);
        view.follow(&BTreeSet::from([7]), Vec::new());
        assert_eq!(names(&view), [1, 2, 3]);
    }

    #[test]
    fn a_segment_that_another_request_of_the_session_made_meanwhile_is_not_taken_for_gone_nor_for_one_of_others() {
        let view = view(&[1, 2, 3]);
        view.merge_own(7, segment(&[1, 2]));
        let known = view.own_places();
        view.merge_own(8, segment(&[3]));
        // The database had it already when this one asked.
        view.follow(&(&known.segments - &BTreeSet::from([7, 8])), vec![(8, segment(&[3]))]);
        assert_eq!(view.own_segments().into_keys().collect::<Vec<_>>(), [7, 8]);
        assert_eq!(view.own_tables().ordinals().count(), 2);
        // The other way round: found before it was told.
        let view = self::view(&[1]);
        view.follow(&BTreeSet::new(), vec![(5, segment(&[1]))]);
        view.merge_own(5, segment(&[1]));
        assert_eq!((view.own_segments().len(), view.own_tables().ordinals().count()), (1, 1));
    }

    #[test]
    fn a_segment_of_own_packs_alone_is_merged_further_by_whoever_revives_the_session() {
        let view = view(&[]);
        view.add_merged(3, segment(&[1, 2]), vec![true, true]);
        view.add_merged(4, segment(&[3, 50]), vec![true, false]);
        assert_eq!(view.own_segments().into_keys().collect::<Vec<_>>(), [3]);
        assert_eq!(names(&view), [1, 2, 3]);
    }
}
