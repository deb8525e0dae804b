//! Backups that walk only what the source says has changed: the same points come out, and a source that says too little or
//! something else than the last point is found out.

use crate::memory_source::{MemoryEntry, MemorySource, split};
use crate::vault::{TestVault, item, noise, quick};
use contract::PointInfo;
use format::page::{EntryKind, compare_paths};
use format::record::SignedRecord;
use format::{BlobId, PointId};
use holdfast_engine::backup::{self, BackupReport};
use holdfast_engine::source::{Changes, SourceDirectory, SourceEntry, TreeSource, Walk, WalkEvent};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use testkit::Rng;

type Entries = BTreeMap<Vec<u8>, MemoryEntry>;

/// A file set in memory that knows what has changed since a point.
#[derive(Clone)]
struct Journaled {
    source: MemorySource,
    since: Arc<Mutex<Option<(PointId, Entries)>>>,
    /// Entries that walks of changes gave.
    walked: Arc<AtomicU64>,
    /// Leaves new directories out.
    forgets_new: bool,
}

impl Journaled {
    fn new(source: &MemorySource) -> Self {
        Self { source: source.clone(), since: Arc::default(), walked: Arc::default(), forgets_new: false }
    }

    async fn backup(&self, vault: &TestVault) -> BackupReport {
        let now = self.source.entries();
        let report = vault.backup(Arc::new(self.clone())).await;
        *self.since.lock().unwrap() = Some((report.point.point, now));
        report
    }
}

impl TreeSource for Journaled {
    fn walk(&self) -> io::Result<Walk> {
        self.source.walk()
    }

    fn changes(&self, since: PointId) -> Option<Arc<dyn Changes>> {
        let known = self.since.lock().unwrap();
        let (_, before) = known.as_ref().filter(|(point, _)| *point == since)?;
        Some(Arc::new(Compared::new(self, before)))
    }
}

/// What has changed, found by comparing all entries.
struct Compared {
    journal: Journaled,
    /// Directories with other entries than before.
    listed: BTreeSet<Vec<u8>>,
    /// Directories that were not there.
    whole: BTreeSet<Vec<u8>>,
    /// Files with several names that are not as they were.
    touched: HashSet<u64>,
}

fn below(path: &[u8], directory: &[u8]) -> bool {
    directory.is_empty() || path == directory || path.strip_prefix(directory).is_some_and(|rest| rest.starts_with(b"/"))
}

impl Compared {
    fn new(journal: &Journaled, before: &Entries) -> Self {
        let now = journal.source.entries();
        let (mut listed, mut whole, mut touched) = (BTreeSet::new(), BTreeSet::new(), HashSet::new());
        let same = |left: &MemoryEntry, right: &MemoryEntry| {
            left.metadata == right.metadata && left.target == right.target && left.attributes == right.attributes
        };
        for path in before.keys().chain(now.keys()) {
            let (was, is) = (before.get(path), now.get(path));
            if let (Some(was), Some(is)) = (was, is) {
                if same(was, is) {
                    continue;
                }
                let linked = was.metadata.names > 1 || is.metadata.names > 1;
                if linked && was.metadata.inode == is.metadata.inode && was.metadata.kind == EntryKind::File {
                    touched.insert(is.metadata.inode);
                    continue;
                }
            }
            listed.insert(split(path).0.to_vec());
            let directory = |entry: Option<&MemoryEntry>| {
                entry.filter(|entry| entry.metadata.kind == EntryKind::Directory).map(|entry| entry.metadata.inode)
            };
            if directory(is).is_some() && directory(is) != directory(was) {
                whole.insert(path.clone());
            }
        }
        let exists = |path: &Vec<u8>| path.is_empty() || now.contains_key(path);
        listed.retain(exists);
        Self { journal: journal.clone(), listed, whole, touched }
    }
}

