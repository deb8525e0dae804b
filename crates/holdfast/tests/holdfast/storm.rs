//! The service and its agents, killed with -9 again and again while they work: every job ends as it truly ended, every point that was
//! committed is sound, nothing runs twice and nothing leaks.
//!
//! 20 seconds under 4 agents; `HOLDFAST_STORM_SECONDS=600 HOLDFAST_STORM_AGENTS=10` and `cargo test` for more, `HOLDFAST_SEED` for others.

use crate::machine::{Machine, Running, assert_equal};
use crate::service_process::ServiceProcess;
use api::{Job, JobOrigin, JobRequest, JobResult, JobState, JobsQuery, ServiceOptions, ServiceVault, Work};
use format::{DomainId, ItemName, JobId};
use secrecy::SecretString;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use testkit::Rng;

/// Jobs that are taken are heard of, or are given again, within this; sessions of the dead end within it too.
const LEASE_SECONDS: u64 = 20;
/// After the last kill all is done by then.
const SETTLES: Duration = Duration::from_secs(240);

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap())
}

/// A machine with an agent and an item.
struct Protected {
    machine: Machine,
    domain: DomainId,
    item: ItemName,
    source: PathBuf,
    agent: Option<Running>,
    /// The job that was asked for last.
    asked: Option<JobId>,
}

impl Protected {
    fn new(owner: &Machine, number: u64) -> Self {
        let name = format!("storm-{number}");
        let token = owner.ok(&["agent", "token", &name])["token"].as_str().unwrap().to_owned();
        let file = owner.private(&format!("token {number}"), &token);
        let machine = owner.other(&name).without_secret();
        machine.ok(&["agent", "enroll", "--token-file", file.to_str().unwrap()]);
        let domain = machine.ok(&["agent", "status"])["domain"].as_str().unwrap().parse().unwrap();
        let source = owner.path(&format!("source {number}"));
        fs::create_dir(&source).unwrap();
        let set = ["item", "set", &name, source.to_str().unwrap(), "--policy", "storm", "--domain", &name];
        owner.ok(&set);
        let agent = Some(machine.start(&["agent", "run"]));
        Self { machine, domain, item: ItemName::new(&name).unwrap(), source, agent, asked: None }
    }

    fn change(&self, rng: &mut Rng) {
        for _ in 0..20 {
            let (file, length) = (rng.below(200), rng.below(60_000) as usize);
            fs::write(self.source.join(file.to_string()), rng.vec(length)).unwrap();
        }
        // Large enough that a kill often comes in the middle.
        fs::write(self.source.join("large"), rng.vec(6 << 20)).unwrap();
    }

    fn kill_and_start_again(&mut self) {
        if let Some(agent) = self.agent.take() {
            agent.kill_after(Duration::ZERO);
        }
        self.agent = Some(self.machine.start(&["agent", "run"]));
    }
}

/// Everything that has to be true of jobs and points once all is calm.
struct Account<'a> {
    jobs: &'a [Job],
    points: BTreeMap<DomainId, BTreeSet<String>>,
}

impl Account<'_> {
    fn assert_true(&self) {
        let mut made_by: BTreeMap<String, &Job> = BTreeMap::new();
        for job in self.jobs {
            assert!(job.state.is_over(), "{job:?}");
            assert_eq!(job.state.is_done(), job.result.is_some(), "{job:?}");
            if let Some(JobResult::Backup(made)) = &job.result {
                let point = made.point.to_string();
                assert!(self.points[&job.domain].contains(&point), "a job tells of a point that is not there: {job:?}");
                let before = made_by.insert(point, job);
                assert!(before.is_none(), "two jobs tell of one point: {before:?} and {job:?}");
            }
            if job.origin == JobOrigin::Person {
                assert!(job.state.is_done(), "somebody asked for it, and nothing but kills was in the way: {job:?}");
            }
        }
        for point in self.points.values().flatten() {
            assert!(made_by.contains_key(point), "no job tells of point {point}");
        }
        let mut slots = BTreeSet::new();
        for job in self.jobs.iter().filter(|job| job.state.is_done()) {
            if let JobOrigin::Schedule { slot_ms, .. } = job.origin {
                assert!(slots.insert((job.domain, slot_ms)), "a slot was run twice: {job:?}");
            }
        }
    }
}

/// The administrator, by the API.
struct Administrator {
    client: ServiceVault,
    runtime: tokio::runtime::Runtime,
}

impl Administrator {
    fn new(owner: &Machine, url: &str, authority: &str) -> Self {
        let token = SecretString::from(fs::read_to_string(owner.service_token()).unwrap());
        let options = ServiceOptions::new(url.parse().unwrap(), Some(authority.parse().unwrap()), token);
        let client = ServiceVault::new(ServiceOptions { patience: Duration::from_secs(5), ..options }).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { client, runtime }
    }

    fn jobs(&self) -> contract::Result<Vec<Job>> {
        self.runtime.block_on(async {
            let mut jobs: Vec<Job> = Vec::new();
            loop {
                let query = JobsQuery { after: jobs.last().map(|job| job.job), ..JobsQuery::default() };
                let page = self.client.jobs(&query).await?;
                jobs.extend(page.jobs);
                if !page.more {
                    jobs.retain(|job| job.work.kind().is_agents());
                    return Ok(jobs);
                }
            }
        })
    }

