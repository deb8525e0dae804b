//! The keyed side: backup, restore, check and diff of recovery points.
//!
//! Speaks to a vault through [`contract::Vault`] and [`contract::Domain`] and cannot tell where it is. Here alone blobs are
//! sealed and opened.
//!
//! Invariants: no byte is handed out whose blob does not have the id that its page names; memory does not grow with the
//! number of files or bytes; what could not be protected or restored as it was stands in the report.

#![forbid(unsafe_code)]

pub mod backup;
pub mod check;
pub mod cut;
pub mod diff;
pub mod find;
pub mod list;
pub mod path;
pub mod restore;
pub mod source;
pub mod target;

mod call;
mod cancel;
mod error;
mod gate;
mod point;
mod progress;
mod read;
mod sorter;
mod spill;
mod stop;

pub use cancel::Cancel;
pub use error::{EngineError, ErrorKind, Result, printable};
pub use gate::ReadGate;
pub use point::{Alarm, EntryCounts, PointDetails, Remembered, VerifiedPoint, read_details, verify_point, verify_whole_point};
pub use progress::{Counter, Counters, Progress};
pub use read::ReadKeys;
