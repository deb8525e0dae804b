//! The high-water clock: the clock on which points expire.
//!
//! It follows the machine's wall clock, and does not believe it. It never goes back. It never takes over a jump at once: beside the
//! time that really passed it catches up by at most one day for each hour of running. A gap over 30 days waits until an
//! administrator says that it is right. A wall clock that is wrong therefore expires nothing that a watchful administrator could
//! not have saved, and one that is behind expires nothing at all.
//!
//! The clock is a value: every transition takes what was measured and gives the next state. Time is measured elsewhere, and the
//! state is stored elsewhere, before anything is expired by it.

use crate::error::{PolicyError, Result};
use crate::limits;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Schema of the stored state.
const SCHEMA: u32 = 1;
/// How far what an administrator acknowledges may be from what the wall clock shows by then, in milliseconds: an hour.
const ACKNOWLEDGE_MS_MAX: i64 = 60 * 60 * 1000;

/// The clock's state, as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Stored", into = "Stored")]
pub struct HighWaterClock {
    /// What it shows, in milliseconds since 1970. Never less than before.
    now_ms: i64,
    /// What the wall clock showed last, in milliseconds since 1970.
    wall_ms: i64,
    /// Up to here an administrator believes the wall clock; goes on with running time.
    acknowledged_ms: Option<i64>,
}

/// How the clock is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClockState {
    /// It shows what the wall clock shows.
    Together,
    /// The wall clock is ahead, and it catches up.
    CatchingUp {
        /// How far the wall clock is ahead, in milliseconds.
        gap_ms: i64,
    },
    /// The wall clock is so far ahead that an administrator has to say whether it is right. Running time still counts.
    Waiting {
        /// How far the wall clock is ahead, in milliseconds.
        gap_ms: i64,
    },
    /// The wall clock is behind, and this one stands still until it is not.
    Standing {
        /// How far the wall clock is behind, in milliseconds.
        behind_ms: i64,
    },
}

impl HighWaterClock {
    /// A clock that starts at this time: the vault's first moment.
    #[must_use]
    pub fn starting_at(time: Timestamp) -> Self {
        let now_ms = time.as_millisecond();
        Self { now_ms, wall_ms: now_ms, acknowledged_ms: None }
    }

    /// The clock of a vault whose database was made anew, from the newest stamp in its journal. That may be of a wall clock that
    /// was ahead, so the clock starts no later than what the wall clock shows now.
    #[must_use]
    pub fn after_rebuild(newest_stamp: Timestamp, wall: Timestamp) -> Self {
        Self { wall_ms: wall.as_millisecond(), ..Self::starting_at(newest_stamp.min(wall)) }
    }

    /// What it shows.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        // In range: it starts at a timestamp and never passes a wall clock that is one.
        Timestamp::from_millisecond(self.now_ms).unwrap_or(Timestamp::MAX)
    }

    /// How it is doing.
    #[must_use]
    pub fn state(&self) -> ClockState {
        let gap_ms = self.wall_ms - self.now_ms;
        match gap_ms {
            0 => ClockState::Together,
            ..0 => ClockState::Standing { behind_ms: -gap_ms },
            1.. if self.believes(self.now_ms, self.wall_ms) => ClockState::CatchingUp { gap_ms },
            1.. => ClockState::Waiting { gap_ms },
        }
    }

    /// The clock after the process has run for `elapsed` since the last step, by a monotonic clock, and the wall clock shows `wall`.
    /// The first step after a start has an `elapsed` of zero. Steps are to be at most an hour apart: what is longer counts as an hour
    /// of catching up.
    #[must_use]
    pub fn step(self, elapsed: Duration, wall: Timestamp) -> Self {
        let wall_ms = wall.as_millisecond();
        let elapsed_ms = i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX);
        // Time that really passed is always taken, as far as the wall clock has it too.
        let passed_ms = self.now_ms.max(wall_ms.min(self.now_ms.saturating_add(elapsed_ms)));
        let acknowledged_ms = self.acknowledged_ms.map(|until_ms| until_ms.saturating_add(elapsed_ms));
        let next = Self { now_ms: passed_ms, wall_ms, acknowledged_ms };
        let now_ms = if wall_ms > passed_ms && next.believes(passed_ms, wall_ms) {
            let extra_ms = elapsed_ms.min(limits::CATCH_UP_STEP_MS_MAX) * limits::CATCH_UP_RATE;
            wall_ms.min(passed_ms.saturating_add(extra_ms))
        } else {
            passed_ms
        };
        // A word about a jump that is over, or was taken back, is not kept for the next one.
        let is_over = wall_ms.saturating_sub(now_ms) <= limits::CLOCK_GAP_MS_MAX;
        Self { now_ms, wall_ms, acknowledged_ms: acknowledged_ms.filter(|_| !is_over) }
    }

    /// The clock after an administrator has said that it is `time` in truth, which the wall clock has to show too. It still catches up
    /// by at most one day for each hour of running.
    ///
    /// Fails if the clock is not waiting, or if `time` is more than an hour from what the wall clock showed last.
    pub fn acknowledge(self, time: Timestamp) -> Result<Self> {
        if !matches!(self.state(), ClockState::Waiting { .. }) {
            return Err(PolicyError::NothingToAcknowledge);
        }
        let apart_ms = time.as_millisecond().saturating_sub(self.wall_ms).saturating_abs();
        if apart_ms > ACKNOWLEDGE_MS_MAX {
            return Err(PolicyError::AcknowledgedElsewhere { apart_ms });
        }
        Ok(Self { acknowledged_ms: Some(time.as_millisecond()), ..self })
    }

    /// Whether a wall clock so far ahead is believed: the gap from what is known, or from what was acknowledged, is not too great.
    fn believes(&self, now_ms: i64, wall_ms: i64) -> bool {
        let known_ms = self.acknowledged_ms.map_or(now_ms, |until_ms| until_ms.max(now_ms));
        wall_ms.saturating_sub(known_ms) <= limits::CLOCK_GAP_MS_MAX
    }
}

/// The state with its schema.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    schema: u32,
    now_ms: i64,
    wall_ms: i64,
    acknowledged_ms: Option<i64>,
}

impl From<HighWaterClock> for Stored {
    fn from(clock: HighWaterClock) -> Self {
        let HighWaterClock { now_ms, wall_ms, acknowledged_ms } = clock;
        Self { schema: SCHEMA, now_ms, wall_ms, acknowledged_ms }
    }
}

impl TryFrom<Stored> for HighWaterClock {
    type Error = PolicyError;

    fn try_from(stored: Stored) -> Result<Self> {
        if stored.schema != SCHEMA {
            return Err(PolicyError::ClockSchema { found: stored.schema, known: SCHEMA });
        }
        let in_range = |ms: i64| Timestamp::from_millisecond(ms).is_ok();
        if ![Some(stored.now_ms), Some(stored.wall_ms), stored.acknowledged_ms].into_iter().flatten().all(in_range) {
            return Err(PolicyError::ClockRange);
        }
        Ok(Self { now_ms: stored.now_ms, wall_ms: stored.wall_ms, acknowledged_ms: stored.acknowledged_ms })
    }
}
