//! Jobs whose points are there: each is done, whoever ends it and whatever its agent knows.
//!
//! Invariant: while a point of a job is being committed nothing is decided about what the job came to. Who decides has the job's turn,
//! and waits for it before a change of the database begins: who changes something waits for no commit. A job that was given up before
//! its point came is done once it comes.

use super::reports::complete_slot;
use crate::app::App;
use crate::db::{Change, JobRow, PointRow};
use api::limits::JOB_LOG_LINES_MAX;
use api::{BackupResult, Completeness, Job, JobProblem, JobReport, JobResult, JobState, LogLine, Work};
use contract::{PointFilter, Result};
use format::{DomainId, JobId};
use std::time::Duration;
use tokio::sync::OwnedMutexGuard;

/// How long somebody who has many jobs to look at waits for what the vault says of one.
const LOOK: Duration = Duration::from_secs(5);

/// No point of a job is being committed for as long as somebody has this, and the one that is there is known.
pub(crate) struct JobTurn(#[expect(dead_code, reason = "held, and nothing more")] OwnedMutexGuard<()>);

/// How a job ends that has no point.
pub(super) struct End {
    pub(super) state: JobState,
    pub(super) problem: Option<JobProblem>,
}

impl App {
    /// Waits until no point of a job is being committed, and lets none be.
    pub(crate) async fn turn_of_job(&self, domain: DomainId, job: JobId) -> Result<JobTurn> {
        let turn = self.jobs.commits.of((domain, job)).await;
        self.look_for_promised(domain, job).await?;
        Ok(JobTurn(turn))
    }

    /// The same for whoever has many jobs to look at: none while a point is being committed, or what came of the job is being decided,
    /// or where the vault does not say soon what there is.
    pub(crate) async fn free_turn_of_job(&self, domain: DomainId, job: JobId) -> Result<Option<JobTurn>> {
        let Some(turn) = self.jobs.commits.free((domain, job)) else { return Ok(None) };
        match tokio::time::timeout(LOOK, self.look_for_promised(domain, job)).await {
            Ok(looked) => looked.map(|()| Some(JobTurn(turn))),
            Err(_) => Ok(None),
        }
    }

    /// A point that was promised and that nobody is committing may be there: that it is was not stored.
    async fn look_for_promised(&self, domain: DomainId, job: JobId) -> Result<()> {
        let promises = self.database.promises_of_job(domain, job).await?;
        let Some(item) = promises.first().map(|promise| promise.item.clone()) else { return Ok(()) };
        let repository = self.vault.domain(domain).await?;
        let points = repository.points(PointFilter { item: Some(item), deleted: true }).await?;
        if points.iter().any(|info| promises.iter().any(|promise| promise.id == info.id)) {
            self.reconcile(repository.as_ref()).await?;
            self.listeners.tell(domain);
        }
        Ok(())
    }
}

/// Ends a job of which whoever did it has told no end: as done if its point is there.
pub(super) async fn end_without_point(
    change: &mut Change,
    row: &mut JobRow,
    _turn: &JobTurn,
    end: End,
    now_ms: i64,
) -> Result<()> {
    if let Some(made) = point_made(change, row).await? {
        return end_with_point(change, row, &made, now_ms).await;
    }
    (row.job.state, row.job.problem) = (end.state, end.problem);
    row.job.ended_ms = Some(now_ms);
    Ok(change.update_job(row).await?)
}

/// The point that a job has made.
pub(super) async fn point_made(change: &mut Change, row: &JobRow) -> Result<Option<PointRow>> {
    match row.job.work {
        Work::Backup { .. } => Ok(change.point_of_job(row.job.domain, row.job.job).await?),
        _ => Ok(None),
    }
}

/// A point is there. Its job is done, if it was given up before.
pub(crate) async fn point_came(change: &mut Change, made: &PointRow, now_ms: i64) -> Result<()> {
    let Some(job) = made.told.job else { return Ok(()) };
    let Some(mut row) = change.job(made.domain, job).await? else { return Ok(()) };
    let is_given_up = match row.job.state {
        JobState::Running => false,
        JobState::Waiting => row.job.fence > 0,
        state => !state.is_done() && row.job.result.is_none(),
    };
    if !is_given_up || !matches!(&row.job.work, Work::Backup { item, .. } if *item == made.item) {
        return Ok(());
    }
    end_with_point(change, &mut row, made, now_ms).await
}

/// Its agent has not told what came of it. What is known is what it had said by then, and what was told with the point.
async fn end_with_point(change: &mut Change, row: &mut JobRow, made: &PointRow, now_ms: i64) -> Result<()> {
    (row.job.state, row.job.result) = done(made, row.job.warnings_count);
    (row.job.problem, row.job.ended_ms) = (None, Some(now_ms));
    // Whoever did it may only be cut off, and knows more.
    row.lapsed = true;
    change.update_job(row).await?;
    let mut log = change.job_log(row.number).await?;
    push(&mut log.lines, now_ms, "the point was committed, and nothing more was heard of the run: what it counted is not known");
    change.put_job_log(row.number, &log).await?;
    let Job { domain, job, .. } = row.job;
    tracing::info!(%domain, %job, point = %made.id, "a job is done: its point is there, though nobody said so");
    complete_slot(change, &row.job, now_ms).await
}

/// The agent died, or lost the answer, when its point was committed: that it is there is known better here.
pub(super) fn know_point(report: &mut JobReport, made: &PointRow) {
    (report.state, report.result) = done(made, report.warnings_count);
    report.problem = None;
    let time_ms = report.ended_ms.unwrap_or(report.started_ms);
    let text = "the point was committed, and its agent had not heard of it: what the run counted is not known";
    push(&mut report.log, time_ms, text);
}

/// How a job ends that made this point, and of which this many warnings were heard. One of which nobody told how much of the item is in
/// it is not taken for a whole one.
fn done(made: &PointRow, warnings_count: u64) -> (JobState, Option<JobResult>) {
    let completeness = made.told.completeness;
    let is_clean = warnings_count == 0 && completeness == Completeness::Clean;
    let result = BackupResult {
        point: made.id,
        sequence: made.sequence.0,
        completeness,
        files: 0,
        directories: 0,
        others: 0,
        bytes: 0,
        entries_read: 0,
        entries_unchanged: 0,
        bytes_read: 0,
        bytes_stored: 0,
        left_out_count: 0,
    };
    (if is_clean { JobState::Succeeded } else { JobState::Warnings }, Some(JobResult::Backup(result)))
}

fn push(lines: &mut Vec<LogLine>, time_ms: i64, text: &str) {
    lines.truncate(JOB_LOG_LINES_MAX - 1);
    lines.push(LogLine { time_ms, text: text.to_owned() });
}
