//! What running backups take of their machine, and that they follow their policy in it.

use crate::agent_runs::noise;
use crate::machine::{Machine, Running};
use crate::protected::Protected;
use api::JobState;
use format::JobId;
use policy::{Hook, HookFailure, HookSettings, ImpactLevel, ImpactSettings, OnBattery, PolicySettings};
use rustix::thread::{CapabilitySet, capabilities};
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

const PAUSED: &str = "paused: on battery";

/// Policy and nice value of the threads of a process that have this name.
fn threads(agent: &Running, name: &str) -> Vec<(i32, i32)> {
    let tasks = fs::read_dir(format!("/proc/{}/task", agent.id())).unwrap();
    // Threads end while they are looked at.
    let stat = tasks.flatten().filter_map(|task| fs::read_to_string(task.path().join("stat")).ok());
    let named = stat.filter(|stat| stat.contains(&format!("({name})")));
    let fields = named.map(|stat| stat.rsplit_once(") ").unwrap().1.split(' ').map(str::to_owned).collect::<Vec<_>>());
    // proc_pid_stat(5): the fields from the third on.
    fields.map(|fields| (fields[41 - 3].parse().unwrap(), fields[19 - 3].parse().unwrap())).collect()
}

fn protect(protected: &Protected, impact: ImpactSettings) {
    protected.protect("files", Some(PolicySettings { impact, ..PolicySettings::new("Gentle", "UTC") }));
}

fn phase(protected: &Protected, job: JobId) -> String {
    protected.job(job).progress.map(|progress| progress.phase).unwrap_or_default()
}

fn done(protected: &Protected, job: JobId) -> u64 {
    protected.job(job).progress.map_or(0, |progress| progress.done)
}

fn log(protected: &Protected, job: JobId) -> String {
    protected.log(job).lines.into_iter().map(|line| line.text + "\n").collect()
}

/// A machine that may be on battery, as the kernel would show it.
struct Battery(PathBuf);

impl Battery {
    fn of(machine: &Machine) -> Self {
        let supplies = machine.path("supplies");
        for (name, kind) in [("BAT0", "Battery"), ("AC", "Mains")] {
            fs::create_dir_all(supplies.join(name)).unwrap();
            fs::write(supplies.join(name).join("type"), kind).unwrap();
        }
        machine.bound(&format!("power_supplies = '{}'\nhooks = true\nhook_commands = [['/bin/true']]\n", supplies.display()));
        Self(supplies)
    }

    fn plug(&self, is_plugged: bool) {
        let (status, online) = if is_plugged { ("Charging", "1") } else { ("Discharging", "0") };
        fs::write(self.0.join("AC/online"), online).unwrap();
        fs::write(self.0.join("BAT0/status"), status).unwrap();
    }
}

#[test]
fn a_running_backup_stands_where_its_policy_says_and_reads_as_often() {
    let protected = Protected::new();
    for file in 0..200 {
        protected.owner.write(&format!("{file}"), noise(file, 100_000));
    }
    let slow = ImpactSettings { reads_per_second: Some(10), ..ImpactSettings::default() };
    protect(&protected, ImpactSettings { processor: ImpactLevel::Low, disk: ImpactLevel::Low, ..slow });
    let agent = protected.agent();
    let job = protected.ask_for_backup("files");
    let stand = |name: &str, place: (i32, i32)| {
        let found = threads(&agent, name);
        (!found.is_empty() && found.iter().all(|thread| *thread == place)).then_some(())
    };
    for name in ["backup", "read", "seal", "store"] {
        protected.until_local(&format!("{name} is behind others"), || stand(name, (0, 10)));
    }
    protect(&protected, ImpactSettings { processor: ImpactLevel::Idle, disk: ImpactLevel::Idle, ..slow });
    for name in ["backup", "read", "seal", "store"] {
        protected.until_local(&format!("{name} is last"), || stand(name, (5, 19)));
    }
    let usual = threads(&agent, "tokio-rt-worker");
    assert!(!usual.is_empty() && usual.iter().all(|thread| thread.1 < 10), "what answers the service: {usual:?}");
    protect(&protected, slow);
    if capabilities(None).unwrap().effective.contains(CapabilitySet::SYS_NICE) {
        protected.until_local("it is where it was", || stand("read", usual[0]));
    } else {
        protected.until("it says what cannot be", || log(&protected, job).contains("CAP_SYS_NICE").then_some(()));
    }
    std::thread::sleep(Duration::from_secs(3));
    let running = protected.job(job);
    assert_eq!(running.state, JobState::Running, "so few reads a second are not over yet: {running:?}");
    protect(&protected, ImpactSettings::default());
    let ended = Instant::now();
    protected.ends(job, JobState::Succeeded);
    assert!(ended.elapsed() < Duration::from_secs(12), "without a limit it is done soon: {:?}", ended.elapsed());
    assert_eq!(agent.terminate().code, 0);
}

