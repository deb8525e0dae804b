//! The service's own certificate, replaced while it serves.

use super::authority::Authority;
use crate::error::ServiceError;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::fmt;
use std::sync::{Arc, RwLock};
use time::{Duration, OffsetDateTime};

/// A certificate is made anew once the wall clock is so far from when it was made, in either direction: well inside of what it
/// is valid for.
const AGE_MAX: Duration = Duration::days(1);

/// A certificate by the service's own authority, for its names.
pub(super) struct RenewedLeaf {
    authority: Authority,
    names: Vec<String>,
    current: RwLock<Leaf>,
}

struct Leaf {
    certified: Arc<CertifiedKey>,
    made: OffsetDateTime,
}

impl Leaf {
    fn make(authority: &Authority, names: &[String], now: OffsetDateTime) -> Result<Self, ServiceError> {
        Ok(Self { certified: Arc::new(authority.certify(names, now)?), made: now })
    }
}

impl RenewedLeaf {
    pub(super) fn new(authority: Authority, names: Vec<String>, now: OffsetDateTime) -> Result<Self, ServiceError> {
        let current = RwLock::new(Leaf::make(&authority, &names, now)?);
        Ok(Self { authority, names, current })
    }

    /// New connections get a new one from now on, if it is time for one by the wall clock.
    pub(super) fn look(&self, now: OffsetDateTime) -> Result<(), ServiceError> {
        let made = self.current.read().expect("no panic under this lock").made;
        if (now - made).abs() >= AGE_MAX {
            let next = Leaf::make(&self.authority, &self.names, now)?;
            *self.current.write().expect("no panic under this lock") = next;
        }
        Ok(())
    }

    fn certified(&self) -> Arc<CertifiedKey> {
        self.current.read().expect("no panic under this lock").certified.clone()
    }
}

impl ResolvesServerCert for RenewedLeaf {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.certified())
    }
}

impl fmt::Debug for RenewedLeaf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RenewedLeaf").field("names", &self.names).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::{Authority, RenewedLeaf};
    use std::sync::Arc;
    use time::{Duration, OffsetDateTime};

    #[test]
    fn a_certificate_is_made_anew_when_the_wall_clock_has_left_it_behind_or_was_ahead() {
        let directory = tempfile::tempdir().unwrap();
        let authority = Authority::open(directory.path()).unwrap();
        let start = OffsetDateTime::now_utc();
        let leaf = RenewedLeaf::new(authority, vec!["localhost".to_owned()], start).unwrap();
        let first = leaf.certified();
        leaf.look(start + Duration::hours(23)).unwrap();
        leaf.look(start - Duration::hours(23)).unwrap();
        assert!(Arc::ptr_eq(&first, &leaf.certified()));
        leaf.look(start + Duration::days(400)).unwrap();
        let ahead = leaf.certified();
        assert!(!Arc::ptr_eq(&first, &ahead));
        leaf.look(start).unwrap();
        assert!(!Arc::ptr_eq(&ahead, &leaf.certified()), "clients would find it not valid yet");
    }
}
