//! Blobs: the unit of deduplication, as plaintext and sealed.
//!
//! ```text
//! sealed = nonce (12) ‖ AES-256-GCM-SIV( inner ) with tag (16)
//! inner  = codec (1) ‖ plaintext length (u32) ‖ payload length (u32) ‖ payload ‖ zeros (padding)
//! ```
//! The bytes of a sealed blob do not depend on the pack that holds them.

use crate::codec::{FormatError, Reader, Result, within};
use crate::id::{BlobId, DomainId, KeyId};
use crate::limits;

/// What a blob is; visible, and part of its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum BlobKind {
    /// A data chunk; it has no links.
    Data = limits::KIND_DATA,
    /// A page; it may link to other blobs.
    Page = limits::KIND_PAGE,
}

impl BlobKind {
    /// The kind with this number.
    pub fn from_number(number: u8) -> Result<Self> {
        match number {
            limits::KIND_DATA => Ok(Self::Data),
            limits::KIND_PAGE => Ok(Self::Page),
            _ => Err(FormatError::Invalid("a blob has an unknown kind")),
        }
    }
}

/// How the payload inside a sealed blob is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Codec {
    /// As it is.
    Stored = limits::CODEC_STORED,
    /// One zstd frame.
    Zstd = limits::CODEC_ZSTD,
}

/// What is inside a sealed blob once it is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inner<'a> {
    /// How the payload is encoded.
    pub codec: Codec,
    /// Length of the plaintext in bytes, at most [`limits::BLOB_PLAINTEXT_MAX`].
    pub plaintext_length: usize,
    /// The encoded plaintext, without padding.
    pub payload: &'a [u8],
}

impl<'a> Inner<'a> {
    /// Encodes header, payload and padding.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let unpadded = limits::INNER_HEADER + self.payload.len();
        let mut bytes = Vec::with_capacity(padme(unpadded) + limits::SEAL_OVERHEAD);
        bytes.extend_from_slice(&Self::header(self.codec, self.plaintext_length, self.payload.len()));
        bytes.extend_from_slice(self.payload);
        bytes.resize(padme(unpadded), 0);
        bytes
    }

    /// The header, for those who write the payload behind it in place.
    #[must_use]
    pub fn header(codec: Codec, plaintext_length: usize, payload_length: usize) -> [u8; limits::INNER_HEADER] {
        let mut header = [0; limits::INNER_HEADER];
        header[0] = codec as u8;
        header[1..5].copy_from_slice(&(plaintext_length as u32).to_le_bytes());
        header[5..9].copy_from_slice(&(payload_length as u32).to_le_bytes());
        header
    }

    /// Parses what was opened.
    pub fn parse(bytes: &'a [u8]) -> Result<Self> {
        let mut reader = Reader::new("blob", bytes);
        let codec = match reader.u8()? {
            limits::CODEC_STORED => Codec::Stored,
            limits::CODEC_ZSTD => Codec::Zstd,
            _ => return Err(FormatError::Invalid("a blob has an unknown codec")),
        };
        let plaintext_length = reader.u32()? as usize;
        within("plaintext of a blob", plaintext_length, limits::BLOB_PLAINTEXT_MAX)?;
        let payload_length = reader.u32()? as usize;
        let payload = reader.take(payload_length)?;
        if codec == Codec::Stored && payload_length != plaintext_length {
            return Err(FormatError::Invalid("a stored blob has two different lengths"));
        }
        let padding = reader.take(reader.remaining())?;
        if bytes.len() != padme(limits::INNER_HEADER + payload_length) || padding.iter().any(|byte| *byte != 0) {
            return Err(FormatError::Invalid("the padding of a blob is not as defined"));
        }
        Ok(Self { codec, plaintext_length, payload })
    }
}

/// Length after Padmé padding (Nikitin et al., "Reducing Metadata Leakage from Encrypted Files and Communication with
/// PURBs", 2019): leaks O(log log n) bits of a length and adds at most 12 %.
#[must_use]
pub fn padme(length: usize) -> usize {
    if length < 2 {
        return length;
    }
    let exponent = length.ilog2();
    let mantissa_bits = exponent.ilog2() + 1;
    let low_bits = exponent.saturating_sub(mantissa_bits);
    let mask = (1usize << low_bits) - 1;
    (length + mask) & !mask
}

/// Associated data of a sealed blob: binds it to sealing version, domain, kind, id and key.
#[must_use]
pub fn associated_data(sealing: u8, domain: DomainId, kind: BlobKind, id: BlobId, key: KeyId) -> Vec<u8> {
    [limits::AAD_BLOB, &[sealing], domain.as_bytes(), &[kind as u8], id.as_bytes(), key.as_bytes()].concat()
}

/// What is hashed (under the id key) before the plaintext to make a blob's id: kind, link count, links.
#[must_use]
pub fn id_prefix(kind: BlobKind, links: &[BlobId]) -> Vec<u8> {
    let mut prefix = Vec::with_capacity(5 + links.len() * BlobId::BYTES);
    prefix.push(kind as u8);
    prefix.extend_from_slice(&(links.len() as u32).to_le_bytes());
    links.iter().for_each(|link| prefix.extend_from_slice(link.as_bytes()));
    prefix
}

/// Checks that links are sorted, unique and within their number.
pub fn check_links(kind: BlobKind, links: &[BlobId]) -> Result<()> {
    within("links of a blob", links.len(), if kind == BlobKind::Page { limits::PAGE_LINKS_MAX } else { 0 })?;
    if links.windows(2).any(|pair| pair[0] >= pair[1]) {
        return Err(FormatError::Invalid("links of a page are not sorted and unique"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_inner_blob_comes_back_as_it_went_in(payload in proptest::collection::vec(any::<u8>(), 0..5000)) {
            let inner = Inner { codec: Codec::Stored, plaintext_length: payload.len(), payload: &payload };
            let bytes = inner.encode();
            prop_assert_eq!(Inner::parse(&bytes).unwrap(), inner);
        }

        #[test]
        fn padding_adds_at_most_twelve_percent_and_is_stable(length in 1usize..100_000_000) {
            let padded = padme(length);
            prop_assert!(padded >= length && padded - length <= length * 12 / 100 + 1);
            prop_assert_eq!(padme(padded), padded);
        }
    }

    #[test]
    fn padding_that_is_not_zero_is_refused() {
        let payload = [7; 1000];
        let mut bytes = Inner { codec: Codec::Stored, plaintext_length: 1000, payload: &payload }.encode();
        assert!(bytes.len() > limits::INNER_HEADER + 1000);
        *bytes.last_mut().unwrap() = 1;
        assert!(Inner::parse(&bytes).is_err());
    }
}
