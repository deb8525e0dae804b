//! Which points are kept, until when and why.

use crate::fixture::{at, bare_retention, daily_at, kept, nightly, on_demand, point, points_of, settings};
use format::Sequence;
use policy::{
    Completeness, Days, Expiry, Kind, Origin, Policy, PolicyError, PolicySettings, Reason, RetentionPoint, RetentionRule,
    RetentionSettings, Schedule, Timestamp, Weekday,
};

/// Points of every night of August 2027, number = day of the month.
fn august(policy: &Policy, until: &str) -> Vec<RetentionPoint> {
    points_of(policy, at("2027-08-01T00:00:00Z"), at(until))
}

fn expiry(policy: &Policy, points: &[RetentionPoint], now: &str, number: usize) -> Expiry {
    policy.plan_retention(points, at(now)).unwrap().fates[number - 1].expiry
}

fn reason(policy: &Policy, points: &[RetentionPoint], now: &str, number: usize) -> String {
    policy.plan_retention(points, at(now)).unwrap().fates[number - 1].reason()
}

#[test]
fn daily_keeps_as_many_points_as_it_says_once_the_newest_is_made() {
    let policy = nightly(RetentionSettings { daily: 7, ..bare_retention() });
    let points = august(&policy, "2027-08-20T22:00:00Z");
    assert_eq!(kept(&policy, &points, at("2027-08-20T22:00:00Z")), [14, 15, 16, 17, 18, 19, 20]);
}

#[test]
fn a_point_expires_when_the_slot_that_takes_its_place_is_due() {
    let policy = nightly(RetentionSettings { daily: 7, ..bare_retention() });
    let points = august(&policy, "2027-08-12T22:00:00Z");
    assert_eq!(expiry(&policy, &points, "2027-08-12T23:00:00Z", 10), Expiry::At(at("2027-08-17T22:00:00Z")));
}

#[test]
fn a_slot_without_a_point_yet_pushes_nothing_out_until_it_is_over() {
    let policy = nightly(RetentionSettings { daily: 3, ..bare_retention() });
    let points = august(&policy, "2027-08-12T22:00:00Z");
    // The slot of the 13th is due, and its run is late.
    assert_eq!(kept(&policy, &points, at("2027-08-13T23:00:00Z")), [10, 11, 12]);
    assert_eq!(expiry(&policy, &points, "2027-08-13T23:00:00Z", 10), Expiry::At(at("2027-08-14T22:00:00Z")));
    assert!(reason(&policy, &points, "2027-08-13T23:00:00Z", 10).ends_with("until a newer slot has its point"));
    // It comes at two in the morning, and the oldest goes.
    let mut with_late = points.clone();
    with_late.push(point(13, at("2027-08-14T02:00:00Z")));
    assert_eq!(kept(&policy, &with_late, at("2027-08-14T02:00:00Z")), [11, 12, 13]);
    // It never comes, and the oldest goes when the slot is over.
    assert_eq!(kept(&policy, &points, at("2027-08-14T22:00:00Z")), [11, 12]);
}

#[test]
fn a_point_that_a_person_brought_back_takes_nothing_from_others() {
    let policy = nightly(RetentionSettings { daily: 3, weekly: 2, monthly: 2, floor: 2, on_demand_days: 1, ..bare_retention() });
    let points = august(&policy, "2027-08-20T22:00:00Z");
    let held = |point: &RetentionPoint| RetentionPoint { origin: Origin::Held, ..*point };
    for now in ["2027-08-20T23:00:00Z", "2027-08-21T23:00:00Z", "2027-09-20T00:00:00Z"].map(at) {
        for number in [1, 2, 16, 19, 20] {
            let others: Vec<_> = points.iter().filter(|point| point.sequence != Sequence(number)).copied().collect();
            let mut with: Vec<_> = points.clone();
            with[number as usize - 1] = held(&with[number as usize - 1]);
            let mut left = kept(&policy, &with, now);
            left.retain(|kept| *kept != number);
            assert_eq!(left, kept(&policy, &others, now), "{number} at {now}");
        }
    }
    // Nor is it something newer than one that is not whole.
    let incomplete = RetentionPoint { completeness: Completeness::Incomplete, ..points[0] };
    assert!(kept(&policy, &[incomplete, held(&points[1])], at("2028-08-20T23:00:00Z")).contains(&1));
}