    fn wait_until_all_is_over(&self) -> Vec<Job> {
        let started = Instant::now();
        loop {
            let jobs = self.jobs().unwrap();
            let open: Vec<&Job> = jobs.iter().filter(|job| !job.state.is_over()).collect();
            if open.is_empty() {
                return jobs;
            }
            assert!(started.elapsed() < SETTLES, "{open:#?}");
            std::thread::sleep(Duration::from_millis(500));
        }
    }

    /// Asks for the next backup of an item once the last is over. What fails is asked again: the service may be dead just now.
    fn keep_busy(&self, protected: &mut Protected, rng: &mut Rng) {
        let is_over = protected.asked.is_none_or(|job| {
            let asked = self.runtime.block_on(self.client.job(protected.domain, job));
            asked.is_ok_and(|job| job.state.is_over())
        });
        if is_over {
            protected.change(rng);
            let job = JobId(rng.bytes());
            let request = JobRequest { job, work: Work::Backup { item: protected.item.clone(), reread: false } };
            if self.runtime.block_on(self.client.begin_job(protected.domain, &request)).is_ok() {
                protected.asked = Some(job);
            }
        }
    }
}

#[test]
fn jobs_end_truly_and_points_are_sound_however_often_service_and_agents_are_killed() {
    let (seconds, agents) = (number("HOLDFAST_STORM_SECONDS", 20), number("HOLDFAST_STORM_AGENTS", 4));
    let seed = number("HOLDFAST_SEED", 1);
    println!("HOLDFAST_SEED={seed}");
    let mut rng = Rng::new(seed);
    let owner = Machine::new();
    let leases = format!("[limits]\nlease_seconds = {LEASE_SECONDS}\njob_lease_seconds = {LEASE_SECONDS}\n");
    let mut service = ServiceProcess::start(&owner, &leases);
    let owner = service.take(owner);
    let policy = "schema = 'holdfast.policy/1'\nname = 'storm'\ntime_zone = 'UTC'\nspread_minutes = 0\n[[schedules]]\ndays = 'daily'\n\
                  times = { every = { minutes = 5, from = '00:00', until = '24:00' } }\n[retries]\ncount = 9\nwait_minutes = 1\n";
    fs::write(owner.path("storm.toml"), policy).unwrap();
    owner.ok(&["policy", "set", "storm", &owner.text("storm.toml")]);
    let administrator = Administrator::new(&owner, &service.url(), &service.authority());
    let mut all: Vec<Protected> = (0..agents).map(|number| Protected::new(&owner, number)).collect();

    let (started, mut kills) = (Instant::now(), (0_u32, 0_u32));
    let mut next = Duration::from_secs(2);
    while started.elapsed() < Duration::from_secs(seconds) {
        for protected in &mut all {
            administrator.keep_busy(protected, &mut rng);
        }
        if started.elapsed() >= next {
            if rng.chance(0.5) {
                service.kill_and_start_again();
                kills.0 += 1;
            } else {
                let which = rng.index(all.len());
                all[which].kill_and_start_again();
                kills.1 += 1;
            }
            next = started.elapsed() + Duration::from_millis(500 + rng.below(4000));
        }
        std::thread::sleep(Duration::from_millis(100));
    }

    let calm = Instant::now();
    administrator.wait_until_all_is_over();
    let settled = calm.elapsed();
    // The last change may have come to nobody's ears.
    for protected in &all {
        owner.ok(&["job", "backup", protected.item.as_str(), "--wait"]);
    }
    let jobs = administrator.wait_until_all_is_over();
    let points = all.iter().map(|protected| (protected.domain, protected.machine.points().into_iter().collect())).collect();
    let account = Account { jobs: &jobs, points };
    account.assert_true();
    let done = jobs.iter().filter(|job| job.state.is_done()).count();
    let interrupted = jobs.iter().filter(|job| job.state == JobState::Interrupted).count();
    println!(
        "{} kills of the service, {} of agents; {} jobs, {done} done, {interrupted} interrupted; {} points; calm after {:.1} s",
        kills.0,
        kills.1,
        jobs.len(),
        account.points.values().map(BTreeSet::len).sum::<usize>(),
        settled.as_secs_f64()
    );
    for protected in &mut all {
        protected.machine.ok(&["check", "--read-data"]);
        let to = format!("out of {}", protected.item);
        protected.machine.ok(&["restore", "latest", "--to", &owner.text(&to)]);
        assert_equal(&protected.source, &owner.path(&to).join(protected.source.strip_prefix("/").unwrap()));
        if let Some(agent) = protected.agent.take() {
            agent.kill_after(Duration::ZERO);
        }
    }
    // What the dead had open ends with its lease, and nothing is left.
    let ended = Instant::now();
    while all.iter().any(|protected| protected.machine.ok(&["status"])["sessions_open"] != 0) {
        assert!(ended.elapsed() < Duration::from_secs(4 * LEASE_SECONDS), "sessions leak");
        std::thread::sleep(Duration::from_secs(1));
    }
}
