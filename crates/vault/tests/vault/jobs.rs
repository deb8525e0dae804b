//! Jobs: asked for, taken, reported, interrupted, stopped.

use crate::protection::{nightly, set_item, set_policy};
use crate::running::{DOMAIN, Protected, item};
use api::{Job, JobClaim, JobOrigin, JobReport, JobRequest, JobState, ServiceVault, Work};
use contract::ErrorKind;
use format::{AgentKey, JobId};

pub(crate) fn backup() -> Work {
    Work::Backup { item: item("item"), reread: false }
}

pub(crate) fn claim(agent: AgentKey) -> JobClaim {
    JobClaim { agent, busy: vec![], again: None }
}

/// A report of a job as it was taken.
pub(crate) fn report_of(job: &Job, agent: AgentKey, state: JobState) -> JobReport {
    JobReport {
        agent,
        fence: job.fence,
        work: job.work.clone(),
        origin: job.origin.clone(),
        attempt: 1,
        state,
        started_ms: 1,
        ended_ms: state.is_over().then_some(2),
        progress: None,
        result: None,
        problem: None,
        warnings: vec![],
        warnings_count: 0,
        log: vec![],
    }
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
    let orders = agent.report_job(DOMAIN, taken.job, &report_of(&taken, key, JobState::Running)).await.unwrap();
    assert!(!orders.cancel && orders.lease_seconds == 120);
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
    assert_eq!(failed.unwrap_err().kind(), ErrorKind::Conflict, "what is over stays as it is");
}
