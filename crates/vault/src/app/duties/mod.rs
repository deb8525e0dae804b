//! Duties: what the service does by itself, each time as a job that can be looked at.
//!
//! Invariant: of what reads or writes much (retention, collections, scrubs) there is one at a time; what somebody asked for comes
//! first. A duty that was interrupted or failed leaves nothing half-done, and is done again after a while.

mod due;
mod storage;
mod watch;

pub(crate) use due::Due;
pub(crate) use watch::{Overdue, keep_time};

use super::App;
use super::jobs::Outcome;
use super::retention::Round;
use api::{Job, JobOrigin, JobResult, ProgressBody, Work};
use contract::{Error, ErrorKind};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// What is due, or waits, is looked for this often.
const TICK: Duration = Duration::from_secs(1);
/// After an error of the database it rests for so long.
const REST: Duration = Duration::from_secs(10);
/// Progress is told this often.
const PROGRESS_EVERY: Duration = Duration::from_millis(500);

/// Does one duty after the other, for ever.
pub(crate) async fn work(app: &Arc<App>) {
    loop {
        match next(app).await {
            Ok(Some(job)) => run(app, job).await,
            Ok(None) => {
                let _ = tokio::time::timeout(TICK, app.jobs.duty_waits.notified()).await;
            }
            Err(error) => {
                tracing::warn!(%error, "what the service is to do could not be looked up");
                tokio::time::sleep(REST).await;
            }
        }
    }
}

async fn next(app: &App) -> contract::Result<Option<Job>> {
    let reserve = &app.reserve;
    if let Some(job) = reserve.at_need(|| app.jobs.take_own()).await? {
        return Ok(Some(job));
    }
    let Some(vault) = app.vault.find().await else { return Ok(None) };
    let (domains, now) = (vault.domains(), app.clock.shown());
    match reserve.at_need(|| app.due.next(&domains, now)).await? {
        Some((domain, work)) => reserve.at_need(|| app.jobs.start_own(domain, work.clone())).await.map(Some),
        None => Ok(None),
    }
}

/// Does a job that was begun, to its end or until somebody wants it to stop.
async fn run(app: &Arc<App>, job: Job) {
    // On a task of its own, so that a fault ends the job and not the service.
    let mut task = JoinSet::new();
    task.spawn(perform(app.clone(), job.clone()));
    let outcome = tokio::select! {
        ended = task.join_next() => match ended {
            Some(Ok(outcome)) => outcome,
            Some(Err(fault)) => Outcome::Failed(
                Error::new(ErrorKind::Internal, "a fault of the vault service ended the job").with_source(fault),
            ),
            None => Outcome::Cancelled,
        },
        () = cancelled(app, &job) => {
            // What is durable is right after any interruption.
            task.shutdown().await;
            Outcome::Cancelled
        }
    };
    if let Outcome::Failed(error) = &outcome {
        let cause = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
        tracing::warn!(domain = %job.domain, job = %job.job, kind = job.work.kind().as_str(), %error, cause, "a duty failed");
    } else if job.origin == JobOrigin::Service
        && let Err(error) = app.due.done().await
    {
        tracing::warn!(%error, "that a duty is done could not be stored: it is done again soon");
    }
    while let Err(error) = app.reserve.at_need(|| app.jobs.finish_own(&job, &outcome)).await {
        tracing::warn!(%error, "the end of a job could not be stored");
        tokio::time::sleep(REST).await;
    }
}

async fn cancelled(app: &App, job: &Job) {
    loop {
        let told = app.jobs.duty_cancelled.notified();
        tokio::pin!(told);
        // Before the look: a wish that comes in between is not missed.
        told.as_mut().enable();
        match app.jobs.is_cancelling(job).await {
            Ok(true) => return,
            Ok(false) => told.await,
            Err(error) => {
                tracing::warn!(%error, "whether a job is to stop could not be looked up");
                tokio::time::sleep(REST).await;
            }
        }
    }
}

async fn perform(app: Arc<App>, job: Job) -> Outcome {
    let progress = progress_of(&app, &job);
    let outcome = match &job.work {
        Work::Retention => match app.reserve.at_need(|| app.retain(job.domain, progress.as_ref())).await {
            Ok(Round { result, notes }) => {
                if result.purged > 0 {
                    app.due.collect_soon(job.domain);
                }
                let result = JobResult::Retention(result);
                Ok(if notes.is_empty() { Outcome::Done(result) } else { Outcome::Warnings(result, notes) })
            }
            Err(error) => Err(error),
        },
        Work::Collection => storage::collect(&app, job.domain, progress).await,
        Work::Scrub { read_data } => storage::scrub(&app, job.domain, *read_data, progress).await,
        Work::Backup { .. } | Work::Restore(_) => Err(Error::new(ErrorKind::Internal, "the service does no agent's work")),
    };
    outcome.unwrap_or_else(Outcome::Failed)
}

/// Tells a job's progress, now and then.
type Tell = Arc<dyn Fn(ProgressBody) + Send + Sync>;

fn progress_of(app: &Arc<App>, job: &Job) -> Tell {
    let (app, job) = (app.clone(), job.clone());
    let told: Mutex<Option<Instant>> = Mutex::new(None);
    Arc::new(move |progress| {
        let mut told = told.lock().expect("no panic under this lock");
        if told.is_none_or(|told| told.elapsed() >= PROGRESS_EVERY) {
            *told = Some(Instant::now());
            app.jobs.progress_own(&job, progress);
        }
    })
}
