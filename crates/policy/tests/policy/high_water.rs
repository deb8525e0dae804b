//! The clock on which points expire: never back, never a jump at once.

use crate::fixture::at;
use policy::{ClockState, HighWaterClock, Kind, PolicyError, Timestamp};
use proptest::prelude::*;
use std::time::Duration;

const MINUTE: i64 = 60 * 1000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

fn start() -> Timestamp {
    at("2027-08-06T12:00:00Z")
}

fn later(time: Timestamp, ms: i64) -> Timestamp {
    Timestamp::from_millisecond(time.as_millisecond() + ms).unwrap()
}

fn ms(ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap())
}

/// A machine with a wall clock that can be set, and a high-water clock that is stepped every minute of running.
struct Machine {
    truth: Timestamp,
    wall_error_ms: i64,
    clock: HighWaterClock,
}

impl Machine {
    fn new() -> Self {
        Self { truth: start(), wall_error_ms: 0, clock: HighWaterClock::starting_at(start()) }
    }

    fn wall(&self) -> Timestamp {
        later(self.truth, self.wall_error_ms)
    }

    fn run(&mut self, duration_ms: i64) {
        for _ in 0..duration_ms / MINUTE {
            self.truth = later(self.truth, MINUTE);
            let before = self.clock.now();
            self.clock = self.clock.step(ms(MINUTE), self.wall());
            assert!(self.clock.now() >= before, "the clock went back");
            let moved = self.clock.now().as_millisecond() - before.as_millisecond();
            assert!(moved <= 25 * MINUTE, "the clock moved {moved} ms in a minute");
        }
    }

    /// Down for a while, then up again from the stored state.
    fn restart_after(&mut self, down_ms: i64) {
        let stored = serde_json::to_string(&self.clock).unwrap();
        self.truth = later(self.truth, down_ms);
        self.clock = serde_json::from_str(&stored).unwrap();
        self.clock = self.clock.step(Duration::ZERO, self.wall());
    }

    fn ahead_ms(&self) -> i64 {
        self.clock.now().as_millisecond() - self.truth.as_millisecond()
    }
}

#[test]
fn a_clock_that_runs_with_the_wall_shows_what_the_wall_shows() {
    let mut machine = Machine::new();
    machine.run(3 * DAY);
    assert_eq!(machine.ahead_ms(), 0);
    assert_eq!(machine.clock.state(), ClockState::Together);
}

#[test]
fn a_jump_of_ten_days_is_caught_up_a_day_an_hour() {
    let mut machine = Machine::new();
    machine.wall_error_ms = 10 * DAY;
    machine.run(HOUR);
    assert_eq!(machine.ahead_ms(), DAY);
    assert_eq!(machine.clock.state(), ClockState::CatchingUp { gap_ms: 9 * DAY });
    machine.run(9 * HOUR - MINUTE);
    assert!(machine.ahead_ms() < 10 * DAY);
    machine.run(MINUTE);
    assert_eq!(machine.ahead_ms(), 10 * DAY);
    assert_eq!(machine.clock.state(), ClockState::Together);
}

#[test]
fn a_year_ahead_and_back_moves_the_clock_not_at_all() {
    let mut machine = Machine::new();
    machine.wall_error_ms = 365 * DAY;
    machine.run(5 * DAY);
    assert_eq!(machine.ahead_ms(), 0, "running time goes on, the jump is not taken");
    assert_eq!(machine.clock.state(), ClockState::Waiting { gap_ms: 365 * DAY });
    machine.wall_error_ms = 0;
    machine.run(DAY);
    assert_eq!(machine.ahead_ms(), 0);
    assert_eq!(machine.clock.state(), ClockState::Together);
}

#[test]
fn after_three_days_ahead_and_back_the_clock_stands_until_the_truth_has_come_up() {
    let mut machine = Machine::new();
    machine.wall_error_ms = 3 * DAY;
    machine.run(2 * HOUR);
    assert_eq!(machine.ahead_ms(), 2 * DAY);
    machine.wall_error_ms = 0;
    let shown = machine.clock.now();
    machine.run(2 * DAY);
    assert_eq!(machine.clock.now(), shown);
    machine.run(HOUR);
    assert_eq!(machine.ahead_ms(), 0);
}

