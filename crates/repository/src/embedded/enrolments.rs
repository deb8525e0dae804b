//! Domains that were enrolled where their machines are: one object each, in two copies, never replaced.

use crate::fault::Fault;
use bytes::Bytes;
use contract::{Error, ErrorKind, Result};
use format::descriptor::Descriptor;
use format::enrolment::Enrolment;
use format::{DomainId, names};
use std::sync::Arc;
use storage::{ObjectName, ObjectStore};

/// Objects listed at once.
const PAGE: usize = 1000;

/// Enrolments in storage.
pub(super) struct Enrolments {
    store: Arc<dyn ObjectStore>,
}

impl Enrolments {
    pub(super) fn new(store: Arc<dyn ObjectStore>) -> Self {
        Self { store }
    }

    /// All that the descriptor's owner vouches for and that can be read, with their bytes, sorted by domain.
    pub(super) async fn all(&self, descriptor: &Descriptor) -> Result<Vec<(Enrolment, Bytes)>> {
        let mut found: Vec<(Enrolment, Bytes)> = Vec::new();
        let mut after: Option<ObjectName> = None;
        loop {
            let page = self.store.list(names::ENROLMENTS, after.as_ref(), PAGE).await.map_err(Fault::from)?;
            for object in &page {
                let Ok(domain) = names::parse_enrolment(object.name.as_str()) else { continue };
                if found.last().is_some_and(|(last, _)| last.ticket.domain == domain) {
                    continue; // the other copy
                }
                if let Some(read) = self.read(&object.name, domain, descriptor).await? {
                    found.push(read);
                }
            }
            match page.into_iter().next_back() {
                Some(last) => after = Some(last.name),
                None => return Ok(found),
            }
        }
    }

    /// Stores an enrolment; the same one again is no error, another one of the same domain is.
    pub(super) async fn put(&self, enrolment: &Enrolment, bytes: &Bytes) -> Result<()> {
        for copy in names::COPIES {
            let name = ObjectName::new(names::enrolment(enrolment.ticket.domain, copy)).map_err(Fault::from)?;
            match self.store.put(&name, bytes.clone()).await {
                Ok(_) => {}
                Err(error) if error.kind() == storage::ErrorKind::Exists => {
                    return Err(Error::new(ErrorKind::Conflict, "the enrolment token was used already")
                        .with_hint("'holdfast agent token' makes another one"));
                }
                Err(error) => return Err(Fault::from(error).into()),
            }
        }
        Ok(())
    }

    async fn read(&self, name: &ObjectName, domain: DomainId, descriptor: &Descriptor) -> Result<Option<(Enrolment, Bytes)>> {
        let bytes = match self.store.get(name, None).await {
            Ok(bytes) => bytes,
            Err(error) if matches!(error.kind(), storage::ErrorKind::NotFound | storage::ErrorKind::Damaged) => return Ok(None),
            Err(error) => return Err(Fault::from(error).into()),
        };
        match Enrolment::open(&bytes, descriptor) {
            Ok(enrolment) if enrolment.ticket.domain == domain => Ok(Some((enrolment, bytes))),
            Ok(_) => Ok(None),
            Err(error) => {
                tracing::warn!(%domain, %error, "a copy of an enrolment cannot be trusted");
                Ok(None)
            }
        }
    }
}
