//! A deterministic, seeded simulation of the repository: processes that die at any durable step and come back, storage with
//! faults, clocks that jump, other authorities, databases brought back to older states; and a strict audit after each of it.
//!
//! `HOLDFAST_SIMULATION_SEEDS` says how many seeds are run (300), `HOLDFAST_SIMULATION_FIRST` with which to begin (1),
//! `HOLDFAST_SIMULATION_TRACE` asks for what led to a violation.

mod audit;
mod backup;
mod content;
mod forgery;
mod identity;
mod life;
mod node;
mod random;
mod restore;
mod sabotaged;
mod scenarios;
mod walker;
mod world;

use std::env;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Seeds of a normal test run.
const SEEDS: u64 = 300;

fn number(variable: &str, otherwise: u64) -> u64 {
    env::var(variable).map_or(otherwise, |text| text.parse().expect("the variable is a number"))
}

/// Runs a seed; a panic is a failure like any other.
fn run_seed(seed: u64) -> Result<(), String> {
    catch_unwind(AssertUnwindSafe(|| random::run(seed))).unwrap_or_else(|_| Err("a panic".to_owned()))
}

/// How many failing seeds are reported before the run ends.
const FAILURES_MAX: usize = 12;

#[test]
fn no_invariant_breaks_under_random_seeds() {
    let first = number("HOLDFAST_SIMULATION_FIRST", 1);
    let seeds = number("HOLDFAST_SIMULATION_SEEDS", SEEDS);
    let failures = (first..first + seeds).filter_map(|seed| Some((seed, run_seed(seed).err()?)));
    let failures: Vec<String> = failures
        .take(FAILURES_MAX)
        .map(|(seed, what)| {
            format!(
                "seed {seed}: {what}\n    repeat: HOLDFAST_SIMULATION_TRACE=1 HOLDFAST_SIMULATION_FIRST={seed} \
             HOLDFAST_SIMULATION_SEEDS=1 cargo test -p holdfast-repository no_invariant_breaks"
            )
        })
        .collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
