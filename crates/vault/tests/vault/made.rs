//! Points and the jobs that make them: one each, whoever dies on the way.

use crate::jobs::{ask, backup, claim, run_of, wait_for, with_item};
use crate::retention::{by_hand, points};
use crate::retired::retire;
use crate::running::{DOMAIN, Hands, Protected, item};
use crate::told::database;
use api::{Completeness, Job, JobClaim, JobReport, JobResult, JobState, LogLine, PointOrigin, PointTold, Work};
use contract::{ErrorKind, Vault};
use engine::EngineError;
use format::{AgentKey, JobId, PointId};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const JOB: JobId = JobId([5; 16]);

/// A service, its agent's token and key, and something to protect.
struct Scene {
    protected: Protected,
    token: String,
    key: AgentKey,
    source: tempfile::TempDir,
    hands: Arc<Hands>,
}

impl Scene {
    async fn new() -> Self {
        let hands = Arc::new(Hands::default());
        let protected = Protected::at(by_hand(), hands.clone()).await;
        let (_, key) = with_item(&protected).await;
        let token = protected.agent_token().await;
        Self { protected, token, key, source: tempfile::tempdir().unwrap(), hands }
    }

    /// Makes a point, as this job's.
    async fn make(&self, job: JobId) -> Result<PointId, ErrorKind> {
        self.make_of(job, Completeness::Clean).await
    }

    async fn make_of(&self, job: JobId, completeness: Completeness) -> Result<PointId, ErrorKind> {
        make(&self.protected, &self.token, (job, completeness), self.source.path()).await
    }

    async fn report(&self, job: JobId, state: JobState) -> contract::Result<api::JobOrders> {
        let report = JobReport { warnings_count: 0, ..run_of(self.key, 1000, state) };
        self.protected.running.client(&self.token).report_job(DOMAIN, job, &report).await
    }
}

