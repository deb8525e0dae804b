//! What requests share: memory for large bodies and answers, their number, and that of connections. Nobody has more than a share of it,
//! so that one agent, or one slow line, does not stop the others.

use api::Scope;
use format::DomainId;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Nobody waits longer for memory for a pack; our client comes again.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// Nor for memory for what has to be answered sooner.
pub(crate) const SHORT_PATIENCE: Duration = Duration::from_secs(20);
/// What a request reads or answers within this many bytes is in memory that is lent to nobody: their number is limited.
pub(crate) const FREE_BYTES: u64 = 64 << 10;
/// Most requests of one holder that wait: each may have a part of its body in memory that is not lent.
const WAITING_MAX: usize = 16;
/// Most requests that wait in all.
const WAITING_ALL_MAX: usize = 128;

/// To whom something is lent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Holder {
    /// Administrators together.
    Administrators,
    /// Agents of a domain together.
    Agents(DomainId),
}

impl From<Scope> for Holder {
    fn from(scope: Scope) -> Self {
        match scope {
            Scope::Administrator => Self::Administrators,
            Scope::Agent { domain, .. } => Self::Agents(domain),
        }
    }
}

/// A number of units that are lent and come back.
pub(crate) struct Budget {
    all: Arc<Semaphore>,
    waiting: Semaphore,
    units_max: u32,
    share_max: u32,
    shares: Mutex<HashMap<Holder, Arc<Share>>>,
}

struct Share {
    free: Arc<Semaphore>,
    waiting: Semaphore,
}

/// Units that were lent; they go back when this is dropped.
pub(crate) struct Lent {
    of_all: OwnedSemaphorePermit,
    of_share: OwnedSemaphorePermit,
}

impl Lent {
    /// How many they are.
    pub(crate) fn units(&self) -> u64 {
        self.of_all.num_permits() as u64
    }

    /// Gives back all but so many.
    pub(crate) fn keep(&mut self, units: u64) {
        let more = self.units().saturating_sub(units) as usize;
        drop((self.of_all.split(more), self.of_share.split(more)));
    }
}

impl Budget {
    /// So many units. A holder has half of them at most, and `share_min` at least.
    pub(crate) fn new(units: u32, share_min: u32) -> Self {
        let semaphore = |units: u32| Semaphore::new((units as usize).min(Semaphore::MAX_PERMITS));
        let share_max = (units / 2).max(share_min).min(units);
        let (all, waiting) = (Arc::new(semaphore(units)), Semaphore::new(WAITING_ALL_MAX));
        Self { all, waiting, units_max: units, share_max, shares: Mutex::default() }
    }

    /// Lends units if they are free; one that asks for more than its share gets that.
    pub(crate) fn lend_now(&self, holder: Holder, units: u64) -> Option<Lent> {
        let (share, units) = (self.share(holder), self.bounded(units));
        let of_share = share.free.clone().try_acquire_many_owned(units).ok()?;
        let of_all = self.all.clone().try_acquire_many_owned(units).ok()?;
        Some(Lent { of_all, of_share })
    }

    /// Lends units as soon as they are free; none if that takes too long, or too many wait.
    pub(crate) async fn lend(&self, holder: Holder, units: u64, patience: Duration) -> Option<Lent> {
        if let Some(lent) = self.lend_now(holder, units) {
            return Some(lent);
        }
        let (share, units) = (self.share(holder), self.bounded(units));
        let _waiting = share.waiting.try_acquire().ok()?;
        let _waiting_in_all = self.waiting.try_acquire().ok()?;
        let both = async {
            let of_share = share.free.clone().acquire_many_owned(units).await.ok()?;
            let of_all = self.all.clone().acquire_many_owned(units).await.ok()?;
            Some(Lent { of_all, of_share })
        };
        tokio::time::timeout(patience, both).await.ok().flatten()
    }

    /// Units that are lent now.
    pub(crate) fn lent(&self) -> u64 {
        u64::from(self.units_max) - self.all.available_permits() as u64
    }

    fn bounded(&self, units: u64) -> u32 {
        u32::try_from(units).unwrap_or(u32::MAX).min(self.share_max)
    }

    fn share(&self, holder: Holder) -> Arc<Share> {
        let mut shares = self.shares.lock().expect("no panic under this lock");
        let share =
            || Arc::new(Share { free: Arc::new(Semaphore::new(self.share_max as usize)), waiting: Semaphore::new(WAITING_MAX) });
        shares.entry(holder).or_insert_with(share).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::{Budget, Holder, WAITING_MAX};
    use format::DomainId;
    use std::time::Duration;

    const ONE: Holder = Holder::Agents(DomainId([1; 16]));
    const OTHER: Holder = Holder::Agents(DomainId([2; 16]));
    const SHORT: Duration = Duration::from_millis(50);

    #[tokio::test]
    async fn who_asks_for_more_than_is_free_waits_until_it_comes_back_or_it_takes_too_long() {
        let budget = Budget::new(100, 0);
        let lent = budget.lend_now(ONE, 40).unwrap();
        assert_eq!(budget.lent(), 40);
        assert!(budget.lend(ONE, 20, SHORT).await.is_none());
        let waiting = budget.lend(ONE, 20, Duration::from_secs(60));
        let (got, ()) = tokio::join!(waiting, async { drop(lent) });
        assert!(got.is_some());
        assert_eq!(budget.lent(), 20);
    }

    #[tokio::test]
    async fn what_was_lent_and_is_not_needed_comes_back_before_the_rest() {
        let budget = Budget::new(100, 0);
        let mut lent = budget.lend_now(ONE, 40).unwrap();
        lent.keep(15);
        assert_eq!((lent.units(), budget.lent()), (15, 15));
        lent.keep(20);
        assert_eq!(budget.lent(), 15);
        drop(lent);
        assert!(budget.lend_now(ONE, 50).is_some());
    }

    #[tokio::test]
    async fn nobody_has_more_than_half_whatever_they_ask_for() {
        let budget = Budget::new(100, 0);
        let all = budget.lend_now(ONE, u64::MAX).unwrap();
        assert_eq!(budget.lent(), 50);
        assert!(budget.lend_now(ONE, 1).is_none());
        let other = budget.lend_now(OTHER, 50).unwrap();
        assert!(budget.lend_now(Holder::Administrators, 1).is_none(), "there is no more");
        drop((all, other));
        assert_eq!(budget.lent(), 0);
        assert_eq!(Budget::new(100, 64).share_max, 64, "a pack can always be sent");
    }

    #[tokio::test]
    async fn of_one_holder_only_so_many_wait() {
        let budget = Budget::new(2, 0);
        let _lent = budget.lend_now(ONE, 1).unwrap();
        let waiting = (0..WAITING_MAX).map(|_| Box::pin(budget.lend(ONE, 1, Duration::from_secs(60))));
        let mut waiting: Vec<_> = waiting.collect();
        for one in &mut waiting {
            assert!(tokio::time::timeout(Duration::ZERO, one).await.is_err());
        }
        assert!(tokio::time::timeout(SHORT, budget.lend(ONE, 1, Duration::from_secs(60))).await.unwrap().is_none());
        assert!(budget.lend(OTHER, 1, SHORT).await.is_some());
    }
}
