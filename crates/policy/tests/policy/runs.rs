//! What an agent does now: start, wait, go on, stop; never two at once, never twice for what was missed.

use crate::fixture::{at, daily_at, every, policy, seed, settings, window};
use policy::{FailedRun, ItemRuns, Policy, PolicySettings, RetrySettings, Running, Step, Timestamp, WindowEnd, WindowSettings};

/// Protected since 2027-08-01, ready since then, nothing done.
fn runs() -> ItemRuns {
    let since = at("2027-08-01T00:00:00Z");
    ItemRuns { protected_since: since, ready_since: since, running: None, last_completed: None, failed: None }
}

fn completed(slot: &str) -> ItemRuns {
    ItemRuns { last_completed: Some(at(slot)), ..runs() }
}

fn nightly() -> Policy {
    policy("UTC", vec![daily_at(&["22:00"])])
}

fn step(policy: &Policy, runs: &ItemRuns, now: &str) -> Step {
    policy.next_step(&seed(1), runs, at(now))
}

fn started(step: Step) -> Option<(String, usize)> {
    match step {
        Step::Start { slot, missed } => Some((slot.due.to_string(), missed)),
        _ => None,
    }
}

fn waits(step: Step) -> Option<String> {
    match step {
        Step::Wait { until, .. } => Some(until.to_string()),
        _ => None,
    }
}

#[test]
fn a_slot_is_started_when_it_is_due_and_not_before() {
    let done = completed("2027-08-05T22:00:00Z");
    assert_eq!(waits(step(&nightly(), &done, "2027-08-06T21:59:59Z")).unwrap(), "2027-08-06T22:00:00Z");
    assert_eq!(started(step(&nightly(), &done, "2027-08-06T22:00:00Z")).unwrap(), ("2027-08-06T22:00:00Z".to_owned(), 0));
}

#[test]
fn a_slot_that_was_completed_is_not_started_again() {
    let done = completed("2027-08-06T22:00:00Z");
    assert_eq!(waits(step(&nightly(), &done, "2027-08-06T22:30:00Z")).unwrap(), "2027-08-07T22:00:00Z");
}

#[test]
fn a_new_item_waits_for_its_first_slot() {
    assert_eq!(waits(step(&nightly(), &runs(), "2027-08-01T00:00:00Z")).unwrap(), "2027-08-01T22:00:00Z");
}

#[test]
fn ten_missed_slots_are_one_run() {
    let done = completed("2027-08-02T22:00:00Z");
    assert_eq!(started(step(&nightly(), &done, "2027-08-12T23:00:00Z")).unwrap(), ("2027-08-12T22:00:00Z".to_owned(), 9));
    assert!(waits(step(&nightly(), &completed("2027-08-12T22:00:00Z"), "2027-08-12T23:10:00Z")).is_some());
}

#[test]
fn slots_before_the_item_was_protected_are_not_missed() {
    let fresh = ItemRuns { protected_since: at("2027-08-06T22:00:00Z"), ..runs() };
    assert_eq!(waits(step(&nightly(), &fresh, "2027-08-06T22:30:00Z")).unwrap(), "2027-08-07T22:00:00Z");
    assert_eq!(started(step(&nightly(), &fresh, "2027-08-09T08:00:00Z")).unwrap().1, 1);
}

#[test]
fn nothing_is_started_while_a_run_goes_on() {
    let hourly = policy("UTC", vec![every(60)]);
    for slot in [Some(at("2027-08-06T08:00:00Z")), None] {
        let running = ItemRuns { running: Some(Running { slot }), ..runs() };
        for now in ["2027-08-06T08:30:00Z", "2027-08-06T12:00:00Z", "2027-09-06T12:00:00Z"] {
            assert_eq!(step(&hourly, &running, now), Step::GoOn { until: None });
        }
    }
}

