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
use crate::ledger::{JournalState, Ledger};
use crate::repository::{Inner, Repository};
use crate::trust::Trust;
use contract::{Error, ErrorKind, SetAside};
use format::journal::Payload;
use format::{DomainId, Incarnation, JournalNumber, PackName, names};
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
        self.claim_anew().await?;
        let history = self.open_behind_history(&mut report).await?;
        let keys = self.sound_keys().await?;
        self.read_inventory(&history, &mut report).await?;
        self.hide_unproven(&keys, &history).await?;
        self.restore_points(&history, &mut report).await?;
        self.become_ready(&history).await?;
        self.merge_tails(0).await?;
        Ok(report)
    }

    /// Forgets everything and claims the next incarnation.
    async fn claim_anew(&self) -> Outcome<()> {
        self.files.clear();
        for _ in 0..ATTEMPTS {
            let claims = self.list_all(&names::claims(self.domain)).await?;
            let newest = claims.iter().filter_map(|name| names::parse_number(name).ok()).max().unwrap_or(0);
            let row = self.new_domain_row(Incarnation(newest + 1), JournalNumber(1));
            let mut transaction = self.ledger.begin().await?;
            transaction.erase_domain(self.domain).await?;
            transaction.put_domain(&row).await?;
            transaction.commit().await?;
            match self.claim(&row).await {
                Err(Fault::Answer(error)) if error.kind() == ErrorKind::Conflict => {}
                outcome => return outcome,
            }
        }
        Err(busy())
    }

    /// Reads the journal and writes the opening entry behind it.
    async fn open_behind_history(&self, report: &mut RebuildReport) -> Outcome<History> {
        for _ in 0..ATTEMPTS {
            let history = self.read_history().await?;
            let mut transaction = self.ledger.begin().await?;
            let row = transaction.domain(self.domain).await?;
            let mut row = row.ok_or_else(|| Fault::answer(ErrorKind::Conflict, "the domain's row went away during a rebuild"))?;
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

    async fn become_ready(&self, history: &History) -> Outcome<()> {
        let mut transaction = self.ledger.begin().await?;
        for row in &history.rows {
            transaction.put_journal(row).await?;
        }
        let row = transaction.domain(self.domain).await?;
        let mut row = row.ok_or_else(|| Fault::answer(ErrorKind::Conflict, "the domain's row went away during a rebuild"))?;
        row.ready = true;
        transaction.put_domain(&row).await?;
        transaction.commit().await?;
        Ok(())
    }
}

fn busy() -> Fault {
    Fault::Answer(
        Error::new(ErrorKind::Conflict, "another process is rebuilding this vault").with_hint("wait for it, or stop it, and try again"),
    )
}
