//! Proof that the simulation finds what it is there to find: each rule of the lists, broken on purpose, is caught.

use super::{run_seed, scenarios};
use crate::sabotage::{CAUGHT, CAUGHT_BY_SCENARIOS, Sabotage, set_sabotage};
use std::fmt::Display;
use std::panic;

/// Seeds within which a sabotage must be caught.
const SEEDS: u64 = 500;

/// The first seed that catches the sabotage, and what it finds.
fn caught_by_seeds() -> Option<(u64, String)> {
    (1..=SEEDS).find_map(|seed| Some((seed, run_seed(seed).err()?)))
}

/// Breaks each rule of the list in turn; fails for those of which `caught` finds nothing.
fn each_is_caught<By: Display>(list: &[Sabotage], caught: impl Fn() -> Option<(By, String)>) {
    let before = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    let caught: Vec<_> = list
        .iter()
        .map(|sabotage| {
            set_sabotage(Some(*sabotage));
            let found = caught();
            set_sabotage(None);
            (sabotage, found)
        })
        .collect();
    panic::set_hook(before);
    for (sabotage, found) in &caught {
        match found {
            Some((by, what)) => println!("{sabotage:?}: {by}: {what}"),
            None => println!("{sabotage:?}: NOT CAUGHT"),
        }
    }
    let missed: Vec<_> = caught.iter().filter(|(_, found)| found.is_none()).map(|(sabotage, _)| sabotage).collect();
    assert!(missed.is_empty(), "not caught: {missed:?}");
}

#[test]
fn every_sabotage_is_caught_by_random_seeds() {
    each_is_caught(&CAUGHT, caught_by_seeds);
}

#[test]
fn sabotage_too_rare_for_random_seeds_is_caught_by_a_scenario() {
    each_is_caught(&CAUGHT_BY_SCENARIOS, scenarios::caught);
}
