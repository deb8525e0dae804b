//! Tests of the format through its public interface.

#![allow(clippy::unwrap_used)] // functions that tests call count as tests

mod golden;
mod golden_values;
mod keys;
mod objects;
mod page;
mod samples;
mod segment;