impl Changes for Compared {
    fn walk(&self) -> io::Result<Walk> {
        let leads_to = |path: &[u8]| self.listed.iter().chain(&self.whole).any(|to| below(to, path));
        let mut told = BTreeSet::new();
        let mut events: Vec<(Vec<u8>, WalkEvent)> = Vec::new();
        let directories: Vec<Vec<u8>> = self
            .journal
            .source
            .entries()
            .into_iter()
            .filter(|(_, e)| e.metadata.kind == EntryKind::Directory)
            .map(|(p, _)| p)
            .collect();
        for directory in directories.iter().chain([&Vec::new()]) {
            let top = self.whole.iter().any(|whole| below(directory, whole) && whole != directory);
            let whole = self.whole.contains(directory) && !top;
            if whole && self.journal.forgets_new {
                continue;
            }
            if whole || (self.listed.contains(directory) && !top) {
                events.push((directory.clone(), WalkEvent::Listed { path: directory.as_slice().into(), whole }));
            }
            if top || whole || self.listed.contains(directory) {
                told.insert(directory.clone());
            }
        }
        for event in self.journal.source.walk()? {
            let WalkEvent::Batch(mut batch) = event? else { continue };
            if !told.contains(&*batch.path) {
                let path = batch.path.clone();
                let full = |name: &[u8]| if path.is_empty() { name.to_vec() } else { [&path, &b"/"[..], name].concat() };
                batch.entries.retain(|entry| leads_to(&full(&entry.name)));
            }
            if self.journal.forgets_new && self.whole.iter().any(|whole| below(&batch.path, whole)) {
                continue;
            }
            self.journal.walked.fetch_add(batch.entries.len() as u64, Ordering::SeqCst);
            events.push((batch.path.to_vec(), WalkEvent::Batch(batch)));
        }
        events.sort_by(|left, right| compare_paths(&left.0, &right.0));
        Ok(Box::new(events.into_iter().map(|(_, event)| Ok(event))))
    }

    fn touches(&self, inode: u64) -> bool {
        self.touched.contains(&inode)
    }

    fn look(&self, directory: &[u8], name: &[u8]) -> io::Result<SourceEntry> {
        self.journal.walked.fetch_add(1, Ordering::SeqCst);
        self.journal.source.look(directory, name)
    }

    fn directory(&self, path: &[u8]) -> Arc<dyn SourceDirectory> {
        self.journal.source.open_directory(path)
    }
}

fn root(point: &PointInfo) -> BlobId {
    SignedRecord::parse(&point.record).unwrap().body.root
}

