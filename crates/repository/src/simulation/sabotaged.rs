//! Proof that the simulation finds what it is there to find: each rule of the list, broken on purpose, is caught.

use super::run_seed;
use crate::sabotage::{CAUGHT, Sabotage, set_sabotage};
use std::panic;

/// Seeds within which a sabotage must be caught.
const SEEDS: u64 = 500;

/// The first seed that catches the sabotage, and what it finds.
fn caught(sabotage: Sabotage) -> Option<(u64, String)> {
    set_sabotage(Some(sabotage));
    let found = (1..=SEEDS).find_map(|seed| Some((seed, run_seed(seed).err()?)));
    set_sabotage(None);
    found
}

#[test]
fn every_sabotage_is_caught() {
    let before = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    let caught: Vec<_> = CAUGHT.map(|sabotage| (sabotage, caught(sabotage))).into();
    panic::set_hook(before);
    for (sabotage, found) in &caught {
        match found {
            Some((seed, what)) => println!("{sabotage:?}: seed {seed}: {what}"),
            None => println!("{sabotage:?}: NOT CAUGHT"),
        }
    }
    let missed: Vec<_> = caught.iter().filter(|(_, found)| found.is_none()).map(|(sabotage, _)| sabotage).collect();
    assert!(missed.is_empty(), "not caught within {SEEDS} seeds: {missed:?}");
}
