//! Sessions and their leases over HTTP.

use crate::running::{DOMAIN, Protected, Running, item};
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
