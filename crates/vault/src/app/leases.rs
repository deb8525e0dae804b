//! Leases: a session over HTTP is alive as long as its lease is renewed.
//!
//! Time is the process's monotonic clock: no jump of the system's clock ends a session or keeps one. Leases are in memory
//! only; after a restart every session that the ledger has as open gets one full lease, within its greatest age, which counts
//! from its opening. A session that was found to be over stays so, and one that nobody knows is over. What the service does
//! itself (a collection) has no lease: it lasts as long as its work.

use format::SessionId;
use repository::Liveness;
use std::collections::HashMap;
use std::io;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// How long sessions live.
#[derive(Debug, Clone, Copy)]
pub struct LeaseTimes {
    /// From one renewal to the next.
    pub lease: Duration,
    /// In all.
    pub age_max: Duration,
}

/// The leases of all sessions, of all domains.
pub struct Leases {
    times: LeaseTimes,
    sessions: Mutex<HashMap<SessionId, Lease>>,
}

struct Lease {
    until: Instant,
    end: Instant,
    over: bool,
    /// It has no end but its release.
    lasts: bool,
}

impl Lease {
    /// Of a session of this age.
    fn new(times: LeaseTimes, age: Duration) -> Self {
        let now = Instant::now();
        Self { until: now + times.lease, end: now + times.age_max.saturating_sub(age), over: false, lasts: false }
    }

    fn is_alive(&mut self) -> bool {
        let now = Instant::now();
        self.over |= !self.lasts && (now >= self.until || now >= self.end);
        !self.over
    }
}

impl Leases {
    /// None yet.
    #[must_use]
    pub fn new(times: LeaseTimes) -> Self {
        Self { times, sessions: Mutex::default() }
    }

    /// From one renewal to the next.
    #[must_use]
    pub fn lease(&self) -> Duration {
        self.times.lease
    }

    /// Renews a lease that has not run out; whether it had not.
    #[must_use]
    pub fn renew(&self, session: SessionId) -> bool {
        let mut sessions = self.sessions();
        let alive = sessions.get_mut(&session).filter(|lease| !lease.over).is_some_and(Lease::is_alive);
        if alive && let Some(lease) = sessions.get_mut(&session) {
            lease.until = Instant::now() + self.times.lease;
        }
        alive
    }

    /// Leases that are held.
    #[must_use]
    pub fn count(&self) -> usize {
        self.sessions().len()
    }

    fn sessions(&self) -> MutexGuard<'_, HashMap<SessionId, Lease>> {
        self.sessions.lock().expect("no panic under this lock")
    }
}

impl Liveness for Leases {
    fn hold(&self, session: SessionId) -> io::Result<()> {
        self.sessions().insert(session, Lease::new(self.times, Duration::ZERO));
        Ok(())
    }

    fn hold_here(&self, session: SessionId) -> io::Result<()> {
        self.sessions().insert(session, Lease { lasts: true, ..Lease::new(self.times, Duration::ZERO) });
        Ok(())
    }

    fn adopt(&self, session: SessionId, age: Duration) {
        self.sessions().entry(session).or_insert_with(|| Lease::new(self.times, age));
    }

    fn release(&self, session: SessionId) {
        self.sessions().remove(&session);
    }

    fn is_alive(&self, session: SessionId) -> bool {
        self.sessions().get_mut(&session).is_some_and(Lease::is_alive)
    }
}

#[cfg(test)]
mod tests {
    use super::{LeaseTimes, Leases};
    use format::SessionId;
    use repository::Liveness;
    use std::thread::sleep;
    use std::time::Duration;

    const SESSION: SessionId = SessionId([1; 16]);

    fn leases(lease_ms: u64, age_ms: u64) -> Leases {
        Leases::new(LeaseTimes { lease: Duration::from_millis(lease_ms), age_max: Duration::from_millis(age_ms) })
    }

    #[test]
    fn a_session_lives_while_its_lease_is_renewed_and_no_longer() {
        let leases = leases(200, 60_000);
        leases.hold(SESSION).unwrap();
        for _ in 0..4 {
            sleep(Duration::from_millis(100));
            assert!(leases.renew(SESSION) && leases.is_alive(SESSION));
        }
        sleep(Duration::from_millis(250));
        assert!(!leases.is_alive(SESSION));
        assert!(!leases.renew(SESSION), "what is over stays over");
        leases.release(SESSION);
        assert_eq!(leases.count(), 0);
    }

    #[test]
    fn no_renewal_takes_a_session_beyond_its_greatest_age() {
        let leases = leases(60_000, 100);
        leases.hold(SESSION).unwrap();
        assert!(leases.renew(SESSION));
        sleep(Duration::from_millis(150));
        assert!(!leases.renew(SESSION) && !leases.is_alive(SESSION));
    }

    #[test]
    fn what_the_service_does_itself_lasts_beyond_every_lease_until_it_is_released() {
        let leases = leases(50, 100);
        leases.hold_here(SESSION).unwrap();
        sleep(Duration::from_millis(150));
        assert!(leases.is_alive(SESSION));
        leases.release(SESSION);
        assert_eq!(leases.count(), 0);
    }

    #[test]
    fn a_session_of_an_earlier_process_gets_one_full_lease() {
        let leases = leases(100, 60_000);
        assert!(!leases.renew(SESSION) && !leases.is_alive(SESSION), "nobody knows it yet");
        assert_eq!(leases.count(), 0, "and asking makes no lease");
        leases.adopt(SESSION, Duration::ZERO);
        assert!(leases.is_alive(SESSION) && leases.renew(SESSION));
        sleep(Duration::from_millis(150));
        leases.adopt(SESSION, Duration::ZERO);
        assert!(!leases.is_alive(SESSION) && !leases.renew(SESSION), "what is over stays over");
    }

    #[test]
    fn no_restart_takes_a_session_beyond_its_greatest_age() {
        let leases = leases(60_000, 60_000);
        leases.adopt(SESSION, Duration::from_millis(59_900));
        assert!(leases.renew(SESSION));
        sleep(Duration::from_millis(150));
        assert!(!leases.renew(SESSION));
        leases.adopt(SessionId([2; 16]), Duration::from_secs(3600));
        assert!(!leases.is_alive(SessionId([2; 16])));
    }
}
