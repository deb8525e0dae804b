//! What is protected, ready to be asked what is due: the policies of all items, compiled.
//!
//! Data only: nothing here waits or starts. A policy that this program cannot use leaves the one before it in force, and says so.

use crate::state::{History, ItemRecord, timestamp};
use api::limits::{ITEMS_PER_DOMAIN_MAX, SCOPE_LINE_BYTES_MAX, SCOPE_LINES_MAX};
use api::{FileScope, ProtectedItem, Protection};
use contract::{Error, ErrorKind};
use format::{DomainId, ItemName};
use policy::{ImpactSettings, ItemSeed, Policy, PolicySettings, Slot, Step, Timestamp};
use std::collections::BTreeMap;

/// An item.
#[derive(Debug, Clone)]
pub(crate) struct PlannedItem {
    pub(crate) files: FileScope,
    pub(crate) policy: Option<Policy>,
    /// Why the policy that the service sent is not the one that is in force.
    pub(crate) unusable: Option<String>,
    seed: ItemSeed,
    since_ms: i64,
    known_slot_ms: Option<i64>,
}

/// All items.
#[derive(Debug, Clone, Default)]
pub(crate) struct Plan {
    pub(crate) items: BTreeMap<ItemName, PlannedItem>,
}

/// What the service said, if it is no more than a service says.
pub(crate) fn bounded(protection: Protection) -> Result<Protection, Error> {
    let fits = |lines: &[String]| lines.len() <= SCOPE_LINES_MAX && lines.iter().all(|line| line.len() <= SCOPE_LINE_BYTES_MAX);
    let is_bounded = |item: &ProtectedItem| {
        [&item.files.paths, &item.files.excludes, &item.files.includes].into_iter().all(|lines| fits(lines))
    };
    if protection.items.len() <= ITEMS_PER_DOMAIN_MAX && protection.items.iter().all(is_bounded) {
        return Ok(protection);
    }
    Err(Error::new(ErrorKind::Invalid, "the service wants more protected than an agent takes"))
}

/// What to do about an item now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    /// Start a run, which would have started then if nothing had been in the way.
    Start { slot: Slot, missed: usize, planned: Timestamp },
    /// Stop the one that runs.
    Stop,
    /// Ask again then.
    Later(Option<Timestamp>),
}

impl Plan {
    /// Compiles what the service said. What it cannot use of it is taken from the plan before. Without `spread` what is due is due at once.
    pub(crate) fn new(domain: DomainId, protection: &Protection, before: &Self, spread: bool) -> Self {
        let items = protection.items.iter().map(|item| (item.item.clone(), PlannedItem::new(domain, item, before, spread)));
        Self { items: items.collect() }
    }
}

impl PlannedItem {
    fn new(domain: DomainId, item: &ProtectedItem, before: &Plan, spread: bool) -> Self {
        let settings = item.settings().map(|settings| match spread {
            true => settings,
            false => PolicySettings { spread_minutes: 0, ..settings },
        });
        let compiled = settings.map(Policy::new).transpose();
        let (policy, unusable) = match compiled {
            Ok(policy) => (policy, None),
            Err(error) => {
                let before = before.items.get(&item.item).and_then(|item| item.policy.clone());
                (before, Some(error.to_string()))
            }
        };
        Self {
            files: item.files.clone(),
            policy,
            unusable,
            seed: ItemSeed::of(domain, &item.item),
            since_ms: item.since_ms,
            known_slot_ms: item.last_slot_ms,
        }
    }

    /// What to do now. `running` is the slot of the run that goes on, if there is one; on demand it has none.
    pub(crate) fn due(&self, record: &ItemRecord, ready_ms: i64, running: Option<Option<i64>>, now: Timestamp) -> Due {
        let Some(policy) = &self.policy else { return Due::Later(None) };
        let history = History { since_ms: self.since_ms, ready_ms, known_slot_ms: self.known_slot_ms, running };
        match policy.next_step(&self.seed, &record.to_runs(&history), now) {
            Step::Start { slot, missed } => Due::Start { slot, missed, planned: policy.planned_start(&self.seed, slot) },
            Step::Stop => Due::Stop,
            Step::Wait { until, .. } => Due::Later(Some(until)),
            Step::GoOn { until } => Due::Later(until),
            Step::Nothing => Due::Later(None),
        }
    }

