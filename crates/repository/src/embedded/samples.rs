//! A descriptor for tests.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use bytes::Bytes;
use format::descriptor::Descriptor;
use format::signature::Signature;
use format::{OwnerKey, VaultId, limits};

/// A descriptor of this version, and as it is stored.
pub(super) fn signed(version: u64) -> (Descriptor, Bytes) {
    let owner = Ed25519KeyPair::from_seed_unchecked(&[1; 32]).unwrap();
    let descriptor = Descriptor {
        vault: VaultId([7; 16]),
        version,
        created_ms: 0,
        owner: OwnerKey(owner.public_key().as_ref().try_into().unwrap()),
        owner_public: vec![0; limits::KEM_PUBLIC_BYTES],
        chunker: limits::CHUNKER_KEYED_GEAR,
        features_to_read: Vec::new(),
        features_to_write: Vec::new(),
        recipients: Vec::new(),
        domains: Vec::new(),
        certificates: Vec::new(),
    };
    let message = [limits::SIGN_DESCRIPTOR, &descriptor.encode_body()].concat();
    let signature = Signature(owner.sign(&message).as_ref().try_into().unwrap());
    let bytes = descriptor.encode(&signature).into();
    (descriptor, bytes)
}
