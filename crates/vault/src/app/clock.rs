//! The vault's clock: the one on which points expire. `policy` has its rules; here it is fed, stored and shown.
//!
//! Invariant: nothing expires by a time that is not stored. A service that was killed right after goes on from there or later.

use crate::db::Database;
use crate::error::ServiceError;
use crate::time::Time;
use api::{ClockBody, ClockStanding};
use contract::{Error, ErrorKind, Result};
use policy::{ClockState, HighWaterClock, Timestamp};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

/// Clocks that are less apart are not told from each other.
const TOGETHER_MS: i64 = 1000;

/// The clock.
pub(crate) struct VaultClock {
    database: Database,
    time: Arc<dyn Time>,
    state: Mutex<State>,
    /// Held while it is stored: an older state does not follow a newer one.
    storing: tokio::sync::Mutex<()>,
}

struct State {
    clock: HighWaterClock,
    /// How long the process had run at the last step.
    stepped: Duration,
}

impl VaultClock {
    /// As it was stored. Where it never was, it starts at the newest stamp of a point, and no later than what the wall clock shows.
    pub(crate) async fn load(
        database: Database,
        time: Arc<dyn Time>,
        newest_stamp_ms: Option<i64>,
    ) -> Result<Self, ServiceError> {
        let wall = timestamp(time.wall_ms());
        let clock = match database.clock().await? {
            // The wall clock may have jumped while the service was off: that gap is not time that passed.
            Some(stored) => stored.step(Duration::ZERO, wall),
            None => newest_stamp_ms
                .map_or(HighWaterClock::starting_at(wall), |newest| HighWaterClock::after_rebuild(timestamp(newest), wall)),
        };
        // What a full disk needs is a service that runs, to free something. Nothing expires before the clock is stored.
        match database.put_clock(&clock).await {
            Err(error) if error.kind() == ErrorKind::Full => {
                tracing::error!(%error, "the disk is full: nothing expires until there is room")
            }
            stored => stored?,
        }
        let state = Mutex::new(State { clock, stepped: time.running() });
        Ok(Self { database, time, state, storing: tokio::sync::Mutex::default() })
    }

    /// Whether it was stored before.
    pub(crate) async fn is_stored(database: &Database) -> Result<bool, ServiceError> {
        Ok(database.clock().await?.is_some())
    }

    /// What it shows, for people: nothing is deleted by it.
    pub(crate) fn shown(&self) -> Timestamp {
        self.step().now()
    }

    /// What it shows, once that is stored.
    pub(crate) async fn stored(&self) -> Result<Timestamp, ServiceError> {
        let _alone = self.storing.lock().await;
        let clock = self.step();
        self.database.put_clock(&clock).await?;
        Ok(clock.now())
    }

    /// It, and how it is doing.
    pub(crate) fn body(&self) -> ClockBody {
        let clock = self.step();
        let standing = match clock.state() {
            ClockState::Together => ClockStanding::Together,
            ClockState::CatchingUp { gap_ms: apart_ms } | ClockState::Standing { behind_ms: apart_ms }
                if apart_ms < TOGETHER_MS =>
            {
                ClockStanding::Together
            }
            ClockState::CatchingUp { .. } => ClockStanding::CatchingUp,
            ClockState::Waiting { .. } => ClockStanding::Waiting,
            ClockState::Standing { .. } => ClockStanding::Standing,
        };
        ClockBody { now_ms: clock.now().as_millisecond(), wall_ms: self.time.wall_ms(), standing }
    }

    /// An administrator says that it is this time in truth.
    pub(crate) async fn acknowledge(&self, time_ms: i64) -> Result<ClockBody> {
        let time = Timestamp::from_millisecond(time_ms)
            .map_err(|error| Error::new(ErrorKind::Invalid, "the acknowledged time is out of range").with_source(error))?;
        let _alone = self.storing.lock().await;
        self.step();
        let acknowledged = {
            let mut state = self.state();
            let acknowledged =
                state.clock.acknowledge(time).map_err(|error| Error::new(ErrorKind::Conflict, error.to_string()))?;
            state.clock = acknowledged;
            acknowledged
        };
        self.database.put_clock(&acknowledged).await?;
        Ok(self.body())
    }

    fn step(&self) -> HighWaterClock {
        let mut state = self.state();
        let running = self.time.running();
        let elapsed = running.saturating_sub(state.stepped);
        state.clock = state.clock.step(elapsed, timestamp(self.time.wall_ms()));
        state.stepped = running.max(state.stepped);
        state.clock
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic under this lock")
    }
}

/// An instant, whatever a clock shows.
pub(crate) fn timestamp(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ms).unwrap_or(if ms < 0 { Timestamp::MIN } else { Timestamp::MAX })
}
