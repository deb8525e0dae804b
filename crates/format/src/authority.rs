//! An authority's claim to a domain: put-if-absent under its incarnation's number, before it does anything else.
//!
//! ```text
//! magic (8) ‖ domain (16) ‖ incarnation (u64) ‖ nonce (16) ‖ time (i64, ms) ‖ checksum (32)
//! ```

use crate::codec::{Reader, Result, Writer, verified};
use crate::id::{ClaimNonce, DomainId, Incarnation};
use crate::limits;

/// A claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// The domain.
    pub domain: DomainId,
    /// The incarnation that claims it.
    pub incarnation: Incarnation,
    /// By which the claimant knows its own claim again when a store answers a retried put with "already exists".
    pub nonce: ClaimNonce,
    /// Time of the claim by the claimant's clock, in milliseconds since 1970; for people only.
    pub time_ms: i64,
}

impl Claim {
    /// Encodes it.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.raw(&limits::MAGIC_CLAIM).raw(self.domain.as_bytes()).u64(self.incarnation.0);
        writer.raw(self.nonce.as_bytes()).i64(self.time_ms);
        writer.finish_with_checksum()
    }

    /// Parses it.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader::new("claim", verified("claim", bytes, limits::CLAIM_BYTES_MAX)?);
        reader.magic(limits::MAGIC_CLAIM)?;
        let domain = DomainId(reader.array()?);
        let incarnation = Incarnation(reader.u64()?);
        let claim = Self { domain, incarnation, nonce: ClaimNonce(reader.array()?), time_ms: reader.i64()? };
        reader.end()?;
        Ok(claim)
    }
}
