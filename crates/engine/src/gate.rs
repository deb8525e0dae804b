//! When the source may be read, and how often: both may change while it is.
//!
//! A gate counts reads as a disk would see them, as far as that is known above the page cache: [`reads_of`].

use crate::error::Result;
use crate::stop::Stop;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A read of more bytes is several.
const READ_BYTES: u64 = 1 << 20;
/// Entries of a directory whose inodes a disk reads at once.
const INODES_PER_READ: u64 = 64;
/// After a pause so much is read at once, at most.
const BURST: Duration = Duration::from_millis(200);
/// Who waits looks this often whether it should stop.
const LOOK_EVERY: Duration = Duration::from_millis(400);

/// How many reads the bytes of a piece of a file are.
pub(crate) fn reads_of(bytes: u64) -> u64 {
    bytes.div_ceil(READ_BYTES)
}

/// How many reads it is to list a directory and look at so many entries of it.
pub(crate) fn reads_of_entries(entries: usize) -> u64 {
    1 + (entries as u64) / INODES_PER_READ
}

/// Where everybody who reads the source passes. Clones are the same one. A new one is open, without a limit.
#[derive(Debug, Clone, Default)]
pub struct ReadGate(Arc<Gate>);

#[derive(Debug, Default)]
struct Gate {
    /// Neither closed nor limited: nobody need look any further.
    is_watched: AtomicBool,
    state: Mutex<State>,
    changed: Condvar,
    /// Held by the one that waits: the others wait for it without looking, in whatever order the system wakes them.
    turn: Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    is_closed: bool,
    reads_per_second: Option<u32>,
    /// What was read so far fills the time up to here.
    paid_until: Option<Instant>,
}

impl ReadGate {
    /// Sets the limit, at once. None: there is none.
    pub fn limit(&self, reads_per_second: Option<u32>) {
        self.change(|state| {
            if state.reads_per_second != reads_per_second {
                (state.reads_per_second, state.paid_until) = (reads_per_second, None);
            }
        });
    }

    /// Lets nobody pass until it is opened.
    pub fn close(&self) {
        self.change(|state| state.is_closed = true);
    }

    /// Lets everybody pass who waited because it was closed.
    pub fn open(&self) {
        self.change(|state| state.is_closed = false);
    }

