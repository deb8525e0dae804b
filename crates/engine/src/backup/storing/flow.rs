//! Room for plaintext, and what is on its way: the one place where threads of a backup wait for each other.

use crate::error::{EngineError, Result};
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

struct State {
    room: usize,
    /// Those who wait for room get it in the order in which they came, so that much room is not waited for in vain.
    waiting: VecDeque<Waiting>,
    /// The turns that were served so far, of those who ever waited.
    served: u64,
    passages: usize,
    packs: usize,
    held: bool,
    stopped: bool,
}

/// Who waits for room. Each has a signal of its own: thirty readers wait most of the time, and to wake them all for each that
/// may go on takes the processors from those who make room.
struct Waiting {
    bytes: usize,
    served: Arc<Condvar>,
}

impl State {
    /// Takes room for those whose turn it is, as far as there is some, and wakes them.
    fn serve(&mut self) {
        while let Some(first) = self.waiting.pop_front_if(|first| first.bytes <= self.room) {
            self.room -= first.bytes;
            self.served += 1;
            first.served.notify_one();
        }
    }
}

/// Bounds and counts what is on its way.
pub(crate) struct Flow {
    capacity: usize,
    state: Mutex<State>,
    changed: Condvar,
}

impl Flow {
    pub(super) fn new(capacity: usize) -> Arc<Self> {
        let (waiting, served, passages, packs) = (VecDeque::new(), 0, 0, 0);
        let state = State { room: capacity, waiting, served, passages, packs, held: false, stopped: false };
        Arc::new(Self { capacity, state: Mutex::new(state), changed: Condvar::new() })
    }

    /// Takes room for so many bytes; more than there can be counts as all there is.
    pub(super) fn room(self: &Arc<Self>, bytes: usize) -> Result<Room> {
        let bytes = bytes.min(self.capacity);
        let mut state = self.lock();
        if state.waiting.is_empty() && state.room >= bytes && !state.stopped {
            state.room -= bytes;
        } else {
            let turn = state.served + state.waiting.len() as u64;
            let served = Arc::new(Condvar::new());
            state.waiting.push_back(Waiting { bytes, served: served.clone() });
            state = self.wait(state, &served, |state| state.served > turn)?;
        }
        drop(state);
        Ok(Room { flow: self.clone(), bytes })
    }

    /// Counts a blob that is put on its way; waits while all are held back.
    pub(super) fn enter(self: &Arc<Self>) -> Result<Passage> {
        let mut state = self.wait(self.lock(), &self.changed, |state| !state.held)?;
        state.passages += 1;
        Ok(Passage { flow: self.clone(), pack: false })
    }

    /// Counts a blob that is put on its way although others are held back.
    pub(super) fn enter_ahead(self: &Arc<Self>) -> Result<Passage> {
        let mut state = self.wait(self.lock(), &self.changed, |_| true)?;
        state.passages += 1;
        Ok(Passage { flow: self.clone(), pack: false })
    }

    /// Counts a pack that is to be stored.
    pub(super) fn enter_pack(self: &Arc<Self>) -> Passage {
        self.lock().packs += 1;
        Passage { flow: self.clone(), pack: true }
    }

    pub(super) fn hold(&self, held: bool) {
        self.lock().held = held;
        self.changed.notify_all();
    }

    pub(super) fn wait_for_passages(&self) -> Result<()> {
        self.wait(self.lock(), &self.changed, |state| state.passages == 0).map(drop)
    }

    pub(super) fn wait_for_packs(&self) -> Result<()> {
        self.wait(self.lock(), &self.changed, |state| state.packs == 0).map(drop)
    }

    /// Ends all waiting with an error.
    pub(crate) fn stop(&self) {
        let mut state = self.lock();
        state.stopped = true;
        state.waiting.iter().for_each(|waiting| waiting.served.notify_one());
        self.changed.notify_all();
    }

    fn wait<'a>(
        &self,
        mut state: MutexGuard<'a, State>,
        changed: &Condvar,
        ready: impl Fn(&State) -> bool,
    ) -> Result<MutexGuard<'a, State>> {
        loop {
            if state.stopped {
                return Err(EngineError::Cancelled);
            }
            if ready(&state) {
                return Ok(state);
            }
            state = changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Room that was taken; given back when dropped.
pub(crate) struct Room {
    flow: Arc<Flow>,
    bytes: usize,
}

impl Room {
    /// Gives back what is not needed of it.
    pub(crate) fn shrink(&mut self, bytes: usize) {
        if let Some(spare) = self.bytes.checked_sub(bytes) {
            self.bytes = bytes;
            let mut state = self.flow.lock();
            state.room += spare;
            state.serve();
        }
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.shrink(0);
    }
}

/// A blob or pack on its way; it has arrived, or was given up, when this is dropped.
pub(crate) struct Passage {
    flow: Arc<Flow>,
    pack: bool,
}

impl Drop for Passage {
    fn drop(&mut self) {
        let mut state = self.flow.lock();
        let count = if self.pack { &mut state.packs } else { &mut state.passages };
        *count -= 1;
        if *count == 0 {
            self.flow.changed.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;
    use std::thread;

    #[test]
    fn room_is_given_in_the_order_in_which_it_was_asked_for() {
        let flow = Flow::new(10);
        let first = flow.room(8).unwrap();
        let (sender, receiver) = channel();
        let large = thread::spawn({
            let (flow, sender) = (flow.clone(), sender.clone());
            move || {
                let room = flow.room(9).unwrap();
                sender.send("large").unwrap();
                drop(room);
            }
        });
        while flow.lock().waiting.is_empty() {
            thread::yield_now();
        }
        // there is room for this one, but it came later
        let small = thread::spawn({
            let flow = flow.clone();
            move || {
                let _room = flow.room(2).unwrap();
                sender.send("small").unwrap();
            }
        });
        while flow.lock().waiting.len() < 2 {
            thread::yield_now();
        }
        drop(first);
        assert_eq!(receiver.iter().collect::<Vec<_>>(), ["large", "small"]);
        large.join().unwrap();
        small.join().unwrap();
    }

    #[test]
    fn more_than_there_is_counts_as_all() {
        let flow = Flow::new(10);
        drop(flow.room(1000).unwrap());
        assert_eq!(flow.lock().room, 10);
    }

    #[test]
    fn stopping_ends_every_wait() {
        let flow = Flow::new(1);
        let _all = flow.room(1).unwrap();
        let waiting = thread::spawn({
            let flow = flow.clone();
            move || flow.room(1).is_err()
        });
        while flow.lock().waiting.is_empty() {
            thread::yield_now();
        }
        flow.stop();
        assert!(waiting.join().unwrap());
        assert!(flow.room(0).is_err(), "nor does anybody begin");
    }

    #[test]
    fn nobody_takes_room_of_what_was_stopped() {
        let flow = Flow::new(10);
        flow.stop();
        assert!(flow.room(1).is_err());
    }
}
