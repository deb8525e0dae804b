//! What a vault in an attacker's hands cannot do.

use crate::memory_source::MemorySource;
use crate::memory_target::MemoryTarget;
use crate::vault::{TestVault, item, quick};
use format::{PointId, Sequence};
use holdfast_engine::backup;
use holdfast_engine::restore::RestoreOptions;
use holdfast_engine::{Alarm, EngineError, ErrorKind, Remembered, verify_whole_point};
use seal::{AgentSigner, OwnerSeed};
use std::sync::Arc;

async fn two_items() -> TestVault {
    let vault = TestVault::new().await;
    let source = MemorySource::new();
    source.file("a", "a");
    vault.backup(source.shared()).await;
    backup::run(vault.request(source.shared(), quick("other"))).await.unwrap();
    vault
}

#[tokio::test(flavor = "multi_thread")]
async fn a_point_cannot_be_shown_as_one_of_another_item_or_place() {
    let vault = two_items().await;
    let points = vault.points().await;
    let refused = |change: &dyn Fn(&mut contract::PointInfo)| {
        let mut info = points[0].clone();
        change(&mut info);
        assert!(verify_whole_point(&vault.descriptor, vault.domain.id(), &info).is_err());
    };
    assert!(verify_whole_point(&vault.descriptor, vault.domain.id(), &points[0]).is_ok());
    refused(&|info| info.item = item("other"));
    refused(&|info| info.sequence = Sequence(2));
    refused(&|info| info.id = PointId([9; 32]));
    refused(&|info| info.record = points[1].record.clone());
    assert!(verify_whole_point(&vault.descriptor, format::DomainId([9; 16]), &points[0]).is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_refuses_a_point_that_does_not_verify() {
    let vault = two_items().await;
    let points = vault.points().await;
    let mut swapped = points[0].clone();
    swapped.record = points[1].record.clone();
    let target = Arc::new(MemoryTarget::default());
    let error = vault.try_restore(swapped, target.clone(), RestoreOptions::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(target.paths().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_of_an_agent_that_the_owner_did_not_certify_is_refused() {
    let vault = two_items().await;
    let info = vault.latest().await;
    let record = format::record::SignedRecord::parse(&info.record).unwrap();
    let forged = AgentSigner::generate().sign(record.body);
    let info = contract::PointInfo { record: forged.encode().into(), ..info };
    assert!(verify_whole_point(&vault.descriptor, vault.domain.id(), &info).is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_by_a_stranger_is_denied() {
    let vault = two_items().await;
    let source = MemorySource::new();
    let mut request = vault.request(source.shared(), quick("item"));
    request.keys.signer = Arc::new(OwnerSeed::generate().agent_signer(crate::vault::DOMAIN));
    assert_eq!(backup::run(request).await.unwrap_err().kind(), ErrorKind::Denied);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vault_that_was_set_back_raises_an_alarm() {
    let vault = two_items().await;
    let source = MemorySource::new();
    source.file("a", "a");
    let seen = vault.backup(source.shared()).await.remembered;
    assert_eq!(seen.sequence, Sequence(2));
    let mut options = quick("item");
    options.remembered = Some(Remembered { sequence: Sequence(7), ..seen.clone() });
    let error = backup::run(vault.request(source.shared(), options)).await.unwrap_err();
    assert!(matches!(error, EngineError::SetBack(Alarm::PointsSetBack { .. })), "{error:?}");
    let mut options = quick("item");
    options.remembered = Some(seen);
    assert_eq!(backup::run(vault.request(source.shared(), options)).await.unwrap().sequence, Sequence(3));
}
