//! The demo's directory, and the processes that it left running there.

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A process that was asked to end has so long.
const PATIENCE: Duration = Duration::from_secs(40);

/// One directory: the next demo takes the place of the last.
pub(super) struct Place {
    directory: PathBuf,
}

impl Place {
    pub(super) fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    /// Something in it.
    pub(super) fn at(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    pub(super) fn make(&self) -> Result<()> {
        let made = DirBuilder::new().mode(0o700).recursive(true).create(&self.directory);
        made.with_context(|| format!("cannot make {}", self.directory.display()))
    }

    /// Notes a process, so that it is ended by whoever clears the place.
    pub(super) fn note(&self, name: &str, process: u32) -> Result<()> {
        Ok(fs::write(self.at(&format!("{name}.pid")), process.to_string())?)
    }

    /// Ends what runs and removes everything; whether there was anything.
    pub(super) fn clear(&self) -> Result<bool> {
        if !self.directory.exists() {
            return Ok(false);
        }
        self.end_processes()?;
        fs::remove_dir_all(&self.directory).with_context(|| format!("cannot remove {}", self.directory.display()))?;
        Ok(true)
    }

    /// Ends what runs: the agent before its service.
    pub(super) fn end_processes(&self) -> Result<()> {
        for name in ["agent", "service"] {
            let Ok(text) = fs::read_to_string(self.at(&format!("{name}.pid"))) else { continue };
            let number: i32 = text.trim().parse().with_context(|| format!("{name}.pid has no number"))?;
            if let Some(process) = Pid::from_raw(number).filter(|_| self.is_ours(number)) {
                end(process, name)?;
            }
        }
        Ok(())
    }

    /// Whether the process has this directory among its arguments or in its environment: numbers of processes are used again.
    fn is_ours(&self, process: i32) -> bool {
        let directory = self.directory.as_os_str().as_encoded_bytes();
        let has = |file: &str| {
            let bytes = fs::read(Path::new("/proc").join(process.to_string()).join(file)).unwrap_or_default();
            bytes.windows(directory.len()).any(|some| some == directory)
        };
        has("cmdline") || has("environ")
    }
}

fn end(process: Pid, name: &str) -> Result<()> {
    // It may have ended by itself just now.
    let _ = kill_process(process, Signal::TERM);
    let started = Instant::now();
    while test_kill_process(process).is_ok() && !is_zombie(process) {
        if started.elapsed() > PATIENCE {
            bail!("the demo's {name} (process {}) does not end", process.as_raw_nonzero());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// Ended, and only waited for by nobody.
fn is_zombie(process: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", process.as_raw_nonzero())).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('Z'))
}
