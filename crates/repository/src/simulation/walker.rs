//! An independent look at raw storage: what could somebody restore who has nothing but the objects and a key?
//!
//! Shares the format with the repository and nothing else: no index, no ledger. A pack or key object that a deletion list
//! names counts as gone, although it may still be there.

use super::content::opens;
use super::identity::IDENTITY;
use bytes::Bytes;
use format::blob::BlobKind;
use format::journal::{JournalEntry, Payload};
use format::key_object::KeyObject;
use format::record::SignedRecord;
use format::{BlobId, Incarnation, KeyId, PackName, PointId, names, pack};
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use storage::{MemoryStore, ObjectStore};

/// The answer of a future that waits for nothing, as those of a store in memory.
pub(super) fn at_once<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => answer,
        Poll::Pending => panic!("the future waits for something"),
    }
}

/// All objects with this prefix.
pub(super) fn objects(store: &MemoryStore, prefix: &str) -> Vec<(String, Bytes)> {
    let listed = at_once(store.list(prefix, None, usize::MAX)).unwrap();
    let read = |name| at_once(store.get(&name, None)).map(|bytes| (name.as_str().to_owned(), bytes)).unwrap();
    listed.into_iter().map(|object| read(object.name)).collect()
}

/// A copy of a blob.
struct Copy {
    pack: PackName,
    key: KeyId,
    links: Vec<BlobId>,
    opens: bool,
    kind: BlobKind,
}

/// What storage holds.
pub(super) struct Walker {
    copies: BTreeMap<BlobId, Vec<Copy>>,
    keys: BTreeSet<KeyId>,
    /// Records by the number of their entry, those of authorities that had been replaced left out.
    pub(super) records: BTreeMap<PointId, SignedRecord>,
    pub(super) purged: BTreeSet<PointId>,
    /// Objects that are gone, or may be at any time.
    pub(super) listed: BTreeSet<String>,
    /// Packs that are there, with the blobs in each.
    pub(super) packs: BTreeMap<PackName, (Vec<BlobId>, Vec<KeyId>)>,
}

impl Walker {
    /// Reads everything.
    pub(super) fn new(store: &MemoryStore) -> Self {
        let mut walker = Self {
            copies: BTreeMap::new(),
            keys: BTreeSet::new(),
            records: BTreeMap::new(),
            purged: BTreeSet::new(),
            listed: BTreeSet::new(),
            packs: BTreeMap::new(),
        };
        walker.read_journal(store);
        walker.read_keys(store);
        walker.read_packs(store);
        walker
    }

    fn read_journal(&mut self, store: &MemoryStore) {
        let mut newest = Incarnation(0);
        for (name, bytes) in objects(store, &names::journal_entries(IDENTITY.domain)) {
            let Ok(entry) = JournalEntry::parse(&bytes) else { continue };
            if name != names::journal(IDENTITY.domain, entry.number) || entry.incarnation < newest {
                continue;
            }
            match entry.payload {
                Payload::Opening { .. } => newest = entry.incarnation,
                Payload::Record { record, .. } => {
                    let Ok(record) = SignedRecord::parse(&record) else { continue };
                    if IDENTITY.descriptor.authorise(&record, true).is_ok() {
                        self.records.insert(record.id(), record);
                    }
                }
                Payload::Tombstone { points } => self.purged.extend(points),
                Payload::Deletion { names } => self.listed.extend(names),
            }
        }
    }

    fn read_keys(&mut self, store: &MemoryStore) {
        for (name, bytes) in objects(store, &names::keys(IDENTITY.domain)) {
            if let Ok(key) = names::parse_key(&name)
                && KeyObject::id(&bytes) == key
                && !self.listed.contains(&name)
            {
                self.keys.insert(key);
            }
        }
    }

    fn read_packs(&mut self, store: &MemoryStore) {
        for (name, bytes) in objects(store, &names::packs(IDENTITY.domain)) {
            if self.listed.contains(&name) {
                continue;
            }
            let Ok(parsed) = pack::parse(&bytes) else { continue };
            let footer = parsed.footer;
            if names::pack(IDENTITY.domain, footer.name) != name {
                continue;
            }
            self.packs.insert(footer.name, (footer.entries.iter().map(|entry| entry.id).collect(), footer.keys.clone()));
            for entry in footer.entries {
                let key = footer.keys[usize::from(entry.key)];
                let sealed = &bytes[entry.range().start as usize..entry.range().end as usize];
                let sound = pack::Checksum::of(sealed) == entry.checksum;
                let opens = sound && opens(entry.id, footer.kind, key, &entry.links, sealed);
                self.copies.entry(entry.id).or_default().push(Copy {
                    pack: footer.name,
                    key,
                    links: entry.links,
                    opens,
                    kind: footer.kind,
                });
            }
        }
    }

    /// Blobs that a root needs and that nobody could open, and everything that it reaches.
    pub(super) fn closure(&self, root: BlobId) -> (BTreeSet<BlobId>, BTreeSet<BlobId>) {
        let (mut missing, mut reached) = (BTreeSet::new(), BTreeSet::new());
        let mut todo = vec![root];
        while let Some(id) = todo.pop() {
            if !reached.insert(id) {
                continue;
            }
            let copies = self.copies.get(&id).map(Vec::as_slice).unwrap_or_default();
            match copies.iter().find(|copy| copy.opens && self.keys.contains(&copy.key)) {
                Some(copy) if copy.kind == BlobKind::Page => todo.extend(&copy.links),
                Some(_) => {}
                None => drop(missing.insert(id)),
            }
        }
        (missing, reached)
    }

    /// Everything that a root names, whether or not anybody could open it: what a keyless collector must keep.
    pub(super) fn named_from(&self, root: BlobId) -> BTreeSet<BlobId> {
        let mut named = BTreeSet::new();
        let mut todo = vec![root];
        while let Some(id) = todo.pop() {
            if named.insert(id) {
                let copies = self.copies.get(&id).map(Vec::as_slice).unwrap_or_default();
                todo.extend(copies.iter().flat_map(|copy| &copy.links));
            }
        }
        named
    }

    /// What a point lacks: blobs, or its own key.
    pub(super) fn lacks(&self, record: &SignedRecord) -> Vec<String> {
        let (missing, _) = self.closure(record.body.root);
        let mut lacks: Vec<String> = missing.iter().map(|id| format!("blob {id}")).collect();
        if !self.keys.contains(&record.body.key) {
            lacks.push(format!("key {}", record.body.key));
        }
        lacks
    }

    /// Why nobody can open a blob, for the trace.
    pub(super) fn explain(&self, id: &str) -> String {
        let copies = self.copies.iter().find(|(blob, _)| id.ends_with(&blob.to_string())).map(|(_, copies)| copies);
        let explain = |copy: &Copy| {
            format!("pack {} opens {} key {} there {}", copy.pack, copy.opens, copy.key, self.keys.contains(&copy.key))
        };
        copies.map_or("no copy".to_owned(), |copies| copies.iter().map(explain).collect::<Vec<_>>().join("; "))
    }
}
