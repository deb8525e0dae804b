//! Jobs: what agents and the service do, from the wish to the end.
//!
//! ```text
//! waiting ──► running ──► succeeded, warnings, failed, cancelled, interrupted
//!    ▲           │ ▲
//!    └───────────┘ └── ended by its lease alone
//! ```
//! Invariant: every transition is one change of the database, and one that is refused changes nothing. A job's fence grows each
//! time somebody takes it; whoever comes with an older one does not have it any more. What whoever does it tells of its progress is
//! in memory only.

mod asked;
mod claims;
mod leases;
mod made;
mod own;
mod reports;
mod retired;
mod runs;

use crate::config::Limits;
use crate::db::{Database, JobRow};
use crate::error::ServiceError;
use crate::time::Time;
use api::limits::JOBS_PAGE_MAX;
use api::{Job, JobList, JobLog, JobProblem, JobState, JobsQuery, ProgressBody};
use contract::{Error, ErrorKind, Result};
use format::{DomainId, JobId};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::Notify;

use super::listeners::Listeners;
use super::turns::Turns;
pub(crate) use made::point_came;
pub(crate) use own::Outcome;
use runs::NewRuns;

/// What a job is at whose doer has not told of its progress yet.
const STARTING: &str = "starting";

/// All jobs.
pub(crate) struct Jobs {
    database: Database,
    time: Arc<dyn Time>,
    listeners: Arc<Listeners>,
    lease: Duration,
    /// Jobs that are over that are remembered of each domain and kind.
    kept: u64,
    new_runs: NewRuns,
    live: Mutex<HashMap<(DomainId, JobId), Live>>,
    /// Of each job one point at a time is committed, and while it is, nothing is decided about what the job came to.
    pub(crate) commits: Turns<(DomainId, JobId)>,
    /// Something waits for the service itself.
    pub(crate) duty_waits: Notify,
    /// Somebody wants a job of the service to stop.
    pub(crate) duty_cancelled: Notify,
}

/// What is known of a running job in memory.
struct Live {
    /// When its lease runs out; none while the service itself does it.
    until: Option<Duration>,
    fence: u64,
    progress: Option<ProgressBody>,
    warnings_count: u64,
    /// Lines of its log that are stored; none if its log is not stored as it was told last.
    lines: Option<usize>,
}

/// What a domain's agents are told of jobs.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    /// Jobs that wait.
    pub(crate) count: u64,
    /// Jobs that are to stop.
    pub(crate) cancel: Vec<JobId>,
}

/// What this program, or the one before it, did itself and did not end.
fn interrupt_own(row: &mut JobRow, now_ms: i64) {
    (row.job.state, row.job.ended_ms) = (JobState::Interrupted, Some(now_ms));
    row.job.problem = Some(interrupted("the vault service ended while it did the job"));
}

async fn store(database: &Database, row: &JobRow) -> Result<(), ServiceError> {
    let mut change = database.change().await?;
    change.update_job(row).await?;
    change.commit().await
}

impl Jobs {
    /// Takes over what an earlier process left. What an agent does goes on with one full lease; what that process did itself was
    /// interrupted with it.
    pub(crate) async fn load(
        database: Database,
        time: Arc<dyn Time>,
        listeners: Arc<Listeners>,
        limits: &Limits,
    ) -> Result<Self, ServiceError> {
        let lease = Duration::from_secs(limits.job_lease_seconds);
        let until = time.running() + lease;
        let mut live = HashMap::new();
        for mut row in database.jobs_in(None, JobState::Running).await? {
            if row.job.work.kind().is_agents() {
                live.insert(row.key(), Live::new(&row, Some(until), "waiting for the agent"));
                continue;
            }
            interrupt_own(&mut row, time.wall_ms());
            match store(&database, &row).await {
                // What a full disk needs is a service that runs. The job is ended as one whose lease ran out, once there is room.
                Err(error) if error.kind() == ErrorKind::Full => drop(live.insert(row.key(), Live::ran_out(time.running()))),
                stored => stored?,
            }
        }
        let (duty_waits, duty_cancelled) = (Notify::new(), Notify::new());
        let (kept, new_runs, live) = (limits.jobs_kept, NewRuns::default(), Mutex::new(live));
        let commits = Turns::default();
        Ok(Self { database, time, listeners, lease, kept, new_runs, live, commits, duty_waits, duty_cancelled })
    }

