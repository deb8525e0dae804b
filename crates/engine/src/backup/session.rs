//! The session of a backup in the vault: kept alive, and ended one way or the other.

use crate::call::Calls;
use crate::error::{EngineError, Result};
use bytes::Bytes;
use contract::{Committed, ErrorKind, ItemHead, OpenSession, SessionOpened};
use format::SessionId;
use std::time::Duration;
use tokio::task::JoinHandle;

/// How often the lease is renewed.
const RENEW_EVERY: Duration = Duration::from_secs(60);
/// How often a commit is tried again because another point of the item was faster.
const COMMITS_MAX: usize = 5;

/// An open session. One that is dropped before it was committed is abandoned.
pub(crate) struct Session {
    calls: Calls,
    request: OpenSession,
    pub(crate) opened: SessionOpened,
    renewing: JoinHandle<()>,
    ended: bool,
}

impl Session {
    pub(crate) fn open(calls: &Calls, request: OpenSession) -> Result<Self> {
        let opened = calls.wait("open a session", calls.domain.open_session(request.clone()))?;
        let renewing = calls.runtime.spawn(renew(calls.clone(), opened.session));
        Ok(Self { calls: calls.clone(), request, opened, renewing, ended: false })
    }

    pub(crate) fn id(&self) -> SessionId {
        self.opened.session
    }

    /// Commits a record that `sign` makes for the end of the item's chain; anew if the chain grew meanwhile. Nothing is sent
    /// again.
    pub(crate) fn commit(mut self, mut sign: impl FnMut(Option<ItemHead>) -> Result<Bytes>) -> Result<Committed> {
        let mut head = self.opened.head;
        for _ in 0..COMMITS_MAX {
            let record = sign(head)?;
            let error = match self.calls.runtime.block_on(self.calls.domain.commit(self.id(), record)) {
                Ok(committed) => {
                    self.ended = true;
                    return Ok(committed);
                }
                Err(error) => error,
            };
            let now = if error.kind() == ErrorKind::Conflict { self.head_now()? } else { None };
            if error.kind() != ErrorKind::Conflict || now == head {
                let source = match error.kind() {
                    // What was asked for last is the one thing that may be done although nobody heard so.
                    kind if kind.is_passing() => {
                        let first = error.hint().map(|hint| format!("{hint}; ")).unwrap_or_default();
                        error.with_hint(format!(
                            "{first}the point may appear all the same: look at the item's points before you go on"
                        ))
                    }
                    _ => error,
                };
                return Err(EngineError::Vault { doing: "commit the point", source });
            }
            head = now;
        }
        Err(EngineError::HeadMoved)
    }

    /// The end of the item's chain as a session sees it that is opened now.
    fn head_now(&self) -> Result<Option<ItemHead>> {
        let opened = self.calls.wait("open a session", self.calls.domain.open_session(self.request.clone()))?;
        self.calls.wait("abandon a session", self.calls.domain.abandon_session(opened.session))?;
        Ok(opened.head)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.renewing.abort();
        if !self.ended {
            // if this fails too, the session ends with its lease
            let abandon = self.calls.domain.abandon_session(self.opened.session);
            if let Err(error) = self.calls.runtime.block_on(abandon) {
                tracing::warn!(%error, "the session could not be abandoned");
            }
        }
    }
}

async fn renew(calls: Calls, session: SessionId) {
    loop {
        tokio::time::sleep(RENEW_EVERY).await;
        if let Err(error) = calls.domain.renew_session(session).await {
            // whatever this means shows when the session is used next
            tracing::warn!(%error, "the lease of the session could not be renewed");
        }
    }
}
