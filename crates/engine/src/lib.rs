//! The keyed side: backup, restore, check and diff of recovery points.

pub mod cut;
pub mod source;
pub mod target;
