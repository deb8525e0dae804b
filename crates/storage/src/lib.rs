//! Objects: immutable byte strings under names, with put-if-absent, ranged get, list and delete.
//!
//! Knows neither the format nor keys. Invariant: an object that a `put` acknowledged survives a crash of the machine, and
//! no `put` ever replaces the bytes of an object that exists.

#![forbid(unsafe_code)]

mod error;
mod local;
mod memory;
mod name;
mod provider;
mod store;

pub use error::{ErrorKind, Result, StorageError};
pub use local::{LocalStore, is_network_file_system};
pub use memory::MemoryStore;
pub use name::ObjectName;
pub use provider::{Compared, Creation, Provider};
pub use store::{OBJECT_BYTES_MAX, ObjectInfo, ObjectStore, PutOutcome};
