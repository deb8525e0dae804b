//! Memory that bodies of packs may take together.

use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A number of bytes that are lent and come back.
pub(crate) struct Budget {
    kib: Arc<Semaphore>,
    kib_max: u32,
}

/// Bytes that were lent; they go back when this is dropped.
pub(crate) struct Lent {
    _permit: OwnedSemaphorePermit,
}

impl Budget {
    pub(crate) fn new(mib: u32) -> Self {
        let kib_max = mib.saturating_mul(1024);
        Self { kib: Arc::new(Semaphore::new(kib_max as usize)), kib_max }
    }

    /// Waits until so many bytes are free. More than all is all.
    pub(crate) async fn lend(&self, bytes: u64) -> Lent {
        let kib = u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX).min(self.kib_max);
        let permit = self.kib.clone().acquire_many_owned(kib).await.expect("the semaphore is never closed");
        Lent { _permit: permit }
    }

    /// Bytes that are lent now.
    pub(crate) fn lent_bytes(&self) -> u64 {
        (self.kib_max as usize - self.kib.available_permits()) as u64 * 1024
    }
}

#[cfg(test)]
mod tests {
    use super::Budget;
    use std::time::Duration;

    #[tokio::test]
    async fn who_asks_for_more_than_is_free_waits_until_it_comes_back() {
        let budget = Budget::new(1);
        let most = budget.lend(1000 << 10).await;
        assert_eq!(budget.lent_bytes(), 1000 << 10);
        let waiting = budget.lend(100 << 10);
        assert!(tokio::time::timeout(Duration::from_millis(50), waiting).await.is_err());
        drop(most);
        let _all = budget.lend(u64::MAX).await;
        assert_eq!(budget.lent_bytes(), 1 << 20);
    }
}
