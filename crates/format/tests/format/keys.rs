//! Signing keys for tests, each from a seed of one byte.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use holdfast_format::signature::Signature;

fn pair(seed: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap()
}

pub(crate) fn public_key(seed: u8) -> [u8; 32] {
    pair(seed).public_key().as_ref().try_into().unwrap()
}

pub(crate) fn sign(seed: u8, context: &[u8], message: &[u8]) -> Signature {
    Signature(pair(seed).sign(&[context, message].concat()).as_ref().try_into().unwrap())
}
