//! `cargo xtask test`: every test of the workspace.

use crate::checkout;
use anyhow::Result;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

/// The task: examples in the documentation first, so that the runner's own summary is the last line.
pub(crate) fn run(arguments: &[String]) -> Result<ExitCode> {
    let root = checkout::root()?;
    if arguments.is_empty() {
        checkout::run(Command::new(checkout::cargo()).current_dir(&root).args(["test", "--quiet", "--workspace", "--doc"]))?;
    }
    let mut tests = Command::new(checkout::cargo());
    tests.current_dir(&root);
    if nextest_is_installed(&root) {
        tests.args(["nextest", "run", "--workspace"]);
    } else {
        eprintln!("cargo-nextest is not installed: running the tests with cargo test (slower)");
        tests.args(["test", "--workspace", "--all-targets", "--no-fail-fast"]);
    }
    checkout::run(tests.args(arguments))?;
    Ok(ExitCode::SUCCESS)
}

fn nextest_is_installed(root: &Path) -> bool {
    let mut version = Command::new(checkout::cargo());
    version.current_dir(root).args(["nextest", "--version"]).stdout(Stdio::null()).stderr(Stdio::null());
    version.status().is_ok_and(|status| status.success())
}
