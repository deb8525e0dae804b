//! What tests build on: a seeded simulation, storage with faults, disks that are full, the conformance suite of object stores. For
//! development only: no program links it.
//!
//! Invariant: nothing here draws on the machine's clock or randomness, so that a seed repeats a failure exactly.

#![forbid(unsafe_code)]

mod conformance;
mod faulty;
mod pause;
mod process;
mod rng;
pub mod sim;
mod small_disk;

pub use conformance::storage_conformance;
pub use faulty::{Fault, FaultRates, FaultyStore, Operation, Requests};
pub use pause::{Pause, Yields, join_all, yield_now};
pub use process::{Crashed, DurableStep, Life, Process, Remains};
pub use rng::Rng;
pub use sim::{Killed, SimClock, SimTime, Simulation, TaskHandle};
pub use small_disk::SmallDisk;
