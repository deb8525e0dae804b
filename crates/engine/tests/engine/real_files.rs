//! Real files, there and back.

use crate::vault::TestVault;
use holdfast_engine::restore::RestoreOptions;
use holdfast_engine::source::WarningKind;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use workloads::files::{self, FileSet, FileSetOptions, RestoreTarget};
use workloads::zoo::{ZooOptions, build, compare};

fn file_set(root: &Path) -> Arc<FileSet> {
    Arc::new(FileSet::new(FileSetOptions { roots: vec![root.to_owned()], ..FileSetOptions::default() }).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_zoo_comes_back_equal() {
    let vault = TestVault::new().await;
    let place = tempfile::tempdir().unwrap();
    let root = place.path().canonicalize().unwrap().join("zoo");
    fs::create_dir(&root).unwrap();
    build(&root, ZooOptions { socket: false, ..ZooOptions::default() }).unwrap();
    // the slash is a component too, and the zoo's own directory stays
    let strip = root.components().count() - 2;
    for round in 0..3 {
        let report = vault.backup(file_set(&root)).await;
        let unexpected: Vec<_> =
            report.findings.warnings.iter().filter(|warning| warning.kind != WarningKind::ScopeChanged).collect();
        assert!(unexpected.is_empty(), "{unexpected:?}");
        let out = place.path().join(format!("out{round}"));
        let target = Arc::new(RestoreTarget::new(files::RestoreOptions::new(&out)).unwrap());
        let options = RestoreOptions { strip, ..RestoreOptions::default() };
        let restored = vault.try_restore(vault.latest().await, target, options).await.unwrap();
        assert!(restored.damaged.count == 0 && restored.failed.count == 0, "{restored:?}");
        if restored.shortfalls.count == 0 {
            assert_eq!(compare(&root, &out.join("zoo")), Vec::<String>::new(), "round {round}");
        }
        fs::write(root.join(format!("written in round {round}")), "new").unwrap();
    }
    assert!(vault.check(true).await.is_sound());
}
