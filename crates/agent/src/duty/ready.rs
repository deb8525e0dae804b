//! Since when runs could be started. What was missed before is spread from there: machines that wake together do not start together.
//!
//! Invariant: after a look nothing is ready since a time that is yet to come, whatever the wall clock did.

use crate::limits::JUMP_MS;
use format::ItemName;
use std::collections::BTreeMap;
use std::time::Instant;

/// Since when, in milliseconds since 1970 as the wall clock shows them.
#[derive(Debug)]
pub(super) struct Ready {
    /// Items that have a time of their own.
    items: BTreeMap<ItemName, i64>,
    /// The others: since the agent could.
    all_ms: i64,
    /// What the clocks showed at the last look.
    looked: (i64, Instant),
}

impl Ready {
    /// Everything since now.
    pub(super) fn new(now_ms: i64, now: Instant) -> Self {
        Self { items: BTreeMap::new(), all_ms: now_ms, looked: (now_ms, now) }
    }

    /// Looks at the clocks. Answers whether the wall clock is ahead of the time that passed: the machine slept, and others of its kind woke
    /// with it.
    pub(super) fn look(&mut self, now_ms: i64, now: Instant) -> bool {
        let passed_ms = i64::try_from((now - self.looked.1).as_millis()).unwrap_or(i64::MAX);
        let woke = now_ms.saturating_sub(self.looked.0).saturating_sub(passed_ms) > JUMP_MS;
        if woke {
            self.all_ms = now_ms;
            self.items.clear();
        }
        // A clock that was ahead has been set.
        self.all_ms = self.all_ms.min(now_ms);
        self.items.values_mut().for_each(|since_ms| *since_ms = (*since_ms).min(now_ms));
        self.looked = (now_ms, now);
        woke
    }

    /// These have been ready since now only.
    pub(super) fn begin(&mut self, items: impl IntoIterator<Item = ItemName>, now_ms: i64) {
        self.items.extend(items.into_iter().map(|item| (item, now_ms)));
    }

    /// Since when the item has been.
    pub(super) fn since_ms(&self, item: &ItemName) -> i64 {
        self.items.get(item).map_or(self.all_ms, |since_ms| self.all_ms.max(*since_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const HOUR_MS: i64 = 3_600_000;

    fn item(name: &str) -> ItemName {
        ItemName::new(name).unwrap()
    }

    #[test]
    fn a_machine_that_slept_is_ready_since_it_woke() {
        let start = Instant::now();
        let mut ready = Ready::new(1000, start);
        ready.begin([item("a")], 2000);
        assert!(!ready.look(31_000, start + Duration::from_secs(30)));
        assert_eq!((ready.since_ms(&item("a")), ready.since_ms(&item("b"))), (2000, 1000));
        assert!(ready.look(31_000 + HOUR_MS, start + Duration::from_secs(60)));
        assert_eq!((ready.since_ms(&item("a")), ready.since_ms(&item("b"))), (31_000 + HOUR_MS, 31_000 + HOUR_MS));
    }

    #[test]
    fn after_a_clock_that_was_ahead_is_set_right_nothing_is_ready_in_the_future() {
        let start = Instant::now();
        // It was ahead when the agent started, and when the service came back.
        let mut ready = Ready::new(HOUR_MS, start);
        ready.begin([item("a")], HOUR_MS + 5000);
        assert!(!ready.look(10_000, start + Duration::from_secs(10)));
        assert_eq!((ready.since_ms(&item("a")), ready.since_ms(&item("b"))), (10_000, 10_000));
        // It jumps ahead while the agent runs, and back.
        assert!(ready.look(9 * HOUR_MS, start + Duration::from_secs(20)));
        assert!(!ready.look(30_000, start + Duration::from_secs(30)));
        assert_eq!((ready.since_ms(&item("a")), ready.since_ms(&item("b"))), (30_000, 30_000));
    }
}
