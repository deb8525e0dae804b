//! When each duty is due in each domain.
//!
//! Time is the vault's clock, which goes on over restarts and believes no jump; and beside it the time that this process has run, so
//! that a wall clock that is behind stops no duty.

use crate::config::Duties;
use crate::db::Database;
use crate::error::{Kind, ServiceError};
use crate::time::Time;
use api::{Work, WorkKind};
use format::DomainId;
use policy::Timestamp;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
/// A duty that failed or was interrupted is done again after so long, or when it is due anyway.
const RETRY: Duration = HOUR;
/// Duties in the order in which they are done where several have waited equally long.
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
    /// When each was begun last. One that is not done counts as begun so long ago that it is due again after `RETRY`.
    begun: HashMap<(DomainId, WorkKind), Begun>,
    /// The one that was given out last, and when that was.
    given: Option<(DomainId, WorkKind, Begun)>,
    /// Domains in which something was purged since their last collection.
    collect_soon: HashSet<DomainId>,
}

#[derive(Clone, Copy)]
struct Begun {
    /// By the vault's clock.
    at_ms: i64,
    /// How long this process had run, in milliseconds; perhaps before it began.
    running_ms: i64,
}

impl Begun {
    fn earlier(self, by: Duration) -> Self {
        let by_ms = milliseconds(by);
        Self { at_ms: self.at_ms.saturating_sub(by_ms), running_ms: self.running_ms.saturating_sub(by_ms) }
    }
}

impl Due {
    pub(crate) async fn load(database: Database, time: Arc<dyn Time>, duties: Duties) -> Result<Self, ServiceError> {
        let running_ms = milliseconds(time.running());
        let rows = database.duties().await?.into_iter();
        let begun = rows.map(|(domain, kind, at_ms)| ((domain, kind), Begun { at_ms, running_ms })).collect();
        let standing = Mutex::new(Standing { begun, ..Standing::default() });
        Ok(Self { database, time, duties, standing })
    }

    /// The next duty that is due in one of these domains: of each kind the one that was begun longest ago, of those the one that has
    /// waited longest for how often it is done, so that no domain and no kind waits for ever. Of the kinds that may be begun now.
    pub(crate) async fn next(
        &self,
        domains: &[DomainId],
        now: Timestamp,
        may_begin: impl Fn(WorkKind) -> bool,
    ) -> Result<Option<(DomainId, Work)>, ServiceError> {
        match self.begin_new(domains, now).await {
            // That does not make room: it is done once there is some.
            Err(error) if error.kind() == Kind::Full => tracing::debug!(%error, "duties of new domains are not stored yet"),
            begun => begun?,
        }
        let mut next: Option<(DomainId, WorkKind, u128)> = None;
        for kind in KINDS.into_iter().filter(|kind| may_begin(*kind)) {
            let waits = |domain: &DomainId| self.waits(*domain, kind, now).map(|waits| (*domain, waits));
            // One that could not be begun is not due yet.
            let is_begun =
                |domain: &&DomainId| kind == WorkKind::Retention || self.standing().begun.contains_key(&(**domain, kind));
            let mut due: Vec<(DomainId, u128)> = domains.iter().filter(is_begun).filter_map(waits).collect();
            if kind == WorkKind::Retention && !due.is_empty() {
                // Where nothing is protected nothing expires.
                let protected: HashSet<DomainId> = self.database.protected_domains().await?.into_iter().collect();
                due.retain(|(domain, _)| protected.contains(domain));
            }
            for (domain, waits) in due {
                if next.is_none_or(|(_, _, longest)| waits > longest) {
                    next = Some((domain, kind, waits));
                }
            }
        }
        Ok(next.map(|(domain, kind, _)| (domain, self.work(kind))))
    }

    /// A duty is begun. It is due again soon unless `done` follows, also in another process.
    pub(crate) async fn begin(&self, domain: DomainId, kind: WorkKind, now: Timestamp) -> Result<(), ServiceError> {
        let (given, again) = (self.begun(now), self.again(kind, now));
        self.database.put_duty(domain, kind, again.at_ms).await?;
        let mut standing = self.standing();
        standing.begun.insert((domain, kind), again);
        standing.given = Some((domain, kind, given));
        if kind == WorkKind::Collection {
            standing.collect_soon.remove(&domain);
        }
        Ok(())
    }

    /// A duty cannot be begun: it is due again soon, and others come first.
    pub(crate) fn put_off(&self, domain: DomainId, kind: WorkKind, now: Timestamp) {
        let again = self.again(kind, now);
        self.standing().begun.insert((domain, kind), again);
    }

    fn again(&self, kind: WorkKind, now: Timestamp) -> Begun {
        self.begun(now).earlier(self.every(kind).unwrap_or_default().saturating_sub(RETRY))
    }

