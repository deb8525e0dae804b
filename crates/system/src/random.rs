//! Random numbers of the system.

use rustix::rand::{GetRandomFlags, getrandom};

/// Fills a buffer with random bytes.
pub fn fill(mut buffer: &mut [u8]) {
    while !buffer.is_empty() {
        let filled = getrandom(&mut *buffer, GetRandomFlags::empty());
        let filled = filled.expect("Linux answers every request for random numbers once it is up");
        buffer = &mut buffer[filled..];
    }
}

/// Random bytes.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    fill(&mut bytes);
    bytes
}
