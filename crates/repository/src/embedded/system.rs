//! The system's clock and randomness: the one place of this crate that asks for them.

use crate::environment::{Clock, Entropy};
use std::time::{SystemTime, UNIX_EPOCH};

/// The system's clock.
pub(super) struct SystemClock;

impl Clock for SystemClock {
    fn now_ms(&self) -> i64 {
        match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
            Err(before) => -i64::try_from(before.duration().as_millis()).unwrap_or(i64::MAX),
        }
    }
}

/// The system's random numbers.
pub(super) struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&self, buffer: &mut [u8]) {
        system::fill(buffer);
    }
}