#[test]
fn a_run_that_ends_after_midnight_belongs_to_the_evening_on_which_it_was_due() {
    let policy = nightly(RetentionSettings { daily: 3, ..bare_retention() });
    let late = |number: u64| point(number, at(&format!("2027-08-{:02}T03:00:00Z", number + 1)));
    let mut points = august(&policy, "2027-08-10T22:00:00Z");
    points.extend([late(11), point(12, at("2027-08-12T22:30:00Z")), late(13)]);
    assert_eq!(kept(&policy, &points, at("2027-08-14T04:00:00Z")), [11, 12, 13]);
}

#[test]
fn days_without_a_schedule_are_not_counted() {
    let weekdays = [Weekday::Monday, Weekday::Tuesday, Weekday::Wednesday, Weekday::Thursday, Weekday::Friday];
    let schedule = Schedule { days: Days::Weekly(weekdays.to_vec()), ..daily_at(&["22:00"]) };
    let retention = RetentionSettings { daily: 5, ..bare_retention() };
    let policy = Policy::new(PolicySettings { retention, ..settings("UTC", vec![schedule]) }).unwrap();
    // Fridays: 6 and 13 August 2027. On Monday before the run the five of last week are there.
    let points = points_of(&policy, at("2027-08-01T00:00:00Z"), at("2027-08-13T22:00:00Z"));
    assert_eq!(kept(&policy, &points, at("2027-08-16T21:00:00Z")), [6, 7, 8, 9, 10]);
    assert_eq!(
        expiry(&policy, &points, "2027-08-16T21:00:00Z", 10),
        Expiry::WhileNewest { points: 1, not_before: at("2027-08-20T22:00:00Z") }
    );
}

#[test]
fn weekly_monthly_and_yearly_keep_the_first_point_of_each() {
    let retention = RetentionSettings { daily: 2, weekly: 2, monthly: 2, yearly: 2, ..bare_retention() };
    let policy = nightly(retention);
    let points = points_of(&policy, at("2026-11-15T00:00:00Z"), at("2027-08-20T22:00:00Z"));
    let plan = policy.plan_retention(&points, at("2027-08-20T22:00:00Z")).unwrap();
    let place = |id| points.iter().find(|point| point.id == id).unwrap().place_ms;
    let dates: Vec<String> =
        plan.kept().map(|fate| Timestamp::from_millisecond(place(fate.id)).unwrap().to_string()[..10].to_owned()).collect();
    // First of 2026 (the first point at all), first of 2027, of July, of August, Mondays of two weeks, two days.
    let expected =
        ["2026-11-15", "2027-01-01", "2027-07-01", "2027-08-01", "2027-08-09", "2027-08-16", "2027-08-19", "2027-08-20"];
    assert_eq!(dates, expected);
}

#[test]
fn every_point_of_recent_days_is_kept_and_leaves_one_by_one() {
    let retention = RetentionSettings { recent_days: 1, daily: 2, ..bare_retention() };
    let schedule = vec![daily_at(&["00:00", "06:00", "12:00", "18:00"])];
    let policy = Policy::new(PolicySettings { retention, ..settings("UTC", schedule) }).unwrap();
    let points = august(&policy, "2027-08-03T12:00:00Z");
    // Numbers from 1 at 06:00 of the 1st; a day has four.
    assert_eq!(kept(&policy, &points, at("2027-08-03T12:00:00Z")), [4, 7, 8, 9, 10]);
    assert_eq!(expiry(&policy, &points, "2027-08-03T12:00:00Z", 7), Expiry::At(at("2027-08-03T18:00:00Z")));
}

