//! Threads that make files take turns where the kernel has much to do for each.
//!
//! Making a file is a search for a free inode, and threads that search at once take each other's cache lines: on ext4 without a journal,
//! where a search passes every inode that was deleted within the last minutes, two threads need more than twice the processor time of one.
//! Where making a file is little work, or waits for a disk or a server, files are made at once. Directories are few, and whoever makes
//! them has to be ahead of all others: they wait for nobody.

use super::effort::Effort;
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

/// Files are made in turns where one takes so much processor time, or more: a search is several times that, none a half or less.
const WORK_NS_MIN: u64 = 25_000;
/// A turn is waited for awake for so long: it takes about as long as waking a thread up does, which would come on top of every one.
const AWAKE: Duration = Duration::from_micros(200);

/// Takes turns, or not.
#[derive(Debug, Default)]
pub(super) struct Turns {
    turn: Mutex<()>,
    /// Of making a file.
    effort: Effort,
}

impl Turns {
    /// Makes a file.
    pub(super) fn take<T>(&self, make: impl FnOnce() -> T) -> T {
        // What waits for a disk or a server is in nobody's way.
        let _turn = self.takes_turns().then(|| self.wait());
        self.effort.of(make)
    }

    fn wait(&self) -> MutexGuard<'_, ()> {
        let begun = Instant::now();
        while begun.elapsed() < AWAKE {
            match self.turn.try_lock() {
                Ok(turn) => return turn,
                Err(TryLockError::Poisoned(poisoned)) => return poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => (0..32).for_each(|_| std::hint::spin_loop()),
            }
        }
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn takes_turns(&self) -> bool {
        self.effort.is_much(WORK_NS_MIN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;
    use std::time::Duration;

    #[test]
    fn files_are_made_in_turns_while_each_is_much_work_and_otherwise_at_once() {
        let turns = Turns::default();
        for _ in 0..200 {
            turns.effort.note(100_000, 1_000_000);
        }
        assert!(!turns.takes_turns(), "most of it is a server's answer");
        for _ in 0..200 {
            turns.effort.note(100_000, 120_000);
        }
        assert!(turns.takes_turns());
        for _ in 0..200 {
            turns.take(|| std::thread::sleep(Duration::from_micros(100)));
        }
        assert!(!turns.takes_turns(), "what waits is no work");
        // Both are being made at once, or neither would end.
        let both = Barrier::new(2);
        std::thread::scope(|scope| {
            scope.spawn(|| turns.take(|| both.wait()));
            turns.take(|| both.wait());
        });
    }
}
