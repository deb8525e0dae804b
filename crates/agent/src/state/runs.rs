//! What is remembered of an item's runs, and of the jobs that are under way.

use api::{JobOrigin, JobReport};
use format::ItemName;
use policy::{FailedRun, Hook, ItemRuns, Running, Timestamp};
use serde::{Deserialize, Serialize};

/// The schema of what is kept.
pub(super) const SCHEMA: &str = "holdfast.agent-state/1";

/// No try of a slot has a higher number, however many there were.
const TRIES_MAX: u32 = 1000;

/// Runs of an item.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ItemRecord {
    /// The slot of the run that was completed last.
    pub(crate) last_slot_ms: Option<i64>,
    /// A slot that was tried since then and is not done.
    pub(crate) tried: Option<TriedSlot>,
}

/// A slot whose run did not come to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TriedSlot {
    pub(crate) slot_ms: i64,
    /// How often a run was begun for it.
    pub(crate) tries: u32,
    /// How often one failed, as far as the policy counts it.
    pub(crate) failures: u32,
    /// How often the agent died of it, or with it.
    pub(crate) deaths: u32,
    /// When the last one ended.
    pub(crate) at_ms: i64,
    /// It failed because the service was away: its return makes good for it.
    pub(crate) away: bool,
}

/// How a run for a slot ended, as far as the schedule is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SlotEnd {
    /// It is done.
    Done,
    /// It failed.
    Failed {
        /// Because the service was away.
        away: bool,
    },
    /// Somebody does not want it: it is not tried again.
    Unwanted,
    /// It goes on later: its window closed, or the agent ended.
    Paused,
    /// The agent died.
    Died,
}

impl ItemRecord {
    /// Which try of this slot the next one is.
    pub(crate) fn next_try(&self, slot_ms: i64) -> u32 {
        let tries = self.tried.filter(|tried| tried.slot_ms == slot_ms).map_or(0, |tried| tried.tries);
        tries.saturating_add(1).min(TRIES_MAX)
    }

    /// A run for a slot has ended.
    pub(crate) fn end(&mut self, slot_ms: i64, end: SlotEnd, now_ms: i64) {
        if end == SlotEnd::Done {
            *self = Self { last_slot_ms: Some(slot_ms), tried: None };
            return;
        }
        let fresh = TriedSlot { slot_ms, tries: 0, failures: 0, deaths: 0, at_ms: now_ms, away: false };
        let mut tried = self.tried.filter(|tried| tried.slot_ms == slot_ms).unwrap_or(fresh);
        (tried.tries, tried.at_ms, tried.away) = (tried.tries.saturating_add(1), now_ms, false);
        match end {
            SlotEnd::Failed { away } => (tried.failures, tried.away) = (tried.failures.saturating_add(1), away),
            SlotEnd::Unwanted => tried.failures = u32::MAX,
            SlotEnd::Died => {
                // Once is bad luck; what kills the agent each time must not do so without pause.
                tried.deaths = tried.deaths.saturating_add(1);
                tried.failures = tried.failures.saturating_add(u32::from(tried.deaths > 1));
            }
            SlotEnd::Done | SlotEnd::Paused => {}
        }
        self.tried = Some(tried);
    }

    /// The service is back: what failed for want of it is tried anew. Answers whether there is anything.
    pub(crate) fn forgive(&mut self) -> bool {
        match &mut self.tried {
            Some(tried) if tried.away => {
                (tried.failures, tried.away) = (0, false);
                true
            }
            _ => false,
        }
    }

    /// As a policy asks for it. `known_slot_ms` is what the service knows, for an agent that lost its state.
    pub(crate) fn to_runs(&self, history: &History) -> ItemRuns {
        let last_ms = self.last_slot_ms.or(history.known_slot_ms.filter(|_| self.tried.is_none()));
        let failed = self.tried.filter(|tried| tried.failures > 0).map(|tried| FailedRun {
            slot: timestamp(tried.slot_ms),
            attempts: tried.failures,
            at: timestamp(tried.at_ms),
        });
        ItemRuns {
            protected_since: timestamp(history.since_ms),
            ready_since: timestamp(history.ready_ms),
            running: history.running.map(|slot_ms| Running { slot: slot_ms.map(timestamp) }),
            last_completed: last_ms.map(timestamp),
            failed,
        }
    }
}

