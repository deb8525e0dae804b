//! A year of an item, an agent and a service with clocks that go wrong: planner, retention and high-water clock together.

use crate::fixture::{at, daily_at, point, seed, settings};
use policy::{ClockState, HighWaterClock, ItemRuns, Policy, PolicySettings, RetentionPoint, RetentionSettings, Step, Timestamp};
use std::time::Duration;

const MINUTE: i64 = 60 * 1000;
const DAY: i64 = 24 * 60 * MINUTE;
const STEP: i64 = 15 * MINUTE;

fn later(time: Timestamp, ms: i64) -> Timestamp {
    Timestamp::from_millisecond(time.as_millisecond() + ms).unwrap()
}

/// An agent that runs a policy, and a service that keeps its points.
struct World {
    policy: Policy,
    runs: ItemRuns,
    truth: Timestamp,
    agent_error_ms: i64,
    service_error_ms: i64,
    clock: HighWaterClock,
    points: Vec<RetentionPoint>,
    sequence: u64,
    expired: Vec<(u64, Timestamp)>,
}

impl World {
    fn new(zone: &str, start: &str, retention: RetentionSettings) -> Self {
        let schedules = vec![daily_at(&["02:30"])];
        let policy = Policy::new(PolicySettings { retention, spread_minutes: 10, ..settings(zone, schedules) }).unwrap();
        let start = at(start);
        let runs = ItemRuns { protected_since: start, ready_since: start, running: None, last_completed: None, failed: None };
        Self {
            policy,
            runs,
            truth: start,
            agent_error_ms: 0,
            service_error_ms: 0,
            clock: HighWaterClock::starting_at(start),
            points: Vec::new(),
            sequence: 0,
            expired: Vec::new(),
        }
    }

    fn run_until(&mut self, end: &str) {
        while self.truth < at(end) {
            self.truth = later(self.truth, STEP);
            self.agent();
            self.service();
        }
    }

    fn agent(&mut self) {
        let now = later(self.truth, self.agent_error_ms);
        if let Step::Start { slot, .. } = self.policy.next_step(&seed(3), &self.runs, now) {
            self.runs.last_completed = Some(slot.due);
            self.sequence += 1;
            // The service stamps by its own wall clock, never by the agent's.
            self.points.push(point(self.sequence, later(self.truth, self.service_error_ms)));
        }
    }

    fn service(&mut self) {
        let step = Duration::from_millis(u64::try_from(STEP).unwrap());
        self.clock = self.clock.step(step, later(self.truth, self.service_error_ms));
        let plan = self.policy.plan_retention(&self.points, self.clock.now()).unwrap();
        let gone: Vec<_> = plan.expiring().map(|fate| fate.id).collect();
        self.expired.extend(gone.iter().map(|id| (crate::fixture::number(*id), self.truth)));
        self.points.retain(|point| !gone.contains(&point.id));
    }
}

fn retention() -> RetentionSettings {
    RetentionSettings { recent_days: 1, daily: 7, weekly: 4, monthly: 6, yearly: 1, floor: 3, ..RetentionSettings::default() }
}

#[test]
fn a_year_in_three_zones_has_a_point_for_each_day_and_the_points_that_the_rules_keep() {
    for zone in ["Europe/Berlin", "America/New_York", "Asia/Beirut", "Australia/Lord_Howe"] {
        let mut world = World::new(zone, "2027-01-01T12:00:00Z", retention());
        world.run_until("2028-01-01T00:00:00Z");
        assert!((364..=365).contains(&world.sequence), "{zone}: {} points", world.sequence);
        // Seven days, four weeks, six months, one year; some stand for several.
        assert!((13..=18).contains(&world.points.len()), "{zone}: {}", world.points.len());
        // Once there are some, the newest seven are a row without a gap.
        let newest: Vec<u64> = world.points.iter().rev().take(7).map(|point| point.sequence.0).collect();
        assert_eq!(newest, (world.sequence - 6..=world.sequence).rev().collect::<Vec<_>>(), "{zone}");
        assert_eq!(world.expired.len() + world.points.len(), usize::try_from(world.sequence).unwrap());
    }
}

