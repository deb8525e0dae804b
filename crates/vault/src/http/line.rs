//! A connection, watched from outside: HTTP alone would hold one for ever over which nothing comes, or nothing gets through.
//!
//! Invariant: of every answer, what was handed to the connection is gone within the limit, or the connection is. Until then its
//! memory is counted as lent. Each connection over which somebody known asked counts as one of theirs, and is gone soon after their token,
//! or when nobody known has asked for long.

use crate::app::budget::{Budget, Holder, Lent};
use crate::app::tokens::Tokens;
use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Body as _, Frame, SizeHint};
use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::sync::Notify;

/// Most bytes that are handed to a connection at once: with the limit of a minute, somebody who takes less than 16 KiB a second
/// is not waited for.
const SLICE: usize = 1 << 20;
/// Who has too many connections has so long to hear of it.
const FAREWELL: Duration = Duration::from_secs(1);
/// A peer that does not answer any more is gone: asked first after a while, then so many times.
const ALIVE_AFTER: Duration = Duration::from_secs(60);
const ALIVE_EVERY: Duration = Duration::from_secs(20);
const ALIVE_TIMES: u32 = 3;

/// A connection, as its requests see it.
#[derive(Clone)]
pub(crate) struct Line(Arc<State>);

struct State {
    /// Where connections of those who are known are counted.
    places: Arc<Budget>,
    asking: Mutex<Asking>,
    /// Somebody asked who has too many connections.
    refused: Notify,
    next: AtomicU64,
    /// When slices were handed over that are not sent yet, in this order.
    under_way: Mutex<BTreeMap<u64, Instant>>,
}

/// What was asked over a connection by those who are known.
struct Asking {
    /// It counts as one of whoever asked first.
    place: Option<Lent>,
    /// By which the service knows the token of whoever asked last.
    token: Option<String>,
    /// Requests under way.
    requests: usize,
    /// When the last of them was over.
    rests_since: Instant,
}

/// How long a connection is kept.
#[derive(Clone, Copy)]
pub(crate) struct Patience {
    /// Until somebody who is known asks.
    pub(crate) beginning: Duration,
    /// While a part of an answer is not taken.
    pub(crate) silence: Duration,
    /// While nothing is asked.
    pub(crate) idle: Duration,
}

/// A request of somebody who is known, until its answer is sent.
pub(crate) struct Asked(Line);

/// What lasts until an answer is sent.
pub(crate) struct UntilSent {
    pub(crate) _asked: Option<Asked>,
    /// Memory that the answer is in.
    pub(crate) _lent: Option<Arc<Lent>>,
}

impl Line {
    /// A connection that is counted here once somebody known asks over it.
    pub(crate) fn new(places: Arc<Budget>) -> Self {
        let asking = Asking { place: None, token: None, requests: 0, rests_since: Instant::now() };
        let (asking, refused, under_way) = (Mutex::new(asking), Notify::new(), Mutex::default());
        Self(Arc::new(State { places, asking, refused, next: AtomicU64::new(0), under_way }))
    }

    /// A request has come of somebody who is known. None, and the connection ends, if they have too many.
    pub(crate) fn begin(&self, holder: Holder, token: Option<&str>) -> Option<Asked> {
        let mut asking = self.asking();
        if asking.place.is_none() {
            asking.place = self.0.places.lend_now(holder, 1);
        }
        if asking.place.is_none() {
            self.0.refused.notify_one();
            return None;
        }
        asking.token = token.map(str::to_owned);
        asking.requests += 1;
        Some(Asked(self.clone()))
    }

