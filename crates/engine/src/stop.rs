//! The first error of any thread of a piece of work stops all the others.

use crate::cancel::Cancel;
use crate::error::{EngineError, Result};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::{self, Builder, JoinHandle};

/// Whether to stop, and why.
pub(crate) struct Stop {
    set: AtomicBool,
    first: Mutex<Option<EngineError>>,
    wake: OnceLock<Box<dyn Fn() + Send + Sync>>,
    cancel: Cancel,
}

impl Stop {
    pub(crate) fn new(cancel: Cancel) -> Arc<Self> {
        Arc::new(Self { set: AtomicBool::new(false), first: Mutex::default(), wake: OnceLock::new(), cancel })
    }

    /// What wakes those who wait, when there is an error. Set once, at the start.
    pub(crate) fn on_stop(&self, wake: impl Fn() + Send + Sync + 'static) {
        let _ = self.wake.set(Box::new(wake));
    }

    /// Stops everything. The first error is the one that counts: the others follow from it.
    pub(crate) fn fail(&self, error: EngineError) {
        self.first.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        self.set.store(true, Ordering::Release);
        if let Some(wake) = self.wake.get() {
            wake();
        }
    }

    /// Fails if there was an error or a wish to stop.
    pub(crate) fn check(&self) -> Result<()> {
        if self.cancel.is_cancelled() {
            self.fail(EngineError::Cancelled);
        }
        if self.set.load(Ordering::Acquire) { Err(EngineError::Cancelled) } else { Ok(()) }
    }

    /// The first error, once all threads are gone.
    pub(crate) fn outcome(&self) -> Result<()> {
        match self.first.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// Starts a thread whose error, or panic, stops everything.
    pub(crate) fn spawn(self: &Arc<Self>, name: &str, work: impl FnOnce() -> Result<()> + Send + 'static) -> JoinHandle<()> {
        struct Panics(Arc<Stop>);
        impl Drop for Panics {
            fn drop(&mut self) {
                if thread::panicking() {
                    self.0.fail(EngineError::Internal("a thread ended in a panic"));
                }
            }
        }
        let panics = Panics(self.clone());
        let body = move || {
            if let Err(error) = work() {
                panics.0.fail(error);
            }
        };
        system::spawn(Builder::new().name(name.to_owned()), body).expect("a thread can be started")
    }
}
