//! Reports: an agent tells of a job, whole each time, and is told whether it is to stop.
//!
//! Invariant: a report with an older fence than the job's changes nothing, and neither does one about a job that is over. Only where a
//! lease alone had ended a job does a later report know better. A backup whose point is there is done, whatever its agent knows of it.

use super::made::{JobTurn, know_point};
use super::{Jobs, Live, STARTING, at};
use crate::app::App;
use crate::app::text::cut;
use crate::db::{Change, JobRow};
use api::limits::{JOB_LOG_LINES_MAX, JOB_TEXT_BYTES_MAX, JOB_WARNINGS_MAX};
use api::{
    Completeness, Job, JobLog, JobOrders, JobOrigin, JobProblem, JobReport, JobResult, JobState, JobWarning, LogLine,
    ProgressBody, Work,
};
use contract::{Error, ErrorKind, Result};
use format::{DomainId, JobId};
use std::time::Duration;

/// Most bytes of all a job said that are kept.
const LOG_BYTES_MAX: usize = 512 << 10;
/// Most bytes of the name of a phase or kind.
const WORD_BYTES_MAX: usize = 128;
/// Most runs of a domain that agents began themselves and that are not over.
const RUNNING_MAX: usize = 200;
/// Most runs of a domain that agents began themselves and of which the service learns within a minute. What ten thousand runs tell that
/// had to wait has come within an hour and a half.
pub(super) const NEW_RUNS_A_MINUTE_MAX: u32 = 120;
/// How far an agent's clock may be ahead for what it completed to count.
const SLOT_AHEAD_MS_MAX: i64 = 24 * 60 * 60 * 1000;
/// Most tries of a slot.
const ATTEMPT_MAX: u32 = 1000;

impl App {
    /// Takes a report of an agent. One that was retired tells of what it does already, and begins nothing.
    pub(crate) async fn report_job(&self, domain: DomainId, job: JobId, report: JobReport) -> Result<JobOrders> {
        if let Err(retired) = self.vault.refuse_retired(domain, report.agent).await
            && self.database.job(domain, job).await?.is_none()
        {
            return Err(retired);
        }
        check(&report)?;
        let turn = match ends_without_point(&report) {
            true => Some(self.turn_of_job(domain, job).await?),
            false => None,
        };
        // The room that is left is for those who make more: logs are long, and agents bring as many as they want.
        self.jobs.report(domain, job, report, !self.reserve.is_low(), turn.as_ref()).await
    }
}

impl Jobs {
    /// Takes a report, and answers what is wanted of whoever does the job. Without its log what is stored of that stays.
    /// One that ends a backup without a point needs the job's turn.
    pub(super) async fn report(
        &self,
        domain: DomainId,
        job: JobId,
        mut report: JobReport,
        with_log: bool,
        turn: Option<&JobTurn>,
    ) -> Result<JobOrders> {
        bound(&mut report);
        if let Some(cancel) = self.renew(domain, job, &report, with_log).await? {
            return Ok(self.orders(cancel));
        }
        let mut change = self.database.change().await?;
        if turn.is_some()
            && let Some(made) = change.point_of_job(domain, job).await?
        {
            know_point(&mut report, &made);
        }
        let (mut row, is_new) = match change.job(domain, job).await? {
            Some(row) => (row, false),
            None => (self.unknown_run(&mut change, domain, job, &report).await?, true),
        };
        if !is_new && judge(&row, &report)? == Verdict::Known {
            return Ok(self.orders(false));
        }
        if row.lapsed && row.job.origin != JobOrigin::Person {
            room_to_run(&mut change, domain, &report).await?;
        }
        let before = row.clone();
        apply(&mut row, &report, self.time.wall_ms());
        if is_new {
            change.insert_job(&mut row).await?;
        } else if row != before {
            change.update_job(&row).await?;
        }
        if with_log {
            change.put_job_log(row.number, &log_of(&mut report)).await?;
        }
        complete_slot(&mut change, &row.job, self.time.wall_ms()).await?;
        if row.job.state.is_over() && row.job.origin != JobOrigin::Person {
            // An agent makes as many of these as it wants.
            change.forget_jobs_of(domain, row.job.work.kind(), self.kept).await?;
        }
        self.keep_alive(&row, &report, with_log);
        change.commit().await?;
        if row.job.state.is_over() {
            // Only now: a change that failed leaves the job with its lease.
            self.live().remove(&row.key());
            tracing::info!(%domain, %job, kind = row.job.work.kind().as_str(), state = row.job.state.as_str(), "a job is over");
        }
        self.listeners.tell(domain);
        Ok(self.orders(row.job.cancelling && !row.job.state.is_over()))
    }

