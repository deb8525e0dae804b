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
use super::reserve::Full;
use super::retention::Round;
use api::{Job, JobOrigin, JobResult, ProgressBody, Work, WorkKind};
use contract::{Error, ErrorKind};
use format::{DomainId, JobId};
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
                tracing::warn!(%error, "what the service is to do could not be looked up, or not be begun");
                tokio::time::sleep(REST).await;
            }
        }
    }
}

/// Whether work may make room on a full disk: for no other is the reserve given up, and while the disk is nearly full no other is begun.
fn makes_room(kind: WorkKind) -> bool {
    matches!(kind, WorkKind::Retention | WorkKind::Collection)
}

async fn next(app: &App) -> contract::Result<Option<Job>> {
    let is_low = app.reserve.is_low();
    let may_begin = |kind| !is_low || makes_room(kind);
    let taken = match app.jobs.take_own(may_begin).await {
        Err(error) if error.is_full() => app.reserve.at_need(|| app.jobs.take_own(makes_room)).await?,
        taken => taken?,
    };
    if taken.is_some() {
        return Ok(taken);
    }
    let Some(vault) = app.vault.find().await else { return Ok(None) };
    let (domains, now) = (vault.domains(), app.clock.shown());
    let Some((domain, work)) = app.due.next(&domains, now, may_begin).await? else { return Ok(None) };
    let (kind, job) = (work.kind(), JobId(system::random()));
    let begin = async || {
        app.due.begin(domain, kind, now).await?;
        app.jobs.start_own(domain, job, work.clone()).await
    };
    let begun = match begin().await {
        Err(error) if error.is_full() && would_make_room(app, domain, kind).await? => app.reserve.at_need(begin).await,
        begun => begun,
    };
    if begun.as_ref().is_err_and(Full::is_full) {
        app.due.put_off(domain, kind, now);
    }
    begun.map(Some)
}

/// Of a collection nobody knows before.
async fn would_make_room(app: &App, domain: DomainId, kind: WorkKind) -> contract::Result<bool> {
    match kind {
        WorkKind::Retention => app.would_retain(domain).await,
        _ => Ok(makes_room(kind)),
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
    let may_wait = !makes_room(job.work.kind());
    let finishing = tokio::spawn(finish(app.clone(), job, outcome));
    if may_wait {
        // Until there is room, and what makes some does not wait for that.
        let _ = tokio::time::timeout(REST, finishing).await;
    } else {
        let _ = finishing.await;
    }
}

/// Stores the end of a job.
async fn finish(app: Arc<App>, job: Job, outcome: Outcome) {
    let store = || app.jobs.finish_own(&job, &outcome);
    loop {
        let stored = if makes_room(job.work.kind()) { app.reserve.at_need(store).await } else { store().await };
        let Err(error) = stored else { return };
        tracing::warn!(%error, "the end of a job could not be stored");
        tokio::select! {
            () = tokio::time::sleep(REST) => {}
            () = app.ending.begun() => return,
        }
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
        Work::Retention => app.retain(job.domain, progress.as_ref()).await.map(|Round { result, notes }| {
            let result = JobResult::Retention(result);
            if notes.is_empty() { Outcome::Done(result) } else { Outcome::Warnings(result, notes) }
        }),
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
