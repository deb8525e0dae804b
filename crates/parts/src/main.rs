//! `holdfast-parts NAME`: does a part once, for a counter of instructions around `measured`. `holdfast-parts` lists them.

#![forbid(unsafe_code)]

use parts::{PARTS, Part, prepare};
use std::process::ExitCode;

fn main() -> ExitCode {
    let Some(name) = std::env::args().nth(1) else {
        PARTS.iter().for_each(|(name, _)| println!("{name}"));
        return ExitCode::SUCCESS;
    };
    let Some(mut part) = prepare(&name) else {
        eprintln!("there is no part '{name}'");
        return ExitCode::FAILURE;
    };
    // Contexts and buffers are made by the first run.
    let first = part.run();
    match measured(&mut part) == first {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

#[inline(never)]
fn measured(part: &mut Part) -> u64 {
    part.run()
}
