//! Trees of unusual shapes.

use crate::memory_source::{Bytes, MemorySource};
use crate::vault::{TestVault, noise, quick};
use format::page::Attribute;
use holdfast_engine::backup;

async fn comes_back(source: &MemorySource) -> TestVault {
    let vault = TestVault::new().await;
    let report = vault.backup(source.shared()).await;
    assert_eq!(report.findings.warnings_count(), 0, "{:?}", report.findings.warnings);
    let (target, restored) = vault.restore(vault.latest().await).await;
    assert!(restored.is_clean(), "{restored:?}");
    assert_eq!(target.differences(source), Vec::<String>::new());
    assert!(vault.check(true).await.is_sound());
    vault
}

#[tokio::test(flavor = "multi_thread")]
async fn many_holes_go_into_a_stream_and_stay_holes() {
    let source = MemorySource::new();
    let pieces = (0..1000u64).flat_map(|number| [Bytes::Hole(8192), Bytes::Data(noise(number, 4096))]);
    source.pieces("sparse", pieces.chain([Bytes::Hole(1 << 20)]).collect());
    source.pieces("hole", vec![Bytes::Hole(3 << 20)]);
    source.pieces("small", vec![Bytes::Hole(4096), Bytes::Data(vec![7; 100])]);
    let vault = comes_back(&source).await;
    let (target, _) = vault.restore(vault.latest().await).await;
    let written = |path: &str| target.get(path).unwrap().written.iter().map(|(_, length)| length).sum::<u64>();
    assert_eq!((written("sparse"), written("hole"), written("small")), (1000 * 4096, 0, 100));
    // an unchanged backup takes the stream over
    let report = vault.backup(source.shared()).await;
    assert_eq!(report.entries_read, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn large_attributes_go_into_a_stream() {
    let source = MemorySource::new();
    let attribute = |name: &str, length| Attribute { name: name.into(), value: noise(3, length) };
    source.file("file", "x").change("file", |entry| {
        entry.attributes = vec![attribute("user.a", 60_000), attribute("user.b", 2_000_000), attribute("user.c", 5)];
    });
    source.directory("directory").change("directory", |entry| entry.attributes = vec![attribute("user.d", 50_000)]);
    comes_back(&source).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leaf_with_more_links_and_attributes_than_a_page_holds_is_fitted() {
    let source = MemorySource::new();
    for number in 0..200u64 {
        let path = format!("d/{number:04}");
        let pieces = (0..60).flat_map(|piece| [Bytes::Data(noise(number * 100 + piece, 4096)), Bytes::Hole(4096)]);
        source.pieces(&path, pieces.collect());
        // its blobs are its own: nothing is shared
        source.link(&path, &format!("e/{number:04}"));
    }
    for number in 0..400u64 {
        let path = format!("f/{number:04}");
        source.file(&path, "x").change(&path, |entry| {
            entry.attributes = vec![Attribute { name: b"user.a".to_vec(), value: noise(number, 15_000) }];
        });
    }
    comes_back(&source).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_directory_and_a_deep_one_come_back() {
    let source = MemorySource::new();
    for number in 0..6000 {
        source.file(&format!("large/{number}"), number.to_string());
    }
    let deep = (0..300).map(|level| format!("level{level}")).collect::<Vec<_>>().join("/");
    source.file(&format!("{deep}/bottom"), "deep");
    let vault = comes_back(&source).await;
    source.remove("large/3000").file("large/3000a", "new");
    let report = vault.backup(source.shared()).await;
    assert_eq!(report.entries_read, 1);
    let (target, _) = vault.restore(vault.latest().await).await;
    assert_eq!(target.differences(&source), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_sort_oddly_keep_their_order() {
    let source = MemorySource::new();
    for path in ["a/z", "a.b", "a/b/c", "a-b/x", "a/b.c", "a b", "a/b/d/e", "A/z", "a/b c/x"] {
        source.file(path, path);
    }
    let vault = comes_back(&source).await;
    assert_eq!(vault.backup(source.shared()).await.entries_read, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_different_owners_share_no_blob() {
    let source = MemorySource::new();
    for number in 0..40u32 {
        let path = format!("d/{number:02}");
        source.file(&path, vec![number as u8; 1000]);
        source.change(&path, |entry| entry.metadata.user.id = number % 2);
    }
    let vault = comes_back(&source).await;
    assert_eq!(vault.check(false).await.data_blobs, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn little_memory_and_few_threads_are_enough() {
    let source = MemorySource::new();
    for number in 0..50 {
        source.file(&format!("d/{number}"), noise(number, 400_000));
    }
    let vault = TestVault::new().await;
    let mut options = quick("item");
    (options.readers, options.sealers, options.room_bytes, options.pack_bytes) = (1, 1, 1, 1 << 20);
    backup::run(vault.request(source.shared(), options)).await.unwrap();
    let (target, _) = vault.restore(vault.latest().await).await;
    assert_eq!(target.differences(&source), Vec::<String>::new());
}
