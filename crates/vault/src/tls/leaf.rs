//! The service's own certificate, replaced while it serves.

use super::authority::Authority;
use crate::error::ServiceError;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::fmt;
use std::sync::{Arc, RwLock};

/// A certificate by the service's own authority, for its names.
pub(super) struct RenewedLeaf {
    authority: Authority,
    names: Vec<String>,
    current: RwLock<Arc<CertifiedKey>>,
}

impl RenewedLeaf {
    pub(super) fn new(authority: Authority, names: Vec<String>) -> Result<Self, ServiceError> {
        let current = RwLock::new(Arc::new(authority.certify(&names)?));
        Ok(Self { authority, names, current })
    }

    /// New connections get a new one from now on.
    pub(super) fn renew(&self) -> Result<(), ServiceError> {
        let next = Arc::new(self.authority.certify(&self.names)?);
        *self.current.write().expect("no panic under this lock") = next;
        Ok(())
    }
}

impl ResolvesServerCert for RenewedLeaf {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.read().expect("no panic under this lock").clone())
    }
}

impl fmt::Debug for RenewedLeaf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RenewedLeaf").field("names", &self.names).finish_non_exhaustive()
    }
}
