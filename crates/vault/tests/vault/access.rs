//! Who may do what: every endpoint, with every kind of caller.

use crate::running::{DOMAIN, OTHER_DOMAIN, Protected};
use api::Scope;
use contract::{ErrorKind, OpenSession, PointFilter, Vault};
use format::{AgentKey, PointId, SessionId};
use std::collections::BTreeSet;
use vault::Access::{Administrator, Anyone, Newcomer, OneTime, Open, OwnDomain};
use vault::{Access, endpoints};

/// What each endpoint shall ask for. A new endpoint is added here on purpose, or this test fails.
const EXPECTED: &[(&str, &str, Access)] = &[
    ("GET", "/healthz", Open),
    ("GET", "/readyz", Open),
    ("GET", "/metrics", Administrator),
    ("GET", "/v1/openapi.json", Open),
    ("GET", "/v1/scope", Anyone),
    ("POST", "/v1/login", OneTime),
    ("GET", "/v1/tokens", Administrator),
    ("POST", "/v1/tokens", Administrator),
    ("DELETE", "/v1/tokens/{token}", Administrator),
    ("GET", "/v1/vault/descriptor", Anyone),
    ("PUT", "/v1/vault/descriptor", Administrator),
    ("GET", "/v1/vault/enrolments", Anyone),
    ("GET", "/v1/vault/owner-key", Open),
    ("POST", "/v1/enrolments", Newcomer),
    ("GET", "/v1/vault/passphrase-wrap", Administrator),
    ("PUT", "/v1/vault/passphrase-wrap", Administrator),
    ("DELETE", "/v1/vault/passphrase-wrap", Administrator),
    ("POST", "/v1/vault/checks", Administrator),
    ("POST", "/v1/domains/{domain}/sessions", OwnDomain),
    ("PUT", "/v1/domains/{domain}/sessions/{session}/lease", OwnDomain),
    ("DELETE", "/v1/domains/{domain}/sessions/{session}", OwnDomain),
    ("PUT", "/v1/domains/{domain}/sessions/{session}/key", OwnDomain),
    ("POST", "/v1/domains/{domain}/sessions/{session}/pack-names", OwnDomain),
    ("PUT", "/v1/domains/{domain}/sessions/{session}/packs/{pack}", OwnDomain),
    ("POST", "/v1/domains/{domain}/sessions/{session}/missing", OwnDomain),
    ("POST", "/v1/domains/{domain}/sessions/{session}/point", OwnDomain),
    ("POST", "/v1/domains/{domain}/sessions/{session}/checkpoint", OwnDomain),
    ("GET", "/v1/domains/{domain}/items/{item}/head", OwnDomain),
    ("GET", "/v1/domains/{domain}/points", OwnDomain),
    ("POST", "/v1/domains/{domain}/readers", OwnDomain),
    ("PUT", "/v1/domains/{domain}/readers/{session}/lease", OwnDomain),
    ("DELETE", "/v1/domains/{domain}/readers/{session}", OwnDomain),
    ("POST", "/v1/domains/{domain}/sessions/{session}/places", OwnDomain),
    ("POST", "/v1/domains/{domain}/packs/{pack}/ranges", OwnDomain),
    ("GET", "/v1/domains/{domain}/packs/{pack}/footer", OwnDomain),
    ("GET", "/v1/domains/{domain}/keys/{key}", OwnDomain),
    ("POST", "/v1/domains/{domain}/unreadable", OwnDomain),
    ("GET", "/v1/domains/{domain}/status", OwnDomain),
    ("POST", "/v1/domains/{domain}/points/expire", Administrator),
    ("POST", "/v1/domains/{domain}/points/undelete", Administrator),
    ("POST", "/v1/domains/{domain}/points/purge", Administrator),
    ("POST", "/v1/domains/{domain}/collections", Administrator),
    ("POST", "/v1/domains/{domain}/checks", Administrator),
    ("GET", "/v1/policies", Administrator),
    ("GET", "/v1/policies/{policy}", Administrator),
    ("PUT", "/v1/policies/{policy}", Administrator),
    ("DELETE", "/v1/policies/{policy}", Administrator),
    ("GET", "/v1/items", Administrator),
    ("GET", "/v1/domains/{domain}/items/{item}", OwnDomain),
    ("PUT", "/v1/domains/{domain}/items/{item}", Administrator),
    ("DELETE", "/v1/domains/{domain}/items/{item}", Administrator),
    ("GET", "/v1/domains/{domain}/items/{item}/points", OwnDomain),
    ("POST", "/v1/domains/{domain}/items/{item}/review", Administrator),
    ("GET", "/v1/domains/{domain}/protection", OwnDomain),
    ("GET", "/v1/clock", Administrator),
    ("POST", "/v1/clock/acknowledgement", Administrator),
    ("GET", "/v1/agents", Administrator),
    ("POST", "/v1/domains/{domain}/commands", OwnDomain),
    ("GET", "/v1/jobs", Administrator),
    ("POST", "/v1/domains/{domain}/jobs", Administrator),
    ("POST", "/v1/domains/{domain}/jobs/claims", OwnDomain),
    ("GET", "/v1/domains/{domain}/jobs/{job}", OwnDomain),
    ("GET", "/v1/domains/{domain}/jobs/{job}/point", OwnDomain),
    ("GET", "/v1/domains/{domain}/jobs/{job}/log", OwnDomain),
    ("GET", "/v1/domains/{domain}/jobs/{job}/events", OwnDomain),
    ("PUT", "/v1/domains/{domain}/jobs/{job}/report", OwnDomain),
    ("POST", "/v1/domains/{domain}/jobs/{job}/cancel", Administrator),
];

