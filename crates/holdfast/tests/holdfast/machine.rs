//! A machine: its own configuration and state, a vault that it may share with others, sources, and the program to run.
//!
//! Every process has a time limit, and nothing of the surrounding environment reaches it.

use crate::service::RunningService;
use api::{ServiceOptions, ServiceVault};
use rustix::process::Signal;
use secrecy::SecretString;
use serde_json::Value;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The longest that a command may take.
const LIMIT: Duration = Duration::from_secs(400);
pub(crate) const PASSPHRASE: &str = "correct horse battery staple";

pub(crate) struct Machine {
    root: Arc<TempDir>,
    home: PathBuf,
    vault: PathBuf,
    variables: Vec<(&'static str, PathBuf)>,
    runs: AtomicU64,
    /// Kept running, where the vault is behind one.
    service: Option<Arc<RunningService>>,
}

/// How a process ended. `code` is -9 after kill -9.
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
    /// The most memory that it held at once, in bytes.
    pub(crate) memory_bytes: u64,
}

impl Ended {
    /// The object on standard output.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}\n{}", self.out, self.err))
    }
}

/// A process that runs.
pub(crate) struct Running {
    child: Child,
    out: PathBuf,
    err: PathBuf,
}

impl Running {
    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Memory that it holds now.
    pub(crate) fn resident_bytes(&self) -> u64 {
        memory_bytes(self.child.id(), "VmRSS:")
    }

    /// Asks it to end, as a supervisor does, and waits until it has.
    pub(crate) fn terminate(self) -> Ended {
        self.until_it_minds_being_ended();
        let process = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(process, Signal::TERM).unwrap();
        self.end()
    }

