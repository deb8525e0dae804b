//! What this machine trusts of the vault, and what it remembers of it: whoever runs an agent brings it.

use crate::trouble::Trouble;
use api::ServiceVault;
use async_trait::async_trait;
use format::descriptor::Descriptor;
use format::{DomainId, ItemName};
use std::sync::Arc;

/// What the vault shows now, as far as it is trusted.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Its descriptor, signed by the pinned owner and not older than one that was seen.
    pub descriptor: Arc<Descriptor>,
    /// What is remembered of the item.
    pub remembered: Option<engine::Remembered>,
    /// Something about the item that is no reason to stop, and has to stand on the job's record.
    pub warning: Option<String>,
}

/// Memory of a vault. Invariant of those who implement it: nothing unsigned is answered, and less than was seen before is a trouble.
#[async_trait]
pub trait Trust: Send + Sync {
    /// Looks at the vault.
    async fn look(&self, service: &ServiceVault) -> Result<Arc<Descriptor>, Trouble>;

    /// Looks at the vault and at an item that is about to get a point.
    async fn look_at(&self, service: &ServiceVault, domain: DomainId, item: &ItemName) -> Result<Seen, Trouble>;

    /// Place of the newest point of an item that was seen; 0 if none was.
    fn sequence(&self, domain: DomainId, item: &ItemName) -> u64;

    /// Keeps what was seen: a point that was made.
    fn remember(&self, domain: DomainId, seen: &engine::Remembered) -> Result<(), Trouble>;
}
