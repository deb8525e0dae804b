//! A user of the program with a vault and a home of its own.

use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

pub(super) struct User<'a> {
    program: &'a Path,
    home: PathBuf,
}

impl<'a> User<'a> {
    /// Makes the vault.
    pub(super) fn new(program: &'a Path, place: &Path) -> Result<Self> {
        let user = Self { program, home: place.join("home") };
        std::fs::create_dir(&user.home).context("cannot make a home")?;
        user.run(&["init"])?;
        Ok(user)
    }

    pub(super) fn run(&self, arguments: &[&str]) -> Result<()> {
        let mut command = Command::new(self.program);
        command.args(arguments).args(["--json", "--quiet"]);
        command.env("HOLDFAST_VAULT", self.home.join("vault")).env("HOLDFAST_PASSPHRASE", "a passphrase of the benchmark");
        for directory in ["CONFIG", "STATE", "CACHE"] {
            command.env(format!("XDG_{directory}_HOME"), self.home.join(directory));
        }
        let output = command.output().with_context(|| format!("cannot start {}", self.program.display()))?;
        if !output.status.success() {
            bail!("holdfast {}: {}\n{}", arguments.join(" "), output.status, String::from_utf8_lossy(&output.stderr).trim_end());
        }
        Ok(())
    }
}
