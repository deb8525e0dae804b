//! Spreading: the same item always starts equally late after a slot, other items otherwise.

use format::{DomainId, ItemName};

const CONTEXT_ITEM: &str = "holdfast 2026 v1 item seed of schedules";
const CONTEXT_OFFSET: &str = "holdfast 2026 v1 spread of starts";

/// What the spreading of an item's starts is derived from: its domain and name. Nothing secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ItemSeed([u8; 32]);

impl ItemSeed {
    /// The seed of an item.
    #[must_use]
    pub fn of(domain: DomainId, item: &ItemName) -> Self {
        // The domain has a fixed length: no two pairs run together alike.
        Self(blake3::derive_key(CONTEXT_ITEM, &[domain.as_bytes().as_slice(), item.as_str().as_bytes()].concat()))
    }

    /// A number of milliseconds from 0 to below `bound_ms`, evenly spread over seeds, instants and attempts; 0 if the bound is.
    pub(crate) fn offset_ms(&self, instant_ms: i64, attempt: u32, bound_ms: i64) -> i64 {
        let bytes = [self.0.as_slice(), &instant_ms.to_le_bytes(), &attempt.to_le_bytes()].concat();
        let hash = blake3::derive_key(CONTEXT_OFFSET, &bytes);
        let number = hash.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        let bound = u64::try_from(bound_ms).unwrap_or(0).max(1);
        // Below the bound, which is an i64.
        (number % bound) as i64
    }
}
