//! An item with many files, from a source that makes them up.

use super::generated::Generated;
use super::{Began, Memory, mib, need, number_of};
use crate::vault::{TestVault, quick};
use holdfast_engine::backup::{self, BackupReport};
use std::sync::Arc;

/// Bytes on disk for each file, at most.
const BYTES_A_FILE: u64 = 200;
/// Most memory of the whole process, embedded vault included.
const MEMORY_MIB_MAX: u64 = 400;

async fn back_up(vault: &TestVault, what: &str, source: Generated, files: u64) -> BackupReport {
    let (began, memory) = (Began::now(), Memory::watched());
    let report = backup::run(vault.request(Arc::new(source), quick("many"))).await.unwrap();
    assert_eq!(report.details.counts.files, files);
    began.tell(what, files, "files");
    let ([own, mapped], stored) = (memory.most(), report.bytes_stored >> 20);
    println!(
        "{what}: {} entries read, {stored} MiB stored; at most {own} MiB of its own, {mapped} of files",
        report.entries_read
    );
    report
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_item_with_many_files_takes_bounded_memory() {
    let files = number_of("HOLDFAST_FILES", 100_000);
    need(&std::env::temp_dir(), files * BYTES_A_FILE);
    let vault = TestVault::new().await;
    back_up(&vault, "first", Generated::changed_a_little(files, 0), files).await;
    let unchanged = back_up(&vault, "unchanged", Generated::changed_a_little(files, 0), files).await;
    assert_eq!(unchanged.entries_read, 0);
    let changed = back_up(&vault, "changed", Generated::changed_a_little(files, 1), files).await;
    assert_eq!(changed.entries_read, files.div_ceil(1000));
    // Where each test has a process of its own.
    if std::env::var_os("NEXTEST").is_some() {
        assert!(mib("VmHWM") < MEMORY_MIB_MAX, "{} MiB", mib("VmHWM"));
    }
}