    /// The duty that was given out last is done: its next time is counted from when it was begun.
    pub(crate) async fn done(&self) -> Result<(), ServiceError> {
        let Some((domain, kind, begun)) = self.standing().given.take() else { return Ok(()) };
        self.standing().begun.insert((domain, kind), begun);
        self.database.put_duty(domain, kind, begun.at_ms).await
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
                self.standing().begun.insert((domain, kind), self.begun(now));
            }
        }
        Ok(())
    }

    fn begun(&self, now: Timestamp) -> Begun {
        Begun { at_ms: now.as_millisecond(), running_ms: milliseconds(self.time.running()) }
    }

    /// How long ago it was begun, for how often it is done, in thousandths; none if it is not due.
    fn waits(&self, domain: DomainId, kind: WorkKind, now: Timestamp) -> Option<u128> {
        let every_ms = u128::from(u64::try_from(milliseconds(self.every(kind)?)).unwrap_or(1).max(1));
        let standing = self.standing();
        let now = self.begun(now);
        let since_ms = standing
            .begun
            .get(&(domain, kind))
            .map_or(i64::MAX, |begun| now.at_ms.saturating_sub(begun.at_ms).max(now.running_ms.saturating_sub(begun.running_ms)));
        let since_ms = u128::from(u64::try_from(since_ms).unwrap_or(0));
        let is_soon = kind == WorkKind::Collection && standing.collect_soon.contains(&domain);
        let waits = if is_soon { since_ms.max(every_ms) } else { since_ms };
        (waits >= every_ms).then(|| waits * 1000 / every_ms)
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

fn milliseconds(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::{Due, HOUR};
    use crate::config::Duties;
    use crate::db::Database;
    use crate::time::Time;
    use api::{Work, WorkKind};
    use format::DomainId;
    use policy::Timestamp;
    use std::sync::Arc;
    use std::time::Duration;

    const ONE: DomainId = DomainId([1; 16]);
    const OTHER: DomainId = DomainId([2; 16]);

    /// No time passes in the process: the vault's clock alone tells.
    struct Still;

    impl Time for Still {
        fn wall_ms(&self) -> i64 {
            0
        }

        fn running(&self) -> Duration {
            Duration::from_secs(1)
        }
    }

    async fn due(directory: &tempfile::TempDir) -> Due {
        let database = Database::open(&directory.path().join("service.db")).await.unwrap();
        let duties = Duties { retention_minutes: 0, collection_hours: 24, scrub_hours: 168, scrub_read_data: true };
        Due::load(database, Arc::new(Still), duties).await.unwrap()
    }

    fn hour(hour: u32) -> Timestamp {
        Timestamp::UNIX_EPOCH + HOUR * hour
    }

    async fn next(due: &Due, at: u32) -> Option<(DomainId, WorkKind)> {
        let next = due.next(&[ONE, OTHER], hour(at), |_| true).await.unwrap();
        let next = next.map(|(domain, work): (_, Work)| (domain, work.kind()));
        if let Some((domain, kind)) = next {
            due.begin(domain, kind, hour(at)).await.unwrap();
        }
        next
    }

    #[tokio::test]
    async fn no_domain_and_no_kind_waits_for_ever() {
        let directory = tempfile::tempdir().unwrap();
        let due = due(&directory).await;
        assert_eq!(next(&due, 0).await, None, "there is nothing yet");
        let mut done = Vec::new();
        // What is due is always more than there is time for.
        for round in 1..40 {
            due.collect_soon(ONE);
            done.push(next(&due, round * 24).await.unwrap());
            due.done().await.unwrap();
        }
        for what in [(ONE, WorkKind::Collection), (OTHER, WorkKind::Collection), (ONE, WorkKind::Scrub), (OTHER, WorkKind::Scrub)]
        {
            assert!(done.iter().filter(|done| **done == what).count() >= 2, "{what:?} of {done:?}");
        }
    }

    #[tokio::test]
    async fn what_may_not_be_begun_or_is_put_off_lets_others_go_first() {
        let directory = tempfile::tempdir().unwrap();
        let due = due(&directory).await;
        assert_eq!(next(&due, 0).await, None, "there is nothing yet");
        let at = async |hours, may_begin: fn(WorkKind) -> bool| {
            let next = due.next(&[ONE, OTHER], hour(hours), may_begin).await.unwrap();
            next.map(|(domain, work)| (domain, work.kind()))
        };
        let no_scrub = |kind| kind != WorkKind::Scrub;
        assert_eq!(at(200, |kind| kind == WorkKind::Scrub).await, Some((ONE, WorkKind::Scrub)));
        assert_eq!(at(200, no_scrub).await, Some((ONE, WorkKind::Collection)));
        assert_eq!(at(200, no_scrub).await, Some((ONE, WorkKind::Collection)), "who looks begins nothing");
        due.put_off(ONE, WorkKind::Collection, hour(200));
        assert_eq!(at(200, no_scrub).await, Some((OTHER, WorkKind::Collection)));
        due.put_off(OTHER, WorkKind::Collection, hour(200));
        assert_eq!(at(200, no_scrub).await, None);
        assert_eq!(at(201, no_scrub).await, Some((ONE, WorkKind::Collection)), "an hour later");
    }

    #[tokio::test]
    async fn what_was_not_done_is_due_again_after_an_hour_in_another_process_too() {
        let directory = tempfile::tempdir().unwrap();
        let first = due(&directory).await;
        assert_eq!(next(&first, 0).await, None);
        assert_eq!(next(&first, 24).await, Some((ONE, WorkKind::Collection)));
        first.done().await.unwrap();
        assert_eq!(next(&first, 24).await, Some((OTHER, WorkKind::Collection)));
        assert_eq!(next(&first, 24).await, None, "not at once");
        assert_eq!(next(&first, 25).await, Some((OTHER, WorkKind::Collection)), "it failed");
        first.database.close().await;
        let second = due(&directory).await;
        assert_eq!(next(&second, 25).await, None);
        assert_eq!(next(&second, 26).await, Some((OTHER, WorkKind::Collection)), "it was interrupted");
        second.done().await.unwrap();
        assert_eq!(next(&second, 47).await, None);
        assert_eq!(next(&second, 48).await, Some((ONE, WorkKind::Collection)));
    }
}