    /// A job as it is now.
    pub(crate) async fn find(&self, domain: DomainId, job: JobId) -> Result<Job> {
        let row = self.database.job(domain, job).await?.ok_or_else(|| no_such_job(job))?;
        Ok(self.shown(row))
    }

    /// What a job said.
    pub(crate) async fn log(&self, domain: DomainId, job: JobId) -> Result<JobLog> {
        let row = self.database.job(domain, job).await?.ok_or_else(|| no_such_job(job))?;
        let log = self.database.job_log(row.number).await?;
        Ok(JobLog { warnings_count: self.shown(row).warnings_count, ..log })
    }

    /// A page of jobs, newest first. `Conflict` if the job behind which it begins was forgotten.
    pub(crate) async fn list(&self, query: &JobsQuery) -> Result<JobList> {
        let limit = query.limit.unwrap_or(JOBS_PAGE_MAX);
        if !(1..=JOBS_PAGE_MAX).contains(&limit) {
            return Err(Error::new(ErrorKind::Invalid, format!("limit is 1 to {JOBS_PAGE_MAX}")));
        }
        let after = match query.after {
            None => None,
            Some(after) => Some(self.database.job_number(query.domain, after).await?.ok_or_else(|| {
                Error::new(ErrorKind::Conflict, "the job that the list should go on from is not there any more")
            })?),
        };
        let mut rows = self.database.jobs(query, after, limit + 1).await?;
        let more = rows.len() > limit;
        rows.truncate(limit);
        Ok(JobList { jobs: rows.into_iter().map(|row| self.shown(row)).collect(), more })
    }

    /// What the agents of a domain are told.
    pub(crate) async fn waiting(&self, domain: DomainId) -> Result<Waiting, ServiceError> {
        let of_agents = |row: &JobRow| row.job.work.kind().is_agents();
        let waiting = self.database.jobs_in(Some(domain), JobState::Waiting).await?;
        let running = self.database.jobs_in(Some(domain), JobState::Running).await?;
        let to_stop = running.iter().filter(|row| row.job.cancelling && of_agents(row));
        Ok(Waiting {
            count: waiting.iter().filter(|row| of_agents(row)).count() as u64,
            cancel: to_stop.map(|row| row.job.job).collect(),
        })
    }

    /// The row's job, with what is known of it in memory.
    fn shown(&self, row: JobRow) -> Job {
        let live = self.live();
        let key = row.key();
        let mut job = row.job;
        if let Some(live) = live.get(&key).filter(|live| job.state == JobState::Running && live.fence == job.fence) {
            job.progress.clone_from(&live.progress);
            job.warnings_count = job.warnings_count.max(live.warnings_count);
        }
        job
    }

    fn live(&self) -> MutexGuard<'_, HashMap<(DomainId, JobId), Live>> {
        self.live.lock().expect("no panic under this lock")
    }
}

impl Live {
    /// `phase` is what it is at until something is told of its progress.
    fn new(row: &JobRow, until: Option<Duration>, phase: &str) -> Self {
        let (fence, warnings_count) = (row.job.fence, row.job.warnings_count);
        Self { until, fence, progress: Some(at(phase)), warnings_count, lines: Some(0) }
    }
}

/// What a job is at of which nothing else is known.
fn at(phase: &str) -> ProgressBody {
    ProgressBody { phase: phase.to_owned(), done: 0, total: None, bytes: 0 }
}

impl JobRow {
    fn key(&self) -> (DomainId, JobId) {
        (self.job.domain, self.job.job)
    }
}

/// Why a job has no better end.
fn interrupted(why: &str) -> JobProblem {
    JobProblem { message: why.to_owned(), hint: None }
}

fn no_such_job(job: JobId) -> Error {
    Error::new(ErrorKind::NotFound, format!("the domain has no job {job}"))
}
