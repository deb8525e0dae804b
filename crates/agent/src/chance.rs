//! Randomness from the system: ids of jobs, and waits that differ.

use format::JobId;
use rustix::rand::{GetRandomFlags, getrandom};
use std::time::Duration;

fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    let mut filled = 0;
    while filled < N {
        filled += getrandom(&mut bytes[filled..], GetRandomFlags::empty())
            .expect("Linux answers every request for random numbers once it is up");
    }
    bytes
}

/// A new id.
pub(crate) fn job_id() -> JobId {
    JobId(bytes())
}

/// A wait from nothing up to this, evenly spread.
pub(crate) fn wait_up_to(most: Duration) -> Duration {
    most.mul_f64(f64::from(u32::from_le_bytes(bytes())) / f64::from(u32::MAX))
}
