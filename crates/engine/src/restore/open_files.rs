//! Files of several blobs stay open from the first of them to the last, which may stand in other packs: how many do is bounded.

use crate::error::Result;
use crate::stop::Stop;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Who waits looks this often whether it should stop.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Places for files that stay open.
pub(crate) struct OpenFiles {
    max: usize,
    taken: Mutex<usize>,
    changed: Condvar,
}

impl OpenFiles {
    pub(super) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self { max: max.max(1), taken: Mutex::new(0), changed: Condvar::new() })
    }

    /// A place, if there is one.
    pub(super) fn enter(self: &Arc<Self>) -> Option<OpenFile> {
        let mut taken = self.taken();
        if *taken >= self.max {
            return None;
        }
        *taken += 1;
        Some(OpenFile(self.clone()))
    }

    /// Waits until half of the places are free, so that those who fill them next are read together.
    pub(super) fn wait_for_half(&self, stop: &Stop) -> Result<()> {
        let mut taken = self.taken();
        while *taken > self.max / 2 {
            stop.check()?;
            taken = self.changed.wait_timeout(taken, LOOK_EVERY).unwrap_or_else(PoisonError::into_inner).0;
        }
        Ok(())
    }

    fn taken(&self) -> MutexGuard<'_, usize> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place that is taken; free when dropped.
pub(crate) struct OpenFile(Arc<OpenFiles>);

impl Drop for OpenFile {
    fn drop(&mut self) {
        *self.0.taken() -= 1;
        self.0.changed.notify_one();
    }
}
