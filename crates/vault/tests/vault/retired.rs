//! Agents that the owner retired: nothing waits for them, and nobody takes them for agents that may come back.

use crate::agents::hello;
use crate::jobs::{ask, backup, claim, report_of, run_of, wait_for, with_item};
use crate::protection::{nightly, set_policy};
use crate::retention::by_hand;
use crate::running::{DOMAIN, Hands, OTHER_DOMAIN, Protected, item};
use api::{JobState, JobsQuery, LogLine, Work};
use contract::{ErrorKind, Vault};
use format::JobId;
use format::descriptor::Descriptor;
use policy::PolicySettings;
use std::sync::Arc;
use std::time::Duration;
use vault::{Config, Limits};

/// The owner retires the agents of the first domain.
pub(crate) async fn retire(protected: &Protected) {
    let mut descriptor = Descriptor::clone(&protected.keyed.descriptor);
    descriptor.version += 1;
    descriptor.certificates.iter_mut().filter(|known| known.domain == DOMAIN).for_each(|known| known.retired = true);
    let signed = protected.keyed.owner.sign_descriptor(&descriptor);
    protected.admin().publish_descriptor(signed.into()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retired_agent_is_shown_as_retired_and_its_stream_ends_at_once() {
    let protected = Protected::new().await;
    let (agent, key) = with_item(&protected).await;
    let mut commands = agent.listen_for_commands(DOMAIN, &hello(key)).await.unwrap();
    commands.next().await.unwrap().unwrap();
    let shown = async || protected.admin().agents().await.unwrap().agents.remove(0);
    assert!(shown().await.connected && !shown().await.retired);
    retire(&protected).await;
    assert!(shown().await.retired);
    let ended = tokio::time::timeout(Duration::from_secs(5), commands.next()).await;
    assert!(ended.expect("it goes on").unwrap().is_none());
    let again = agent.listen_for_commands(DOMAIN, &hello(key)).await.map(drop).unwrap_err();
    assert!(again.kind() == ErrorKind::Denied && again.to_string().contains("retired"), "{again}");
    drop(commands);
    assert!(!shown().await.connected, "it listens no more");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_asked_for_what_only_a_retired_agent_would_do() {
    let protected = Protected::new().await;
    let (agent, key) = with_item(&protected).await;
    let asked = ask(protected.admin(), 1, backup()).await.unwrap();
    retire(&protected).await;
    let refused = ask(protected.admin(), 2, backup()).await.unwrap_err();
    assert!(refused.kind() == ErrorKind::Conflict && refused.to_string().contains("retired"), "{refused}");
    assert!(refused.hint().unwrap().contains("agent token"), "{refused:?}");
    assert_eq!(ask(protected.admin(), 1, backup()).await.unwrap().job, asked.job, "the same request is answered the same");
    let claimed = agent.claim_job(DOMAIN, &claim(key)).await.unwrap_err();
    assert!(claimed.kind() == ErrorKind::Denied && claimed.to_string().contains("retired"), "{claimed}");
    // What the service does itself is no agent's matter.
    ask(protected.admin(), 3, Work::Collection).await.unwrap();
    wait_for(protected.admin(), JobId([3; 16]), JobState::Succeeded).await;
    let other = protected.admin().listen_for_commands(OTHER_DOMAIN, &hello(key)).await;
    other.unwrap().next().await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_a_retired_agent_or_is_done_by_it_ends_and_says_why() {
    let (hands, config) = (Arc::new(Hands::default()), by_hand());
    let protected = Protected::at(config.clone(), hands.clone()).await;
    let (agent, key) = with_item(&protected).await;
    ask(protected.admin(), 1, backup()).await.unwrap();
    let taken = agent.claim_job(DOMAIN, &claim(key)).await.unwrap().unwrap();
    agent.report_job(DOMAIN, taken.job, &report_of(&taken, key, JobState::Running)).await.unwrap();
    ask(protected.admin(), 2, backup()).await.unwrap();
    retire(&protected).await;
    hands.pass(Duration::from_secs(61));
    let running = wait_for(protected.admin(), JobId([1; 16]), JobState::Interrupted).await;
    let waiting = wait_for(protected.admin(), JobId([2; 16]), JobState::Cancelled).await;
    for job in [running, waiting] {
        assert!(job.problem.as_ref().is_some_and(|problem| problem.message.contains("retired")), "{job:?}");
        assert!(job.ended_ms.is_some());
    }
    let late = agent.report_job(DOMAIN, taken.job, &report_of(&taken, key, JobState::Running)).await;
    assert_eq!(late.unwrap_err().kind(), ErrorKind::Conflict, "it is over");
    // The service may have ended in between.
    let pool = crate::told::database(protected.running.directory.path()).await;
    sqlx::query("UPDATE jobs SET state = 'waiting', ended_ms = NULL, problem = NULL").execute(&pool).await.unwrap();
    pool.close().await;
    let protected = protected.restart(config, hands).await;
    wait_for(protected.admin(), JobId([1; 16]), JobState::Cancelled).await;
    wait_for(protected.admin(), JobId([2; 16]), JobState::Cancelled).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retired_agent_begins_no_runs_and_tells_how_those_ended_that_it_does() {
    let protected = Protected::new().await;
    let (agent, key) = with_item(&protected).await;
    let report = async |id, slot_ms, state| agent.report_job(DOMAIN, JobId([id; 16]), &run_of(key, slot_ms, state)).await;
    report(1, 1000, JobState::Running).await.unwrap();
    retire(&protected).await;
    for state in [JobState::Running, JobState::Failed] {
        let refused = report(2, 2000, state).await.unwrap_err();
        assert!(refused.kind() == ErrorKind::Denied && refused.to_string().contains("retired"), "{refused}");
        assert!(refused.hint().unwrap().contains("agent token"), "{refused:?}");
    }
    report(1, 1000, JobState::Succeeded).await.unwrap();
    assert_eq!(protected.admin().job(DOMAIN, JobId([1; 16])).await.unwrap().state, JobState::Succeeded);
    assert_eq!(protected.admin().jobs(&JobsQuery::default()).await.unwrap().jobs.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_the_runs_that_end_with_their_agent_no_more_is_kept_than_of_others() {
    let hands = Arc::new(Hands::default());
    let limits = Limits { jobs_kept: 2, ..Limits::default() };
    let protected = Protected::at(Config { limits, ..by_hand() }, hands.clone()).await;
    let (agent, key) = with_item(&protected).await;
    for id in 1..=4 {
        let mut run = run_of(key, i64::from(id) * 1000, JobState::Running);
        run.log = vec![LogLine { time_ms: 1, text: "much".to_owned() }];
        agent.report_job(DOMAIN, JobId([id; 16]), &run).await.unwrap();
    }
    retire(&protected).await;
    hands.pass(Duration::from_secs(61));
    let last = wait_for(protected.admin(), JobId([4; 16]), JobState::Interrupted).await;
    assert!(last.problem.is_some_and(|problem| problem.message.contains("retired")));
    let kept = async || protected.admin().jobs(&JobsQuery::default()).await.unwrap().jobs;
    for _ in 0..100 {
        if kept().await.len() == 2 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(kept().await.len(), 2);
    let log = protected.admin().job_log(DOMAIN, JobId([4; 16])).await.unwrap();
    assert!(log.lines.is_empty(), "{log:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_cancelled_because_its_agent_is_retired_says_so_and_another_does_not() {
    let protected = Protected::new().await;
    with_item(&protected).await;
    ask(protected.admin(), 1, backup()).await.unwrap();
    protected.admin().cancel_job(DOMAIN, JobId([1; 16])).await.unwrap();
    ask(protected.admin(), 2, backup()).await.unwrap();
    retire(&protected).await;
    protected.admin().cancel_job(DOMAIN, JobId([2; 16])).await.unwrap();
    let other = wait_for(protected.admin(), JobId([1; 16]), JobState::Cancelled).await;
    assert_eq!(other.problem, None);
    let of_retired = wait_for(protected.admin(), JobId([2; 16]), JobState::Cancelled).await;
    let problem = of_retired.problem.expect("it does not say why");
    assert!(problem.message.contains("retired") && problem.hint.unwrap().contains("agent token"), "{}", problem.message);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_item_whose_agent_is_retired_has_no_next_run_and_is_overdue_all_the_same() {
    let hands = Arc::new(Hands::default());
    let protected = Protected::at(by_hand(), hands.clone()).await;
    with_item(&protected).await;
    let objective = PolicySettings { objective_minutes: Some(1560), ..nightly() };
    set_policy(protected.admin(), "nightly", objective).await.unwrap();
    let shown = async || protected.admin().item(DOMAIN, &item("item")).await.unwrap();
    let before = shown().await;
    assert!(before.next_ms.is_some() && !before.agent_retired);
    retire(&protected).await;
    let after = shown().await;
    assert!(after.agent_retired && after.next_ms.is_none(), "{after:?}");
    hands.pass(Duration::from_secs(27 * 3600));
    assert!(shown().await.overdue_since_ms.is_some());
}
