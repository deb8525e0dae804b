//! Slots: what is due when.

use crate::fixture::{at, daily_at, every, policy, seed, settings};
use policy::{Days, Policy, PolicySettings, Schedule, Timestamp, Week, Weekday};
use std::collections::BTreeMap;

fn due(policy: &Policy, after: &str, until: &str) -> Vec<String> {
    policy.slots_between(at(after), at(until)).map(|slot| slot.due.to_string()).collect()
}

#[test]
fn a_time_that_does_not_exist_runs_once_at_the_first_instant_after_the_gap() {
    let berlin = policy("Europe/Berlin", vec![daily_at(&["02:00", "02:15", "02:59", "03:00"])]);
    // On 28 March 2027 the clock goes from 02:00 to 03:00, at 01:00 UTC.
    assert_eq!(due(&berlin, "2027-03-28T00:00:00Z", "2027-03-28T22:00:00Z"), ["2027-03-28T01:00:00Z"]);
    assert_eq!(due(&berlin, "2027-03-29T00:00:00Z", "2027-03-29T22:00:00Z").len(), 4 - 1);
}

#[test]
fn a_midnight_that_does_not_exist_runs_at_one_in_the_morning() {
    let beirut = policy("Asia/Beirut", vec![daily_at(&["00:00"])]);
    // On 28 March 2027 the clock goes from 00:00 to 01:00, at 22:00 UTC of the day before.
    let slots = due(&beirut, "2027-03-27T00:00:00Z", "2027-03-29T00:00:00Z");
    assert_eq!(slots, ["2027-03-27T22:00:00Z", "2027-03-28T21:00:00Z"]);
}

#[test]
fn a_time_that_comes_twice_runs_once_at_its_first_occurrence() {
    let new_york = policy("America/New_York", vec![daily_at(&["01:30"])]);
    // On 7 November 2027 the clock goes back from 02:00 to 01:00, at 06:00 UTC.
    assert_eq!(due(&new_york, "2027-11-07T00:00:00Z", "2027-11-08T00:00:00Z"), ["2027-11-07T05:30:00Z"]);
}

#[test]
fn lord_howe_moves_its_clock_by_half_an_hour() {
    let lord_howe = policy("Australia/Lord_Howe", vec![daily_at(&["02:10", "02:40"])]);
    // On 3 October 2027 the clock goes from 02:00 to 02:30.
    assert_eq!(due(&lord_howe, "2027-10-02T12:00:00Z", "2027-10-03T12:00:00Z"), ["2027-10-02T15:30:00Z", "2027-10-02T15:40:00Z"]);
}

#[test]
fn days_of_the_month_that_a_month_lacks_are_its_last() {
    let days = |days| policy("UTC", vec![Schedule { days, ..daily_at(&["12:00"]) }]);
    let last = days(Days::Monthly(vec![31]));
    assert_eq!(
        due(&last, "2028-01-01T00:00:00Z", "2028-05-01T00:00:00Z"),
        ["2028-01-31T12:00:00Z", "2028-02-29T12:00:00Z", "2028-03-31T12:00:00Z", "2028-04-30T12:00:00Z"]
    );
    let both = days(Days::Monthly(vec![30, 31]));
    assert_eq!(due(&both, "2027-02-01T00:00:00Z", "2027-03-01T00:00:00Z"), ["2027-02-28T12:00:00Z"]);
}

#[test]
fn weekdays_of_a_month_are_counted_from_its_first_day() {
    let dates = |week| {
        let days = Days::MonthlyWeekday { week, weekday: Weekday::Sunday };
        let policy = policy("UTC", vec![Schedule { days, ..daily_at(&["12:00"]) }]);
        policy
            .slots_between(at("2027-08-01T00:00:00Z"), at("2027-09-01T00:00:00Z"))
            .map(|slot| slot.date.day())
            .collect::<Vec<_>>()
    };
    assert_eq!(dates(Week::First), [1]);
    assert_eq!(dates(Week::Second), [8]);
    assert_eq!(dates(Week::Third), [15]);
    assert_eq!(dates(Week::Fourth), [22]);
    assert_eq!(dates(Week::Last), [29]);
}

