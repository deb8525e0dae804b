//! The processes that go on after the demo: the vault service, and the agent of the protected machine.

use super::place::Place;
use anyhow::{Context, Result, bail};
use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The service is there by then.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where the service is, and what it said at its first start.
pub(super) struct Service {
    pub(super) url: String,
    pub(super) authority: String,
    pub(super) one_time: String,
}

/// Ends what was started unless it is to go on.
pub(super) struct Processes<'a> {
    place: &'a Place,
    go_on: bool,
}

impl<'a> Processes<'a> {
    pub(super) fn new(place: &'a Place) -> Self {
        Self { place, go_on: false }
    }

    /// All is well: they go on.
    pub(super) fn leave(mut self) {
        self.go_on = true;
    }

    /// Starts a vault service and waits until it has said where it is.
    pub(super) fn start_service(&self, program: &Path) -> Result<Service> {
        let data = self.place.at("service");
        let mut command = Command::new(program);
        command.arg("serve").arg("--data").arg(&data).args(["--listen", "127.0.0.1:0"]);
        let mut child = self.start("service", command)?;
        let started = Instant::now();
        loop {
            let said = fs::read_to_string(self.place.at("service.out"))?;
            let after = |what: &str| said.lines().find_map(|line| line.strip_prefix(what)).map(str::to_owned);
            let url = after("vault service at ");
            let authority = after("certificate authority (SHA-256) ");
            if let (Some(url), Some(authority), Some(one_time)) = (url, authority, after("one-time token ")) {
                return Ok(Service { url, authority, one_time });
            }
            self.still_runs("service", &mut child, started)?;
        }
    }

    /// Starts the agent of a machine.
    pub(super) fn start_agent(&self, mut command: Command) -> Result<()> {
        command.args(["agent", "run"]);
        self.start("agent", command).map(drop)
    }

    /// In a group of its own: what ends this program does not end it.
    fn start(&self, name: &str, mut command: Command) -> Result<Child> {
        let file = |end: &str| File::create(self.place.at(&format!("{name}.{end}")));
        command.stdin(Stdio::null()).stdout(file("out")?).stderr(file("log")?).process_group(0);
        let child = command.spawn().with_context(|| format!("cannot start the {name}"))?;
        self.place.note(name, child.id())?;
        Ok(child)
    }

    fn still_runs(&self, name: &str, child: &mut Child, started: Instant) -> Result<()> {
        let ended = child.try_wait()?;
        if ended.is_some() || started.elapsed() > PATIENCE {
            let said = fs::read_to_string(self.place.at(&format!("{name}.log"))).unwrap_or_default();
            bail!("the {name} did not start: {}", said.trim_end());
        }
        std::thread::sleep(Duration::from_millis(20));
        Ok(())
    }
}

impl Drop for Processes<'_> {
    fn drop(&mut self) {
        if !self.go_on
            && let Err(error) = self.place.end_processes()
        {
            eprintln!("{error:#}");
        }
    }
}
