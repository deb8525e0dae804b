//! Jobs that somebody asks for, or wants to stop.

use super::made::{End, JobTurn, end_without_point};
use super::retired::retired;
use super::{Jobs, no_such_job};
use crate::app::App;
use crate::app::items::{is_plain, no_such_item};
use crate::app::retired::ANEW;
use crate::db::JobRow;
use api::limits::{SCOPE_LINE_BYTES_MAX, SCOPE_LINES_MAX};
use api::{Job, JobOrigin, JobRequest, JobState, RestoreWork, Work};
use contract::{Error, ErrorKind, PointFilter, Result};
use format::{DomainId, JobId};

/// Most jobs of a domain that wait.
const WAITING_MAX: usize = 100;
/// Most leading directories that a restore takes off.
const STRIP_MAX: u32 = 1000;

impl App {
    /// Begins a job, if there is what it is about.
    pub(crate) async fn begin_job(&self, domain: DomainId, request: JobRequest) -> Result<Job> {
        self.vault.prove_domain(domain).await?;
        if request.work.kind().is_agents()
            && self.vault.nobody_is_left(domain).await
            && self.database.job(domain, request.job).await?.is_none()
        {
            return Err(Error::new(ErrorKind::Conflict, "the owner has retired the domain's agent: nobody would do this job")
                .with_hint(ANEW));
        }
        match &request.work {
            Work::Backup { item, .. } => {
                self.database.item(domain, item).await?.ok_or_else(|| no_such_item(item))?;
            }
            Work::Restore(restore) => {
                check_restore(restore)?;
                let filter = PointFilter { item: Some(restore.item.clone()), deleted: true };
                if !self.vault.domain(domain).await?.points(filter).await?.iter().any(|point| point.id == restore.point) {
                    let what = format!("item '{}' has no point {}", restore.item, restore.point);
                    return Err(Error::new(ErrorKind::NotFound, what));
                }
            }
            Work::Retention | Work::Collection | Work::Scrub { .. } => {}
        }
        self.jobs.begin(domain, request).await
    }

    /// Wants a job to stop. Where nobody is left who would have taken it, that is why.
    pub(crate) async fn cancel_job(&self, domain: DomainId, job: JobId) -> Result<()> {
        let nobody_is_left = self.vault.nobody_is_left(domain).await;
        // That one that runs is to stop waits for no commit.
        if !self.jobs.cancel(domain, job, None, nobody_is_left).await? {
            let turn = self.turn_of_job(domain, job).await?;
            self.jobs.cancel(domain, job, Some(&turn), nobody_is_left).await?;
        }
        Ok(())
    }
}

impl Jobs {
    /// Begins a job; the same request again is answered with the same job. Of backups of one item only one waits: whoever asks for a
    /// second is told of the first, which has not looked at a file yet.
    pub(crate) async fn begin(&self, domain: DomainId, request: JobRequest) -> Result<Job> {
        let mut change = self.database.change().await?;
        if let Some(row) = change.job(domain, request.job).await? {
            if row.job.origin == JobOrigin::Person && row.job.work == request.work {
                return Ok(self.shown(row));
            }
            return Err(Error::new(ErrorKind::Conflict, format!("there is another job {}", request.job)));
        }
        let waiting = change.jobs_in(domain, JobState::Waiting).await?;
        if let Some(same) = waiting.iter().find(|row| is_same_wish(&row.job.work, &request.work)) {
            return Err(Error::new(ErrorKind::Conflict, format!("job {} waits for the same already", same.job.job))
                .with_hint("follow that one"));
        }
        if waiting.len() >= WAITING_MAX {
            let what = format!("{WAITING_MAX} jobs of the domain wait already");
            return Err(Error::new(ErrorKind::Conflict, what).with_hint("is its agent running?"));
        }
        let mut row = JobRow::waiting(domain, request.job, request.work, JobOrigin::Person, self.time.wall_ms());
        change.insert_job(&mut row).await?;
        change.commit().await?;
        tracing::info!(%domain, job = %row.job.job, kind = row.job.work.kind().as_str(), "a job was asked for");
        if row.job.work.kind().is_agents() {
            self.listeners.tell(domain);
        } else {
            self.duty_waits.notify_one();
        }
        Ok(row.job)
    }

    /// Wants a job to stop. One that nobody has taken is cancelled at once; of one that is over nothing changes.
    /// `nobody_is_left` of the domain's agents: one that waited says so. Whether it was done: one that waits is ended by who has its
    /// turn.
    async fn cancel(&self, domain: DomainId, job: JobId, turn: Option<&JobTurn>, nobody_is_left: bool) -> Result<bool> {
        let mut change = self.database.change().await?;
        let mut row = change.job(domain, job).await?.ok_or_else(|| no_such_job(job))?;
        match row.job.state {
            JobState::Waiting => {
                let Some(turn) = turn else { return Ok(false) };
                row.job.cancelling = true;
                let problem = (nobody_is_left && row.job.work.kind().is_agents()).then(|| retired(JobState::Waiting));
                let end = End { state: JobState::Cancelled, problem };
                end_without_point(&mut change, &mut row, turn, end, self.time.wall_ms()).await?;
            }
            // If it was interrupted, whoever does it may come back.
            state if state == JobState::Running || (state == JobState::Interrupted && row.lapsed) => {
                row.job.cancelling = true;
                change.update_job(&row).await?;
            }
            _ => return Ok(true),
        }
        change.commit().await?;
        tracing::info!(%domain, %job, "a job is to stop");
        self.listeners.tell(domain);
        if !row.job.work.kind().is_agents() {
            self.duty_cancelled.notify_waiters();
        }
        Ok(true)
    }
}

impl JobRow {
    /// A job that nobody has taken yet.
    pub(super) fn waiting(domain: DomainId, job: JobId, work: Work, origin: JobOrigin, now_ms: i64) -> Self {
        let job = Job {
            job,
            domain,
            work,
            origin,
            state: JobState::Waiting,
            fence: 0,
            attempt: 1,
            cancelling: false,
            created_ms: now_ms,
            started_ms: None,
            ended_ms: None,
            progress: None,
            warnings_count: 0,
            result: None,
            problem: None,
        };
        Self { number: 0, job, agent: None, heard: false, lapsed: false }
    }
}

/// Whether what waits does what is asked for. A restore is never the same: it may be wanted twice.
fn is_same_wish(waiting: &Work, asked: &Work) -> bool {
    waiting.kind() == asked.kind() && waiting.item() == asked.item() && !matches!(asked, Work::Restore(_))
}

/// Fails if a restore cannot be as it is asked for.
fn check_restore(work: &RestoreWork) -> Result<()> {
    let invalid = |what: String| Err(Error::new(ErrorKind::Invalid, what));
    if work.paths.len() > SCOPE_LINES_MAX {
        return invalid(format!("a restore has at most {SCOPE_LINES_MAX} paths"));
    }
    let lines = work.paths.iter().chain(&work.to);
    if lines.clone().any(|line| line.is_empty() || line.len() > SCOPE_LINE_BYTES_MAX || line.contains('\0')) {
        return invalid(format!("a path is empty, longer than {SCOPE_LINE_BYTES_MAX} bytes, or has a zero byte"));
    }
    if work.strip > STRIP_MAX {
        return invalid(format!("at most {STRIP_MAX} leading directories are taken off"));
    }
    match work.to.as_ref().into_iter().chain(&work.paths).find(|path| !is_plain(path)) {
        Some(path) => invalid(format!("the path {path:?} is not absolute, or has '.' or '..' in it")),
        None => Ok(()),
    }
}
