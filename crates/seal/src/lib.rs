//! Keys and sealing: everything that can open a blob.
//!
//! The keys of a vault form a tree. The [`OwnerSeed`] is its root; wraps and the recovery kit bring it back. A
//! [`DomainSecret`] opens what one domain holds, a [`DomainWriter`] can add to it and open nothing, and a [`DataKey`]
//! seals the blobs of one session. Every derivation has a context string of its own in `format::limits`.
//!
//! Invariants: no input or output happens here; a secret is wiped when it is dropped, has no `Debug` of its contents and
//! stands in no error; bytes that were not authenticated are never handed out, and a blob that is handed out has the id
//! that was asked for. The service never links this crate.

#![forbid(unsafe_code)]

mod aead;
mod agent;
mod blob;
mod data_key;
mod domain;
mod enrolment;
mod error;
mod kem;
mod kit;
mod local;
mod owner;
mod secret;
mod wrap;

pub use agent::AgentSigner;
pub use blob::{BlobOpener, BlobSealer};
pub use data_key::{BLOBS_PER_KEY_MAX, DataKey};
pub use domain::{DomainSecret, DomainWriter};
pub use enrolment::{AgentKeys, EnrolmentToken};
pub use error::{Kind, Result, SealError};
pub use kit::{print_kit, read_kit};
pub use local::LocalKey;
pub use owner::OwnerSeed;
pub use wrap::{
    RecipientSecret, default_argon2, generate_passphrase, print_recipient, read_recipient, unwrap_as_recipient,
    unwrap_with_passphrase, wrap_to_recipient, wrap_with_passphrase,
};
