//! Tests of the rules of protection.

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
