//! Connections that break while a backup runs.

use crate::running::{DOMAIN, Protected, noise};
use api::{Address, ServiceOptions, ServiceVault};
use contract::Vault;
use secrecy::SecretString;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
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
