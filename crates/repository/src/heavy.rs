//! Computing that takes long, among tasks that wait for each other.

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::block_in_place;

/// Computes on this thread, and lets others run what waits for it meanwhile. Where there are no others (a simulation, a runtime
/// of one thread) it just computes.
pub(crate) fn compute<T>(work: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => block_in_place(work),
        _ => work(),
    }
}

#[cfg(test)]
mod tests {
    use super::compute;
    use std::sync::mpsc;

    #[test]
    fn without_a_runtime_and_on_one_of_one_thread_it_just_computes() {
        assert_eq!(compute(|| 7), 7);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        assert_eq!(runtime.block_on(async { compute(|| 8) }), 8);
    }

    #[test]
    fn what_waits_for_the_thread_that_computes_is_done_by_another() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        runtime.block_on(async {
            let (sender, receiver) = mpsc::channel();
            let computing = tokio::spawn(async move {
                tokio::spawn(async move { sender.send(()) });
                compute(|| receiver.recv_timeout(std::time::Duration::from_secs(20)))
            });
            computing.await.unwrap().unwrap();
        });
    }
}
