//! Rebuild: the database made anew from storage alone.
//!
//! 1. Claim the domain as the next incarnation. Whoever was its authority acknowledges nothing any more.
//! 2. Read the journal, and write the opening entry behind it. What an earlier incarnation writes after that was never
//!    acknowledged ("strays"), and is set aside by every later rebuild.
//! 3. Read footers of all packs that no deletion list names, and which key objects there are.
//! 4. *Proven* is the largest set of copies in which every link and key resolves. Pages outside it are seen by nobody.
//! 5. Records whose agent may sign and whose root is proven are points again; others are set aside and named.
//!
//! Nothing is condemned by a rebuild, all sessions are void, soft-deleted points come back, purged ones do not.

mod closure;
mod history;
mod inventory;

use crate::environment::Environment;
use crate::fault::{Fault, Outcome};
use crate::index::SegmentFiles;
use crate::ledger::{DomainRow, JournalState, Ledger, Transaction};
use crate::repository::{Inner, Repository};
use crate::trust::Trust;
use contract::{Error, ErrorKind, SetAside};
use format::journal::Payload;
use format::{ClaimNonce, DomainId, Incarnation, JournalNumber, PackName, names};
use history::History;
use std::path::PathBuf;
use std::sync::Arc;
use storage::ObjectStore;

/// How often a claim or opening is tried again because somebody else was faster.
const ATTEMPTS: usize = 16;

/// What a rebuild found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RebuildReport {
    /// Points that are restorable.
    pub points: u64,
    /// Packs whose footers were read.
    pub packs: u64,
    /// Packs that could not be read, with what is wrong; their objects stay.
    pub unreadable_packs: Vec<(PackName, String)>,
    /// Journal entries that could not be read.
    pub unreadable_entries: Vec<(JournalNumber, String)>,
    /// Records that are not served as whole.
    pub set_aside: Vec<SetAside>,
    /// Points that are purged.
    pub purged: u64,
}

impl Repository {
    /// Makes the ledger's rows of this domain anew from storage, and opens it.
    pub async fn rebuild(
        domain: DomainId,
        store: Arc<dyn ObjectStore>,
        ledger: Arc<dyn Ledger>,
        environment: Environment,
        trust: Arc<Trust>,
        index: PathBuf,
    ) -> contract::Result<(Self, RebuildReport)> {
        let repository = Self::assemble(domain, store, ledger, environment, trust, SegmentFiles::Directory(index));
        let report = repository.inner.rebuild().await?;
        Ok((repository, report))
    }
}

impl Inner {
    pub(crate) async fn rebuild(&self) -> Outcome<RebuildReport> {
        let mut report = RebuildReport::default();
        let (history, nonce) = self.claim_and_open(&mut report).await?;
        let keys = self.stored_keys(&history).await?;
        self.read_inventory(&history, nonce, &mut report).await?;
        if let Err(fault) = self.merge_for_marking().await {
            // The marking takes longer.
            tracing::warn!(%fault, "cannot merge the index of a rebuild");
        }
        self.hide_unproven(&keys, nonce).await?;
        self.restore_points(&history, &keys.sound, nonce, &mut report).await?;
        self.become_ready(&history, nonce, &report).await?;
        self.forget_index();
        Ok(report)
    }

    /// The domain's row, as long as this rebuild goes on: another process may have begun one of its own on this database.
    pub(super) async fn row_in_rebuild(&self, transaction: &mut dyn Transaction, nonce: ClaimNonce) -> Outcome<DomainRow> {
        let row = transaction.domain(self.domain).await?;
        row.filter(|row| row.nonce == nonce && !row.ready).ok_or_else(busy)
    }

