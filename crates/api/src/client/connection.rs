//! Requests over the wire: where they go, how often, and what their answers mean.

use super::pace::Pace;
use super::pinned;
use super::progress::{CountedBody, Moved};
use super::retry::Tries;
use super::{ServiceOptions, Told};
use crate::address::Address;
use crate::error::ApiError;
use crate::limits::{ANSWER_BYTES_MAX, LINE_BYTES_MAX, PROBLEM_BYTES_MAX};
use crate::points::PointTold;
use crate::problem::{Code, Problem};
use crate::watch::Line;
use bytes::{Bytes, BytesMut};
use contract::{Error, ErrorKind, ProgressSink, Result};
use reqwest::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use reqwest::{Body, Client, Method, Response, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use system::Buffers;

/// A connection must stand by then.
const CONNECT: Duration = Duration::from_secs(10);
/// An ordinary request is answered by then.
const ORDINARY: Duration = Duration::from_secs(60);
/// A pack is sent or received by then, and a commit is proven.
pub(super) const LONG: Duration = Duration::from_secs(900);
/// Work that tells its progress tells it at least this often, with much to spare.
const SILENCE: Duration = Duration::from_secs(120);
/// Until the service was reached once, nobody waits longer for it.
const FIRST_PATIENCE: Duration = Duration::from_secs(3);
/// HTTP/2: bytes under way in one stream, and in all of a connection.
const STREAM_WINDOW: u32 = 4 << 20;
const CONNECTION_WINDOW: u32 = 64 << 20;
/// HTTP/2: most bytes of a frame. Larger ones would each take memory from the system: see `system::configure_allocator`.
const FRAME: u32 = 64 << 10;
/// Buffers of answers are used again within this many bytes.
const BUFFER_BYTES: usize = 24 << 20;
/// A peer that does not answer a ping for so long is gone.
const PING: Duration = Duration::from_secs(20);

/// A request.
#[derive(Debug, Clone)]
pub(super) struct Call {
    method: Method,
    path: String,
    body: Option<(&'static str, Bytes)>,
    again: bool,
    heavy: bool,
    timeout: Duration,
    answer_max: usize,
}

impl Call {
    pub(super) fn new(method: Method, path: impl Into<String>) -> Self {
        let (path, again) = (path.into(), method != Method::POST);
        Self { method, path, body: None, again, heavy: false, timeout: ORDINARY, answer_max: ANSWER_BYTES_MAX }
    }

    pub(super) fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path)
    }

    pub(super) fn post(path: impl Into<String>) -> Self {
        Self::new(Method::POST, path)
    }

    pub(super) fn json(mut self, body: &impl Serialize) -> Result<Self> {
        let bytes = serde_json::to_vec(body)
            .map_err(|error| Error::new(ErrorKind::Internal, "cannot write a request").with_source(error))?;
        self.body = Some(("application/json", bytes.into()));
        Ok(self)
    }

    pub(super) fn bytes(mut self, body: Bytes) -> Self {
        self.body = Some(("application/octet-stream", body));
        self
    }

    /// A second time does no harm.
    pub(super) fn again(mut self) -> Self {
        self.again = true;
        self
    }

    /// A second time would do harm, or its answer would mislead.
    pub(super) fn once(mut self) -> Self {
        self.again = false;
        self
    }

    /// Moves packs: over a connection of its own, so that short questions do not wait behind it.
    pub(super) fn heavy(mut self) -> Self {
        (self.heavy, self.timeout) = (true, LONG);
        self
    }

    pub(super) fn within(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    pub(super) fn answer_max(mut self, bytes: usize) -> Self {
        self.answer_max = bytes;
        self
    }
}

/// Why a try came to nothing.
enum Trouble {
    /// The service said so.
    Answered(Error),
    /// The service has no time now, and perhaps said when it has.
    Busy(Error, Option<Duration>),
    /// The connection did not stand, or broke.
    Lost { error: Error, sent: bool },
}

/// Connections to one service.
pub(super) struct Connection {
    control: Client,
    data: Client,
    address: Address,
    token: SecretString,
    patience: Duration,
    pace: Pace,
    told: OnceLock<Told>,
    reached: AtomicBool,
    buffers: Arc<Buffers>,
}

impl Connection {
    pub(super) fn new(options: ServiceOptions) -> Result<Self> {
        if HeaderValue::from_str(options.token.expose_secret()).is_err() {
            return Err(ApiError::Token.into());
        }
        Ok(Self {
            control: client(&options)?,
            data: client(&options)?,
            address: options.address,
            token: options.token,
            patience: options.patience,
            pace: options.pace,
            told: options.told.map(OnceLock::from).unwrap_or_default(),
            reached: AtomicBool::new(false),
            buffers: Buffers::new(BUFFER_BYTES),
        })
    }

    /// Settles what is told of points, once.
    pub(super) fn tell(&self, told: Told) {
        let _ = self.told.set(told);
    }

    /// What is told of a point that is committed now.
    pub(super) fn told(&self) -> PointTold {
        self.told.get().map(|told| told()).unwrap_or_default()
    }

    /// Sends a request, again if that does no harm, and answers the body. What is gone when it is to be removed once more was removed.
    pub(super) async fn send(&self, call: Call) -> Result<Bytes> {
        let mut tries = Tries::default();
        // An earlier try may have removed it.
        let mut perhaps_gone = false;
        loop {
            let moved = Moved::default();
            let (error, asked) = match self.try_once(&call, &moved).await {
                Ok(body) => return Ok(body),
                Err(Trouble::Answered(error)) if perhaps_gone && error.kind() == ErrorKind::NotFound => return Ok(Bytes::new()),
                Err(Trouble::Answered(error)) => return Err(error),
                Err(Trouble::Busy(error, asked)) => (error, asked),
                Err(Trouble::Lost { error, sent }) if !sent || call.again => {
                    perhaps_gone |= sent && call.method == Method::DELETE;
                    (error, None)
                }
                Err(Trouble::Lost { error, .. }) => return Err(error),
            };
            if moved.is_progress() {
                tries.got_far();
            }
            let Some(wait) = tries.wait(self.patience(), asked) else { return Err(error) };
            tracing::debug!(%error, path = call.path, ?wait, "asking the vault service again");
            tokio::time::sleep(wait).await;
        }
    }

    pub(super) async fn send_json<T: DeserializeOwned>(&self, call: Call) -> Result<T> {
        let bytes = self.send(call).await?;
        serde_json::from_slice(&bytes).map_err(|error| unreadable().with_source(error))
    }

    /// The beginning of an answer that goes on; never again.
    pub(super) async fn begin(&self, call: &Call) -> Result<Response> {
        self.open(call, None, &Moved::default()).await.map_err(|trouble| match trouble {
            Trouble::Answered(error) | Trouble::Busy(error, _) | Trouble::Lost { error, .. } => error,
        })
    }

    /// Sends a request whose answer tells its progress; never again.
    pub(super) async fn follow<R: DeserializeOwned>(&self, call: Call, sink: &ProgressSink) -> Result<R> {
        let mut response = self.begin(&call).await?;
        let mut buffer = BytesMut::new();
        loop {
            let chunk = tokio::time::timeout(SILENCE, response.chunk()).await;
            let chunk = chunk.map_err(|_| self.lost("the vault service fell silent"))?;
            let chunk = chunk.map_err(|error| self.lost("the connection broke").with_source(error.without_url()))?;
            let chunk = chunk.ok_or_else(|| self.lost("the answer of the vault service broke off"))?;
            buffer.extend_from_slice(&chunk);
            while let Some(end) = buffer.iter().position(|byte| *byte == b'\n') {
                let line = buffer.split_to(end + 1);
                match serde_json::from_slice(&line).map_err(|error| unreadable().with_source(error))? {
                    Line::Progress(progress) => sink(progress.into()),
                    Line::Report(report) => return Ok(report),
                    Line::Problem(problem) => return Err(problem.into()),
                }
            }
            if buffer.len() > LINE_BYTES_MAX {
                return Err(unreadable());
            }
        }
    }

    fn patience(&self) -> Duration {
        if self.reached.load(Ordering::Relaxed) { self.patience } else { self.patience.min(FIRST_PATIENCE) }
    }

    fn lost(&self, what: &str) -> Error {
        Error::new(ErrorKind::Unavailable, format!("{what} ({})", self.address))
    }

    async fn try_once(&self, call: &Call, moved: &Moved) -> Result<Bytes, Trouble> {
        let response = self.open(call, Some(call.timeout), moved).await?;
        self.body(response, call.answer_max, moved).await
    }

    /// The beginning of an answer that is no error.
    async fn open(&self, call: &Call, timeout: Option<Duration>, moved: &Moved) -> Result<Response, Trouble> {
        let client = if call.heavy { &self.data } else { &self.control };
        let mut request = client.request(call.method.clone(), format!("{}{}", self.address, call.path));
        request = request.header(AUTHORIZATION, self.authorization());
        if let Some(timeout) = timeout {
            request = request.timeout(timeout);
        }
        if let Some((content_type, body)) = &call.body {
            let pace = if call.heavy { self.pace.clone() } else { Pace::default() };
            let counted = CountedBody::new(body.clone(), moved.clone(), pace);
            request = request.header(CONTENT_TYPE, *content_type).header(CONTENT_LENGTH, body.len()).body(Body::wrap(counted));
        }
        let response = request.send().await.map_err(|error| self.trouble(error))?;
        if response.status().is_success() {
            self.reached.store(true, Ordering::Relaxed);
            return Ok(response);
        }
        Err(self.problem(response).await)
    }

    fn authorization(&self) -> HeaderValue {
        let text = format!("Bearer {}", self.token.expose_secret());
        let mut value = HeaderValue::from_str(&text).expect("the token was looked at when the client was made");
        value.set_sensitive(true);
        value
    }

    async fn body(&self, mut response: Response, max: usize, moved: &Moved) -> Result<Bytes, Trouble> {
        let expected = response.content_length().unwrap_or(0).min(max as u64) as usize;
        let mut body = self.buffers.take(expected);
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) if body.len() + chunk.len() <= max => {
                    moved.add(chunk.len());
                    body.extend(&chunk);
                }
                Ok(Some(_)) => return Err(Trouble::Answered(unreadable())),
                Ok(None) => return Ok(Bytes::from_owner(body)),
                Err(error) => return Err(self.trouble(error)),
            }
        }
    }

    async fn problem(&self, response: Response) -> Trouble {
        let status = response.status();
        let after =
            response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok()).map(Duration::from_secs);
        let body = match self.body(response, PROBLEM_BYTES_MAX, &Moved::default()).await {
            Ok(body) => body,
            Err(Trouble::Lost { error, sent }) => return Trouble::Lost { error, sent },
            Err(_) => Bytes::new(),
        };
        match serde_json::from_slice(&body) {
            Ok(problem) => {
                self.reached.store(true, Ordering::Relaxed);
                explained(problem, after)
            }
            Err(_) => unexplained(status, after, &self.address),
        }
    }

    fn trouble(&self, error: reqwest::Error) -> Trouble {
        if let Some(tls) = certificate_error(&error) {
            let refused =
                Error::new(ErrorKind::Denied, format!("{} cannot prove who it is", self.address)).with_source(tls).with_hint(
                    "'holdfast login' with the right --fingerprint pins its certificate authority; nothing was sent to it",
                );
            return Trouble::Answered(refused);
        }
        let sent = !error.is_connect();
        let what = match (error.is_connect(), error.is_timeout()) {
            (true, _) => "cannot reach the vault service",
            (_, true) => "the vault service took too long",
            _ => "the connection to the vault service broke",
        };
        let lost = match sent {
            true => self.lost(what),
            false => {
                self.lost(what).with_hint("see that the service runs, that its address is right and that no firewall is between")
            }
        };
        Trouble::Lost { error: lost.with_source(error.without_url()), sent }
    }
}

