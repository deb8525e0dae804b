//! A user of the `holdfast` program: the administrator, or the machine that is protected.

use super::place::Place;
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// The program as a user of its own runs it: nothing of the real user's configuration is read or written.
pub(super) struct User {
    program: PathBuf,
    home: PathBuf,
    vault: String,
    passphrase: Option<PathBuf>,
}

impl User {
    /// A user of the program at `program` and the service at `vault`, with everything that is kept of it in a directory of this name.
    pub(super) fn new(place: &Place, name: &str, program: &Path, vault: &str) -> Result<Self> {
        let home = place.at(name);
        fs::create_dir(&home)?;
        Ok(Self { program: program.to_owned(), home, vault: vault.to_owned(), passphrase: None })
    }

    /// The same with a passphrase in a file.
    pub(super) fn with_passphrase(mut self) -> Result<Self> {
        self.passphrase = Some(self.private("passphrase", "correct horse battery staple of the demo\n")?);
        Ok(self)
    }

    /// A file for this user alone.
    pub(super) fn private(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.home.join(name);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        file.write_all(text.as_bytes())?;
        Ok(path)
    }

    /// Runs a command that must end clean; answers how long it took.
    pub(super) fn run(&self, arguments: &[&str]) -> Result<Duration> {
        let start = Instant::now();
        self.output(arguments)?;
        Ok(start.elapsed())
    }

    /// What a command that must end clean says as JSON, and how long it took.
    pub(super) fn json(&self, arguments: &[&str]) -> Result<(Value, Duration)> {
        let start = Instant::now();
        let text = self.output(&[arguments, &["--json", "--quiet"]].concat())?;
        let shown = arguments.join(" ");
        let answer = serde_json::from_str(&text).with_context(|| format!("holdfast {shown} did not write JSON"))?;
        Ok((answer, start.elapsed()))
    }

    /// What a command that must end clean writes.
    pub(super) fn output(&self, arguments: &[&str]) -> Result<String> {
        let mut command = self.command();
        let shown = arguments.join(" ");
        let output = command.args(arguments).output().with_context(|| format!("cannot start holdfast {shown}"))?;
        if !output.status.success() {
            let said = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
            bail!("holdfast {shown}: {}\n{}", output.status, said.trim_end());
        }
        String::from_utf8(output.stdout).with_context(|| format!("holdfast {shown} wrote bytes that are not UTF-8"))
    }

    /// The program with this user's surroundings.
    pub(super) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.envs(self.variables());
        command
    }

    /// A shell's lines that make this user of whoever runs them.
    pub(super) fn shell_lines(&self) -> String {
        let mut text = String::new();
        for (name, value) in self.variables() {
            text.push_str(&format!("export {name}='{}'\n", value.replace('\'', r"'\''")));
        }
        let programs = self.program.parent().unwrap_or(&self.home).display().to_string();
        text.push_str(&format!("export PATH='{}':\"$PATH\"\n", programs.replace('\'', r"'\''")));
        text
    }

    fn variables(&self) -> Vec<(&'static str, String)> {
        let below = |name: &str| self.home.join(name).display().to_string();
        let mut variables = vec![
            ("HOLDFAST_VAULT", self.vault.clone()),
            ("XDG_CONFIG_HOME", below("config")),
            ("XDG_CACHE_HOME", below("cache")),
            ("XDG_STATE_HOME", below("state")),
        ];
        variables.extend(self.passphrase.iter().map(|path| ("HOLDFAST_PASSPHRASE_FILE", path.display().to_string())));
        variables
    }
}