    /// Waits until the connection is not worth keeping: nobody who is known asked in the beginning, or has asked for long; whoever
    /// asked has too many connections, or no token any more; or a part of an answer was not taken within the limit.
    pub(crate) async fn given_up(&self, patience: Patience, tokens: &Tokens) -> &'static str {
        tokio::select! {
            () = tokio::time::sleep(patience.beginning) => {}
            () = self.0.refused.notified() => {
                tokio::time::sleep(FAREWELL).await;
                return "whoever asks has too many connections";
            }
        }
        if self.asking().place.is_none() {
            return "nobody who is known asked for anything";
        }
        loop {
            if self.longest_under_way() > patience.silence {
                return "an answer was not taken";
            }
            if let Some((rests, token)) = self.rests() {
                if rests > patience.idle {
                    return "nothing was asked for long";
                }
                // A database that does not answer now ends nobody's connection.
                if let Some(token) = token
                    && !tokens.is_good(&token).await.unwrap_or(true)
                {
                    return "the token of whoever asked was ended";
                }
            }
            tokio::time::sleep(patience.silence.min(patience.idle) / 4).await;
        }
    }

    /// The answer, sent in slices that this connection watches, and what lasts until then.
    pub(crate) fn send(&self, body: Body, until_sent: Option<Arc<UntilSent>>) -> Body {
        if body.is_end_stream() {
            return body;
        }
        Body::new(Watched { body, rest: Bytes::new(), line: self.clone(), until_sent })
    }

    /// For how long no request has been under way, and whose the last one was.
    fn rests(&self) -> Option<(Duration, Option<String>)> {
        let asking = self.asking();
        (asking.requests == 0).then(|| (asking.rests_since.elapsed(), asking.token.clone()))
    }

    fn longest_under_way(&self) -> Duration {
        let under_way = self.0.under_way.lock().expect("no panic under this lock");
        under_way.first_key_value().map(|(_, since)| since.elapsed()).unwrap_or_default()
    }

    fn hand_over(&self, bytes: Bytes, until_sent: Option<Arc<UntilSent>>) -> Bytes {
        let number = self.0.next.fetch_add(1, Ordering::Relaxed);
        self.0.under_way.lock().expect("no panic under this lock").insert(number, Instant::now());
        Bytes::from_owner(Slice { bytes, number, line: self.clone(), _until_sent: until_sent })
    }

    fn asking(&self) -> MutexGuard<'_, Asking> {
        self.0.asking.lock().expect("no panic under this lock")
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        let mut asking = self.0.asking();
        asking.requests -= 1;
        asking.rests_since = Instant::now();
    }
}

/// Part of an answer, until it is sent.
struct Slice {
    bytes: Bytes,
    number: u64,
    line: Line,
    _until_sent: Option<Arc<UntilSent>>,
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
    until_sent: Option<Arc<UntilSent>>,
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
        Poll::Ready(Some(Ok(Frame::data(self.line.hand_over(slice, self.until_sent.clone())))))
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
    use super::{Budget, Holder, Line, Patience, SLICE, Tokens, UntilSent};
    use crate::db::Database;
    use api::Scope;
    use axum::body::Body;
    use format::{AgentKey, DomainId};
    use http_body_util::BodyExt;
    use hyper::body::Body as _;
    use std::sync::Arc;
    use std::time::Duration;
    use tempfile::TempDir;

    const SHORT: Duration = Duration::from_millis(40);
    const LONG: Duration = Duration::from_secs(5);
    const PATIENCE: Patience = Patience { beginning: SHORT, silence: SHORT, idle: LONG };
    const DOMAIN: DomainId = DomainId([1; 16]);
    const HOLDER: Holder = Holder::Agents(DOMAIN);

    fn line() -> Line {
        Line::new(Arc::new(Budget::new(10, 1)))
    }

    async fn no_tokens() -> (TempDir, Tokens) {
        let directory = tempfile::tempdir().unwrap();
        let database = Database::open(&directory.path().join("service.db")).await.unwrap();
        (directory, Tokens::load(database).await.unwrap())
    }

    async fn is_given_up(line: &Line, patience: Patience, tokens: &Tokens) -> bool {
        tokio::time::timeout(SHORT * 5, line.given_up(patience, tokens)).await.is_ok()
    }

