//! Tests of the format through its public interface.

#![allow(clippy::unwrap_used)] // functions that tests call count as tests

mod keys;
mod objects;
mod page;
mod samples;
mod segment;
