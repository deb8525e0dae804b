//! The keyless side of a repository: sessions, commit, index, collection, check and rebuild of one domain.
//!
//! Invariants (the design's absences): a point is never committed unless everything that it reaches is present; nothing
//! reachable from a committed, unexpired point is ever deleted; no clock decides what is kept; the database is never needed
//! to restore. `docs/format.md`, "State machines", has every transition with its durable write.

#![deny(unsafe_code)]

mod authority;
mod check;
mod collect;
mod commit;
mod domain;
mod embedded;
mod environment;
mod fault;
mod heavy;
mod index;
mod journal;
pub mod ledger;
mod points;
mod proof;
mod read;
mod rebuild;
mod repository;
mod revive;
mod sabotage;
mod sessions;
mod simulated;
#[cfg(test)]
mod simulation;
mod stored;
mod trust;
mod unread;
mod view;

pub use embedded::{EmbeddedOptions, EmbeddedVault};
pub use environment::{Clock, Entropy, Environment, Liveness};
pub use fault::Fault;
pub use rebuild::RebuildReport;
pub use repository::Repository;
pub(crate) use sabotage::{Sabotage, sabotaged};
pub use trust::Trust;