#[test]
fn a_gap_of_thirty_days_is_caught_up_and_a_greater_one_waits() {
    let mut machine = Machine::new();
    machine.restart_after(30 * DAY);
    machine.run(DAY);
    assert!(matches!(machine.clock.state(), ClockState::CatchingUp { .. }), "{:?}", machine.clock.state());
    let mut machine = Machine::new();
    machine.restart_after(30 * DAY + 1);
    machine.run(DAY);
    assert_eq!(machine.clock.state(), ClockState::Waiting { gap_ms: 30 * DAY + 1 });
    assert_eq!(machine.clock.now(), later(start(), DAY));
}

#[test]
fn an_administrator_lets_the_clock_catch_up_still_a_day_an_hour() {
    let mut machine = Machine::new();
    machine.restart_after(100 * DAY);
    machine.run(HOUR);
    machine.clock = machine.clock.acknowledge(machine.wall()).unwrap();
    machine.run(HOUR);
    assert_eq!(machine.ahead_ms(), -99 * DAY);
    machine.run(99 * HOUR);
    assert_eq!(machine.ahead_ms(), 0);
    assert_eq!(machine.clock.state(), ClockState::Together);
    // The word was for that gap alone.
    machine.wall_error_ms = 40 * DAY;
    machine.run(DAY);
    assert_eq!(machine.clock.state(), ClockState::Waiting { gap_ms: 40 * DAY });
}

#[test]
fn an_acknowledgement_does_not_cover_a_further_jump() {
    let mut machine = Machine::new();
    machine.restart_after(100 * DAY);
    machine.clock = machine.clock.acknowledge(machine.wall()).unwrap();
    machine.wall_error_ms = 365 * DAY;
    machine.run(10 * HOUR);
    assert!(matches!(machine.clock.state(), ClockState::Waiting { .. }));
    assert_eq!(machine.clock.now(), later(start(), 10 * HOUR));
}

#[test]
fn an_acknowledgement_ends_when_the_wall_clock_is_set_back() {
    let mut machine = Machine::new();
    machine.wall_error_ms = 100 * DAY;
    machine.run(MINUTE);
    machine.clock = machine.clock.acknowledge(machine.wall()).unwrap();
    machine.wall_error_ms = 0;
    machine.run(MINUTE);
    machine.wall_error_ms = 100 * DAY;
    machine.run(HOUR);
    assert!(matches!(machine.clock.state(), ClockState::Waiting { .. }));
}

#[test]
fn an_acknowledgement_survives_a_restart() {
    let mut machine = Machine::new();
    machine.restart_after(100 * DAY);
    machine.clock = machine.clock.acknowledge(machine.wall()).unwrap();
    machine.restart_after(MINUTE);
    machine.run(2 * HOUR);
    assert_eq!(machine.clock.now(), later(start(), 2 * HOUR + 2 * DAY));
}

#[test]
fn only_what_the_wall_clock_shows_can_be_acknowledged_and_only_while_waiting() {
    let mut machine = Machine::new();
    let refused = machine.clock.acknowledge(machine.wall()).unwrap_err();
    assert!(matches!(refused, PolicyError::NothingToAcknowledge));
    assert_eq!(refused.kind(), Kind::Conflict);
    machine.wall_error_ms = 365 * DAY;
    machine.run(MINUTE);
    let refused = machine.clock.acknowledge(machine.truth).unwrap_err();
    assert!(matches!(refused, PolicyError::AcknowledgedElsewhere { apart_ms } if apart_ms == 365 * DAY));
    machine.clock.acknowledge(later(machine.wall(), 59 * MINUTE)).unwrap();
}

#[test]
fn restarts_do_not_add_up_to_a_jump() {
    let mut machine = Machine::new();
    machine.wall_error_ms = 20 * DAY;
    for _ in 0..10_000 {
        machine.restart_after(0);
    }
    assert_eq!(machine.ahead_ms(), 0, "no running time, no catching up");
}

