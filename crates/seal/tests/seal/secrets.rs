//! Secrets are wiped, and do not show.

use crate::fixture::{KEYS, owner};
use seal::{AgentSigner, DataKey, DomainSecret, DomainWriter, LocalKey, OwnerSeed, RecipientSecret};
use zeroize::ZeroizeOnDrop;

#[test]
fn every_secret_is_wiped_when_it_is_dropped() {
    // checked by the compiler: a type that is not wiped does not compile here
    fn wiped<T: ZeroizeOnDrop>() {}
    wiped::<OwnerSeed>();
    wiped::<DomainSecret>();
    wiped::<DomainWriter>();
    wiped::<DataKey>();
    wiped::<AgentSigner>();
    wiped::<RecipientSecret>();
    wiped::<LocalKey>();
}

#[test]
fn no_secret_shows_when_it_is_printed_for_debugging() {
    assert_eq!(format!("{:?}", owner()), "OwnerSeed(secret)");
    assert_eq!(format!("{:?}", KEYS.secret), "DomainSecret(secret)");
    assert_eq!(format!("{:?}", KEYS.writer), "DomainWriter(secret)");
    assert_eq!(format!("{:?}", KEYS.key), "DataKey(secret)");
    assert_eq!(format!("{:?}", AgentSigner::generate()), "AgentSigner(secret)");
    assert_eq!(format!("{:?}", RecipientSecret::generate()), "RecipientSecret(secret)");
    assert_eq!(format!("{:?}", LocalKey::generate()), "LocalKey(secret)");
    assert_eq!(format!("{:?}", seal::generate_passphrase()), "SecretBox<str>([REDACTED])");
}

#[test]
fn secrets_can_go_between_threads() {
    fn shared<T: Send + Sync + 'static>() {}
    shared::<OwnerSeed>();
    shared::<DomainSecret>();
    shared::<DomainWriter>();
    shared::<DataKey>();
    shared::<AgentSigner>();
    shared::<LocalKey>();
    fn sent<T: Send + 'static>() {}
    sent::<seal::BlobSealer>();
    sent::<seal::BlobOpener>();
}
