//! Progress of long work in a vault.

use std::sync::Arc;

/// How far a check or a collection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// What is being done, for people.
    pub phase: &'static str,
    /// Packs, pages or objects done.
    pub done: u64,
    /// How many there are, where that is known.
    pub total: Option<u64>,
    /// Bytes read or written in this phase.
    pub bytes: u64,
}

/// Told about progress now and then; must be quick.
pub type ProgressSink = Arc<dyn Fn(Progress) + Send + Sync>;
