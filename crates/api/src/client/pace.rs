//! How fast packs may be sent: a limit that may change while they are.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// So much is sent at once after a pause, at most.
const BURST: Duration = Duration::from_millis(200);
/// A limit is looked at again this often by whoever waits for it.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// A limit of bytes per second of all packs of a client together. Clones are the same one.
#[derive(Debug, Clone, Default)]
pub struct Pace(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    bytes_per_second: Option<u64>,
    /// What was sent so far fills the time up to here.
    paid_until: Option<Instant>,
}

impl Pace {
    /// Sets the limit, at once. None: there is no limit.
    pub fn set(&self, bytes_per_second: Option<u64>) {
        let mut state = self.state();
        if state.bytes_per_second != bytes_per_second {
            *state = State { bytes_per_second, paid_until: None };
        }
    }

    /// How long to wait before so many bytes are sent; zero if they may be sent now, and then they count as sent.
    pub(super) fn take(&self, bytes: usize) -> Duration {
        let mut state = self.state();
        let Some(rate) = state.bytes_per_second else { return Duration::ZERO };
        let now = Instant::now();
        let paid = state.paid_until.map_or(now, |paid| paid.max(now.checked_sub(BURST).unwrap_or(now)));
        if paid > now {
            return (paid - now).min(LOOK_AGAIN);
        }
        let price = Duration::from_secs_f64(bytes as f64 / rate.max(1) as f64);
        state.paid_until = Some(paid + price);
        Duration::ZERO
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().expect("no panic under this lock")
    }
}

#[cfg(test)]
mod tests {
    use super::Pace;
    use std::time::{Duration, Instant};

    #[test]
    fn no_more_is_sent_than_the_limit_allows_and_a_changed_limit_counts_at_once() {
        let pace = Pace::default();
        assert_eq!(pace.take(1 << 30), Duration::ZERO, "without a limit nothing waits");
        pace.set(Some(1 << 20));
        let (started, mut sent) = (Instant::now(), 0_usize);
        while started.elapsed() < Duration::from_millis(500) {
            match pace.take(16 << 10) {
                Duration::ZERO => sent += 16 << 10,
                wait => std::thread::sleep(wait),
            }
        }
        let expected = (1 << 20) / 2;
        assert!((expected * 7 / 10..expected * 15 / 10).contains(&sent), "{sent}");
        pace.set(None);
        assert_eq!(pace.take(1 << 30), Duration::ZERO);
    }
}
