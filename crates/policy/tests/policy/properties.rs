//! Properties of retention, windows and the planner over arbitrary policies and points.

use crate::fixture::{at, daily_at, kept, number, point, seed, settings, time};
use policy::{
    Completeness, Date, Days, Expiry, ItemRuns, Origin, Policy, PolicySettings, RetentionPoint, RetentionSettings, Running,
    Schedule, Slot, Step, TimeWindow, Times, Timestamp, Weekday, WindowSettings, WindowState,
};
use proptest::prelude::*;
use std::collections::BTreeSet;

/// The period, numbered within its year, that a day lies in.
type PeriodOf = dyn Fn(Date) -> (i16, i8);

const ZONES: [&str; 5] = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Beirut"];
const WEEKDAYS: [Weekday; 7] = [
    Weekday::Monday,
    Weekday::Tuesday,
    Weekday::Wednesday,
    Weekday::Thursday,
    Weekday::Friday,
    Weekday::Saturday,
    Weekday::Sunday,
];
const HOUR_MS: i64 = 60 * 60 * 1000;

fn start_ms() -> i64 {
    at("2027-01-01T00:00:00Z").as_millisecond()
}

fn moment(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ms).unwrap()
}

fn days() -> impl Strategy<Value = Days> {
    let weekly = prop::sample::subsequence(WEEKDAYS.to_vec(), 1..=7).prop_map(Days::Weekly);
    let monthly = prop::sample::subsequence((1..=31_u8).collect::<Vec<_>>(), 1..=4).prop_map(Days::Monthly);
    prop_oneof![3 => Just(Days::Daily), 2 => weekly, 1 => monthly]
}

fn times() -> impl Strategy<Value = Times> {
    let at = prop::sample::subsequence((0..24_u8).collect::<Vec<_>>(), 1..=3)
        .prop_map(|hours| Times::At(hours.into_iter().map(|hour| time(&format!("{hour:02}:30"))).collect()));
    let every = (60..=720_u16).prop_map(|minutes| Times::Every { minutes, from: time("00:00"), until: time("24:00") });
    prop_oneof![at, every]
}

prop_compose! {
    fn retention()(recent_days in 1..5_u32, daily in 0..12_u32, weekly in 0..6_u32, monthly in 0..5_u32, yearly in 0..3_u32,
                   floor in 1..6_u32, on_demand_days in 1..20_u32, minimum_days in 0..4_u32) -> RetentionSettings {
        let rest = RetentionSettings::default();
        RetentionSettings { recent_days, daily, weekly, monthly, yearly, floor, on_demand_days, minimum_days, ..rest }
    }
}

prop_compose! {
    fn window()(weekdays in prop::sample::subsequence(WEEKDAYS.to_vec(), 0..=7), from in 0..24_u8, length in 1..24_u8) -> TimeWindow {
        let until = (from + length) % 24;
        TimeWindow { weekdays, from: time(&format!("{from:02}:00")), until: time(&format!("{until:02}:00")) }
    }
}

prop_compose! {
    fn policies()(zone in prop::sample::select(ZONES.to_vec()), days in days(), times in times(), retention in retention(),
                  open in prop::collection::vec(window(), 0..3), spread_minutes in 0..60_u32) -> Policy {
        let windows = WindowSettings { open, ..WindowSettings::default() };
        let schedules = vec![Schedule { days, times }];
        Policy::new(PolicySettings { retention, windows, spread_minutes, ..settings(zone, schedules) }).unwrap()
    }
}

