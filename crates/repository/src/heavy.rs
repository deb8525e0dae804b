//! Computing that takes long, among tasks that wait for each other.

use std::panic::resume_unwind;
use std::sync::{Mutex, PoisonError};
use std::thread;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::block_in_place;

/// How far what nobody waits for stands back: where others want the processor, it is theirs but for a seventieth.
const STANDS_BACK: i32 = 19;

/// Computes on this thread, and lets others run what waits for it meanwhile. Where there are no others (a simulation, a runtime
/// of one thread) it just computes.
pub(crate) fn compute<T>(work: impl FnOnce() -> T) -> T {
    if has_others() { block_in_place(work) } else { work() }
}

/// Computes what nobody waits for: on a thread of its own that stands back for all others, and so do threads that it starts.
pub(crate) fn compute_aside<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    if !has_others() {
        return work();
    }
    let work = Mutex::new(Some(work));
    let take = || work.lock().unwrap_or_else(PoisonError::into_inner).take().expect("it is taken once");
    let aside = || {
        // Where that is not allowed it is just done.
        let _ = rustix::process::nice(STANDS_BACK);
        take()()
    };
    block_in_place(|| {
        thread::scope(|scope| match thread::Builder::new().spawn_scoped(scope, aside) {
            Ok(thread) => thread.join().unwrap_or_else(|panic| resume_unwind(panic)),
            // There is no thread to be had.
            Err(_) => take()(),
        })
    })
}

fn has_others() -> bool {
    Handle::try_current().is_ok_and(|runtime| runtime.runtime_flavor() == RuntimeFlavor::MultiThread)
}

#[cfg(test)]
mod tests {
    use super::{compute, compute_aside};
    use std::sync::mpsc;

    #[test]
    fn without_a_runtime_and_on_one_of_one_thread_it_just_computes() {
        assert_eq!(compute(|| 7), 7);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        assert_eq!(runtime.block_on(async { compute(|| 8) }), 8);
    }

    #[test]
    fn what_nobody_waits_for_stands_back_and_nothing_else_does() {
        let nice = || rustix::process::nice(0).unwrap();
        let before = nice();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        let aside =
            runtime.block_on(async move { compute_aside(|| std::thread::scope(|scope| scope.spawn(nice).join().unwrap())) });
        assert_eq!([aside, nice()], [(before + super::STANDS_BACK).min(19), before]);
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
