//! Domains that were enrolled where their machines are: one object each, in two copies, never replaced.

use crate::fault::Fault;
use crate::stored::{Stored, read_stored};
use bytes::Bytes;
use contract::{CheckReport, Error, ErrorKind, Result};
use format::descriptor::Descriptor;
use format::enrolment::Enrolment;
use format::{DomainId, names};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use storage::{ObjectName, ObjectStore};
use tokio::sync::Mutex;

/// Objects listed at once.
const PAGE: usize = 1000;

/// Enrolments in storage. They never change: what was read once is kept.
pub(super) struct Enrolments {
    store: Arc<dyn ObjectStore>,
    read: Mutex<BTreeMap<DomainId, (Enrolment, Bytes)>>,
}

impl Enrolments {
    pub(super) fn new(store: Arc<dyn ObjectStore>) -> Self {
        Self { store, read: Mutex::default() }
    }

    /// All that the descriptor's owner vouches for and that can be read, with their bytes, by domain.
    pub(super) async fn all(&self, descriptor: &Descriptor) -> Result<BTreeMap<DomainId, (Enrolment, Bytes)>> {
        let domains = self.domains().await?;
        let mut read = self.read.lock().await;
        for domain in domains {
            if read.contains_key(&domain) {
                continue;
            }
            for copy in names::COPIES {
                if let Some(found) = self.copy(domain, copy, descriptor).await?.sound() {
                    read.insert(domain, found);
                    break;
                }
            }
        }
        Ok(read.clone())
    }

    /// Domains of which there is an enrolment, and none that can be read and is vouched for, unless the descriptor knows them.
    pub(super) async fn unreadable(&self, descriptor: &Descriptor) -> Result<Vec<DomainId>> {
        let sound = self.all(descriptor).await?;
        let lost = |domain: &DomainId| !sound.contains_key(domain) && descriptor.domain(*domain).is_none();
        Ok(self.domains().await?.into_iter().filter(lost).collect())
    }

    /// Both copies of every enrolment must be sound; one is mended from the other.
    pub(super) async fn check(&self, descriptor: &Descriptor, report: &mut CheckReport) -> Result<()> {
        for domain in self.domains().await? {
            let [a, b] = names::COPIES;
            match (self.copy(domain, a, descriptor).await?, self.copy(domain, b, descriptor).await?) {
                (Copy::Sound(..), Copy::Sound(..)) => {}
                (Copy::Sound(found), other) => self.mend(domain, b, other.is_there(), found.1, report).await?,
                (other, Copy::Sound(found)) => self.mend(domain, a, other.is_there(), found.1, report).await?,
                _ => {
                    let what = "no copy of it can be read and is vouched for by the owner".to_owned();
                    report.damaged_objects.push((names::enrolment(domain, a), what));
                }
            }
        }
        Ok(())
    }

    async fn mend(&self, domain: DomainId, copy: char, is_there: bool, bytes: Bytes, report: &mut CheckReport) -> Result<()> {
        let object = names::enrolment(domain, copy);
        let name = ObjectName::new(object.clone()).map_err(Fault::from)?;
        if is_there {
            self.store.delete(&name).await.map_err(Fault::from)?;
        }
        self.store.put(&name, bytes).await.map_err(Fault::from)?;
        report.mended.push(object);
        Ok(())
    }

    /// Domains of which there is any copy.
    async fn domains(&self) -> Result<BTreeSet<DomainId>> {
        let mut domains = BTreeSet::new();
        let mut after: Option<ObjectName> = None;
        loop {
            let page = self.store.list(names::ENROLMENTS, after.as_ref(), PAGE).await.map_err(Fault::from)?;
            domains.extend(page.iter().filter_map(|object| names::parse_enrolment(object.name.as_str()).ok()));
            match page.into_iter().next_back() {
                Some(last) => after = Some(last.name),
                None => return Ok(domains),
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

    async fn copy(&self, domain: DomainId, copy: char, descriptor: &Descriptor) -> Result<Copy> {
        let name = ObjectName::new(names::enrolment(domain, copy)).map_err(Fault::from)?;
        Ok(match read_stored(self.store.as_ref(), &name).await? {
            Stored::Absent => Copy::Absent,
            Stored::Unreadable => Copy::Wrong,
            Stored::Whole(bytes) => match Enrolment::open(&bytes, descriptor) {
                Ok(enrolment) if enrolment.ticket.domain == domain => Copy::Sound((enrolment, bytes)),
                _ => Copy::Wrong,
            },
        })
    }
}

/// A copy of an enrolment, as it was found.
enum Copy {
    Sound((Enrolment, Bytes)),
    /// It cannot be read, or nobody vouches for it.
    Wrong,
    Absent,
}

impl Copy {
    fn sound(self) -> Option<(Enrolment, Bytes)> {
        match self {
            Self::Sound(found) => Some(found),
            Self::Wrong | Self::Absent => None,
        }
    }

    fn is_there(&self) -> bool {
        !matches!(self, Self::Absent)
    }
}