    /// A report that tells nothing but progress of a job that runs: its lease is renewed, and nothing is written. Whether it is to
    /// stop; none if the report has to be looked at.
    async fn renew(&self, domain: DomainId, job: JobId, report: &JobReport, with_log: bool) -> Result<Option<bool>> {
        if report.state != JobState::Running {
            return Ok(None);
        }
        let Some(row) = self.database.job(domain, job).await? else { return Ok(None) };
        let same = row.job.state == JobState::Running
            && row.heard
            && row.job.fence == report.fence
            && row.job.attempt == report.attempt
            && row.agent == Some(report.agent)
            && row.job.work == report.work
            && row.job.origin == report.origin;
        let changed = {
            let mut live = self.live();
            let Some(live) = live.get_mut(&(domain, job)).filter(|live| same && live.fence == report.fence) else {
                return Ok(None);
            };
            if live.warnings_count != report.warnings_count || (with_log && live.lines != Some(report.log.len())) {
                return Ok(None);
            }
            let progress = progress_of(report);
            let changed = live.progress != progress;
            live.until = Some(self.time.running() + self.lease);
            live.progress = progress;
            changed
        };
        if changed {
            self.listeners.tell(domain);
        }
        Ok(Some(row.job.cancelling))
    }

    fn keep_alive(&self, row: &JobRow, report: &JobReport, with_log: bool) {
        if row.job.state.is_over() {
            return;
        }
        let live = Live {
            until: Some(self.time.running() + self.lease),
            fence: row.job.fence,
            progress: progress_of(report),
            warnings_count: report.warnings_count,
            lines: with_log.then_some(report.log.len()),
        };
        self.live().insert(row.key(), live);
    }

    /// A run that its agent began itself, by its schedule.
    async fn unknown_run(&self, change: &mut Change, domain: DomainId, job: JobId, report: &JobReport) -> Result<JobRow> {
        let is_own = report.fence == 0 && matches!(report.origin, JobOrigin::Schedule { .. });
        if !is_own {
            return Err(super::no_such_job(job));
        }
        if !matches!(report.work, Work::Backup { .. }) {
            return Err(Error::new(ErrorKind::Denied, "an agent begins backups by its schedule, and nothing else"));
        }
        room_to_run(change, domain, report).await?;
        if !self.new_runs.admit(domain, self.time.running()) {
            let what = format!("the service learnt of {NEW_RUNS_A_MINUTE_MAX} runs of the domain within a minute already");
            return Err(Error::new(ErrorKind::Unavailable, what).with_hint("it takes more in a minute"));
        }
        let mut row = JobRow::waiting(domain, job, report.work.clone(), report.origin.clone(), self.time.wall_ms());
        row.agent = Some(report.agent);
        Ok(row)
    }

    fn orders(&self, cancel: bool) -> JobOrders {
        JobOrders { cancel, lease_seconds: self.lease.max(Duration::from_secs(1)).as_secs() }
    }
}

/// How far a job that runs is, as far as that was told.
fn progress_of(report: &JobReport) -> Option<ProgressBody> {
    Some(report.progress.clone().unwrap_or_else(|| at(STARTING)))
}