#[test]
fn a_process_that_hung_for_a_week_catches_up_no_more_than_a_day() {
    let clock = HighWaterClock::starting_at(start());
    let wall = later(start(), 20 * DAY);
    let stepped = clock.step(ms(7 * DAY), wall);
    assert_eq!(stepped.now(), later(start(), 8 * DAY));
}

#[test]
fn a_service_that_was_off_for_ten_minutes_is_right_again_after_half_a_minute_of_running() {
    let mut machine = Machine::new();
    machine.restart_after(10 * MINUTE);
    assert_eq!(machine.ahead_ms(), -10 * MINUTE);
    machine.run(MINUTE);
    assert_eq!(machine.ahead_ms(), 0);
}

#[test]
fn a_wall_clock_an_hour_behind_holds_the_clock_for_an_hour() {
    let mut machine = Machine::new();
    machine.wall_error_ms = -HOUR;
    machine.run(30 * MINUTE);
    assert_eq!(machine.clock.now(), start());
    assert_eq!(machine.clock.state(), ClockState::Standing { behind_ms: 30 * MINUTE });
    machine.run(DAY);
    assert_eq!(machine.ahead_ms(), -HOUR);
}

#[test]
fn a_wall_clock_that_starts_in_1970_expires_nothing() {
    let mut machine = Machine::new();
    machine.wall_error_ms = -start().as_millisecond();
    machine.run(DAY);
    assert_eq!(machine.clock.now(), start());
}

#[test]
fn after_a_rebuild_the_clock_starts_at_the_lesser_of_the_newest_stamp_and_the_wall_clock() {
    let stamped_ahead = HighWaterClock::after_rebuild(later(start(), 365 * DAY), start());
    assert_eq!((stamped_ahead.now(), stamped_ahead.state()), (start(), ClockState::Together));
    let was_off = HighWaterClock::after_rebuild(start(), later(start(), 10 * DAY));
    assert_eq!((was_off.now(), was_off.state()), (start(), ClockState::CatchingUp { gap_ms: 10 * DAY }));
    let wall_ahead = HighWaterClock::after_rebuild(start(), later(start(), 365 * DAY));
    assert_eq!((wall_ahead.now(), wall_ahead.state()), (start(), ClockState::Waiting { gap_ms: 365 * DAY }));
}

#[test]
fn a_state_of_another_schema_or_with_what_is_unknown_is_refused() {
    let stored = serde_json::to_string(&HighWaterClock::starting_at(start())).unwrap();
    assert_eq!(stored, r#"{"schema":1,"now_ms":1817553600000,"wall_ms":1817553600000,"acknowledged_ms":null}"#);
    for (from, to) in [("\"schema\":1", "\"schema\":2"), ("\"wall_ms\"", "\"wall\""), ("1817553600000", "9223372036854775807")] {
        let other = stored.replacen(from, to, 1);
        assert!(serde_json::from_str::<HighWaterClock>(&other).is_err(), "{other}");
    }
}

proptest! {
    /// Whatever the wall clock shows and however long steps take: never back, never beyond 25 times what passed (and an hour's worth
    /// of catching up a step), never past the greatest wall clock.
    #[test]
    fn no_wall_clock_moves_it_back_or_too_far(steps in prop::collection::vec((0..2 * HOUR, -400 * DAY..400 * DAY), 1..60)) {
        let mut clock = HighWaterClock::starting_at(start());
        let mut greatest = start();
        for (elapsed, wall) in steps {
            let wall = later(start(), wall);
            greatest = greatest.max(wall);
            let next = clock.step(ms(elapsed), wall);
            let moved = next.now().as_millisecond() - clock.now().as_millisecond();
            prop_assert!(moved >= 0);
            prop_assert!(moved <= elapsed + 24 * elapsed.min(HOUR), "{moved} in {elapsed}");
            prop_assert!(next.now() <= greatest);
            if wall.as_millisecond() - clock.now().as_millisecond() - elapsed > 30 * DAY {
                prop_assert!(moved <= elapsed, "a gap over 30 days was caught up");
            }
            let stored = serde_json::to_string(&next).unwrap();
            prop_assert_eq!(serde_json::from_str::<HighWaterClock>(&stored).unwrap(), next);
            clock = next;
        }
    }
}
