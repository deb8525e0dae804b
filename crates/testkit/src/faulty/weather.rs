//! The storage behind all connections: what goes wrong next, and what is still under way.

use super::fault::{Fault, FaultRates, Operation};
use crate::rng::Rng;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use storage::{ObjectName, ObjectStore, Result};

/// The storage that connections share.
pub(super) struct Weather {
    pub(super) inner: Arc<dyn ObjectStore>,
    state: Mutex<State>,
}

struct State {
    rng: Rng,
    rates: FaultRates,
    script: Vec<Scripted>,
    /// Requests so far, by anybody.
    steps: u64,
    late: Vec<(u64, Effect)>,
    /// Bad places of the medium: of an object, bytes that cannot be read.
    bad: BTreeMap<ObjectName, Range<u64>>,
}

struct Scripted {
    operation: Operation,
    pattern: String,
    skip: u32,
    fault: Fault,
}

/// What a put or delete does to the storage.
#[derive(Debug, Clone)]
pub(super) enum Effect {
    Put(ObjectName, Bytes),
    Delete(ObjectName),
}

/// What was drawn for one request.
pub(super) struct Drawn {
    pub(super) fault: Option<Fault>,
    pub(super) delay_steps: u32,
}

impl Weather {
    pub(super) fn new(inner: Arc<dyn ObjectStore>, seed: u64) -> Self {
        let rng = Rng::new(seed);
        let state = State { rng, rates: FaultRates::NONE, script: Vec::new(), steps: 0, late: Vec::new(), bad: BTreeMap::new() };
        Self { inner, state: Mutex::new(state) }
    }

    pub(super) fn set_rates(&self, rates: FaultRates) {
        self.state().rates = rates;
    }

    pub(super) fn script(&self, operation: Operation, pattern: String, skip: u32, fault: Fault) {
        self.state().script.push(Scripted { operation, pattern, skip, fault });
    }

    pub(super) fn clear_script(&self) {
        self.state().script.clear();
    }

    pub(super) fn draw(&self, operation: Operation, object: &str) -> Drawn {
        let mut state = self.state();
        let mut drawn = state.draw_at_random(operation);
        match state.draw_from_script(operation, object) {
            Some(Fault::Delay { steps }) => drawn.delay_steps = steps,
            Some(fault) => drawn.fault = Some(fault),
            None => {}
        }
        drawn
    }

    pub(super) fn set_bad(&self, name: ObjectName, bytes: Range<u64>) {
        self.state().bad.insert(name, bytes);
    }

    pub(super) fn clear_bad(&self) {
        self.state().bad.clear();
    }

    /// Whether some of these bytes cannot be read; all of them count where no range is given.
    pub(super) fn is_bad(&self, name: &ObjectName, range: Option<&Range<u64>>) -> bool {
        let overlaps = |bad: &Range<u64>| range.is_none_or(|range| range.start < bad.end && bad.start < range.end);
        self.state().bad.get(name).is_some_and(overlaps)
    }

    /// Removes an object; another of its name lies elsewhere on the medium.
    pub(super) async fn remove(&self, name: &ObjectName) -> Result<()> {
        self.inner.delete(name).await?;
        self.state().bad.remove(name);
        Ok(())
    }

    /// Takes a step, and lets happen what was late until now.
    pub(super) async fn step(&self) {
        let due = {
            let mut state = self.state();
            state.steps += 1;
            let steps = state.steps;
            state.take_late(|due| due <= steps)
        };
        self.apply_late(due).await;
    }

    /// Lets happen everything that is late.
    pub(super) async fn settle(&self) {
        let due = self.state().take_late(|_| true);
        self.apply_late(due).await;
    }

    /// Forgets everything that is late: it never happens.
    pub(super) fn drop_late(&self) {
        self.state().late.clear();
    }

    pub(super) fn delay_effect(&self, steps: u32, effect: Effect) {
        let mut state = self.state();
        let due = state.steps + 1 + u64::from(steps);
        state.late.push((due, effect));
    }

    /// A length shorter than that of the bytes; `None` for no bytes.
    pub(super) fn cut(&self, bytes: &Bytes) -> Option<Bytes> {
        if bytes.is_empty() {
            return None;
        }
        let length = self.state().rng.index(bytes.len());
        Some(bytes.slice(..length))
    }

    async fn apply_late(&self, due: Vec<(u64, Effect)>) {
        for (_, effect) in due {
            // Nobody waits for the answer: a put that comes too late finds another object in its place.
            let _ = match effect {
                Effect::Put(name, bytes) => self.inner.put(&name, bytes).await.map(drop),
                Effect::Delete(name) => self.remove(&name).await,
            };
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn draw_at_random(&mut self, operation: Operation) -> Drawn {
        let rates = self.rates;
        let changes = matches!(operation, Operation::Put | Operation::Delete);
        let puts = operation == Operation::Put;
        // All are drawn every time, so that changing one rate does not shift the rest of a run.
        let late_steps = 1 + self.rng.below(u64::from(rates.late_steps_max.max(1))) as u32;
        let candidates = [
            (true, rates.error_before, Fault::ErrorBefore),
            (changes, rates.error_after, Fault::ErrorAfter),
            (puts, rates.torn, Fault::Torn),
            (changes, rates.late, Fault::Late { steps: late_steps }),
            (puts, rates.already_there, Fault::AlreadyThere),
            (puts, rates.full, Fault::Full),
        ];
        let mut fault = None;
        for (applies, rate, candidate) in candidates {
            if self.rng.chance(rate) && applies && fault.is_none() {
                fault = Some(candidate);
            }
        }
        let delay = 1 + self.rng.below(u64::from(rates.delay_steps_max.max(1))) as u32;
        let delay_steps = if self.rng.chance(rates.delay) { delay } else { 0 };
        Drawn { fault, delay_steps }
    }

    fn draw_from_script(&mut self, operation: Operation, object: &str) -> Option<Fault> {
        let mut hit = None;
        for (position, entry) in self.script.iter_mut().enumerate() {
            if entry.operation != operation || !object.contains(&entry.pattern) {
                continue;
            }
            if entry.skip == 0 {
                hit = Some(position);
                break;
            }
            entry.skip -= 1;
        }
        hit.map(|position| self.script.remove(position).fault)
    }

    fn take_late(&mut self, mut due: impl FnMut(u64) -> bool) -> Vec<(u64, Effect)> {
        let mut taken: Vec<_> = self.late.extract_if(.., |(at, _)| due(*at)).collect();
        taken.sort_by_key(|(at, _)| *at);
        taken
    }
}
