//! The key with which an agent signs the records of its points.

use crate::secret::{Secret, opaque, random};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use format::AgentKey;
use format::limits;
use format::record::{RecordBody, SignedRecord};
use format::signature::Signature;
use zeroize::{ZeroizeOnDrop, Zeroizing};

/// An agent's Ed25519 key pair.
pub struct AgentSigner {
    seed: Secret,
    pair: Ed25519KeyPair,
}

opaque!(AgentSigner);
impl ZeroizeOnDrop for AgentSigner {}

impl AgentSigner {
    /// A new key pair.
    #[must_use]
    pub fn generate() -> Self {
        Self::from_secret(random())
    }

    /// The secret: the seed of RFC 8032.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        self.seed.clone()
    }

    /// The key pair with this secret.
    #[must_use]
    pub fn from_bytes(seed: [u8; 32]) -> Self {
        Self::from_secret(Zeroizing::new(seed))
    }

    pub(crate) fn sign_as(&self, context: &[u8], message: &[u8]) -> Signature {
        sign(&self.pair, context, message)
    }

    pub(crate) fn from_secret(seed: Secret) -> Self {
        let pair = key_pair(&seed);
        Self { seed, pair }
    }

    /// The public key.
    #[must_use]
    pub fn key(&self) -> AgentKey {
        AgentKey(public_key(&self.pair))
    }

    /// Proves to a vault service that a token is to be this agent's.
    #[must_use]
    pub fn prove(&self, statement: &[u8]) -> Signature {
        sign(&self.pair, limits::SIGN_AGENT_TOKEN, statement)
    }

    /// Signs the body of a record.
    #[must_use]
    pub fn sign(&self, body: RecordBody) -> SignedRecord {
        let signature = sign(&self.pair, limits::SIGN_RECORD, &body.encode());
        SignedRecord { body, agent: self.key(), signature }
    }
}

/// The key pair of a seed.
pub(crate) fn key_pair(seed: &[u8; 32]) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(seed).expect("an Ed25519 seed is any 32 bytes")
}

/// The public key of a pair.
pub(crate) fn public_key(pair: &Ed25519KeyPair) -> [u8; 32] {
    pair.public_key().as_ref().try_into().expect("an Ed25519 public key has 32 bytes")
}

/// Signs `context ‖ message`.
pub(crate) fn sign(pair: &Ed25519KeyPair, context: &[u8], message: &[u8]) -> Signature {
    let signature = pair.sign(&[context, message].concat());
    Signature(signature.as_ref().try_into().expect("an Ed25519 signature has 64 bytes"))
}
