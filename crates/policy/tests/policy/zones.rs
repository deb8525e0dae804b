//! Slots and retention against tables that another program worked out another way (`zones/by_zoneinfo.py`).

use crate::fixture::{daily_at, every, points_of, settings, time};
use policy::{Days, Policy, PolicySettings, RetentionSettings, Schedule, Times, Timestamp, Week, Weekday};

const SLOTS: &str = include_str!("zones/slots.txt");
const RETENTION: &str = include_str!("zones/retention.txt");

fn lines(table: &str) -> impl Iterator<Item = Vec<&str>> {
    table.lines().filter(|line| !line.starts_with('#')).map(|line| line.split(' ').collect())
}

/// `first+step*count …` in minutes since 1970.
fn instants(runs: &[&str]) -> Vec<Timestamp> {
    let mut instants = Vec::new();
    for run in runs {
        let (first, rest) = run.split_once('+').unwrap();
        let (step, count) = rest.split_once('*').unwrap();
        let [first, step, count] = [first, step, count].map(|number| number.parse::<i64>().unwrap());
        instants.extend((0..count).map(|place| Timestamp::from_second((first + step * place) * 60).unwrap()));
    }
    instants
}

fn schedule(name: &str) -> Schedule {
    let every_quarter = Times::Every { minutes: 15, from: time("01:00"), until: time("04:00") };
    let weekdays = vec![Weekday::Monday, Weekday::Tuesday, Weekday::Wednesday, Weekday::Thursday, Weekday::Friday];
    match name {
        "nightly" => daily_at(&["02:30"]),
        "midnight" => daily_at(&["00:00", "00:30"]),
        "hourly" => every(60),
        "quarters" => Schedule { days: Days::Daily, times: every_quarter },
        "weekdays" => Schedule { days: Days::Weekly(weekdays), ..daily_at(&["01:45", "13:00"]) },
        "monthly" => Schedule { days: Days::Monthly(vec![1, 15, 31]), ..daily_at(&["02:00"]) },
        "last_sunday" => {
            Schedule { days: Days::MonthlyWeekday { week: Week::Last, weekday: Weekday::Sunday }, ..daily_at(&["02:15"]) }
        }
        _ => panic!("no schedule {name}"),
    }
}

/// The slots of a policy that are meant for a year of the zone.
fn slots_of_year(policy: &Policy, year: i16) -> Vec<Timestamp> {
    let around = |year: i16, day: &str| format!("{year}-{day}T00:00:00Z").parse::<Timestamp>().unwrap();
    let slots = policy.slots_between(around(year - 1, "12-28"), around(year + 1, "01-04"));
    slots.filter(|slot| slot.date.year() == year).map(|slot| slot.due).collect()
}

#[test]
fn a_year_of_slots_in_six_zones_is_what_an_independent_program_found() {
    let mut compared = 0;
    for line in lines(SLOTS) {
        let [zone, year, name, runs @ ..] = line.as_slice() else { panic!("{line:?}") };
        let policy = Policy::new(settings(zone, vec![schedule(name)])).unwrap();
        let expected = instants(runs);
        let found = slots_of_year(&policy, year.parse().unwrap());
        let first_apart = found.iter().zip(&expected).find(|(found, expected)| found != expected);
        assert_eq!(first_apart, None, "{zone} {year} {name}");
        assert_eq!(found.len(), expected.len(), "{zone} {year} {name}");
        compared += 1;
    }
    assert_eq!(compared, 6 * 7);
}

#[test]
fn the_latest_slot_before_each_slot_of_a_year_is_the_one_before_it() {
    for line in lines(SLOTS).filter(|line| line[2] == "quarters" || line[2] == "midnight") {
        let [zone, year, name, runs @ ..] = line.as_slice() else { panic!("{line:?}") };
        let policy = Policy::new(settings(zone, vec![schedule(name)])).unwrap();
        for pair in instants(runs).windows(2) {
            let before = Timestamp::from_millisecond(pair[1].as_millisecond() - 1).unwrap();
            assert_eq!(policy.latest_slot(before).unwrap().due, pair[0], "{zone} {year} {name}");
            assert_eq!(policy.latest_slot(pair[1]).unwrap().due, pair[1], "{zone} {year} {name}");
            assert_eq!(policy.next_slot(pair[0]).unwrap().due, pair[1], "{zone} {year} {name}");
        }
    }
}

#[test]
fn a_year_of_retention_in_four_zones_is_what_an_independent_program_found() {
    let mut compared = 0;
    for line in lines(RETENTION) {
        let [zone, year, name, daily, weekly, monthly, yearly, recent, floor, now, alive @ ..] = line.as_slice() else {
            panic!("{line:?}")
        };
        let [daily, weekly, monthly, yearly, recent_days, floor] =
            [daily, weekly, monthly, yearly, recent, floor].map(|number| number.parse::<u32>().unwrap());
        let minimum_days = 0;
        let retention = RetentionSettings {
            recent_days,
            daily,
            weekly,
            monthly,
            yearly,
            floor,
            minimum_days,
            ..RetentionSettings::default()
        };
        let policy = Policy::new(PolicySettings { retention, ..settings(zone, vec![schedule(name)]) }).unwrap();
        let now = Timestamp::from_second(now.parse::<i64>().unwrap() * 60).unwrap();
        let year: i16 = year.parse().unwrap();
        let first = slots_of_year(&policy, year)[0];
        let before = Timestamp::from_second(first.as_second() - 1).unwrap();
        let points = points_of(&policy, before, now);
        let plan = policy.plan_retention(&points, now).unwrap();
        let place = |id| points.iter().find(|point| point.id == id).unwrap().place_ms;
        let found: Vec<Timestamp> = plan.kept().map(|fate| Timestamp::from_millisecond(place(fate.id)).unwrap()).collect();
        assert_eq!(found, instants(alive), "{zone} {year} {name} {now}");
        compared += 1;
    }
    assert_eq!(compared, 4 * 4 * 8);
}
