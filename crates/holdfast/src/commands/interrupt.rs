//! Stopping at Ctrl-C and at a request to terminate: long work ends cleanly, a second signal ends it at once.

use crate::failure::Exit;
use engine::Cancel;
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
