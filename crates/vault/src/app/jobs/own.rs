//! Jobs that the service does itself. They have no lease: they end with the work, or with the process.

use super::{Jobs, Live, STARTING};
use crate::app::text::cut;
use crate::db::{Change, JobRow};
use crate::error::ServiceError;
use api::limits::{JOB_LOG_LINES_MAX, JOB_TEXT_BYTES_MAX};
use api::{Job, JobLog, JobOrigin, JobProblem, JobResult, JobState, LogLine, ProgressBody, Work, WorkKind};
use contract::{Error, Result};
use format::{DomainId, JobId};

/// What came of work of the service.
pub(crate) enum Outcome {
    /// It is done.
    Done(JobResult),
    /// It is done, and a person has to look at it.
    Warnings(JobResult, Vec<String>),
    /// It failed.
    Failed(Error),
    /// Somebody wanted it to stop.
    Cancelled,
}

impl Jobs {
    /// The next job that somebody asked for and that the service does itself, begun; of the kinds that may be begun now.
    pub(crate) async fn take_own(&self, may_begin: impl Fn(WorkKind) -> bool) -> Result<Option<Job>> {
        let is_next = |row: &JobRow| !row.job.work.kind().is_agents() && may_begin(row.job.work.kind());
        if !self.database.jobs_in(None, JobState::Waiting).await?.iter().any(is_next) {
            return Ok(None);
        }
        let mut change = self.database.change().await?;
        let Some(mut row) = change.all_jobs_in(JobState::Waiting).await?.into_iter().find(is_next) else { return Ok(None) };
        self.set_begun(&mut row);
        change.update_job(&row).await?;
        self.commit_begun(change, row).await.map(Some)
    }

    /// A job of the service's own, begun.
    pub(crate) async fn start_own(&self, domain: DomainId, job: JobId, work: Work) -> Result<Job> {
        let mut row = JobRow::waiting(domain, job, work, JobOrigin::Service, self.time.wall_ms());
        self.set_begun(&mut row);
        let mut change = self.database.change().await?;
        change.insert_job(&mut row).await?;
        self.commit_begun(change, row).await
    }

    fn set_begun(&self, row: &mut JobRow) {
        (row.job.state, row.job.fence, row.heard) = (JobState::Running, row.job.fence + 1, true);
        row.job.started_ms = Some(self.time.wall_ms());
    }

    async fn commit_begun(&self, change: Change, row: JobRow) -> Result<Job> {
        // Before the change is made: from then on it is shown as one that runs.
        self.live().insert(row.key(), Live::new(&row, None, STARTING));
        if let Err(error) = change.commit().await {
            self.live().remove(&row.key());
            return Err(error.into());
        }
        self.listeners.tell(row.job.domain);
        Ok(row.job)
    }

    /// How far it is.
    pub(crate) fn progress_own(&self, job: &Job, progress: ProgressBody) {
        if let Some(live) = self.live().get_mut(&(job.domain, job.job)) {
            live.progress = Some(progress);
        }
        self.listeners.tell(job.domain);
    }

    /// Whether somebody wants it to stop.
    pub(crate) async fn is_cancelling(&self, job: &Job) -> Result<bool, ServiceError> {
        Ok(self.database.job(job.domain, job.job).await?.is_some_and(|row| row.job.cancelling))
    }

    /// It is over.
    pub(crate) async fn finish_own(&self, job: &Job, outcome: &Outcome) -> Result<()> {
        let mut change = self.database.change().await?;
        let Some(mut row) = change.job(job.domain, job.job).await? else { return Ok(()) };
        let now_ms = self.time.wall_ms();
        let mut lines = Vec::new();
        (row.job.state, row.job.result, row.job.problem) = match outcome {
            Outcome::Done(result) => (JobState::Succeeded, Some(result.clone()), None),
            Outcome::Warnings(result, texts) => {
                row.job.warnings_count = texts.len() as u64;
                let text = |text: &String| cut(text.clone(), JOB_TEXT_BYTES_MAX);
                lines = texts.iter().map(|line| LogLine { time_ms: now_ms, text: text(line) }).collect();
                (JobState::Warnings, Some(result.clone()), None)
            }
            Outcome::Failed(error) => (JobState::Failed, None, Some(problem(error))),
            Outcome::Cancelled => (JobState::Cancelled, None, None),
        };
        row.job.ended_ms = Some(now_ms);
        change.update_job(&row).await?;
        if !lines.is_empty() {
            lines.truncate(JOB_LOG_LINES_MAX);
            change.put_job_log(row.number, &JobLog { lines, warnings: Vec::new(), warnings_count: 0 }).await?;
        }
        change.commit().await?;
        self.live().remove(&row.key());
        let (domain, id, kind) = (job.domain, job.job, job.work.kind().as_str());
        tracing::info!(%domain, job = %id, kind, state = row.job.state.as_str(), "a job of the service is over");
        self.listeners.tell(job.domain);
        Ok(())
    }
}

fn problem(error: &Error) -> JobProblem {
    let mut message = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(next) = cause {
        message = format!("{message}: {next}");
        cause = next.source();
    }
    JobProblem { message: cut(message, JOB_TEXT_BYTES_MAX), hint: error.hint().map(str::to_owned) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::listeners::Listeners;
    use crate::config::Limits;
    use crate::db::Database;
    use crate::time::SystemClocks;
    use std::sync::Arc;

    #[tokio::test]
    async fn of_a_job_that_could_not_be_stored_nothing_stays_in_memory() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("service.db");
        let database = Database::open(&path).await.unwrap();
        let refuse = |trigger: &str| format!("CREATE TRIGGER refused {trigger} ON jobs BEGIN SELECT RAISE(ABORT, 'no'); END");
        // One connection: another would not know yet that a trigger is gone.
        let pool = sqlx::sqlite::SqlitePoolOptions::new().max_connections(1);
        let pool = pool.connect(&format!("sqlite://{}", path.display())).await.unwrap();
        let execute = async |statement: String| sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(&pool).await.unwrap();
        let jobs = Jobs::load(database, Arc::new(SystemClocks::new()), Listeners::new(1, 1), &Limits::default()).await.unwrap();
        let (domain, id) = (DomainId([1; 16]), JobId([1; 16]));
        execute(refuse("BEFORE INSERT")).await;
        jobs.start_own(domain, id, Work::Collection).await.unwrap_err();
        assert!(jobs.live().is_empty());
        execute("DROP TRIGGER refused".to_owned()).await;
        jobs.begin(domain, api::JobRequest { job: id, work: Work::Collection }).await.unwrap();
        execute(refuse("BEFORE UPDATE")).await;
        jobs.take_own(|_| true).await.unwrap_err();
        assert!(jobs.live().is_empty());
        execute("DROP TRIGGER refused".to_owned()).await;
        assert_eq!(jobs.take_own(|kind| kind == WorkKind::Scrub).await.unwrap(), None, "another kind is not to be begun");
        assert_eq!(jobs.take_own(|_| true).await.unwrap().unwrap().job, id);
        assert_eq!(jobs.live().len(), 1);
    }
}
