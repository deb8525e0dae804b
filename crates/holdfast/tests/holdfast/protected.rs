//! A machine that an agent protects, and the administrator of its service, who asks for jobs and looks at what came of them.

use crate::machine::{Machine, Running};
use api::{
    FileScope, ItemRequest, Job, JobLog, JobRequest, JobState, JobsQuery, PolicyRequest, RestoreWork, ServiceOptions,
    ServiceVault, Work,
};
use format::{DomainId, ItemName, JobId, PointId};
use policy::{Days, PolicySettings, RetrySettings, Schedule, Times};
use secrecy::SecretString;
use std::fs;
use std::future::Future;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::runtime::Runtime;

/// The longest that anything is waited for.
const LIMIT: Duration = Duration::from_secs(150);
const DAY_MS: i64 = 24 * 3_600_000;

pub(crate) struct Protected {
    pub(crate) owner: Machine,
    pub(crate) laptop: Machine,
    pub(crate) domain: DomainId,
    pub(crate) admin: ServiceVault,
    runtime: Runtime,
}

pub(crate) fn now_ms() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

/// Every day at the minute of this instant, in UTC; what fails is tried again after a minute.
pub(crate) fn daily_at_minute_of(ms: i64) -> PolicySettings {
    let minutes = ms / 60_000 % (24 * 60);
    let time = format!("{:02}:{:02}", minutes / 60, minutes % 60);
    PolicySettings {
        schedules: vec![Schedule { days: Days::Daily, times: Times::At(vec![time.parse().unwrap()]) }],
        retries: RetrySettings { count: 3, wait_minutes: 1, wait_minutes_max: 1 },
        spread_minutes: 0,
        ..PolicySettings::new("Every day", "UTC")
    }
}

/// A schedule whose latest slot was two hours ago.
pub(crate) fn due_before() -> PolicySettings {
    daily_at_minute_of(now_ms() - 2 * 3_600_000)
}

/// Bytes that nobody else has.
fn uncommon() -> [u8; 32] {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let text = format!("{} {} {}", std::process::id(), now_ms(), COUNT.fetch_add(1, Ordering::Relaxed));
    api::token_hash(&text)
}

pub(crate) fn name(text: &str) -> ItemName {
    ItemName::new(text).unwrap()
}

impl Protected {
    /// A service whose leases of jobs are short, an owner, and a machine that enrolled.
    pub(crate) fn new() -> Self {
        let owner = Machine::with_service_of(vault::Limits { job_lease_seconds: 10, ..vault::Limits::default() });
        let token = owner.ok(&["agent", "token", "laptop"])["token"].as_str().unwrap().to_owned();
        let file = owner.private("token of the laptop", &token);
        let laptop = owner.other("laptop").without_secret();
        laptop.ok(&["agent", "enroll", "--token-file", file.to_str().unwrap()]);
        let domain = laptop.ok(&["agent", "status"])["domain"].as_str().unwrap().parse().unwrap();
        let service = owner.service();
        let token = SecretString::from(fs::read_to_string(owner.service_token()).unwrap());
        let options = ServiceOptions::new(service.url.parse().unwrap(), Some(service.authority.parse().unwrap()), token);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let admin = runtime.block_on(async { ServiceVault::new(options).unwrap() });
        Self { owner, laptop, domain, admin, runtime }
    }

    pub(crate) fn wait<T>(&self, future: impl Future<Output = contract::Result<T>>) -> T {
        self.runtime.block_on(future).unwrap()
    }

    /// The same where it may fail.
    pub(crate) fn try_wait<T>(&self, future: impl Future<Output = contract::Result<T>>) -> contract::Result<T> {
        self.runtime.block_on(future)
    }

    /// Sets a policy and an item that has it, with the source in it.
    pub(crate) fn protect(&self, item: &str, settings: Option<PolicySettings>) {
        self.protect_paths(item, settings, vec![self.owner.text("source")]);
    }

    pub(crate) fn protect_paths(&self, item: &str, settings: Option<PolicySettings>, paths: Vec<String>) {
        let policy = settings.map(|settings| {
            let policy: api::PolicyName = item.parse().unwrap();
            self.wait(self.admin.set_policy(&policy, &PolicyRequest { settings, weaken: true }));
            policy
        });
        let files = FileScope { paths, ..FileScope::default() };
        self.wait(self.admin.set_item(self.domain, &name(item), &ItemRequest { files, policy, weaken: true }));
    }

