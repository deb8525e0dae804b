//! Windows, office hours and the objective.

use crate::fixture::{at, daily_at, policy, seed, settings, window};
use policy::{BandwidthSettings, PointAge, Policy, PolicySettings, TimeWindow, Weekday, WindowSettings, WindowState};

const WORK: [Weekday; 5] = [Weekday::Monday, Weekday::Tuesday, Weekday::Wednesday, Weekday::Thursday, Weekday::Friday];

fn with_windows(zone: &str, open: Vec<TimeWindow>) -> Policy {
    let windows = WindowSettings { open, ..WindowSettings::default() };
    Policy::new(PolicySettings { windows, ..settings(zone, vec![daily_at(&["22:00"])]) }).unwrap()
}

fn open(since: &str, until: &str) -> WindowState {
    WindowState::Open { since: at(since), until: at(until) }
}

fn closed(opens: &str, until: &str) -> WindowState {
    WindowState::Closed { opens: at(opens), until: at(until) }
}

#[test]
fn without_windows_it_is_always_open() {
    assert_eq!(policy("UTC", Vec::new()).window_state(at("2027-08-06T12:00:00Z")), WindowState::Always);
}

#[test]
fn a_night_reaches_into_the_next_day() {
    let night = with_windows("UTC", vec![window(&[Weekday::Friday], "22:00", "06:00")]);
    // 2027-08-06 is a Friday.
    assert_eq!(night.window_state(at("2027-08-06T21:59:59Z")), closed("2027-08-06T22:00:00Z", "2027-08-07T06:00:00Z"));
    assert_eq!(night.window_state(at("2027-08-06T22:00:00Z")), open("2027-08-06T22:00:00Z", "2027-08-07T06:00:00Z"));
    assert_eq!(night.window_state(at("2027-08-07T05:59:59Z")), open("2027-08-06T22:00:00Z", "2027-08-07T06:00:00Z"));
    assert_eq!(night.window_state(at("2027-08-07T06:00:00Z")), closed("2027-08-13T22:00:00Z", "2027-08-14T06:00:00Z"));
}

#[test]
fn windows_that_touch_or_overlap_are_one() {
    let touching =
        with_windows("UTC", vec![window(&[], "22:00", "24:00"), window(&[], "00:00", "04:00"), window(&[], "03:00", "05:00")]);
    assert_eq!(touching.window_state(at("2027-08-06T23:00:00Z")), open("2027-08-06T22:00:00Z", "2027-08-07T05:00:00Z"));
    assert_eq!(touching.window_state(at("2027-08-07T04:30:00Z")), open("2027-08-06T22:00:00Z", "2027-08-07T05:00:00Z"));
    assert_eq!(touching.window_state(at("2027-08-06T12:00:00Z")), closed("2027-08-06T22:00:00Z", "2027-08-07T05:00:00Z"));
}

#[test]
fn windows_that_cover_the_week_are_always_open() {
    let all = with_windows("Europe/Berlin", vec![window(&[], "00:00", "24:00")]);
    assert_eq!(all.window_state(at("2027-03-27T12:00:00Z")), WindowState::Always);
}

#[test]
fn the_night_on_which_the_clock_is_put_back_is_an_hour_longer_and_the_other_an_hour_shorter() {
    let night = with_windows("Europe/Berlin", vec![window(&[], "01:00", "05:00")]);
    assert_eq!(night.window_state(at("2027-10-30T23:00:00Z")), open("2027-10-30T23:00:00Z", "2027-10-31T04:00:00Z"));
    assert_eq!(night.window_state(at("2027-10-31T01:30:00Z")), open("2027-10-30T23:00:00Z", "2027-10-31T04:00:00Z"));
    assert_eq!(night.window_state(at("2027-03-28T00:00:00Z")), open("2027-03-28T00:00:00Z", "2027-03-28T03:00:00Z"));
}