#[test]
fn the_first_point_of_a_slot_stands_for_it_however_many_follow() {
    let policy = nightly(RetentionSettings { daily: 5, ..bare_retention() });
    let mut points = august(&policy, "2027-08-10T22:00:00Z");
    // A thousand more, made by an agent that calls them scheduled.
    points.extend((0..1000).map(|number| point(100 + number, at("2027-08-10T22:30:00Z"))));
    let stay = kept(&policy, &points, at("2027-08-11T22:00:00Z"));
    assert_eq!(stay[..5], [6, 7, 8, 9, 10]);
}

#[test]
fn on_demand_points_push_no_scheduled_point_out_and_have_an_age_of_their_own() {
    let policy = nightly(RetentionSettings { daily: 3, floor: 2, on_demand_days: 10, ..bare_retention() });
    let scheduled = august(&policy, "2027-08-10T22:00:00Z");
    let mut points = scheduled.clone();
    points.extend((0..50).map(|number| on_demand(100 + number, at("2027-08-10T22:00:00Z"))));
    let now = at("2027-08-10T22:00:00Z");
    let stay = kept(&policy, &points, now);
    assert_eq!(stay[..3], kept(&policy, &scheduled, now));
    assert_eq!(stay.len(), 3 + 50);
    assert_eq!(expiry(&policy, &points, "2027-08-10T22:00:00Z", 11), Expiry::At(at("2027-08-20T22:00:00Z")));
    assert!(reason(&policy, &points, "2027-08-10T22:00:00Z", 11).contains("on-demand point, kept for 10 days"));
}

#[test]
fn the_floor_of_newest_points_never_expires() {
    let policy = nightly(RetentionSettings { daily: 2, floor: 4, ..bare_retention() });
    let points = august(&policy, "2027-08-10T22:00:00Z");
    let decades_later = at("2067-08-10T22:00:00Z");
    assert_eq!(kept(&policy, &points, decades_later), [7, 8, 9, 10]);
    assert!(matches!(expiry(&policy, &points, "2067-08-10T22:00:00Z", 7), Expiry::WhileNewest { points: 4, .. }));
    assert_eq!(reason(&policy, &points, "2067-08-10T22:00:00Z", 7), "kept as one of the newest 4 points");
}

#[test]
fn the_floor_is_counted_among_scheduled_points_and_once_more_among_all() {
    let policy = nightly(RetentionSettings { floor: 2, ..bare_retention() });
    let mut points = august(&policy, "2027-08-05T22:00:00Z");
    points.extend([6, 7, 8].map(|number| on_demand(number, at("2027-08-07T12:00:00Z"))));
    assert_eq!(kept(&policy, &points, at("2037-08-10T22:00:00Z")), [4, 5, 7, 8]);
}

#[test]
fn a_point_that_is_not_whole_counts_nowhere_and_stays_until_a_whole_one_follows() {
    let policy = nightly(RetentionSettings { daily: 2, floor: 2, ..bare_retention() });
    let mut points = august(&policy, "2027-08-05T22:00:00Z");
    points[3].completeness = Completeness::Incomplete;
    points[4].completeness = Completeness::Incomplete;
    // Long after: two whole ones are the floor, the 4th is gone for the 5th... both wait for a newer whole one.
    assert_eq!(kept(&policy, &points, at("2037-08-10T22:00:00Z")), [2, 3, 4, 5]);
    assert!(matches!(expiry(&policy, &points, "2037-08-10T22:00:00Z", 5), Expiry::WhileNothingNewer { .. }));
    points.push(point(6, at("2037-08-10T22:00:00Z")));
    assert_eq!(kept(&policy, &points, at("2037-08-10T22:00:00Z")), [3, 6]);
}

