//! Backups of real files whose changes the kernel tells.

use crate::vault::{TestVault, noise, quick};
use format::BlobId;
use format::record::SignedRecord;
use holdfast_engine::backup::{self, BackupReport};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use testkit::{Rng, SmallDisk};
use workloads::files::{Caution, FileSet, FileSetOptions, Journal, Known};

/// A disk of its own, above which nobody else changes directories, and a journal that follows it.
struct Site {
    vault: TestVault,
    journal: Journal,
    known: Option<Known>,
    /// When the directories that lead here had changed when the last backup began: other tests make and remove some there.
    above: Vec<i128>,
    disk: SmallDisk,
    _place: tempfile::TempDir,
}

impl Site {
    /// None where no file systems may be mounted or followed: that is said.
    async fn new() -> Option<Self> {
        let place = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let disk = SmallDisk::mount(place.path().canonicalize().unwrap().join("disk"), 256 << 10)?;
        match Journal::start(Caution::Lenient) {
            Ok(journal) => {
                let (vault, above) = (TestVault::new().await, Vec::new());
                Some(Self { vault, journal, known: None, above, disk, _place: place })
            }
            Err(error) => {
                println!("changes cannot be followed here ({error}): nothing is tested");
                None
            }
        }
    }

    fn root(&self) -> PathBuf {
        self.disk.path().join("root")
    }

    fn files(&self) -> FileSet {
        FileSet::new(FileSetOptions { roots: vec![self.root()], ..FileSetOptions::default() }).unwrap()
    }

    async fn backup(&mut self) -> BackupReport {
        self.above = self.changed_above();
        let source = Arc::new(self.journal.follow(Arc::new(self.files()), self.known.take()).unwrap());
        let report = self.vault.backup(source.clone()).await;
        let again: BTreeSet<Vec<u8>> = report.findings.warnings.iter().map(|warning| warning.path.clone()).collect();
        self.known = Some(source.known(report.point.point, again));
        report
    }

    /// A walk of everything finds nothing to add, and makes the same tree to the last byte. False where that cannot be said, for
    /// something happened above.
    async fn is_whole(&mut self, context: &str) -> bool {
        let before = self.root_page().await;
        let mut options = quick("item");
        options.walk_everything = true;
        let source = Arc::new(self.journal.follow(Arc::new(self.files()), None).unwrap());
        let whole = backup::run(self.vault.request(source.clone(), options)).await.unwrap();
        self.known = Some(source.known(whole.point.point, BTreeSet::new()));
        if self.changed_above() != self.above || !self.is_settled() {
            return false;
        }
        assert_eq!(whole.entries_read, 0, "{context}");
        assert_eq!(self.root_page().await, before, "{context}");
        true
    }

    fn changed_above(&self) -> Vec<i128> {
        let changed = |path: &Path| {
            fs::symlink_metadata(path).map(|meta| i128::from(meta.ctime()) * 1_000_000_000 + i128::from(meta.ctime_nsec()))
        };
        self.disk.path().ancestors().skip(1).map(|path| changed(path).unwrap()).collect()
    }

    /// Times that are nearer to the look than this say nothing of a further change.
    fn is_settled(&self) -> bool {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as i128;
        self.changed_above().iter().all(|changed| now - changed > 2_200_000_000)
    }

    fn settle(&self) {
        std::thread::sleep(Duration::from_millis(2200));
        let begun = Instant::now();
        while !self.is_settled() {
            assert!(begun.elapsed() < Duration::from_secs(120), "the directories above never rest");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    async fn root_page(&self) -> BlobId {
        SignedRecord::parse(&self.vault.latest().await.record).unwrap().body.root
    }
}

fn write(path: &Path, bytes: impl AsRef<[u8]>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// All paths below a directory.
fn paths(root: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    let mut left = vec![root.to_owned()];
    while let Some(directory) = left.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                left.push(entry.path());
            }
            all.push(entry.path());
        }
    }
    all.sort();
    all
}

