//! Ed25519 signatures (RFC 8032): the values, and their verification with a public key.

use crate::codec::{FormatError, Result};
use crate::id::{AgentKey, OwnerKey};
use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};

/// An Ed25519 signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signature(pub [u8; 64]);

impl Signature {
    /// Length in bytes.
    pub const BYTES: usize = 64;
}

fn verify(what: &'static str, key: &[u8; 32], context: &[u8], message: &[u8], signature: &Signature) -> Result<()> {
    let signed = [context, message].concat();
    UnparsedPublicKey::new(&ED25519, key).verify(&signed, &signature.0).map_err(|_| FormatError::Signature(what))
}

impl OwnerKey {
    /// Verifies that the owner signed `context ‖ message`.
    pub fn verify(&self, what: &'static str, context: &[u8], message: &[u8], signature: &Signature) -> Result<()> {
        verify(what, &self.0, context, message, signature)
    }

    /// What people compare: BLAKE3 of the key, 32 hexadecimal digits in groups of four.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let digits = blake3::hash(&self.0).to_hex();
        let groups: Vec<&str> = (0..8).map(|group| &digits[group * 4..group * 4 + 4]).collect();
        groups.join("-")
    }
}

impl AgentKey {
    /// Verifies that the agent signed `context ‖ message`.
    pub fn verify(&self, what: &'static str, context: &[u8], message: &[u8], signature: &Signature) -> Result<()> {
        verify(what, &self.0, context, message, signature)
    }
}
