//! A look ahead: the points that would exist, and when they would expire.

use crate::fixture::{at, bare_retention, daily_at, every, nightly, on_demand, point, points_of, settings, window};
use policy::{Expiry, Policy, PolicySettings, PreviewOptions, RetentionSettings, Timestamp, WindowSettings, limits};

fn ahead(days: u32) -> PreviewOptions {
    PreviewOptions { days, ..PreviewOptions::default() }
}

#[test]
fn a_preview_has_a_point_for_each_slot_and_its_expiry() {
    let policy = nightly(RetentionSettings { daily: 3, ..bare_retention() });
    let preview = policy.preview(&[], at("2027-08-01T00:00:00Z"), ahead(10)).unwrap();
    assert_eq!(preview.entries.len(), 10);
    assert_eq!(preview.left_out, 0);
    let first = &preview.entries[0];
    assert_eq!((first.id, first.made), (None, at("2027-08-01T22:00:00Z")));
    assert_eq!(first.expiry, Expiry::At(at("2027-08-04T22:00:00Z")));
    assert_eq!(
        first.reason(),
        "daily point of 2027-08-01, one of 3; recent point of 2027-08-01, kept for 1 scheduled day; the newest point"
    );
    assert!(matches!(preview.entries[9].expiry, Expiry::WhileNewest { points: 1, .. }));
}

#[test]
fn existing_points_are_shown_with_the_expiry_that_the_plan_gives_them() {
    let policy = nightly(RetentionSettings { daily: 7, weekly: 4, monthly: 3, floor: 2, on_demand_days: 9, ..bare_retention() });
    let now = at("2027-08-20T23:00:00Z");
    let mut points = points_of(&policy, at("2027-07-01T00:00:00Z"), now);
    points.push(on_demand(100, at("2027-08-20T12:00:00Z")));
    let plan = policy.plan_retention(&points, now).unwrap();
    let preview = policy.preview(&points, now, ahead(366)).unwrap();
    for (fate, entry) in plan.fates.iter().zip(&preview.entries) {
        assert_eq!(Some(fate.id), entry.id);
        // What is only kept as one of the newest leaves when newer ones are made.
        assert_eq!(fate.expiry.not_before(), entry.expiry.not_before(), "{}", fate.reason());
    }
}

#[test]
fn a_preview_says_what_later_plans_do() {
    let retention =
        RetentionSettings { recent_days: 2, daily: 5, weekly: 3, monthly: 2, floor: 3, minimum_days: 1, ..bare_retention() };
    let schedules = vec![daily_at(&["02:30", "14:00"])];
    let policy = Policy::new(PolicySettings { retention, ..settings("Europe/Berlin", schedules) }).unwrap();
    let start = at("2027-03-01T00:00:00Z");
    let existing = points_of(&policy, at("2027-01-20T00:00:00Z"), start);
    let preview = policy.preview(&existing, start, ahead(90)).unwrap();
    for days in [1, 10, 27, 28, 29, 60, 89] {
        let now = Timestamp::from_second(start.as_second() + days * 86_400 + 1_234).unwrap();
        let points: Vec<_> = (1..).zip(&preview.entries).map(|(number, entry)| point(number, entry.made)).collect();
        let made: Vec<_> = points.into_iter().filter(|point| point.place_ms <= now.as_millisecond()).collect();
        let expected = policy.plan_retention(&made, now).unwrap();
        let shown: Vec<bool> = preview.entries.iter().take(made.len()).map(|entry| entry.exists_at(now)).collect();
        let planned: Vec<bool> = expected.fates.iter().map(|fate| !fate.expired).collect();
        assert_eq!(shown, planned, "{now}");
    }
}

#[test]
fn slots_that_wait_for_one_window_are_one_point() {
    let windows = WindowSettings { open: vec![window(&[], "22:00", "23:00")], ..WindowSettings::default() };
    let policy = Policy::new(PolicySettings { windows, ..settings("UTC", vec![every(60)]) }).unwrap();
    let preview = policy.preview(&[], at("2027-08-01T00:00:00Z"), ahead(3)).unwrap();
    let made: Vec<String> = preview.entries.iter().map(|entry| entry.made.to_string()).collect();
    assert_eq!(made, ["2027-08-01T22:00:00Z", "2027-08-02T22:00:00Z", "2027-08-03T22:00:00Z"]);
}

#[test]
fn a_preview_is_bounded_and_says_what_it_left_out() {
    let policy = Policy::new(settings("UTC", vec![every(5)])).unwrap();
    let options = PreviewOptions { days: u32::MAX, entries_max: usize::MAX };
    let preview = policy.preview(&[], at("2027-08-01T00:00:00Z"), options).unwrap();
    assert_eq!(preview.entries.len(), limits::PREVIEW_ENTRIES_MAX);
    assert_eq!(preview.entries.len() + preview.left_out, limits::POINTS_MAX);
    assert!(preview.until < at("2029-07-01T00:00:00Z"), "{}", preview.until);
    let none = policy.preview(&[], at("2027-08-01T00:00:00Z"), PreviewOptions { days: 1, entries_max: 0 }).unwrap();
    assert_eq!((none.entries.len(), none.left_out), (0, 288));
}

#[test]
fn a_policy_without_schedules_shows_what_exists() {
    let policy = Policy::new(settings("UTC", Vec::new())).unwrap();
    let points = [on_demand(1, at("2027-08-01T12:00:00Z"))];
    let preview = policy.preview(&points, at("2027-08-02T12:00:00Z"), ahead(366)).unwrap();
    assert_eq!(preview.entries.len(), 1);
    assert!(
        matches!(preview.entries[0].expiry, Expiry::WhileNewest { points: 3, not_before } if not_before == at("2027-08-31T12:00:00Z"))
    );
}

#[test]
fn at_the_end_of_time_a_preview_is_empty() {
    let policy = Policy::new(settings("UTC", vec![every(60)])).unwrap();
    assert!(policy.preview(&[], Timestamp::MAX, ahead(366)).unwrap().entries.is_empty());
}

#[test]
fn a_year_of_hourly_points_is_previewed_at_once() {
    let policy = Policy::new(settings("America/New_York", vec![every(60)])).unwrap();
    let start = std::time::Instant::now();
    let preview = policy.preview(&[], at("2027-01-01T05:00:00Z"), ahead(365)).unwrap();
    let took = start.elapsed();
    // 24 a day; in spring one of the two that fall on one instant, in autumn the hour that comes twice once.
    assert_eq!(preview.entries.len(), 365 * 24 - 1);
    // A bound that a busy machine and an unoptimised build keep; what it takes in truth is a few milliseconds.
    assert!(took.as_millis() < 2_000, "{took:?}");
    println!("{took:?}");
}
