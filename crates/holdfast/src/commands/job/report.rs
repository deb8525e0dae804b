//! A job as users see it: one line, the whole of it, and its exit code.

use super::follow::{behind, words_behind};
use crate::cli::Global;
use crate::commands::at_service::{AtService, span};
use crate::failure::{Exit, Outcome};
use crate::terminal::{self, Json, json_times, say};
use api::{Job, JobLog, JobOrigin, JobResult, JobState, JobWarning};
use std::time::Duration;

/// What a command that waited for the job ends with.
pub(super) fn exit_of(job: &Job) -> Exit {
    let is_damaged = matches!(&job.result, Some(JobResult::Scrub(found)) if !found.sound);
    match job.state {
        JobState::Waiting | JobState::Running | JobState::Succeeded => Exit::Clean,
        JobState::Cancelled => Exit::Interrupted,
        // As 'check' says it.
        _ if is_damaged => Exit::Damage,
        JobState::Warnings => Exit::Warnings,
        JobState::Failed | JobState::Interrupted => Exit::Failed,
    }
}

/// The part of an id that is shown.
pub(super) fn short(id: impl ToString) -> String {
    id.to_string()[..8].to_owned()
}

/// What came of it, in one line; of one that waits, perhaps behind which.
pub(super) fn outcome(job: &Job, behind: Option<&Job>) -> String {
    let warnings = match job.warnings_count {
        0 => String::new(),
        1 => "; 1 warning".to_owned(),
        count => format!("; {count} warnings"),
    };
    if let Some(problem) = &job.problem {
        return format!("{}{warnings}", terminal::printable(problem.message.as_bytes()));
    }
    let text = match &job.result {
        None => match (&job.progress, behind) {
            (Some(told), _) => progress(told),
            (None, Some(first)) => words_behind(first),
            (None, None) => no_progress(job).to_owned(),
        },
        Some(JobResult::Backup(made)) => format!(
            "point {}: {}, {}; {} read, {} stored",
            short(made.point),
            terminal::counted(made.files, "file", "files"),
            terminal::bytes(made.bytes),
            terminal::bytes(made.bytes_read),
            terminal::bytes(made.bytes_stored)
        ),
        Some(JobResult::Restore(receipt)) => format!(
            "{}, {} to {}; {}",
            terminal::counted(receipt.files, "file", "files"),
            terminal::bytes(receipt.bytes_written),
            terminal::printable(receipt.to.as_bytes()),
            terminal::counted(receipt.differences_count, "difference", "differences")
        ),
        Some(JobResult::Retention(done)) => {
            let reviews = match done.reviews {
                0 => String::new(),
                count => format!("; {} for a person to look", terminal::counted(count, "item waits", "items wait")),
            };
            let (items, expired) =
                (terminal::counted(done.items, "item", "items"), terminal::counted(done.expired, "point", "points"));
            format!("{items}, {expired} expired, {} purged{reviews}", done.purged)
        }
        Some(JobResult::Collection(done)) => freed(done),
        Some(JobResult::Scrub(found)) => format!(
            "{}; {}, {} read; {} mended",
            if found.sound { "sound" } else { "DAMAGED" },
            terminal::counted(found.packs, "pack", "packs"),
            terminal::bytes(found.bytes_read),
            found.mended
        ),
    };
    format!("{text}{warnings}")
}

/// What a collection freed, and what it left for a later one.
fn freed(done: &api::CollectResult) -> String {
    let bytes = terminal::bytes(done.bytes_deleted.saturating_sub(done.bytes_rewritten));
    let waits = match done.waiting_for_sessions {
        0 => String::new(),
        sessions => {
            let backups = terminal::counted(sessions, "backup that began before it has", "backups that began before it have");
            format!("; {backups} not ended: a later collection frees the rest")
        }
    };
    let spared = match done.bytes_spared {
        0 => String::new(),
        bytes => format!("; {} of interrupted backups spared until the next one", terminal::bytes(bytes)),
    };
    let packs = terminal::counted(done.packs_deleted, "pack", "packs");
    format!("{bytes} freed, {packs} deleted, {} rewritten{waits}{spared}", done.packs_rewritten)
}