/// Something happens to a tree.
fn change(root: &Path, rng: &mut Rng, number: usize) {
    let all = paths(root);
    let directories: Vec<PathBuf> = all.iter().filter(|path| path.is_dir()).cloned().chain([root.to_owned()]).collect();
    let files: Vec<PathBuf> = all.iter().filter(|path| path.is_file()).cloned().collect();
    let place = rng.pick(&directories).join(format!("new {number}"));
    match rng.below(10) {
        0 => fs::create_dir_all(place.join("deep/er")).unwrap(),
        1 => symlink("anywhere", place).unwrap(),
        2 if !files.is_empty() => fs::hard_link(rng.pick(&files), place).unwrap(),
        3 if !files.is_empty() => fs::remove_file(rng.pick(&files)).unwrap(),
        4 | 5 if !files.is_empty() => write(rng.pick::<PathBuf>(&files), noise(rng.next_u64(), 100 + rng.index(4000))),
        6 => {
            let from = rng.pick(&directories);
            if from != root && !place.starts_with(from) {
                fs::rename(from, place).unwrap();
            }
        }
        7 => {
            let gone = rng.pick(&directories);
            if gone != root {
                fs::remove_dir_all(gone).unwrap();
            }
        }
        8 => {
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700 + rng.below(0o77) as u32);
            fs::set_permissions(rng.pick(&directories), mode).unwrap();
        }
        _ => write(&place.join("file"), noise(rng.next_u64(), 200)),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_of_what_the_kernel_told_is_the_backup_of_everything() {
    let Some(mut site) = Site::new().await else { return };
    let root = site.root();
    for number in 0..2000 {
        write(&root.join(format!("{}/{}/{number}", number % 7, number % 50)), noise(number, 100));
    }
    site.settle();
    assert!(!site.backup().await.only_changes, "nothing was followed yet");
    let mut rng = Rng::new(7);
    let (mut rounds, mut compared) = (0, 0);
    while compared < 6 {
        assert!(rounds < 40, "something happens above all the time");
        for number in 0..1 + rng.index(20) {
            change(&root, &mut rng, 100 * rounds + number);
        }
        site.settle();
        let report = site.backup().await;
        assert!(report.only_changes, "round {rounds}");
        assert_eq!(report.findings.warnings_count(), 0, "round {rounds}: {:?}", report.findings.warnings);
        compared += usize::from(site.is_whole(&format!("round {rounds}")).await);
        rounds += 1;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_by_another_name_is_seen_by_all() {
    let Some(mut site) = Site::new().await else { return };
    let (one, two) = (site.root().join("a/one"), site.root().join("b/two"));
    let mut compared = 0;
    for round in 0..40 {
        write(&one, format!("first {round}"));
        fs::create_dir_all(two.parent().unwrap()).unwrap();
        site.settle();
        site.backup().await;
        // A second name appears, the first one's directory is not touched.
        fs::hard_link(&one, &two).unwrap();
        site.settle();
        assert!(site.backup().await.only_changes);
        let mut quiet = site.is_whole("linked").await;
        fs::write(&two, "other").unwrap();
        site.settle();
        assert!(site.backup().await.only_changes);
        quiet &= site.is_whole("written by the second name").await;
        fs::remove_file(&two).unwrap();
        site.settle();
        assert!(site.backup().await.only_changes);
        quiet &= site.is_whole("the second name is gone").await;
        fs::hard_link(&one, &two).unwrap();
        site.settle();
        site.backup().await;
        // The first name's directory is not touched, and its time of change is another one.
        fs::rename(&two, two.with_file_name("renamed")).unwrap();
        site.settle();
        assert!(site.backup().await.only_changes);
        quiet &= site.is_whole("the second name is another one").await;
        fs::remove_file(two.with_file_name("renamed")).unwrap();
        compared += usize::from(quiet);
        if compared > 0 {
            return;
        }
    }
    panic!("something happens above all the time");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_mounted_and_unmounted_is_seen_and_with_other_patterns_everything_is_walked() {
    let Some(mut site) = Site::new().await else { return };
    let root = site.root();
    write(&root.join("a/file"), "1");
    write(&root.join("mounted/below"), "covered");
    site.settle();
    site.backup().await;
    assert!(site.backup().await.only_changes);
    let Some(inner) = SmallDisk::mount(root.join("mounted"), 1024) else { return };
    write(&inner.path().join("inside"), "2");
    write(&inner.path().join("inside too"), "2");
    let report = site.backup().await;
    assert!(report.only_changes && report.details.counts.files == 3, "a file system came: {report:?}");
    fs::remove_file(inner.path().join("inside too")).unwrap();
    let report = site.backup().await;
    assert!(report.details.counts.files == 2, "it changed: {report:?}");
    drop(inner);
    write(&root.join("mounted/below"), "covered");
    let report = site.backup().await;
    assert!(report.only_changes && report.details.counts.files == 2, "it went again: {report:?}");
    let (restored, _) = site.vault.restore(site.vault.latest().await).await;
    let has = |name: &str| restored.paths().iter().any(|path| path.ends_with(name));
    assert!(has("mounted/below") && !has("inside"), "{:?}", restored.paths());
    let known = site.known.clone();
    let options = FileSetOptions { roots: vec![root], excludes: vec!["a".into()], ..FileSetOptions::default() };
    let other = Arc::new(site.journal.follow(Arc::new(FileSet::new(options).unwrap()), known).unwrap());
    assert!(!site.vault.backup(other.clone()).await.only_changes, "another file set");
    assert!(other.why_everything().unwrap().contains("patterns"));
}
