//! Lists and differences.

use crate::memory_source::MemorySource;
use crate::vault::{TestVault, noise};
use holdfast_engine::diff::{self, Change, DiffReport, DiffRequest};
use holdfast_engine::list::{self, ListRequest};
use holdfast_engine::{Cancel, ErrorKind, Result};
use std::sync::{Arc, Mutex};

fn tree() -> MemorySource {
    let source = MemorySource::new();
    for directory in 0..10 {
        for number in 0..400 {
            source.file(&format!("d{directory}/{number:03}"), noise(number, 500));
        }
    }
    source
}

async fn list(vault: &TestVault, path: &str, recursive: bool) -> Result<Vec<String>> {
    let found = Arc::new(Mutex::new(Vec::new()));
    let noted = found.clone();
    let request = ListRequest {
        domain: vault.domain.clone(),
        descriptor: vault.descriptor.clone(),
        keys: vault.keys.clone(),
        point: vault.latest().await,
        path: path.into(),
        recursive,
        cancel: Cancel::new(),
    };
    list::run(request, move |listed| noted.lock().unwrap().push(String::from_utf8(listed.path).unwrap())).await?;
    Ok(found.lock().unwrap().clone())
}

async fn diff(vault: &TestVault) -> (Vec<Change>, DiffReport) {
    let points = vault.points().await;
    let changes = Arc::new(Mutex::new(Vec::new()));
    let noted = changes.clone();
    let request = DiffRequest {
        domain: vault.domain.clone(),
        descriptor: vault.descriptor.clone(),
        keys: vault.keys.clone(),
        before: points[points.len() - 2].clone(),
        after: points[points.len() - 1].clone(),
        cancel: Cancel::new(),
    };
    let report = diff::run(request, move |change| noted.lock().unwrap().push(change)).await.unwrap();
    (changes.lock().unwrap().clone(), report)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_has_the_entries_of_its_directory() {
    let vault = TestVault::new().await;
    vault.backup(tree().shared()).await;
    assert_eq!(list(&vault, "", false).await.unwrap().len(), 10);
    assert_eq!(list(&vault, "/d3/", false).await.unwrap().len(), 400);
    assert_eq!(list(&vault, "", true).await.unwrap().len(), 4010);
    assert_eq!(list(&vault, "d7", true).await.unwrap().len(), 400);
    assert_eq!(list(&vault, "d7/123", false).await.unwrap(), ["d7/123"]);
    assert_eq!(list(&vault, "d11", false).await.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_difference_is_what_changed_and_equal_pages_are_skipped() {
    let vault = TestVault::new().await;
    let source = tree();
    vault.backup(source.shared()).await;
    source.remove("d2/100").file("d5/new", "new").file("d8/200", "other").touch("d8/201");
    source.change("d9/300", |entry| entry.metadata.mode = 0o600).touch("d9/300");
    vault.backup(source.shared()).await;
    let (changes, report) = diff(&vault).await;
    let path = |change: &Change| match change {
        Change::Added(path, _) => format!("+{}", String::from_utf8_lossy(path)),
        Change::Removed(path, _) => format!("-{}", String::from_utf8_lossy(path)),
        Change::Changed(path, what) => format!(
            "{}{}{} {}",
            if what.content { "c" } else { "" },
            if what.modified { "t" } else { "" },
            if what.mode { "m" } else { "" },
            String::from_utf8_lossy(path)
        ),
    };
    let changes: Vec<_> = changes.iter().map(path).collect();
    assert_eq!(changes, ["-d2/100", "+d5/new", "ct d8/200", "t d8/201", "tm d9/300"]);
    assert_eq!((report.added, report.removed, report.changed), (1, 1, 3));
    assert!(report.pages_skipped > 0, "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn equal_points_differ_in_nothing() {
    let vault = TestVault::new().await;
    let source = tree();
    vault.backup(source.shared()).await;
    vault.backup(source.shared()).await;
    let (changes, report) = diff(&vault).await;
    assert!(changes.is_empty());
    assert_eq!(report.pages_skipped, 1, "the root itself");
}
