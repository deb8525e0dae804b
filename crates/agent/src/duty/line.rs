//! The line in which items stand whose runs are due.
//!
//! Invariant: who came first is first, and who has begun stands behind all others when it is due again. So none waits for ever because
//! the runs of others take longer than their schedules give them.

use format::ItemName;
use policy::{Slot, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// A run that is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DueRun {
    pub(super) item: ItemName,
    pub(super) slot: Slot,
    /// Slots before it that the same run catches up.
    pub(super) missed: usize,
    /// When it would have started if nothing had been in the way.
    pub(super) planned: Timestamp,
}

/// The line.
#[derive(Debug, Default)]
pub(super) struct Line {
    places: BTreeMap<ItemName, u64>,
    next: u64,
}

impl Line {
    /// Puts all runs that are due now in their order. Those that come at once come by their planned starts; who is not due any more has
    /// left.
    pub(super) fn order(&mut self, mut due: Vec<DueRun>) -> Vec<DueRun> {
        let stays: BTreeSet<&ItemName> = due.iter().map(|run| &run.item).collect();
        self.places.retain(|item, _| stays.contains(item));
        due.sort_by_key(|run| run.planned);
        for run in &due {
            if !self.places.contains_key(&run.item) {
                self.places.insert(run.item.clone(), self.next);
                self.next += 1;
            }
        }
        due.sort_by_key(|run| self.places.get(&run.item).copied());
        due
    }

    /// Its run has begun.
    pub(super) fn leave(&mut self, item: &ItemName) {
        self.places.remove(item);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use policy::{Days, Policy, PolicySettings, Schedule, Times};

    fn due(name: &str, planned: i64) -> DueRun {
        let planned = Timestamp::from_second(planned).unwrap();
        DueRun { item: ItemName::new(name).unwrap(), slot: slot(), missed: 0, planned }
    }

    fn slot() -> Slot {
        let schedules = vec![Schedule { days: Days::Daily, times: Times::At(vec!["02:30".parse().unwrap()]) }];
        let settings = PolicySettings { schedules, ..PolicySettings::new("nightly", "UTC") };
        Policy::new(settings).unwrap().next_slot(Timestamp::UNIX_EPOCH).unwrap()
    }

    fn names(runs: &[DueRun]) -> Vec<&str> {
        runs.iter().map(|run| run.item.as_str()).collect()
    }

    #[test]
    fn who_comes_at_once_comes_by_planned_starts_and_who_comes_later_stands_behind() {
        let mut line = Line::default();
        assert_eq!(names(&line.order(vec![due("a", 9), due("b", 3), due("c", 5)])), ["b", "c", "a"]);
        assert_eq!(names(&line.order(vec![due("a", 9), due("c", 5), due("d", 1)])), ["c", "a", "d"]);
    }

    #[test]
    fn who_has_begun_stands_behind_all_others_when_it_is_due_again() {
        let mut line = Line::default();
        line.order(vec![due("a", 0), due("b", 0), due("c", 0)]);
        line.leave(&due("a", 0).item);
        assert_eq!(names(&line.order(vec![due("a", 0), due("b", 0), due("c", 0)])), ["b", "c", "a"]);
    }
}
