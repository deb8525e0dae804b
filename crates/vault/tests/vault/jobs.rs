//! Jobs: asked for, taken, reported, interrupted, stopped.

use crate::protection::{nightly, set_item, set_policy};
use crate::running::{DOMAIN, Hands, OTHER_DOMAIN, Protected, item};
use api::limits::{JOB_LOG_LINES_MAX, JOB_TEXT_BYTES_MAX, JOB_WARNINGS_MAX};
use api::{
    Job, JobClaim, JobOrigin, JobReport, JobRequest, JobState, JobWarning, JobsQuery, LogLine, Overwriting, ProgressBody,
    RestoreWork, ServiceVault, Work, WorkKind,
};
use contract::ErrorKind;
use format::{AgentKey, JobId, PointId};
use std::sync::Arc;
use std::time::Duration;
use vault::{Config, Limits};

pub(crate) fn backup() -> Work {
    Work::Backup { item: item("item"), reread: false }
}

pub(crate) fn claim(agent: AgentKey) -> JobClaim {
    JobClaim { agent, busy: vec![], again: None }
}

/// A report of a job as it was taken.
pub(crate) fn report_of(job: &Job, agent: AgentKey, state: JobState) -> JobReport {
    let begun = JobReport::begun(agent, job.fence, job.work.clone(), job.origin.clone(), 1, 1);
    JobReport { state, ended_ms: state.is_over().then_some(2), ..begun }
}

/// A report of a run that the agent began by its schedule.
pub(crate) fn run_of(agent: AgentKey, slot_ms: i64, state: JobState) -> JobReport {
    let begun = JobReport::begun(agent, 0, backup(), JobOrigin::Schedule { slot_ms, missed: 0 }, 1, 1);
    JobReport { state, ended_ms: state.is_over().then_some(2), ..begun }
}

/// The agent of the first domain, and an item that it protects.
pub(crate) async fn with_item(protected: &Protected) -> (ServiceVault, AgentKey) {
    set_policy(protected.admin(), "nightly", nightly()).await.unwrap();
    set_item(protected.admin(), DOMAIN, Some("nightly")).await.unwrap();
    (protected.running.client(&protected.agent_token().await), protected.keyed.signer().key())
}

pub(crate) async fn ask(admin: &ServiceVault, id: u8, work: Work) -> contract::Result<Job> {
    admin.begin_job(DOMAIN, &JobRequest { job: JobId([id; 16]), work }).await
}

