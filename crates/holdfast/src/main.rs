//! The `holdfast` command: backs a machine up into a vault, lists, checks and restores what is in it.

#![forbid(unsafe_code)]
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod cli;
mod commands;
mod failure;
mod local;
mod terminal;

use crate::terminal::note;
use std::process::ExitCode;

fn main() -> ExitCode {
    system::configure_allocator();
    // Each read session of an embedded vault holds a file, and a check has one for every point.
    workloads::raise_open_files();
    // Everything that this program makes is for its user alone; restored files get the modes that they had.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    let cli = cli::Cli::of_user();
    let json = cli.global.json;
    let command = cli.command.name();
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            note!("{}", failure::Failure::io("cannot start", &error));
            return ExitCode::from(failure::Exit::Failed as u8);
        }
    };
    let outcome = runtime.block_on(commands::run(cli));
    runtime.shutdown_background();
    match outcome.and_then(heard) {
        Ok(exit) => ExitCode::from(exit as u8),
        Err(failure) => {
            if json {
                terminal::print_failure(command, &failure);
            }
            // Where the object could not be written, people are told at least.
            if !json || terminal::output_failed().is_some() {
                note!("{failure}");
            }
            ExitCode::from(failure.exit as u8)
        }
    }
}

/// Everything was done; whether it was told is another question.
fn heard(exit: failure::Exit) -> failure::Outcome<failure::Exit> {
    match terminal::output_failed() {
        Some(error) => Err(failure::Failure::io("done, but standard output cannot be written", error)),
        None => Ok(exit),
    }
}
