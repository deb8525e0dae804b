//! Work that goes on to its end even if who asked for it goes away.

use contract::{Error, ErrorKind, Result};
use std::future::Future;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::block_in_place;

/// Runs to the end on a task of its own. What is durable is right after any interruption; this saves doing it twice.
pub(crate) async fn to_the_end<T: Send + 'static>(work: impl Future<Output = Result<T>> + Send + 'static) -> Result<T> {
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
    use super::{Unheard, compute, to_the_end};
    use std::time::Duration;
    use tokio::sync::oneshot;

    const SHORT: Duration = Duration::from_millis(20);
    const LONG: Duration = Duration::from_secs(10);

    #[tokio::test]
    async fn on_a_runtime_of_one_thread_it_just_computes() {
        assert_eq!(compute(|| 7), 7);
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
