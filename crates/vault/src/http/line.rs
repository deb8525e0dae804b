//! A connection, watched from outside: HTTP alone would hold one for ever over which nothing comes, or nothing gets through.
//!
//! Invariant: of every answer, what was handed to the connection is gone within the limit, or the connection is. Until then its
//! memory is counted as lent.

use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Body as _, Frame, SizeHint};
use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;

/// Most bytes that are handed to a connection at once: with the limit of a minute, somebody who takes less than 16 KiB a second
/// is not waited for.
const SLICE: usize = 1 << 20;
/// A peer that does not answer any more is gone: asked first after a while, then so many times.
const ALIVE_AFTER: Duration = Duration::from_secs(60);
const ALIVE_EVERY: Duration = Duration::from_secs(20);
const ALIVE_TIMES: u32 = 3;

/// A connection, as its requests see it.
#[derive(Clone, Default)]
pub(crate) struct Line(Arc<State>);

#[derive(Default)]
struct State {
    has_begun: AtomicBool,
    next: AtomicU64,
    /// When slices were handed over that are not sent yet, in this order.
    under_way: Mutex<BTreeMap<u64, Instant>>,
}

impl Line {
    /// A request has come of somebody who is known.
    pub(crate) fn begin(&self) {
        self.0.has_begun.store(true, Ordering::Release);
    }

    /// Waits until the connection is not worth keeping: no request of anybody who is known came in the beginning, or a part of an
    /// answer was not taken within the limit.
    pub(crate) async fn given_up(&self, beginning: Duration, limit: Duration) -> &'static str {
        tokio::time::sleep(beginning).await;
        if !self.0.has_begun.load(Ordering::Acquire) {
            return "nobody who is known asked for anything";
        }
        while self.longest_under_way() <= limit {
            tokio::time::sleep(limit / 4).await;
        }
        "an answer was not taken"
    }

    /// The answer, sent in slices that this connection watches.
    pub(crate) fn send(&self, body: Body) -> Body {
        if body.is_end_stream() { body } else { Body::new(Watched { body, rest: Bytes::new(), line: self.clone() }) }
    }

    fn longest_under_way(&self) -> Duration {
        let under_way = self.0.under_way.lock().expect("no panic under this lock");
        under_way.first_key_value().map(|(_, since)| since.elapsed()).unwrap_or_default()
    }

    fn hand_over(&self, bytes: Bytes) -> Bytes {
        let number = self.0.next.fetch_add(1, Ordering::Relaxed);
        self.0.under_way.lock().expect("no panic under this lock").insert(number, Instant::now());
        Bytes::from_owner(Slice { bytes, number, line: self.clone() })
    }
}

/// Part of an answer, until it is sent.
struct Slice {
    bytes: Bytes,
    number: u64,
    line: Line,
}

impl AsRef<[u8]> for Slice {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Slice {
    fn drop(&mut self) {
        self.line.0.under_way.lock().expect("no panic under this lock").remove(&self.number);
    }
}

/// An answer that is sent in slices.
struct Watched {
    body: Body,
    rest: Bytes,
    line: Line,
}

impl hyper::body::Body for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.rest.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_frame(context)).map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(data))) => self.rest = data,
                Some(Ok(Err(other))) => return Poll::Ready(Some(Ok(other))),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
        let length = self.rest.len().min(SLICE);
        let slice = self.rest.split_to(length);
        Poll::Ready(Some(Ok(Frame::data(self.line.hand_over(slice)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (rest, of_body) = (self.rest.len() as u64, self.body.size_hint());
        let mut hint = SizeHint::new();
        if let Some(upper) = of_body.upper() {
            hint.set_upper(upper.saturating_add(rest));
        }
        hint.set_lower(of_body.lower().saturating_add(rest));
        hint
    }
}

/// How a connection's socket is set: short answers do not wait for each other, and a peer that is gone is noticed.
pub(crate) fn prepare(stream: &TcpStream) {
    use rustix::net::sockopt;
    // Without it every short answer would wait for the acknowledgement of the one before.
    let _ = stream.set_nodelay(true);
    let set = || {
        sockopt::set_tcp_keepidle(stream, ALIVE_AFTER)?;
        sockopt::set_tcp_keepintvl(stream, ALIVE_EVERY)?;
        sockopt::set_tcp_keepcnt(stream, ALIVE_TIMES)?;
        sockopt::set_socket_keepalive(stream, true)
    };
    if let Err(error) = set() {
        tracing::debug!(%error, "a connection's peer is not watched");
    }
}

#[cfg(test)]
mod tests {
    use super::{Line, SLICE};
    use axum::body::Body;
    use http_body_util::BodyExt;
    use hyper::body::Body as _;
    use std::time::Duration;

    const SHORT: Duration = Duration::from_millis(40);
    const LONG: Duration = Duration::from_secs(5);

    async fn is_given_up(line: &Line) -> bool {
        tokio::time::timeout(SHORT * 5, line.given_up(SHORT, SHORT)).await.is_ok()
    }

    #[tokio::test]
    async fn a_line_is_given_up_when_nobody_known_asks_and_kept_when_somebody_does() {
        let line = Line::default();
        assert!(is_given_up(&line).await);
        line.begin();
        assert!(!is_given_up(&line).await);
    }

    #[tokio::test]
    async fn a_line_is_given_up_when_a_part_of_an_answer_is_not_taken_for_too_long() {
        let line = Line::default();
        line.begin();
        let mut body = line.send(Body::from(vec![7; 3 * SLICE + 1]));
        assert_eq!(body.size_hint().exact(), Some(3 * SLICE as u64 + 1));
        let slice = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!((slice.len(), body.size_hint().exact()), (SLICE, Some(2 * SLICE as u64 + 1)));
        tokio::time::timeout(LONG, line.given_up(SHORT, SHORT)).await.unwrap();
        drop(slice);
        assert!(!is_given_up(&line).await, "what waits for its turn counts against nobody");
        assert_eq!(body.collect().await.unwrap().to_bytes().len(), 2 * SLICE + 1);
    }
}
