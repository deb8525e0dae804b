//! Read sessions: they pin a point while it is read.

use crate::call::Calls;
use crate::error::Result;
use format::{PointId, SessionId};

/// An open read session; closed when dropped.
pub(crate) struct ReadSession {
    calls: Calls,
    id: SessionId,
}

impl ReadSession {
    pub(crate) fn open(calls: &Calls, point: PointId) -> Result<Self> {
        let id = calls.wait("open a read session", calls.domain.open_reader(point))?;
        Ok(Self { calls: calls.clone(), id })
    }

    pub(crate) fn id(&self) -> SessionId {
        self.id
    }
}

impl Drop for ReadSession {
    fn drop(&mut self) {
        // if this fails, the session ends with its lease
        if let Err(error) = self.calls.wait("close a read session", self.calls.domain.close_reader(self.id)) {
            tracing::warn!(%error, "the read session could not be closed");
        }
    }
}
