//! Becoming the authority of a domain: claim, opening entry, and the look whether the database is behind.

use crate::fault::{Fault, Outcome};
use crate::ledger::{DomainRow, JournalRow};
use crate::repository::{Inner, Repository, behind, in_rebuild};
use contract::ErrorKind;
use format::authority::Claim;
use format::journal::Payload;
use format::{ClaimNonce, Incarnation, JournalNumber, names};

impl Repository {
    /// What [`Repository::open`] does once everything is assembled.
    pub(crate) async fn start(&self) -> Outcome<()> {
        let inner = &self.inner;
        let row = inner.ledger.snapshot().await?.domain(inner.domain).await?;
        let row = match row {
            Some(row) => row,
            None => inner.first_claim().await?,
        };
        inner.claim(&row).await?;
        inner.fence(row.incarnation).await?;
        inner.check_not_behind().await?;
        // In a new vault this ends with the domain being ready: its opening entry is pending.
        inner.recover().await?;
        let row = inner.ledger.snapshot().await?.domain(inner.domain).await?;
        if !row.is_some_and(|row| row.ready) {
            return Err(in_rebuild());
        }
        inner.adopt_sessions().await?;
        inner.end_dead_sessions().await
    }
}

impl Inner {
    /// Makes the row of a domain that storage knows nothing of, with its opening entry pending.
    async fn first_claim(&self) -> Outcome<DomainRow> {
        for prefix in [names::claims(self.domain), names::journal_entries(self.domain), names::packs(self.domain)] {
            if !self.store.list(&prefix, None, 1).await?.is_empty() {
                // Another process of this database may have begun with it meanwhile.
                if let Some(row) = self.ledger.snapshot().await?.domain(self.domain).await? {
                    return Ok(row);
                }
                return Err(behind("storage holds this domain, the database does not know it"));
            }
        }
        let mut transaction = self.ledger.begin().await?;
        if let Some(row) = transaction.domain(self.domain).await? {
            return Ok(row); // another process was faster
        }
        let mut row = self.new_domain_row(Incarnation(1), JournalNumber(1));
        let payload = Payload::Opening { nonce: row.nonce };
        self.enter(transaction.as_mut(), &mut row, self.environment.clock.now_ms(), payload).await?;
        transaction.commit().await?;
        Ok(row)
    }

    pub(crate) fn new_domain_row(&self, incarnation: Incarnation, next_number: JournalNumber) -> DomainRow {
        DomainRow {
            domain: self.domain,
            incarnation,
            nonce: ClaimNonce(self.environment.random()),
            ready: false,
            next_number,
            next_pack: 1,
            next_session: 1,
            // Files of index segments lie where those of a database that this one replaces lie, and may still be written.
            next_segment: u64::from_le_bytes(self.environment.random()) >> 8 | 1,
            marking: 0,
            generation: 0,
        }
    }

    /// Puts this incarnation's claim, or finds it there already.
    pub(crate) async fn claim(&self, row: &DomainRow) -> Outcome<()> {
        let name = self.object(names::claim(self.domain, row.incarnation))?;
        match self.store.get(&name, None).await {
            Ok(bytes) => return self.compare_claim(row, &bytes),
            Err(error) if error.kind() == storage::ErrorKind::NotFound => {}
            // As one that is damaged, see there.
            Err(error) if error.kind() == storage::ErrorKind::Damaged && row.ready => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        let claim = Claim {
            domain: self.domain,
            incarnation: row.incarnation,
            nonce: row.nonce,
            time_ms: self.environment.clock.now_ms(),
        };
        match self.store.put(&name, claim.encode().into()).await {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == storage::ErrorKind::Exists => {
                let bytes = self.store.get(&name, None).await?;
                self.compare_claim(row, &bytes)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn compare_claim(&self, row: &DomainRow, bytes: &[u8]) -> Outcome<()> {
        match Claim::parse(bytes) {
            Ok(claim) if claim.nonce == row.nonce => Ok(()),
            Ok(_) => Err(Fault::answer(ErrorKind::Conflict, "another database claimed this vault at the same time")),
            // A damaged claim still keeps others away; `check` mends it.
            Err(_) if row.ready => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// The opening entry is durable: the domain is ready.
    pub(crate) async fn conclude_opening(&self, entry: &JournalRow) -> Outcome<()> {
        let mut transaction = self.ledger.begin().await?;
        if self.finish_entry(transaction.as_mut(), entry.number).await? {
            let row = transaction.domain(self.domain).await?;
            let mut row = row.ok_or_else(|| Fault::answer(ErrorKind::Internal, "a domain that opens has no row"))?;
            row.ready = true;
            transaction.put_domain(&row).await?;
        }
        transaction.commit().await?;
        Ok(())
    }
}