    /// How fast its runs may send now.
    pub(crate) fn bytes_per_second(&self, now_ms: i64) -> Option<u64> {
        self.policy.as_ref().and_then(|policy| policy.bandwidth(timestamp(now_ms)).bytes_per_second)
    }

    /// How much its runs take of the machine now.
    pub(crate) fn impact(&self) -> ImpactSettings {
        self.policy.as_ref().map(|policy| policy.settings().impact.clone()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::SlotEnd;
    use policy::{Days, Schedule, Times};

    const MINUTE_MS: i64 = 60_000;

    fn at(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().as_millisecond()
    }

    fn protection(settings: PolicySettings, since_ms: i64) -> Protection {
        let item = ProtectedItem {
            item: ItemName::new("files").unwrap(),
            files: FileScope::default(),
            policy: Some(settings),
            impact: None,
            since_ms,
            last_slot_ms: None,
        };
        Protection { revision: 1, items: vec![item] }
    }

    fn nightly(zone: &str) -> PolicySettings {
        let schedules = vec![Schedule { days: Days::Daily, times: Times::At(vec!["02:30".parse().unwrap()]) }];
        PolicySettings { schedules, spread_minutes: 15, ..PolicySettings::new("nightly", zone) }
    }

    fn planned(settings: PolicySettings, since_ms: i64) -> PlannedItem {
        let plan = Plan::new(DomainId([7; 16]), &protection(settings, since_ms), &Plan::default(), true);
        plan.items.into_values().next().unwrap()
    }

    /// Goes by what is due as an agent does, for a year; answers the slots that were run.
    fn year_of(item: &PlannedItem, from: i64, until: i64, sleeps: impl Fn(i64) -> bool) -> Vec<i64> {
        let (mut record, mut now, mut slots) = (ItemRecord::default(), from, Vec::new());
        let (mut ready, mut slept) = (from, false);
        while now < until {
            if sleeps(now) {
                (slept, now) = (true, now + 10 * MINUTE_MS);
                continue;
            }
            if std::mem::take(&mut slept) {
                ready = now;
            }
            match item.due(&record, ready, None, timestamp(now)) {
                Due::Start { slot, .. } => {
                    slots.push(slot.due.as_millisecond());
                    // It runs for eleven minutes.
                    now += 11 * MINUTE_MS;
                    record.end(slot.due.as_millisecond(), SlotEnd::Done, now);
                }
                Due::Later(then) => {
                    // A wait is never longer than half a minute, and a slot that is far away is not asked for so often here.
                    let then = then.map_or(now + 10 * MINUTE_MS, |then| then.as_millisecond());
                    now = then.clamp(now + 1, now + 10 * MINUTE_MS);
                }
                Due::Stop => panic!("there is no window"),
            }
        }
        slots
    }

    #[test]
    fn a_year_in_three_zones_runs_each_slot_once_and_at_its_time() {
        let (from, until) = (at("2027-01-01T12:00:00Z"), at("2028-01-01T12:00:00Z"));
        for zone in ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe"] {
            let item = planned(nightly(zone), from);
            let policy = item.policy.clone().unwrap();
            let expected: Vec<i64> =
                policy.slots_between(timestamp(from), timestamp(until)).map(|slot| slot.due.as_millisecond()).collect();
            assert_eq!(expected.len(), 365, "{zone}");
            let slots = year_of(&item, from, until, |_| false);
            assert_eq!(slots, expected, "{zone}");
        }
    }

    #[test]
    fn a_machine_that_sleeps_every_weekend_catches_up_once_on_monday() {
        let (from, until) = (at("2027-01-04T12:00:00Z"), at("2027-03-01T12:00:00Z"));
        let item = planned(nightly("UTC"), from);
        // 2027-01-04 is a Monday; the weekend is the two days from the fifth on.
        let weekend = |now: i64| (5..7).contains(&((now - at("2027-01-04T00:00:00Z")) / (24 * 60 * MINUTE_MS) % 7));
        let slots = year_of(&item, from, until, weekend);
        // Six a week: the nights before Monday to Friday, and one run for the two that were slept through.
        assert_eq!(slots.len(), 8 * 6, "{slots:?}");
        assert!(slots.windows(2).all(|pair| pair[0] < pair[1]), "none twice");
    }

    #[test]
    fn what_is_due_is_due_at_once_for_who_does_it_once() {
        let (since, slot) = (at("2027-01-01T12:00:00Z"), at("2027-01-02T02:30:00Z"));
        let plan = Plan::new(DomainId([7; 16]), &protection(nightly("UTC"), since), &Plan::default(), false);
        let item = plan.items.values().next().unwrap();
        for late_ms in [0, 1000, 20 * MINUTE_MS] {
            let now = slot + late_ms;
            let due = item.due(&ItemRecord::default(), now, None, timestamp(now));
            assert!(matches!(due, Due::Start { .. }), "{late_ms}: {due:?}");
        }
        let due = item.due(&ItemRecord::default(), slot - 1, None, timestamp(slot - 1));
        assert_eq!(due, Due::Later(Some(timestamp(slot))));
    }

    #[test]
    fn a_policy_that_cannot_be_used_leaves_the_one_before_in_force() {
        let domain = DomainId([7; 16]);
        let before = Plan::new(domain, &protection(nightly("UTC"), 0), &Plan::default(), true);
        let after = Plan::new(domain, &protection(nightly("Mars/Olympus"), 0), &before, true);
        let item = after.items.values().next().unwrap();
        assert!(item.unusable.as_deref().unwrap().contains("time_zone"));
        assert_eq!(item.policy.as_ref().unwrap().settings().time_zone, "UTC");
    }

    #[test]
    fn what_stands_beside_the_policy_is_part_of_it() {
        let gentle = ImpactSettings { reads_per_second: Some(50), ..ImpactSettings::default() };
        let mut beside = protection(nightly("UTC"), 0);
        beside.items[0].impact = Some(gentle.clone());
        let within = protection(PolicySettings { impact: gentle.clone(), ..nightly("UTC") }, 0);
        for protection in [beside, within] {
            let plan = Plan::new(DomainId([7; 16]), &protection, &Plan::default(), true);
            assert_eq!(plan.items.values().next().unwrap().impact(), gentle);
        }
    }

    #[test]
    fn more_than_a_service_says_is_not_taken() {
        bounded(protection(nightly("UTC"), 0)).unwrap();
        let mut lines = protection(nightly("UTC"), 0);
        lines.items[0].files.excludes = vec![String::new(); SCOPE_LINES_MAX + 1];
        let mut items = protection(nightly("UTC"), 0);
        items.items = vec![items.items[0].clone(); ITEMS_PER_DOMAIN_MAX + 1];
        let mut long = protection(nightly("UTC"), 0);
        long.items[0].files.paths = vec!["/".repeat(SCOPE_LINE_BYTES_MAX + 1)];
        for too_much in [lines, items, long] {
            assert_eq!(bounded(too_much).unwrap_err().kind(), ErrorKind::Invalid);
        }
    }

    #[test]
    fn what_is_on_demand_only_is_never_due() {
        let mut protection = protection(nightly("UTC"), 0);
        protection.items[0].policy = None;
        let plan = Plan::new(DomainId([7; 16]), &protection, &Plan::default(), true);
        let due = plan.items.values().next().unwrap().due(&ItemRecord::default(), 0, None, timestamp(at("2027-01-01T12:00:00Z")));
        assert_eq!(due, Due::Later(None));
    }
}
