//! Waiting for a job, with or without telling how far it is.

use super::report::{exit_of, print, short};
use crate::cli::Global;
use crate::commands::at_service::{AtService, span};
use crate::commands::interrupt::{cancel_on_signals, unless_cancelled};
use crate::failure::{Exit, Failure, Outcome};
use crate::terminal::{self, JobProgress, note};
use api::{AgentBody, Job, JobOrigin, JobState, JobsQuery};
use clap::Args;
use format::{DomainId, JobId};
use std::time::{Duration, Instant};

/// Between two looks at a job whose stream broke.
const LOOK_AGAIN: Duration = Duration::from_secs(2);
/// A service that is away for longer is not waited for.
const PATIENCE: Duration = Duration::from_secs(300);

/// Whether a command waits for its job.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Waiting {
    /// Wait until the job is over; the exit code says what came of it.
    #[arg(long)]
    wait: bool,

    /// The same, and tell how far it is.
    #[arg(long)]
    follow: bool,
}

impl Waiting {
    /// Waits for a job that was asked for, if that is wanted, and prints it.
    pub(super) async fn end(self, global: &Global, at: &AtService, job: Job) -> Outcome<Exit> {
        if !self.wait && !self.follow {
            print(global, at, &job, false).await?;
            return Ok(Exit::Clean);
        }
        let progress = self.follow.then(|| JobProgress::new(global));
        let job = until_over(at, job.domain, job.job, progress.as_ref()).await;
        if let Some(progress) = progress {
            progress.finish();
        }
        let job = job?;
        print(global, at, &job, false).await?;
        Ok(exit_of(&job))
    }
}

/// Says at once of a job that waits why it does, where its agent is not there to take it.
pub(super) fn note_away(agents: &[AgentBody], job: &Job) {
    if job.state != JobState::Waiting || agents.iter().any(|agent| agent.connected) {
        return;
    }
    let since = match agents.iter().map(|agent| agent.seen_ms).max() {
        Some(seen_ms) => {
            format!("has been away for {}, since {}", span(terminal::now_ms() - seen_ms), terminal::local(seen_ms))
        }
        None => "has never spoken to the service".to_owned(),
    };
    let id = short(job.job);
    note!("the machine's agent {since}: job {id} waits until it runs there");
    note!("'holdfast job show {id}' shows the job, 'holdfast job cancel {id}' ends it, 'holdfast agent list' the agents");
}

/// Follows a job to its end, or until somebody stops that: the job goes on then.
pub(super) async fn until_over(at: &AtService, domain: DomainId, job: JobId, progress: Option<&JobProgress>) -> Outcome<Job> {
    let cancel = cancel_on_signals();
    let over = unless_cancelled(&cancel, until_over_or_away(at, domain, job, progress)).await;
    over.map_err(|failure| match failure.exit {
        Exit::Interrupted => {
            let id = short(job);
            Failure::new(Exit::Interrupted, "nobody waits for the job any more, and it goes on")
                .with_hint(format!("'holdfast job follow {id}' waits for it again, 'holdfast job cancel {id}' ends it"))
        }
        _ => failure,
    })
}

/// Follows it across streams that break and a service that is away for a while.
async fn until_over_or_away(at: &AtService, domain: DomainId, job: JobId, progress: Option<&JobProgress>) -> Outcome<Job> {
    let mut away_since: Option<Instant> = None;
    loop {
        match follow(at, domain, job, progress).await {
            Ok(Some(job)) => return Ok(job),
            Ok(None) => away_since = None,
            Err(error) if error.kind().is_passing() => {
                let since = *away_since.get_or_insert_with(Instant::now);
                if since.elapsed() > PATIENCE {
                    let failure = Failure::from(error);
                    return Err(failure.with_hint(format!("the job goes on; 'holdfast job show {job}' tells what came of it")));
                }
            }
            Err(error) => return Err(error.into()),
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// The job once it is over; none if the stream ended before.
async fn follow(at: &AtService, domain: DomainId, job: JobId, progress: Option<&JobProgress>) -> contract::Result<Option<Job>> {
    let mut events = at.service.follow_job(domain, job).await?;
    while let Some(job) = events.next().await? {
        if let Some(progress) = progress {
            progress.show(&job, behind(at, &job).await.map(|first| words_behind(&first)).as_deref());
        }
        if job.state.is_over() {
            return Ok(Some(job));
        }
    }
    Ok(None)
}

/// The job that the machine's agent does before it takes this one, if this one waits for that.
pub(super) async fn behind(at: &AtService, job: &Job) -> Option<Job> {
    if job.state != JobState::Waiting || job.work.item().is_none() {
        return None;
    }
    let query = JobsQuery { domain: Some(job.domain), state: Some(JobState::Running), ..JobsQuery::default() };
    // Who may not know of other jobs waits without a word of them.
    let running = at.service.jobs(&query).await.ok()?.jobs;
    first_of(&running, job).cloned()
}

/// Of an item there is one job at a time, and of all that somebody asked for one.
pub(super) fn first_of<'a>(running: &'a [Job], waiting: &Job) -> Option<&'a Job> {
    let is_same_item = |job: &&Job| job.work.item() == waiting.work.item();
    let mut running = running.iter().filter(|job| job.domain == waiting.domain && job.work.item().is_some());
    running.clone().find(is_same_item).or_else(|| running.find(|job| job.origin == JobOrigin::Person))
}

/// Why a job waits behind another one.
pub(super) fn words_behind(first: &Job) -> String {
    let item = first.work.item().map(|item| format!(" of {item}")).unwrap_or_default();
    format!("waits until the agent is done with job {} ({}{item})", short(first.job), first.work.kind().as_str())
}

/// Exits that failures of a followed job have in common with the command itself.
pub(super) fn not_found(name: &str) -> Failure {
    Failure::new(Exit::Failed, format!("there is no job '{name}'")).with_hint("'holdfast job list' lists them")
}