/// How far a job is that has told nothing of it yet.
fn no_progress(job: &Job) -> &'static str {
    match (job.state, job.work.item()) {
        (JobState::Waiting, Some(_)) => "waits for the machine's agent",
        (JobState::Waiting, None) => "waits for its turn",
        (JobState::Running, _) => "starting",
        _ => "",
    }
}

/// How far it is.
pub(super) fn progress(progress: &api::ProgressBody) -> String {
    let total = progress.total.map_or_else(String::new, |total| format!(" of {total}"));
    format!("{}: {}{total}, {}", terminal::printable(progress.phase.as_bytes()), progress.done, terminal::bytes(progress.bytes))
}

/// How long it took, or has taken so far.
pub(super) fn took(job: &Job) -> String {
    let Some(started) = job.started_ms else { return String::new() };
    let ended = job.ended_ms.unwrap_or_else(terminal::now_ms);
    terminal::seconds(Duration::from_millis(u64::try_from(ended - started).unwrap_or(0)))
}

/// A job as an object.
pub(super) fn json_of(at: &AtService, job: &Job) -> serde_json::Value {
    let mut value = json_times(job);
    value["domain_name"] = at.name_of(job.domain).into();
    value
}

/// Prints it whole, with what it said.
pub(super) async fn print(global: &Global, at: &AtService, job: &Job, with_log: bool) -> Outcome<()> {
    let log = if with_log || job.warnings_count > 0 { Some(at.service.job_log(job.domain, job.job).await?) } else { None };
    if global.json {
        let mut json = Json::new("job");
        json.set("job", json_of(at, job));
        if let Some(log) = &log {
            json.set("warnings", json_times(&log.warnings));
            json.set("log", json_times(&log.lines));
        }
        json.print();
        return Ok(());
    }
    say!("job       {}", job.job);
    let item = job.work.item().map(|item| format!(" of {item}")).unwrap_or_default();
    say!("work      {}{item} in {}", job.work.kind().as_str(), terminal::printable(at.name_of(job.domain).as_bytes()));
    say!("begun     {}", origin(job));
    let asked = if job.cancelling && !job.state.is_over() { ", to be cancelled" } else { "" };
    say!("state     {}{asked}", job.state.as_str());
    if let Some(started) = job.started_ms {
        say!("started   {}, {}", terminal::local(started), took(job));
    }
    let outcome = outcome(job, behind(at, job).await.as_ref());
    if !outcome.is_empty() {
        say!("outcome   {outcome}");
    }
    if let Some(JobResult::Restore(receipt)) = &job.result {
        print_receipt(receipt);
    }
    if let Some(hint) = job.problem.as_ref().and_then(|problem| problem.hint.as_ref()) {
        say!("hint      {}", terminal::printable(hint.as_bytes()));
    }
    if let Some(log) = &log {
        print_log(log, with_log);
    }
    Ok(())
}

fn print_receipt(receipt: &api::RestoreReceipt) {
    say!("receipt   point {}", receipt.point);
    say!("          to {}", terminal::printable(receipt.to.as_bytes()));
    say!(
        "          {}, {}, {}, {} left as they were",
        terminal::counted(receipt.files, "file", "files"),
        terminal::counted(receipt.directories, "directory", "directories"),
        terminal::counted(receipt.others, "other", "others"),
        receipt.skipped
    );
    let time = Duration::from_millis(receipt.milliseconds);
    say!(
        "          {} written in {} ({})",
        terminal::bytes(receipt.bytes_written),
        terminal::seconds(time),
        terminal::rate(receipt.bytes_written, time)
    );
    let blobs = terminal::counted(receipt.blobs_verified, "blob", "blobs");
    say!("          {blobs} verified, {}", terminal::bytes(receipt.bytes_verified));
    say!("          {}", terminal::counted(receipt.differences_count, "difference", "differences"));
}

