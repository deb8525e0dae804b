//! Tests of object stores.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)]

mod conformance;
mod crash;
mod full;
mod provider;
mod race;

use std::process::{Child, Command, Stdio};

/// A directory's path in the environment makes a test the child process that works there.
const CHILD: &str = "STORAGE_TEST_CHILD";

/// Runs a test of this binary as a child process, with pipes to its standard input and output.
fn child(test: &str, directory: &std::path::Path, number: u64) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([test, "--exact", "--nocapture"]).env(CHILD, format!("{number}:{}", directory.display()));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap()
}

/// The number and directory that this process was started with as a child.
fn as_child() -> Option<(u64, String)> {
    let value = std::env::var(CHILD).ok()?;
    let (number, directory) = value.split_once(':').unwrap();
    Some((number.parse().unwrap(), directory.to_owned()))
}