#[test]
fn several_schedules_are_one_row_of_slots_without_doubles() {
    let weekend = Schedule { days: Days::Weekly(vec![Weekday::Saturday, Weekday::Sunday]), ..daily_at(&["06:00", "22:00"]) };
    let both = policy("UTC", vec![daily_at(&["22:00"]), weekend]);
    // 2027-08-06 is a Friday.
    assert_eq!(
        due(&both, "2027-08-06T00:00:00Z", "2027-08-08T00:00:00Z"),
        ["2027-08-06T22:00:00Z", "2027-08-07T06:00:00Z", "2027-08-07T22:00:00Z"]
    );
}

#[test]
fn a_policy_without_schedules_has_no_slots() {
    let none = policy("UTC", Vec::new());
    assert_eq!(none.next_slot(at("2027-01-01T00:00:00Z")), None);
    assert_eq!(none.latest_slot(at("2027-01-01T00:00:00Z")), None);
}

#[test]
fn at_the_ends_of_time_there_are_no_slots_and_no_panics() {
    let hourly = policy("America/New_York", vec![every(60)]);
    assert_eq!(hourly.next_slot(Timestamp::MAX), None);
    assert_eq!(hourly.latest_slot(Timestamp::MIN), None);
    assert!(hourly.latest_slot(Timestamp::MAX).is_some());
    assert!(hourly.next_slot(Timestamp::MIN).is_some());
    let step = Policy::planned_start;
    let last = hourly.latest_slot(Timestamp::MAX).unwrap();
    assert!(step(&hourly, &seed(1), last) >= last.due);
}

#[test]
fn a_thousand_items_of_one_slot_do_not_start_in_the_same_second() {
    let spread = Policy::new(PolicySettings { spread_minutes: 10, ..settings("UTC", vec![daily_at(&["22:00"])]) }).unwrap();
    let slot = spread.next_slot(at("2027-08-06T00:00:00Z")).unwrap();
    let mut seconds: BTreeMap<i64, usize> = BTreeMap::new();
    for item in 0..1000 {
        let start = spread.planned_start(&seed(item), slot);
        assert_eq!(start, spread.planned_start(&seed(item), slot));
        *seconds.entry(start.as_second() - slot.due.as_second()).or_default() += 1;
    }
    let (first, last) = (*seconds.keys().next().unwrap(), *seconds.keys().last().unwrap());
    assert!(first >= 0 && last < 600, "{first} to {last}");
    assert!(first < 10 && last > 590, "not the whole stretch is used: {first} to {last}");
    let most = seconds.values().max().unwrap();
    assert!(*most <= 10, "{most} items start in one second");
}

#[test]
fn an_item_starts_at_another_place_at_its_next_slot() {
    let spread = Policy::new(PolicySettings { spread_minutes: 60, ..settings("UTC", vec![daily_at(&["22:00"])]) }).unwrap();
    let slots: Vec<_> = spread.slots_between(at("2027-01-01T00:00:00Z"), at("2027-01-20T00:00:00Z")).collect();
    let offset = |slot: &policy::Slot| spread.planned_start(&seed(1), *slot).as_millisecond() - slot.due.as_millisecond();
    let offsets: std::collections::BTreeSet<i64> = slots.iter().map(offset).collect();
    assert_eq!(offsets.len(), slots.len());
}

#[test]
fn spreading_never_reaches_the_next_slot() {
    let tight = Policy::new(PolicySettings { spread_minutes: 240, ..settings("Europe/Berlin", vec![every(5)]) }).unwrap();
    for slot in tight.slots_between(at("2027-03-27T23:00:00Z"), at("2027-03-28T04:00:00Z")) {
        let next = tight.next_slot(slot.due).unwrap();
        for item in 0..50 {
            let start = tight.planned_start(&seed(item), slot);
            assert!(slot.due <= start && start < next.due, "{start}");
        }
    }
}