#[test]
fn every_endpoint_has_the_access_that_is_written_here() {
    let mounted: BTreeSet<(&str, &str)> = endpoints().iter().map(|endpoint| (endpoint.method_name(), endpoint.path)).collect();
    let expected: BTreeSet<(&str, &str)> = EXPECTED.iter().map(|(method, path, _)| (*method, *path)).collect();
    assert_eq!(mounted, expected);
    for endpoint in endpoints() {
        let known = EXPECTED.iter().find(|(method, path, _)| (*method, *path) == (endpoint.method_name(), endpoint.path));
        assert_eq!(known.map(|(_, _, access)| *access), Some(endpoint.access), "{} {}", endpoint.method_name(), endpoint.path);
    }
}

/// A path with ids in it, of this domain.
fn path(template: &str, domain: &str) -> String {
    let id = |bytes: usize| "a7".repeat(bytes);
    template
        .replace("{domain}", domain)
        .replace("{session}", &id(16))
        .replace("{pack}", &id(16))
        .replace("{key}", &id(32))
        .replace("{item}", "item")
        .replace("{policy}", "policy")
        .replace("{job}", &id(16))
        .replace("{token}", "abc")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_endpoint_is_closed_to_those_who_may_not() {
    let protected = Protected::new().await;
    let agent = protected.agent_token().await;
    let never = format!("hf_{}_{}", "0".repeat(16), "0".repeat(64));
    let (own, other) = (DOMAIN.to_string(), OTHER_DOMAIN.to_string());
    let unknown = "ee".repeat(16);
    for (method, template, access) in EXPECTED {
        let ask = async |domain: &str, token: Option<&str>| {
            let body = if *access == OneTime { b"{\"name\":\"x\"}".to_vec() } else { Vec::new() };
            crate::requests::ask(&protected.running, method, &path(template, domain), token, body).await
        };
        let what = format!("{method} {template}");
        match access {
            Open => {
                assert_eq!(ask(&own, None).await.status, 200, "{what}");
                continue;
            }
            Newcomer => {
                assert_eq!(ask(&own, None).await.status, 400, "{what}: it holds no proof");
                continue;
            }
            _ => {}
        }
        assert_eq!(ask(&own, None).await.status, 401, "{what}");
        assert_eq!(ask(&own, Some("nonsense")).await.status, 401, "{what}");
        assert_eq!(ask(&own, Some(&never)).await.status, 401, "{what}");
        match access {
            OwnDomain => {
                // Behind the door a request may still be denied, for what is in it.
                let answered = ask(&own, Some(&agent)).await;
                let at_the_door = String::from_utf8_lossy(&answered.body).contains("the token is not good for that");
                assert!(answered.status != 401 && !at_the_door, "{what}");
                assert_eq!(ask(&other, Some(&agent)).await.status, 403, "{what}");
                assert_eq!(ask(&unknown, Some(&agent)).await.status, 403, "{what}");
                assert_eq!(ask("nonsense", Some(&agent)).await.status, 400, "{what}");
            }
            Administrator => assert_eq!(ask(&own, Some(&agent)).await.status, 403, "{what}"),
            _ => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stolen_agents_token_deletes_nothing_and_opens_sessions_for_its_own_agent_only() {
    let protected = Protected::new().await;
    let agent = protected.running.client(&protected.agent_token().await);
    let domain = agent.domain(DOMAIN).await.unwrap();
    let denied = |outcome: Result<(), contract::Error>| assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Denied);
    denied(domain.expire(&[PointId([1; 32])]).await);
    denied(domain.undelete(&[PointId([1; 32])]).await);
    denied(domain.purge(&[PointId([1; 32])]).await);
    denied(domain.collect(contract::CollectOptions::default(), std::sync::Arc::new(|_| ())).await.map(drop));
    denied(agent.publish_descriptor(b"x".to_vec().into()).await);
    denied(agent.passphrase_wrap().await.map(drop));
    denied(agent.set_passphrase_wrap(None).await);
    denied(agent.issue_token("more", Scope::Administrator).await.map(drop));
    denied(agent.tokens().await.map(drop));
    let open = |agent| OpenSession { item: crate::running::item("item"), agent };
    denied(domain.open_session(open(AgentKey([9; 32]))).await.map(drop));
    let elsewhere = agent.domain(OTHER_DOMAIN).await.unwrap();
    denied(elsewhere.open_session(open(protected.keyed.signer().key())).await.map(drop));
    denied(elsewhere.points(PointFilter::default()).await.map(drop));
    denied(elsewhere.locate(SessionId([1; 16]), &[]).await.map(drop));
    domain.open_session(open(protected.keyed.signer().key())).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_was_ended_opens_nothing_and_a_one_time_token_works_once() {
    let protected = Protected::new().await;
    let issued = protected.admin().issue_token("second", Scope::Administrator).await.unwrap();
    let second = protected.running.client(&issued.secret);
    assert_eq!(second.own_scope().await.unwrap(), Scope::Administrator);
    assert_eq!(second.tokens().await.unwrap().tokens.len(), 2);
    protected.admin().revoke_token(&issued.token.id).await.unwrap();
    assert_eq!(second.own_scope().await.unwrap_err().kind(), ErrorKind::Denied);
    let used = protected.running.one_time.clone().unwrap();
    assert_eq!(protected.running.client(&used).redeem("again").await.unwrap_err().kind(), ErrorKind::Denied);
    let more = vault::one_time_token(&protected.running.directory.path().join("data")).await.unwrap();
    assert_eq!(protected.running.client(&more).descriptor().await.unwrap_err().kind(), ErrorKind::Denied);
    protected.running.client(&more).redeem("again").await.unwrap();
}
