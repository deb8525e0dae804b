//! Tests of what tests build on.

#![forbid(unsafe_code)]

mod faulty;
mod process;
mod simulation;