async fn make(
    protected: &Protected,
    token: &str,
    (job, completeness): (JobId, Completeness),
    source: &Path,
) -> Result<PointId, ErrorKind> {
    std::fs::write(source.join("file"), format!("{job} {}", points(protected).await.len())).unwrap();
    let told = PointTold { job: Some(job), origin: PointOrigin::Scheduled, completeness };
    let domain = protected.running.client_telling(token, told).domain(DOMAIN).await.unwrap();
    match protected.keyed.backup(domain, source).await {
        Ok(report) => Ok(report.point.point),
        Err(EngineError::Vault { source, .. }) => Err(source.kind()),
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_makes_one_point() {
    let scene = Scene::new().await;
    scene.report(JOB, JobState::Running).await.unwrap();
    let first = scene.make(JOB).await.unwrap();
    assert_eq!(scene.make(JOB).await, Err(ErrorKind::Conflict), "it was taken up again while its first commit was under way");
    assert_eq!(
        scene.make(JobId([6; 16])).await.map(drop),
        Ok(()),
        "a job that the service has not heard of may be made up for later"
    );
    let agent = scene.protected.running.client(&scene.token);
    assert_eq!(agent.point_of_job(DOMAIN, JOB).await.unwrap(), Some(first));
    assert_eq!(agent.point_of_job(DOMAIN, JobId([7; 16])).await.unwrap(), None);
    assert_eq!(scene.make(JobId([6; 16])).await, Err(ErrorKind::Conflict), "nor does one that it has not heard of make two");
    assert_eq!(points(&scene.protected).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_point_was_purged_since_stays_done_and_makes_no_other() {
    let scene = Scene::new().await;
    scene.report(JOB, JobState::Running).await.unwrap();
    let point = scene.make(JOB).await.unwrap();
    scene.hands.pass(LONG);
    end_of(&scene.protected, JOB).await;
    let domain = scene.protected.domain().await;
    domain.expire(&[point]).await.unwrap();
    domain.purge(&[point]).await.unwrap();
    assert_eq!(scene.make(JOB).await, Err(ErrorKind::Conflict));
    scene.report(JOB, JobState::Interrupted).await.unwrap();
    assert_done(&scene.protected.admin().job(DOMAIN, JOB).await.unwrap(), point, JobState::Succeeded);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_over_makes_no_point_any_more() {
    let scene = Scene::new().await;
    scene.report(JOB, JobState::Interrupted).await.unwrap();
    assert_eq!(scene.make(JOB).await, Err(ErrorKind::Conflict), "what an agent sent before it died comes late");
    assert!(points(&scene.protected).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_makes_the_point_of_a_job_that_is_about_something_else_or_another_agents() {
    let scene = Scene::new().await;
    let agent = scene.protected.running.client(&scene.token);
    let other = Work::Backup { item: item("other"), reread: false };
    let report = JobReport { work: other, ..run_of(scene.key, 1000, JobState::Running) };
    agent.report_job(DOMAIN, JOB, &report).await.unwrap();
    assert_eq!(scene.make(JOB).await, Err(ErrorKind::Denied));
    let elsewhere = JobReport { agent: AgentKey([9; 32]), ..run_of(scene.key, 2000, JobState::Running) };
    let admin = scene.protected.running.client(&scene.protected.admin_token);
    admin.report_job(DOMAIN, JobId([6; 16]), &elsewhere).await.unwrap();
    assert_eq!(scene.make(JobId([6; 16])).await, Err(ErrorKind::Denied));
    assert!(points(&scene.protected).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_lease_ran_out_may_still_make_its_point() {
    let hands = Arc::new(Hands::default());
    let protected = Protected::at(by_hand(), hands.clone()).await;
    let (agent, key) = with_item(&protected).await;
    let (token, source) = (protected.agent_token().await, tempfile::tempdir().unwrap());
    agent.report_job(DOMAIN, JOB, &run_of(key, 1000, JobState::Running)).await.unwrap();
    hands.pass(Duration::from_secs(121));
    wait_for(protected.admin(), JOB, JobState::Interrupted).await;
    assert!(make(&protected, &token, (JOB, Completeness::Clean), source.path()).await.is_ok(), "its agent was only cut off");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_whose_point_is_there_is_done_whatever_its_agent_knows_of_it() {
    let scene = Scene::new().await;
    for (number, state) in [JobState::Interrupted, JobState::Failed, JobState::Cancelled].into_iter().enumerate() {
        let job = JobId([number as u8 + 1; 16]);
        scene.report(job, JobState::Running).await.unwrap();
        let point = scene.make(job).await.unwrap();
        for _ in 0..2 {
            // The answer may be lost as well.
            scene.report(job, state).await.unwrap();
            let now = scene.protected.admin().job(DOMAIN, job).await.unwrap();
            assert_eq!((now.state, &now.problem), (JobState::Succeeded, &None), "{now:?}");
            let Some(JobResult::Backup(made)) = now.result else { panic!("{now:?}") };
            assert_eq!((made.point, made.completeness), (point, Completeness::Clean));
        }
        let log = scene.protected.admin().job_log(DOMAIN, job).await.unwrap();
        assert!(log.lines.iter().any(|line| line.text.contains("had not heard of it")), "{log:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_is_done_unknown_to_its_agent_is_not_called_clean_where_its_point_is_not() {
    let scene = Scene::new().await;
    for (number, completeness) in [Completeness::Warnings, Completeness::Incomplete].into_iter().enumerate() {
        let job = JobId([number as u8 + 1; 16]);
        scene.report(job, JobState::Running).await.unwrap();
        scene.make_of(job, completeness).await.unwrap();
        scene.report(job, JobState::Interrupted).await.unwrap();
        assert_eq!(scene.protected.admin().job(DOMAIN, job).await.unwrap().state, JobState::Warnings, "{completeness:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_point_is_being_committed_nothing_is_decided_about_its_job() {
    let scene = Scene::new().await;
    scene.report(JOB, JobState::Running).await.unwrap();
    let pool = database(scene.protected.running.directory.path()).await;
    // The commit begins, and cannot go on while somebody else writes to the service's database.
    let committing = async {
        let mut held = pool.acquire().await.unwrap();
        sqlx::query("BEGIN IMMEDIATE").execute(&mut *held).await.unwrap();
        let made = scene.make(JOB);
        tokio::pin!(made);
        let wait = Duration::from_millis(1500);
        assert!(tokio::time::timeout(wait, &mut made).await.is_err(), "it waits for the database");
        let agent = scene.protected.running.client(&scene.token);
        let asked = agent.point_of_job(DOMAIN, JOB);
        tokio::pin!(asked);
        let both = async {
            tokio::join!(&mut made, async {
                assert!(tokio::time::timeout(Duration::from_millis(500), &mut asked).await.is_err(), "it waits for the commit");
                sqlx::query("ROLLBACK").execute(&mut *held).await.unwrap();
                asked.await.unwrap()
            })
        };
        both.await
    };
    let (made, asked) = committing.await;
    assert_eq!(asked, Some(made.unwrap()));
}

/// The job is done by its point, and nobody had to say so.
fn assert_done(now: &Job, point: PointId, state: JobState) {
    assert_eq!((now.state, &now.problem), (state, &None), "{now:?}");
    let Some(JobResult::Backup(made)) = &now.result else { panic!("{now:?}") };
    assert!(made.point == point && now.ended_ms.is_some(), "{now:?}");
}

/// Waits until a job is over.
async fn end_of(protected: &Protected, job: JobId) -> Job {
    for _ in 0..200 {
        let now = protected.admin().job(DOMAIN, job).await.unwrap();
        if now.state.is_over() {
            return now;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{:?}", protected.admin().job(DOMAIN, job).await.unwrap());
}

/// Longer than a lease.
const LONG: Duration = Duration::from_secs(121);

#[tokio::test(flavor = "multi_thread")]
async fn a_run_of_which_nothing_is_heard_any_more_is_done_if_its_point_is_there() {
    let scene = Scene::new().await;
    let agent = scene.protected.running.client(&scene.token);
    let cases = [
        (Completeness::Clean, 0, JobState::Succeeded, Some(1000)),
        (Completeness::Clean, 3, JobState::Warnings, Some(2000)),
        (Completeness::Unknown, 0, JobState::Warnings, Some(3000)),
        (Completeness::Incomplete, 0, JobState::Warnings, Some(3000)),
    ];
    for (number, (completeness, warnings_count, state, slot_ms)) in cases.into_iter().enumerate() {
        let job = JobId([number as u8 + 1; 16]);
        let log = vec![LogLine { time_ms: 1, text: "it said this".to_owned() }];
        let slot = 1000 * (number as i64 + 1);
        let run = JobReport { warnings_count, log, ..run_of(scene.key, slot, JobState::Running) };
        agent.report_job(DOMAIN, job, &run).await.unwrap();
        let point = scene.make_of(job, completeness).await.unwrap();
        scene.hands.pass(LONG);
        let now = end_of(&scene.protected, job).await;
        assert_done(&now, point, state);
        let Some(JobResult::Backup(made)) = &now.result else { panic!("{now:?}") };
        assert_eq!((made.completeness, now.warnings_count), (completeness, warnings_count));
        let log = scene.protected.admin().job_log(DOMAIN, job).await.unwrap();
        let texts: Vec<&str> = log.lines.iter().map(|line| line.text.as_str()).collect();
        assert!(texts[0] == "it said this" && texts[1].contains("nothing more was heard"), "{texts:?}");
        assert_eq!(agent.protection(DOMAIN).await.unwrap().items[0].last_slot_ms, slot_ms, "{completeness:?}");
    }
    // Its agent was only cut off, and knows more.
    let counted = JobReport { warnings_count: 7, ..run_of(scene.key, 1000, JobState::Warnings) };
    agent.report_job(DOMAIN, JobId([1; 16]), &counted).await.unwrap();
    let now = scene.protected.admin().job(DOMAIN, JobId([1; 16])).await.unwrap();
    assert_eq!((now.state, now.warnings_count), (JobState::Warnings, 7));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_was_taken_and_never_reported_does_not_wait_again_if_its_point_is_there() {
    let scene = Scene::new().await;
    let agent = scene.protected.running.client(&scene.token);
    ask(scene.protected.admin(), 1, backup()).await.unwrap();
    let taken = agent.claim_job(DOMAIN, &claim(scene.key)).await.unwrap().unwrap();
    let point = scene.make(taken.job).await.unwrap();
    scene.hands.pass(LONG);
    assert_done(&end_of(&scene.protected, taken.job).await, point, JobState::Succeeded);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_done_once_its_point_comes_though_it_was_given_up_before() {
    let scene = Scene::new().await;
    let agent = scene.protected.running.client(&scene.token);
    // Interrupted by its lease, and one that waits again.
    scene.report(JOB, JobState::Running).await.unwrap();
    scene.hands.pass(LONG);
    assert_eq!(end_of(&scene.protected, JOB).await.state, JobState::Interrupted);
    let point = scene.make(JOB).await.unwrap();
    assert_done(&scene.protected.admin().job(DOMAIN, JOB).await.unwrap(), point, JobState::Succeeded);
    ask(scene.protected.admin(), 1, backup()).await.unwrap();
    let taken = agent.claim_job(DOMAIN, &claim(scene.key)).await.unwrap().unwrap();
    scene.hands.pass(LONG);
    wait_for(scene.protected.admin(), taken.job, JobState::Waiting).await;
    let point = scene.make(taken.job).await.unwrap();
    assert_done(&scene.protected.admin().job(DOMAIN, taken.job).await.unwrap(), point, JobState::Succeeded);
    assert_eq!(agent.claim_job(DOMAIN, &claim(scene.key)).await.unwrap(), None, "nobody makes it twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_somebody_cancelled_is_done_if_its_point_is_there() {
    let scene = Scene::new().await;
    let agent = scene.protected.running.client(&scene.token);
    ask(scene.protected.admin(), 1, backup()).await.unwrap();
    let taken = agent.claim_job(DOMAIN, &claim(scene.key)).await.unwrap().unwrap();
    let point = scene.make(taken.job).await.unwrap();
    scene.protected.admin().cancel_job(DOMAIN, taken.job).await.unwrap();
    let again = JobClaim { again: Some(taken.job), ..claim(scene.key) };
    assert_eq!(agent.claim_job(DOMAIN, &again).await.unwrap(), None);
    assert_done(&scene.protected.admin().job(DOMAIN, taken.job).await.unwrap(), point, JobState::Succeeded);
    // Nobody has taken it again, and its agent never says anything.
    ask(scene.protected.admin(), 2, backup()).await.unwrap();
    let taken = agent.claim_job(DOMAIN, &claim(scene.key)).await.unwrap().unwrap();
    let point = scene.make(taken.job).await.unwrap();
    scene.protected.admin().cancel_job(DOMAIN, taken.job).await.unwrap();
    scene.hands.pass(LONG);
    assert_done(&end_of(&scene.protected, taken.job).await, point, JobState::Succeeded);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_of_a_retired_agent_is_done_if_its_point_is_there() {
    let scene = Scene::new().await;
    scene.report(JOB, JobState::Running).await.unwrap();
    let point = scene.make(JOB).await.unwrap();
    retire(&scene.protected).await;
    scene.hands.pass(Duration::from_secs(61));
    assert_done(&end_of(&scene.protected, JOB).await, point, JobState::Succeeded);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_point_that_is_there_counts_though_the_service_could_not_note_it() {
    let scene = Scene::new().await;
    let agent = scene.protected.running.client(&scene.token);
    let pool = database(scene.protected.running.directory.path()).await;
    let forget = async || {
        // As it stands between the vault's commit and the note of it.
        sqlx::query("UPDATE points SET promised = zeroblob(16)").execute(&pool).await.unwrap();
    };
    let jobs = [1, 2, 3, 4].map(|job| JobId([job; 16]));
    let mut made = Vec::new();
    for job in jobs {
        scene.report(job, JobState::Running).await.unwrap();
        made.push(scene.make(job).await.unwrap());
    }
    forget().await;
    assert_eq!(agent.point_of_job(DOMAIN, jobs[0]).await.unwrap(), Some(made[0]));
    forget().await;
    assert_eq!(scene.make(jobs[1]).await, Err(ErrorKind::Conflict), "a job makes one point");
    forget().await;
    scene.report(jobs[2], JobState::Failed).await.unwrap();
    assert_done(&scene.protected.admin().job(DOMAIN, jobs[2]).await.unwrap(), made[2], JobState::Succeeded);
    forget().await;
    scene.hands.pass(LONG);
    assert_done(&end_of(&scene.protected, jobs[3]).await, made[3], JobState::Succeeded);
}