#[test]
fn a_run_that_took_longer_than_the_next_slots_is_followed_by_one() {
    let hourly = policy("UTC", vec![every(60)]);
    let done = completed("2027-08-06T08:00:00Z");
    assert_eq!(started(step(&hourly, &done, "2027-08-06T12:20:00Z")).unwrap(), ("2027-08-06T12:00:00Z".to_owned(), 3));
}

#[test]
fn agents_that_wake_together_do_not_start_together() {
    let spread = Policy::new(PolicySettings { spread_minutes: 10, ..settings("UTC", vec![daily_at(&["22:00"])]) }).unwrap();
    let woken = ItemRuns { ready_since: at("2027-08-07T08:00:00Z"), ..completed("2027-08-05T22:00:00Z") };
    let mut starts = std::collections::BTreeSet::new();
    for item in 0..100 {
        match spread.next_step(&seed(item), &woken, woken.ready_since) {
            Step::Wait { until, slot } => {
                assert!(until < at("2027-08-07T08:10:00Z"), "{until}");
                assert_eq!(slot.due, at("2027-08-06T22:00:00Z"));
                let then = spread.next_step(&seed(item), &woken, until);
                assert!(matches!(then, Step::Start { .. }), "{then:?}");
                starts.insert(until.as_second());
            }
            Step::Start { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    assert!(starts.len() > 80, "only {} different seconds", starts.len());
}

#[test]
fn a_failed_run_is_tried_again_with_growing_waits_and_then_given_up() {
    let retries = RetrySettings { count: 3, wait_minutes: 10, wait_minutes_max: 30 };
    let policy = Policy::new(PolicySettings { retries, ..settings("UTC", vec![daily_at(&["22:00"])]) }).unwrap();
    let failed_at = at("2027-08-06T22:05:00Z");
    let wait = |attempts| {
        let failed = Some(FailedRun { slot: at("2027-08-06T22:00:00Z"), attempts, at: failed_at });
        let runs = ItemRuns { failed, ..completed("2027-08-05T22:00:00Z") };
        let Step::Wait { until, slot } = policy.next_step(&seed(1), &runs, failed_at) else { panic!("no wait") };
        if slot.due == at("2027-08-06T22:00:00Z") {
            assert!(matches!(policy.next_step(&seed(1), &runs, until), Step::Start { .. }));
        }
        (until.as_second() - failed_at.as_second(), slot.due.to_string())
    };
    for (attempts, least) in [(1, 600), (2, 1200), (3, 1800)] {
        let (seconds, slot) = wait(attempts);
        assert!((least..=least * 3 / 2).contains(&seconds), "attempt {attempts}: {seconds}");
        assert_eq!(slot, "2027-08-06T22:00:00Z");
    }
    assert_eq!(wait(4).1, "2027-08-07T22:00:00Z");
    assert_eq!(wait(u32::MAX).1, "2027-08-07T22:00:00Z");
}

#[test]
fn waits_never_overflow() {
    let retries = RetrySettings { count: 20, wait_minutes: 1440, wait_minutes_max: 1440 };
    let policy = Policy::new(PolicySettings { retries, ..settings("UTC", vec![daily_at(&["22:00"])]) }).unwrap();
    for attempts in 1..=20 {
        let failed = Some(FailedRun { slot: at("2027-08-06T22:00:00Z"), attempts, at: at("2027-08-06T22:05:00Z") });
        let runs = ItemRuns { failed, ..completed("2027-08-05T22:00:00Z") };
        // A day and more is later than the next slot, which then starts afresh.
        assert_eq!(waits(step(&policy, &runs, "2027-08-06T22:05:00Z")).unwrap(), "2027-08-07T22:00:00Z", "{attempts}");
    }
}

#[test]
fn a_newer_slot_forgets_the_failures_of_the_one_before() {
    let failed = Some(FailedRun { slot: at("2027-08-05T22:00:00Z"), attempts: 99, at: at("2027-08-06T21:59:00Z") });
    let runs = ItemRuns { failed, ..completed("2027-08-04T22:00:00Z") };
    assert_eq!(started(step(&nightly(), &runs, "2027-08-06T22:00:00Z")).unwrap(), ("2027-08-06T22:00:00Z".to_owned(), 1));
}

fn in_windows(at_end: WindowEnd) -> Policy {
    let windows = WindowSettings { open: vec![window(&[], "22:00", "02:00")], at_end };
    Policy::new(PolicySettings { windows, ..settings("UTC", vec![daily_at(&["12:00", "23:00"])]) }).unwrap()
}

#[test]
fn a_slot_that_is_due_outside_the_windows_waits_for_the_next() {
    let policy = in_windows(WindowEnd::Finish);
    let done = completed("2027-08-05T23:00:00Z");
    assert_eq!(waits(step(&policy, &done, "2027-08-06T12:00:00Z")).unwrap(), "2027-08-06T22:00:00Z");
    assert_eq!(started(step(&policy, &done, "2027-08-06T22:00:00Z")).unwrap().0, "2027-08-06T12:00:00Z");
    // Missed in its window, waits for another, unless the next slot is first.
    assert_eq!(waits(step(&policy, &done, "2027-08-07T03:00:00Z")).unwrap(), "2027-08-07T22:00:00Z");
}

#[test]
fn what_was_missed_in_one_window_is_spread_over_the_next() {
    let windows = WindowSettings { open: vec![window(&[], "03:00", "18:00")], at_end: WindowEnd::Finish };
    let late =
        Policy::new(PolicySettings { windows, spread_minutes: 60, ..settings("UTC", vec![daily_at(&["17:30"])]) }).unwrap();
    let missed = completed("2027-08-05T17:30:00Z");
    let Step::Wait { until, .. } = step(&late, &missed, "2027-08-06T18:00:00Z") else { panic!("it is closed") };
    assert!(at("2027-08-07T03:00:00Z") < until && until < at("2027-08-07T04:00:00Z"), "{until}");
    assert_eq!(waits(step(&late, &missed, "2027-08-07T03:00:00Z")).unwrap(), until.to_string());
    assert!(matches!(late.next_step(&seed(1), &missed, until), Step::Start { .. }));
}

#[test]
fn a_run_whose_window_closes_is_stopped_if_the_policy_says_so() {
    let running = ItemRuns { running: Some(Running { slot: Some(at("2027-08-06T23:00:00Z")) }), ..runs() };
    let on_demand = ItemRuns { running: Some(Running { slot: None }), ..runs() };
    let stop = in_windows(WindowEnd::Stop);
    assert_eq!(step(&stop, &running, "2027-08-07T01:00:00Z"), Step::GoOn { until: Some(at("2027-08-07T02:00:00Z")) });
    assert_eq!(step(&stop, &running, "2027-08-07T02:00:00Z"), Step::Stop);
    assert_eq!(step(&stop, &on_demand, "2027-08-07T02:00:00Z"), Step::GoOn { until: None });
    assert_eq!(step(&in_windows(WindowEnd::Finish), &running, "2027-08-07T02:00:00Z"), Step::GoOn { until: None });
}

#[test]
fn a_clock_that_was_an_hour_ahead_and_is_set_right_skips_nothing_and_repeats_nothing() {
    // At 21:00 in truth the agent's clock said 22:00 and the slot was run; then the clock was set right.
    let early = completed("2027-08-06T22:00:00Z");
    assert_eq!(waits(step(&nightly(), &early, "2027-08-06T21:05:00Z")).unwrap(), "2027-08-06T22:00:00Z");
    assert_eq!(waits(step(&nightly(), &early, "2027-08-06T22:00:00Z")).unwrap(), "2027-08-07T22:00:00Z");
    assert!(started(step(&nightly(), &early, "2027-08-07T22:00:00Z")).is_some());
}

#[test]
fn a_clock_that_was_a_year_ahead_and_is_set_right_costs_one_run_and_no_pause() {
    let year_ahead = at("2028-08-06T22:00:00Z");
    let ahead = ItemRuns { last_completed: Some(year_ahead), ready_since: year_ahead, ..runs() };
    assert!(started(step(&nightly(), &ahead, "2027-08-06T10:00:00Z")).is_some());
    let after = completed("2027-08-05T22:00:00Z");
    assert_eq!(waits(step(&nightly(), &after, "2027-08-06T10:05:00Z")).unwrap(), "2027-08-06T22:00:00Z");
    let failed = Some(FailedRun { slot: at("2027-08-05T22:00:00Z"), attempts: 1, at: year_ahead });
    let failed = ItemRuns { failed, ..completed("2027-08-04T22:00:00Z") };
    let until: Timestamp = waits(step(&nightly(), &failed, "2027-08-06T10:00:00Z")).unwrap().parse().unwrap();
    assert!(until < at("2027-08-06T10:15:00Z"), "{until}");
}

#[test]
fn an_agent_that_is_ready_since_a_clock_that_was_ahead_starts_what_is_due_however_starts_are_spread() {
    let spread = Policy::new(PolicySettings { spread_minutes: 30, ..settings("UTC", vec![daily_at(&["22:00"])]) }).unwrap();
    for ahead in ["2027-08-06T23:00:00Z", "2027-08-07T12:00:00Z", "2028-08-06T22:00:00Z"] {
        let ahead = ItemRuns { ready_since: at(ahead), ..completed("2027-08-05T22:00:00Z") };
        let planned = spread.planned_start(&seed(1), spread.latest_slot(at("2027-08-06T22:00:00Z")).unwrap());
        assert_eq!(waits(step(&spread, &ahead, "2027-08-06T22:00:00Z")).unwrap(), planned.to_string());
        assert!(matches!(spread.next_step(&seed(1), &ahead, planned), Step::Start { .. }), "{ahead:?}");
        assert!(started(step(&spread, &ahead, "2027-08-06T22:59:00Z")).is_some(), "{ahead:?}");
    }
}

#[test]
fn an_item_protected_by_a_clock_a_year_ahead_is_backed_up_at_once_and_then_by_its_schedule() {
    let ahead = ItemRuns { protected_since: at("2028-08-06T22:00:00Z"), ..runs() };
    assert_eq!(started(step(&nightly(), &ahead, "2027-08-06T10:00:00Z")).unwrap(), ("2027-08-05T22:00:00Z".to_owned(), 0));
    let then = ItemRuns { last_completed: Some(at("2027-08-05T22:00:00Z")), ..ahead };
    assert_eq!(waits(step(&nightly(), &then, "2027-08-06T10:05:00Z")).unwrap(), "2027-08-06T22:00:00Z");
    assert!(started(step(&nightly(), &then, "2027-08-06T22:00:00Z")).is_some());
}

#[test]
fn slots_that_wait_for_one_window_are_one_run_for_the_latest() {
    let windows = WindowSettings { open: vec![window(&[policy::Weekday::Sunday], "00:00", "01:00")], at_end: WindowEnd::Finish };
    let weekly =
        Policy::new(PolicySettings { windows, spread_minutes: 30, ..settings("UTC", vec![daily_at(&["06:30"])]) }).unwrap();
    // 2027-08-08 is a Sunday.
    let Step::Wait { until, slot } = step(&weekly, &completed("2027-08-03T06:30:00Z"), "2027-08-04T00:00:00Z") else { panic!() };
    assert_eq!(slot.due, at("2027-08-07T06:30:00Z"));
    assert!(at("2027-08-08T00:00:00Z") <= until && until < at("2027-08-08T00:30:00Z"), "{until}");
    let begun = weekly.next_step(&seed(1), &completed("2027-08-03T06:30:00Z"), until);
    assert_eq!(started(begun).unwrap(), ("2027-08-07T06:30:00Z".to_owned(), 3));
}

#[test]
fn without_schedules_there_is_nothing_to_do() {
    assert_eq!(step(&policy("UTC", Vec::new()), &runs(), "2027-08-06T22:00:00Z"), Step::Nothing);
}
