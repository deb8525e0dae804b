//! The project's own tasks: `cargo xtask <task>`.
//!
//! Nothing here is shipped. A task that checks something prints every finding and ends with a non-zero exit code.

#![forbid(unsafe_code)]

mod bench;
mod checkout;
mod counts;
mod demo;
mod reference;
mod suite;
mod tidy;

use anyhow::{Result, bail};
use std::process::ExitCode;

const USAGE: &str = "\
Tasks of the project: cargo xtask <task>

  demo [DIRECTORY]   builds the programs and runs their main job on a copy of DIRECTORY (default: this checkout's
                     sources): a vault service, an enrolled machine, point, change, second point, restore of the
                     first, comparison, receipt; leaves the service and the agent running
  demo --end         ends them and removes what they kept
  test [ARGUMENT…]   runs all tests (with cargo-nextest where it is installed); arguments go to the test runner
  tidy               checks the rules of the house: dependency arrows, sizes, names, documents in step with sources
  bench [DIRECTORY] [--rounds N]
                     times the hot paths, runs the test of recorded requests, and the program on a generated tree or a
                     copy of DIRECTORY; prints ratios
  counts [--write]   counts the instructions of the hot paths (with valgrind) and compares them with those in
                     bench/instructions.toml, or writes these
  docs               writes docs/cli.md from the program's own help
";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let task = arguments.next().unwrap_or_default();
    let rest: Vec<String> = arguments.collect();
    match run(&task, &rest) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: &str, rest: &[String]) -> Result<ExitCode> {
    match task {
        "demo" => demo::run(rest),
        "test" => suite::run(rest),
        "tidy" if rest.is_empty() => tidy::run(),
        "bench" => bench::run(rest),
        "counts" => counts::run(rest),
        "docs" if rest.is_empty() => reference::write(),
        "" | "help" | "--help" | "-h" => {
            print!("{USAGE}");
            Ok(ExitCode::SUCCESS)
        }
        _ => bail!("no such task: {task} {}\n\n{USAGE}", rest.join(" ")),
    }
}
