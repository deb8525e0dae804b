//! Who is who in the simulated vault: an owner, agents with certificates, one whose certificate is retired, and a stranger.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use format::descriptor::{Certificate, Descriptor, DomainEntry};
use format::limits;
use format::record::{RecordBody, SignedRecord};
use format::signature::Signature;
use format::{AgentKey, DomainId, ItemName, OwnerKey, VaultId};
use std::sync::LazyLock;

/// A key pair.
pub(super) struct Signer {
    pair: Ed25519KeyPair,
}

/// Everybody.
pub(super) struct Identity {
    pub(super) vault: VaultId,
    pub(super) domain: DomainId,
    pub(super) descriptor: Descriptor,
    /// May write every item.
    pub(super) agent: Signer,
    /// May write the first item only.
    pub(super) narrow: Signer,
    /// Might once write every item.
    pub(super) retired: Signer,
    /// Was never certified.
    pub(super) stranger: Signer,
}

/// The items that there are.
pub(super) const ITEMS: [&str; 2] = ["alpha", "beta"];

/// One vault for all simulations: making and verifying certificates is slow.
pub(super) static IDENTITY: LazyLock<Identity> = LazyLock::new(make);

/// The item with this number.
pub(super) fn item(number: usize) -> ItemName {
    ItemName::new(ITEMS[number]).unwrap()
}

impl Signer {
    fn new(number: u8) -> Self {
        Self { pair: Ed25519KeyPair::from_seed_unchecked(&[number; 32]).unwrap() }
    }

    fn public(&self) -> [u8; 32] {
        self.pair.public_key().as_ref().try_into().unwrap()
    }

    pub(super) fn key(&self) -> AgentKey {
        AgentKey(self.public())
    }

    fn signature(&self, context: &[u8], message: &[u8]) -> Signature {
        let signature = self.pair.sign(&[context, message].concat());
        Signature(signature.as_ref().try_into().unwrap())
    }

    /// Signs a record.
    pub(super) fn sign(&self, body: RecordBody) -> SignedRecord {
        let signature = self.signature(limits::SIGN_RECORD, &body.encode());
        SignedRecord { body, agent: self.key(), signature }
    }
}

fn make() -> Identity {
    let owner = Signer::new(1);
    let (agent, narrow, retired, stranger) = (Signer::new(2), Signer::new(3), Signer::new(4), Signer::new(5));
    let (vault, domain) = (VaultId([7; 16]), DomainId([8; 16]));
    let certify = |agent: &Signer, items: &[ItemName], retired| Certificate {
        agent: agent.key(),
        domain,
        items: items.to_vec(),
        retired,
        signature: owner.signature(limits::SIGN_CERTIFICATE, &Certificate::signed_bytes(vault, agent.key(), domain, items)),
    };
    let entry = DomainEntry {
        id: domain,
        name: "simulated".to_owned(),
        created_ms: 0,
        public: vec![0; limits::KEM_PUBLIC_BYTES],
        wrapped_secret: vec![0; 100],
    };
    let descriptor = Descriptor {
        vault,
        version: 1,
        created_ms: 0,
        owner: OwnerKey(owner.public()),
        owner_public: vec![0; limits::KEM_PUBLIC_BYTES],
        chunker: limits::CHUNKER_KEYED_GEAR,
        features_to_read: Vec::new(),
        features_to_write: Vec::new(),
        recipients: Vec::new(),
        domains: vec![entry],
        certificates: vec![certify(&agent, &[], false), certify(&narrow, &[item(0)], false), certify(&retired, &[], true)],
    };
    let encoded = descriptor.encode(&owner.signature(limits::SIGN_DESCRIPTOR, &descriptor.encode_body()));
    let descriptor = Descriptor::open(&encoded, None).unwrap();
    Identity { vault, domain, descriptor, agent, narrow, retired, stranger }
}