/// Whether one more run may go on that an agent began itself. Not a conflict if it may not: that would end a run that somebody needs.
async fn room_to_run(change: &mut Change, domain: DomainId, report: &JobReport) -> Result<()> {
    if report.state.is_over() || change.jobs_in(domain, JobState::Running).await?.len() < RUNNING_MAX {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Unavailable, format!("{RUNNING_MAX} jobs of the domain run already")))
}

/// Whether a report says that a backup is over, and names no point.
fn ends_without_point(report: &JobReport) -> bool {
    report.state.is_over() && report.result.is_none() && matches!(report.work, Work::Backup { .. })
}

/// What a report about a job that is known is worth.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// It says something new.
    New,
    /// It says what is known.
    Known,
}

fn judge(row: &JobRow, report: &JobReport) -> Result<Verdict> {
    let conflict = |what: &str| Err(Error::new(ErrorKind::Conflict, what.to_owned()));
    let job = &row.job;
    if job.work != report.work || job.origin != report.origin {
        return conflict("the job is another one than the report is about");
    }
    if report.fence < job.fence {
        return conflict("somebody has taken the job since");
    }
    if report.fence > job.fence || row.agent != Some(report.agent) {
        return conflict("whoever reports does not have the job");
    }
    match job.state {
        JobState::Waiting if job.fence == 0 => conflict("nobody has taken the job"),
        // Taken, and given back because nothing was heard: nobody else has it yet.
        JobState::Waiting | JobState::Running => Ok(Verdict::New),
        // Its point was there: that it has gone since makes it no other end.
        state if row.lapsed && state.is_done() && ends_without_point(report) => Ok(Verdict::Known),
        _ if row.lapsed => Ok(Verdict::New),
        state if state == report.state => Ok(Verdict::Known),
        _ => conflict("the job is over"),
    }
}

fn apply(row: &mut JobRow, report: &JobReport, now_ms: i64) {
    (row.heard, row.lapsed) = (true, false);
    let job = &mut row.job;
    job.state = report.state;
    job.attempt = report.attempt;
    job.started_ms = Some(report.started_ms);
    job.ended_ms = report.state.is_over().then(|| report.ended_ms.unwrap_or(now_ms));
    job.warnings_count = report.warnings_count;
    job.result = report.result.clone().filter(|_| report.state.is_over());
    job.problem = report.problem.clone().filter(|_| report.state.is_over());
}

/// What follows for others from a job that is done.
pub(super) async fn complete_slot(change: &mut Change, job: &Job, now_ms: i64) -> Result<()> {
    let (Work::Backup { item, .. }, JobOrigin::Schedule { slot_ms, .. }) = (&job.work, &job.origin) else { return Ok(()) };
    let is_whole = !matches!(&job.result, Some(JobResult::Backup(result)) if result.completeness == Completeness::Incomplete);
    // A slot that has not come yet would stay the last one for as long as it has not.
    if job.state.is_done() && is_whole && *slot_ms <= now_ms.saturating_add(SLOT_AHEAD_MS_MAX) {
        change.set_last_slot(job.domain, item, *slot_ms).await?;
    }
    Ok(())
}

fn check(report: &JobReport) -> Result<()> {
    if !report.work.kind().is_agents() || report.origin == JobOrigin::Service {
        return Err(Error::new(ErrorKind::Denied, "an agent reports backups and restores, and nothing that the service does"));
    }
    let invalid = |what: &str| Err(Error::new(ErrorKind::Invalid, what.to_owned()));
    if report.state == JobState::Waiting {
        return invalid("a job that is reported does not wait");
    }
    if !(1..=ATTEMPT_MAX).contains(&report.attempt) {
        return invalid("attempt is 1 to 1000");
    }
    if matches!(report.origin, JobOrigin::Schedule { slot_ms, .. } if slot_ms < 0)
        || report.started_ms < 0
        || report.ended_ms.is_some_and(|ended_ms| ended_ms < 0)
    {
        return invalid("no time is before 1970");
    }
    let kinds = report.warnings.iter().map(|warning| &warning.kind);
    let mut words = kinds.chain(report.progress.as_ref().map(|progress| &progress.phase));
    if words.any(|word| word.chars().any(char::is_control)) {
        return invalid("the name of a phase or kind has no control characters");
    }
    match (&report.work, &report.result) {
        (_, None) | (Work::Backup { .. }, Some(JobResult::Backup(_))) | (Work::Restore(_), Some(JobResult::Restore(_))) => Ok(()),
        _ => invalid("the result is of another kind of work"),
    }
}