#[test]
fn a_backup_on_battery_waits_for_mains_and_is_not_taken_for_one_that_hangs() {
    let protected = Protected::new();
    for file in 0..150 {
        protected.owner.write(&format!("{file}"), noise(file, 10_000));
    }
    let battery = Battery::of(&protected.laptop);
    battery.plug(false);
    let gentle = ImpactSettings { on_battery: OnBattery::Pause, reads_per_second: Some(10), ..ImpactSettings::default() };
    protect(&protected, gentle.clone());
    let agent = protected.agent();
    let job = protected.ask_for_backup("files");
    protected.until("it is paused before it begins", || (phase(&protected, job) == PAUSED).then_some(()));
    // Longer than a lease.
    std::thread::sleep(Duration::from_secs(12));
    let paused = protected.job(job);
    assert!((paused.state, paused.fence) == (JobState::Running, 1) && done(&protected, job) == 0, "{paused:?}");
    let status = protected.laptop.ok(&["agent", "status"]);
    assert_eq!(status["waits_for_mains"], true, "{status}");
    battery.plug(true);
    protected.until("it reads", || (done(&protected, job) > 0).then_some(()));
    battery.plug(false);
    protected.until("it is paused in the middle", || (phase(&protected, job) == PAUSED).then_some(()));
    let stands = done(&protected, job);
    std::thread::sleep(Duration::from_secs(7));
    assert!(stands < 150 && done(&protected, job) == stands, "it reads nothing");
    // Who does not want that any more need not find the plug.
    protect(&protected, ImpactSettings { on_battery: OnBattery::Run, reads_per_second: None, ..gentle });
    protected.ends(job, JobState::Succeeded);
    let log = log(&protected, job);
    assert_eq!((log.matches("paused: the machine").count(), log.matches("it goes on").count()), (2, 2), "{log}");
    assert_eq!(protected.laptop.ok(&["agent", "status"])["waits_for_mains"], false);
    assert_eq!(agent.terminate().code, 0);
}

#[test]
fn a_backup_that_waits_ends_soon_when_it_is_cancelled_and_what_is_frozen_does_not_wait() {
    let protected = Protected::new();
    for file in 0..60 {
        protected.owner.write(&format!("{file}"), noise(file, 10_000));
    }
    let battery = Battery::of(&protected.laptop);
    battery.plug(true);
    let gentle = ImpactSettings { on_battery: OnBattery::Pause, reads_per_second: Some(10), ..ImpactSettings::default() };
    protect(&protected, gentle.clone());
    let agent = protected.agent();
    let job = protected.ask_for_backup("files");
    protected.until("it reads", || (done(&protected, job) > 0).then_some(()));
    battery.plug(false);
    protected.until("it is paused", || (phase(&protected, job) == PAUSED).then_some(()));
    let cancelled = Instant::now();
    protected.wait(protected.admin.cancel_job(protected.domain, job));
    protected.ends(job, JobState::Cancelled);
    assert!(cancelled.elapsed() < Duration::from_secs(6), "{:?}", cancelled.elapsed());
    // Between its hooks it goes on.
    battery.plug(true);
    let hook = Some(Hook { command: vec!["/bin/true".to_owned()], timeout_seconds: 10, on_failure: HookFailure::Fail });
    let hooks = HookSettings { before: hook.clone(), after: hook };
    let policy = PolicySettings { impact: gentle, hooks, ..PolicySettings::new("Frozen", "UTC") };
    protected.protect("files", Some(policy));
    let job = protected.ask_for_backup("files");
    protected.until("it reads between its hooks", || (done(&protected, job) > 0).then_some(()));
    battery.plug(false);
    let job = protected.ends(job, JobState::Succeeded);
    assert!(!log(&protected, job.job).contains("paused"));
    assert_eq!(agent.terminate().code, 0);
}

#[test]
fn a_backup_by_hand_reads_as_often_as_it_is_told_and_gives_way() {
    let machine = Machine::with_vault();
    for file in 0..40 {
        machine.write(&format!("{file}"), noise(file, 1000));
    }
    let source = machine.text("source");
    let began = Instant::now();
    let made = machine.ok(&["backup", &source, "--item", "files", "--impact", "idle", "--reads-per-second", "20"]);
    assert!(began.elapsed() > Duration::from_millis(1500), "{:?}: {made}", began.elapsed());
    machine.assert_restores(made["point"].as_str().unwrap(), &machine.path("source"));
    let refused = machine.run(&["backup", &source, "--item", "files", "--reads-per-second", "0"]);
    assert_eq!(refused.code, 2, "{}", refused.err);
}