#[test]
fn a_window_within_an_hour_that_comes_twice_has_no_hole() {
    let early = with_windows("Europe/Berlin", vec![window(&[], "02:10", "02:50")]);
    // 02:10 first at 00:10 UTC, 02:50 last at 01:50 UTC.
    assert_eq!(early.window_state(at("2027-10-31T00:55:00Z")), open("2027-10-31T00:10:00Z", "2027-10-31T01:50:00Z"));
}

#[test]
fn a_window_within_hours_that_do_not_exist_opens_after_them() {
    let early = with_windows("Europe/Berlin", vec![window(&[], "02:00", "02:30")]);
    assert_eq!(early.window_state(at("2027-03-28T00:00:00Z")), closed("2027-03-28T01:00:00Z", "2027-03-28T01:30:00Z"));
}

#[test]
fn a_start_is_spread_inside_its_window() {
    let windows = WindowSettings { open: vec![window(&[], "21:00", "22:03")], ..WindowSettings::default() };
    let narrow = PolicySettings { windows, spread_minutes: 60, ..settings("UTC", vec![daily_at(&["22:00", "23:00"])]) };
    let narrow = Policy::new(narrow).unwrap();
    let slots: Vec<_> = narrow.slots_between(at("2027-08-06T12:00:00Z"), at("2027-08-07T00:00:00Z")).collect();
    for item in 0..200 {
        let start = narrow.planned_start(&seed(item), slots[0]);
        assert!(at("2027-08-06T22:00:00Z") <= start && start < at("2027-08-06T22:03:00Z"), "{start}");
        // Due while it is closed: in the next window, and before the next slot.
        let start = narrow.planned_start(&seed(item), slots[1]);
        assert!(at("2027-08-07T21:00:00Z") <= start && start < at("2027-08-07T22:00:00Z"), "{start}");
    }
}

#[test]
fn bandwidth_changes_with_office_hours_and_says_when() {
    let bandwidth = BandwidthSettings {
        office_hours: vec![window(&WORK, "08:00", "18:00")],
        inside_bytes_per_second: Some(1 << 20),
        outside_bytes_per_second: None,
    };
    let policy = Policy::new(PolicySettings { bandwidth, ..settings("Europe/Berlin", Vec::new()) }).unwrap();
    let inside = policy.bandwidth(at("2027-08-06T10:00:00Z"));
    assert_eq!((inside.bytes_per_second, inside.until), (Some(1 << 20), Some(at("2027-08-06T16:00:00Z"))));
    let outside = policy.bandwidth(at("2027-08-06T16:00:00Z"));
    assert_eq!((outside.bytes_per_second, outside.until), (None, Some(at("2027-08-09T06:00:00Z"))));
}

#[test]
fn without_office_hours_one_limit_holds_always() {
    let bandwidth = BandwidthSettings { outside_bytes_per_second: Some(1 << 24), ..BandwidthSettings::default() };
    let policy = Policy::new(PolicySettings { bandwidth, ..settings("UTC", Vec::new()) }).unwrap();
    let always = policy.bandwidth(at("2027-08-06T10:00:00Z"));
    assert_eq!((always.bytes_per_second, always.until), (Some(1 << 24), None));
}

#[test]
fn an_item_is_overdue_when_its_newest_point_is_older_than_the_objective() {
    let day = PolicySettings { objective_minutes: Some(26 * 60), ..settings("UTC", vec![daily_at(&["22:00"])]) };
    let policy = Policy::new(day).unwrap();
    let since = at("2027-08-01T00:00:00Z");
    let newest = Some(at("2027-08-06T22:10:00Z"));
    let until = at("2027-08-08T00:10:00Z");
    assert_eq!(policy.point_age(newest, since, until), PointAge::Met { until });
    assert_eq!(policy.point_age(newest, since, at("2027-08-08T00:10:01Z")), PointAge::Overdue { since: until });
    assert_eq!(policy.point_age(None, since, at("2027-08-01T12:00:00Z")), PointAge::Met { until: at("2027-08-02T02:00:00Z") });
    let without = crate::fixture::policy("UTC", Vec::new());
    assert_eq!(without.point_age(None, since, until), PointAge::NoObjective);
}
