//! What the repository needs from outside: time, randomness, and who is still alive.
//!
//! Nothing else in this crate asks the system for a time or a random number, so that a simulation is exact.

use format::SessionId;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// The authority's clock.
pub trait Clock: Send + Sync {
    /// Milliseconds since 1970. Stamps records; decides nothing about what is kept.
    fn now_ms(&self) -> i64;
}

/// Random bytes.
pub trait Entropy: Send + Sync {
    /// Fills the buffer.
    fn fill(&self, buffer: &mut [u8]);
}

/// Tells whether the process behind a session still runs.
pub trait Liveness: Send + Sync {
    /// From now until `release`, or until whoever has the session is gone, it is alive. Before its row is written.
    fn hold(&self, session: SessionId) -> io::Result<()>;

    /// From now until `release` or the end of this process, however long that takes: what the session does is done here, so
    /// that nobody renews it. Before its row is written.
    fn hold_here(&self, session: SessionId) -> io::Result<()>;

    /// A session that an earlier process had open, so long ago, goes on in this one. Where sessions end with their processes
    /// there are none.
    fn adopt(&self, _session: SessionId, _age: Duration) {}

    /// It is over.
    fn release(&self, session: SessionId);

    /// Whether it is alive, in this process or another.
    fn is_alive(&self, session: SessionId) -> bool;
}

/// All three.
#[derive(Clone)]
pub struct Environment {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// Who is alive.
    pub liveness: Arc<dyn Liveness>,
}

impl Environment {
    pub(crate) fn random<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.entropy.fill(&mut bytes);
        bytes
    }
}

/// A session that is alive until this is dropped, unless it is kept: a call that is dropped half-way leaves none behind.
pub(crate) struct Held {
    liveness: Option<Arc<dyn Liveness>>,
    session: SessionId,
}

impl Held {
    pub(crate) fn new(environment: &Environment, session: SessionId) -> io::Result<Self> {
        environment.liveness.hold(session)?;
        Ok(Self { liveness: Some(environment.liveness.clone()), session })
    }

    /// Of a session whose work is done by this process.
    pub(crate) fn here(environment: &Environment, session: SessionId) -> io::Result<Self> {
        environment.liveness.hold_here(session)?;
        Ok(Self { liveness: Some(environment.liveness.clone()), session })
    }

    /// The session lives on, until somebody releases it.
    pub(crate) fn keep(mut self) {
        self.liveness = None;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(liveness) = &self.liveness {
            liveness.release(self.session);
        }
    }
}