#[test]
fn an_incomplete_point_does_not_stand_for_its_day() {
    let policy = nightly(RetentionSettings { daily: 7, ..bare_retention() });
    let mut points = august(&policy, "2027-08-05T22:00:00Z");
    points[4].completeness = Completeness::Incomplete;
    points.push(point(6, at("2027-08-05T23:00:00Z")));
    assert_eq!(kept(&policy, &points, at("2027-08-07T23:00:00Z")), [1, 2, 3, 4, 6]);
}

#[test]
fn a_point_with_warnings_counts_like_a_clean_one() {
    let policy = nightly(RetentionSettings { daily: 3, ..bare_retention() });
    let clean = august(&policy, "2027-08-10T22:00:00Z");
    let mut warned = clean.clone();
    warned.iter_mut().for_each(|point| point.completeness = Completeness::Warnings);
    let now = at("2027-08-10T22:00:00Z");
    assert_eq!(policy.plan_retention(&warned, now).unwrap(), policy.plan_retention(&clean, now).unwrap());
}

#[test]
fn nothing_expires_that_has_not_been_here_for_the_minimum() {
    let policy = nightly(RetentionSettings { daily: 2, minimum_days: 5, ..bare_retention() });
    // A copy from another vault: made in January, received now.
    let mut points = august(&policy, "2027-08-10T22:00:00Z");
    let copied =
        RetentionPoint { received_ms: at("2027-08-10T12:00:00Z").as_millisecond(), ..point(0, at("2027-01-10T22:00:00Z")) };
    points.insert(0, copied);
    assert_eq!(expiry(&policy, &points, "2027-08-10T22:00:00Z", 1), Expiry::At(at("2027-08-15T12:00:00Z")));
    assert!(kept(&policy, &points, at("2027-08-15T11:59:59Z")).contains(&0));
    assert!(!kept(&policy, &points, at("2027-08-15T12:00:00Z")).contains(&0));
}

#[test]
fn a_copy_keeps_its_calendar_place() {
    let policy = nightly(RetentionSettings { monthly: 12, ..bare_retention() });
    let received_ms = at("2027-08-10T12:00:00Z").as_millisecond();
    let copies: Vec<RetentionPoint> = ["2027-05-01", "2027-06-01", "2027-07-01"]
        .iter()
        .zip(1..)
        .map(|(date, number)| RetentionPoint { received_ms, ..point(number, at(&format!("{date}T22:00:00Z"))) })
        .collect();
    assert_eq!(kept(&policy, &copies, at("2028-04-30T00:00:00Z")), [1, 2, 3]);
    assert_eq!(expiry(&policy, &copies, "2027-08-10T22:00:00Z", 1), Expiry::At(at("2028-05-01T22:00:00Z")));
}

#[test]
fn a_point_from_the_future_has_its_place_now() {
    let policy = nightly(RetentionSettings { daily: 3, ..bare_retention() });
    let mut points = august(&policy, "2027-08-10T22:00:00Z");
    points.push(point(11, at("2099-01-01T00:00:00Z")));
    points.push(RetentionPoint { place_ms: i64::MAX, received_ms: i64::MAX, ..point(12, Timestamp::UNIX_EPOCH) });
    points.push(RetentionPoint { place_ms: i64::MIN, received_ms: i64::MIN, ..point(13, Timestamp::UNIX_EPOCH) });
    let plan = policy.plan_retention(&points, at("2027-08-11T23:00:00Z")).unwrap();
    assert_eq!(plan.fates[10].expiry, Expiry::At(at("2027-08-14T22:00:00Z")));
    // The 8th stays overtime: what comes from the future takes nobody's place.
    assert_eq!(kept(&policy, &points, at("2027-08-11T23:00:00Z")), [8, 9, 10, 11, 12, 13]);
}

