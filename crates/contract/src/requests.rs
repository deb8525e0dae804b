//! Requests.

use format::{AgentKey, ItemName, PackName};
use std::collections::HashMap;

/// Opens a session to write a point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenSession {
    /// The item that will get a point.
    pub item: ItemName,
    /// The agent that will sign it.
    pub agent: AgentKey,
}

/// Which points to list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PointFilter {
    /// Only this item's.
    pub item: Option<ItemName>,
    /// Soft-deleted ones too.
    pub deleted: bool,
}

/// How to collect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CollectOptions {
    /// Rewrite a pack when at least this share of its bytes, in percent, is dead.
    pub repack_dead_percent: u8,
}

impl Default for CollectOptions {
    fn default() -> Self {
        Self { repack_dead_percent: 5 }
    }
}

/// What to check without keys.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CheckOptions {
    /// Read every pack whole and verify the checksum of every sealed blob; otherwise footers only.
    pub read_data: bool,
    /// How many different blobs of a pack the caller has read and opened just before. Where that is all of them, and nothing of the
    /// pack is known to be damaged, it is not read a second time: its footer is looked at.
    pub opened: HashMap<PackName, u32>,
}

impl CheckOptions {
    /// Most packs that are told to have been opened; what is behind them is read again.
    pub const OPENED_MAX: usize = 65_536;

    /// Footers only.
    #[must_use]
    pub fn footers() -> Self {
        Self::default()
    }

    /// Every pack is read whole.
    #[must_use]
    pub fn all_data() -> Self {
        Self { read_data: true, ..Self::default() }
    }
}
