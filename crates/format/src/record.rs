//! Records: what makes a graph of blobs a recovery point.
//!
//! ```text
//! signed body = body ‖ agent key (32) ‖ signature (64)
//! body        = version (1) ‖ vault (16) ‖ domain (16) ‖ item (byte string) ‖ kind (1) ‖ sequence (u64)
//!               ‖ previous (optional 32) ‖ root (32) ‖ key (32) ‖ agent's time (i64, ms)
//!               ‖ metadata nonce (12) ‖ sealed metadata (byte string)
//! ```
//! The body is signed by the agent; the authority's stamp stands in the journal entry around it. A point's id is the
//! hash of the body, and the next point of the item names it as its previous: a chain.

use crate::codec::{FormatError, Reader, Result, Writer, within};
use crate::id::{AgentKey, BlobId, DomainId, ItemName, KeyId, PointId, Sequence, VaultId};
use crate::limits;
use crate::signature::Signature;

/// What a record stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum RecordKind {
    /// A recovery point.
    Point = 1,
    /// A checkpoint of a long backup: a root, never listed, dropped by the item's next point.
    Checkpoint = 2,
}

/// The body of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordBody {
    /// The vault.
    pub vault: VaultId,
    /// The domain.
    pub domain: DomainId,
    /// The item.
    pub item: ItemName,
    /// Point or checkpoint.
    pub kind: RecordKind,
    /// Place in the item's chain.
    pub sequence: Sequence,
    /// The point before it in the chain.
    pub previous: Option<PointId>,
    /// The manifest page.
    pub root: BlobId,
    /// The session's own data key; the metadata is sealed with it.
    pub key: KeyId,
    /// When the backup started, by the agent's clock, in milliseconds since 1970. Decides nothing.
    pub agent_time_ms: i64,
    /// Nonce of the sealed metadata.
    pub metadata_nonce: [u8; 12],
    /// Sealed metadata (host, paths, counts); see [`RecordBody::associated_data`].
    pub metadata: Vec<u8>,
}

impl RecordBody {
    /// Encodes the body.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        self.write_head(&mut writer);
        writer.raw(&self.metadata_nonce).bytes(&self.metadata);
        writer.finish()
    }

    /// Associated data of the sealed metadata: everything of the body before it.
    #[must_use]
    pub fn associated_data(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.raw(limits::AAD_RECORD);
        self.write_head(&mut writer);
        writer.finish()
    }

    /// Checks that what will be signed can be read again.
    pub fn check(&self) -> Result<()> {
        within("metadata of a record", self.metadata.len(), limits::RECORD_METADATA_BYTES_MAX)
    }

    fn write_head(&self, writer: &mut Writer) {
        writer.u8(limits::FORMAT_VERSION).raw(self.vault.as_bytes()).raw(self.domain.as_bytes());
        writer.bytes(self.item.as_str().as_bytes()).u8(self.kind as u8).u64(self.sequence.0);
        writer.option(self.previous, |writer, previous| {
            writer.raw(previous.as_bytes());
        });
        writer.raw(self.root.as_bytes()).raw(self.key.as_bytes()).i64(self.agent_time_ms);
    }

    /// The id that a point with this body has.
    #[must_use]
    pub fn id(&self) -> PointId {
        PointId(blake3::derive_key(limits::HASH_POINT, &self.encode()))
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self> {
        let version = reader.u8()?;
        if version != limits::FORMAT_VERSION {
            return Err(FormatError::Version { what: "record", found: version, known: limits::FORMAT_VERSION });
        }
        let vault = VaultId(reader.array()?);
        let domain = DomainId(reader.array()?);
        let item = ItemName::new(reader.text("item name", limits::ITEM_NAME_BYTES_MAX)?)?;
        let kind = match reader.u8()? {
            1 => RecordKind::Point,
            2 => RecordKind::Checkpoint,
            _ => return Err(FormatError::Invalid("a record has an unknown kind")),
        };
        Ok(Self {
            vault,
            domain,
            item,
            kind,
            sequence: Sequence(reader.u64()?),
            previous: reader.option(|reader| Ok(PointId(reader.array()?)))?,
            root: BlobId(reader.array()?),
            key: KeyId(reader.array()?),
            agent_time_ms: reader.i64()?,
            metadata_nonce: reader.array()?,
            metadata: reader.bytes("metadata of a record", limits::RECORD_METADATA_BYTES_MAX)?.to_vec(),
        })
    }
}

/// A body with the agent's signature. Made by [`SignedRecord::parse`] or by the keyed side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedRecord {
    /// The body.
    pub body: RecordBody,
    /// The agent that signed.
    pub agent: AgentKey,
    /// Its signature over [`limits::SIGN_RECORD`] and the body.
    pub signature: Signature,
}

impl SignedRecord {
    /// Encodes it.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.raw(&self.body.encode()).raw(self.agent.as_bytes()).raw(&self.signature.0);
        writer.finish()
    }

    /// Parses it and verifies the agent's signature. Whether the agent may sign for this domain and item is the
    /// descriptor's to say: [`crate::descriptor::Descriptor::authorise`].
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let record = Self::parse_unverified(bytes)?;
        let body = &bytes[..bytes.len() - AgentKey::BYTES - record.signature.0.len()];
        record.agent.verify("record", limits::SIGN_RECORD, body, &record.signature)?;
        Ok(record)
    }

    /// Parses it without a look at the signature: for showing what is there, never for trusting it.
    pub fn parse_unverified(bytes: &[u8]) -> Result<Self> {
        within("record", bytes.len(), limits::JOURNAL_BYTES_MAX)?;
        let mut reader = Reader::new("record", bytes);
        let body = RecordBody::read(&mut reader)?;
        let agent = AgentKey(reader.array()?);
        let signature = Signature(reader.array()?);
        reader.end()?;
        Ok(Self { body, agent, signature })
    }

    /// The point's id.
    #[must_use]
    pub fn id(&self) -> PointId {
        self.body.id()
    }
}
