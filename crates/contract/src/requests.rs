//! Requests.

use format::{AgentKey, ItemName};

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
}
