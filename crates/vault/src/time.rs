//! What tells the service the time.
//!
//! Invariant: nothing that policies, jobs and duties do asks the system for a time elsewhere, so that a test can say what time it
//! is. The wall clock is believed by nobody who deletes: that is the high-water clock's matter.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The time.
pub trait Time: Send + Sync {
    /// What the wall clock shows, in milliseconds since 1970.
    fn wall_ms(&self) -> i64;

    /// How long the process has run, by a clock that never jumps.
    fn running(&self) -> Duration;
}

/// The system's time.
pub(crate) struct SystemClocks(Instant);

impl SystemClocks {
    pub(crate) fn new() -> Self {
        Self(Instant::now())
    }
}

impl Time for SystemClocks {
    fn wall_ms(&self) -> i64 {
        match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
            Err(before) => -i64::try_from(before.duration().as_millis()).unwrap_or(i64::MAX),
        }
    }

    fn running(&self) -> Duration {
        self.0.elapsed()
    }
}
