//! The built `holdfast` program, with a vault, directories and a passphrase of its own.

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// The program as a user of its own runs it: nothing of the real user's configuration is read or written.
pub(super) struct Program {
    binary: PathBuf,
    work: PathBuf,
}

impl Program {
    /// The program at `binary`, with everything that it keeps below `work`.
    pub(super) fn new(binary: PathBuf, work: &Path) -> Result<Self> {
        let program = Self { binary, work: work.to_owned() };
        let mut secret = OpenOptions::new().write(true).create_new(true).mode(0o600).open(program.passphrase_file())?;
        secret.write_all(b"correct horse battery staple of the demo\n")?;
        Ok(program)
    }

    /// Its name and version.
    pub(super) fn version(&self) -> Result<String> {
        Ok(self.output(&["--version"])?.trim_end().to_owned())
    }

    /// Where the vault lies.
    pub(super) fn vault(&self) -> PathBuf {
        self.work.join("vault")
    }

    /// Runs a command that must end clean; answers how long it took.
    pub(super) fn run(&self, arguments: &[&str]) -> Result<Duration> {
        let start = Instant::now();
        self.output(arguments)?;
        Ok(start.elapsed())
    }

    /// The id of the newest point.
    pub(super) fn newest_point(&self) -> Result<String> {
        let text = self.output(&["points", "--json"])?;
        let answer: Value = serde_json::from_str(&text).context("`holdfast points --json` did not write JSON")?;
        ensure!(answer["schema"] == "holdfast.points/1", "`holdfast points --json` has another schema than expected");
        let newest = answer["points"].as_array().and_then(|points| points.last()).context("there is no point")?;
        Ok(newest["id"].as_str().context("a point has no id")?.to_owned())
    }

    fn output(&self, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new(&self.binary);
        command.args(arguments).env("HOLDFAST_VAULT", self.vault()).env("HOLDFAST_PASSPHRASE_FILE", self.passphrase_file());
        for (variable, directory) in [
            ("HOME", "home"),
            ("XDG_CONFIG_HOME", "config"),
            ("XDG_CACHE_HOME", "cache"),
            ("XDG_DATA_HOME", "data"),
            ("XDG_STATE_HOME", "state"),
        ] {
            command.env(variable, self.work.join(directory));
        }
        let shown = arguments.join(" ");
        let output = command.output().with_context(|| format!("cannot start holdfast {shown}"))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("holdfast {shown}: {}\n{}", output.status, said.trim_end());
        }
        String::from_utf8(output.stdout).with_context(|| format!("holdfast {shown} wrote bytes that are not UTF-8"))
    }

    fn passphrase_file(&self) -> PathBuf {
        self.work.join("passphrase")
    }
}
