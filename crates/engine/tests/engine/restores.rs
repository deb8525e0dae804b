//! What a restore brings back, of what it is asked for.

use crate::memory_source::{Bytes, MemorySource};
use crate::memory_target::MemoryTarget;
use crate::vault::{TestVault, noise, quick};
use holdfast_engine::backup;
use holdfast_engine::restore::{self, AbsentRequest, RestoreOptions};
use holdfast_engine::{Cancel, ErrorKind};
use std::sync::Arc;
use std::sync::atomic::Ordering;

fn tree() -> MemorySource {
    let source = MemorySource::new();
    for directory in ["home/ann/notes", "home/ann/photos", "home/bob", "etc"] {
        for number in 0..200 {
            source.file(&format!("{directory}/{number:03}"), noise(number, 3000));
        }
    }
    source.file("home/bob/large", noise(7, 4_000_000));
    source
}

fn paths(paths: &[&str]) -> Vec<Vec<u8>> {
    paths.iter().map(|path| path.as_bytes().to_vec()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_selected_directory_is_restored_with_those_on_the_way() {
    let vault = TestVault::new().await;
    let source = tree();
    vault.backup(source.shared()).await;
    let target = MemoryTarget::default();
    let options = RestoreOptions { paths: paths(&["home/ann/photos", "/etc/007"]), ..RestoreOptions::default() };
    let report = vault.try_restore(vault.latest().await, Arc::new(target.clone()), options).await.unwrap();
    assert!(report.is_clean(), "{report:?}");
    assert_eq!(report.files, 201);
    assert_eq!(target.bytes("home/ann/photos/100"), noise(100, 3000));
    assert!(target.get("etc/007").is_some() && target.get("etc/008").is_none());
    assert_eq!(target.get("home/ann").unwrap().metadata, Some(source.get("home/ann").metadata));
    assert!(target.get("home/bob").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn leading_components_are_stripped() {
    let vault = TestVault::new().await;
    vault.backup(tree().shared()).await;
    let target = MemoryTarget::default();
    let options = RestoreOptions { paths: paths(&["home/ann"]), strip: 2, ..RestoreOptions::default() };
    let report = vault.try_restore(vault.latest().await, Arc::new(target.clone()), options).await.unwrap();
    assert_eq!((report.files, report.directories), (400, 2));
    assert_eq!(target.bytes("notes/001"), noise(1, 3000));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_that_the_point_does_not_have_is_told() {
    let vault = TestVault::new().await;
    vault.backup(tree().shared()).await;
    let options = RestoreOptions { paths: paths(&["home/ann/notes", "home/carl"]), ..RestoreOptions::default() };
    let report = vault.try_restore(vault.latest().await, Arc::new(MemoryTarget::default()), options).await.unwrap();
    assert_eq!(report.not_found, paths(&["home/carl"]));
    assert!(!report.is_clean());
}

#[tokio::test(flavor = "multi_thread")]
async fn which_paths_a_point_does_not_have_is_known_before_anything_is_restored() {
    let vault = TestVault::new().await;
    vault.backup(tree().shared()).await;
    let point = vault.latest().await;
    let absent = async |wanted: &[&str]| {
        let request = AbsentRequest {
            domain: vault.domain.clone(),
            descriptor: vault.descriptor.clone(),
            keys: vault.keys.clone(),
            point: point.clone(),
            paths: paths(wanted),
            cancel: Cancel::new(),
        };
        restore::absent(request).await
    };
    let there = ["", "/", "home", "/home/ann/", "home/ann/notes/199", "etc", "etc/000", "home/bob/large", "./etc/./007"];
    assert_eq!(absent(&there).await.unwrap(), paths(&[]));
    let gone = ["a", "etc/", "etc/200", "etc/000/x", "home/an", "home/bob/larger", "zzz"];
    assert_eq!(absent(&gone).await.unwrap(), paths(&["a", "etc/200", "etc/000/x", "home/an", "home/bob/larger", "zzz"]));
    // What cannot be read may be there: the restore says what is damaged.
    let (pages, mut unsure) = (vault.packs(2), 0);
    let bytes = std::fs::metadata(&pages[0]).unwrap().len();
    for place in 0..48 {
        vault.flip(&pages[0], bytes * place / 48);
        match absent(&["a"]).await {
            Ok(absent) => unsure += u32::from(absent.is_empty()),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Corrupt, "the root: {error}"),
        }
        vault.flip(&pages[0], bytes * place / 48);
    }
    assert!(unsure > 0);
    assert_eq!(absent(&["a"]).await.unwrap(), paths(&["a"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_cannot_be_linked_to_one_that_was_left_is_told() {
    let vault = TestVault::new().await;
    let source = MemorySource::new();
    source.file("a", noise(1, 5000)).link("a", "b").link("a", "c");
    vault.backup(source.shared()).await;
    let (target, first) = vault.restore(vault.latest().await).await;
    assert!(first.is_clean(), "{first:?}");
    target.remove("b");
    target.remove("c");
    let again = vault.try_restore(vault.latest().await, Arc::new(target.clone()), RestoreOptions::default()).await.unwrap();
    assert_eq!((again.files, again.in_the_way.count, again.shortfalls.count), (2, 1, 1), "{again:?}");
    assert_eq!(again.shortfalls.first[0].path, b"b");
    assert_eq!(target.bytes("c"), noise(1, 5000));
}

#[tokio::test(flavor = "multi_thread")]
async fn small_windows_restore_the_same() {
    let vault = TestVault::new().await;
    let source = tree();
    vault.backup(source.shared()).await;
    let target = MemoryTarget::default();
    let options = RestoreOptions { window_bytes: 1, workers: 4, ..RestoreOptions::default() };
    let report = vault.try_restore(vault.latest().await, Arc::new(target.clone()), options).await.unwrap();
    assert!(report.is_clean());
    assert_eq!(target.differences(&source), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn files_whose_pieces_stand_far_apart_are_restored_with_few_of_them_open() {
    let vault = TestVault::new().await;
    let source = MemorySource::new();
    let files = 0..60;
    let piece = |number: u64| noise(number, 270_000);
    for number in files.clone() {
        source.file(&format!("a/{number:02}"), piece(number)).file(&format!("c/{number:02}"), piece(1000 + number));
    }
    let mut request = vault.request(source.shared(), quick("item"));
    // those of 'a' in one, those of 'c' in another
    request.options.pack_bytes = 16 << 20;
    backup::run(request).await.unwrap();
    for number in files.clone() {
        let pieces = vec![Bytes::Data(piece(number)), Bytes::Hole(20 << 20), Bytes::Data(piece(1000 + number))];
        source.pieces(&format!("b/{number:02}"), pieces);
    }
    vault.backup(source.shared()).await;
    for (open_files_max, paths) in [(Some(8), paths(&["b"])), (Some(0), paths(&["b/07", "b/08", "b/09"])), (None, paths(&["b"]))]
    {
        let target = MemoryTarget { open_files_max, ..MemoryTarget::default() };
        let options = RestoreOptions { paths, workers: 2, ..RestoreOptions::default() };
        let report = vault.try_restore(vault.latest().await, Arc::new(target.clone()), options).await.unwrap();
        assert!(report.is_clean(), "{report:?}");
        let most_open = target.most_open.load(Ordering::SeqCst);
        match open_files_max {
            // the one that is being planned may be open, too
            Some(max) => assert!(most_open <= max.max(1) + 1, "{most_open}"),
            None => assert!(most_open > 20, "{most_open}: they are not far apart"),
        }
        assert_eq!(target.bytes("b/08"), source.get("b/08").bytes());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_ends_a_restore_and_resuming_it_finishes() {
    let vault = TestVault::new().await;
    let source = tree();
    vault.backup(source.shared()).await;
    let full = MemoryTarget { full_at: Some(500), ..MemoryTarget::default() };
    let resume = RestoreOptions { resume: true, ..RestoreOptions::default() };
    let failed = vault.try_restore(vault.latest().await, Arc::new(full.clone()), resume.clone()).await.unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::Unavailable);
    let roomy = MemoryTarget { full_at: None, ..full };
    let report = vault.try_restore(vault.latest().await, Arc::new(roomy.clone()), resume).await.unwrap();
    assert!(report.is_clean() && report.resumed > 0, "{report:?}");
    assert_eq!(report.resumed + report.files, 801);
    assert_eq!(roomy.differences(&source), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_there_already_is_named_and_left_by_default_and_the_rest_is_restored() {
    let vault = TestVault::new().await;
    vault.backup(tree().shared()).await;
    let (target, first) = vault.restore(vault.latest().await).await;
    target.remove("home/bob/large");
    let again = vault.try_restore(vault.latest().await, Arc::new(target), RestoreOptions::default()).await.unwrap();
    assert_eq!((again.files, again.in_the_way.count), (1, first.files - 1));
    assert!(!again.is_clean());
}