#[test]
fn a_point_from_the_future_stands_for_no_day_that_has_a_point_of_its_own() {
    let policy = nightly(RetentionSettings { daily: 5, monthly: 3, ..bare_retention() });
    let mut points = august(&policy, "2027-08-31T22:00:00Z");
    // The wall clock was years ahead during the run of the 3rd, and then set right.
    points[2] = point(3, at("2031-01-01T00:00:00Z"));
    points.push(point(32, at("2027-09-01T22:00:00Z")));
    let stay = kept(&policy, &points, at("2027-09-01T22:00:00Z"));
    assert_eq!(stay, [1, 3, 28, 29, 30, 31, 32]);
    let days = reason(&policy, &points, "2027-09-01T22:00:00Z", 32);
    assert!(days.contains("monthly point of 2027-09") && days.contains("daily point of 2027-09-01"), "{days}");
}

#[test]
fn points_made_while_the_wall_clock_was_behind_are_kept_as_if_they_were_made_after_those_before_them() {
    let policy = nightly(RetentionSettings { recent_days: 2, daily: 3, minimum_days: 5, ..bare_retention() });
    let mut points = august(&policy, "2027-08-10T22:00:00Z");
    for (number, behind) in [(11, "1970-01-01T00:05:00Z"), (12, "2027-05-02T22:00:00Z")] {
        points.push(point(number, at(behind)));
        points.push(on_demand(number + 10, at(behind)));
    }
    points.sort_by_key(|point| point.sequence);
    // Right again, and a day later.
    points.push(point(30, at("2027-08-11T22:00:00Z")));
    let stay = kept(&policy, &points, at("2027-08-11T23:00:00Z"));
    assert!([11, 12, 21, 22, 30].iter().all(|number| stay.contains(number)), "{stay:?}");
    assert_eq!(expiry(&policy, &points, "2027-08-11T23:00:00Z", 11), Expiry::At(at("2027-08-15T22:00:00Z")));
    assert!(reason(&policy, &points, "2027-08-11T23:00:00Z", 11).contains("recent point of 2027-08-10"));
}

#[test]
fn a_stamp_that_was_ahead_and_has_come_true_takes_no_day_from_the_points_after_it() {
    let policy = nightly(RetentionSettings { daily: 10, ..bare_retention() });
    let mut points = august(&policy, "2027-08-20T22:00:00Z");
    points[4] = point(5, at("2027-08-18T12:00:00Z"));
    let now = at("2027-08-20T22:00:00Z");
    let stay = kept(&policy, &points, now);
    let days: Vec<u64> = (11..=20).collect();
    assert!(days.iter().all(|day| stay.contains(day)), "{stay:?}");
}

#[test]
fn without_a_schedule_calendar_days_are_counted() {
    let retention = RetentionSettings { daily: 3, ..bare_retention() };
    let policy = Policy::new(PolicySettings { retention, ..settings("UTC", Vec::new()) }).unwrap();
    let points: Vec<RetentionPoint> =
        (1..=10).map(|number| point(number, at(&format!("2027-08-{number:02}T15:00:00Z")))).collect();
    assert_eq!(kept(&policy, &points, at("2027-08-10T16:00:00Z")), [8, 9, 10]);
}

#[test]
fn a_plan_that_expires_more_than_its_share_needs_a_person() {
    let generous = nightly(RetentionSettings { daily: 30, ..bare_retention() });
    let points = august(&generous, "2027-08-31T22:00:00Z");
    let now = at("2027-08-31T22:00:00Z");
    let shortened = |daily| nightly(RetentionSettings { daily, review_percent: 25, ..bare_retention() });
    let plan = shortened(10).plan_retention(&points, now).unwrap();
    let review = plan.review.expect("21 of 31 are more than a quarter");
    assert_eq!((review.expiring, review.points, review.percent_allowed), (21, 31, 25));
    assert_eq!(plan.expiring().count(), 21);
    assert_eq!(shortened(24).plan_retention(&points, now).unwrap().review, None, "7 of 31 are less than a quarter");
    assert!(shortened(23).plan_retention(&points, now).unwrap().review.is_some(), "8 of 31 are more");
}

