//! What the executor shares with wakers, clocks and handles: who is ready, who sleeps, what time it is.

use super::task::TaskId;
use crate::rng::Rng;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

/// A step takes up to this much simulated time, so that sleepers wake in between the steps of the busy.
const STEP_MICROS_MAX: u64 = 1_000;

#[derive(Clone)]
pub(super) struct SharedState(Arc<Mutex<State>>);

pub(super) struct State {
    pub(super) rng: Rng,
    pub(super) steps: u64,
    /// Simulated time since the start.
    pub(super) now_micros: u64,
    /// In the order of their numbers, so that the draw from them depends on nothing else.
    pub(super) ready: BTreeSet<TaskId>,
    pub(super) killed: Vec<TaskId>,
    sleepers: BTreeMap<Alarm, Waker>,
    next_sleeper: u64,
}

/// When a sleeper wakes; the number tells sleepers of one moment apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Alarm {
    at_micros: u64,
    number: u64,
}

pub(super) enum Turn {
    Poll(TaskId),
    /// Nobody was ready; sleepers are now.
    TimePassed,
    Deadlock,
}

impl SharedState {
    pub(super) fn new(rng: Rng) -> Self {
        Self(Arc::new(Mutex::new(State {
            rng,
            steps: 0,
            now_micros: 0,
            ready: BTreeSet::new(),
            killed: Vec::new(),
            sleepers: BTreeMap::new(),
            next_sleeper: 0,
        })))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn next_turn(&self) -> Turn {
        let mut state = self.lock();
        let due = state.now_micros;
        let woken = state.due_sleepers(due);
        if !woken.is_empty() {
            drop(state);
            woken.into_iter().for_each(Waker::wake);
            return Turn::TimePassed;
        }
        let State { rng, ready, .. } = &mut *state;
        if !ready.is_empty() {
            let id = *ready.iter().nth(rng.index(ready.len())).expect("the index is below the length");
            ready.remove(&id);
            state.steps += 1;
            state.now_micros += 1 + state.rng.below(STEP_MICROS_MAX);
            return Turn::Poll(id);
        }
        let Some(alarm) = state.sleepers.keys().next() else { return Turn::Deadlock };
        state.now_micros = alarm.at_micros;
        Turn::TimePassed
    }

    /// Wakes the waker at that time; the alarm is for taking it back.
    pub(super) fn wake_at(&self, at_micros: u64, waker: Waker) -> Alarm {
        let mut state = self.lock();
        let alarm = Alarm { at_micros, number: state.next_sleeper };
        state.next_sleeper += 1;
        state.sleepers.insert(alarm, waker);
        alarm
    }

    pub(super) fn take_back(&self, alarm: Alarm) {
        let waker = self.lock().sleepers.remove(&alarm);
        drop(waker);
    }
}

impl State {
    fn due_sleepers(&mut self, now_micros: u64) -> Vec<Waker> {
        let mut woken = Vec::new();
        while let Some(entry) = self.sleepers.first_entry() {
            if entry.key().at_micros > now_micros {
                break;
            }
            woken.push(entry.remove());
        }
        woken
    }
}