/// Points over a year and a half: mostly scheduled, some on demand, some with warnings or incomplete.
fn points() -> impl Strategy<Value = Vec<RetentionPoint>> {
    let each = (1..60 * HOUR_MS, 0..10_u8, 0..10_u8);
    prop::collection::vec(each, 1..200).prop_map(|each| {
        let mut made_ms = start_ms();
        let mut points = Vec::new();
        for (number, (step_ms, origin, completeness)) in (1..).zip(each) {
            made_ms += step_ms;
            let origin = if origin < 2 { Origin::OnDemand } else { Origin::Scheduled };
            let completeness = match completeness {
                0 => Completeness::Incomplete,
                1 | 2 => Completeness::Warnings,
                _ => Completeness::Clean,
            };
            points.push(RetentionPoint { origin, completeness, ..point(number, moment(made_ms)) });
        }
        points
    })
}

fn is_open(policy: &Policy, at: Timestamp) -> bool {
    !matches!(policy.window_state(at), WindowState::Closed { .. })
}

fn now_after(points: &[RetentionPoint], hours: i64) -> Timestamp {
    moment(points.iter().map(|point| point.received_ms).max().unwrap() + hours * HOUR_MS)
}

proptest! {
    #[test]
    fn the_floor_never_expires(policy in policies(), points in points(), hours in 0..20_000_i64) {
        let kept: BTreeSet<u64> = kept(&policy, &points, now_after(&points, hours)).into_iter().collect();
        let floor = usize::try_from(policy.settings().retention.floor).unwrap();
        let whole = points.iter().rev().filter(|point| point.completeness != Completeness::Incomplete);
        for point in whole.clone().take(floor) {
            prop_assert!(kept.contains(&point.sequence.0));
        }
        for point in whole.filter(|point| point.origin == Origin::Scheduled).take(floor) {
            prop_assert!(kept.contains(&point.sequence.0));
        }
        prop_assert!(!kept.is_empty());
    }

    #[test]
    fn a_plan_that_was_executed_leaves_nothing_to_expire(policy in policies(), points in points(), hours in 0..2_000_i64) {
        let now = now_after(&points, hours);
        let first = policy.plan_retention(&points, now).unwrap();
        prop_assert_eq!(&first, &policy.plan_retention(&points, now).unwrap());
        let stay: BTreeSet<_> = first.kept().map(|fate| fate.id).collect();
        let rest: Vec<RetentionPoint> = points.iter().filter(|point| stay.contains(&point.id)).copied().collect();
        let second = policy.plan_retention(&rest, now).unwrap();
        prop_assert_eq!(second.expiring().count(), 0);
    }

    #[test]
    fn the_first_point_of_a_period_expires_only_when_so_many_later_ones_have_come(
        policy in policies(), points in points(), hours in 0..9_000_i64,
    ) {
        let now = now_after(&points, hours);
        let plan = policy.plan_retention(&points, now).unwrap();
        let slots: Vec<Slot> = policy.slots_between(moment(start_ms() - 40 * 24 * HOUR_MS), now).collect();
        let RetentionSettings { daily, weekly, monthly, yearly, .. } = policy.settings().retention;
        let week = |date: Date| (date.iso_week_date().year(), date.iso_week_date().week());
        let keys: [(u32, Box<PeriodOf>); 4] = [
            (daily, Box::new(|date| (date.year() * 13 + i16::from(date.month()), date.day()))),
            (weekly, Box::new(week)),
            (monthly, Box::new(|date| (date.year(), date.month()))),
            (yearly, Box::new(|date| (date.year(), 0))),
        ];
        for (count, key) in keys {
            // How many periods have come by each slot.
            let mut come = 0;
            let mut last = None;
            let numbers: Vec<u32> = slots.iter().map(|slot| {
                come += u32::from(last.replace(key(slot.date)) != Some(key(slot.date)));
                come
            }).collect();
            let mut seen = BTreeSet::new();
            for (point, fate) in points.iter().zip(&plan.fates) {
                if point.origin != Origin::Scheduled || point.completeness == Completeness::Incomplete {
                    continue;
                }
                let place = slots.partition_point(|slot| slot.due.as_millisecond() <= point.place_ms) - 1;
                if seen.insert(numbers[place]) && fate.expired {
                    prop_assert!(come - numbers[place] >= count, "point {} of {}", point.sequence, slots[place].date);
                }
            }
        }
    }

    #[test]
    fn later_points_of_the_same_slot_change_no_fate(policy in policies(), points in points(), more in 1..40_u64) {
        // All at the place of the newest scheduled whole point, so that no new slot has a point.
        let counted = |point: &&RetentionPoint| {
            point.origin == Origin::Scheduled && point.completeness != Completeness::Incomplete
        };
        let newest = points.iter().rev().find(counted);
        prop_assume!(newest.is_some());
        let newest = *newest.unwrap();
        let now = now_after(&points, 5);
        let before = policy.plan_retention(&points, now).unwrap();
        let last = points.last().unwrap().sequence.0;
        let mut flooded = points.clone();
        flooded.extend((1..=more).map(|number| {
            let made = point(last + number, moment(newest.place_ms));
            RetentionPoint { place_ms: newest.place_ms, received_ms: newest.received_ms, ..made }
        }));
        let after = policy.plan_retention(&flooded, now).unwrap();
        for (before, after) in before.fates.iter().zip(&after.fates) {
            // A point may leave the floor or stop being the newest; what its slot gives it, it keeps.
            let given = |fate: &policy::Fate| {
                let slots = fate.claims.iter().filter(|claim| matches!(claim.reason, policy::Reason::Slot { .. }));
                slots.map(|claim| claim.until).max().flatten()
            };
            if let Some(until) = given(before).filter(|until| *until > now) {
                prop_assert_eq!(given(after), Some(until));
                prop_assert!(!after.expired);
            }
        }
    }

    #[test]
    fn on_demand_points_change_no_fate_of_a_scheduled_point(policy in policies(), points in points(), hours in 0..2_000_i64) {
        let now = now_after(&points, hours);
        let scheduled: Vec<RetentionPoint> = points.iter().filter(|point| point.origin == Origin::Scheduled).copied().collect();
        let alone = policy.plan_retention(&scheduled, now).unwrap();
        let together = policy.plan_retention(&points, now).unwrap();
        let whole: BTreeSet<_> = scheduled.iter().filter(|point| point.completeness != Completeness::Incomplete).map(|point| point.id).collect();
        for fate in alone.fates.iter().filter(|fate| whole.contains(&fate.id)) {
            let other = together.fates.iter().find(|other| other.id == fate.id).unwrap();
            prop_assert_eq!(fate, other);
        }
    }

    #[test]
    fn nothing_expires_before_the_instant_that_was_shown(policy in policies(), points in points(), hours in 1..3_000_i64) {
        // Shown half way through; then the rest of the points is made and time goes on.
        let (early, _) = points.split_at(points.len().div_ceil(2));
        let shown_at = now_after(early, 0);
        let shown = policy.plan_retention(early, shown_at).unwrap();
        let now = now_after(&points, hours);
        let later = policy.plan_retention(&points, now).unwrap();
        for (shown, later) in shown.fates.iter().zip(&later.fates) {
            let overtime = |claim: &policy::Claim| matches!(claim.reason, policy::Reason::Slot { overtime: true, .. });
            let promised = match shown.expiry {
                // Overtime ends when the slot has its point: that was said too.
                _ if shown.claims.iter().any(overtime) => continue,
                Expiry::At(at) => at,
                Expiry::WhileNewest { not_before, .. } | Expiry::WhileNothingNewer { not_before } => not_before,
            };
            if later.expired {
                prop_assert!(now >= promised, "{} expired at {now}, promised {promised}", number(later.id));
            }
        }
    }

    #[test]
    fn what_is_kept_longer_by_settings_is_kept(policy in policies(), points in points(), hours in 0..2_000_i64) {
        let mut longer = policy.settings().clone();
        longer.retention.daily += 3;
        longer.retention.weekly += 2;
        longer.retention.floor += 1;
        let longer = Policy::new(longer).unwrap();
        prop_assert!(longer.weakenings(&policy).is_empty());
        prop_assert!(!policy.weakenings(&longer).is_empty());
        let now = now_after(&points, hours);
        let more: BTreeSet<u64> = kept(&longer, &points, now).into_iter().collect();
        prop_assert!(kept(&policy, &points, now).iter().all(|point| more.contains(point)));
    }

    #[test]
    fn a_start_is_in_a_window_and_before_the_next_slot(policy in policies(), item in 0..1000_usize, hours in 0..9_000_i64) {
        let Some(slot) = policy.next_slot(moment(start_ms() + hours * HOUR_MS)) else { return Ok(()) };
        let start = policy.planned_start(&seed(item), slot);
        prop_assert!(start >= slot.due);
        let opens = match policy.window_state(slot.due) {
            WindowState::Closed { opens, .. } => opens,
            _ => slot.due,
        };
        prop_assert!(is_open(&policy, start));
        prop_assert!(start.as_millisecond() - opens.as_millisecond() < HOUR_MS);
        prop_assert!(policy.next_slot(opens).is_none_or(|next| start < next.due));
    }

    #[test]
    fn the_planner_runs_each_slot_once_whatever_happens(
        policy in policies(), item in 0..100_usize,
        events in prop::collection::vec((0..30 * HOUR_MS, 0..6_u8), 1..80),
    ) {
        let mut now_ms = start_ms();
        let since = moment(now_ms);
        let mut runs = ItemRuns { protected_since: since, ready_since: since, running: None, last_completed: None, failed: None };
        let mut started: BTreeSet<Timestamp> = BTreeSet::new();
        for (step_ms, event) in events {
            now_ms += step_ms;
            let now = moment(now_ms);
            match policy.next_step(&seed(item), &runs, now) {
                Step::Start { slot, .. } => {
                    prop_assert!(runs.running.is_none());
                    prop_assert!(slot.due <= now && policy.latest_slot(now) == Some(slot), "not the latest slot");
                    prop_assert!(is_open(&policy, now));
                    prop_assert!(started.insert(slot.due), "a slot was completed twice");
                    runs.running = Some(Running { slot: Some(slot.due) });
                }
                Step::Wait { until, .. } => {
                    prop_assert!(until > now);
                    prop_assert!(runs.running.is_none());
                    // Just before then there is still nothing to start.
                    let before = policy.next_step(&seed(item), &runs, moment(until.as_millisecond() - 1).max(now));
                    let starts_before = matches!(before, Step::Start { .. });
                    prop_assert!(!starts_before, "{:?}", before);
                }
                Step::GoOn { .. } | Step::Stop => prop_assert!(runs.running.is_some()),
                Step::Nothing => prop_assert!(false, "there is a schedule"),
            }
            // A run ends with most events; a crash forgets it, and its slot is open again.
            if let (Some(Running { slot: Some(slot) }), 0..=3) = (runs.running, event) {
                runs.running = None;
                if event == 0 {
                    started.remove(&slot);
                    runs.ready_since = now;
                } else {
                    runs.last_completed = Some(slot);
                }
            }
        }
    }
}

#[test]
fn a_wait_ends_in_a_start() {
    let policy =
        Policy::new(PolicySettings { spread_minutes: 30, ..settings("Europe/Berlin", vec![daily_at(&["02:30", "14:00"])]) });
    let policy = policy.unwrap();
    let since = moment(start_ms());
    let mut runs = ItemRuns { protected_since: since, ready_since: since, running: None, last_completed: None, failed: None };
    let mut now = since;
    let mut starts = 0;
    while now < at("2028-01-01T00:00:00Z") {
        match policy.next_step(&seed(5), &runs, now) {
            Step::Wait { until, .. } => now = until,
            Step::Start { slot, missed } => {
                assert_eq!(missed, 0);
                runs.last_completed = Some(slot.due);
                starts += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(starts, 2 * 365);
}