fn print_log(log: &JobLog, with_log: bool) {
    for warning in &log.warnings {
        say!("warning   {}", warning_text(warning));
    }
    let left = log.warnings_count.saturating_sub(log.warnings.len() as u64);
    if left > 0 {
        say!("warning   … and {left} more");
    }
    for line in log.lines.iter().filter(|_| with_log) {
        say!("{}  {}", terminal::local(line.time_ms), terminal::printable(line.text.as_bytes()));
    }
}

/// Kinds of warnings that are about no path, but about the item or its run.
const ABOUT_THE_ITEM: [&str; 5] = ["scope_changed", "point_gone", "hook_failed", "not_remembered", "warnings_lost"];

/// All of it is what an agent says.
fn warning_text(warning: &JobWarning) -> String {
    let JobWarning { path, kind, detail, .. } = warning;
    let is_about_item = matches!(path.as_str(), "" | "/") && ABOUT_THE_ITEM.contains(&kind.as_str());
    let path = if is_about_item { String::new() } else { format!("{path}: ") };
    let detail = if detail.is_empty() { String::new() } else { format!(": {detail}") };
    terminal::printable(format!("{path}{kind}{detail}").as_bytes())
}

fn origin(job: &Job) -> String {
    let attempt = if job.attempt > 1 { format!(", try {}", job.attempt) } else { String::new() };
    match job.origin {
        JobOrigin::Schedule { slot_ms, missed } => {
            let late = job.started_ms.map(|started| started - slot_ms).filter(|late| *late >= 60_000);
            let late = late.map(|late| format!(", {} later", span(late))).unwrap_or_default();
            let missed = if missed > 0 { format!(", for {missed} missed slots too") } else { String::new() };
            format!("by the schedule for {}{late}{missed}{attempt}", terminal::local(slot_ms))
        }
        JobOrigin::Person => format!("on demand{attempt}"),
        JobOrigin::Service => "by the service".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Job, JobOrigin, JobState, JobWarning, outcome, warning_text};
    use crate::commands::job::follow::first_of;

    #[test]
    fn nothing_that_an_agent_says_of_a_warning_moves_the_cursor() {
        let word = || "\x1b[2J".to_owned();
        let text = warning_text(&JobWarning { path: word(), path_b64: None, kind: word(), detail: word() });
        assert_eq!(text, "\\u{1b}[2J: \\u{1b}[2J: \\u{1b}[2J");
    }

    #[test]
    fn a_warning_about_an_item_names_no_path() {
        let text = |kind: &str| {
            warning_text(&JobWarning { path: "/".to_owned(), path_b64: None, kind: kind.to_owned(), detail: "why".to_owned() })
        };
        assert_eq!((text("scope_changed").as_str(), text("unreadable").as_str()), ("scope_changed: why", "/: unreadable: why"));
    }

    #[test]
    fn a_job_that_waits_behind_another_one_says_which() {
        let item = |name: &str| format::ItemName::new(name).unwrap();
        let job = |id: u8, name: &str, state, origin| Job {
            job: format::JobId([id; 16]),
            domain: format::DomainId([7; 16]),
            work: api::Work::Backup { item: item(name), reread: false },
            origin,
            state,
            fence: 0,
            attempt: 1,
            cancelling: false,
            created_ms: 0,
            started_ms: None,
            ended_ms: None,
            progress: None,
            warnings_count: 0,
            result: None,
            problem: None,
        };
        let scheduled = JobOrigin::Schedule { slot_ms: 0, missed: 0 };
        let running = [
            job(1, "other", JobState::Running, scheduled.clone()),
            job(2, "asked", JobState::Running, JobOrigin::Person),
            job(3, "files", JobState::Running, scheduled),
        ];
        let waiting = |name: &str| job(9, name, JobState::Waiting, JobOrigin::Person);
        let text = |name: &str| outcome(&waiting(name), first_of(&running, &waiting(name)));
        assert_eq!(text("files"), "waits until the agent is done with job 03030303 (backup of files)");
        assert_eq!(text("third"), "waits until the agent is done with job 02020202 (backup of asked)");
        assert_eq!(outcome(&waiting("files"), first_of(&[], &waiting("files"))), "waits for the machine's agent");
    }
}
