//! Whom the client trusts, and who else may use the directory.

use crate::running::{Protected, Running};
use api::{Fingerprint, ServiceOptions, ServiceVault};
use contract::{ErrorKind, Vault};
use repository::{EmbeddedOptions, EmbeddedVault};
use secrecy::SecretString;
use vault::{Config, Limits, Service, ServiceError};

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_pins_another_authority_sends_nothing() {
    let running = Running::new(Limits::default()).await;
    let other = Fingerprint::of(b"another certificate");
    for authority in [Some(other), None] {
        let client = ServiceVault::new(ServiceOptions::new(running.url(), authority, SecretString::from("secret"))).unwrap();
        let error = client.descriptor().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Denied, "{error:?}");
        assert!(error.to_string().contains("cannot prove who it is"), "{error:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_not_there_is_told_quickly() {
    let running = Running::new(Limits::default()).await;
    let client = running.client("secret");
    running.stop().await;
    let started = std::time::Instant::now();
    assert_eq!(client.descriptor().await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert!(started.elapsed().as_secs() < 15);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_without_a_vault_says_so_and_another_owner_cannot_take_it_over() {
    let running = Running::new(Limits::default()).await;
    let token = running.client(&running.one_time.clone().unwrap()).redeem("administrator").await.unwrap().secret;
    assert_eq!(running.client(&token).descriptor().await.unwrap_err().kind(), ErrorKind::NotFound);
    let protected = Protected::new().await;
    let other = Protected::new().await;
    let theirs = other.keyed.owner.sign_descriptor(&other.keyed.descriptor);
    assert_eq!(protected.admin().publish_descriptor(theirs.into()).await.unwrap_err().kind(), ErrorKind::Denied);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_a_service_uses_is_not_opened_by_others() {
    let protected = Protected::new().await;
    let data = protected.running.directory.path().join("data");
    let opened = EmbeddedVault::open(&data.join("vault"), EmbeddedOptions::default()).await;
    assert_eq!(opened.err().unwrap().kind(), ErrorKind::Unavailable);
    let config = Config { data: data.clone(), listen: "127.0.0.1:0".parse().unwrap(), ..Config::default() };
    assert!(matches!(Service::start(config).await, Err(ServiceError::InUse { .. })), "nor by another service");
    let directory = protected.running.stop().await;
    EmbeddedVault::open(&directory.path().join("data/vault"), EmbeddedOptions::default()).await.unwrap();
}
