//! The program itself: started, killed, started again, ended.

use crate::running::{DOMAIN, Protected};
use api::{Address, ServiceOptions, ServiceVault};
use contract::{PointFilter, Vault};
use format::VaultId;
use secrecy::SecretString;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// A process of the service.
struct Process {
    child: Child,
    out: BufReader<ChildStdout>,
    log: PathBuf,
}

impl Process {
    fn start(data: &Path, listen: &str) -> Self {
        let log = data.with_extension("log");
        let mut command = Command::new(env!("CARGO_BIN_EXE_holdfast-vault"));
        command.arg("serve").arg("--data").arg(data).args(["--listen", listen, "--log", "debug"]).env_clear();
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        command.stderr(File::options().append(true).create(true).open(&log).unwrap());
        let mut child = command.spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        Self { child, out, log }
    }

    /// The rest of the next line of its output, behind these words.
    fn says(&mut self, words: &str) -> String {
        let mut line = String::new();
        self.out.read_line(&mut line).unwrap();
        line.strip_prefix(words).unwrap_or_else(|| panic!("{line:?}")).trim().to_owned()
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn terminate(mut self) -> i32 {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.child.wait().unwrap().code().unwrap()
    }
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_goes_on_when_its_service_is_killed_and_started_again() {
    let place = tempfile::tempdir().unwrap();
    let (data, listen) = (place.path().join("data"), format!("127.0.0.1:{}", free_port()));
    let mut process = Process::start(&data, &listen);
    let address: Address = process.says("vault service at ").parse().unwrap();
    let authority = process.says("certificate authority (SHA-256) ").parse().unwrap();
    let one_time = process.says("one-time token ");
    let client = |token: &str| {
        ServiceVault::new(ServiceOptions::new(address.clone(), Some(authority), SecretString::from(token))).unwrap()
    };
    let token = client(&one_time).redeem("administrator").await.unwrap().secret;
    let keyed = Protected::keys_for(client(&token), VaultId([1; 16])).await;

    let source = place.path().join("source");
    std::fs::create_dir(&source).unwrap();
    for number in 0..10 {
        std::fs::write(source.join(format!("{number}")), crate::running::noise(number, 8 << 20)).unwrap();
    }
    let backup = tokio::spawn({
        let (keyed, source) = (keyed.clone(), source.clone());
        async move { keyed.backup(keyed.vault.domain(DOMAIN).await.unwrap(), &source).await }
    });
    for packs in [1, 2] {
        wait_for_packs(&data, packs).await;
        process.kill();
        tokio::time::sleep(Duration::from_millis(300)).await;
        process = Process::start(&data, &listen);
        process.says("vault service at ");
    }
    backup.await.unwrap().unwrap();
    let domain = keyed.vault.domain(DOMAIN).await.unwrap();
    assert_eq!(domain.points(PointFilter::default()).await.unwrap().len(), 1);
    assert_eq!(domain.status().await.unwrap().sessions_open, 0);
    let out = place.path().join("out");
    keyed.restore(domain, &out).await;
    assert!(workloads::zoo::compare(&source, &out.join(source.strip_prefix("/").unwrap())).is_empty());

    let log = process.log.clone();
    assert_eq!(process.terminate(), 0, "it ends when it is asked to");
    let log = std::fs::read_to_string(log).unwrap();
    assert!(log.contains("\"route\":\"/v1/login\""), "requests are logged");
    assert!(!log.contains(&token) && !log.contains(&one_time), "no token is");
}

async fn wait_for_packs(data: &Path, count: usize) {
    let packs = data.join("vault/objects").join(DOMAIN.to_string()).join("pack");
    let started = Instant::now();
    loop {
        let folders = std::fs::read_dir(&packs).into_iter().flatten().flatten();
        let there = folders.flat_map(|folder| std::fs::read_dir(folder.path()).into_iter().flatten()).count();
        if there >= count {
            return;
        }
        assert!(started.elapsed() < Duration::from_secs(60), "no packs came");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[test]
fn a_second_service_does_not_start_in_the_directory_of_the_first_although_there_is_no_vault_yet() {
    let place = tempfile::tempdir().unwrap();
    let data = place.path().join("data");
    let mut first = Process::start(&data, "127.0.0.1:0");
    first.says("vault service at ");
    assert_eq!(
        refusal(&data, &["--listen", "127.0.0.1:0"]),
        format!(
            "error: another vault service uses '{}'\nhint: a directory has one service: end the other one, or name another directory with --data\n",
            data.display()
        )
    );
    first.kill();
    let mut again = Process::start(&data, "127.0.0.1:0");
    again.says("vault service at ");
    again.kill();
}

#[test]
fn what_keeps_a_service_from_starting_is_told_with_what_to_do() {
    let place = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = taken.local_addr().unwrap().to_string();
    let said = refusal(&place.path().join("data"), &["--listen", &listen]);
    assert!(said.contains("another program listens there"), "{said}");
    let config = place.path().join("config");
    std::fs::write(&config, "data = '/srv/vault'\nlisten = 8443\n").unwrap();
    let said = refusal(&place.path().join("data"), &["--config", config.to_str().unwrap()]);
    assert!(said.starts_with("error: the configuration is wrong: line 2: "), "{said}");
}

/// What the service says that does not start.
fn refusal(data: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_holdfast-vault"));
    let output = command.arg("serve").arg("--data").arg(data).args(arguments).env_clear().output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn a_token_for_an_administrator_is_made_only_where_a_service_of_this_version_was_and_changes_nothing_else() {
    let place = tempfile::tempdir().unwrap();
    let data = place.path().join("data");
    let admin_token = |data: &Path| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_holdfast-vault"));
        let output = command.arg("admin-token").arg("--data").arg(data).env_clear().output().unwrap();
        (output.status.success(), String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    std::fs::create_dir(&data).unwrap();
    let (made, token, said) = admin_token(&data);
    assert!(!made && token.is_empty() && said.starts_with("error: cannot open '"), "{said}");
    assert_eq!(std::fs::read_dir(&data).unwrap().count(), 0, "there is nothing that was not there");
    let mut process = Process::start(&data, "127.0.0.1:0");
    process.says("vault service at ");
    let (made, token, said) = admin_token(&data);
    assert!(made && token.starts_with("hf_"), "{said}");
    process.kill();
    // As a service of an older version has it.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let version = |set: Option<&'static str>| {
        runtime.block_on(async {
            let pool = crate::told::database(place.path()).await;
            if let Some(set) = set {
                sqlx::query(set).execute(&pool).await.unwrap();
            }
            let version: i64 = sqlx::query_scalar("PRAGMA user_version").fetch_one(&pool).await.unwrap();
            pool.close().await;
            version
        })
    };
    let (now, older) = (version(None), version(Some("PRAGMA user_version = 3")));
    assert!(older < now);
    let (made, token, said) = admin_token(&data);
    assert!(!made && token.is_empty() && said.contains("the service's database has version 3"), "{said}");
    assert_eq!(version(None), 3);
}
