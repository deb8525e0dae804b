//! The vault descriptor: signed by the owner, the root of all trust in a vault.
//!
//! ```text
//! body ‖ signature (64)
//! body        = magic (8) ‖ vault (16) ‖ version (u64) ‖ created (i64, ms) ‖ owner (32) ‖ owner's X-Wing key (1216)
//!               ‖ chunker (1) ‖ features to read ‖ features to write ‖ recipients ‖ domains ‖ certificates
//! features    = count (varint) ‖ texts
//! recipient   = name (text) ‖ X-Wing key (1216)
//! domain      = id (16) ‖ name (text) ‖ created (i64, ms) ‖ X-Wing key (1216) ‖ wrapped secret (byte string)
//! certificate = agent (32) ‖ domain (16) ‖ items (count, byte strings; none means all) ‖ retired (1) ‖ signature (64)
//! ```
//! Readers pin the owner's key and refuse a version lower than one that they have seen.

use crate::codec::{FormatError, Reader, Result, Writer, within};
use crate::id::{AgentKey, DomainId, ItemName, OwnerKey, VaultId};
use crate::limits;
use crate::record::SignedRecord;
use crate::signature::Signature;

/// Features that this program knows; an unknown one in the descriptor is a clear refusal.
pub const KNOWN_FEATURES: [&str; 0] = [];

/// Somebody other than the owner's passphrase who can open the owner seed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient {
    /// For people.
    pub name: String,
    /// X-Wing public key.
    pub public: Vec<u8>,
}

/// A domain of the vault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DomainEntry {
    /// Its id.
    pub id: DomainId,
    /// For people: usually the machine's name.
    pub name: String,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: i64,
    /// X-Wing public key: session keys are made to it.
    pub public: Vec<u8>,
    /// Id key and X-Wing secret, sealed to the owner's public key.
    pub wrapped_secret: Vec<u8>,
}

/// The owner's word that an agent may sign records of a domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// The agent.
    pub agent: AgentKey,
    /// The domain that it may write.
    pub domain: DomainId,
    /// The items that it may write; none means all.
    pub items: Vec<ItemName>,
    /// A retired agent's points stay good, new ones are refused.
    pub retired: bool,
    /// The owner's signature over [`Certificate::signed_bytes`].
    pub signature: Signature,
}

impl Certificate {
    /// What the owner signs (after [`limits::SIGN_CERTIFICATE`]): vault, agent, domain, items. Not whether it is retired: the
    /// descriptor's signature covers that.
    #[must_use]
    pub fn signed_bytes(vault: VaultId, agent: AgentKey, domain: DomainId, items: &[ItemName]) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.raw(vault.as_bytes()).raw(agent.as_bytes()).raw(domain.as_bytes());
        write_items(&mut writer, items);
        writer.finish()
    }

    fn covers(&self, domain: DomainId, item: &ItemName) -> bool {
        self.domain == domain && (self.items.is_empty() || self.items.contains(item))
    }
}

pub(crate) fn write_items(writer: &mut Writer, items: &[ItemName]) {
    writer.varint(items.len() as u64);
    items.iter().for_each(|item| {
        writer.bytes(item.as_str().as_bytes());
    });
}

/// The descriptor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Descriptor {
    /// The vault.
    pub vault: VaultId,
    /// Grows by one with each change, from 1.
    pub version: u64,
    /// When the vault was made, in milliseconds since 1970.
    pub created_ms: i64,
    /// The owner's signing key.
    pub owner: OwnerKey,
    /// The owner's X-Wing key: domain secrets are wrapped to it.
    pub owner_public: Vec<u8>,
    /// How content is cut, for ever.
    pub chunker: u8,
    /// Features without which the vault cannot be read.
    pub features_to_read: Vec<String>,
    /// Features without which the vault must not be written.
    pub features_to_write: Vec<String>,
    /// Recipients of wraps.
    pub recipients: Vec<Recipient>,
    /// Domains.
    pub domains: Vec<DomainEntry>,
    /// Certificates.
    pub certificates: Vec<Certificate>,
}

impl Descriptor {
    /// Whether the owner has retired this agent in this domain: of one that was never certified that is not said.
    #[must_use]
    pub fn is_retired(&self, domain: DomainId, agent: AgentKey) -> bool {
        all_retired(self.certificates.iter().filter(|known| known.domain == domain && known.agent == agent))
    }

