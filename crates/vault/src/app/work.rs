//! Work that goes on to its end even if who asked for it goes away.

use super::budget::Lent;
use contract::{Error, ErrorKind, Result};
use std::future::Future;
use std::sync::{Arc, Mutex};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::block_in_place;

tokio::task_local! {
    static LOANS: Arc<Loans>;
}

/// What was lent for a request. It comes back when nothing of what the request began goes on any more: whoever goes away while it does
/// gets no second place for it.
pub(crate) struct Loans {
    _place: Arc<Lent>,
    memory: Mutex<Vec<Lent>>,
}

impl Loans {
    /// Answers a request that has this place.
    pub(crate) async fn of<T>(place: Arc<Lent>, answering: impl Future<Output = T>) -> T {
        LOANS.scope(Arc::new(Self { _place: place, memory: Mutex::default() }), answering).await
    }

    /// Keeps memory for as long as the request that is being answered needs it.
    pub(crate) fn keep(lent: Lent) {
        let _ = LOANS.try_with(|loans| loans.memory.lock().expect("no panic under this lock").push(lent));
    }
}

/// Runs to the end on a task of its own. What is durable is right after any interruption; this saves doing it twice.
pub(crate) async fn to_the_end<T: Send + 'static>(work: impl Future<Output = Result<T>> + Send + 'static) -> Result<T> {
    let loans = LOANS.try_with(Arc::clone).ok();
    let work = async move {
        let _loans = loans;
        work.await
    };
    match tokio::spawn(work).await {
        Ok(outcome) => outcome,
        Err(error) => Err(Error::new(ErrorKind::Internal, "a fault of the vault service ended the request").with_source(error)),
    }
}

/// Computes on this thread, and lets others run what waits for it meanwhile. On a runtime of one thread it just computes.
pub(crate) fn compute<T>(work: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => block_in_place(work),
        _ => work(),
    }
}

/// How to take back what was done for somebody who does not know of it yet: it is, unless they hear of it.
pub(crate) struct Unheard<F: Future<Output = Result<()>> + Send + 'static>(Option<F>);

impl<F: Future<Output = Result<()>> + Send + 'static> Unheard<F> {
    pub(crate) fn new(take_back: F) -> Self {
        Self(Some(take_back))
    }

    /// They know.
    pub(crate) fn heard(mut self) {
        self.0 = None;
    }
}

impl<F: Future<Output = Result<()>> + Send + 'static> Drop for Unheard<F> {
    fn drop(&mut self) {
        let Some(take_back) = self.0.take() else { return };
        // Without a runtime the service has ended, and leases with it.
        let Ok(runtime) = Handle::try_current() else { return };
        runtime.spawn(async move {
            if let Err(error) = take_back.await {
                tracing::warn!(%error, "what nobody heard of could not be taken back");
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::{Loans, Unheard, compute, to_the_end};
    use crate::app::budget::{Budget, Holder};
    use std::sync::Arc;
    use std::time::Duration;
    use tokio::sync::oneshot;

    const SHORT: Duration = Duration::from_millis(20);
    const LONG: Duration = Duration::from_secs(10);

    #[tokio::test]
    async fn on_a_runtime_of_one_thread_it_just_computes() {
        assert_eq!(compute(|| 7), 7);
    }

    #[tokio::test]
    async fn what_was_lent_for_a_request_comes_back_with_its_work_and_not_when_its_client_goes_away() {
        let budget = Budget::new(10, 1);
        let place = Arc::new(budget.lend_now(Holder::Administrators, 1).unwrap());
        let memory = budget.lend_now(Holder::Administrators, 2).unwrap();
        let (go_on, waits) = oneshot::channel::<()>();
        let answering = async {
            Loans::keep(memory);
            to_the_end(async move {
                let _ = waits.await;
                Ok(())
            })
            .await
        };
        assert!(tokio::time::timeout(SHORT, Loans::of(place, answering)).await.is_err());
        assert_eq!(budget.lent(), 3);
        go_on.send(()).unwrap();
        tokio::time::sleep(5 * SHORT).await;
        assert_eq!(budget.lent(), 0);
    }

    #[tokio::test]
    async fn what_is_done_for_somebody_who_went_away_is_taken_back() {
        for goes_after in [Duration::ZERO, 5 * SHORT] {
            let (sender, taken_back) = oneshot::channel();
            let work = to_the_end(async move {
                tokio::time::sleep(2 * SHORT).await;
                let take_back = async move {
                    let _ = sender.send(());
                    Ok(())
                };
                Ok(Unheard::new(take_back))
            });
            let outcome = tokio::time::timeout(goes_after, work).await;
            drop(outcome);
            tokio::time::timeout(LONG, taken_back).await.unwrap().unwrap();
        }
    }

    #[tokio::test]
    async fn what_somebody_heard_of_stays() {
        let (sender, taken_back) = oneshot::channel::<()>();
        let take_back = async move {
            let _ = sender.send(());
            Ok(())
        };
        to_the_end(async move { Ok(Unheard::new(take_back)) }).await.unwrap().heard();
        assert!(taken_back.await.is_err(), "nobody took it back");
    }
}
