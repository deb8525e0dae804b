//! Writing the journal: entries are numbered in a transaction, put, fenced, and only then acted on.
//!
//! | step | durable write | a crash before it leaves | a crash after it leaves |
//! |---|---|---|---|
//! | enter | row *pending* with the entry's bytes | nothing | recovery goes on with the put |
//! | put | the object `journal/<number>` | the pending row | the same row; the put is repeated and finds its own bytes |
//! | fence | – | the same | the same |
//! | conclude | consequences and row *done*, in one transaction | the same | done |

use crate::fault::{Fault, Outcome};
use crate::ledger::{DomainRow, JournalRow, JournalState, Transaction};
use crate::repository::{Inner, behind, fenced};
use crate::{Sabotage, sabotaged};
use bytes::Bytes;
use format::journal::{JournalEntry, Payload};
use format::{Incarnation, JournalNumber, names};
use std::sync::atomic::Ordering;

impl Inner {
    /// Takes the next number and enters the entry as pending.
    pub(crate) async fn enter(
        &self,
        transaction: &mut dyn Transaction,
        domain: &mut DomainRow,
        time_ms: i64,
        payload: Payload,
    ) -> Outcome<JournalRow> {
        let number = domain.next_number;
        domain.next_number = number.next();
        let entry = JournalEntry { domain: self.domain, number, incarnation: domain.incarnation, time_ms, payload };
        let row = JournalRow { domain: self.domain, number, state: JournalState::Pending, bytes: entry.encode().into() };
        transaction.put_journal(&row).await?;
        transaction.put_domain(domain).await?;
        Ok(row)
    }

    /// Puts a pending entry into storage and makes sure that no successor has claimed the domain.
    ///
    /// Entries before it go first: a gap would be filled by a put that is late, after a successor read the journal and began
    /// behind it; the rebuild after that would take for decided what nobody decided.
    pub(crate) async fn make_durable(&self, row: &JournalRow) -> Outcome<()> {
        let pending = self.ledger.snapshot().await?.journal_in(self.domain, JournalState::Pending).await?;
        let earlier = pending.into_iter().filter(|earlier| earlier.number < row.number);
        for earlier in earlier.filter(|_| !sabotaged(Sabotage::JournalHasGaps)) {
            self.put_entry(earlier.number, earlier.bytes).await?;
        }
        self.put_entry(row.number, row.bytes.clone()).await?;
        let incarnation = JournalEntry::parse(&row.bytes)?.incarnation;
        self.fence(incarnation).await
    }

    async fn put_entry(&self, number: JournalNumber, bytes: Bytes) -> Outcome<()> {
        let name = self.object(names::journal(self.domain, number))?;
        match self.store.put(&name, bytes).await {
            Ok(_) => Ok(()),
            Err(_) if sabotaged(Sabotage::NoFencing) => Ok(()),
            Err(error) if error.kind() == storage::ErrorKind::Exists => {
                self.fenced.store(true, Ordering::Release);
                Err(behind("an entry of its journal was written by another database"))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Fails if an incarnation after this one has claimed the domain.
    pub(crate) async fn fence(&self, incarnation: Incarnation) -> Outcome<()> {
        if sabotaged(Sabotage::NoFencing) {
            return Ok(());
        }
        let own = self.object(names::claim(self.domain, incarnation))?;
        let later = self.store.list(&names::claims(self.domain), Some(&own), 1).await?;
        if later.is_empty() {
            return Ok(());
        }
        self.fenced.store(true, Ordering::Release);
        Err(fenced())
    }

    /// Fails if storage has journal entries that this database did not write.
    pub(crate) async fn check_not_behind(&self) -> Outcome<()> {
        if sabotaged(Sabotage::BehindGoesOn) {
            return Ok(());
        }
        let mut next = self.next_number().await?;
        loop {
            let last = self.object(names::journal(self.domain, JournalNumber(next.0 - 1)))?;
            let later = self.store.list(&names::journal_entries(self.domain), Some(&last), 1).await?;
            let Some(object) = later.first() else { return Ok(()) };
            // Another process of this database may have entered it since the number was read.
            let now = self.next_number().await?;
            if now == next {
                return Err(behind(&format!("storage holds journal entry '{}', the database ends before it", object.name)));
            }
            next = now;
        }
    }

    async fn next_number(&self) -> Outcome<JournalNumber> {
        let row = self.ledger.snapshot().await?.domain(self.domain).await?;
        let row = row.ok_or_else(|| Fault::answer(contract::ErrorKind::NotFound, "the database does not know the domain"))?;
        Ok(row.next_number)
    }

    /// Finishes what is pending, whoever entered it: puts it, fences, concludes.
    pub(crate) async fn recover(&self) -> Outcome<()> {
        for row in self.pending().await? {
            self.make_durable(&row).await?;
            self.conclude(&row).await?;
        }
        Ok(())
    }

    pub(crate) async fn pending(&self) -> Outcome<Vec<JournalRow>> {
        Ok(self.ledger.snapshot().await?.journal_in(self.domain, JournalState::Pending).await?)
    }

    /// Draws the consequences of an entry that is durable. Doing it twice is no harm.
    pub(crate) async fn conclude(&self, row: &JournalRow) -> Outcome<()> {
        match JournalEntry::parse(&row.bytes)?.payload {
            Payload::Opening { .. } => self.conclude_opening(row).await,
            Payload::Record { .. } => self.conclude_record(row).await,
            Payload::Tombstone { points } => self.conclude_tombstone(row, &points).await,
            Payload::Deletion { names } => self.conclude_deletion(row, &names).await,
        }
    }

    /// Marks an entry as done in a transaction; false if it was done before.
    pub(crate) async fn finish_entry(&self, transaction: &mut dyn Transaction, number: JournalNumber) -> Outcome<bool> {
        let Some(mut row) = transaction.journal(self.domain, number).await? else {
            return Err(Fault::answer(contract::ErrorKind::Conflict, "the database was made anew meanwhile"));
        };
        if row.state == JournalState::Done {
            return Ok(false);
        }
        row.state = JournalState::Done;
        transaction.put_journal(&row).await?;
        Ok(true)
    }
}
