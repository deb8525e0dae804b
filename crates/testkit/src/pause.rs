//! Where a simulated delay comes from: the executor's turns or a simulated clock, never the machine's.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

/// Lets others run for some steps.
pub trait Pause: Send + Sync {
    /// Resolves after `steps` steps, whatever a step is.
    fn pause(&self, steps: u32) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}

/// Gives the executor's other tasks a turn `steps` times. Works under every executor.
#[derive(Debug, Clone, Copy, Default)]
pub struct Yields;

impl Pause for Yields {
    fn pause(&self, steps: u32) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async move {
            for _ in 0..steps {
                yield_now().await;
            }
        })
    }
}

/// Gives the executor's other tasks one turn.
pub async fn yield_now() {
    let mut yielded = false;
    poll_fn(|context| {
        if yielded {
            return Poll::Ready(());
        }
        yielded = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Runs futures together, within one task, and gives their outputs in order.
pub async fn join_all<F: Future>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    let mut running: Vec<_> = futures.into_iter().map(Box::pin).collect();
    let mut outputs: Vec<Option<F::Output>> = running.iter().map(|_| None).collect();
    poll_fn(|context| {
        let mut waiting = false;
        for (future, output) in running.iter_mut().zip(&mut outputs).filter(|(_, output)| output.is_none()) {
            match future.as_mut().poll(context) {
                Poll::Ready(value) => *output = Some(value),
                Poll::Pending => waiting = true,
            }
        }
        if waiting { Poll::Pending } else { Poll::Ready(()) }
    })
    .await;
    outputs.into_iter().flatten().collect()
}
