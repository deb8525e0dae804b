//! Limits that are small in this crate's own tests, so that the simulation is always beyond one.

/// The first number in tests of this crate, otherwise the second.
pub(crate) const fn in_tests(small: usize, real: usize) -> usize {
    if cfg!(test) { small } else { real }
}
