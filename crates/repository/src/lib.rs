//! The keyless side of a repository.
pub mod ledger;
