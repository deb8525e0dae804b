//! Listeners: streams that hear that something changed in a domain. What changed they look up: one change that overtakes another
//! does no harm, and nothing waits for a listener.
//!
//! Invariant: a listener that is dropped leaves nothing behind.

use format::DomainId;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::sync::watch;

/// All listeners.
pub(crate) struct Listeners {
    all_max: usize,
    domain_max: usize,
    standing: Mutex<Standing>,
}

#[derive(Default)]
struct Standing {
    count: usize,
    domains: HashMap<DomainId, Channel>,
}

struct Channel {
    count: usize,
    changes: watch::Sender<u64>,
}

/// One of them.
pub(crate) struct Listener {
    all: Arc<Listeners>,
    domain: DomainId,
    changes: watch::Receiver<u64>,
}

impl Listeners {
    /// So many in all, and so many of one domain.
    pub(crate) fn new(all_max: usize, domain_max: usize) -> Arc<Self> {
        Arc::new(Self { all_max, domain_max, standing: Mutex::default() })
    }

    /// One more, if there is room.
    pub(crate) fn listen(self: &Arc<Self>, domain: DomainId) -> Option<Listener> {
        let mut standing = self.standing();
        if standing.count >= self.all_max {
            return None;
        }
        let channel = || Channel { count: 0, changes: watch::Sender::new(0) };
        let channel = standing.domains.entry(domain).or_insert_with(channel);
        if channel.count >= self.domain_max {
            return None;
        }
        channel.count += 1;
        let changes = channel.changes.subscribe();
        standing.count += 1;
        Some(Listener { all: self.clone(), domain, changes })
    }

    /// Something changed in a domain.
    pub(crate) fn tell(&self, domain: DomainId) {
        if let Some(channel) = self.standing().domains.get(&domain) {
            channel.changes.send_modify(|change| *change = change.wrapping_add(1));
        }
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.standing().count
    }

    fn standing(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().expect("no panic under this lock")
    }
}

impl Listener {
    /// Waits for the next change since this was asked last.
    pub(crate) async fn changed(&mut self) {
        // Its channel is there as long as the listener is.
        let _ = self.changes.changed().await;
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let mut standing = self.all.standing();
        standing.count -= 1;
        let Some(channel) = standing.domains.get_mut(&self.domain) else { return };
        channel.count -= 1;
        if channel.count == 0 {
            standing.domains.remove(&self.domain);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Listeners;
    use format::DomainId;
    use std::time::Duration;

    const ONE: DomainId = DomainId([1; 16]);
    const OTHER: DomainId = DomainId([2; 16]);

    #[tokio::test]
    async fn a_listener_hears_of_its_own_domain_and_what_came_before_it_looked() {
        let listeners = Listeners::new(10, 10);
        let mut listener = listeners.listen(ONE).unwrap();
        listeners.tell(OTHER);
        assert!(tokio::time::timeout(Duration::from_millis(20), listener.changed()).await.is_err());
        listeners.tell(ONE);
        listeners.tell(ONE);
        tokio::time::timeout(Duration::from_secs(5), listener.changed()).await.unwrap();
        assert!(tokio::time::timeout(Duration::from_millis(20), listener.changed()).await.is_err(), "both were one");
    }

    #[test]
    fn there_are_so_many_and_one_that_is_gone_makes_room() {
        let listeners = Listeners::new(3, 2);
        let (first, _second) = (listeners.listen(ONE).unwrap(), listeners.listen(ONE).unwrap());
        assert!(listeners.listen(ONE).is_none(), "one domain does not have all");
        let _third = listeners.listen(OTHER).unwrap();
        assert!(listeners.listen(DomainId([3; 16])).is_none());
        drop(first);
        assert_eq!(listeners.count(), 2);
        listeners.listen(ONE).unwrap();
        assert_eq!(listeners.count(), 2);
    }
}
