//! What of a name there was over all points.

use crate::memory_source::MemorySource;
use crate::vault::{TestVault, noise};
use holdfast_engine::find::{self, FindReport, FindRequest, Wanted};
use holdfast_engine::{Cancel, Progress};
use std::sync::Arc;

async fn find(vault: &TestVault, name: &'static str) -> FindReport {
    let points = vault.points().await;
    let wanted: Wanted = Arc::new(move |path, _| path.split(|byte| *byte == b'/').next_back() == Some(name.as_bytes()));
    let (domain, descriptor, keys) = (vault.domain.clone(), vault.descriptor.clone(), vault.keys.clone());
    find::run(FindRequest { domain, descriptor, keys, points, wanted, progress: Progress::default(), cancel: Cancel::new() })
        .await
        .unwrap()
}

/// Path, first and last point by their places, how many, and whether the newest point has it.
async fn told(vault: &TestVault, report: &FindReport) -> Vec<String> {
    let points = vault.points().await;
    let place = |id| points.iter().position(|point| point.id == id).unwrap();
    let versions = report.versions.iter();
    let line = |version: &find::Version| {
        let newest = if version.is_newest { " newest" } else { "" };
        let (first, last) = (place(version.first), place(version.last));
        format!("{} {first}-{last} {}{newest}", String::from_utf8_lossy(&version.path), version.points)
    };
    versions.map(line).collect()
}

fn tree() -> MemorySource {
    let source = MemorySource::new();
    for directory in 0..5 {
        for number in 0..300 {
            source.file(&format!("d{directory}/{number:03}"), noise(number, 300));
        }
    }
    source
}

#[tokio::test(flavor = "multi_thread")]
async fn every_version_of_a_file_is_found_with_the_points_that_have_it() {
    let (vault, source) = (TestVault::new().await, tree());
    vault.backup(source.shared()).await;
    source.file("d1/report", "first");
    vault.backup(source.shared()).await;
    source.file("d3/other", "in between");
    vault.backup(source.shared()).await;
    source.file("d1/report", "second, longer").file("d4/report", "elsewhere");
    vault.backup(source.shared()).await;
    source.remove("d1/report");
    vault.backup(source.shared()).await;
    source.file("d1/report", "third");
    vault.backup(source.shared()).await;
    let report = find(&vault, "report").await;
    assert_eq!(
        told(&vault, &report).await,
        ["d1/report 1-2 2", "d1/report 3-3 1", "d1/report 5-5 1 newest", "d4/report 3-5 3 newest"]
    );
    assert_eq!((report.points, report.left_out, report.unread.len()), (6, 0, 0));
    assert_eq!(report.versions[1].metadata.size, 14);
    assert!(find(&vault, "nothing").await.versions.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_moved_to_other_pages_or_extents_is_no_new_version() {
    let (vault, source) = (TestVault::new().await, tree());
    source.file("d2/report", "the same all the time");
    vault.backup(source.shared()).await;
    for number in 0..200 {
        source.file(&format!("d2/more-{number:03}"), noise(number, 400));
    }
    vault.backup(source.shared()).await;
    for number in (0..200).filter(|number| number % 3 > 0) {
        source.remove(&format!("d2/more-{number:03}"));
    }
    vault.backup(source.shared()).await;
    assert_eq!(told(&vault, &find(&vault, "report").await).await, ["d2/report 0-2 3 newest"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_point_that_cannot_be_read_is_told_and_the_others_are_looked_through() {
    let (vault, source) = (TestVault::new().await, tree());
    source.file("d1/report", "first");
    vault.backup(source.shared()).await;
    let before = vault.packs(2);
    source.file("d1/report", "second");
    vault.backup(source.shared()).await;
    let of_second: Vec<_> = vault.packs(2).into_iter().filter(|pack| !before.contains(pack)).collect();
    source.file("d2/report", "elsewhere");
    // Every page of the second point is another one in the third.
    for number in 0..300 {
        (0..5).for_each(|directory| {
            source.file(&format!("d{directory}/{number:03}"), "other content");
        });
    }
    vault.backup(source.shared()).await;
    for pack in &of_second {
        // Footer and trailer stay as they are.
        let blobs = std::fs::metadata(pack).unwrap().len() / 2;
        (40..blobs).step_by(100).for_each(|offset| vault.flip(pack, offset));
    }
    let report = find(&vault, "report").await;
    assert_eq!(report.unread.len(), 1, "{report:?}");
    assert_eq!(report.points, 2);
    assert_eq!(told(&vault, &report).await, ["d1/report 0-0 1", "d1/report 2-2 1 newest", "d2/report 2-2 1 newest"]);
}
