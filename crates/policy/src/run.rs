//! What an agent does now about an item: start, wait, go on, stop.
//!
//! One answer follows from the policy, what is remembered of the item's runs, and the time. Two runs of an item never overlap,
//! because nothing is started while one runs; however many slots were missed, one run catches up, because only the latest due slot
//! is ever started.

use crate::policy::Policy;
use crate::schedule::{ItemSeed, Slot, SlotCursor, WindowState};
use crate::settings::WindowEnd;
use jiff::{Timestamp, ToSpan};

/// Most missed slots that an answer counts.
const MISSED_MAX: usize = 10_000;
const MINUTE_MS: i64 = 60 * 1000;

/// What is remembered of an item's runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ItemRuns {
    /// Since when the item has this schedule: slots up to here were not missed.
    pub protected_since: Timestamp,
    /// Since when runs could be started: the agent's start, or its waking. Runs that were missed before are spread from here.
    pub ready_since: Timestamp,
    /// The run that is going on.
    pub running: Option<Running>,
    /// The slot of the run that was completed last: the last by order of completion, not the greatest.
    pub last_completed: Option<Timestamp>,
    /// The failure since then.
    pub failed: Option<FailedRun>,
}

/// A run that is going on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Running {
    /// The slot that it was started for. None: on demand; windows do not bind it.
    pub slot: Option<Timestamp>,
}

/// A slot whose run failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FailedRun {
    /// The slot.
    pub slot: Timestamp,
    /// How often it was tried.
    pub attempts: u32,
    /// When the last try failed.
    pub at: Timestamp,
}

/// What to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Start a run for this slot.
    Start {
        /// The latest slot that is due.
        slot: Slot,
        /// How many slots before it were missed and are caught up by the same run.
        missed: usize,
    },
    /// Nothing before this instant; ask again then, or when something changes.
    Wait {
        /// When.
        until: Timestamp,
        /// The slot that will be started then.
        slot: Slot,
    },
    /// One is running: let it.
    GoOn {
        /// When its window closes and it has to stop. None: never.
        until: Option<Timestamp>,
    },
    /// One is running, and its window has closed: stop it. It is neither completed nor failed; the next window takes it up.
    Stop,
    /// Nothing is scheduled.
    Nothing,
}

impl Policy {
    /// What to do about an item at `now`. Clocks that were wrong and are set right lead to one run too many at worst, never to a
    /// pause longer than to the next slot.
    #[must_use]
    pub fn next_step(&self, seed: &ItemSeed, runs: &ItemRuns, now: Timestamp) -> Step {
        if let Some(running) = runs.running {
            return self.while_running(running, now);
        }
        let Some(due) = SlotCursor::new(self.timetable()).latest(now).filter(|due| self.is_open(*due, runs, now)) else {
            return self.wait_for_next(seed, now);
        };
        let earliest = match runs.failed.filter(|failed| failed.slot == due.due) {
            Some(failed) if failed.attempts > self.settings().retries.count => return self.wait_for_next(seed, now),
            Some(failed) => self.retry_at(seed, failed, now),
            None => self.start_of(seed, due, release(due, runs, now)),
        };
        let start = self.inside_window(seed, due, earliest, now);
        match self.next_slot(now) {
            Some(next) if start >= next.due => self.wait_for_next(seed, now),
            _ if start > now => Step::Wait { until: start, slot: due },
            _ => Step::Start { slot: due, missed: self.missed(due, runs) },
        }
    }

    /// When the run of a slot starts if nothing is in the way: the slot, or the opening of the next window, and the item's own
    /// offset, which never leads past the window or the next slot.
    #[must_use]
    pub fn planned_start(&self, seed: &ItemSeed, slot: Slot) -> Timestamp {
        self.start_of(seed, slot, slot.due)
    }

    fn while_running(&self, running: Running, now: Timestamp) -> Step {
        if running.slot.is_none() || self.settings().windows.at_end == WindowEnd::Finish {
            return Step::GoOn { until: None };
        }
        match self.window_state(now) {
            WindowState::Always => Step::GoOn { until: None },
            WindowState::Open { until, .. } => Step::GoOn { until: Some(until) },
            WindowState::Closed { .. } => Step::Stop,
        }
    }