    #[tokio::test]
    async fn a_line_is_given_up_when_nobody_known_asks_and_kept_when_somebody_does() {
        let ((_directory, tokens), line) = (no_tokens().await, line());
        assert!(is_given_up(&line, PATIENCE, &tokens).await);
        line.begin(HOLDER, None).unwrap();
        assert!(!is_given_up(&line, PATIENCE, &tokens).await);
    }

    #[tokio::test]
    async fn a_line_is_given_up_when_nothing_was_asked_for_long_and_kept_while_a_request_is_under_way() {
        let ((_directory, tokens), line) = (no_tokens().await, line());
        let idle = Patience { idle: SHORT, ..PATIENCE };
        let asked = line.begin(HOLDER, None).unwrap();
        assert!(!is_given_up(&line, idle, &tokens).await);
        drop(asked);
        assert!(is_given_up(&line, idle, &tokens).await);
    }

    #[tokio::test]
    async fn a_line_is_given_up_when_the_token_of_whoever_asked_was_ended() {
        let ((_directory, tokens), line) = (no_tokens().await, line());
        let scope = Scope::Agent { domain: DOMAIN, agent: AgentKey([2; 32]) };
        let token = tokens.issue("agent", scope).await.unwrap().token.id;
        line.begin(HOLDER, Some(&token)).unwrap();
        assert!(!is_given_up(&line, PATIENCE, &tokens).await);
        tokens.revoke(&token).await.unwrap();
        assert!(is_given_up(&line, PATIENCE, &tokens).await);
    }

    #[tokio::test]
    async fn nobody_has_more_than_half_of_all_lines_however_few_requests_are_under_way() {
        let (places, (_directory, tokens)) = (Arc::new(Budget::new(4, 1)), no_tokens().await);
        let lines: Vec<Line> = (0..3).map(|_| Line::new(places.clone())).collect();
        assert!(lines[..2].iter().all(|line| line.begin(HOLDER, None).is_some()));
        assert!(lines[2].begin(HOLDER, None).is_none());
        tokio::time::timeout(LONG, lines[2].given_up(Patience { beginning: LONG, ..PATIENCE }, &tokens)).await.unwrap();
        assert!(Line::new(places.clone()).begin(Holder::Administrators, None).is_some());
        drop(lines);
        assert!(Line::new(places).begin(HOLDER, None).is_some());
    }

    #[tokio::test]
    async fn a_line_is_given_up_when_a_part_of_an_answer_is_not_taken_for_too_long() {
        let ((_directory, tokens), line) = (no_tokens().await, line());
        line.begin(HOLDER, None).unwrap();
        let mut body = line.send(Body::from(vec![7; 3 * SLICE + 1]), None);
        assert_eq!(body.size_hint().exact(), Some(3 * SLICE as u64 + 1));
        let slice = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!((slice.len(), body.size_hint().exact()), (SLICE, Some(2 * SLICE as u64 + 1)));
        tokio::time::timeout(LONG, line.given_up(PATIENCE, &tokens)).await.unwrap();
        drop(slice);
        assert!(!is_given_up(&line, PATIENCE, &tokens).await, "what waits for its turn counts against nobody");
        assert_eq!(body.collect().await.unwrap().to_bytes().len(), 2 * SLICE + 1);
    }

    #[tokio::test]
    async fn the_memory_of_an_answer_is_lent_until_its_last_part_is_sent() {
        let (line, memory) = (line(), Budget::new(100, 0));
        let lent = Arc::new(memory.lend_now(HOLDER, 3).unwrap());
        let until_sent = UntilSent { _asked: None, _lent: Some(lent) };
        let mut body = line.send(Body::from(vec![7; SLICE]), Some(Arc::new(until_sent)));
        let slice = body.frame().await.unwrap().unwrap().into_data().unwrap();
        drop(body);
        assert_eq!(memory.lent(), 3);
        drop(slice);
        assert_eq!(memory.lent(), 0);
    }
}