fn client(options: &ServiceOptions) -> Result<Client> {
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let mut builder = Client::builder()
        .user_agent(concat!("holdfast/", env!("CARGO_PKG_VERSION")))
        .https_only(true)
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT)
        .tcp_nodelay(true)
        .http2_initial_stream_window_size(STREAM_WINDOW)
        .http2_initial_connection_window_size(CONNECTION_WINDOW)
        .http2_max_frame_size(FRAME)
        .http2_keep_alive_interval(PING)
        .http2_keep_alive_timeout(PING)
        .retry(reqwest::retry::never());
    builder = match options.authority {
        Some(authority) => {
            let config = pinned::config(authority, Arc::new(provider));
            builder.tls_backend_preconfigured(config.map_err(|error| ApiError::Client(error.into()))?)
        }
        None => {
            // The system's roots are asked through the process's own provider; whoever set one first is right.
            let _ = provider.install_default();
            builder.tls_backend_rustls()
        }
    };
    Ok(builder.build().map_err(|error| ApiError::Client(error.into()))?)
}

/// What the service said.
fn explained(problem: Problem, after: Option<Duration>) -> Trouble {
    match problem.code {
        Code::Busy => Trouble::Busy(problem.into(), after),
        Code::TimedOut => Trouble::Lost { error: problem.into(), sent: true },
        _ => Trouble::Answered(problem.into()),
    }
}