/// Cuts what is longer than what is kept: of a job that says too much nothing else is lost.
fn bound(report: &mut JobReport) {
    let text = |text: &mut String| *text = cut(std::mem::take(text), JOB_TEXT_BYTES_MAX);
    let word = |text: &mut String| *text = cut(std::mem::take(text), WORD_BYTES_MAX);
    report.warnings_count = report.warnings_count.max(report.warnings.len() as u64);
    report.warnings.truncate(JOB_WARNINGS_MAX);
    report.log.truncate(JOB_LOG_LINES_MAX);
    let mut room = LOG_BYTES_MAX;
    let mut fits = |bytes: usize| {
        room = room.saturating_sub(bytes);
        room > 0
    };
    report.warnings.iter_mut().for_each(|warning| {
        let JobWarning { path, path_b64, kind, detail } = warning;
        text(path);
        text(detail);
        word(kind);
        // Cut, it would be another path.
        *path_b64 = path_b64.take().filter(|path| path.len() <= 2 * JOB_TEXT_BYTES_MAX);
    });
    report.warnings.retain(|warning| {
        fits(warning.path.len() + warning.detail.len() + warning.kind.len() + warning.path_b64.as_ref().map_or(0, String::len))
    });
    report.log.iter_mut().for_each(|line| text(&mut line.text));
    report.log.retain(|LogLine { text, .. }| fits(text.len()));
    // What is left waits for the database: without the memory of what was cut.
    report.warnings.shrink_to_fit();
    report.log.shrink_to_fit();
    if let Some(ProgressBody { phase, .. }) = &mut report.progress {
        word(phase);
    }
    if let Some(JobProblem { message, hint }) = &mut report.problem {
        text(message);
        hint.as_mut().into_iter().for_each(text);
    }
    if let Some(JobResult::Restore(receipt)) = &mut report.result {
        text(&mut receipt.to);
    }
}

fn log_of(report: &mut JobReport) -> JobLog {
    let (lines, warnings) = (report.log.clone(), std::mem::take(&mut report.warnings));
    JobLog { lines, warnings, warnings_count: report.warnings_count }
}

#[cfg(test)]
mod tests {
    use super::{LOG_BYTES_MAX, bound};
    use api::limits::{JOB_LOG_LINES_MAX, JOB_WARNINGS_MAX};
    use api::{JobOrigin, JobReport, JobWarning, LogLine, Work};
    use format::{AgentKey, ItemName};

    #[test]
    fn a_report_that_says_too_much_takes_no_more_memory_than_what_is_kept_of_it() {
        let work = Work::Backup { item: ItemName::new("item").unwrap(), reread: false };
        let mut report = JobReport::begun(AgentKey([1; 32]), 0, work, JobOrigin::Person, 1, 1);
        let warning = JobWarning { path: "/x".to_owned(), path_b64: None, kind: "x".to_owned(), detail: "x".repeat(8000) };
        report.warnings = vec![warning; 50 * JOB_WARNINGS_MAX];
        report.log = vec![LogLine { time_ms: 1, text: String::new() }; 50 * JOB_LOG_LINES_MAX];
        bound(&mut report);
        assert!(report.warnings.len() <= LOG_BYTES_MAX / 8000 && report.warnings.capacity() <= JOB_WARNINGS_MAX);
        assert!(report.log.capacity() <= JOB_LOG_LINES_MAX);
    }
}
