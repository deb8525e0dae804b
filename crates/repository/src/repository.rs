//! One domain's repository as its authority in this process.

use crate::environment::Environment;
use crate::fault::{Fault, Outcome};
use crate::index::{Index, SegmentFiles, TableCache};
use crate::ledger::{DomainRow, Ledger, Transaction};
use crate::trust::Trust;
use crate::view::SessionView;
use contract::ErrorKind;
use format::{DomainId, SessionId};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use storage::{ObjectName, ObjectStore};

/// How often an index is loaded from a newer snapshot because segment files of the older one were gone.
const SNAPSHOT_TRIES: usize = 3;

/// The authority of one domain, in this process. Several processes may be it together as long as they share its database.
#[derive(Clone)]
pub struct Repository {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) domain: DomainId,
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) ledger: Arc<dyn Ledger>,
    pub(crate) environment: Environment,
    pub(crate) trust: Arc<Trust>,
    pub(crate) files: SegmentFiles,
    pub(crate) cache: TableCache,
    /// Sessions that this process opened.
    pub(crate) views: Mutex<HashMap<SessionId, Arc<SessionView>>>,
    /// The index that readers use, until it turns out to be old.
    pub(crate) current: Mutex<Option<Arc<Index>>>,
    /// Held while segments are merged: two merges of the same ones would be one in vain.
    pub(crate) merging: tokio::sync::Mutex<()>,
    /// A successor has claimed the domain.
    pub(crate) fenced: AtomicBool,
}

impl Repository {
    pub(crate) fn assemble(
        domain: DomainId,
        store: Arc<dyn ObjectStore>,
        ledger: Arc<dyn Ledger>,
        environment: Environment,
        trust: Arc<Trust>,
        files: SegmentFiles,
    ) -> Self {
        let inner = Inner {
            domain,
            store,
            ledger,
            environment,
            trust,
            files,
            cache: TableCache::default(),
            views: Mutex::default(),
            current: Mutex::default(),
            merging: tokio::sync::Mutex::default(),
            fenced: AtomicBool::new(false),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Opens the domain: makes it in a new vault, otherwise checks that the database is not behind its storage, and finishes
    /// what a process that died left pending. Segment files lie in `index`.
    pub async fn open(
        domain: DomainId,
        store: Arc<dyn ObjectStore>,
        ledger: Arc<dyn Ledger>,
        environment: Environment,
        trust: Arc<Trust>,
        index: PathBuf,
    ) -> contract::Result<Self> {
        let repository = Self::assemble(domain, store, ledger, environment, trust, SegmentFiles::Directory(index));
        repository.start().await?;
        Ok(repository)
    }
}

impl Inner {
    pub(crate) fn object(&self, name: String) -> Outcome<ObjectName> {
        Ok(ObjectName::new(name)?)
    }

    /// The domain's row; it must be there and ready, and no successor known.
    pub(crate) async fn domain_row(&self, transaction: &mut dyn Transaction) -> Outcome<DomainRow> {
        if self.fenced.load(Ordering::Acquire) {
            return Err(fenced());
        }
        match transaction.domain(self.domain).await? {
            Some(row) if row.ready => Ok(row),
            Some(_) => Err(in_rebuild()),
            None => Err(Fault::answer(ErrorKind::NotFound, "the database does not know the domain")),
        }
    }

    pub(crate) fn view(&self, session: SessionId) -> Outcome<Arc<SessionView>> {
        let views = self.views.lock().expect("no panic under this lock");
        views.get(&session).cloned().ok_or_else(|| Fault::answer(ErrorKind::Conflict, "the session is over"))
    }

    pub(crate) fn forget_view(&self, session: SessionId) {
        self.views.lock().expect("no panic under this lock").remove(&session);
        self.environment.liveness.release(session);
    }

    /// The index that readers use.
    pub(crate) async fn current_index(&self) -> Outcome<Arc<Index>> {
        if let Some(index) = self.current.lock().expect("no panic under this lock").clone() {
            return Ok(index);
        }
        let index = Arc::new(self.fresh_index().await?);
        *self.current.lock().expect("no panic under this lock") = Some(index.clone());
        Ok(index)
    }

    pub(crate) fn forget_index(&self) {
        *self.current.lock().expect("no panic under this lock") = None;
    }

    pub(crate) async fn fresh_index(&self) -> Outcome<Index> {
        Ok(self.snapshot_with_index().await?.1)
    }

    /// A snapshot, and the index that it says. A merge by another process may remove segment files that an older snapshot
    /// names: the next one names others. A rebuild removes them all, and says so first.
    pub(crate) async fn snapshot_with_index(&self) -> Outcome<(Box<dyn Transaction>, Index)> {
        for _ in 0..SNAPSHOT_TRIES {
            let mut transaction = self.ledger.snapshot().await?;
            if let Ok(index) = Index::load(transaction.as_mut(), self.domain, &self.files, &self.cache).await {
                return Ok((transaction, index));
            }
        }
        let mut transaction = self.ledger.snapshot().await?;
        match Index::load(transaction.as_mut(), self.domain, &self.files, &self.cache).await {
            Ok(index) => Ok((transaction, index)),
            Err(fault) => self.domain_row(transaction.as_mut()).await.and(Err(fault)),
        }
    }
}

/// The answer once a successor has claimed the domain.
pub(crate) fn fenced() -> Fault {
    Fault::Answer(
        contract::Error::new(ErrorKind::Conflict, "another database has claimed this vault; this one must not go on")
            .with_hint("use the vault through the newer database, or run 'holdfast rebuild' to claim it for this one"),
    )
}

/// The answer of a database whose rebuild has not come to its end.
pub(crate) fn in_rebuild() -> Fault {
    Fault::Answer(
        contract::Error::new(ErrorKind::Conflict, "the vault's database is being made anew, or that was interrupted")
            .with_hint("wait for the 'holdfast rebuild' that is running; if there is none, run it again"),
    )
}

/// The answer of a database that is older than its storage.
pub(crate) fn behind(what: &str) -> Fault {
    Fault::Answer(
        contract::Error::new(ErrorKind::Conflict, format!("the vault's database is older than its storage: {what}"))
            .with_hint("was the database restored from a copy? run 'holdfast rebuild': it makes the database anew from storage"),
    )
}
