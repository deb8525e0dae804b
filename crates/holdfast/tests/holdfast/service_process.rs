//! The service in a process of its own, to be killed and measured: its program is another crate's.

use crate::machine::Machine;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// The service's program: built with the workspace's tests, or now.
fn service_program() -> PathBuf {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    let built = || {
        let program = Path::new(env!("CARGO_BIN_EXE_holdfast")).with_file_name("holdfast-vault");
        if !program.exists() {
            let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
            let build = Command::new(cargo).args(["build", "--quiet", "--package", "holdfast-vault"]).status();
            assert!(build.unwrap().success());
        }
        program
    };
    PROGRAM.get_or_init(built).clone()
}

/// A service in a process of its own, at one address for all its lives.
pub(crate) struct ServiceProcess {
    data: PathBuf,
    config: PathBuf,
    said: PathBuf,
    listen: String,
    child: Child,
}

impl ServiceProcess {
    /// The first start, with this configuration.
    pub(crate) fn start(machine: &Machine, configuration: &str) -> Self {
        let config = machine.path("vault.toml");
        fs::write(&config, configuration).unwrap();
        let (data, said) = (machine.path("service"), machine.path("service.out"));
        let child = Self::spawn(&data, &config, &said, "127.0.0.1:0");
        let mut service = Self { data, config, said, listen: String::new(), child };
        service.listen = service.line("vault service at https://");
        service
    }

    /// Where it is.
    pub(crate) fn url(&self) -> String {
        format!("https://{}", self.listen)
    }

    /// Fingerprint of its authority.
    pub(crate) fn authority(&self) -> String {
        self.line("certificate authority (SHA-256) ")
    }

    /// Makes this machine the administrator and the owner of a vault there.
    pub(crate) fn take(&self, machine: Machine) -> Machine {
        let owner = machine.at(PathBuf::from(self.url()));
        let token = owner.private("one-time", &self.line("one-time token "));
        owner.ok(&["login", "--fingerprint", &self.authority(), "--token-file", token.to_str().unwrap()]);
        owner.ok(&["init", "--name", "owner", "--kit", &owner.text("kit")]);
        owner.with_kit()
    }

    /// Its number among the system's processes.
    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    fn spawn(data: &Path, config: &Path, said: &Path, listen: &str) -> Child {
        let log = File::options().append(true).create(true).open(said.with_extension("log")).unwrap();
        let mut command = Command::new(service_program());
        command.arg("serve").arg("--data").arg(data).arg("--config").arg(config).args(["--listen", listen]);
        command.stdin(Stdio::null()).stdout(File::create(said).unwrap()).stderr(log).spawn().unwrap()
    }

    /// The rest of a line that it says at its start.
    pub(crate) fn line(&self, beginning: &str) -> String {
        let started = Instant::now();
        loop {
            let said = fs::read_to_string(&self.said).unwrap();
            // Only whole lines: it may be saying one just now.
            let whole = said.rsplit_once('\n').map_or("", |(whole, _)| whole);
            if let Some(rest) = whole.lines().find_map(|line| line.strip_prefix(beginning)) {
                return rest.to_owned();
            }
            let log = || fs::read_to_string(self.said.with_extension("log")).unwrap_or_default();
            assert!(started.elapsed() < Duration::from_secs(30), "{said}\n{}", log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub(crate) fn kill_and_start_again(&mut self) {
        self.kill_and_start_with(|_| ());
    }

    /// What is done meanwhile is told the service's own database.
    pub(crate) fn kill_and_start_with(&mut self, meanwhile: impl FnOnce(&Path)) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        meanwhile(&self.data.join("service.db"));
        self.child = Self::spawn(&self.data, &self.config, &self.said, &self.listen);
        self.line("vault service at https://");
    }
}

impl Drop for ServiceProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