/// What something in between said: the service explains everything. Whatever it was, it had no answer of the service, which is away as far
/// as anybody can tell: a gateway without a backend says 404 as well as 503, and nobody must take that for the service's word.
fn unexplained(status: StatusCode, after: Option<Duration>, address: &Address) -> Trouble {
    let code = match Code::of_status(status.as_u16()) {
        // A limit of a proxy is one the next time, too.
        code @ (Code::Unauthenticated | Code::Denied | Code::Busy | Code::TooLarge) => code,
        _ => Code::Unavailable,
    };
    let problem = Problem::new(code, format!("{address} answered {status}"))
        .with_hint("is that the address of a Holdfast vault service? something in between may have answered");
    match code {
        Code::Unavailable => Trouble::Lost { error: problem.into(), sent: true },
        Code::Busy => Trouble::Busy(problem.into(), after),
        _ => Trouble::Answered(problem.into()),
    }
}

pub(super) fn unreadable() -> Error {
    Error::new(ErrorKind::Internal, "the answer of the vault service cannot be read")
        .with_hint("is it another version of Holdfast?")
}

/// A certificate that was not accepted: trying again changes nothing.
fn certificate_error(error: &(dyn std::error::Error + 'static)) -> Option<rustls::Error> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(tls @ (rustls::Error::InvalidCertificate(_) | rustls::Error::General(_))) = tls_error(error) {
            return Some(tls.clone());
        }
        cause = error.source();
    }
    None
}

