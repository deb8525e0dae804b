//! How much work the kernel has with making an entry.

use crate::platform::thread_cpu_ns;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// The mean goes over about so many entries.
const ENTRIES: u64 = 32;
/// What takes so many times its processor time waits for a disk or a server.
const WAITS: u64 = 4;

/// Processor time and time of making an entry: moving means. Updates that get lost do no harm.
#[derive(Debug, Default)]
pub(super) struct Effort {
    work_ns: AtomicU64,
    time_ns: AtomicU64,
}

impl Effort {
    /// Makes an entry.
    pub(super) fn of<T>(&self, make: impl FnOnce() -> T) -> T {
        let (begun, worked) = (Instant::now(), thread_cpu_ns());
        let made = make();
        self.note(thread_cpu_ns().saturating_sub(worked), begun.elapsed().as_nanos() as u64);
        made
    }

    /// Whether an entry takes so much processor time, or more, and does not mostly wait.
    pub(super) fn is_much(&self, least_ns: u64) -> bool {
        let work_ns = self.work_ns.load(Ordering::Relaxed);
        work_ns >= least_ns && self.time_ns.load(Ordering::Relaxed) < work_ns.saturating_mul(WAITS)
    }

    /// Begins anew, as if an entry took no time at all.
    pub(super) fn forget(&self) {
        self.work_ns.store(0, Ordering::Relaxed);
        self.time_ns.store(0, Ordering::Relaxed);
    }

    pub(super) fn note(&self, worked_ns: u64, took_ns: u64) {
        for (mean, value) in [(&self.work_ns, worked_ns), (&self.time_ns, took_ns)] {
            let before = mean.load(Ordering::Relaxed);
            mean.store(before - before / ENTRIES + value / ENTRIES, Ordering::Relaxed);
        }
    }
}
