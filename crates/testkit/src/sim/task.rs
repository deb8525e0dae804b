//! Tasks seen from outside: waking, waiting for, killing.

use super::state::SharedState;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct TaskId(pub(super) u64);

pub(super) struct TaskWaker {
    id: TaskId,
    shared: SharedState,
}

impl TaskWaker {
    pub(super) fn new(id: TaskId, shared: SharedState) -> Arc<Self> {
        Arc::new(Self { id, shared })
    }
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.shared.lock().ready.insert(self.id);
    }
}

/// The task was killed before it had an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Killed;

/// A task of a simulation. As a future it waits for the task's answer. Dropping it leaves the task running.
pub struct TaskHandle<T> {
    id: TaskId,
    shared: SharedState,
    outcome: Arc<Mutex<Outcome<T>>>,
}

struct Outcome<T> {
    ended: bool,
    answer: Option<T>,
    waiting: Option<Waker>,
}

impl<T> TaskHandle<T> {
    /// Drops the task's future before any task is polled again: a crash where it stands.
    pub fn kill(&self) {
        self.shared.lock().killed.push(self.id);
    }

    /// Whether it has an answer or was killed.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        lock(&self.outcome).ended
    }

    /// Its answer, once; `None` while it runs and when it was killed.
    #[must_use]
    pub fn take(&self) -> Option<T> {
        lock(&self.outcome).answer.take()
    }
}

impl<T> Future for TaskHandle<T> {
    type Output = Result<T, Killed>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut outcome = lock(&self.outcome);
        if !outcome.ended {
            outcome.waiting = Some(context.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(outcome.answer.take().ok_or(Killed))
    }
}

/// A future that leaves its answer with a handle, and the handle.
pub(super) fn reporting<T: 'static>(
    id: TaskId,
    shared: SharedState,
    future: impl Future<Output = T> + 'static,
) -> (TaskHandle<T>, impl Future<Output = ()> + 'static) {
    let outcome = Arc::new(Mutex::new(Outcome { ended: false, answer: None, waiting: None }));
    let ending = Ending(Arc::clone(&outcome));
    let reporting = async move {
        let answer = future.await;
        lock(&ending.0).answer = Some(answer);
        drop(ending);
    };
    (TaskHandle { id, shared, outcome }, reporting)
}

/// Marks the task as ended, with an answer or without.
struct Ending<T>(Arc<Mutex<Outcome<T>>>);

impl<T> Drop for Ending<T> {
    fn drop(&mut self) {
        let mut outcome = lock(&self.0);
        outcome.ended = true;
        let waiting = outcome.waiting.take();
        drop(outcome);
        if let Some(waker) = waiting {
            waker.wake();
        }
    }
}

fn lock<T>(outcome: &Mutex<Outcome<T>>) -> MutexGuard<'_, Outcome<T>> {
    outcome.lock().unwrap_or_else(PoisonError::into_inner)
}
