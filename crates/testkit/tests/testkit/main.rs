//! Tests of what tests build on.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)]

mod faulty;
mod process;
mod simulation;