#[test]
fn two_points_need_no_person_whatever_share_they_are() {
    let policy = nightly(RetentionSettings { daily: 1, review_percent: 1, ..bare_retention() });
    let points = august(&policy, "2027-08-03T22:00:00Z");
    let plan = policy.plan_retention(&points, at("2027-08-03T22:00:00Z")).unwrap();
    assert_eq!((plan.expiring().count(), plan.review), (2, None));
    let points = august(&policy, "2027-08-04T22:00:00Z");
    assert!(policy.plan_retention(&points, at("2027-08-04T22:00:00Z")).unwrap().review.is_some());
}

#[test]
fn an_expired_point_says_what_kept_it_last() {
    let policy = nightly(RetentionSettings { daily: 2, monthly: 3, ..bare_retention() });
    let points = august(&policy, "2027-08-10T22:00:00Z");
    assert_eq!(reason(&policy, &points, "2027-08-10T22:00:00Z", 5), "expired; was kept as daily point of 2027-08-05, one of 2");
    assert_eq!(reason(&policy, &points, "2027-08-10T22:00:00Z", 1), "kept as monthly point of 2027-08, one of 3");
}

#[test]
fn the_longest_claim_comes_first() {
    let policy = nightly(RetentionSettings { daily: 14, weekly: 8, monthly: 12, yearly: 3, ..bare_retention() });
    let points = august(&policy, "2027-08-02T22:00:00Z");
    let plan = policy.plan_retention(&points, at("2027-08-02T23:00:00Z")).unwrap();
    let rules: Vec<RetentionRule> = plan.fates[0]
        .claims
        .iter()
        .filter_map(|claim| match claim.reason {
            Reason::Slot { rule, .. } => Some(rule),
            _ => None,
        })
        .collect();
    assert_eq!(rules, [RetentionRule::Yearly, RetentionRule::Monthly, RetentionRule::Weekly, RetentionRule::Daily]);
    assert_eq!(plan.fates[0].expiry, Expiry::At(at("2030-01-01T22:00:00Z")));
}

#[test]
fn soft_deleted_points_are_purged_after_days_on_the_wall() {
    let retention = RetentionSettings { soft_delete_days: 14, ..bare_retention() };
    let policy = Policy::new(PolicySettings { retention, ..settings("Europe/Berlin", Vec::new()) }).unwrap();
    assert_eq!(policy.purge_at(at("2027-03-20T21:00:00Z")), at("2027-04-03T20:00:00Z"));
}

#[test]
fn points_with_one_place_in_the_chain_and_too_many_points_are_refused() {
    let policy = nightly(bare_retention());
    let twice = [point(1, at("2027-08-01T22:00:00Z")), point(1, at("2027-08-02T22:00:00Z"))];
    let refused = policy.plan_retention(&twice, at("2027-08-03T22:00:00Z")).unwrap_err();
    assert!(matches!(refused, PolicyError::SameSequence { sequence: 1 }));
    assert_eq!(refused.kind(), Kind::Invalid);
    let many = vec![point(1, at("2027-08-01T22:00:00Z")); policy::limits::POINTS_MAX + 1];
    assert!(matches!(policy.plan_retention(&many, at("2027-08-03T22:00:00Z")), Err(PolicyError::TooManyPoints { .. })));
}

#[test]
fn an_item_without_points_has_an_empty_plan() {
    let plan = nightly(bare_retention()).plan_retention(&[], at("2027-08-03T22:00:00Z")).unwrap();
    assert_eq!((plan.fates.len(), plan.review), (0, None));
}

#[test]
fn points_may_come_in_any_order() {
    let policy = nightly(RetentionSettings { daily: 3, weekly: 2, ..bare_retention() });
    let points = august(&policy, "2027-08-20T22:00:00Z");
    let mut turned = points.clone();
    turned.reverse();
    let now = at("2027-08-20T22:00:00Z");
    assert_eq!(policy.plan_retention(&points, now).unwrap(), policy.plan_retention(&turned, now).unwrap());
    assert_eq!(points.last().unwrap().sequence, Sequence(20));
}
