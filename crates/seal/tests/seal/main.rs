//! Tests of the crate as its users see it.

#![allow(clippy::unwrap_used)] // functions that tests call count as tests

mod blobs;
mod claims;
mod fixture;
mod golden;
mod keys;
mod kit;
mod secrets;
mod vectors;
mod wraps;