    /// Claims an incarnation that is newer than every claim and every journal entry, and writes its opening entry.
    async fn claim_and_open(&self, report: &mut RebuildReport) -> Outcome<(History, ClaimNonce)> {
        let mut newest = Incarnation(0);
        for _ in 0..ATTEMPTS {
            let row = self.claim_anew(newest).await?;
            let history = self.open_behind_history(&row, report).await?;
            // A claim may be lost from storage; the journal knows who wrote all the same.
            if history.newest < row.incarnation {
                return Ok((history, row.nonce));
            }
            newest = history.newest;
        }
        Err(busy())
    }

    /// Forgets everything and claims the next incarnation.
    async fn claim_anew(&self, newest: Incarnation) -> Outcome<DomainRow> {
        for _ in 0..ATTEMPTS {
            let claims = self.list_all(&names::claims(self.domain)).await?;
            let newest = claims.iter().filter_map(|name| names::parse_number(name).ok()).map(Incarnation).max().max(Some(newest));
            let row = self.new_domain_row(newest.unwrap_or_default().next(), JournalNumber(1));
            self.close_domain().await?;
            self.files.clear();
            let mut transaction = self.ledger.begin().await?;
            transaction.erase_domain(self.domain).await?;
            transaction.put_domain(&row).await?;
            transaction.commit().await?;
            match self.claim(&row).await {
                Err(Fault::Answer(error)) if error.kind() == ErrorKind::Conflict => {}
                outcome => return outcome.map(|()| row),
            }
        }
        Err(busy())
    }

    /// Says that the database is being made anew, before segment files go that its rows still name. The files go before the
    /// rows: whoever's files they are, his rows do not outlive them.
    async fn close_domain(&self) -> Outcome<()> {
        let mut transaction = self.ledger.begin().await?;
        if let Some(row) = transaction.domain(self.domain).await? {
            transaction.put_domain(&DomainRow { ready: false, ..row }).await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    /// Reads the journal and writes the opening entry behind it, unless the journal knows a newer incarnation.
    async fn open_behind_history(&self, claimed: &DomainRow, report: &mut RebuildReport) -> Outcome<History> {
        for _ in 0..ATTEMPTS {
            let history = self.read_history().await?;
            if history.newest >= claimed.incarnation {
                return Ok(history);
            }
            let mut transaction = self.ledger.begin().await?;
            let mut row = self.row_in_rebuild(transaction.as_mut(), claimed.nonce).await?;
            row.next_number = history.next_number();
            let payload = Payload::Opening { nonce: row.nonce };
            let mut entry = self.enter(transaction.as_mut(), &mut row, self.environment.clock.now_ms(), payload).await?;
            // Not pending: it must not make the domain ready before everything was read.
            entry.state = JournalState::Done;
            transaction.put_journal(&entry).await?;
            let name = self.object(names::journal(self.domain, entry.number))?;
            match self.store.put(&name, entry.bytes.clone()).await {
                Ok(_) => {}
                Err(error) if error.kind() == storage::ErrorKind::Exists => continue,
                Err(error) => return Err(error.into()),
            }
            transaction.commit().await?;
            self.fence(row.incarnation).await?;
            report.unreadable_entries = history.unreadable.clone();
            return Ok(history);
        }
        Err(busy())
    }

    async fn become_ready(&self, history: &History, nonce: ClaimNonce, report: &RebuildReport) -> Outcome<()> {
        let mut transaction = self.ledger.begin().await?;
        let mut row = self.row_in_rebuild(transaction.as_mut(), nonce).await?;
        for row in &history.rows {
            transaction.put_journal(row).await?;
        }
        self.note_unread(transaction.as_mut(), report).await?;
        self.remember_deleted(transaction.as_mut(), &history.deleted_keys).await?;
        row.ready = true;
        transaction.put_domain(&row).await?;
        transaction.commit().await?;
        self.fence(row.incarnation).await
    }
}

fn busy() -> Fault {
    Fault::Answer(
        Error::new(ErrorKind::Conflict, "another process is rebuilding this vault")
            .with_hint("wait for it, or stop it, and try again"),
    )
}
