//! Backups that do not come to their end.

use crate::memory_source::MemorySource;
use crate::vault::{TestVault, noise, quick};
use holdfast_engine::ErrorKind;
use holdfast_engine::backup::{self, BackupEvent};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

fn tree() -> MemorySource {
    let source = MemorySource::new();
    for number in 0..4000 {
        source.file(&format!("d{}/{number:05}", number / 500), noise(number, 6000));
    }
    source
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_backup_leaves_no_point_and_the_next_one_sends_less() {
    let vault = TestVault::new().await;
    let source = tree();
    let mut options = quick("item");
    options.pack_bytes = 1 << 20;
    let request = vault.request(source.shared(), options);
    let (cancel, progress) = (request.cancel.clone(), request.progress.clone());
    let running = tokio::spawn(backup::run(request));
    while progress.bytes_stored.get() < 8 << 20 {
        tokio::task::yield_now().await;
    }
    cancel.cancel();
    assert_eq!(running.await.unwrap().unwrap_err().kind(), ErrorKind::Cancelled);
    assert!(vault.points().await.is_empty());
    let sent = progress.bytes_stored.get();
    let report = vault.backup(source.shared()).await;
    assert!(report.bytes_stored + sent / 2 < 24 << 20, "{} after {sent}", report.bytes_stored);
    let (target, _) = vault.restore(vault.latest().await).await;
    assert_eq!(target.differences(&source), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_checkpoint_holds_is_not_read_again() {
    let vault = TestVault::new().await;
    let source = tree();
    let mut options = quick("item");
    options.checkpoint_bytes = 4 << 20;
    let mut request = vault.request(source.shared(), options);
    let (cancel, held) = (request.cancel.clone(), Arc::new(AtomicU64::new(0)));
    let noted = held.clone();
    request.sink = Arc::new(move |event| {
        if let BackupEvent::Checkpoint { entries } = event {
            noted.store(*entries, Ordering::SeqCst);
            cancel.cancel();
        }
    });
    let ended = backup::run(request).await;
    assert_eq!(ended.unwrap_err().kind(), ErrorKind::Cancelled);
    let held = held.load(Ordering::SeqCst);
    assert!(held > 0);
    assert!(vault.points().await.is_empty(), "a checkpoint is no point");
    let report = vault.backup(source.shared()).await;
    assert!(report.entries_unchanged + 1024 >= held, "{} of {held}", report.entries_unchanged);
    let (target, restored) = vault.restore(vault.latest().await).await;
    assert!(restored.is_clean());
    assert_eq!(target.differences(&source), Vec::<String>::new());
    assert!(vault.check(true).await.is_sound());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_with_many_checkpoints_is_whole() {
    let vault = TestVault::new().await;
    let source = tree();
    let mut options = quick("item");
    options.checkpoint_bytes = 1 << 20;
    backup::run(vault.request(source.shared(), options)).await.unwrap();
    let (target, restored) = vault.restore(vault.latest().await).await;
    assert!(restored.is_clean());
    assert_eq!(target.differences(&source), Vec::<String>::new());
    assert!(vault.check(true).await.is_sound());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_fails_as_a_whole_is_an_error() {
    struct Broken;
    impl holdfast_engine::source::TreeSource for Broken {
        fn walk(&self) -> std::io::Result<Box<dyn Iterator<Item = std::io::Result<holdfast_engine::source::WalkEvent>> + Send>> {
            Ok(Box::new(std::iter::once(Err(std::io::ErrorKind::PermissionDenied.into()))))
        }
    }
    let vault = TestVault::new().await;
    assert_eq!(vault.try_backup(Arc::new(Broken)).await.unwrap_err().kind(), ErrorKind::Denied);
    assert!(vault.points().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_reads_as_often_as_it_may_and_at_once_when_it_may() {
    let vault = TestVault::new().await;
    let source = tree();
    let request = vault.request(source.shared(), quick("item"));
    let (gate, cancel) = (request.options.gate.clone(), request.cancel.clone());
    gate.close();
    let running = tokio::spawn(backup::run(request));
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(source.opened(), 0, "nobody passes");
    gate.limit(Some(100));
    gate.open();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let limited = source.opened();
    assert!((1..1000).contains(&limited), "{limited}");
    gate.limit(None);
    running.await.unwrap().unwrap();
    assert_eq!(limited + source.opened(), 4000);
    assert!(!cancel.is_cancelled());
    let (target, _) = vault.restore(vault.latest().await).await;
    assert_eq!(target.differences(&source), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_waits_to_read_ends_within_a_second_when_it_is_cancelled() {
    let vault = TestVault::new().await;
    let request = vault.request(tree().shared(), quick("item"));
    let (gate, cancel) = (request.options.gate.clone(), request.cancel.clone());
    gate.limit(Some(1));
    let running = tokio::spawn(backup::run(request));
    tokio::time::sleep(Duration::from_millis(300)).await;
    let cancelled = Instant::now();
    cancel.cancel();
    assert_eq!(running.await.unwrap().unwrap_err().kind(), ErrorKind::Cancelled);
    // The machine may be busy; the wait itself is less than half of a second.
    assert!(cancelled.elapsed() < Duration::from_secs(2), "{:?}", cancelled.elapsed());
}
