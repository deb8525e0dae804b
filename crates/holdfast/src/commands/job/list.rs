//! `holdfast job list`, `show`, `follow` and `cancel`

use super::follow::{first_of, not_found, note_away, until_over};
use super::report::{exit_of, json_of, outcome, print, short, took};
use crate::cli::Global;
use crate::commands::at_service::{AtService, open_service};
use crate::failure::{Exit, Failure, Outcome};
use crate::terminal::{self, JobProgress, Json, Table, note, say};
use api::{Job, JobState, JobsQuery, WorkKind};
use clap::Args;
use format::ItemName;

/// Least characters of a prefix that is accepted.
const PREFIX_MIN: usize = 4;
/// Jobs among which a prefix is looked for, and most that are listed.
const LISTED_MAX: usize = 5000;

/// List jobs, newest first. Takes an administrator's token.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Only this item's.
    #[arg(long, value_name = "NAME")]
    item: Option<ItemName>,

    /// Only of this kind: backup, restore, retention, collection or scrub.
    #[arg(long, value_name = "KIND", value_parser = kind)]
    kind: Option<WorkKind>,

    /// Only in this state: waiting, running, succeeded, warnings, failed, cancelled or interrupted.
    #[arg(long, value_name = "STATE", value_parser = state)]
    state: Option<JobState>,

    /// At most so many.
    #[arg(long, value_name = "COUNT", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=LISTED_MAX as i64))]
    limit: u32,
}

/// Show a job: what it did, what came of it, its warnings.
#[derive(Debug, Args)]
pub(crate) struct ShowArguments {
    /// The job: a prefix of its id, or 'latest'.
    #[arg(value_name = "JOB")]
    job: String,

    /// Its log too.
    #[arg(long)]
    log: bool,
}

/// Follow a job to its end; the exit code says what came of it.
#[derive(Debug, Args)]
pub(crate) struct FollowArguments {
    /// The job: a prefix of its id, or 'latest'.
    #[arg(value_name = "JOB")]
    job: String,
}

/// Want a job to stop. Takes an administrator's token.
#[derive(Debug, Args)]
pub(crate) struct CancelArguments {
    /// The job: a prefix of its id, or 'latest'.
    #[arg(value_name = "JOB")]
    job: String,
}

fn kind(text: &str) -> Result<WorkKind, String> {
    let known = WorkKind::ALL.iter().find(|(_, word)| *word == text).map(|(kind, _)| *kind);
    known.ok_or_else(|| format!("one of {}", WorkKind::ALL.map(|(_, word)| word).join(", ")))
}

fn state(text: &str) -> Result<JobState, String> {
    let known = JobState::ALL.iter().find(|(_, word)| *word == text).map(|(state, _)| *state);
    known.ok_or_else(|| format!("one of {}", JobState::ALL.map(|(_, word)| word).join(", ")))
}

pub(super) async fn run(global: &Global, arguments: Arguments) -> Outcome<Exit> {
    let at = open_service(global).await?;
    let query = JobsQuery {
        domain: at.named_domain(global)?,
        item: arguments.item,
        kind: arguments.kind,
        state: arguments.state,
        ..JobsQuery::default()
    };
    let (jobs, more) = jobs(&at, query, arguments.limit as usize).await?;
    if global.json {
        let mut json = Json::new("job");
        json.set("jobs", jobs.iter().map(|job| json_of(&at, job)).collect::<Vec<_>>());
        json.set("more", more);
        json.print();
        return Ok(Exit::Clean);
    }
    if jobs.is_empty() {
        note!("no jobs");
        return Ok(Exit::Clean);
    }
    let running = running(&at, &jobs).await;
    let mut table = Table::new(&["JOB", "WORK", "ITEM", "DOMAIN", "STATE", "STARTED", "TOOK", "OUTCOME"]);
    for job in &jobs {
        table.row(vec![
            short(job.job),
            job.work.kind().as_str().to_owned(),
            job.work.item().map(ToString::to_string).unwrap_or_default(),
            terminal::printable(at.name_of(job.domain).as_bytes()),
            job.state.as_str().to_owned(),
            job.started_ms.map(terminal::local).unwrap_or_default(),
            took(job),
            outcome(job, first_of(&running, job).filter(|_| job.state == JobState::Waiting)),
        ]);
    }
    table.print();
    if more {
        note!("there are more; --limit lists them");
    }
    Ok(Exit::Clean)
}

