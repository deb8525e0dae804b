//! Enrolment: how a machine gets a domain of its own without the owner's key being there.
//!
//! ```text
//! ticket    = vault (16) ‖ one-time key (32) ‖ domain (16) ‖ name (text) ‖ items (count, byte strings; none means all)
//!             ‖ expires (i64, ms) ‖ service (text) ‖ authority known (boolean) ‖ authority (32)
//!             ‖ hash of the owner's X-Wing key (32) ‖ the owner's signature (64)
//! enrolment = magic (8) ‖ ticket ‖ created (i64, ms) ‖ X-Wing key (1216) ‖ wrapped secret (byte string) ‖ agent (32)
//!             ‖ signature of the one-time key (64)
//! ```
//! The owner signs the ticket where its key is; whoever holds the one-time key makes the domain's keys, wraps their secret to
//! the owner and signs the enrolment. A domain is enrolled once: its object is never replaced. An enrolment counts as long as
//! the descriptor does not know the domain; the owner's next descriptor takes it in.

use crate::codec::{FormatError, Reader, Result, Writer, within};
use crate::descriptor::{Certificate, Descriptor, DomainEntry};
use crate::id::{AgentKey, DomainId, ItemName, VaultId};
use crate::limits;
use crate::signature::Signature;

/// The owner's word that the holder of a one-time key may enrol one domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    /// The vault.
    pub vault: VaultId,
    /// Public part of the one-time key.
    pub one_time: AgentKey,
    /// The domain that it makes.
    pub domain: DomainId,
    /// The domain's name, for people.
    pub name: String,
    /// The items that its agent may write; none means all.
    pub items: Vec<ItemName>,
    /// When it can no longer be used, in milliseconds since 1970.
    pub expires_ms: i64,
    /// Address of the vault service.
    pub service: String,
    /// SHA-256 of its certificate authority, where that is its own.
    pub authority: Option<[u8; 32]>,
    /// BLAKE3 of the owner's X-Wing key, to which the domain's secret is wrapped. The key itself is too long for a token.
    pub owner_public: [u8; 32],
    /// The owner's signature over [`Ticket::signed_bytes`].
    pub signature: Signature,
}

impl Ticket {
    /// What the owner signs (after [`limits::SIGN_TICKET`]).
    #[must_use]
    pub fn signed_bytes(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        self.write_signed(&mut writer);
        writer.finish()
    }

    fn write_signed(&self, writer: &mut Writer) {
        writer.raw(self.vault.as_bytes()).raw(self.one_time.as_bytes()).raw(self.domain.as_bytes());
        writer.bytes(self.name.as_bytes());
        crate::descriptor::write_items(writer, &self.items);
        writer.i64(self.expires_ms).bytes(self.service.as_bytes()).bool(self.authority.is_some());
        writer.raw(&self.authority.unwrap_or_default()).raw(&self.owner_public);
    }

    fn write(&self, writer: &mut Writer) {
        self.write_signed(writer);
        writer.raw(&self.signature.0);
    }

    /// The bytes that travel in an enrolment token.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        self.write(&mut writer);
        writer.finish()
    }

    /// Reads what [`Ticket::encode`] wrote. Nothing is verified.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        within("ticket", bytes.len(), limits::ENROLMENT_BYTES_MAX)?;
        let mut reader = Reader::new("ticket", bytes);
        let ticket = Self::read(&mut reader)?;
        reader.end()?;
        Ok(ticket)
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self> {
        Ok(Self {
            vault: VaultId(reader.array()?),
            one_time: AgentKey(reader.array()?),
            domain: DomainId(reader.array()?),
            name: reader.text("domain's name", limits::TEXT_BYTES_MAX)?.to_owned(),
            items: crate::descriptor::read_items(reader)?,
            expires_ms: reader.i64()?,
            service: reader.text("address of the service", limits::TEXT_BYTES_MAX)?.to_owned(),
            authority: read_authority(reader)?,
            owner_public: reader.array()?,
            signature: Signature(reader.array()?),
        })
    }
}

