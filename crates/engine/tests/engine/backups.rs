//! What a backup reads, keeps and reports.

use crate::memory_source::{MemorySource, Trouble};
use crate::vault::{TestVault, noise, quick};
use holdfast_engine::backup::BackupEvent;
use holdfast_engine::source::{TreeSource, WalkEvent, Warning, WarningKind};
use holdfast_engine::{backup, read_details};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

fn tree() -> MemorySource {
    let source = MemorySource::new();
    for number in 0..300 {
        source.file(
            &format!("code/module{}/file{number:03}.rs", number % 7),
            format!("fn number() -> u32 {{ {number} }}\n").repeat(40),
        );
    }
    source.file("empty", []).file("large/image", noise(1, 5_000_000)).symlink("code/link", "module1/file001.rs");
    source.directory("nothing/in/here");
    source
}

#[tokio::test(flavor = "multi_thread")]
async fn what_went_in_comes_out() {
    let vault = TestVault::new().await;
    let source = tree();
    let report = vault.backup(source.shared()).await;
    assert_eq!(report.findings.warnings_count(), 0);
    assert_eq!(report.details.counts.files, 302);
    let (target, restored) = vault.restore(vault.latest().await).await;
    assert!(restored.is_clean(), "{restored:?}");
    assert_eq!(target.differences(&source), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_file_set_makes_a_point() {
    let vault = TestVault::new().await;
    let source = MemorySource::new();
    vault.backup(source.shared()).await;
    let (target, restored) = vault.restore(vault.latest().await).await;
    assert!(restored.is_clean() && target.paths().is_empty());
    // and it can be the base of the next one
    source.file("a", "b");
    assert_eq!(vault.backup(source.shared()).await.entries_read, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn unchanged_files_are_not_opened_again() {
    let vault = TestVault::new().await;
    let source = tree();
    vault.backup(source.shared()).await;
    assert!(source.opened() > 300);
    let report = vault.backup(source.shared()).await;
    assert_eq!((source.opened(), report.entries_read, report.bytes_read), (0, 0, 0));
    assert!(report.bytes_stored < 2000, "one manifest at most, not {}", report.bytes_stored);
    assert_eq!(report.sequence.0, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_changed_file_is_read_and_little_is_stored() {
    let vault = TestVault::new().await;
    let source = tree();
    vault.backup(source.shared()).await;
    source.opened();
    source.file("code/module3/file003.rs", "changed");
    let report = vault.backup(source.shared()).await;
    assert_eq!((source.opened(), report.entries_read), (1, 1));
    assert!(report.bytes_stored < 30_000, "{}", report.bytes_stored);
    let (target, _) = vault.restore(vault.latest().await).await;
    assert_eq!(target.differences(&source), Vec::<String>::new());
    assert!(vault.check(true).await.is_sound());
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_come_and_go_are_followed() {
    let vault = TestVault::new().await;
    let source = tree();
    vault.backup(source.shared()).await;
    for round in 0..6 {
        for number in (0..300).filter(|number| number % 6 == round) {
            source.remove(&format!("code/module{}/file{number:03}.rs", number % 7));
        }
        source.file(&format!("new/{round}"), noise(round, 200_000));
        let report = vault.backup(source.shared()).await;
        let (target, restored) = vault.restore(vault.latest().await).await;
        assert!(restored.is_clean());
        assert_eq!(target.differences(&source), Vec::<String>::new(), "round {round}");
        assert_eq!(
            report.details.counts.files,
            target.paths().iter().filter(|path| source.get(path).metadata.kind == format::page::EntryKind::File).count() as u64
        );
    }
    assert!(vault.check(true).await.is_sound());
}

#[tokio::test(flavor = "multi_thread")]
async fn touched_files_with_the_same_bytes_are_stored_once() {
    let vault = TestVault::new().await;
    let source = MemorySource::new();
    for number in 0..100 {
        source.file(&format!("package/{number:03}"), noise(number, 20_000));
    }
    source.file("package/large", noise(1000, 3_000_000));
    vault.backup(source.shared()).await;
    source.entries().keys().for_each(|path| {
        source.touch(std::str::from_utf8(path).unwrap());
    });
    let report = vault.backup(source.shared()).await;
    assert_eq!(report.entries_read, 102);
    assert!(report.bytes_stored < 40_000, "only pages, not {}", report.bytes_stored);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_in_trouble_become_warnings_and_never_end_a_backup() {
    let vault = TestVault::new().await;
    let source = tree();
    let troubles = [
        ("gone", Trouble::Vanishes, WarningKind::Vanished),
        ("secret", Trouble::Unreadable, WarningKind::Unreadable),
        ("bad", Trouble::FailsHalfWay, WarningKind::Unreadable),
        ("restless", Trouble::KeepsChanging, WarningKind::Changed),
    ];
    for (name, trouble, _) in troubles {
        source.file(&format!("small/{name}"), noise(5, 30_000)).trouble(&format!("small/{name}"), trouble);
        source.file(&format!("big/{name}"), noise(6, 3_000_000)).trouble(&format!("big/{name}"), trouble);
    }
    let report = vault.backup(source.shared()).await;
    for (name, _, kind) in troubles {
        for size in ["small", "big"] {
            let path = format!("{size}/{name}");
            let warned = report.findings.warnings.iter().find(|warning| warning.path == path.as_bytes());
            assert_eq!(warned.map(|warning| warning.kind), Some(kind), "{path}");
        }
    }
    assert_eq!(report.findings.warnings_count(), 8);
    assert_eq!(report.details.warnings, 8);
    let (target, restored) = vault.restore(vault.latest().await).await;
    assert!(restored.is_clean());
    assert!(target.get("small/gone").is_none() && target.get("big/bad").is_none());
    assert_eq!(target.bytes("small/restless"), source.get("small/restless").bytes());
    assert_eq!(target.bytes("code/module1/file001.rs"), source.get("code/module1/file001.rs").bytes());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_shrank_or_grew_is_kept_as_it_was_read() {
    let vault = TestVault::new().await;
    let source = MemorySource::new();
    source.file("a/small", noise(1, 50_000)).trouble("a/small", Trouble::Shrinks);
    source.file("a/large", noise(2, 3_000_000)).trouble("a/large", Trouble::Shrinks);
    source.file("a/growing", noise(3, 50_000)).trouble("a/growing", Trouble::Grows);
    source.file("a/steady", noise(4, 50_000));
    vault.backup(source.shared()).await;
    let (target, restored) = vault.restore(vault.latest().await).await;
    assert!(restored.is_clean(), "{restored:?}");
    assert_eq!(target.bytes("a/small"), noise(1, 50_000)[..25_000]);
    assert_eq!(target.bytes("a/large"), noise(2, 3_000_000)[..1_500_000]);
    assert_eq!(target.bytes("a/growing").len(), 350_000);
    assert_eq!(target.bytes("a/steady"), noise(4, 50_000));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_a_small_files_name_when_it_is_its_turn_is_kept_under_it_whatever_was_opened_before() {
    let vault = TestVault::new().await;
    let source = MemorySource::new();
    source.file("a/old", "the old one").trouble("a/old", Trouble::IsReplaced);
    source.file("a/gone", "gone").trouble("a/gone", Trouble::IsRemoved);
    source.file("a/log", "the first of it").trouble("a/log", Trouble::IsRenamed);
    source.file("a/lost", "what a server forgot").trouble("a/lost", Trouble::IsForgotten);
    source.file("a/theirs", "mine").trouble("a/theirs", Trouble::IsTaken);
    source.file("a/steady", "as it was");
    let report = vault.backup(source.shared()).await;
    let (target, restored) = vault.restore(vault.latest().await).await;
    assert!(restored.is_clean(), "{restored:?}");
    for path in ["a/old", "a/log", "a/lost", "a/theirs"] {
        assert_eq!(target.bytes(path), format!("another {path}").as_bytes());
    }
    assert_eq!(target.paths(), ["a", "a/log", "a/lost", "a/old", "a/steady", "a/theirs"]);
    assert_eq!(restored.blobs_verified, 2, "what is another user's is in a blob of its own");
    assert_eq!(report.findings.warnings.iter().map(|warning| warning.kind).collect::<Vec<_>>(), [WarningKind::Vanished]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_more_is_read_once_the_gate_is_closed_though_files_were_opened_before() {
    let vault = TestVault::new().await;
    let source = MemorySource::new();
    // as many as are opened ahead
    for number in 0..30 {
        source.file(&format!("a/{number:03}"), noise(number, 500));
    }
    let mut request = vault.request(source.shared(), quick("item"));
    request.options.readers = 2;
    let gate = request.options.gate.clone();
    let closing = gate.clone();
    source.at_read(move || closing.close());
    let running = tokio::spawn(backup::run(request));
    let reads = || source.reads.load(Ordering::SeqCst);
    while reads() == 0 && !running.is_finished() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(reads() <= 4, "{}: each thread may be reading one file", reads());
    assert!(source.opened() > 20, "they were opened before");
    gate.open();
    assert_eq!(running.await.unwrap().unwrap().findings.warnings_count(), 0);
    let (target, _) = vault.restore(vault.latest().await).await;
    assert_eq!(target.differences(&source), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreadable_file_is_not_silently_kept_from_the_last_point() {
    let vault = TestVault::new().await;
    let source = MemorySource::new();
    source.file("a/one", "one").file("a/two", "two");
    vault.backup(source.shared()).await;
    source.touch("a/one").trouble("a/one", Trouble::Unreadable);
    let report = vault.backup(source.shared()).await;
    assert_eq!(report.findings.warnings_by_kind[&WarningKind::Unreadable], 1);
    let (target, _) = vault.restore(vault.latest().await).await;
    assert_eq!(target.paths(), ["a", "a/two"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_paths_of_which_none_can_be_read_no_point_is_made_and_those_that_cannot_are_named() {
    let vault = TestVault::new().await;
    let source = MemorySource::new();
    source.file("one", "one").file("two", "two");
    source.trouble("one", Trouble::Unreadable);
    let mut options = quick("item");
    options.paths = vec![b"/one".to_vec()];
    let error = backup::run(vault.request(source.shared(), options.clone())).await.unwrap_err();
    assert!(error.to_string().contains("no point is made"), "{error}");
    assert!(vault.points().await.is_empty());
    options.paths = vec![b"/one".to_vec(), b"/two".to_vec()];
    let report = backup::run(vault.request(source.shared(), options)).await.unwrap();
    assert_eq!(report.findings.unread_paths.keys().collect::<Vec<_>>(), [b"one"]);
}

/// A file set whose only directory cannot be listed to its end.
struct PartlyListed(MemorySource);

impl TreeSource for PartlyListed {
    fn walk(&self) -> std::io::Result<Box<dyn Iterator<Item = std::io::Result<WalkEvent>> + Send>> {
        let warning = Warning { path: b"one".to_vec(), kind: WarningKind::PartlyListed, detail: "i/o error".into() };
        Ok(Box::new(self.0.walk()?.chain([Ok(WalkEvent::Warning(warning))])))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_path_that_cannot_be_listed_to_its_end_the_rest_is_kept_and_the_point_is_incomplete() {
    let vault = TestVault::new().await;
    let source = MemorySource::new();
    source.file("one/a", "1").file("one/b", "2");
    let mut options = quick("item");
    options.paths = vec![b"/one".to_vec()];
    let told = Arc::new(Mutex::new(Vec::new()));
    let mut request = vault.request(Arc::new(PartlyListed(source)), options);
    let (tells, domain) = (told.clone(), vault.domain.clone());
    let runtime = tokio::runtime::Handle::current();
    request.sink = Arc::new(move |event| {
        if let BackupEvent::Committing { incomplete, warnings } = event {
            let points = runtime.block_on(domain.points(contract::PointFilter::default())).unwrap();
            tells.lock().unwrap().push((*incomplete, *warnings, points.len()));
        }
    });
    let report = backup::run(request).await.unwrap();
    assert!(report.findings.is_incomplete() && report.details.is_incomplete());
    assert_eq!((report.details.counts.files, report.findings.partly_read.len()), (2, 1));
    assert_eq!(*told.lock().unwrap(), [(true, 1, 0)], "it is known before the point is there");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_point_says_itself_that_a_whole_path_of_it_is_missing() {
    let vault = TestVault::new().await;
    let source = MemorySource::new();
    source.file("one", "one").file("two", "two").trouble("one", Trouble::Unreadable);
    let mut options = quick("item");
    options.paths = vec![b"/one".to_vec(), b"/three".to_vec(), b"/two".to_vec()];
    options.missing = [(b"/three".to_vec(), "nobody made it".to_owned())].into();
    let report = backup::run(vault.request(source.shared(), options.clone())).await.unwrap();
    let unread: Vec<_> = report.findings.unread_paths.keys().map(Vec::as_slice).collect();
    assert_eq!((unread, report.findings.warnings_count()), (vec![&b"one"[..], b"three"], 1));
    let read =
        async |point| read_details(vault.domain.clone(), vault.descriptor.clone(), vault.keys.clone(), point).await.unwrap();
    let details = read(vault.latest().await).await;
    assert!(details.is_incomplete() && details.paths_unread == 2, "{details:?}");
    // Once all of them are there and can be read it is a whole one.
    source.file("one", "one").file("three", "three");
    options.missing.clear();
    backup::run(vault.request(source.shared(), options)).await.unwrap();
    assert!(!read(vault.latest().await).await.is_incomplete());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unsettled_file_is_read_again() {
    let vault = TestVault::new().await;
    let source = MemorySource::new();
    source.file("fresh", "1").file("old", "1");
    // observed one second after its last change
    source.change("fresh", |entry| entry.metadata.changed.seconds = 1_999_999_999);
    vault.backup(source.shared()).await;
    source.opened();
    // changed behind its times' back, within the same second
    source.change("fresh", |entry| entry.content = vec![crate::memory_source::Bytes::Data(b"2".to_vec())]);
    vault.backup(source.shared()).await;
    assert_eq!(source.opened(), 1);
    let (target, _) = vault.restore(vault.latest().await).await;
    assert_eq!(target.bytes("fresh"), b"2");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_was_changed_between_the_walk_and_its_reading_is_read_again() {
    let vault = TestVault::new().await;
    for size in [1, 3_000_000] {
        let source = MemorySource::new();
        source.file("fresh", noise(1, size)).file("old", "1");
        // the walk is far from its last change, the reading is not
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64;
        source.change("fresh", |entry| entry.metadata.modified.seconds = now);
        vault.backup(source.shared()).await;
        source.opened();
        source.change("fresh", |entry| entry.content = vec![crate::memory_source::Bytes::Data(noise(2, size))]);
        vault.backup(source.shared()).await;
        assert_eq!(source.opened(), 1);
        let (target, _) = vault.restore(vault.latest().await).await;
        assert_eq!(target.bytes("fresh"), noise(2, size));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_with_several_names_is_read_once_and_restored_as_one() {
    let vault = TestVault::new().await;
    let source = MemorySource::new();
    source.file("a/first", noise(1, 40_000)).link("a/first", "b/second").link("a/first", "b/third");
    source.file("a/large", noise(2, 2_500_000)).link("a/large", "z/large");
    let report = vault.backup(source.shared()).await;
    assert!(report.bytes_stored < 2_600_000 + 40_000 + 20_000, "{}", report.bytes_stored);
    let (target, _) = vault.restore(vault.latest().await).await;
    assert_eq!(target.differences(&source), Vec::<String>::new());
    assert_eq!(target.get("b/third").unwrap().link_to, Some(b"a/first".to_vec()));
    assert_eq!(target.get("z/large").unwrap().link_to, Some(b"a/large".to_vec()));
}

#[tokio::test(flavor = "multi_thread")]
async fn other_paths_than_last_time_are_a_warning() {
    let vault = TestVault::new().await;
    let source = MemorySource::new();
    source.file("a", "a");
    vault.backup(source.shared()).await;
    let mut options = quick("item");
    options.paths = vec![b"/elsewhere".to_vec()];
    let report = backup::run(vault.request(source.shared(), options)).await.unwrap();
    assert_eq!(report.findings.warnings_by_kind[&WarningKind::ScopeChanged], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_read_key_everything_is_read_and_found_to_be_there() {
    let vault = TestVault::new().await;
    let source = tree();
    vault.backup(source.shared()).await;
    source.opened();
    let mut request = vault.request(source.shared(), quick("item"));
    request.keys.read = None;
    let report = backup::run(request).await.unwrap();
    assert!(source.opened() > 300);
    assert!(report.bytes_stored < 2000, "{}", report.bytes_stored);
    let (target, _) = vault.restore(vault.latest().await).await;
    assert_eq!(target.differences(&source), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_faster_backup_of_the_same_item_moves_the_head_and_both_points_are_made() {
    let vault = Arc::new(TestVault::new().await);
    let (slow, fast) = (tree(), MemorySource::new());
    fast.file("fast", "fast");
    let (other, runtime) = (vault.clone(), tokio::runtime::Handle::current());
    slow.at_walk(move || drop(runtime.block_on(other.backup(fast.shared()))));
    let report = vault.backup(slow.shared()).await;
    assert_eq!(report.sequence.0, 2);
    assert_eq!(vault.points().await.len(), 2);
    let (target, _) = vault.restore(vault.latest().await).await;
    assert_eq!(target.differences(&slow), Vec::<String>::new());
}
