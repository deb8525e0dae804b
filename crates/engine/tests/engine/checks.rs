//! Checks of sound vaults.

use crate::memory_source::MemorySource;
use crate::vault::{TestVault, noise};

#[tokio::test(flavor = "multi_thread")]
async fn what_points_share_is_read_once() {
    let vault = TestVault::new().await;
    let source = MemorySource::new();
    source.file("large", noise(1, 5_000_000)).file("small", "small");
    vault.backup(source.shared()).await;
    let once = vault.check(true).await;
    source.file("other", "other");
    vault.backup(source.shared()).await;
    let twice = vault.check(true).await;
    assert!(once.is_sound() && twice.is_sound());
    assert_eq!((once.points, twice.points), (1, 2));
    assert_eq!(once.bytes_verified, 5_000_005);
    assert_eq!(twice.data_blobs_opened, once.data_blobs_opened + 1);
}
