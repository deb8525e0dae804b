//! The domain's journal: everything that an authority decides, numbered without gaps by one counter.
//!
//! ```text
//! magic (8) ‖ domain (16) ‖ number (u64) ‖ incarnation (u64) ‖ time (i64, ms) ‖ kind (1) ‖ payload ‖ checksum (32)
//! kind 1, opening:       nonce of the claim (16)
//! kind 2, record:        received (i64, ms) ‖ signed record
//! kind 3, tombstone:     count (varint) ‖ point ids (32 each)
//! kind 4, deletion list: count (varint) ‖ object names (byte strings)
//! ```
//! One name space for all kinds: two authorities that both think the next number theirs cannot both write it.

use crate::codec::{FormatError, Reader, Result, Writer, verified};
use crate::id::{ClaimNonce, DomainId, Incarnation, JournalNumber, PointId};
use crate::limits;

/// What a journal entry says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload {
    /// An incarnation begins here: what an earlier one writes behind this was never acknowledged.
    Opening {
        /// The nonce of its claim.
        nonce: ClaimNonce,
    },
    /// A point or a checkpoint.
    Record {
        /// When this repository received it, in milliseconds since 1970 by the authority's clock. The stamp's own time
        /// travels with a copied point; this one does not.
        received_ms: i64,
        /// The signed record, as the agent sent it.
        record: Vec<u8>,
    },
    /// Points that are purged, for ever.
    Tombstone {
        /// The points.
        points: Vec<PointId>,
    },
    /// Objects that may be deleted from now on; whoever reads this treats them as gone.
    Deletion {
        /// Their names.
        names: Vec<String>,
    },
}

/// A journal entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalEntry {
    /// The domain.
    pub domain: DomainId,
    /// Its place.
    pub number: JournalNumber,
    /// Who wrote it.
    pub incarnation: Incarnation,
    /// When, by the authority's clock, in milliseconds since 1970.
    pub time_ms: i64,
    /// What it says.
    pub payload: Payload,
}

impl JournalEntry {
    /// Encodes it.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer
            .raw(&limits::MAGIC_JOURNAL)
            .raw(self.domain.as_bytes())
            .u64(self.number.0)
            .u64(self.incarnation.0)
            .i64(self.time_ms);
        match &self.payload {
            Payload::Opening { nonce } => {
                writer.u8(1).raw(nonce.as_bytes());
            }
            Payload::Record { received_ms, record } => {
                writer.u8(2).i64(*received_ms).raw(record);
            }
            Payload::Tombstone { points } => {
                writer.u8(3).varint(points.len() as u64);
                points.iter().for_each(|point| {
                    writer.raw(point.as_bytes());
                });
            }
            Payload::Deletion { names } => {
                writer.u8(4).varint(names.len() as u64);
                names.iter().for_each(|name| {
                    writer.bytes(name.as_bytes());
                });
            }
        }
        writer.finish_with_checksum()
    }

    /// Parses it. A record inside is parsed, and its signature verified, by [`crate::record::SignedRecord::parse`].
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader::new("journal entry", verified("journal entry", bytes, limits::JOURNAL_BYTES_MAX)?);
        reader.magic(limits::MAGIC_JOURNAL)?;
        let domain = DomainId(reader.array()?);
        let number = JournalNumber(reader.u64()?);
        let incarnation = Incarnation(reader.u64()?);
        let time_ms = reader.i64()?;
        let payload = match reader.u8()? {
            1 => Payload::Opening { nonce: ClaimNonce(reader.array()?) },
            2 => Payload::Record { received_ms: reader.i64()?, record: reader.take(reader.remaining())?.to_vec() },
            3 => {
                let count = reader.count("points of a tombstone", limits::DELETION_NAMES_MAX, PointId::BYTES)?;
                Payload::Tombstone { points: (0..count).map(|_| Ok(PointId(reader.array()?))).collect::<Result<_>>()? }
            }
            4 => {
                let count = reader.count("names of a deletion list", limits::DELETION_NAMES_MAX, 1)?;
                let name = |reader: &mut Reader<'_>| reader.text("object name", limits::OBJECT_NAME_BYTES_MAX).map(str::to_owned);
                Payload::Deletion { names: (0..count).map(|_| name(&mut reader)).collect::<Result<_>>()? }
            }
            _ => return Err(FormatError::Invalid("a journal entry has an unknown kind")),
        };
        reader.end()?;
        Ok(Self { domain, number, incarnation, time_ms, payload })
    }
}
