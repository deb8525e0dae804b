//! Tests of the rules of protection, through the public interface.

#![allow(clippy::unwrap_used)] // functions that tests call count as tests

mod fixture;
mod high_water;
mod preview;
mod properties;
mod retention;
mod runs;
mod settings;
mod simulated_year;
mod slots;
mod weakening;
mod windows;
mod zones;
