//! Bodies of answers.

use super::failure::Failure;
use crate::app::budget::{self, Budget, Holder, Lent};
use api::Line;
use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use contract::{Progress, ProgressSink};
use hyper::body::{Body as _, Frame, SizeHint};
use serde::Serialize;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::mpsc;

/// What handlers answer.
pub(crate) type Answer = Result<Response, Failure>;

/// Lines of progress that wait for the client; more are left out.
const LINES_WAITING: usize = 16;
/// While nothing changes, progress is told this often: the connection is alive.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// Content type of lines of JSON.
pub(crate) const LINES_TYPE: &str = "application/x-ndjson";

/// JSON.
pub(crate) fn json(value: &impl Serialize) -> Answer {
    let bytes = serde_json::to_vec(value)
        .map_err(|error| contract::Error::new(contract::ErrorKind::Internal, "cannot write the answer").with_source(error))?;
    Ok(body("application/json", Body::from(bytes)))
}

/// Bytes.
pub(crate) fn octets(bytes: Bytes) -> Answer {
    Ok(body("application/octet-stream", Body::from(bytes)))
}

/// Done, and nothing to say.
pub(crate) fn nothing() -> Answer {
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Pieces of packs one behind the other, without putting them together; their memory goes back when the last is sent.
pub(crate) fn pieces(pieces: Vec<Bytes>, lent: Lent) -> Answer {
    let length: usize = pieces.iter().map(Bytes::len).sum();
    let mut response = body("application/octet-stream", Body::new(Pieces(pieces.into())));
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
    response.extensions_mut().insert(Arc::new(lent));
    Ok(response)
}

/// Sees to it that a large answer is in memory that was lent, until it is sent; `reserved` is what was lent before it was made.
pub(crate) async fn lend(
    memory: &Budget,
    holder: Holder,
    response: &mut Response,
    reserved: Option<Lent>,
) -> Result<Option<Arc<Lent>>, Failure> {
    if let Some(lent) = response.extensions_mut().remove::<Arc<Lent>>() {
        return Ok(Some(lent));
    }
    // Answers that go on have no length: of those little is in memory at a time.
    let bytes = response.body().size_hint().exact().unwrap_or(0);
    if bytes <= budget::FREE_BYTES {
        return Ok(None);
    }
    let units = bytes.div_ceil(1024);
    let lent = match reserved {
        Some(mut lent) if lent.units() >= units => {
            lent.keep(units);
            Some(lent)
        }
        less => {
            drop(less);
            memory.lend(holder, units, budget::SHORT_PATIENCE).await
        }
    };
    lent.map(|lent| Some(Arc::new(lent))).ok_or_else(|| Failure::busy("too many large answers are under way"))
}

/// Long work that tells its progress: it starts now and runs to its end, whoever listens.
pub(crate) fn lines<R, F>(work: impl FnOnce(ProgressSink) -> F) -> Answer
where
    R: Serialize + Send + 'static,
    F: Future<Output = contract::Result<R>> + Send + 'static,
{
    let (sender, receiver) = mpsc::channel(LINES_WAITING);
    let progress = sender.clone();
    // What does not fit is overtaken by what comes next.
    let sink: ProgressSink = Arc::new(move |now| drop(progress.try_send(line::<R>(&Line::Progress(now.into())))));
    let work = tokio::spawn(work(sink.clone()));
    tokio::spawn(async move {
        let mut work = work;
        let outcome = loop {
            match tokio::time::timeout(HEARTBEAT, &mut work).await {
                Ok(outcome) => break outcome,
                Err(_) => sink(Progress { phase: "working", ..Progress::default() }),
            }
        };
        let fault =
            |error| contract::Error::new(contract::ErrorKind::Internal, "a fault of the vault service").with_source(error);
        let last = match outcome.map_err(fault).and_then(|outcome| outcome) {
            Ok(report) => Line::Report(report),
            Err(error) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
                tracing::warn!(%error, cause, "long work failed");
                Line::Problem(error.into())
            }
        };
        // Nobody may be there any more to hear it.
        let _ = sender.send(line(&last)).await;
    });
    Ok(body(LINES_TYPE, Body::new(Lines(receiver))))
}

/// An answer that goes on as long as somebody listens: what is sent is sent at once.
pub(crate) fn endless<F>(content_type: &'static str, telling: impl FnOnce(mpsc::Sender<Bytes>) -> F) -> Response
where
    F: Future<Output = ()> + Send + 'static,
{
    // One at a time: who does not take what is told is not told more.
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(telling(sender));
    body(content_type, Body::new(Lines(receiver)))
}

fn line<R: Serialize>(line: &Line<R>) -> Bytes {
    // Reports are structures of numbers, texts and lists of them: they can always be written.
    let mut bytes = serde_json::to_vec(line).unwrap_or_default();
    bytes.push(b'\n');
    bytes.into()
}

fn body(content_type: &'static str, body: Body) -> Response {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

struct Pieces(VecDeque<Bytes>);

impl hyper::body::Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.iter().map(|piece| piece.len() as u64).sum())
    }
}

struct Lines(mpsc::Receiver<Bytes>);

impl hyper::body::Body for Lines {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|line| line.map(|line| Ok(Frame::data(line))))
    }
}
