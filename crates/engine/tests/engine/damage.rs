//! Damage in storage: told, kept from spreading, and healed by the next backup.

use crate::memory_source::MemorySource;
use crate::memory_target::MemoryTarget;
use crate::vault::{TestVault, noise, quick};
use contract::CheckOptions;
use holdfast_engine::backup;
use holdfast_engine::restore::RestoreOptions;
use std::collections::HashMap;
use std::sync::Arc;

fn tree() -> MemorySource {
    let source = MemorySource::new();
    for number in 0..300 {
        source.file(&format!("small/{number:03}"), noise(number, 20_000));
    }
    for number in 0..4 {
        source.file(&format!("large/{number}"), noise(1000 + number, 3_000_000));
    }
    source
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_need_a_damaged_blob_are_not_restored_and_the_others_are() {
    let vault = TestVault::new().await;
    let source = tree();
    vault.backup(source.shared()).await;
    let pack = &vault.packs(1)[0];
    vault.flip(pack, 5000);
    let (target, report) = vault.restore(vault.latest().await).await;
    assert!(report.damaged.count > 0 && report.damaged.count < 304, "{report:?}");
    let differences = target.differences(&source);
    assert_eq!(differences.len() as u64, report.damaged.count, "{differences:?}");
    assert!(differences.iter().all(|difference| difference.ends_with("is missing")));
    for trouble in &report.damaged.first {
        assert!(differences.contains(&format!("{} is missing", String::from_utf8_lossy(&trouble.path))));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pack_that_was_cut_off_costs_the_files_in_it_and_no_others() {
    for left in [0, 10, 100, 500_000] {
        let vault = TestVault::new().await;
        let source = tree();
        // so small that none has something of every file
        let mut request = vault.request(source.shared(), quick("item"));
        request.options.pack_bytes = 2 << 20;
        backup::run(request).await.unwrap();
        let cut = vault.packs(1)[0].clone();
        std::fs::File::options().write(true).open(&cut).unwrap().set_len(left).unwrap();
        let (target, report) = vault.restore(vault.latest().await).await;
        assert!(report.damaged.count > 0 && report.files > 0, "{left} bytes are left: {report:?}");
        assert_eq!(report.damaged.count + report.files, 304);
        assert_eq!(target.differences(&source).len() as u64, report.damaged.count, "{left} bytes are left");
        let checked = vault.check(true).await;
        assert!(!checked.is_sound());
        assert_eq!(checked.affected_count, report.damaged.count, "{left} bytes are left: what is affected is what is lost");
        assert!(vault.backup(source.shared()).await.bytes_stored > 0);
        let (target, report) = vault.restore(vault.latest().await).await;
        assert!(report.is_clean(), "the next backup heals it: {report:?}");
        assert_eq!(target.differences(&source), Vec::<String>::new());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_with_content_maps_damage_to_paths() {
    let vault = TestVault::new().await;
    let source = tree();
    vault.backup(source.shared()).await;
    vault.flip(&vault.packs(1)[0], 5000);
    assert!(vault.check(false).await.is_sound(), "what is not read is not found");
    let report = vault.check(true).await;
    assert_eq!(report.damaged_count, 1);
    let (_, restored) = vault.restore(vault.latest().await).await;
    let hit: Vec<_> = report.affected.iter().map(|affected| affected.path.clone()).collect();
    let lost: Vec<_> = restored.damaged.first.iter().map(|trouble| trouble.path.clone()).collect();
    assert_eq!(hit, lost);
}

/// Two points; then a bit of the first blob in each pack of a kind is flipped, and a check without keys finds that.
async fn damaged_vault(source: &MemorySource, kind: u8) -> TestVault {
    let vault = TestVault::new().await;
    vault.backup(source.shared()).await;
    source.file("small/new", "new");
    vault.backup(source.shared()).await;
    vault.packs(kind).iter().for_each(|pack| vault.flip(pack, 50));
    let found = vault.domain.check(CheckOptions::all_data(), Arc::new(|_| ())).await.unwrap();
    assert!(!found.is_sound());
    vault
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_backup_heals_damaged_data_of_all_points() {
    let source = tree();
    let vault = damaged_vault(&source, 1).await;
    assert!(vault.backup(source.shared()).await.bytes_stored > 0);
    let (target, restored) = vault.restore(vault.latest().await).await;
    assert!(restored.is_clean(), "{restored:?}");
    assert_eq!(target.differences(&source), Vec::<String>::new());
    assert!(vault.check(true).await.is_sound(), "all points are whole again");
    let again = vault.domain.check(CheckOptions::all_data(), Arc::new(|_| ())).await.unwrap();
    assert!(again.missing.is_empty(), "{again:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_after_damage_to_pages_is_whole() {
    let source = tree();
    let vault = damaged_vault(&source, 2).await;
    vault.backup(source.shared()).await;
    let (target, restored) = vault.restore(vault.latest().await).await;
    assert!(restored.is_clean(), "{restored:?}");
    assert_eq!(target.differences(&source), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_that_finds_damage_reports_it_so_that_the_next_backup_heals() {
    let vault = TestVault::new().await;
    let source = tree();
    vault.backup(source.shared()).await;
    vault.flip(&vault.packs(1)[0], 5000);
    let (_, report) = vault.restore(vault.latest().await).await;
    assert!(report.damaged.count > 0);
    vault.backup(source.shared()).await;
    for point in vault.points().await {
        let (target, restored) = vault.restore(point).await;
        assert!(restored.is_clean(), "{restored:?}");
        assert_eq!(target.differences(&source), Vec::<String>::new());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_page_costs_its_part_of_the_tree_only() {
    let source = MemorySource::new();
    for number in 0..3000 {
        source.file(&format!("d/{number:05}"), number.to_string());
    }
    let (mut hits, mut without_directory) = (0, 0);
    // Where pages lie in a pack depends on the domain's keys. The one with the directory's own entry is one of some ten: that it is missed
    // so often has a chance of one in a billion.
    for attempt in 0..250 {
        let step = 1 + attempt % 23;
        let vault = TestVault::new().await;
        vault.backup(source.shared()).await;
        // somewhere in the pages: mostly a leaf, sometimes the root of all
        let pack = &vault.packs(2)[0];
        vault.flip(pack, std::fs::metadata(pack).unwrap().len() * step / 24);
        let target = MemoryTarget::default();
        let restored = vault.try_restore(vault.latest().await, Arc::new(target.clone()), RestoreOptions::default()).await;
        let Ok(report) = restored else { continue };
        let files = target.paths().iter().filter(|path| path.starts_with("d/")).count();
        assert!(report.is_clean() == (report.damaged.count == 0) && files as u64 == report.files, "{files}");
        hits += u64::from(report.damaged.count > 0 && files > 0);
        // What lies in a directory is there although the directory's own entry was lost.
        let lost = target.get("d").is_some_and(|directory| directory.metadata.is_none());
        without_directory += u64::from(lost && files > 0);
        if without_directory > 0 && hits > 1 {
            return;
        }
    }
    panic!("{hits} hits, {without_directory} without their directory");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_itself_finds_damage_in_its_base_makes_a_point_that_is_whole() {
    let source = MemorySource::new();
    for number in 0..3000 {
        source.file(&format!("d/{number:05}"), number.to_string());
    }
    for step in 1..12 {
        let vault = TestVault::new().await;
        vault.backup(source.shared()).await;
        let pack = &vault.packs(2)[0];
        vault.flip(pack, std::fs::metadata(pack).unwrap().len() * step / 12);
        let report = vault.backup(source.shared()).await;
        let (target, restored) = vault.restore(vault.latest().await).await;
        assert!(restored.is_clean(), "{step}: {restored:?}");
        assert_eq!(target.differences(&source), Vec::<String>::new());
        assert!(report.findings.warnings_count() > 0 || report.bytes_stored < 10_000, "{step}: what is read again is warned of");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn packs_of_which_all_was_opened_are_not_read_again() {
    let vault = TestVault::new().await;
    vault.backup(tree().shared()).await;
    let opened = vault.check(true).await.opened;
    assert_eq!(opened.len(), vault.packs(1).len(), "all packs of data");
    let again = |opened| vault.domain.check(CheckOptions { opened, ..CheckOptions::all_data() }, Arc::new(|_| ()));
    let whole = again(HashMap::new()).await.unwrap();
    let rest = again(opened.clone()).await.unwrap();
    assert!(whole.is_sound() && rest.is_sound());
    assert_eq!((whole.packs, whole.blobs), (rest.packs, rest.blobs), "all are counted");
    assert!(rest.bytes_read < whole.bytes_read / 2, "{} of {}", rest.bytes_read, whole.bytes_read);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pack_of_which_not_all_was_opened_is_read_whole() {
    let vault = TestVault::new().await;
    vault.backup(tree().shared()).await;
    let mut opened = vault.check(true).await.opened;
    let damaged = vault.packs(1);
    damaged.iter().for_each(|pack| vault.flip(pack, 5000));
    opened.values_mut().for_each(|blobs| *blobs -= 1);
    let found = vault.domain.check(CheckOptions { opened, ..CheckOptions::all_data() }, Arc::new(|_| ())).await.unwrap();
    assert_eq!(found.damaged_copies.len(), damaged.len(), "{found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pack_with_known_damage_is_read_whole_whatever_was_opened() {
    let vault = TestVault::new().await;
    vault.backup(tree().shared()).await;
    let opened = vault.check(true).await.opened;
    let pack = &vault.packs(1)[0];
    vault.flip(pack, 5000);
    let check = |options| vault.domain.check(options, Arc::new(|_| ()));
    assert!(!check(CheckOptions::all_data()).await.unwrap().is_sound());
    vault.flip(pack, 5000);
    let healed = check(CheckOptions { opened, ..CheckOptions::all_data() }).await.unwrap();
    assert!(healed.is_sound(), "it was read and is right again: {healed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_header_is_found_whatever_was_opened_and_stays_on_record() {
    let vault = TestVault::new().await;
    vault.backup(tree().shared()).await;
    vault.flip(&vault.packs(1)[0], 3);
    let opened = vault.check(true).await.opened;
    for options in [CheckOptions::footers(), CheckOptions::all_data(), CheckOptions { opened, ..CheckOptions::all_data() }] {
        let found = vault.domain.check(options, Arc::new(|_| ())).await.unwrap();
        assert_eq!(found.damaged_packs.len(), 1, "{found:?}");
    }
}
