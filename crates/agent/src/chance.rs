//! Randomness from the system: ids of jobs, and waits that differ.

use format::JobId;
use std::time::Duration;

/// A new id.
pub(crate) fn job_id() -> JobId {
    JobId(system::random())
}

/// A wait from nothing up to this, evenly spread.
pub(crate) fn wait_up_to(most: Duration) -> Duration {
    most.mul_f64(f64::from(u32::from_le_bytes(system::random())) / f64::from(u32::MAX))
}