    /// Lets the agent take its items for protected since the day before yesterday: what was due since then was missed.
    pub(crate) fn backdate(&self) {
        let agent = self.agent();
        self.until("the agent knows what it protects", || {
            let kept = fs::read_to_string(self.laptop.agent_state().join("protection.json")).unwrap_or_default();
            (kept.contains("since_ms")).then_some(())
        });
        assert_eq!(agent.terminate().code, 0);
        let path = self.laptop.agent_state().join("protection.json");
        let mut kept: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        for item in kept["protection"]["items"].as_array_mut().unwrap() {
            item["since_ms"] = (now_ms() - 2 * DAY_MS).into();
        }
        fs::write(&path, serde_json::to_vec(&kept).unwrap()).unwrap();
    }

    pub(crate) fn agent(&self) -> Running {
        self.laptop.start(&["agent", "run"])
    }

    /// Asks for a job.
    pub(crate) fn ask(&self, work: Work) -> JobId {
        let job = JobId(*uncommon().first_chunk().unwrap());
        self.wait(self.admin.begin_job(self.domain, &JobRequest { job, work }));
        job
    }

    pub(crate) fn ask_for_backup(&self, item: &str) -> JobId {
        self.ask(Work::Backup { item: name(item), reread: false })
    }

    pub(crate) fn ask_for_restore(&self, item: &str, point: PointId, to: Option<PathBuf>) -> JobId {
        self.ask_for_restore_over(item, point, to, api::Overwriting::Fail)
    }

    pub(crate) fn ask_for_restore_over(
        &self,
        item: &str,
        point: PointId,
        to: Option<PathBuf>,
        overwrite: api::Overwriting,
    ) -> JobId {
        let to = to.map(|to| to.to_str().unwrap().to_owned());
        self.ask(Work::Restore(RestoreWork { item: name(item), point, paths: Vec::new(), strip: 0, to, overwrite }))
    }

    pub(crate) fn job(&self, job: JobId) -> Job {
        self.wait(self.admin.job(self.domain, job))
    }

    pub(crate) fn log(&self, job: JobId) -> JobLog {
        self.wait(self.admin.job_log(self.domain, job))
    }

    /// All jobs of the machine, oldest first.
    pub(crate) fn jobs(&self) -> Vec<Job> {
        let query = JobsQuery { domain: Some(self.domain), ..JobsQuery::default() };
        let mut jobs = self.wait(self.admin.jobs(&query)).jobs;
        jobs.retain(|job| job.work.kind().is_agents());
        jobs.reverse();
        jobs
    }

    /// Waits until something is there.
    pub(crate) fn until<T>(&self, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
        let started = Instant::now();
        loop {
            if let Some(found) = look() {
                return found;
            }
            assert!(started.elapsed() < LIMIT, "waited too long until {what}; jobs: {:#?}", self.jobs());
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// The same without asking the service.
    pub(crate) fn until_local<T>(&self, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
        let started = Instant::now();
        loop {
            if let Some(found) = look() {
                return found;
            }
            assert!(started.elapsed() < LIMIT, "waited too long until {what}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits until a job is over.
    pub(crate) fn end_of(&self, job: JobId) -> Job {
        self.until("a job is over", || Some(self.job(job)).filter(|job| job.state.is_over()))
    }

    /// Waits until a job is over, which has to be this one's end.
    pub(crate) fn ends(&self, job: JobId, state: JobState) -> Job {
        let job = self.end_of(job);
        assert_eq!(job.state, state, "{job:#?}\n{:#?}", self.log(job.job));
        job
    }

    /// The newest point of an item.
    pub(crate) fn newest(&self, item: &str) -> PointId {
        let head = self.wait(async {
            let domain = contract::Vault::domain(&self.admin, self.domain).await?;
            domain.head(&name(item)).await
        });
        head.unwrap().point
    }

    pub(crate) fn points(&self) -> usize {
        self.laptop.points().len()
    }
}