/// Errors of TLS travel inside errors of input and output, which hide them from the chain of causes.
fn tls_error<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a rustls::Error> {
    if let Some(tls) = error.downcast_ref::<rustls::Error>() {
        return Some(tls);
    }
    tls_error(error.downcast_ref::<std::io::Error>()?.get_ref()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_without_an_answer_is_a_connection_that_broke_and_the_services_own_word_counts_as_it_is() {
        let address: Address = "https://vault.example".parse().unwrap();
        for status in [502, 503, 504] {
            let trouble = unexplained(StatusCode::from_u16(status).unwrap(), None, &address);
            assert!(matches!(trouble, Trouble::Lost { sent: true, .. }), "{status}");
        }
        let asked = Some(Duration::from_secs(3));
        let trouble = unexplained(StatusCode::TOO_MANY_REQUESTS, asked, &address);
        assert!(matches!(trouble, Trouble::Busy(_, after) if after == asked));
        for status in [301, 400, 404, 409, 410, 500] {
            let Trouble::Lost { error, sent: true } = unexplained(StatusCode::from_u16(status).unwrap(), None, &address) else {
                panic!("{status} is the word of somebody else")
            };
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{status}");
        }
        for status in [StatusCode::FORBIDDEN, StatusCode::PAYLOAD_TOO_LARGE] {
            assert!(matches!(unexplained(status, None, &address), Trouble::Answered(_)), "{status}");
        }
        let said = |code| explained(Problem::new(code, "x"), asked);
        assert!(matches!(said(Code::Unavailable), Trouble::Answered(_)));
        assert!(matches!(said(Code::Busy), Trouble::Busy(_, after) if after == asked));
    }

    #[test]
    fn a_service_that_took_too_long_is_asked_again_only_if_a_second_time_does_no_harm() {
        let trouble = explained(Problem::new(Code::TimedOut, "x"), None);
        assert!(matches!(trouble, Trouble::Lost { sent: true, .. }));
        assert!(!Call::post("/v1/login").again && Call::get("/v1/scope").again);
    }
}