    /// Whether this slot is still to be run.
    fn is_open(&self, due: Slot, runs: &ItemRuns, now: Timestamp) -> bool {
        // An item that is protected since tomorrow got its policy while the clock was ahead: since when is not known.
        if runs.protected_since <= now && due.due <= runs.protected_since {
            return false;
        }
        match runs.last_completed {
            None => true,
            Some(done) if done <= now => done < due.due,
            // The clock was ahead when that run was made. Was it for the very next slot, then this one was done before it; beyond
            // that nothing is known, and a run too many is better than none until then.
            Some(done) => self.next_slot(now).is_some_and(|next| done > next.due),
        }
    }

    fn wait_for_next(&self, seed: &ItemSeed, now: Timestamp) -> Step {
        let Some(next) = self.next_slot(now) else { return Step::Nothing };
        let start = self.planned_start(seed, next);
        // Where several slots wait for the same window, the latest of them is started.
        let slot = self.latest_slot(start).unwrap_or(next);
        let until = if slot == next { start } else { self.planned_start(seed, slot) };
        Step::Wait { until, slot }
    }

    /// A start for `slot` that could begin at `release`.
    fn start_of(&self, seed: &ItemSeed, slot: Slot, release: Timestamp) -> Timestamp {
        let (base, closes) = match self.window_state(release) {
            WindowState::Always => (release, Timestamp::MAX),
            WindowState::Open { until, .. } => (release, until),
            WindowState::Closed { opens, until } => (opens, until),
        };
        self.spread(seed, slot, base, closes)
    }

    /// A start that could have been at `earliest` and was not: in the window that is open now, or in the next, and then spread over it.
    fn inside_window(&self, seed: &ItemSeed, slot: Slot, earliest: Timestamp, now: Timestamp) -> Timestamp {
        match self.window_state(earliest.max(now)) {
            WindowState::Closed { opens, until } => self.spread(seed, slot, opens, until),
            WindowState::Open { since, until } if since > earliest => self.spread(seed, slot, since, until),
            WindowState::Always | WindowState::Open { .. } => earliest,
        }
    }

    fn spread(&self, seed: &ItemSeed, slot: Slot, base: Timestamp, closes: Timestamp) -> Timestamp {
        let next = self.next_slot(base).map_or(Timestamp::MAX, |next| next.due);
        let base_ms = base.as_millisecond();
        let room_ms = next.min(closes).as_millisecond().saturating_sub(base_ms);
        let bound_ms = room_ms.min(i64::from(self.settings().spread_minutes) * MINUTE_MS);
        let offset_ms = seed.offset_ms(slot.due.as_millisecond(), 0, bound_ms);
        base.checked_add(offset_ms.milliseconds()).unwrap_or(base)
    }

    /// When a failed run is tried again: each wait is twice the one before, and up to half of it more by the item's own offset.
    fn retry_at(&self, seed: &ItemSeed, failed: FailedRun, now: Timestamp) -> Timestamp {
        let settings = &self.settings().retries;
        let doubled = settings.wait_minutes.checked_shl(failed.attempts.saturating_sub(1)).filter(|wait| *wait > 0);
        let doublings_fit = failed.attempts <= settings.wait_minutes.leading_zeros();
        let wait = doubled.filter(|_| doublings_fit).unwrap_or(u32::MAX).min(settings.wait_minutes_max);
        let wait_ms = i64::from(wait) * MINUTE_MS;
        let offset_ms = seed.offset_ms(failed.slot.as_millisecond(), failed.attempts, wait_ms / 2);
        let at = failed.at.min(now);
        at.checked_add((wait_ms + offset_ms).milliseconds()).unwrap_or(at)
    }

    fn missed(&self, due: Slot, runs: &ItemRuns) -> usize {
        let since = runs.last_completed.into_iter().chain([runs.protected_since]).filter(|since| *since < due.due).max();
        let from = since.unwrap_or(due.due);
        self.slots_between(from, due.due).take(MISSED_MAX).count().saturating_sub(1)
    }
}

/// Since when a slot could be run. Of one that is ready since tomorrow that is not known: the clock was ahead. To take now for it would put
/// the start off at every look.
fn release(due: Slot, runs: &ItemRuns, now: Timestamp) -> Timestamp {
    if runs.ready_since > now { due.due } else { due.due.max(runs.ready_since) }
}