/// What else belongs to an item's runs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct History {
    /// Since when the item has its policy.
    pub(crate) since_ms: i64,
    /// Since when runs could be started.
    pub(crate) ready_ms: i64,
    /// The last slot that the service knows to be done.
    pub(crate) known_slot_ms: Option<i64>,
    /// The slot of the run that goes on; on demand, there is none.
    pub(crate) running: Option<Option<i64>>,
}

/// A time that a clock showed. One out of all range is the end of time.
pub(crate) fn timestamp(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ms).unwrap_or(if ms < 0 { Timestamp::MIN } else { Timestamp::MAX })
}

/// A job that is under way: what a killed agent knows of it when it starts again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begun {
    /// What was known when it began.
    pub report: JobReport,
    /// The item's newest point before it, as far as it was remembered: the job's is newer.
    #[serde(default)]
    pub sequence_before: u64,
    /// A hook that has to run however the job ends.
    #[serde(default)]
    pub thaw: Option<Hook>,
    /// How often the agent died in it.
    #[serde(default)]
    pub deaths: u32,
    /// Nobody does it now: it was stopped with the agent, or found when that was started again.
    #[serde(default)]
    pub rests: bool,
}

impl Begun {
    /// The item that it is about; every job of an agent has one.
    #[must_use]
    pub fn item(&self) -> Option<&ItemName> {
        self.report.work.item()
    }

    /// The slot that it was begun for.
    #[must_use]
    pub fn slot_ms(&self) -> Option<i64> {
        match self.report.origin {
            JobOrigin::Schedule { slot_ms, .. } => Some(slot_ms),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLOT: i64 = 1_000_000;

    fn failures(record: &ItemRecord) -> u32 {
        record.tried.map_or(0, |tried| tried.failures)
    }

    #[test]
    fn what_is_done_is_forgotten_but_for_its_slot() {
        let mut record = ItemRecord::default();
        record.end(SLOT, SlotEnd::Failed { away: false }, 1);
        assert_eq!((record.next_try(SLOT), record.next_try(SLOT + 1), failures(&record)), (2, 1, 1));
        record.end(SLOT, SlotEnd::Done, 2);
        assert_eq!(record, ItemRecord { last_slot_ms: Some(SLOT), tried: None });
    }

    #[test]
    fn the_return_of_the_service_makes_good_for_failures_for_want_of_it_alone() {
        let mut record = ItemRecord::default();
        record.end(SLOT, SlotEnd::Failed { away: true }, 1);
        record.end(SLOT, SlotEnd::Failed { away: true }, 2);
        assert!(record.forgive() && failures(&record) == 0 && record.next_try(SLOT) == 3);
        record.end(SLOT, SlotEnd::Failed { away: false }, 3);
        assert!(!record.forgive() && failures(&record) == 1);
    }

    #[test]
    fn a_slot_that_kills_the_agent_waits_from_the_second_time_on() {
        let mut record = ItemRecord::default();
        record.end(SLOT, SlotEnd::Died, 1);
        assert_eq!(failures(&record), 0);
        record.end(SLOT, SlotEnd::Died, 2);
        assert_eq!(failures(&record), 1);
        record.end(SLOT, SlotEnd::Paused, 3);
        assert_eq!((failures(&record), record.next_try(SLOT)), (1, 4));
        record.end(SLOT, SlotEnd::Unwanted, 4);
        assert_eq!(failures(&record), u32::MAX);
    }

    #[test]
    fn what_the_service_knows_counts_only_for_an_agent_that_knows_nothing() {
        let history = History { since_ms: 0, ready_ms: 0, known_slot_ms: Some(SLOT), running: None };
        assert_eq!(ItemRecord::default().to_runs(&history).last_completed, Some(timestamp(SLOT)));
        let own = ItemRecord { last_slot_ms: Some(SLOT + 1), tried: None };
        assert_eq!(own.to_runs(&history).last_completed, Some(timestamp(SLOT + 1)));
    }
}
