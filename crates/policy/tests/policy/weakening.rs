//! Changes of a policy that protect less.

use crate::fixture::{daily_at, settings};
use policy::{Days, Policy, PolicySettings, Schedule, Times, Week, Weekday};

fn base() -> PolicySettings {
    let mut base = settings("UTC", vec![daily_at(&["22:00"])]);
    base.objective_minutes = Some(2000);
    base.retention.yearly = 5;
    base
}

fn found(change: impl FnOnce(&mut PolicySettings)) -> Vec<String> {
    let before = Policy::new(base()).unwrap();
    let mut changed = base();
    change(&mut changed);
    Policy::new(changed).unwrap().weakenings(&before).iter().map(ToString::to_string).collect()
}

#[test]
fn less_of_any_retention_setting_is_a_weakening() {
    let changes: [fn(&mut PolicySettings); 9] = [
        |settings| settings.retention.recent_days -= 1,
        |settings| settings.retention.daily -= 1,
        |settings| settings.retention.weekly -= 1,
        |settings| settings.retention.monthly -= 1,
        |settings| settings.retention.yearly -= 1,
        |settings| settings.retention.floor -= 1,
        |settings| settings.retention.on_demand_days -= 1,
        |settings| settings.retention.minimum_days -= 1,
        |settings| settings.retention.soft_delete_days -= 1,
    ];
    for (place, change) in changes.into_iter().enumerate() {
        assert_eq!(found(change).len(), 1, "change {place}");
    }
    assert_eq!(found(|settings| settings.retention.daily = 7), ["retention.daily: 7 instead of 14"]);
}

#[test]
fn a_larger_share_without_a_person_and_a_later_objective_are_weakenings() {
    assert_eq!(found(|settings| settings.retention.review_percent = 90), ["retention.review_percent: 90 instead of 25"]);
    assert_eq!(found(|settings| settings.objective_minutes = Some(3000)), ["objective_minutes: 3000 instead of 2000"]);
    assert_eq!(found(|settings| settings.objective_minutes = None), ["objective_minutes: none instead of 2000"]);
}

#[test]
fn other_slots_are_a_weakening_because_retention_counts_them() {
    assert_eq!(found(|settings| settings.time_zone = "Asia/Tokyo".to_owned()), ["time_zone: Asia/Tokyo instead of UTC"]);
    assert_eq!(found(|settings| settings.schedules = Vec::new()), ["schedules: none instead of daily at 22:00"]);
    let later = vec![daily_at(&["23:00"])];
    assert_eq!(found(|settings| settings.schedules = later), ["schedules: daily at 23:00 instead of daily at 22:00"]);
}

#[test]
fn of_changed_schedules_those_are_named_that_differ_and_their_order_changes_nothing() {
    let of = |days, times| Schedule { days, times };
    let every = Times::Every { minutes: 60, from: "08:00".parse().unwrap(), until: "18:00".parse().unwrap() };
    let weekly = of(Days::Weekly(vec![Weekday::Monday, Weekday::Friday]), every);
    let monthly = of(Days::MonthlyWeekday { week: Week::Last, weekday: Weekday::Sunday }, daily_at(&["01:00"]).times);
    let before = Policy::new(settings("UTC", vec![daily_at(&["22:00"]), weekly.clone()])).unwrap();
    let found = |schedules| {
        let weakenings = Policy::new(settings("UTC", schedules)).unwrap().weakenings(&before);
        weakenings.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let words =
        "schedules: on the last sunday of the month at 01:00 instead of on monday, friday every 60 min from 08:00 until 18:00";
    assert_eq!(found(vec![daily_at(&["22:00"]), monthly]), [words]);
    assert!(found(vec![weekly.clone(), daily_at(&["22:00"])]).is_empty());
    let times = ["01:00", "02:00", "03:00", "04:00", "05:00", "06:00"];
    let words = "schedules: daily at 01:00, 02:00, 03:00, 04:00, 2 more instead of daily at 22:00";
    assert_eq!(found(vec![weekly, daily_at(&times)]), [words]);
}

#[test]
fn more_protection_is_no_weakening() {
    let more = |settings: &mut PolicySettings| {
        settings.retention.daily += 1;
        settings.retention.floor += 1;
        settings.retention.review_percent = 1;
        settings.objective_minutes = Some(1500);
        settings.name = "another".to_owned();
        settings.spread_minutes = 30;
    };
    assert!(found(more).is_empty());
}