/// Something happens to a tree.
fn change(source: &MemorySource, rng: &mut Rng) {
    let entries = source.entries();
    let paths: Vec<String> = entries.keys().map(|path| String::from_utf8(path.clone()).unwrap()).collect();
    let kind = |path: &String| entries[path.as_bytes()].metadata.kind;
    let fresh = |rng: &mut Rng| {
        let depth = 1 + rng.below(4);
        (0..depth).map(|_| *rng.pick(&["a", "b", "b.c", "d", "e-f"])).collect::<Vec<&str>>().join("/")
    };
    let removed = |path: &str| {
        for each in paths.iter().filter(|each| below(each.as_bytes(), path.as_bytes())) {
            source.remove(each);
        }
    };
    let path = rng.pick(&paths).clone();
    match rng.below(8) {
        0 => removed(&path),
        1 if kind(&path) == EntryKind::File => drop(source.touch(&path)),
        1 => drop(source.touch(&path).change(&path, |entry| entry.metadata.mode ^= 0o20)),
        2 => {
            // perhaps a file where a directory was, or the other way round
            removed(&path);
            source.file(&path, noise(rng.next_u64(), 300));
        }
        3 => {
            removed(&path);
            source.file(&format!("{path}/x"), noise(rng.next_u64(), 300)).directory(&format!("{path}/y"));
        }
        4 if kind(&path) == EntryKind::File => {
            let name = format!("links/{}", rng.below(1000));
            if !entries.contains_key(name.as_bytes()) {
                source.link(&path, &name);
            }
        }
        5 if kind(&path) == EntryKind::File => {
            // by whatever name: all that it has change
            let inode = entries[path.as_bytes()].metadata.inode;
            let seconds = 1_900_000_000 + rng.below(1_000_000) as i64;
            for each in paths.iter().filter(|each| entries[each.as_bytes()].metadata.inode == inode) {
                source.change(each, |entry| {
                    (entry.metadata.modified.seconds, entry.metadata.changed.seconds) = (seconds, seconds);
                });
            }
        }
        _ => {
            let path = fresh(rng);
            let is_free =
                |path: &str| entries.get(path.as_bytes()).is_none_or(|entry| entry.metadata.kind == EntryKind::Directory);
            let ways: Vec<&str> = path.match_indices('/').map(|(at, _)| &path[..at]).collect();
            if ways.iter().all(|way| is_free(way)) && !entries.contains_key(path.as_bytes()) {
                source.file(&path, noise(rng.next_u64(), 10 + rng.index(3000)));
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_walk_of_changes_makes_the_point_that_a_whole_walk_makes() {
    for seed in 0..12 {
        let mut rng = Rng::new(seed);
        let vault = TestVault::new().await;
        let source = MemorySource::new();
        for number in 0..rng.below(1500) {
            source.file(&format!("big/{}/{number}", number % 13), noise(number, 40));
        }
        source.file("a/b/c", "1").file("d/e-f/g", "2").file("b/b.c/a", "3");
        let journal = Journaled::new(&source);
        assert!(!journal.backup(&vault).await.only_changes, "there was nothing to compare with");
        for round in 0..6 {
            for _ in 0..rng.below(12) {
                change(&source, &mut rng);
                if source.entries().is_empty() {
                    source.file("a", "b");
                }
            }
            let report = journal.backup(&vault).await;
            assert!(report.only_changes, "seed {seed}, round {round}");
            let latest = vault.latest().await;
            let (target, restored) = vault.restore(latest.clone()).await;
            assert!(restored.is_clean(), "seed {seed}, round {round}: {restored:?}");
            assert_eq!(target.differences(&source), Vec::<String>::new(), "seed {seed}, round {round}");
            let files = source.entries().values().filter(|entry| entry.metadata.kind == EntryKind::File).count() as u64;
            assert_eq!(report.details.counts.files, files, "seed {seed}, round {round}");
            // The same tree to the last byte: a whole walk finds nothing to add to it.
            let mut options = quick("item");
            options.walk_everything = true;
            let whole = backup::run(vault.request(source.shared(), options)).await.unwrap();
            assert_eq!(whole.entries_read, 0, "seed {seed}, round {round}");
            assert_eq!(root(&vault.latest().await), root(&latest), "seed {seed}, round {round}");
            *journal.since.lock().unwrap() = Some((whole.point.point, source.entries()));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_did_not_change_is_not_looked_at() {
    let vault = TestVault::new().await;
    let source = MemorySource::new();
    for number in 0..5000 {
        source.file(&format!("d{}/{number}", number % 50), noise(number, 20));
    }
    let journal = Journaled::new(&source);
    journal.backup(&vault).await;
    let report = journal.backup(&vault).await;
    assert_eq!((report.entries_unchanged, report.entries_read), (5050, 0));
    assert_eq!(journal.walked.swap(0, Ordering::SeqCst), 0);
    source.touch("d7/7");
    let report = journal.backup(&vault).await;
    assert_eq!((report.entries_unchanged, report.entries_read), (5049, 1));
    // the way to the directory, and its hundred files
    assert_eq!(journal.walked.load(Ordering::SeqCst), 101);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_forgets_a_new_directory_is_found_out() {
    let vault = TestVault::new().await;
    let source = MemorySource::new();
    source.file("a/b", "1");
    let mut journal = Journaled::new(&source);
    journal.backup(&vault).await;
    source.file("new/in/here", "2");
    journal.forgets_new = true;
    let report = journal.backup(&vault).await;
    assert!(!report.only_changes, "everything was walked");
    let (target, _) = vault.restore(vault.latest().await).await;
    assert_eq!(target.differences(&source), Vec::<String>::new());
    assert_eq!(report.details.counts.files, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_since_another_point_or_of_other_paths_are_not_used() {
    let vault = TestVault::new().await;
    let source = MemorySource::new();
    source.file("a/b", "1");
    let journal = Journaled::new(&source);
    journal.backup(&vault).await;
    vault.backup(source.shared()).await;
    assert!(!journal.backup(&vault).await.only_changes, "another point came between");
    assert!(journal.backup(&vault).await.only_changes);
    let mut options = quick("item");
    options.paths = vec![b"/elsewhere".to_vec()];
    assert_eq!(options.item, item("item"));
    let report = backup::run(vault.request(Arc::new(journal.clone()), options)).await.unwrap();
    assert!(!report.only_changes, "the paths are others");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_last_point_that_cannot_be_read_whole_makes_everything_be_walked() {
    let vault = TestVault::new().await;
    let source = MemorySource::new();
    for number in 0..3000 {
        source.file(&format!("d{}/{number}", number % 50), noise(number, 20));
    }
    let journal = Journaled::new(&source);
    journal.backup(&vault).await;
    let pages = vault.packs(2);
    vault.flip(&pages[0], 300);
    let report = journal.backup(&vault).await;
    assert!(!report.only_changes);
    let (target, restored) = vault.restore(vault.latest().await).await;
    assert!(restored.is_clean(), "{restored:?}");
    assert_eq!(target.differences(&source), Vec::<String>::new());
}
