//! When a request is sent again: exponential waits with full jitter, until patience is at its end.
//!
//! Patience begins when the first try fails, not when it starts: one try may take longer than patience lasts. It begins anew,
//! so many times, after a try in which much went over the wire.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::time::{Duration, Instant};

/// The first wait is up to this.
const WAIT_MIN: Duration = Duration::from_millis(100);
/// No wait is longer.
const WAIT_MAX: Duration = Duration::from_secs(10);
/// A line that always breaks half-way ends the request at last.
const RENEWALS_MAX: u32 = 20;

/// The tries of one request.
#[derive(Default)]
pub(super) struct Tries {
    until: Option<Instant>,
    number: u32,
    renewals: u32,
}

impl Tries {
    /// A try failed, but got far: patience begins anew.
    pub(super) fn got_far(&mut self) {
        if self.renewals < RENEWALS_MAX {
            *self = Self { renewals: self.renewals + 1, ..Self::default() };
        }
    }

    /// A try failed: how long to wait before the next one; none if there is no next one. A service that says when to come
    /// again is heard.
    pub(super) fn wait(&mut self, patience: Duration, asked: Option<Duration>) -> Option<Duration> {
        let until = *self.until.get_or_insert_with(|| Instant::now() + patience);
        let most = WAIT_MIN.saturating_mul(1 << self.number.min(10)).min(WAIT_MAX);
        self.number += 1;
        let jitter = RandomState::new().hash_one(self.number) % 1000;
        let wait = most.mul_f64(jitter as f64 / 1000.0) + asked.unwrap_or_default().min(WAIT_MAX);
        (Instant::now() + wait < until).then_some(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::{RENEWALS_MAX, Tries, WAIT_MAX};
    use std::thread::sleep;
    use std::time::Duration;

    const SHORT: Duration = Duration::from_millis(300);

    #[test]
    fn waits_grow_differ_and_end() {
        let mut tries = Tries::default();
        let waits: Vec<Duration> = (0..40).map(|_| tries.wait(Duration::from_secs(3600), None).unwrap()).collect();
        assert!(waits.iter().all(|wait| *wait <= WAIT_MAX));
        assert!(waits[0] <= Duration::from_millis(100) && waits[20..].iter().any(|wait| *wait > Duration::from_secs(1)));
        assert!(Tries::default().wait(Duration::ZERO, None).is_none());
    }

    #[test]
    fn a_service_that_says_when_is_heard() {
        let asked = Duration::from_secs(2);
        assert!(Tries::default().wait(Duration::from_secs(60), Some(asked)).unwrap() >= asked);
    }

    #[test]
    fn patience_begins_when_the_first_try_fails_and_anew_after_one_that_got_far() {
        let mut tries = Tries::default();
        sleep(SHORT * 2);
        assert!(tries.wait(SHORT, None).is_some(), "a first try may take longer than patience lasts");
        sleep(SHORT * 2);
        assert!(tries.wait(SHORT, None).is_none());
        tries.got_far();
        assert!(tries.wait(SHORT, None).is_some());
    }

    #[test]
    fn a_line_that_always_breaks_half_way_ends_the_request_at_last() {
        let mut tries = Tries::default();
        let mut renewals = 0;
        while tries.wait(Duration::from_millis(1), Some(Duration::from_micros(1))).is_some() || renewals <= RENEWALS_MAX {
            tries.got_far();
            renewals += 1;
            assert!(renewals < 10 * RENEWALS_MAX);
        }
    }
}