#[test]
fn a_service_that_jumps_a_year_ahead_and_back_expires_nothing_that_it_should_not() {
    let mut calm = World::new("Europe/Berlin", "2027-01-01T12:00:00Z", retention());
    calm.run_until("2027-06-01T00:00:00Z");
    let mut jumped = World::new("Europe/Berlin", "2027-01-01T12:00:00Z", retention());
    jumped.run_until("2027-05-01T00:00:00Z");
    jumped.service_error_ms = 365 * DAY;
    jumped.run_until("2027-05-04T00:00:00Z");
    assert!(matches!(jumped.clock.state(), ClockState::Waiting { .. }));
    jumped.service_error_ms = 0;
    jumped.run_until("2027-06-01T00:00:00Z");
    // Points that were stamped in the wrong year have their place when they were seen first; they may live longer, never shorter.
    for point in &calm.points {
        assert!(jumped.points.iter().any(|other| other.sequence == point.sequence), "{} is gone", point.sequence);
    }
}

#[test]
fn a_service_that_jumps_three_weeks_ahead_expires_at_most_a_day_an_hour_and_its_floor_never() {
    let mut world =
        World::new("UTC", "2027-01-01T12:00:00Z", RetentionSettings { weekly: 0, monthly: 0, yearly: 0, ..retention() });
    world.run_until("2027-03-01T12:00:00Z");
    let before = world.points.len();
    world.service_error_ms = 21 * DAY;
    world.run_until("2027-03-01T15:00:00Z");
    assert!(before - world.points.len() <= 3 + 1, "{} of {before} are left", world.points.len());
    world.run_until("2027-03-02T12:00:00Z");
    assert!(world.points.len() >= 3, "{} are left", world.points.len());
    assert!(world.clock.now() <= later(world.truth, 21 * DAY));
}

#[test]
fn an_agent_an_hour_off_has_a_point_a_day_and_changes_nothing_about_retention() {
    for error_ms in [-60 * MINUTE, 60 * MINUTE] {
        let mut world = World::new("America/New_York", "2027-03-01T12:00:00Z", retention());
        world.agent_error_ms = error_ms;
        world.run_until("2027-04-01T12:00:00Z");
        world.agent_error_ms = 0;
        world.run_until("2027-05-01T12:00:00Z");
        world.agent_error_ms = error_ms;
        world.run_until("2027-06-01T12:00:00Z");
        assert!((91..=94).contains(&world.sequence), "{error_ms}: {} points in 92 days", world.sequence);
        assert!(world.points.len() >= 12, "{error_ms}: {}", world.points.len());
    }
}

#[test]
fn an_agent_that_started_while_its_clock_was_ahead_has_a_point_a_day_once_it_is_set_right() {
    for ahead_ms in [60 * MINUTE, 40 * DAY, 365 * DAY] {
        let mut world = World::new("Europe/Berlin", "2027-03-01T12:00:00Z", retention());
        // It starts, and a minute later its clock is set.
        world.runs.ready_since = later(world.truth, ahead_ms);
        world.run_until("2027-04-01T12:00:00Z");
        assert_eq!(world.sequence, 31, "{ahead_ms}");
    }
}

#[test]
fn a_service_that_was_off_for_six_weeks_expires_nothing_before_somebody_has_looked() {
    let mut world = World::new("UTC", "2027-01-01T12:00:00Z", retention());
    world.run_until("2027-03-01T12:00:00Z");
    let before = world.points.clone();
    world.truth = later(world.truth, 42 * DAY);
    world.runs.ready_since = world.truth;
    world.run_until("2027-04-13T00:00:00Z");
    assert!(matches!(world.clock.state(), ClockState::Waiting { .. }));
    let lost = before.iter().filter(|point| !world.points.iter().any(|other| other.sequence == point.sequence)).count();
    assert!(lost <= 2, "{lost} points are gone");
    // Missed for six weeks: one run.
    assert_eq!(world.sequence, before.last().unwrap().sequence.0 + 1);
    let wall = world.truth;
    world.clock = world.clock.acknowledge(wall).unwrap();
    world.run_until("2027-04-20T00:00:00Z");
    assert_eq!(world.clock.state(), ClockState::Together);
}
