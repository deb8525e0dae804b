//! Agents: streams of commands, and who is seen.

use crate::jobs::{ask, backup, run_of, with_item};
use crate::protection::{nightly, set_policy};
use crate::running::{DOMAIN, Hands, OTHER_DOMAIN, Protected};
use api::{AgentHello, JobState, ProgressBody};
use contract::ErrorKind;
use format::{AgentKey, JobId};
use policy::PolicySettings;
use std::sync::Arc;
use std::time::{Duration, Instant};
use vault::{Config, Limits};

pub(crate) fn hello(agent: AgentKey) -> AgentHello {
    AgentHello { agent, host: "machine".to_owned(), program: "agent 1".to_owned(), time_ms: 0 }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_hears_at_once_what_waits_and_of_every_change() {
    let protected = Protected::new().await;
    let (agent, key) = with_item(&protected).await;
    let mut commands = agent.listen_for_commands(DOMAIN, &hello(key)).await.unwrap();
    let first = commands.next().await.unwrap().unwrap();
    assert!(first.revision > 0 && first.waiting == 0 && first.cancel.is_empty() && first.time_ms > 0);
    ask(protected.admin(), 1, backup()).await.unwrap();
    assert_eq!(commands.next().await.unwrap().unwrap().waiting, 1);
    set_policy(protected.admin(), "nightly", PolicySettings { spread_minutes: 1, ..nightly() }).await.unwrap();
    let changed = commands.next().await.unwrap().unwrap();
    assert!(changed.revision > first.revision && changed.waiting == 1);
    assert_eq!(changed.revision, agent.protection(DOMAIN).await.unwrap().revision);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_hears_nothing_new_hears_that_the_service_is_there() {
    let protected = Protected::new().await;
    let (agent, key) = with_item(&protected).await;
    let mut commands = agent.listen_for_commands(DOMAIN, &hello(key)).await.unwrap();
    let first = commands.next().await.unwrap().unwrap();
    let started = Instant::now();
    let second = commands.next().await.unwrap().unwrap();
    assert!((Duration::from_secs(10)..Duration::from_secs(16)).contains(&started.elapsed()), "{:?}", started.elapsed());
    assert_eq!((second.revision, second.waiting), (first.revision, first.waiting));
    assert!(second.time_ms > first.time_ms);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_hears_that_the_service_is_there_also_while_much_goes_on_that_is_no_news_for_it() {
    let protected = Protected::new().await;
    let (agent, key) = with_item(&protected).await;
    let mut commands = agent.listen_for_commands(DOMAIN, &hello(key)).await.unwrap();
    commands.next().await.unwrap().unwrap();
    let reporting = tokio::spawn(async move {
        let mut report = run_of(key, 1, JobState::Running);
        for done in 0.. {
            report.progress = Some(ProgressBody { phase: "reading".to_owned(), done, total: None, bytes: 0 });
            agent.report_job(DOMAIN, JobId([1; 16]), &report).await.unwrap();
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    });
    tokio::time::timeout(Duration::from_secs(16), commands.next()).await.unwrap().unwrap().unwrap();
    reporting.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_seen_who_listens_and_a_stream_that_broke_leaves_nothing() {
    let (hands, config) = (Arc::new(Hands::default()), Config::default());
    let protected = Protected::at(config.clone(), hands.clone()).await;
    let (agent, key) = with_item(&protected).await;
    let commands = agent.listen_for_commands(DOMAIN, &hello(key)).await.unwrap();
    let agents = protected.admin().agents().await.unwrap().agents;
    let [seen] = agents.as_slice() else { panic!("{agents:?}") };
    assert_eq!((seen.domain, seen.agent, seen.host.as_str(), seen.program.as_str()), (DOMAIN, key, "machine", "agent 1"));
    assert!(seen.connected && seen.seen_ms > 0 && seen.ahead_ms == -seen.seen_ms.min(-seen.ahead_ms));
    drop((commands, agent));
    for _ in 0..100 {
        if !protected.admin().agents().await.unwrap().agents[0].connected {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let metrics = crate::requests::ask(&protected.running, "GET", "/metrics", Some(&protected.admin_token), vec![]).await;
    let metrics = String::from_utf8(metrics.body).unwrap();
    assert!(metrics.contains("\nholdfast_agents_connected 0\n") && metrics.contains("\nholdfast_listeners 0\n"), "{metrics}");
    let protected = protected.restart(config, hands).await;
    let after = protected.admin().agents().await.unwrap().agents;
    assert!(after.len() == 1 && after[0].host == "machine" && !after[0].connected, "it is remembered: {after:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_end_as_soon_as_the_service_is_about_to_end() {
    let protected = Protected::new().await;
    let (agent, key) = with_item(&protected).await;
    let asked = ask(protected.admin(), 1, backup()).await.unwrap();
    let mut commands = agent.listen_for_commands(DOMAIN, &hello(key)).await.unwrap();
    let mut events = agent.follow_job(DOMAIN, asked.job).await.unwrap();
    commands.next().await.unwrap().unwrap();
    events.next().await.unwrap().unwrap();
    let started = Instant::now();
    let (_, ended, over) = tokio::join!(protected.running.stop(), commands.next(), events.next());
    assert!(ended.unwrap().is_none() && over.unwrap().is_none(), "they end, they do not break");
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_when_the_token_of_its_listener_is_ended() {
    let protected = Protected::new().await;
    let (_, key) = with_item(&protected).await;
    let scope = api::Scope::Agent { domain: DOMAIN, agent: key };
    let issued = protected.admin().issue_token("stolen", scope).await.unwrap();
    let mut commands = protected.running.client(&issued.secret).listen_for_commands(DOMAIN, &hello(key)).await.unwrap();
    commands.next().await.unwrap().unwrap();
    protected.admin().revoke_token(&issued.token.id).await.unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(20), commands.next()).await.unwrap();
    assert!(ended.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn so_many_listen_and_one_domain_leaves_room_for_others() {
    let limits = Limits { listeners: 3, domain_listeners: 2, ..Limits::default() };
    let protected = Protected::with(limits).await;
    let (agent, key) = with_item(&protected).await;
    let admin = protected.admin();
    let (_first, _second) = (
        agent.listen_for_commands(DOMAIN, &hello(key)).await.unwrap(),
        agent.listen_for_commands(DOMAIN, &hello(key)).await.unwrap(),
    );
    let body = serde_json::to_vec(&hello(key)).unwrap();
    let path = |domain| format!("/v1/domains/{domain}/commands");
    let token = Some(protected.admin_token.as_str());
    let refused = crate::requests::ask(&protected.running, "POST", &path(DOMAIN), token, body.clone()).await;
    assert!(refused.status == 503 && refused.headers.contains("retry-after"), "{}", refused.headers);
    let other = AgentKey([5; 32]);
    let _third = admin.listen_for_commands(OTHER_DOMAIN, &hello(other)).await.unwrap();
    assert_eq!(crate::requests::ask(&protected.running, "POST", &path(OTHER_DOMAIN), token, body).await.status, 503);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_domain_has_so_many_agents_and_no_more() {
    let protected = Protected::new().await;
    let admin = protected.admin();
    for number in 0..64 {
        admin.listen_for_commands(DOMAIN, &hello(AgentKey([number; 32]))).await.unwrap();
    }
    let more = admin.listen_for_commands(DOMAIN, &hello(AgentKey([99; 32]))).await.map(drop);
    assert_eq!(more.unwrap_err().kind(), ErrorKind::Conflict);
    let long = AgentHello { host: "ä".repeat(1000), ..hello(AgentKey([1; 32])) };
    admin.listen_for_commands(DOMAIN, &long).await.unwrap();
    let agents = admin.agents().await.unwrap().agents;
    assert!(agents.len() == 64 && agents[1].host.len() == 256);
}