    /// Whether the owner has retired every agent that the domain had.
    #[must_use]
    pub fn nobody_is_left(&self, domain: DomainId) -> bool {
        all_retired(self.certificates.iter().filter(|known| known.domain == domain))
    }

    /// The bytes that the owner signs (after [`limits::SIGN_DESCRIPTOR`]).
    #[must_use]
    pub fn encode_body(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.raw(&limits::MAGIC_DESCRIPTOR).raw(self.vault.as_bytes()).u64(self.version).i64(self.created_ms);
        writer.raw(self.owner.as_bytes()).raw(&self.owner_public).u8(self.chunker);
        for features in [&self.features_to_read, &self.features_to_write] {
            writer.varint(features.len() as u64);
            features.iter().for_each(|feature| {
                writer.bytes(feature.as_bytes());
            });
        }
        writer.varint(self.recipients.len() as u64);
        for recipient in &self.recipients {
            writer.bytes(recipient.name.as_bytes()).raw(&recipient.public);
        }
        writer.varint(self.domains.len() as u64);
        for domain in &self.domains {
            writer.raw(domain.id.as_bytes()).bytes(domain.name.as_bytes()).i64(domain.created_ms).raw(&domain.public);
            writer.bytes(&domain.wrapped_secret);
        }
        writer.varint(self.certificates.len() as u64);
        for certificate in &self.certificates {
            writer.raw(certificate.agent.as_bytes()).raw(certificate.domain.as_bytes());
            write_items(&mut writer, &certificate.items);
            writer.bool(certificate.retired).raw(&certificate.signature.0);
        }
        writer.finish()
    }

    /// Checks that what will be signed can be read again: texts, order and sizes.
    pub fn check(&self) -> Result<()> {
        let body = self.encode_body();
        within("descriptor", body.len() + Signature::BYTES, limits::DESCRIPTOR_BYTES_MAX)?;
        let mut reader = Reader::new("descriptor", &body);
        Self::read(&mut reader)?;
        reader.end()
    }

    /// Body and signature as they stand in storage.
    #[must_use]
    pub fn encode(&self, signature: &Signature) -> Vec<u8> {
        [self.encode_body(), signature.0.to_vec()].concat()
    }

