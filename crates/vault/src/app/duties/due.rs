//! When each duty is due in each domain.
//!
//! Time is the vault's clock, which goes on over restarts and believes no jump; and beside it the time that this process has run, so
//! that a wall clock that is behind stops no duty.

use crate::config::Duties;
use crate::db::Database;
use crate::error::ServiceError;
use crate::time::Time;
use api::{Work, WorkKind};
use format::DomainId;
use policy::Timestamp;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
/// Duties in the order in which they are done where several are due.
const KINDS: [WorkKind; 3] = [WorkKind::Retention, WorkKind::Collection, WorkKind::Scrub];

/// What is due.
pub(crate) struct Due {
    database: Database,
    time: Arc<dyn Time>,
    duties: Duties,
    standing: Mutex<Standing>,
}

#[derive(Default)]
struct Standing {
    begun: HashMap<(DomainId, WorkKind), Begun>,
    /// Domains in which something was purged since their last collection.
    collect_soon: HashSet<DomainId>,
}

#[derive(Clone, Copy)]
struct Begun {
    /// By the vault's clock.
    at_ms: i64,
    /// How long this process had run.
    running: Duration,
}

impl Due {
    pub(crate) async fn load(database: Database, time: Arc<dyn Time>, duties: Duties) -> Result<Self, ServiceError> {
        let running = time.running();
        let rows = database.duties().await?.into_iter();
        let begun = rows.map(|(domain, kind, at_ms)| ((domain, kind), Begun { at_ms, running })).collect();
        let standing = Mutex::new(Standing { begun, collect_soon: HashSet::new() });
        Ok(Self { database, time, duties, standing })
    }

    /// The next duty that is due in one of these domains, which counts as begun from now on.
    pub(crate) async fn next(&self, domains: &[DomainId], now: Timestamp) -> Result<Option<(DomainId, Work)>, ServiceError> {
        self.begin_new(domains, now).await?;
        for kind in KINDS {
            let mut due: Vec<DomainId> = domains.iter().copied().filter(|domain| self.is_due(*domain, kind, now)).collect();
            if kind == WorkKind::Retention && !due.is_empty() {
                // Where nothing is protected nothing expires.
                let protected: HashSet<DomainId> = self.database.protected_domains().await?.into_iter().collect();
                due.retain(|domain| protected.contains(domain));
            }
            let Some(domain) = due.into_iter().next() else { continue };
            self.database.put_duty(domain, kind, now.as_millisecond()).await?;
            self.begin(domain, kind, now);
            return Ok(Some((domain, self.work(kind))));
        }
        Ok(None)
    }

    /// Something was purged: its room is freed as soon as there is time.
    pub(crate) fn collect_soon(&self, domain: DomainId) {
        if self.duties.collection_hours > 0 {
            self.standing().collect_soon.insert(domain);
        }
    }

    /// In a domain that is new there is nothing to collect or scrub yet: that is due from now on.
    async fn begin_new(&self, domains: &[DomainId], now: Timestamp) -> Result<(), ServiceError> {
        for kind in [WorkKind::Collection, WorkKind::Scrub] {
            let is_new = |domain: &&DomainId| !self.standing().begun.contains_key(&(**domain, kind));
            let new: Vec<DomainId> = domains.iter().filter(is_new).copied().collect();
            for domain in new {
                self.database.put_duty(domain, kind, now.as_millisecond()).await?;
                self.begin(domain, kind, now);
            }
        }
        Ok(())
    }

    fn begin(&self, domain: DomainId, kind: WorkKind, now: Timestamp) {
        let begun = Begun { at_ms: now.as_millisecond(), running: self.time.running() };
        let mut standing = self.standing();
        standing.begun.insert((domain, kind), begun);
        if kind == WorkKind::Collection {
            standing.collect_soon.remove(&domain);
        }
    }

    fn is_due(&self, domain: DomainId, kind: WorkKind, now: Timestamp) -> bool {
        let Some(every) = self.every(kind) else { return false };
        let standing = self.standing();
        if kind == WorkKind::Collection && standing.collect_soon.contains(&domain) {
            return true;
        }
        let Some(begun) = standing.begun.get(&(domain, kind)) else { return true };
        let since_ms = u64::try_from(now.as_millisecond().saturating_sub(begun.at_ms)).unwrap_or(0);
        Duration::from_millis(since_ms) >= every || self.time.running().saturating_sub(begun.running) >= every
    }

    /// None: only when it is asked for.
    fn every(&self, kind: WorkKind) -> Option<Duration> {
        let every = match kind {
            WorkKind::Retention => MINUTE * self.duties.retention_minutes,
            WorkKind::Collection => HOUR * self.duties.collection_hours,
            WorkKind::Scrub => HOUR * self.duties.scrub_hours,
            WorkKind::Backup | WorkKind::Restore => Duration::ZERO,
        };
        (!every.is_zero()).then_some(every)
    }

    fn work(&self, kind: WorkKind) -> Work {
        match kind {
            WorkKind::Collection => Work::Collection,
            WorkKind::Scrub => Work::Scrub { read_data: self.duties.scrub_read_data },
            _ => Work::Retention,
        }
    }

    fn standing(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().expect("no panic under this lock")
    }
}
