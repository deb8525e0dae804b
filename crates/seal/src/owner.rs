//! The owner seed: 32 bytes from which everything of a vault's owner follows.
//!
//! ```text
//! owner signing key (Ed25519 seed)    = BLAKE3 derive_key(CONTEXT_OWNER_SIGNING, seed)
//! owner key pair (X-Wing secret)      = BLAKE3 derive_key(CONTEXT_OWNER_KEM, seed)
//! owner's agent key for a domain      = keyed BLAKE3(derive_key(CONTEXT_OWNER_AGENT, seed), domain)
//! ```

use crate::agent::{AgentSigner, key_pair, public_key, sign};
use crate::domain::DomainSecret;
use crate::error::{Result, SealError};
use crate::kem;
use crate::secret::{Secret, derive, equal, opaque, random};
use format::descriptor::{Certificate, Descriptor, DomainEntry};
use format::enrolment::Ticket;
use format::{AgentKey, DomainId, ItemName, OwnerKey, VaultId, limits};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// The root of a vault's keys. It leaves the source only wrapped, or printed as a recovery kit.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct OwnerSeed([u8; 32]);

opaque!(OwnerSeed);

impl OwnerSeed {
    /// A new seed.
    #[must_use]
    pub fn generate() -> Self {
        Self(*random())
    }

    /// The seed with these bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The key that readers pin.
    #[must_use]
    pub fn owner_key(&self) -> OwnerKey {
        OwnerKey(public_key(&key_pair(&self.signing())))
    }

    /// X-Wing public key: domain secrets are wrapped to it.
    #[must_use]
    pub fn public(&self) -> Vec<u8> {
        kem::public(&self.kem())
    }

    /// Signs a descriptor and encodes it with its signature, as it stands in storage.
    #[must_use]
    pub fn sign_descriptor(&self, descriptor: &Descriptor) -> Vec<u8> {
        let signature = sign(&key_pair(&self.signing()), limits::SIGN_DESCRIPTOR, &descriptor.encode_body());
        descriptor.encode(&signature)
    }

    /// Certifies that an agent may write items of a domain; no items means all of them.
    #[must_use]
    pub fn certify(&self, vault: VaultId, agent: AgentKey, domain: DomainId, items: &[ItemName]) -> Certificate {
        let signed = Certificate::signed_bytes(vault, agent, domain, items);
        let signature = sign(&key_pair(&self.signing()), limits::SIGN_CERTIFICATE, &signed);
        Certificate { agent, domain, items: items.to_vec(), retired: false, signature }
    }

    /// Lets the holder of a one-time key enrol one domain: the unsigned ticket gets the owner's signature.
    #[must_use]
    pub fn sign_ticket(&self, mut ticket: Ticket) -> Ticket {
        ticket.signature = sign(&key_pair(&self.signing()), limits::SIGN_TICKET, &ticket.signed_bytes());
        ticket
    }

    /// Gives the owner's own certificates to agents that were enrolled since the descriptor was signed, so that it can be
    /// signed anew. `EnrolledSecret` names a domain that one of them may write and the owner cannot open: nothing is adopted then.
    pub fn adopt(&self, descriptor: &mut Descriptor) -> Result<()> {
        if let Some(domain) = self.unopened(descriptor).first() {
            return Err(SealError::EnrolledSecret(*domain));
        }
        let (owner, vault) = (self.owner_key(), descriptor.vault);
        for certificate in descriptor.certificates.iter_mut().filter(|certificate| is_enrolled(&owner, vault, certificate)) {
            let signed = Certificate::signed_bytes(vault, certificate.agent, certificate.domain, &certificate.items);
            certificate.signature = sign(&key_pair(&self.signing()), limits::SIGN_CERTIFICATE, &signed);
        }
        Ok(())
    }

    /// Domains that were enrolled since the descriptor was signed, whose agents may write, and whose secrets do not open with the
    /// owner's key.
    #[must_use]
    pub fn unopened(&self, descriptor: &Descriptor) -> Vec<DomainId> {
        let (owner, vault) = (self.owner_key(), descriptor.vault);
        let enrolled = descriptor.certificates.iter().filter(|known| !known.retired && is_enrolled(&owner, vault, known));
        let opens = |domain| descriptor.domain(domain).is_some_and(|entry| self.domain_secret(entry).is_ok());
        enrolled.map(|certificate| certificate.domain).filter(|domain| !opens(*domain)).collect()
    }

    /// The agent's key that the owner uses for a domain: always the same, kept nowhere.
    #[must_use]
    pub fn agent_signer(&self, domain: DomainId) -> AgentSigner {
        let mut hasher = blake3::Hasher::new_keyed(&derive(limits::CONTEXT_OWNER_AGENT, &self.0));
        hasher.update(domain.as_bytes());
        let mut hash = hasher.finalize();
        hasher.zeroize();
        let seed = Zeroizing::new(*hash.as_bytes());
        hash.zeroize();
        AgentSigner::from_secret(seed)
    }

    /// Opens the secret of a domain. `WrongKey` if it was wrapped to another owner or for another domain.
    pub fn domain_secret(&self, entry: &DomainEntry) -> Result<DomainSecret> {
        DomainSecret::unwrap(&entry.wrapped_secret, &self.kem(), entry.id, &entry.public)
    }

    /// Whether this is the seed of the descriptor's owner: both public keys follow from it. In constant time.
    #[must_use]
    pub fn commits_to(&self, descriptor: &Descriptor) -> bool {
        let signing = equal(self.owner_key().as_bytes(), descriptor.owner.as_bytes());
        let kem = equal(&self.public(), &descriptor.owner_public);
        signing & kem
    }

    /// [`OwnerSeed::commits_to`] as a result: AES-GCM-SIV does not commit to its key, so every unwrapped seed goes through
    /// this before it is used.
    pub fn check(&self, descriptor: &Descriptor) -> Result<()> {
        if self.commits_to(descriptor) { Ok(()) } else { Err(SealError::WrongKey("this key belongs to another vault's owner")) }
    }

    fn signing(&self) -> Secret {
        derive(limits::CONTEXT_OWNER_SIGNING, &self.0)
    }

    fn kem(&self) -> Secret {
        derive(limits::CONTEXT_OWNER_KEM, &self.0)
    }
}

/// Whether the certificate is an enrolled agent's, for which the owner's ticket stands.
fn is_enrolled(owner: &OwnerKey, vault: VaultId, certificate: &Certificate) -> bool {
    let signed = Certificate::signed_bytes(vault, certificate.agent, certificate.domain, &certificate.items);
    owner.verify("certificate", limits::SIGN_CERTIFICATE, &signed, &certificate.signature).is_err()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::{Descriptor, OwnerSeed, VaultId, limits};

    /// A descriptor without domains.
    pub(crate) fn descriptor(seed: &OwnerSeed) -> Descriptor {
        Descriptor {
            vault: VaultId([1; 16]),
            version: 1,
            created_ms: 1,
            owner: seed.owner_key(),
            owner_public: seed.public(),
            chunker: limits::CHUNKER_KEYED_GEAR,
            features_to_read: Vec::new(),
            features_to_write: Vec::new(),
            recipients: Vec::new(),
            domains: Vec::new(),
            certificates: Vec::new(),
        }
    }
}