    /// A program that has only just been started is ended by the signal before it can mind it.
    fn until_it_minds_being_ended(&self) {
        let started = Instant::now();
        let status = || fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let caught = |status: &str| {
            let digits = status.lines().find_map(|line| line.strip_prefix("SigCgt:"))?;
            u64::from_str_radix(digits.trim(), 16).ok()
        };
        // One that has ended catches nothing, and is as it is.
        let minds = |status: &str| caught(status).is_none_or(|signals| signals >> (Signal::TERM.as_raw() - 1) & 1 == 1);
        let has_ended = |status: &str| status.contains("State:\tZ");
        while !minds(&status()) && !has_ended(&status()) {
            assert!(started.elapsed() < LIMIT, "it never minds being ended");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// What it said so far on standard error.
    pub(crate) fn said(&self) -> String {
        fs::read_to_string(&self.err).unwrap()
    }

    pub(crate) fn kill_after(mut self, wait: Duration) -> Ended {
        std::thread::sleep(wait);
        self.child.kill().unwrap();
        self.end()
    }

    pub(crate) fn end(mut self) -> Ended {
        let started = Instant::now();
        let mut memory_bytes = 0;
        let status = loop {
            memory_bytes = memory_bytes.max(self::memory_bytes(self.child.id(), "VmHWM:"));
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if started.elapsed() > LIMIT {
                self.child.kill().unwrap();
                self.child.wait().unwrap();
                panic!("took longer than {LIMIT:?}: {}", fs::read_to_string(&self.err).unwrap());
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        let read = |path: &Path| String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned();
        let ended = Ended { code: status.code().unwrap_or(-9), out: read(&self.out), err: read(&self.err), memory_bytes };
        assert!(!ended.err.contains("panicked"), "{}", ended.err);
        ended
    }
}

impl Drop for Running {
    /// A test that failed leaves nothing that runs.
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// A process's resident memory, now or at its peak; 0 when it is gone.
fn memory_bytes(process: u32, which: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let found = status.lines().find_map(|line| line.strip_prefix(which));
    found.and_then(|found| found.trim().strip_suffix(" kB")).map_or(0, |found| found.trim().parse::<u64>().unwrap() << 10)
}

impl Machine {
    /// A machine with a passphrase in a private file, and no vault yet.
    pub(crate) fn new() -> Self {
        let root = Arc::new(tempfile::tempdir().unwrap());
        let home = root.path().join("home");
        fs::create_dir(&home).unwrap();
        fs::create_dir(root.path().join("source")).unwrap();
        let vault = root.path().join("vault");
        let machine = Self { root, home, vault, variables: Vec::new(), runs: AtomicU64::new(0), service: None };
        let passphrase = machine.private("passphrase", PASSPHRASE);
        machine.with("HOLDFAST_PASSPHRASE_FILE", passphrase)
    }

    /// Backs up something else than the source.
    pub(crate) fn backup_of(&self, source: &str, item: &str) -> Ended {
        let ended = self.run(&["backup", &self.text(source), "--item", item, "--json"]);
        assert_eq!(ended.code, 0, "{}\n{}", ended.out, ended.err);
        ended
    }

    /// A machine that made a vault. It takes the recovery kit, which costs no Argon2id.
    pub(crate) fn with_vault() -> Self {
        let machine = Self::new();
        let kit = machine.path("kit");
        machine.ok(&["init", "--name", "machine", "--kit", kit.to_str().unwrap()]);
        machine.with_kit()
    }

    /// A machine that logged in to a vault service and made a vault there.
    pub(crate) fn with_service() -> Self {
        Self::with_service_of(vault::Limits::default())
    }

    /// The same with a service that has other limits.
    pub(crate) fn with_service_of(limits: vault::Limits) -> Self {
        let mut machine = Self::new();
        let service = RunningService::start(&machine.path("service"), limits);
        machine.vault = PathBuf::from(&service.url);
        let token = machine.private("token", &service.one_time());
        let fingerprint = service.authority.clone();
        machine.service = Some(Arc::new(service));
        let login = machine.ok(&["login", "--fingerprint", &fingerprint, "--token-file", token.to_str().unwrap()]);
        assert_eq!(login["role"], "administrator");
        let kit = machine.path("kit");
        machine.ok(&["init", "--name", "machine", "--kit", kit.to_str().unwrap()]);
        machine.with_kit()
    }

    /// Like `with_vault`, and the passphrase is what opens it.
    pub(crate) fn with_passphrase() -> Self {
        let mut machine = Self::with_vault();
        let passphrase = machine.path("passphrase");
        machine.variables = vec![("HOLDFAST_PASSPHRASE_FILE", passphrase)];
        machine
    }

    pub(crate) fn with_kit(mut self) -> Self {
        self.variables = vec![("HOLDFAST_RECOVERY_KIT_FILE", self.path("kit"))];
        self
    }

    pub(crate) fn without_secret(mut self) -> Self {
        self.variables.clear();
        self
    }

    pub(crate) fn with(mut self, variable: &'static str, value: PathBuf) -> Self {
        self.variables.push((variable, value));
        self
    }

    /// A machine with the same vault and secret that has never seen it.
    pub(crate) fn other(&self, name: &str) -> Self {
        let home = self.path(name);
        fs::create_dir(&home).unwrap();
        let variables = self.variables.clone();
        Self {
            root: self.root.clone(),
            home,
            vault: self.vault.clone(),
            variables,
            runs: AtomicU64::new(0),
            service: self.service.clone(),
        }
    }

    /// The same machine with its vault somewhere else.
    pub(crate) fn at(mut self, vault: PathBuf) -> Self {
        self.vault = vault;
        self
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    pub(crate) fn vault(&self) -> &Path {
        &self.vault
    }

    /// A file that nobody else can read.
    pub(crate) fn private(&self, name: &str, content: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        path
    }

    /// Writes a file of the source.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path("source").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    pub(crate) fn start(&self, arguments: &[&str]) -> Running {
        let number = self.runs.fetch_add(1, Ordering::Relaxed);
        let (out, err) = (self.home.join(format!("{number}.out")), self.home.join(format!("{number}.err")));
        let mut command = Command::new(env!("CARGO_BIN_EXE_holdfast"));
        self.surround(&mut command);
        command.args(arguments).stdout(File::create(&out).unwrap()).stderr(File::create(&err).unwrap());
        Running { child: command.spawn().unwrap(), out, err }
    }

    /// Directory, standard input and all of the environment that a process of this machine has.
    pub(crate) fn surround(&self, command: &mut Command) {
        command.env_clear().current_dir(self.root.path()).stdin(Stdio::null());
        for (variable, name) in [("XDG_CONFIG_HOME", "config"), ("XDG_STATE_HOME", "state"), ("XDG_CACHE_HOME", "cache")] {
            command.env(variable, self.home.join(name));
        }
        command.env("HOLDFAST_VAULT", &self.vault).envs(self.variables.iter().cloned());
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ended {
        self.start(arguments).end()
    }

    /// Runs with `--json` to exactly this end.
    pub(crate) fn ends(&self, code: i32, arguments: &[&str]) -> Value {
        let ended = self.run(&[arguments, &["--json"]].concat());
        assert_eq!(ended.code, code, "{arguments:?}: {}\n{}", ended.out, ended.err);
        let json = ended.json();
        assert_eq!(json["schema"], format!("holdfast.{}/1", arguments[0]), "{json}");
        json
    }

    /// Runs with `--json` to a clean end.
    pub(crate) fn ok(&self, arguments: &[&str]) -> Value {
        self.ends(0, arguments)
    }

    /// Backs the source up as this item and answers the point's id.
    pub(crate) fn backup(&self, item: &str) -> String {
        let json = self.ok(&["backup", &self.text("source"), "--item", item]);
        json["point"].as_str().unwrap().to_owned()
    }

    /// Restores into a new directory and answers where the source is then.
    pub(crate) fn restore(&self, point: &str, to: &str) -> PathBuf {
        self.ok(&["restore", point, "--to", &self.text(to)]);
        self.restored(to)
    }

    /// Where a restore puts the source below a destination.
    pub(crate) fn restored(&self, to: &str) -> PathBuf {
        self.path(to).join(self.path("source").strip_prefix("/").unwrap())
    }

    /// Fails unless the point restores to what is here.
    pub(crate) fn assert_restores(&self, point: &str, expected: &Path) {
        let to = format!("out-{}-{}", self.runs.load(Ordering::Relaxed), &point[..6.min(point.len())]);
        assert_equal(expected, &self.restore(point, &to));
        fs::remove_dir_all(self.path(&to)).unwrap();
    }

    /// Ids of the points that are listed.
    pub(crate) fn points(&self) -> Vec<String> {
        let json = self.ok(&["points"]);
        json["points"].as_array().unwrap().iter().map(|point| point["id"].as_str().unwrap().to_owned()).collect()
    }

    /// The directory of this machine's only agent in the state.
    pub(crate) fn agent_state(&self) -> PathBuf {
        let vault = self.config().file_name().unwrap().to_owned();
        self.home.join("state/holdfast/vaults").join(vault).join("agent")
    }

    /// Writes the agent's own configuration.
    pub(crate) fn bound(&self, text: &str) {
        let path = self.home.join("config/holdfast/agent.toml");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    }

    /// The service that this machine speaks to.
    pub(crate) fn service(&self) -> &RunningService {
        self.service.as_ref().unwrap()
    }

    /// The directory of this vault's only home in the configuration.
    pub(crate) fn config(&self) -> PathBuf {
        let vaults = self.home.join("config/holdfast/vaults");
        fs::read_dir(vaults).unwrap().next().unwrap().unwrap().path()
    }

    /// Writes a file of this vault's home in the configuration, for this user alone.
    pub(crate) fn keep(&self, name: &str, bytes: &[u8]) {
        let path = self.config().join(name);
        fs::write(&path, bytes).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    }

    /// Where this machine's only token for a service is.
    pub(crate) fn service_token(&self) -> PathBuf {
        let mut found = files(&self.home.join("config/holdfast/services"));
        found.retain(|path| path.ends_with("token"));
        assert_eq!(found.len(), 1, "{found:?}");
        found.remove(0)
    }

    /// Asks the service something with this machine's token.
    pub(crate) fn ask<T>(&self, question: impl AsyncFnOnce(ServiceVault) -> contract::Result<T>) -> T {
        let service = self.service.as_ref().unwrap();
        let token = SecretString::from(fs::read_to_string(self.service_token()).unwrap());
        let authority = service.authority.parse().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let client = ServiceVault::new(ServiceOptions::new(service.url.parse().unwrap(), Some(authority), token)).unwrap();
        runtime.block_on(question(client)).unwrap()
    }

    /// Ends somebody's token at the service, with this machine's.
    pub(crate) fn end_token(&self, id: &str) {
        self.ask(async |service| service.revoke_token(id).await);
    }

    /// The service goes on with an empty database, at the same address.
    pub(crate) fn lose_the_services_database(&self) {
        self.service.as_ref().unwrap().restart(|data| {
            for name in ["service.db", "service.db-wal", "service.db-shm"] {
                let _ = fs::remove_file(data.join(name));
            }
        });
    }

    /// Changes the database of the service that runs.
    pub(crate) fn in_the_services_database(&self, change: &str) {
        use sqlx::{Connection, Executor, SqliteConnection};
        let path = format!("sqlite://{}", self.path("service").join("service.db").display());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut connection = SqliteConnection::connect(&path).await.unwrap();
            connection.execute(sqlx::AssertSqlSafe(change.to_owned())).await.unwrap();
            connection.close().await.unwrap();
        });
    }

    /// Becomes an administrator with a new one-time token of the service.
    pub(crate) fn log_in(&self) {
        let service = self.service.as_ref().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let token = runtime.block_on(vault::one_time_token(&self.path("service"))).unwrap();
        let token = self.private("new token", &token);
        self.ok(&["login", "--fingerprint", &service.authority, "--token-file", token.to_str().unwrap()]);
    }

    /// Stored objects whose path contains this.
    pub(crate) fn objects(&self, part: &str) -> Vec<PathBuf> {
        let mut found = files(&self.vault.join("objects"));
        found.retain(|path| path.to_str().unwrap().contains(part));
        found
    }
}

pub(crate) fn assert_equal(left: &Path, right: &Path) {
    let differences = workloads::zoo::compare(left, right);
    assert!(differences.is_empty(), "{differences:#?}");
}

/// All files below a directory, in order.
pub(crate) fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![directory.to_owned()];
    while let Some(directory) = open.pop() {
        let Ok(entries) = fs::read_dir(&directory) else { continue };
        for entry in entries {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                open.push(entry.path());
            } else {
                found.push(entry.path());
            }
        }
    }
    found.sort();
    found
}

/// Copies a tree with everything that it has.
pub(crate) fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap();
    assert!(status.success());
}
