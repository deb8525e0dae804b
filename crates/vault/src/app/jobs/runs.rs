//! How many runs agents may bring that the service has not heard of: each is a row, a log, and a write.

use super::reports::NEW_RUNS_A_MINUTE_MAX;
use format::DomainId;
use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

/// New runs of each domain within its minute.
#[derive(Default)]
pub(super) struct NewRuns(Mutex<HashMap<DomainId, Minute>>);

struct Minute {
    /// How long the process had run when it began.
    began: Duration,
    runs: u32,
}

impl NewRuns {
    /// Whether one more is taken now.
    pub(super) fn admit(&self, domain: DomainId, running: Duration) -> bool {
        let mut minutes = self.0.lock().expect("no panic under this lock");
        minutes.retain(|_, minute| running.saturating_sub(minute.began) < MINUTE);
        let minute = minutes.entry(domain).or_insert(Minute { began: running, runs: 0 });
        minute.runs = minute.runs.saturating_add(1);
        minute.runs <= NEW_RUNS_A_MINUTE_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::{MINUTE, NEW_RUNS_A_MINUTE_MAX, NewRuns};
    use format::DomainId;
    use std::time::Duration;

    #[test]
    fn a_domain_brings_so_many_runs_a_minute_and_another_domain_its_own() {
        let (runs, now) = (NewRuns::default(), Duration::from_secs(1000));
        let (one, other) = (DomainId([1; 16]), DomainId([2; 16]));
        assert!((0..NEW_RUNS_A_MINUTE_MAX).all(|_| runs.admit(one, now)));
        assert!(!runs.admit(one, now) && runs.admit(other, now));
        assert!(!runs.admit(one, now + MINUTE / 2) && runs.admit(one, now + MINUTE));
    }
}