/// Waits until a job is in this state.
pub(crate) async fn wait_for(client: &ServiceVault, job: JobId, state: JobState) -> Job {
    for _ in 0..200 {
        let now = client.job(DOMAIN, job).await.unwrap();
        if now.state == state {
            return now;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{:?}", client.job(DOMAIN, job).await.unwrap());
}

fn refused(outcome: contract::Result<impl Sized>) -> ErrorKind {
    outcome.map(drop).unwrap_err().kind()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_asked_for_taken_reported_and_followed_to_its_end() {
    let protected = Protected::new().await;
    let (agent, key) = with_item(&protected).await;
    let admin = protected.admin();
    assert_eq!(agent.claim_job(DOMAIN, &claim(key)).await.unwrap(), None);
    let asked = ask(admin, 1, backup()).await.unwrap();
    assert_eq!((asked.state, asked.fence, &asked.origin), (JobState::Waiting, 0, &JobOrigin::Person));
    assert_eq!(ask(admin, 1, backup()).await.unwrap(), asked, "the same request is answered with the same job");
    let mut events = agent.follow_job(DOMAIN, asked.job).await.unwrap();
    assert_eq!(events.next().await.unwrap(), Some(asked.clone()));
    let taken = agent.claim_job(DOMAIN, &claim(key)).await.unwrap().unwrap();
    assert_eq!((taken.job, taken.state, taken.fence), (asked.job, JobState::Running, 1));
    let mut report = report_of(&taken, key, JobState::Running);
    let orders = agent.report_job(DOMAIN, taken.job, &report).await.unwrap();
    assert!(!orders.cancel && orders.lease_seconds == 120);
    report.progress = Some(ProgressBody { phase: "reading".to_owned(), done: 3, total: Some(9), bytes: 27 });
    agent.report_job(DOMAIN, taken.job, &report).await.unwrap();
    while events.next().await.unwrap().unwrap().progress != report.progress {}
    let last = report_of(&taken, key, JobState::Succeeded);
    agent.report_job(DOMAIN, taken.job, &last).await.unwrap();
    agent.report_job(DOMAIN, taken.job, &last).await.unwrap();
    let mut states = Vec::new();
    while let Some(job) = events.next().await.unwrap() {
        states.push(job.state);
    }
    assert_eq!(states.last(), Some(&JobState::Succeeded), "{states:?}");
    let job = admin.job(DOMAIN, asked.job).await.unwrap();
    assert_eq!((job.state, job.ended_ms), (JobState::Succeeded, Some(2)));
    let failed = agent.report_job(DOMAIN, taken.job, &report_of(&taken, key, JobState::Failed)).await;
    assert_eq!(refused(failed), ErrorKind::Conflict, "what is over stays as it is");
    assert_eq!(admin.item(DOMAIN, &item("item")).await.unwrap().last_job.unwrap().state, JobState::Succeeded);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_runs_says_what_it_is_at_also_before_anything_was_told_of_it() {
    let (hands, config) = (Arc::new(Hands::default()), Config::default());
    let protected = Protected::at(config.clone(), hands.clone()).await;
    let (agent, key) = with_item(&protected).await;
    let asked = ask(protected.admin(), 1, backup()).await.unwrap();
    assert_eq!(asked.progress, None, "it waits");
    let taken = agent.claim_job(DOMAIN, &claim(key)).await.unwrap().unwrap();
    let phase = async |protected: &Protected| {
        let job = protected.admin().job(DOMAIN, JobId([1; 16])).await.unwrap();
        job.progress.map(|progress| (progress.phase, progress.done, progress.total))
    };
    let starting = Some(("starting".to_owned(), 0, None));
    assert_eq!(phase(&protected).await, starting, "taken");
    let mut report = report_of(&taken, key, JobState::Running);
    agent.report_job(DOMAIN, taken.job, &report).await.unwrap();
    assert_eq!(phase(&protected).await, starting, "reported, and nothing of its progress");
    agent.report_job(DOMAIN, taken.job, &report).await.unwrap();
    assert_eq!(phase(&protected).await, starting);
    report.progress = Some(ProgressBody { phase: "reading".to_owned(), done: 1, total: None, bytes: 1 });
    agent.report_job(DOMAIN, taken.job, &report).await.unwrap();
    assert_eq!(phase(&protected).await.unwrap().0, "reading");
    let protected = protected.restart(config, hands).await;
    assert_eq!(phase(&protected).await.unwrap().0, "waiting for the agent", "nothing was heard of it since");
    let agent = protected.running.client(&protected.agent_token().await);
    agent.report_job(DOMAIN, taken.job, &report).await.unwrap();
    assert_eq!(phase(&protected).await.unwrap().0, "reading");
    agent.report_job(DOMAIN, taken.job, &report_of(&taken, key, JobState::Succeeded)).await.unwrap();
    assert_eq!(phase(&protected).await, None, "it is over");
    ask(protected.admin(), 2, Work::Collection).await.unwrap();
    let mut events = protected.admin().follow_job(DOMAIN, JobId([2; 16])).await.unwrap();
    while let Some(job) = events.next().await.unwrap() {
        assert_eq!(job.progress.is_some(), job.state == JobState::Running, "{job:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_who_ask_at_once_one_gets_the_job_and_an_older_fence_changes_nothing() {
    let protected = Protected::new().await;
    let (agent, key) = with_item(&protected).await;
    let asked = ask(protected.admin(), 1, backup()).await.unwrap();
    let claims = (0..8).map(|_| {
        let agent = agent.clone();
        tokio::spawn(async move { agent.claim_job(DOMAIN, &claim(key)).await.unwrap() })
    });
    let mut taken = Vec::new();
    for claim in claims.collect::<Vec<_>>() {
        taken.extend(claim.await.unwrap());
    }
    assert_eq!(taken.len(), 1);
    let first = taken.remove(0);
    let again = JobClaim { again: Some(asked.job), ..claim(key) };
    let second = agent.claim_job(DOMAIN, &again).await.unwrap().unwrap();
    assert_eq!((second.job, second.fence), (first.job, 2));
    for state in [JobState::Running, JobState::Failed] {
        assert_eq!(refused(agent.report_job(DOMAIN, first.job, &report_of(&first, key, state)).await), ErrorKind::Conflict);
    }
    assert_eq!(agent.job(DOMAIN, asked.job).await.unwrap().state, JobState::Running);
    agent.report_job(DOMAIN, second.job, &report_of(&second, key, JobState::Succeeded)).await.unwrap();
    let ahead = JobReport { fence: 3, ..report_of(&second, key, JobState::Succeeded) };
    assert_eq!(refused(agent.report_job(DOMAIN, second.job, &ahead).await), ErrorKind::Conflict);
    assert_eq!(agent.claim_job(DOMAIN, &again).await.unwrap(), None, "it is over");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_one_item_one_job_is_worked_on_and_one_backup_waits() {
    let protected = Protected::new().await;
    let (agent, key) = with_item(&protected).await;
    let admin = protected.admin();
    ask(admin, 1, backup()).await.unwrap();
    let twice = ask(admin, 2, backup()).await.unwrap_err();
    assert!(twice.kind() == ErrorKind::Conflict && twice.to_string().contains(&JobId([1; 16]).to_string()), "{twice}");
    let busy = JobClaim { busy: vec![item("item")], ..claim(key) };
    assert_eq!(agent.claim_job(DOMAIN, &busy).await.unwrap(), None);
    let first = agent.claim_job(DOMAIN, &claim(key)).await.unwrap().unwrap();
    ask(admin, 2, backup()).await.unwrap();
    assert_eq!(agent.claim_job(DOMAIN, &claim(key)).await.unwrap(), None, "the first still runs");
    agent.report_job(DOMAIN, first.job, &report_of(&first, key, JobState::Failed)).await.unwrap();
    assert_eq!(agent.claim_job(DOMAIN, &claim(key)).await.unwrap().unwrap().job, JobId([2; 16]));
    assert_eq!(refused(ask(admin, 1, Work::Collection).await), ErrorKind::Conflict, "the id is of another job");
    assert_eq!(refused(ask(admin, 9, Work::Backup { item: item("other"), reread: false }).await), ErrorKind::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_agent_fell_silent_is_interrupted_and_a_late_report_knows_better() {
    let hands = Arc::new(Hands::default());
    let protected = Protected::at(Config::default(), hands.clone()).await;
    let (agent, key) = with_item(&protected).await;
    let admin = protected.admin();
    let asked = ask(admin, 1, backup()).await.unwrap();
    let taken = agent.claim_job(DOMAIN, &claim(key)).await.unwrap().unwrap();
    hands.pass(Duration::from_secs(31));
    wait_for(admin, asked.job, JobState::Waiting).await;
    // Nobody else has it: who has taken it and was slow to say so goes on.
    agent.report_job(DOMAIN, taken.job, &report_of(&taken, key, JobState::Running)).await.unwrap();
    hands.set_ahead(400 * 86_400_000);
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(admin.job(DOMAIN, asked.job).await.unwrap().state, JobState::Running, "a wall clock ends no lease");
    hands.pass(Duration::from_secs(121));
    let interrupted = wait_for(admin, asked.job, JobState::Interrupted).await;
    assert!(interrupted.ended_ms.is_some() && interrupted.problem.is_some());
    agent.report_job(DOMAIN, taken.job, &report_of(&taken, key, JobState::Running)).await.unwrap();
    assert_eq!(admin.job(DOMAIN, asked.job).await.unwrap().state, JobState::Running, "it was only cut off");
    hands.pass(Duration::from_secs(121));
    wait_for(admin, asked.job, JobState::Interrupted).await;
    agent.report_job(DOMAIN, taken.job, &report_of(&taken, key, JobState::Warnings)).await.unwrap();
    let over = admin.job(DOMAIN, asked.job).await.unwrap();
    assert_eq!((over.state, over.problem), (JobState::Warnings, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_died_takes_its_job_again_and_it_runs_to_a_true_end() {
    let hands = Arc::new(Hands::default());
    let protected = Protected::at(Config::default(), hands.clone()).await;
    let (agent, key) = with_item(&protected).await;
    let admin = protected.admin();
    ask(admin, 1, backup()).await.unwrap();
    let taken = agent.claim_job(DOMAIN, &claim(key)).await.unwrap().unwrap();
    agent.report_job(DOMAIN, taken.job, &report_of(&taken, key, JobState::Running)).await.unwrap();
    hands.pass(Duration::from_secs(121));
    wait_for(admin, taken.job, JobState::Interrupted).await;
    let again = JobClaim { again: Some(taken.job), ..claim(key) };
    let second = agent.claim_job(DOMAIN, &again).await.unwrap().unwrap();
    assert_eq!((second.fence, second.state, second.ended_ms), (2, JobState::Running, None));
    admin.cancel_job(DOMAIN, taken.job).await.unwrap();
    assert_eq!(agent.claim_job(DOMAIN, &again).await.unwrap(), None, "somebody wanted it to stop meanwhile");
    assert_eq!(admin.job(DOMAIN, taken.job).await.unwrap().state, JobState::Cancelled);
    assert_eq!(agent.claim_job(DOMAIN, &JobClaim { again: Some(JobId([9; 16])), ..claim(key) }).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_by_schedule_is_reported_at_its_end_alone_and_its_slot_is_remembered() {
    let protected = Protected::new().await;
    let (agent, key) = with_item(&protected).await;
    let (first, second) = (JobId([1; 16]), JobId([2; 16]));
    agent.report_job(DOMAIN, first, &run_of(key, 1000, JobState::Succeeded)).await.unwrap();
    agent.report_job(DOMAIN, second, &run_of(key, 2000, JobState::Failed)).await.unwrap();
    let protection = agent.protection(DOMAIN).await.unwrap();
    assert_eq!(protection.items[0].last_slot_ms, Some(1000), "one that failed completed nothing");
    agent.report_job(DOMAIN, JobId([3; 16]), &run_of(key, 3000, JobState::Running)).await.unwrap();
    assert_eq!(agent.claim_job(DOMAIN, &JobClaim { again: Some(first), ..claim(key) }).await.unwrap(), None);
    let list = protected.admin().jobs(&JobsQuery { kind: Some(WorkKind::Backup), ..JobsQuery::default() }).await.unwrap();
    let states: Vec<_> = list.jobs.iter().map(|job| job.state).collect();
    assert_eq!(states, [JobState::Running, JobState::Failed, JobState::Succeeded], "newest first");
    let page = |after, limit| JobsQuery { domain: Some(DOMAIN), after, limit: Some(limit), ..JobsQuery::default() };
    let head = protected.admin().jobs(&page(None, 2)).await.unwrap();
    assert!(head.more && head.jobs.len() == 2);
    let tail = protected.admin().jobs(&page(Some(head.jobs[1].job), 2)).await.unwrap();
    assert!(!tail.more && tail.jobs[0].job == first);
    assert_eq!(refused(protected.admin().jobs(&page(Some(JobId([9; 16])), 2)).await), ErrorKind::Conflict);
    assert_eq!(refused(protected.admin().jobs(&page(None, 501)).await), ErrorKind::Invalid);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_does_a_job_is_told_to_stop_and_one_that_nobody_does_stops_at_once() {
    let protected = Protected::new().await;
    let (agent, key) = with_item(&protected).await;
    let admin = protected.admin();
    let waiting = ask(admin, 1, backup()).await.unwrap();
    admin.cancel_job(DOMAIN, waiting.job).await.unwrap();
    assert_eq!(admin.job(DOMAIN, waiting.job).await.unwrap().state, JobState::Cancelled);
    assert_eq!(agent.claim_job(DOMAIN, &claim(key)).await.unwrap(), None);
    ask(admin, 2, backup()).await.unwrap();
    let taken = agent.claim_job(DOMAIN, &claim(key)).await.unwrap().unwrap();
    let running = report_of(&taken, key, JobState::Running);
    agent.report_job(DOMAIN, taken.job, &running).await.unwrap();
    admin.cancel_job(DOMAIN, taken.job).await.unwrap();
    assert!(agent.report_job(DOMAIN, taken.job, &running).await.unwrap().cancel);
    let mut commands = agent.listen_for_commands(DOMAIN, &crate::agents::hello(key)).await.unwrap();
    assert_eq!(commands.next().await.unwrap().unwrap().cancel, [taken.job]);
    agent.report_job(DOMAIN, taken.job, &report_of(&taken, key, JobState::Cancelled)).await.unwrap();
    assert!(commands.next().await.unwrap().unwrap().cancel.is_empty());
    admin.cancel_job(DOMAIN, taken.job).await.unwrap();
    assert_eq!(admin.job(DOMAIN, taken.job).await.unwrap().state, JobState::Cancelled);
    // The agent's side: its window closed, or somebody at the machine wanted it.
    let own = JobId([3; 16]);
    agent.report_job(DOMAIN, own, &run_of(key, 5, JobState::Running)).await.unwrap();
    agent.report_job(DOMAIN, own, &run_of(key, 5, JobState::Cancelled)).await.unwrap();
    assert_eq!(admin.job(DOMAIN, own).await.unwrap().state, JobState::Cancelled);
    assert_eq!(refused(admin.cancel_job(DOMAIN, JobId([9; 16])).await), ErrorKind::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_go_on_when_the_service_is_ended_and_started_again() {
    let (hands, config) = (Arc::new(Hands::default()), Config::default());
    let protected = Protected::at(config.clone(), hands.clone()).await;
    let (_, key) = with_item(&protected).await;
    let token = protected.agent_token().await;
    let agent = protected.running.client(&token);
    ask(protected.admin(), 1, backup()).await.unwrap();
    let taken = agent.claim_job(DOMAIN, &claim(key)).await.unwrap().unwrap();
    agent.report_job(DOMAIN, taken.job, &report_of(&taken, key, JobState::Running)).await.unwrap();
    ask(protected.admin(), 2, backup()).await.unwrap();
    let before = agent.protection(DOMAIN).await.unwrap();
    hands.pass(Duration::from_secs(119));
    let protected = protected.restart(config, hands.clone()).await;
    let agent = protected.running.client(&token);
    assert_eq!(agent.protection(DOMAIN).await.unwrap(), before);
    hands.pass(Duration::from_secs(100));
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let job = agent.job(DOMAIN, taken.job).await.unwrap();
    assert_eq!((job.state, job.fence), (JobState::Running, 1), "it has one full lease more");
    agent.report_job(DOMAIN, taken.job, &report_of(&taken, key, JobState::Succeeded)).await.unwrap();
    assert_eq!(agent.claim_job(DOMAIN, &claim(key)).await.unwrap().unwrap().job, JobId([2; 16]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stolen_token_speaks_for_its_own_agent_in_its_own_domain_and_does_no_work_of_the_service() {
    let protected = Protected::new().await;
    let (agent, key) = with_item(&protected).await;
    let (admin, other) = (protected.admin(), AgentKey([9; 32]));
    set_item(admin, OTHER_DOMAIN, Some("nightly")).await.unwrap();
    let theirs = JobRequest { job: JobId([7; 16]), work: backup() };
    admin.begin_job(OTHER_DOMAIN, &theirs).await.unwrap();
    let denied = |outcome: ErrorKind| assert_eq!(outcome, ErrorKind::Denied);
    denied(refused(agent.claim_job(DOMAIN, &claim(other)).await));
    denied(refused(agent.report_job(DOMAIN, JobId([1; 16]), &run_of(other, 1, JobState::Running)).await));
    denied(refused(agent.listen_for_commands(DOMAIN, &crate::agents::hello(other)).await.map(drop)));
    denied(refused(agent.protection(OTHER_DOMAIN).await));
    denied(refused(agent.item(OTHER_DOMAIN, &item("item")).await));
    denied(refused(agent.item_points(OTHER_DOMAIN, &item("item")).await));
    denied(refused(agent.job(OTHER_DOMAIN, theirs.job).await));
    denied(refused(agent.job_log(OTHER_DOMAIN, theirs.job).await));
    denied(refused(agent.follow_job(OTHER_DOMAIN, theirs.job).await.map(drop)));
    denied(refused(agent.claim_job(OTHER_DOMAIN, &claim(key)).await));
    denied(refused(agent.report_job(OTHER_DOMAIN, theirs.job, &run_of(key, 1, JobState::Running)).await));
    denied(refused(agent.listen_for_commands(OTHER_DOMAIN, &crate::agents::hello(key)).await.map(drop)));
    denied(refused(ask(&agent, 5, Work::Retention).await));
    denied(refused(agent.cancel_job(DOMAIN, theirs.job).await));
    denied(refused(set_policy(&agent, "nightly", nightly()).await));
    denied(refused(set_item(&agent, DOMAIN, None).await));
    denied(refused(agent.remove_item(DOMAIN, &item("item")).await));
    denied(refused(agent.acknowledge_clock(1).await));
    assert_eq!(refused(agent.job(DOMAIN, theirs.job).await), ErrorKind::NotFound, "an id alone leads nowhere");
    let as_service = JobReport { origin: JobOrigin::Service, ..run_of(key, 1, JobState::Running) };
    denied(refused(agent.report_job(DOMAIN, JobId([2; 16]), &as_service).await));
    for work in [Work::Retention, Work::Collection, Work::Scrub { read_data: false }] {
        let report = JobReport { work, ..run_of(key, 1, JobState::Succeeded) };
        denied(refused(agent.report_job(DOMAIN, JobId([2; 16]), &report).await));
    }
    let restore = RestoreWork {
        item: item("item"),
        point: PointId([1; 32]),
        paths: vec![],
        strip: 0,
        to: None,
        overwrite: Overwriting::Fail,
    };
    let report = JobReport { work: Work::Restore(restore), ..run_of(key, 1, JobState::Running) };
    denied(refused(agent.report_job(DOMAIN, JobId([2; 16]), &report).await));
    let own = JobReport { origin: JobOrigin::Person, ..run_of(key, 1, JobState::Running) };
    assert_eq!(refused(agent.report_job(DOMAIN, JobId([2; 16]), &own).await), ErrorKind::NotFound, "nobody asked for it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_about_another_work_than_the_jobs_is_refused() {
    let protected = Protected::new().await;
    let (agent, key) = with_item(&protected).await;
    ask(protected.admin(), 1, backup()).await.unwrap();
    let unclaimed = JobReport { origin: JobOrigin::Person, ..run_of(key, 1, JobState::Running) };
    assert_eq!(refused(agent.report_job(DOMAIN, JobId([1; 16]), &unclaimed).await), ErrorKind::Conflict);
    let taken = agent.claim_job(DOMAIN, &claim(key)).await.unwrap().unwrap();
    let work = Work::Backup { item: item("item"), reread: true };
    let reports = [
        JobReport { work, ..report_of(&taken, key, JobState::Running) },
        JobReport { origin: JobOrigin::Schedule { slot_ms: 1, missed: 0 }, ..report_of(&taken, key, JobState::Running) },
    ];
    for report in reports {
        assert_eq!(refused(agent.report_job(DOMAIN, taken.job, &report).await), ErrorKind::Conflict);
    }
    for report in [
        report_of(&taken, key, JobState::Waiting),
        JobReport { attempt: 0, ..report_of(&taken, key, JobState::Running) },
        JobReport { started_ms: -1, ..report_of(&taken, key, JobState::Running) },
    ] {
        assert_eq!(refused(agent.report_job(DOMAIN, taken.job, &report).await), ErrorKind::Invalid);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_what_a_job_says_the_beginning_is_kept_and_everything_counted() {
    let protected = Protected::new().await;
    let (agent, key) = with_item(&protected).await;
    let warning =
        |number: usize| JobWarning { path: format!("/{number}"), path_b64: None, kind: "x".to_owned(), detail: "ä".to_owned() };
    let line = |number: usize| LogLine { time_ms: number as i64, text: format!("line {number}") };
    let mut report = run_of(key, 1, JobState::Running);
    report.warnings = (0..JOB_WARNINGS_MAX + 50).map(warning).collect();
    report.warnings_count = 70_000;
    report.log = (0..JOB_LOG_LINES_MAX + 50).map(line).collect();
    report.log[0].text = "ä".repeat(JOB_TEXT_BYTES_MAX);
    agent.report_job(DOMAIN, JobId([1; 16]), &report).await.unwrap();
    let log = agent.job_log(DOMAIN, JobId([1; 16])).await.unwrap();
    assert_eq!((log.warnings.len(), log.lines.len(), log.warnings_count), (JOB_WARNINGS_MAX, JOB_LOG_LINES_MAX, 70_000));
    assert_eq!((log.lines[0].text.len(), log.warnings[999].path.as_str()), (JOB_TEXT_BYTES_MAX, "/999"));
    report.warnings.truncate(900);
    report.warnings.iter_mut().for_each(|warning| warning.path = "p".repeat(4000));
    agent.report_job(DOMAIN, JobId([1; 16]), &JobReport { warnings_count: 900, ..report }).await.unwrap();
    let log = agent.job_log(DOMAIN, JobId([1; 16])).await.unwrap();
    assert!((100..200).contains(&log.warnings.len()), "{} of many long ones", log.warnings.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_word_of_a_report_has_no_control_characters() {
    let protected = Protected::new().await;
    let (agent, key) = with_item(&protected).await;
    let mut report = run_of(key, 1, JobState::Running);
    report.progress = Some(ProgressBody { phase: "\x1b[2J".to_owned(), done: 0, total: None, bytes: 0 });
    assert_eq!(refused(agent.report_job(DOMAIN, JobId([1; 16]), &report).await), ErrorKind::Invalid);
    report.progress = None;
    let (path, kind) = ("/a\nb".to_owned(), "unreadable\u{9b}2J".to_owned());
    report.warnings = vec![JobWarning { path, path_b64: None, kind, detail: String::new() }];
    assert_eq!(refused(agent.report_job(DOMAIN, JobId([1; 16]), &report).await), ErrorKind::Invalid);
    report.warnings[0].kind = "unreadable".to_owned();
    agent.report_job(DOMAIN, JobId([1; 16]), &report).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_that_are_over_are_forgotten_when_there_are_many_or_they_are_old() {
    let hands = Arc::new(Hands::default());
    let limits = Limits { jobs_kept: 2, ..Limits::default() };
    let protected = Protected::at(Config { limits, ..crate::retention::by_hand() }, hands.clone()).await;
    let (agent, key) = with_item(&protected).await;
    for number in 1..=5 {
        agent.report_job(DOMAIN, JobId([number; 16]), &run_of(key, i64::from(number), JobState::Succeeded)).await.unwrap();
    }
    ask(protected.admin(), 6, backup()).await.unwrap();
    let left = async |expected: &[u8]| {
        for _ in 0..100 {
            let jobs = protected.admin().jobs(&JobsQuery::default()).await.unwrap().jobs;
            if jobs.iter().map(|job| job.job.0[0]).eq(expected.iter().copied()) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{:?}", protected.admin().jobs(&JobsQuery::default()).await.unwrap());
    };
    hands.pass(Duration::from_secs(3601));
    left(&[6, 5, 4]).await;
    hands.pass(181 * crate::retention::DAY);
    left(&[6]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_that_an_agent_brings_are_bounded_at_once() {
    let limits = Limits { jobs_kept: 2, ..Limits::default() };
    let hands = Arc::new(Hands::default());
    let protected = Protected::at(Config { limits, ..crate::retention::by_hand() }, hands.clone()).await;
    let (agent, key) = with_item(&protected).await;
    let bring = async |number: u8| {
        let run = run_of(key, i64::from(number), JobState::Failed);
        agent.report_job(DOMAIN, JobId([number; 16]), &run).await.map(drop)
    };
    for number in 1..=120 {
        bring(number).await.unwrap();
    }
    assert_eq!(refused(bring(121).await), ErrorKind::Unavailable);
    let jobs = protected.admin().jobs(&JobsQuery::default()).await.unwrap().jobs;
    assert_eq!(jobs.iter().map(|job| job.job.0[0]).collect::<Vec<_>>(), [120, 119]);
    hands.pass(Duration::from_secs(60));
    bring(121).await.unwrap();
    // Nor those that are never heard of again.
    let id = |number: u64| JobId(u128::from(number).to_be_bytes());
    let mut run = run_of(key, 1, JobState::Running);
    run.log = vec![LogLine { time_ms: 1, text: "x".repeat(2000) }];
    for round in 0..2 {
        hands.pass(Duration::from_secs(60));
        for number in 1000..1120 {
            agent.report_job(DOMAIN, id(round * 1000 + number), &run).await.unwrap();
        }
        hands.pass(Duration::from_secs(121));
        for _ in 0..200 {
            tokio::time::sleep(Duration::from_millis(50)).await;
            let running = JobsQuery { state: Some(JobState::Running), ..JobsQuery::default() };
            if protected.admin().jobs(&running).await.unwrap().jobs.is_empty() {
                break;
            }
        }
    }
    let interrupted = JobsQuery { state: Some(JobState::Interrupted), ..JobsQuery::default() };
    let left = protected.admin().jobs(&interrupted).await.unwrap().jobs;
    assert_eq!((left.len(), left[199].job), (200, id(1040)));
    for job in [&left[0], &left[199]] {
        assert!(agent.job_log(DOMAIN, job.job).await.unwrap().lines.is_empty());
    }
    // A late report of one that is remembered lands, and so does that of one that is not.
    for number in [2119, 1000] {
        agent.report_job(DOMAIN, id(number), &JobReport { state: JobState::Succeeded, ..run.clone() }).await.unwrap();
        assert_eq!(agent.job(DOMAIN, id(number)).await.unwrap().state, JobState::Succeeded);
        assert_eq!(agent.job_log(DOMAIN, id(number)).await.unwrap().lines, run.log);
        hands.pass(Duration::from_secs(60));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_lease_ran_out_is_remembered_for_some_days_and_a_wall_clock_that_jumps_forgets_none() {
    let hands = Arc::new(Hands::default());
    let limits = Limits { jobs_kept: 1, jobs_kept_days: 30, ..Limits::default() };
    let protected = Protected::at(Config { limits, ..crate::retention::by_hand() }, hands.clone()).await;
    let (agent, key) = with_item(&protected).await;
    agent.report_job(DOMAIN, JobId([1; 16]), &run_of(key, 1, JobState::Running)).await.unwrap();
    hands.pass(Duration::from_secs(121));
    wait_for(protected.admin(), JobId([1; 16]), JobState::Interrupted).await;
    for number in 2..=4 {
        agent.report_job(DOMAIN, JobId([number; 16]), &run_of(key, 2, JobState::Succeeded)).await.unwrap();
    }
    hands.set_ahead(-60 * 86_400_000);
    // Not a time at which it forgets what is young by either clock.
    hands.pass(Duration::from_secs(3601));
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let left = async || protected.admin().jobs(&JobsQuery::default()).await.unwrap().jobs.len();
    assert_eq!(left().await, 2, "the newest one, and the one that may only be cut off");
    agent.report_job(DOMAIN, JobId([1; 16]), &run_of(key, 1, JobState::Succeeded)).await.unwrap();
    assert_eq!(protected.admin().job(DOMAIN, JobId([4; 16])).await.unwrap().state, JobState::Succeeded);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_is_asked_for_of_a_point_that_is_there_and_to_a_plain_path() {
    let protected = Protected::new().await;
    with_item(&protected).await;
    let source = tempfile::tempdir().unwrap();
    std::fs::write(source.path().join("file"), "content").unwrap();
    let report = protected.keyed.backup(protected.domain().await, source.path()).await.unwrap();
    let restore = |point: PointId, to: Option<&str>, paths: &[&str]| {
        Work::Restore(RestoreWork {
            item: item("item"),
            point,
            paths: paths.iter().map(|path| (*path).to_owned()).collect(),
            strip: 0,
            to: to.map(str::to_owned),
            overwrite: Overwriting::Never,
        })
    };
    let (admin, point) = (protected.admin(), report.point.point);
    assert_eq!(refused(ask(admin, 1, restore(PointId([1; 32]), None, &[])).await), ErrorKind::NotFound);
    for (to, path) in [("relative", "/a"), ("/a/../../etc", "/a"), ("/a\0", "/a"), ("/a", "/../b"), ("", "/a")] {
        assert_eq!(refused(ask(admin, 1, restore(point, Some(to), &[path])).await), ErrorKind::Invalid, "{to:?}");
    }
    let asked = ask(admin, 1, restore(point, Some("/restored"), &["/a"])).await.unwrap();
    ask(admin, 2, restore(point, Some("/restored"), &["/a"])).await.unwrap();
    assert_eq!(asked.state, JobState::Waiting);
}
