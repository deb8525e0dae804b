//! Stopping at Ctrl-C and at a request to terminate: long work ends cleanly, a second signal ends it at once.

use crate::failure::{Exit, Outcome};
use engine::{Cancel, EngineError};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// A token that signals set.
pub(crate) fn cancel_on_signals() -> Cancel {
    let cancel = Cancel::new();
    for kind in [SignalKind::interrupt(), SignalKind::terminate()] {
        let cancel = cancel.clone();
        let Ok(mut signals) = signal(kind) else { continue };
        tokio::spawn(async move {
            signals.recv().await;
            cancel.cancel();
            signals.recv().await;
            std::process::exit(i32::from(Exit::Interrupted as u8));
        });
    }
    cancel
}

/// Between two looks at a token.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Work that does not look at the token itself, and may be left where it is.
pub(crate) async fn unless_cancelled<T>(cancel: &Cancel, work: impl Future<Output = Outcome<T>>) -> Outcome<T> {
    let cancelled = async {
        while !cancel.is_cancelled() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    tokio::select! {
        done = work => done,
        () = cancelled => Err(EngineError::Cancelled.into()),
    }
}
