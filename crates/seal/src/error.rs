//! What can go wrong with keys and sealing. No error says anything about a secret.

use format::{BlobId, DomainId, FormatError, KeyId};

/// What the caller can do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// What was given cannot be used as it is: a parameter, a text, a public key.
    Invalid,
    /// The passphrase or secret is not the one that this was made for.
    WrongKey,
    /// The bytes were damaged, forged, or belong elsewhere.
    Corrupt,
    /// The machine failed: no memory, no randomness, a key used up.
    Internal,
}

/// An error of this crate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Bytes do not parse.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// What was given cannot be used.
    #[error("{0}")]
    Invalid(&'static str),
    /// The passphrase or secret is not the right one.
    #[error("{0}")]
    WrongKey(&'static str),
    /// Sealed bytes other than a blob do not open.
    #[error("{0} does not open: it was damaged, forged or belongs elsewhere")]
    DoesNotOpen(&'static str),
    /// A blob does not open under its key.
    #[error("blob {0} does not open under key {1}: it was damaged, forged or belongs elsewhere")]
    BlobDoesNotOpen(BlobId, KeyId),
    /// A blob opens, but its content is not what its id says.
    #[error("blob {0} opens, but its content has another id")]
    BlobIsAnother(BlobId),
    /// A blob opens, but its payload does not decompress to the length that it says.
    #[error("blob {0} opens, but does not decompress to the length that it says")]
    BlobDoesNotDecompress(BlobId),
    /// What an enrolled machine wrapped to the owner does not open with the owner's key.
    #[error("the secret of enrolled domain {0} does not open with the owner's key: it was wrapped to somebody else, or damaged")]
    EnrolledSecret(DomainId),
    /// The key has sealed as much as a key may.
    #[error("key {0} has sealed as many blobs as one key may")]
    KeyIsUsedUp(KeyId),
    /// The machine failed.
    #[error("{0}")]
    Internal(&'static str),
}

impl SealError {
    /// What the caller can do about it.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Invalid(_) | Self::Format(FormatError::Version { .. } | FormatError::Feature(_)) => Kind::Invalid,
            Self::WrongKey(_) => Kind::WrongKey,
            Self::Format(_)
            | Self::DoesNotOpen(_)
            | Self::EnrolledSecret(_)
            | Self::BlobDoesNotOpen(..)
            | Self::BlobIsAnother(_)
            | Self::BlobDoesNotDecompress(_) => Kind::Corrupt,
            Self::KeyIsUsedUp(_) | Self::Internal(_) => Kind::Internal,
        }
    }
}

/// Result of this crate.
pub type Result<T, E = SealError> = std::result::Result<T, E>;