/// Jobs that run, if one of these may wait for them.
async fn running(at: &AtService, listed: &[Job]) -> Vec<Job> {
    if !listed.iter().any(|job| job.state == JobState::Waiting && job.work.item().is_some()) {
        return Vec::new();
    }
    let query = JobsQuery { state: Some(JobState::Running), ..JobsQuery::default() };
    // Without them it is less clear why a job waits, and no more.
    jobs(at, query, LISTED_MAX).await.map(|(running, _)| running).unwrap_or_default()
}

/// As many jobs as are wanted, page by page, and whether there are more.
async fn jobs(at: &AtService, mut query: JobsQuery, limit: usize) -> Outcome<(Vec<Job>, bool)> {
    let mut jobs: Vec<Job> = Vec::new();
    loop {
        query.after = jobs.last().map(|job| job.job);
        query.limit = Some((limit - jobs.len()).min(api::limits::JOBS_PAGE_MAX));
        let page = at.service.jobs(&query).await?;
        let more = page.more && !page.jobs.is_empty();
        jobs.extend(page.jobs);
        if !more || jobs.len() >= limit {
            return Ok((jobs, more));
        }
    }
}

/// The job that the user means.
async fn find(global: &Global, at: &AtService, name: &str) -> Outcome<Job> {
    let query = JobsQuery { domain: at.named_domain(global)?, ..JobsQuery::default() };
    if name == "latest" {
        let (newest, _) = jobs(at, query, 1).await?;
        return newest.into_iter().next().ok_or_else(|| not_found(name));
    }
    if name.len() < PREFIX_MIN {
        return Err(Failure::new(Exit::Usage, format!("a job is named by at least {PREFIX_MIN} characters of its id")));
    }
    let (all, _) = jobs(at, query, LISTED_MAX).await?;
    let mut fits: Vec<Job> = all.into_iter().filter(|job| job.job.to_string().starts_with(name)).collect();
    match fits.len() {
        1 => Ok(fits.remove(0)),
        0 => Err(not_found(name)),
        _ => {
            let ids: Vec<String> = fits.iter().map(|job| job.job.to_string()).collect();
            Err(Failure::new(Exit::Usage, format!("'{name}' is the beginning of several jobs")).with_hint(ids.join(", ")))
        }
    }
}

pub(super) async fn run_show(global: &Global, arguments: ShowArguments) -> Outcome<Exit> {
    let at = open_service(global).await?;
    let job = find(global, &at, &arguments.job).await?;
    print(global, &at, &job, arguments.log).await?;
    Ok(Exit::Clean)
}

pub(super) async fn run_follow(global: &Global, arguments: FollowArguments) -> Outcome<Exit> {
    let at = open_service(global).await?;
    let job = find(global, &at, &arguments.job).await?;
    // Agents are for administrators to see; who is none waits without a word.
    if job.work.item().is_some()
        && let Ok(agents) = at.agents_of(job.domain).await
    {
        note_away(&agents, &job);
    }
    let progress = JobProgress::new(global);
    let job = until_over(&at, job.domain, job.job, Some(&progress)).await;
    progress.finish();
    let job = job?;
    print(global, &at, &job, false).await?;
    Ok(exit_of(&job))
}

pub(super) async fn run_cancel(global: &Global, arguments: CancelArguments) -> Outcome<Exit> {
    let at = open_service(global).await?;
    let job = find(global, &at, &arguments.job).await?;
    // Whoever did one that is interrupted may come back and go on with it.
    if job.state.is_over() && job.state != JobState::Interrupted {
        return Err(Failure::new(Exit::Conflict, format!("the job is over: it is {}", job.state.as_str())));
    }
    at.service.cancel_job(job.domain, job.job).await?;
    if global.json {
        let mut json = Json::new("job");
        json.set("cancelling", job.job.to_string());
        json.print();
    } else {
        say!("job {} is to stop; 'holdfast job follow {}' tells when it has", short(job.job), short(job.job));
    }
    Ok(Exit::Clean)
}
