//! Sessions and their leases over HTTP.

use crate::running::{DOMAIN, OTHER_DOMAIN, Protected, Running, item};
use contract::{ErrorKind, OpenSession, Vault};
use std::time::Duration;
use vault::Limits;

fn open(protected: &Protected) -> OpenSession {
    OpenSession { item: item("item"), agent: protected.keyed.signer().key() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_with_its_lease_and_lives_while_it_is_renewed() {
    let protected = Protected::with(Limits { lease_seconds: 2, ..Limits::default() }).await;
    let domain = protected.domain().await;
    let (kept, left) =
        (domain.open_session(open(&protected)).await.unwrap(), domain.open_session(open(&protected)).await.unwrap());
    assert_eq!(domain.status().await.unwrap().sessions_open, 2);
    for _ in 0..8 {
        tokio::time::sleep(Duration::from_millis(500)).await;
        domain.renew_session(kept.session).await.unwrap();
    }
    assert_eq!(domain.status().await.unwrap().sessions_open, 1);
    assert_eq!(domain.renew_session(left.session).await.unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(domain.issue_packs(left.session, 1).await.unwrap_err().kind(), ErrorKind::Conflict);
    domain.issue_packs(kept.session, 1).await.unwrap();
    domain.abandon_session(kept.session).await.unwrap();
    assert_eq!(domain.status().await.unwrap().sessions_open, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_keeps_its_point_for_as_long_as_its_client_lives() {
    let protected = Protected::with(Limits { lease_seconds: 3, ..Limits::default() }).await;
    let source = tempfile::tempdir().unwrap();
    std::fs::write(source.path().join("file"), "content").unwrap();
    let report = protected.keyed.backup(protected.domain().await, source.path()).await.unwrap();
    let domain = protected.domain().await;
    let reader = domain.open_reader(report.point.point).await.unwrap();
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(domain.status().await.unwrap().sessions_open, 1, "the client renews by itself");
    drop(domain);
    let domain = protected.domain().await;
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(domain.status().await.unwrap().sessions_open, 0, "a client that is gone leaves nothing open");
    domain.close_reader(reader).await.unwrap();
    assert_eq!(domain.open_reader(format::PointId([9; 32])).await.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_of_a_service_that_was_restarted_end_with_one_more_lease() {
    let protected = Protected::new().await;
    protected.domain().await.open_session(open(&protected)).await.unwrap();
    let Protected { running, admin_token, .. } = protected;
    let directory = running.stop().await;
    let running = Running::start(directory, Limits { lease_seconds: 2, ..Limits::default() }).await;
    let domain = running.client(&admin_token).domain(DOMAIN).await.unwrap();
    assert_eq!(domain.status().await.unwrap().sessions_open, 1);
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(domain.status().await.unwrap().sessions_open, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_over_their_limit_are_answered_as_busy() {
    let protected = Protected::with(Limits { sessions: 1, ..Limits::default() }).await;
    let opened = protected.domain().await.open_session(open(&protected)).await.unwrap();
    let body = format!("{{\"item\":\"item\",\"agent\":\"{}\"}}", protected.keyed.signer().key()).into_bytes();
    let path = format!("/v1/domains/{DOMAIN}/sessions");
    let token = Some(protected.admin_token.as_str());
    assert_eq!(crate::requests::ask(&protected.running, "POST", &path, token, body.clone()).await.status, 503);
    protected.domain().await.abandon_session(opened.session).await.unwrap();
    assert_eq!(crate::requests::ask(&protected.running, "POST", &path, token, body).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_domain_does_not_have_all_sessions() {
    let protected = Protected::with(Limits { domain_sessions: 1, ..Limits::default() }).await;
    protected.domain().await.open_session(open(&protected)).await.unwrap();
    let body = format!("{{\"item\":\"item\",\"agent\":\"{}\"}}", protected.keyed.signer().key()).into_bytes();
    let token = Some(protected.admin_token.as_str());
    let ask =
        async |path: String, body: Vec<u8>| crate::requests::ask(&protected.running, "POST", &path, token, body).await.status;
    assert_eq!(ask(format!("/v1/domains/{DOMAIN}/sessions"), body).await, 503);
    let agent = protected.keyed.owner.agent_signer(OTHER_DOMAIN).key();
    let body = format!("{{\"item\":\"item\",\"agent\":\"{agent}\"}}").into_bytes();
    assert_eq!(ask(format!("/v1/domains/{OTHER_DOMAIN}/sessions"), body).await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_ended_and_renewed_in_its_own_domain_and_as_what_it_is() {
    let protected = Protected::with(Limits { lease_seconds: 2, ..Limits::default() }).await;
    let source = tempfile::tempdir().unwrap();
    std::fs::write(source.path().join("file"), "content").unwrap();
    let report = protected.keyed.backup(protected.domain().await, source.path()).await.unwrap();
    let (own, other) = (protected.domain().await, protected.admin().domain(OTHER_DOMAIN).await.unwrap());
    let writer = own.open_session(open(&protected)).await.unwrap().session;
    let reader = own.open_reader(report.point.point).await.unwrap();
    other.close_reader(writer).await.unwrap();
    other.close_reader(reader).await.unwrap();
    other.abandon_session(writer).await.unwrap();
    own.close_reader(writer).await.unwrap();
    own.abandon_session(reader).await.unwrap();
    assert_eq!(own.status().await.unwrap().sessions_open, 2, "nobody else ends them");
    own.renew_session(writer).await.unwrap();
    let renew = async |domain, session| {
        let path = format!("/v1/domains/{domain}/readers/{session}/lease");
        crate::requests::ask(&protected.running, "PUT", &path, Some(&protected.admin_token), Vec::new()).await.status
    };
    assert_eq!(renew(OTHER_DOMAIN, reader).await, 409);
    assert_eq!(renew(DOMAIN, writer).await, 409, "a writer is no reader");
    assert_eq!(renew(DOMAIN, reader).await, 204);
    own.close_reader(reader).await.unwrap();
    own.abandon_session(writer).await.unwrap();
    assert_eq!(own.status().await.unwrap().sessions_open, 0);
}
