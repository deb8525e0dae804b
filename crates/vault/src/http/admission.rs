//! The way in and out of every request: its id, the log, the numbers, the body of errors.

use super::failure::Failure;
use super::line::{Line, UntilSent};
use crate::app::App;
use api::{Code, PROBLEM_TYPE, Problem};
use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderName, HeaderValue, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// By which the log knows a request.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Where requests come from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) std::net::SocketAddr);

/// What all requests share on their way in.
pub(crate) struct Gate {
    app: Arc<App>,
    /// Random, one a process: ids differ over restarts.
    process: u32,
    next: AtomicU64,
}

impl Gate {
    pub(crate) fn new(app: Arc<App>) -> Self {
        Self { app, process: u32::from_le_bytes(system::random()), next: AtomicU64::new(1) }
    }

    fn id(&self) -> String {
        format!("{:08x}-{:06x}", self.process, self.next.fetch_add(1, Ordering::Relaxed))
    }
}

/// Passes a request on.
pub(crate) async fn admit(State(gate): State<Arc<Gate>>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let _counted = gate.app.metrics.begin_request();
    let id = gate.id();
    let method = method_name(request.method());
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str).to_owned();
    // Ids only: nothing secret stands in a path.
    let path = request.uri().path().to_owned();
    let peer = request.extensions().get::<Peer>().map(|peer| peer.0);
    let line = request.extensions().get::<Line>().cloned();
    let mut response = next.run(request).await;
    let failure = response.extensions_mut().remove::<Failure>();
    let causes = failure.as_ref().map(|failure| failure.causes.join(": ")).unwrap_or_default();
    let message = failure.as_ref().map(|failure| failure.problem.message.clone()).unwrap_or_default();
    if let Some(failure) = failure {
        write_problem(&mut response, failure, &id);
    }
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    let (status, took) = (response.status().as_u16(), started.elapsed());
    gate.app.metrics.answered(&route, method, status, took);
    let took_ms = took.as_secs_f64() * 1000.0;
    let peer = peer.map(tracing::field::display);
    if status >= 500 {
        tracing::error!(id, method, route, path, status, took_ms, peer, message, causes, "request failed");
    } else {
        tracing::debug!(id, method, route, path, status, took_ms, peer, message, causes, "request");
    }
    let until_sent = response.extensions_mut().remove::<Arc<UntilSent>>();
    match line {
        Some(line) => response.map(|body| line.send(body, until_sent)),
        None => response,
    }
}

fn write_problem(response: &mut Response, failure: Failure, id: &str) {
    let Failure { mut problem, retry_after, .. } = failure;
    problem.request_id = id.to_owned();
    *response.body_mut() = Body::from(serde_json::to_vec(&problem).unwrap_or_default());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_TYPE));
    if problem.code == Code::Unauthenticated {
        response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    if let Some(seconds) = retry_after {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
}

/// Methods that clients make up are all the same to the numbers.
fn method_name(method: &Method) -> &'static str {
    const KNOWN: [&str; 6] = ["GET", "PUT", "POST", "DELETE", "HEAD", "OPTIONS"];
    KNOWN.into_iter().find(|known| *known == method.as_str()).unwrap_or("OTHER")
}

/// The answer for a path that is not there.
pub(crate) async fn no_such_path() -> Failure {
    Failure::new(Problem::new(Code::NotFound, "the vault service has nothing under that path"))
}

/// The answer for a method that a path does not have.
pub(crate) async fn no_such_method() -> Response {
    let mut response = Failure::invalid("that path does not answer to this method").into_response();
    *response.status_mut() = axum::http::StatusCode::METHOD_NOT_ALLOWED;
    if let Some(failure) = response.extensions_mut().get_mut::<Failure>() {
        failure.problem.status = 405;
    }
    response
}
