//! Connections that break while a backup runs.

use crate::protection::{name, nightly, set_item, set_policy};
use crate::running::{DOMAIN, Protected, item, noise};
use api::{Address, ServiceOptions, ServiceVault};
use contract::{ErrorKind, Vault};
use secrecy::SecretString;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A connection breaks when so many bytes went up.
const BREAK_AFTER: usize = 20 << 20;
/// So many do; then the line holds.
const BREAKS: u32 = 4;
/// Packs that the engine stores at once.
const STREAMS: u64 = 2;

/// Passes connections on to the service and breaks some.
async fn proxy(to: SocketAddr, breaks: Arc<AtomicU32>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let breaks = breaks.clone();
            tokio::spawn(async move {
                let service = TcpStream::connect(to).await.unwrap();
                let (mut from_client, mut to_client) = client.into_split();
                let (mut from_service, mut to_service) = service.into_split();
                let down = tokio::spawn(async move { tokio::io::copy(&mut from_service, &mut to_client).await });
                let (mut buffer, mut sent) = (vec![0; 64 << 10], 0);
                while let Ok(read @ 1..) = from_client.read(&mut buffer).await {
                    sent += read;
                    if sent > BREAK_AFTER && breaks.load(Ordering::SeqCst) < BREAKS {
                        breaks.fetch_add(1, Ordering::SeqCst);
                        break;
                    }
                    if to_service.write_all(&buffer[..read]).await.is_err() {
                        break;
                    }
                }
                down.abort();
            });
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_goes_on_over_a_line_that_breaks_and_sends_no_acknowledged_pack_again() {
    let protected = Protected::new().await;
    let breaks = Arc::new(AtomicU32::new(0));
    let address: Address = format!("https://{}", proxy(protected.running.address, breaks.clone()).await).parse().unwrap();
    let token = SecretString::from(protected.admin_token.as_str());
    let client = ServiceVault::new(ServiceOptions::new(address, Some(protected.running.authority), token)).unwrap();
    let source = tempfile::tempdir().unwrap();
    for number in 0..15 {
        std::fs::write(source.path().join(format!("{number}")), noise(number, 10 << 20)).unwrap();
    }
    let domain = client.domain(DOMAIN).await.unwrap();
    protected.keyed.backup(domain, source.path()).await.unwrap();
    let broken = u64::from(breaks.load(Ordering::SeqCst));
    assert!(broken >= 2, "{broken}");
    let status = protected.domain().await.status().await.unwrap();
    let metrics = crate::requests::ask(&protected.running, "GET", "/metrics", Some(&protected.admin_token), Vec::new()).await;
    let metrics = String::from_utf8(metrics.body).unwrap();
    let received: u64 =
        metrics.lines().find_map(|line| line.strip_prefix("holdfast_packs_received_total ")).unwrap().parse().unwrap();
    // A pack came whole a second time only if its answer was on a line that broke: at most one a stream.
    let again = broken * STREAMS;
    assert!(received >= status.packs && received <= status.packs + again, "{received} {} {broken}", status.packs);
    let out = tempfile::tempdir().unwrap();
    protected.keyed.restore(protected.domain().await, out.path()).await;
    assert!(workloads::zoo::compare(source.path(), &out.path().join(source.path().strip_prefix("/").unwrap())).is_empty());
}

/// Passes connections on to the service; armed, one ends when the service has done what came over it, and its answer is lost.
async fn deaf_proxy(to: SocketAddr, armed: Arc<AtomicBool>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let armed = armed.clone();
            tokio::spawn(async move {
                let service = TcpStream::connect(to).await.unwrap();
                let (mut from_client, mut to_client) = client.into_split();
                let (mut from_service, mut to_service) = service.into_split();
                let up = tokio::spawn(async move { tokio::io::copy(&mut from_client, &mut to_service).await });
                let mut buffer = vec![0; 64 << 10];
                while let Ok(read @ 1..) = from_service.read(&mut buffer).await {
                    if armed.swap(false, Ordering::SeqCst) {
                        tokio::time::sleep(Duration::from_millis(300)).await;
                        break;
                    }
                    if to_client.write_all(&buffer[..read]).await.is_err() {
                        break;
                    }
                }
                up.abort();
            });
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_removed_is_removed_although_the_answer_was_lost_and_what_never_was_is_not_found() {
    let protected = Protected::new().await;
    set_policy(protected.admin(), "nightly", nightly()).await.unwrap();
    set_item(protected.admin(), DOMAIN, None).await.unwrap();
    let token = api::token_id(&protected.agent_token().await).unwrap().to_owned();
    let armed = Arc::new(AtomicBool::new(false));
    let address: Address = format!("https://{}", deaf_proxy(protected.running.address, armed.clone()).await).parse().unwrap();
    let secret = SecretString::from(protected.admin_token.as_str());
    let client = ServiceVault::new(ServiceOptions::new(address, Some(protected.running.authority), secret)).unwrap();
    for what in ["item", "policy", "token"] {
        let remove = async || match what {
            "item" => client.remove_item(DOMAIN, &item("item")).await,
            "policy" => client.remove_policy(&name("nightly")).await,
            _ => client.revoke_token(&token).await,
        };
        client.own_scope().await.unwrap();
        armed.store(true, Ordering::SeqCst);
        remove().await.unwrap_or_else(|error| panic!("{what}: {error}"));
        assert!(!armed.load(Ordering::SeqCst), "an answer was lost");
        assert_eq!(remove().await.unwrap_err().kind(), ErrorKind::NotFound, "{what}");
    }
}
