//! How much of a request and its answer went over the wire in one try.

use super::pace::Pace;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::Sleep;

/// Bytes that are handed to the connection at once.
const SLICE: usize = 64 << 10;
/// More than buffers and windows between here and there swallow of a line that is dead.
const PROGRESS_BYTES: u64 = 8 << 20;

/// Bytes that went up or came down.
#[derive(Clone, Default)]
pub(super) struct Moved(Arc<AtomicU64>);

impl Moved {
    pub(super) fn add(&self, bytes: usize) {
        self.0.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Whether so much went over the wire that there is one.
    pub(super) fn is_progress(&self) -> bool {
        self.0.load(Ordering::Relaxed) >= PROGRESS_BYTES
    }
}

/// A body that is counted as the connection takes it, and goes no faster than it may.
pub(super) struct CountedBody {
    rest: Bytes,
    moved: Moved,
    pace: Pace,
    wait: Option<Pin<Box<Sleep>>>,
}

impl CountedBody {
    pub(super) fn new(rest: Bytes, moved: Moved, pace: Pace) -> Self {
        Self { rest, moved, pace, wait: None }
    }
}

impl Body for CountedBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        let length = self.rest.len().min(SLICE);
        loop {
            if let Some(wait) = &mut self.wait {
                ready!(wait.as_mut().poll(context));
                self.wait = None;
            }
            match self.pace.take(length) {
                Duration::ZERO => break,
                wait => self.wait = Some(Box::pin(tokio::time::sleep(wait))),
            }
        }
        self.moved.add(length);
        Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(length)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}