    /// Waits until so many reads may be done, of one read nearly at once; none wait only while it is closed. Fails if the work is to stop.
    pub(crate) fn pass(&self, reads: u64, stop: &Stop) -> Result<()> {
        if !self.0.is_watched.load(Ordering::Relaxed) {
            return Ok(());
        }
        if reads == 0 && !self.state().is_closed {
            return Ok(());
        }
        let _turn = self.0.turn.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            stop.check()?;
            let mut state = self.state();
            let wait = state.take(reads, Instant::now());
            if wait.is_zero() {
                return Ok(());
            }
            // Why it was woken does not matter: everything is looked at anew.
            drop(self.0.changed.wait_timeout(state, wait.min(LOOK_EVERY)));
        }
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state();
        change(&mut state);
        let is_watched = state.is_closed || state.reads_per_second.is_some();
        self.0.is_watched.store(is_watched, Ordering::Relaxed);
        drop(state);
        self.0.changed.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// How long to wait before so many reads; zero if they may be done now, and then they count as done.
    fn take(&mut self, reads: u64, now: Instant) -> Duration {
        if self.is_closed {
            return Duration::MAX;
        }
        let Some(limit) = self.reads_per_second.filter(|_| reads > 0) else { return Duration::ZERO };
        let earliest = now.checked_sub(BURST).unwrap_or(now);
        let paid = self.paid_until.map_or(now, |paid| paid.max(earliest));
        if paid > now {
            return paid - now;
        }
        self.paid_until = Some(paid + Duration::from_secs_f64(reads as f64 / f64::from(limit.max(1))));
        Duration::ZERO
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cancel::Cancel;
    use std::thread::{sleep, spawn};

    /// Reads for so long by a clock that only waits move; answers how many there were.
    fn read_for(state: &mut State, each: u64, from: Instant, time: Duration) -> u64 {
        let (mut now, mut reads) = (from, 0);
        while now < from + time {
            match state.take(each, now) {
                Duration::ZERO => reads += each,
                wait => now += wait,
            }
        }
        reads
    }

    #[test]
    fn as_many_reads_are_done_as_the_limit_says_however_large_each_is() {
        let start = Instant::now();
        for (limit, each) in [(10, 1), (100, 1), (100, 8), (3000, 64)] {
            let mut state = State { reads_per_second: Some(limit), ..State::default() };
            let reads = read_for(&mut state, each, start, Duration::from_secs(60));
            let expected = u64::from(limit) * 60;
            assert!((expected..=expected + each + u64::from(limit) / 5).contains(&reads), "{limit}, {each}: {reads}");
        }
    }

    #[test]
    fn who_did_not_read_for_an_hour_does_not_read_an_hours_worth_at_once() {
        let start = Instant::now();
        let mut state = State { reads_per_second: Some(100), ..State::default() };
        assert_eq!(state.take(1, start), Duration::ZERO);
        let later = start + Duration::from_secs(3600);
        let at_once = (0..1000).take_while(|_| state.take(1, later).is_zero()).count();
        assert!((20..=22).contains(&at_once), "{at_once}");
    }

    #[test]
    fn a_changed_limit_counts_at_once_and_none_is_none() {
        let gate = ReadGate::default();
        let stop = Stop::new(Cancel::new());
        gate.limit(Some(1));
        gate.pass(1000, &stop).unwrap();
        let waiter = spawn({
            let (gate, stop) = (gate.clone(), stop.clone());
            move || gate.pass(1, &stop)
        });
        sleep(Duration::from_millis(50));
        assert!(!waiter.is_finished(), "a thousand seconds are paid for");
        gate.limit(None);
        waiter.join().unwrap().unwrap();
        (0..100_000).for_each(|_| gate.pass(u64::MAX, &stop).unwrap());
    }

    #[test]
    fn nobody_passes_a_closed_gate_until_it_is_opened_not_even_without_a_read() {
        let gate = ReadGate::default();
        let stop = Stop::new(Cancel::new());
        gate.close();
        let waiters: Vec<_> = (0..4)
            .map(|reads| {
                let (gate, stop) = (gate.clone(), stop.clone());
                spawn(move || gate.pass(reads, &stop))
            })
            .collect();
        sleep(Duration::from_millis(50));
        assert!(waiters.iter().all(|waiter| !waiter.is_finished()));
        gate.open();
        waiters.into_iter().for_each(|waiter| waiter.join().unwrap().unwrap());
    }

    #[test]
    fn all_who_wait_end_within_a_second_when_the_work_is_cancelled() {
        let gate = ReadGate::default();
        let cancel = Cancel::new();
        let stop = Stop::new(cancel.clone());
        gate.close();
        let waiters: Vec<_> = (0..16)
            .map(|_| {
                let (gate, stop) = (gate.clone(), stop.clone());
                spawn(move || gate.pass(1, &stop))
            })
            .collect();
        sleep(Duration::from_millis(50));
        let cancelled = Instant::now();
        cancel.cancel();
        waiters.into_iter().for_each(|waiter| drop(waiter.join().unwrap().unwrap_err()));
        assert!(cancelled.elapsed() < Duration::from_secs(1), "{:?}", cancelled.elapsed());
    }

    #[test]
    fn reads_are_counted_by_the_mebibyte_and_entries_by_the_block_of_inodes() {
        assert_eq!([0, 1, 1 << 20, (1 << 20) + 1, 8 << 20].map(reads_of), [0, 1, 1, 2, 8]);
        assert_eq!([0, 63, 64, 1000].map(reads_of_entries), [1, 1, 2, 16]);
    }
}
