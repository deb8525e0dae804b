//! Simulated time, and clocks that do not agree with it.

use super::state::{Alarm, SharedState};
use crate::pause::Pause;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

/// What every clock shows at the start, in milliseconds since 1970: some day of 2026.
const START_MS: i64 = 1_780_000_000_000;

/// The simulation's true time. It never jumps; it passes by a random bit with every step, and to the next sleeper when
/// nobody is ready.
#[derive(Clone)]
pub struct SimTime {
    shared: SharedState,
}

impl SimTime {
    pub(super) fn new(shared: SharedState) -> Self {
        Self { shared }
    }

    /// Microseconds since the start.
    #[must_use]
    pub fn elapsed_micros(&self) -> u64 {
        self.shared.lock().now_micros
    }

    /// Waits until that many milliseconds have passed.
    pub async fn sleep_ms(&self, ms: u64) {
        let until = self.elapsed_micros().saturating_add(ms.saturating_mul(1_000));
        let mut alarm = SetAlarm::new(self.shared.clone());
        poll_fn(|context| {
            if self.elapsed_micros() >= until {
                return Poll::Ready(());
            }
            alarm.set(until, context.waker());
            Poll::Pending
        })
        .await;
    }
}

/// A step is a millisecond.
impl Pause for SimTime {
    fn pause(&self, steps: u32) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let time = self.clone();
        Box::pin(async move { time.sleep_ms(u64::from(steps)).await })
    }
}

/// One actor's clock; clones are the same clock. It goes as fast as the true time and may jump either way.
#[derive(Clone)]
pub struct SimClock {
    time: SimTime,
    state: Arc<Mutex<ClockState>>,
}

#[derive(Default)]
struct ClockState {
    ahead_ms: i64,
    waiting: Vec<Waker>,
}

impl SimClock {
    pub(super) fn new(time: SimTime) -> Self {
        Self { time, state: Arc::default() }
    }

    /// What it shows, in milliseconds since 1970.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        let ahead_ms = self.state().ahead_ms;
        (START_MS + (self.time.elapsed_micros() / 1_000) as i64).saturating_add(ahead_ms)
    }

    /// Sets it forwards or backwards.
    pub fn jump_ms(&self, ms: i64) {
        let waiting = {
            let mut state = self.state();
            state.ahead_ms = state.ahead_ms.saturating_add(ms);
            std::mem::take(&mut state.waiting)
        };
        waiting.into_iter().for_each(Waker::wake);
    }

    /// Waits until that many milliseconds have passed, whatever the clock shows.
    pub async fn sleep_ms(&self, ms: u64) {
        self.time.sleep_ms(ms).await;
    }

    /// Waits until the clock shows that time; a jump of the clock counts.
    pub async fn sleep_until_ms(&self, ms: i64) {
        let mut alarm = SetAlarm::new(self.time.shared.clone());
        poll_fn(|context| {
            let left_ms = ms.saturating_sub(self.now_ms());
            if left_ms <= 0 {
                return Poll::Ready(());
            }
            let until = self.time.elapsed_micros().saturating_add((left_ms as u64).saturating_mul(1_000));
            alarm.set(until, context.waker());
            let mut state = self.state();
            if !state.waiting.iter().any(|waker| waker.will_wake(context.waker())) {
                state.waiting.push(context.waker().clone());
            }
            Poll::Pending
        })
        .await;
    }

    fn state(&self) -> MutexGuard<'_, ClockState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// At most one alarm, taken back when it is set anew or dropped.
struct SetAlarm {
    shared: SharedState,
    alarm: Option<Alarm>,
}

impl SetAlarm {
    fn new(shared: SharedState) -> Self {
        Self { shared, alarm: None }
    }

    fn set(&mut self, at_micros: u64, waker: &Waker) {
        self.take_back();
        self.alarm = Some(self.shared.wake_at(at_micros, waker.clone()));
    }

    fn take_back(&mut self) {
        if let Some(alarm) = self.alarm.take() {
            self.shared.take_back(alarm);
        }
    }
}

impl Drop for SetAlarm {
    fn drop(&mut self) {
        self.take_back();
    }
}
