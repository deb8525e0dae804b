//! What every ledger refuses to store, so that all of them refuse the same.
//!
//! A refusal leaves the transaction as it was: nothing of the call was done.

use super::{LedgerError, LedgerResult};

/// Why a call was refused.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    /// Databases count in signed 64-bit numbers.
    #[error("a number is over 2^63 - 1")]
    Number,
    /// Places of condemned copies are a set in its order.
    #[error("places do not ascend")]
    Places,
    /// A snapshot only reads.
    #[error("the transaction is a snapshot")]
    Snapshot,
    /// A row that must be there is not.
    #[error("no such row")]
    Absent,
    /// A row that must not be there is.
    #[error("such a row exists")]
    Exists,
}

impl Refusal {
    pub(super) fn to(self, doing: &'static str) -> LedgerError {
        LedgerError::Unavailable { doing, full: false, source: Box::new(self) }
    }
}

/// The number as databases hold it.
pub(super) fn integer(number: u64) -> LedgerResult<i64> {
    i64::try_from(number).map_err(|_| Refusal::Number.to("store a number"))
}

/// Fails if one of the numbers does not fit.
pub(super) fn integers<const N: usize>(numbers: [u64; N]) -> LedgerResult<()> {
    numbers.into_iter().try_for_each(|number| integer(number).map(drop))
}

/// Fails if the places are not strictly ascending.
pub(super) fn ascending(places: &[u32]) -> LedgerResult<()> {
    if places.is_sorted_by(|a, b| a < b) { Ok(()) } else { Err(Refusal::Places.to("store condemned copies")) }
}