fn read_authority(reader: &mut Reader<'_>) -> Result<Option<[u8; 32]>> {
    let (is_known, authority) = (reader.bool()?, reader.array()?);
    if !is_known && authority != [0; 32] {
        return Err(FormatError::Invalid("an authority that is not known has a fingerprint"));
    }
    Ok(is_known.then_some(authority))
}

/// A domain that was made where its machine is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enrolment {
    /// The owner's word.
    pub ticket: Ticket,
    /// When the domain was made, in milliseconds since 1970.
    pub created_ms: i64,
    /// The domain's X-Wing public key.
    pub public: Vec<u8>,
    /// Id key and X-Wing secret, sealed to the owner's public key.
    pub wrapped_secret: Vec<u8>,
    /// The agent that writes the domain.
    pub agent: AgentKey,
    /// Signature of the one-time key over [`Enrolment::signed_bytes`].
    pub signature: Signature,
}

impl Enrolment {
    /// What the one-time key signs (after [`limits::SIGN_ENROLMENT`]): all bytes before the signature.
    #[must_use]
    pub fn signed_bytes(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.raw(&limits::MAGIC_ENROLMENT);
        self.ticket.write(&mut writer);
        writer.i64(self.created_ms).raw(&self.public).bytes(&self.wrapped_secret).raw(self.agent.as_bytes());
        writer.finish()
    }

    /// The bytes as they stand in storage.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        [self.signed_bytes(), self.signature.0.to_vec()].concat()
    }

    /// Parses an enrolment and verifies both signatures: the owner's, who must be the descriptor's, and the one-time key's.
    /// Whether the ticket has expired is for whoever takes it first to say.
    pub fn open(bytes: &[u8], descriptor: &Descriptor) -> Result<Self> {
        let enrolment = Self::parse(bytes)?;
        let ticket = &enrolment.ticket;
        if ticket.vault != descriptor.vault {
            return Err(FormatError::Invalid("the enrolment is for another vault"));
        }
        descriptor.owner.verify("ticket", limits::SIGN_TICKET, &ticket.signed_bytes(), &ticket.signature)?;
        ticket.one_time.verify("enrolment", limits::SIGN_ENROLMENT, &enrolment.signed_bytes(), &enrolment.signature)?;
        Ok(enrolment)
    }

    /// Parses an enrolment. Nothing is verified.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        within("enrolment", bytes.len(), limits::ENROLMENT_BYTES_MAX)?;
        let mut reader = Reader::new("enrolment", bytes);
        reader.magic(limits::MAGIC_ENROLMENT)?;
        let enrolment = Self {
            ticket: Ticket::read(&mut reader)?,
            created_ms: reader.i64()?,
            public: reader.take(limits::KEM_PUBLIC_BYTES)?.to_vec(),
            wrapped_secret: reader.bytes("wrapped secret", limits::WRAP_BYTES_MAX)?.to_vec(),
            agent: AgentKey(reader.array()?),
            signature: Signature(reader.array()?),
        };
        reader.end()?;
        Ok(enrolment)
    }

    /// The domain as a descriptor would name it.
    #[must_use]
    pub fn domain_entry(&self) -> DomainEntry {
        DomainEntry {
            id: self.ticket.domain,
            name: self.ticket.name.clone(),
            created_ms: self.created_ms,
            public: self.public.clone(),
            wrapped_secret: self.wrapped_secret.clone(),
        }
    }

    /// The agent's right, vouched for by the owner's ticket; the owner's own certificate takes its place in the next descriptor.
    #[must_use]
    pub fn certificate(&self) -> Certificate {
        let Ticket { domain, items, .. } = self.ticket.clone();
        Certificate { agent: self.agent, domain, items, retired: false, signature: self.signature }
    }
}

impl Descriptor {
    /// Takes in domains that were enrolled since it was signed. One that the descriptor knows itself stays as it is there.
    pub fn admit(&mut self, enrolments: &[Enrolment]) {
        for enrolment in enrolments {
            if let Err(place) = self.domains.binary_search_by(|domain| domain.id.cmp(&enrolment.ticket.domain)) {
                self.domains.insert(place, enrolment.domain_entry());
                self.certificates.push(enrolment.certificate());
            }
        }
    }
}
