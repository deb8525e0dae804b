//! Leases of read sessions: renewed here as long as they are open, because those who read do not know of leases.

use super::connection::{Call, Connection};
use crate::sessions::ReaderOpened;
use contract::ErrorKind;
use format::SessionId;
use reqwest::Method;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::AbortHandle;

/// A lease is renewed so many times while it lasts.
const RENEWALS: u32 = 3;

/// Read sessions of this process.
#[derive(Default)]
pub(super) struct Readers(Mutex<HashMap<SessionId, AbortHandle>>);

impl Readers {
    /// Renews the lease until the session is stopped.
    pub(super) fn keep(&self, connection: &Arc<Connection>, lease: String, opened: ReaderOpened) {
        let every = Duration::from_secs(opened.lease_seconds.max(1)) / RENEWALS;
        let connection = connection.clone();
        let renewing = tokio::spawn(async move {
            loop {
                tokio::time::sleep(every).await;
                match connection.send(Call::new(Method::PUT, lease.clone())).await {
                    Err(error) if matches!(error.kind(), ErrorKind::Conflict | ErrorKind::Denied) => break,
                    Err(error) => tracing::warn!(%error, "the lease of a read session could not be renewed"),
                    Ok(_) => {}
                }
            }
        });
        self.0.lock().expect("no panic under this lock").insert(opened.session, renewing.abort_handle());
    }

    /// The session is over.
    pub(super) fn stop(&self, session: SessionId) {
        if let Some(renewing) = self.0.lock().expect("no panic under this lock").remove(&session) {
            renewing.abort();
        }
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.0.lock().expect("no panic under this lock").values().for_each(AbortHandle::abort);
    }
}
