//! The checkout that the tasks work on, and the commands that they run in it.

use anyhow::{Context, Result, bail};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Root of the checkout.
pub(crate) fn root() -> Result<PathBuf> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    Ok(own.parent().context("xtask has no directory above it")?.to_owned())
}

/// The cargo that started this task.
pub(crate) fn cargo() -> OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// Runs a command to its end, with its output shown.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let shown = show(command);
    let status = command.status().with_context(|| format!("cannot start {shown}"))?;
    if !status.success() {
        bail!("{shown}: {status}");
    }
    Ok(())
}

/// Runs a command and answers what it wrote to standard output.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let shown = show(command);
    let output = command.output().with_context(|| format!("cannot start {shown}"))?;
    if !output.status.success() {
        bail!("{shown}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr).trim_end());
    }
    String::from_utf8(output.stdout).with_context(|| format!("{shown} wrote bytes that are not UTF-8"))
}

/// A profile of cargo and the directory that it builds into.
#[derive(Clone, Copy)]
pub(crate) enum Profile {
    /// Fast to build.
    Dev,
    /// What users run.
    Release,
}

/// Builds programs and answers the directory in which they lie. An error has the end of what the compiler said.
pub(crate) fn build_programs(root: &Path, profile: Profile, packages: &[&str]) -> Result<PathBuf> {
    let (name, directory) = match profile {
        Profile::Dev => ("dev", "debug"),
        Profile::Release => ("release", "release"),
    };
    let mut build = Command::new(cargo());
    build.current_dir(root).args(["build", "--quiet", "--profile", name]);
    for package in packages {
        build.args(["--package", package]);
    }
    let built = build.output().context("cannot start cargo")?;
    if !built.status.success() {
        let said = String::from_utf8_lossy(&built.stderr);
        let end: Vec<&str> = said.lines().rev().take(5).collect();
        bail!("the programs do not build: {}", end.into_iter().rev().collect::<Vec<_>>().join("\n"));
    }
    Ok(target_directory(root)?.join(directory))
}

/// Where everything that is built goes.
pub(crate) fn target_directory(root: &Path) -> Result<PathBuf> {
    let text = output(Command::new(cargo()).current_dir(root).args(["metadata", "--format-version", "1", "--no-deps"]))?;
    let metadata: serde_json::Value = serde_json::from_str(&text).context("cannot read what cargo metadata wrote")?;
    Ok(metadata["target_directory"].as_str().context("cargo metadata names no target directory")?.into())
}

fn show(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}
