//! Requests that no client of ours would send, and what all answers have in common.

use crate::running::{DOMAIN, Protected, Running};
use api::{Code, Problem};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use vault::Limits;

/// Long before anything that takes the usual limits.
const SOON: Duration = Duration::from_secs(8);

/// An answer, read by hand.
pub(crate) struct Answered {
    pub(crate) status: u16,
    pub(crate) headers: String,
    pub(crate) body: Vec<u8>,
}

impl Answered {
    pub(crate) fn problem(&self) -> Problem {
        assert!(self.headers.contains("content-type: application/problem+json"), "{}", self.headers);
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// Trusts anybody: these tests are about what stands behind TLS.
pub(crate) async fn connect(running: &Running) -> tokio_rustls::client::TlsStream<TcpStream> {
    connect_with(running, None).await
}

/// The system takes so many bytes of answers that nobody reads.
async fn connect_with(running: &Running, receive_bytes: Option<u32>) -> tokio_rustls::client::TlsStream<TcpStream> {
    let pem = std::fs::read(running.directory.path().join("data/authority.pem")).unwrap();
    let certificate = <rustls::pki_types::CertificateDer as rustls::pki_types::pem::PemObject>::from_pem_slice(&pem).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_root_certificates(roots).with_no_client_auth();
    let socket = TcpSocket::new_v4().unwrap();
    if let Some(bytes) = receive_bytes {
        socket.set_recv_buffer_size(bytes).unwrap();
    }
    let stream = socket.connect(running.address).await.unwrap();
    let name = "localhost".try_into().unwrap();
    tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap()
}

/// Sends bytes as they are and reads until the service closes the connection.
pub(crate) async fn raw(running: &Running, request: &[u8]) -> Answered {
    raw_or_cut(running, request).await.expect("a whole head")
}

/// Like `raw`; `None` where the service ended the connection while there was more to send, and the answer went with it.
async fn raw_or_cut(running: &Running, request: &[u8]) -> Option<Answered> {
    let mut stream = connect(running).await;
    let mut bytes = Vec::new();
    // A service that closes without a farewell, or before it has read everything, has said everything all the same.
    let _ = stream.write_all(request).await;
    let _ = stream.read_to_end(&mut bytes).await;
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    let headers = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
    let status = headers.split(' ').nth(1).unwrap().parse().unwrap();
    Some(Answered { status, headers, body: bytes[end + 4..].to_vec() })
}

/// An ordinary request over HTTP/1.1.
pub(crate) async fn ask(running: &Running, method: &str, path: &str, token: Option<&str>, body: Vec<u8>) -> Answered {
    let token = token.map(|token| format!("authorization: Bearer {token}\r\n")).unwrap_or_default();
    let length = body.len();
    let head =
        format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {length}\r\n{token}\r\n");
    raw(running, &[head.into_bytes(), body].concat()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_somebody_sends_and_nobody_can_read_are_a_wrong_request_and_no_damage() {
    let protected = Protected::new().await;
    let admin = Some(protected.admin_token.as_str());
    let answered = ask(&protected.running, "PUT", "/v1/vault/descriptor", admin, b"no descriptor".to_vec()).await;
    assert_eq!((answered.status, answered.problem().code), (400, Code::Invalid));
    let digits = |count| "0".repeat(count);
    let body = format!(
        r#"{{"enrolment":"AAAA","name":"x","token_id":"{}","token_hash":"{}","proof":"{}"}}"#,
        digits(16),
        digits(64),
        digits(128)
    );
    let answered = ask(&protected.running, "POST", "/v1/enrolments", None, body.into_bytes()).await;
    assert_eq!((answered.status, answered.problem().code), (400, Code::Invalid));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_is_healthy_ready_and_counted() {
    let protected = Protected::new().await;
    for path in ["/healthz", "/readyz"] {
        assert_eq!(ask(&protected.running, "GET", path, None, Vec::new()).await.status, 200);
    }
    let metrics = ask(&protected.running, "GET", "/metrics", Some(&protected.admin_token), Vec::new()).await;
    let text = String::from_utf8(metrics.body).unwrap();
    assert!(text.contains("\nholdfast_disk_nearly_full 0\n") && text.contains("\nholdfast_disk_free_bytes "), "{text}");
    assert!(text.contains("route=\"/healthz\",method=\"GET\",status=\"200\""), "{text}");
    assert!(!text.contains(&protected.admin_token));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_error_has_a_body_with_the_id_of_its_request() {
    let protected = Protected::new().await;
    let running = &protected.running;
    let token = Some(protected.admin_token.as_str());
    let nowhere = ask(running, "GET", "/v1/nowhere", token, Vec::new()).await;
    assert_eq!((nowhere.status, nowhere.problem().code), (404, Code::NotFound));
    assert!(nowhere.headers.contains(&format!("x-request-id: {}", nowhere.problem().request_id)), "{}", nowhere.headers);
    let method = ask(running, "PATCH", "/v1/tokens", token, Vec::new()).await;
    assert_eq!((method.status, method.problem().status), (405, 405));
    let torn = ask(running, "POST", "/v1/tokens", token, b"{\"name\": 3".to_vec()).await;
    assert_eq!((torn.status, torn.problem().code), (400, Code::Invalid));
    let unknown =
        ask(running, "POST", "/v1/tokens", token, b"{\"name\":\"a\",\"scope\":{\"role\":\"administrator\"},\"x\":1}".to_vec());
    assert_eq!(unknown.await.status, 400);
    let nobody = ask(running, "GET", "/v1/scope", None, Vec::new()).await;
    assert!(nobody.status == 401 && nobody.headers.contains("www-authenticate: bearer"), "{}", nobody.headers);
    let query = ask(running, "GET", &format!("/v1/domains/{DOMAIN}/points?limit=x"), token, Vec::new()).await;
    assert_eq!((query.status, query.problem().code), (400, Code::Invalid));
    let limit = ask(running, "GET", &format!("/v1/domains/{DOMAIN}/points?limit=100000"), token, Vec::new()).await;
    assert_eq!(limit.status, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_and_headers_over_their_limits_are_refused_before_they_are_read() {
    let protected = Protected::new().await;
    let (running, token) = (&protected.running, &protected.admin_token);
    let pack = format!("/v1/domains/{DOMAIN}/sessions/{0}/packs/{0}", "a7".repeat(16));
    let head = |path: &str, method: &str, more: &str| {
        format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nauthorization: Bearer {token}\r\n{more}\r\n")
            .into_bytes()
    };
    let huge = raw(running, &head(&pack, "PUT", "content-length: 99999999999\r\n")).await;
    assert_eq!((huge.status, huge.problem().code), (413, Code::TooLarge));
    let json = raw(running, &head("/v1/tokens", "POST", "content-length: 99999999\r\n")).await;
    assert_eq!(json.status, 413);
    let endless = raw(running, &head(&pack, "PUT", "transfer-encoding: chunked\r\n")).await;
    assert_eq!(endless.status, 400, "a pack comes with its length");
    let ids =
        ask(running, "POST", &format!("/v1/domains/{DOMAIN}/sessions/{}/missing", "a7".repeat(16)), Some(token), vec![0; 33])
            .await;
    assert_eq!(ids.status, 400);
    let long = raw_or_cut(running, &head(&format!("/v1/{}", "x".repeat(200_000)), "GET", "")).await;
    assert!(long.is_none_or(|long| matches!(long.status, 400 | 414 | 431)));
}

#[tokio::test(flavor = "multi_thread")]
async fn more_requests_than_the_limit_are_answered_as_busy_and_the_client_comes_again() {
    let protected = Protected::with(Limits { requests: 1, ..Limits::default() }).await;
    let many = (0..20).map(|_| {
        let admin = protected.admin().clone();
        tokio::spawn(async move { admin.own_scope().await })
    });
    for one in many.collect::<Vec<_>>() {
        one.await.unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_no_good_token_is_answered_before_a_body_is_read_and_takes_nobodys_place() {
    let protected = Protected::with(Limits { requests: 1, ..Limits::default() }).await;
    let running = &protected.running;
    let never = format!("hf_{}_{}", "0".repeat(16), "0".repeat(64));
    let head = |path: &str, method: &str, token: &str| {
        format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\ncontent-length: 1000\r\n\r\n")
            .into_bytes()
    };
    for token in ["anything", never.as_str(), running.one_time.as_deref().unwrap(), protected.admin_token.as_str()] {
        let answered = tokio::time::timeout(SOON, raw(running, &head("/v1/login", "POST", token))).await;
        assert_eq!(answered.expect("nothing more was to come").status, 401, "{token}");
    }
    let pack = format!("/v1/domains/{DOMAIN}/sessions/{0}/packs/{0}", "a7".repeat(16));
    let mut under_way = connect(running).await;
    under_way.write_all(&head(&pack, "PUT", &protected.admin_token)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let token = Some(protected.admin_token.as_str());
    assert_eq!(ask(running, "GET", "/v1/scope", token, Vec::new()).await.status, 503, "the place is taken");
    assert_eq!(ask(running, "GET", "/v1/scope", Some(&never), Vec::new()).await.status, 401);
    assert_eq!(ask(running, "GET", "/readyz", None, Vec::new()).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_has_a_small_body_and_one_that_is_refused_does_not_use_its_token_up() {
    let running = Running::new(Limits::default()).await;
    let token = running.one_time.clone().unwrap();
    let long = ask(&running, "POST", "/v1/login", Some(&token), vec![b' '; 5 << 10]).await;
    assert_eq!((long.status, long.problem().code), (413, Code::TooLarge));
    let body = b"{\"name\":\"administrator\"}".to_vec();
    assert_eq!(ask(&running, "POST", "/v1/login", Some(&token), body.clone()).await.status, 200);
    assert_eq!(ask(&running, "POST", "/v1/login", Some(&token), body).await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_says_nothing_or_only_half_is_ended() {
    let running = Running::new(Limits { silence_seconds: 1, ..Limits::default() }).await;
    for beginning in [&b""[..], b"P", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"GET / HTTP/1.1\r\n"] {
        let mut stream = connect(&running).await;
        stream.write_all(beginning).await.unwrap();
        let ended = tokio::time::timeout(SOON, stream.read_to_end(&mut Vec::new())).await;
        assert!(ended.is_ok(), "{:?}", String::from_utf8_lossy(beginning));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_only_trickles_is_given_up_though_it_never_stops() {
    let protected = Protected::with(Limits { silence_seconds: 1, ..Limits::default() }).await;
    let pack = format!("/v1/domains/{DOMAIN}/sessions/{0}/packs/{0}", "a7".repeat(16));
    let token = &protected.admin_token;
    let head = format!(
        "PUT {pack} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\ncontent-length: {}\r\n\r\n",
        32 << 20
    );
    let (mut answer, mut request) = tokio::io::split(connect(&protected.running).await);
    request.write_all(head.as_bytes()).await.unwrap();
    let trickle = tokio::spawn(async move {
        while request.write_all(b"x").await.is_ok() && request.flush().await.is_ok() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    let mut status = [0; 12];
    tokio::time::timeout(SOON, answer.read_exact(&mut status)).await.expect("it is given up").unwrap();
    assert_eq!(&status, b"HTTP/1.1 503");
    trickle.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_agents_of_one_domain_do_not_take_all_memory_and_all_places() {
    let protected = Protected::with(Limits { packs_in_mib: 128, requests: 6, ..Limits::default() }).await;
    let running = &protected.running;
    let (agent, admin) = (protected.agent_token().await, protected.admin_token.as_str());
    let pack = format!("/v1/domains/{DOMAIN}/sessions/{0}/packs/{0}", "a7".repeat(16));
    let head = format!(
        "PUT {pack} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {agent}\r\ncontent-length: {}\r\n\r\n",
        64 << 20
    );
    let mut under_way = Vec::new();
    for _ in 0..2 {
        let mut stream = connect(running).await;
        stream.write_all(head.as_bytes()).await.unwrap();
        under_way.push(stream);
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    let metrics = ask(running, "GET", "/metrics", Some(admin), Vec::new()).await;
    assert!(String::from_utf8_lossy(&metrics.body).contains("holdfast_packs_in_memory_bytes 67108864"));
    let sent = tokio::time::timeout(SOON, ask(running, "PUT", &pack, Some(admin), vec![7; 1000])).await;
    assert_eq!(sent.expect("there is memory").status, 409, "it was read, and the session is not there");
    let mut third = connect(running).await;
    third.write_all(head.as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(ask(running, "GET", "/v1/scope", Some(&agent), Vec::new()).await.status, 503, "three of six places");
    assert_eq!(ask(running, "GET", "/v1/scope", Some(admin), Vec::new()).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_over_which_only_strangers_ask_is_ended() {
    let protected = Protected::with(Limits { silence_seconds: 1, ..Limits::default() }).await;
    let running = &protected.running;
    let ask = |path: &str, token: &str| {
        format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\n\r\n").into_bytes()
    };
    let never = format!("hf_{}_{}", "0".repeat(16), "0".repeat(64));
    for request in [ask("/v1/scope", &never), ask("/healthz", &never)] {
        let mut stream = connect(running).await;
        stream.write_all(&request).await.unwrap();
        let ended = tokio::time::timeout(SOON, stream.read_to_end(&mut Vec::new())).await;
        assert!(ended.is_ok(), "{}", String::from_utf8_lossy(&request));
    }
    let mut known = connect(running).await;
    known.write_all(&ask("/v1/scope", &protected.admin_token)).await.unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(4), known.read_to_end(&mut Vec::new())).await;
    assert!(ended.is_err(), "who is known is not sent away");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newcomer_that_sends_nothing_has_its_place_for_a_few_seconds() {
    let running = Running::new(Limits::default()).await;
    let head = b"POST /v1/enrolments HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000\r\n\r\n";
    let mut stream = connect(&running).await;
    stream.write_all(head).await.unwrap();
    let mut status = [0; 12];
    tokio::time::timeout(SOON, stream.read_exact(&mut status)).await.expect("it is given up").unwrap();
    assert_eq!(&status, b"HTTP/1.1 503");
}

/// A connection of its own that stays open, over which this token asked for its scope; what was answered first.
async fn known(running: &Running, token: &str) -> (tokio_rustls::client::TlsStream<TcpStream>, String) {
    let mut stream = connect(running).await;
    let request = format!("GET /v1/scope HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut status = [0; 12];
    stream.read_exact(&mut status).await.unwrap();
    (stream, String::from_utf8_lossy(&status).into_owned())
}

async fn ends_soon(stream: &mut tokio_rustls::client::TlsStream<TcpStream>) -> bool {
    tokio::time::timeout(SOON, stream.read_to_end(&mut Vec::new())).await.is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_agents_of_one_domain_have_at_most_half_of_the_connections_and_none_without_a_token() {
    let limits = Limits { connections: 8, silence_seconds: 1, idle_seconds: 600, ..Limits::default() };
    let protected = Protected::with(limits).await;
    let (running, agent) = (&protected.running, protected.agent_token().await);
    let mut lines = Vec::new();
    for _ in 0..4 {
        let (line, answered) = known(running, &agent).await;
        assert_eq!(answered, "HTTP/1.1 200");
        lines.push(line);
    }
    let (mut more, answered) = known(running, &agent).await;
    assert_eq!(answered, "HTTP/1.1 503");
    assert!(ends_soon(&mut more).await, "what is over takes no place");
    assert_eq!(known(running, &protected.admin_token).await.1, "HTTP/1.1 200");
    protected.admin().revoke_token(api::token_id(&agent).unwrap()).await.unwrap();
    for line in &mut lines {
        assert!(ends_soon(line).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_over_which_nothing_is_asked_for_long_is_ended_and_one_that_listens_is_not() {
    let protected = Protected::with(Limits { silence_seconds: 1, idle_seconds: 2, ..Limits::default() }).await;
    let (agent, key) = crate::jobs::with_item(&protected).await;
    let mut commands = agent.listen_for_commands(DOMAIN, &crate::agents::hello(key)).await.unwrap();
    commands.next().await.unwrap().unwrap();
    let (mut line, _) = known(&protected.running, &protected.admin_token).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    line.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    assert!(ends_soon(&mut line).await, "what strangers may ask, too, counts for nothing");
    protected.admin().remove_item(DOMAIN, &crate::running::item("item")).await.unwrap();
    commands.next().await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn large_bodies_and_answers_are_in_memory_that_was_lent() {
    let protected = Protected::with(Limits { packs_in_mib: 64, ..Limits::default() }).await;
    let (running, agent, admin) = (&protected.running, protected.agent_token().await, protected.admin_token.as_str());
    let lent = async |which: &str| {
        let metrics = String::from_utf8(ask(running, "GET", "/metrics", Some(admin), Vec::new()).await.body).unwrap();
        let start = format!("holdfast_packs_{which}_memory_bytes ");
        metrics.lines().find_map(|line| line.strip_prefix(start.as_str())).unwrap().parse::<u64>().unwrap()
    };
    let becomes = async |which: &str, is: &dyn Fn(u64) -> bool| {
        for _ in 0..100 {
            if is(lent(which).await) {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        false
    };
    let report = format!("/v1/domains/{DOMAIN}/jobs/{}/report", "a7".repeat(16));
    let head = |method: &str, path: &str, length: usize| {
        format!(
            "{method} {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {agent}\r\ncontent-length: {length}\r\n\r\n"
        )
    };
    let mut under_way = Vec::new();
    for _ in 0..6 {
        let mut stream = connect(running).await;
        stream.write_all(head("PUT", &report, 4 << 20).as_bytes()).await.unwrap();
        under_way.push(stream);
    }
    assert!(becomes("in", &|bytes| bytes == 5 * 3 * (4 << 20)).await, "the sixth waits: {}", lent("in").await);
    drop(under_way);
    assert!(becomes("in", &|bytes| bytes == 0).await, "{}", lent("in").await);

    let source = tempfile::tempdir().unwrap();
    std::fs::write(source.path().join("file"), "content").unwrap();
    let domain = protected.domain().await;
    let point = protected.keyed.backup(domain.clone(), source.path()).await.unwrap().point.point;
    let record = domain.points(contract::PointFilter::default()).await.unwrap().remove(0).record;
    let root = format::record::SignedRecord::parse_unverified(&record).unwrap().body.root;
    let reader = domain.open_reader(point).await.unwrap();
    let mut stream = connect_with(running, Some(4096)).await;
    let ids = root.0.repeat(api::limits::IDS_MAX);
    let places = format!("/v1/domains/{DOMAIN}/sessions/{reader}/places");
    stream.write_all(head("POST", &places, ids.len()).as_bytes()).await.unwrap();
    stream.write_all(&ids).await.unwrap();
    let mut status = [0; 12];
    stream.read_exact(&mut status).await.unwrap();
    assert_eq!(&status, b"HTTP/1.1 200");
    assert!(becomes("out", &|bytes| (3 << 20..4 << 20).contains(&bytes)).await, "what it takes: {}", lent("out").await);
    drop(stream);
    assert!(becomes("out", &|bytes| bytes == 0).await, "{}", lent("out").await);
}
