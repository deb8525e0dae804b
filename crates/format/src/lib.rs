//! The Holdfast repository format, version 1: bytes to types and back.
//!
//! Everything that lies in storage is encoded and decoded here, and nothing else happens here: no input or output,
//! no secrets, no async. Signatures are verified here (with public keys), never made. `docs/format.md` is the
//! normative text, its chapters follow the modules of this crate.
//!
//! Invariant: a parser of this crate given any bytes at all answers with a value or a [`FormatError`]; it never
//! panics and never allocates more than a small multiple of its input or a constant of [`limits`].

#![forbid(unsafe_code)]

pub mod authority;
pub mod blob;
pub mod codec;
pub mod descriptor;
pub mod enrolment;
pub mod id;
pub mod journal;
pub mod key_object;
pub mod limits;
pub mod names;
pub mod pack;
pub mod page;
pub mod record;
pub mod segment;
pub mod signature;
pub mod wrap;

pub use codec::{FormatError, Reader, Writer};
pub use id::{
    AgentKey, BlobId, ClaimNonce, DomainId, FooterHash, Incarnation, ItemName, JobId, JournalNumber, KeyId, OwnerKey, PackName,
    PointId, Sequence, SessionId, VaultId,
};
