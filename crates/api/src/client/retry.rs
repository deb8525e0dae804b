//! When a request is sent again: exponential waits with full jitter, until patience is at its end.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::time::{Duration, Instant};

/// The first wait is up to this.
const WAIT_MIN: Duration = Duration::from_millis(100);
/// No wait is longer.
const WAIT_MAX: Duration = Duration::from_secs(10);

/// The tries of one request.
pub(super) struct Tries {
    until: Instant,
    number: u32,
}

impl Tries {
    /// They end after this time.
    pub(super) fn new(patience: Duration) -> Self {
        Self { until: Instant::now() + patience, number: 0 }
    }

    /// How long to wait before the next try; none if there is no next one. A service that says when to come again is heard.
    pub(super) fn wait(&mut self, asked: Option<Duration>) -> Option<Duration> {
        let most = WAIT_MIN.saturating_mul(1 << self.number.min(10)).min(WAIT_MAX);
        self.number += 1;
        let jitter = RandomState::new().hash_one(self.number) % 1000;
        let wait = most.mul_f64(jitter as f64 / 1000.0) + asked.unwrap_or_default().min(WAIT_MAX);
        (Instant::now() + wait < self.until).then_some(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::{Tries, WAIT_MAX};
    use std::time::Duration;

    #[test]
    fn waits_grow_differ_and_end() {
        let mut tries = Tries::new(Duration::from_secs(3600));
        let waits: Vec<Duration> = (0..40).map(|_| tries.wait(None).unwrap()).collect();
        assert!(waits.iter().all(|wait| *wait <= WAIT_MAX));
        assert!(waits[0] <= Duration::from_millis(100) && waits[20..].iter().any(|wait| *wait > Duration::from_secs(1)));
        assert!(Tries::new(Duration::ZERO).wait(None).is_none());
    }

    #[test]
    fn a_service_that_says_when_is_heard() {
        let asked = Duration::from_secs(2);
        assert!(Tries::new(Duration::from_secs(60)).wait(Some(asked)).unwrap() >= asked);
    }
}
