//! Objects: immutable byte strings under names, with put-if-absent, ranged get, list and delete.
//!
//! Knows neither the format nor keys. Invariant: an object that a `put` acknowledged survives a crash of the machine, and
//! no `put` ever replaces the bytes of an object that exists.

mod error;
mod name;
mod store;

pub use error::{ErrorKind, Result, StorageError};
pub use name::ObjectName;
pub use store::{ObjectInfo, ObjectStore, PutOutcome};