    /// Parses a descriptor, verifies the owner's signature, and that the owner is `pinned` where that is known.
    /// Features are checked by [`Descriptor::check_features`].
    pub fn open(bytes: &[u8], pinned: Option<&OwnerKey>) -> Result<Self> {
        within("descriptor", bytes.len(), limits::DESCRIPTOR_BYTES_MAX)?;
        let Some((body, signature)) = bytes.split_last_chunk::<64>() else {
            return Err(FormatError::Truncated("descriptor"));
        };
        let mut reader = Reader::new("descriptor", body);
        let descriptor = Self::read(&mut reader)?;
        reader.end()?;
        if pinned.is_some_and(|pinned| *pinned != descriptor.owner) {
            return Err(FormatError::Invalid("the descriptor is not signed by the owner that is known here"));
        }
        descriptor.owner.verify("descriptor", limits::SIGN_DESCRIPTOR, body, &Signature(*signature))?;
        for certificate in &descriptor.certificates {
            let signed = Certificate::signed_bytes(descriptor.vault, certificate.agent, certificate.domain, &certificate.items);
            descriptor.owner.verify("certificate", limits::SIGN_CERTIFICATE, &signed, &certificate.signature)?;
        }
        Ok(descriptor)
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self> {
        reader.magic(limits::MAGIC_DESCRIPTOR)?;
        let vault = VaultId(reader.array()?);
        let version = reader.u64()?;
        let created_ms = reader.i64()?;
        let owner = OwnerKey(reader.array()?);
        let owner_public = reader.take(limits::KEM_PUBLIC_BYTES)?.to_vec();
        let chunker = reader.u8()?;
        if chunker != limits::CHUNKER_KEYED_GEAR {
            return Err(FormatError::Version { what: "chunker", found: chunker, known: limits::CHUNKER_KEYED_GEAR });
        }
        let features_to_read = read_features(reader)?;
        let features_to_write = read_features(reader)?;
        let count = reader.count("recipients", limits::RECIPIENTS_MAX, 1 + limits::KEM_PUBLIC_BYTES)?;
        let recipients = (0..count).map(|_| read_recipient(reader)).collect::<Result<_>>()?;
        let count = reader.count("domains", limits::DOMAINS_MAX, 16 + 1 + 8 + limits::KEM_PUBLIC_BYTES + 1)?;
        let domains: Vec<DomainEntry> = (0..count).map(|_| read_domain(reader)).collect::<Result<_>>()?;
        let count = reader.count("certificates", limits::CERTIFICATES_MAX, 32 + 16 + 1 + 1 + 64)?;
        let certificates = (0..count).map(|_| read_certificate(reader)).collect::<Result<_>>()?;
        if domains.windows(2).any(|pair| pair[0].id >= pair[1].id) {
            return Err(FormatError::Invalid("domains of a descriptor are not sorted and unique"));
        }
        Ok(Self {
            vault,
            version,
            created_ms,
            owner,
            owner_public,
            chunker,
            features_to_read,
            features_to_write,
            recipients,
            domains,
            certificates,
        })
    }

    /// Refuses a vault that needs a feature that this program does not know.
    pub fn check_features(&self, to_write: bool) -> Result<()> {
        let needed = self.features_to_read.iter().chain(self.features_to_write.iter().filter(|_| to_write));
        match needed.into_iter().find(|feature| !KNOWN_FEATURES.contains(&feature.as_str())) {
            Some(unknown) => Err(FormatError::Feature(unknown.clone())),
            None => Ok(()),
        }
    }

    /// The domain with this id.
    #[must_use]
    pub fn domain(&self, id: DomainId) -> Option<&DomainEntry> {
        self.domains.binary_search_by(|domain| domain.id.cmp(&id)).ok().map(|place| &self.domains[place])
    }

    /// Checks that the owner certified the record's agent for its domain and item. A retired agent's records are good
    /// only where `existing` says that they were committed before.
    pub fn authorise(&self, record: &SignedRecord, existing: bool) -> Result<()> {
        let body = &record.body;
        let certified = self.certificates.iter().any(|certificate| {
            certificate.agent == record.agent && certificate.covers(body.domain, &body.item) && (existing || !certificate.retired)
        });
        if body.vault != self.vault || !certified {
            return Err(FormatError::Invalid("the record's agent is not certified for its domain and item"));
        }
        Ok(())
    }
}

fn all_retired<'a>(certificates: impl Iterator<Item = &'a Certificate>) -> bool {
    let mut certificates = certificates.peekable();
    certificates.peek().is_some() && certificates.all(|known| known.retired)
}

fn read_features(reader: &mut Reader<'_>) -> Result<Vec<String>> {
    let count = reader.count("features", limits::FEATURES_MAX, 1)?;
    (0..count).map(|_| reader.text("feature", limits::TEXT_BYTES_MAX).map(str::to_owned)).collect()
}

fn read_recipient(reader: &mut Reader<'_>) -> Result<Recipient> {
    let name = reader.text("recipient's name", limits::TEXT_BYTES_MAX)?.to_owned();
    Ok(Recipient { name, public: reader.take(limits::KEM_PUBLIC_BYTES)?.to_vec() })
}

fn read_domain(reader: &mut Reader<'_>) -> Result<DomainEntry> {
    Ok(DomainEntry {
        id: DomainId(reader.array()?),
        name: reader.text("domain's name", limits::TEXT_BYTES_MAX)?.to_owned(),
        created_ms: reader.i64()?,
        public: reader.take(limits::KEM_PUBLIC_BYTES)?.to_vec(),
        wrapped_secret: reader.bytes("wrapped secret", limits::WRAP_BYTES_MAX)?.to_vec(),
    })
}

pub(crate) fn read_items(reader: &mut Reader<'_>) -> Result<Vec<ItemName>> {
    let count = reader.count("items of a certificate", limits::CERTIFICATE_ITEMS_MAX, 1)?;
    (0..count).map(|_| ItemName::new(reader.text("item name", limits::ITEM_NAME_BYTES_MAX)?)).collect()
}

fn read_certificate(reader: &mut Reader<'_>) -> Result<Certificate> {
    let agent = AgentKey(reader.array()?);
    let domain = DomainId(reader.array()?);
    let items = read_items(reader)?;
    Ok(Certificate { agent, domain, items, retired: reader.bool()?, signature: Signature(reader.array()?) })
}
