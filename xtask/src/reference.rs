//! `docs/cli.md`: the reference of the command line, written by the program itself (`holdfast docs`, a hidden command).

use crate::checkout::{self, Profile};
use anyhow::{Context, Result, bail};
use std::path::Path;
use std::process::{Command, ExitCode};

/// Where the reference stands.
pub(crate) const REFERENCE: &str = "docs/cli.md";

/// What the program writes about itself; none while it has no command for it.
pub(crate) fn generate(root: &Path) -> Result<Option<String>> {
    let program = checkout::build_programs(root, Profile::Dev, &["holdfast"])?.join("holdfast");
    // Help texts show the values of variables that are set.
    let output = Command::new(&program).arg("docs").env_clear().output().context("cannot start the program")?;
    if !output.status.success() || output.stdout.is_empty() {
        return Ok(None);
    }
    Ok(Some(String::from_utf8(output.stdout).context("the reference is not UTF-8")?))
}

/// The task.
pub(crate) fn write() -> Result<ExitCode> {
    let root = checkout::root()?;
    let Some(text) = generate(&root)? else { bail!("the program has no `docs` command yet") };
    std::fs::write(root.join(REFERENCE), text).with_context(|| format!("cannot write {REFERENCE}"))?;
    Ok(ExitCode::SUCCESS)
}
