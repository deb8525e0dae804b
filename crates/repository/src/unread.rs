//! Entries of the journal that a rebuild could not read.
//!
//! A record among them keeps what nothing else keeps: until somebody gives them up, or a later rebuild can read them, nothing
//! of the domain is collected.

use crate::fault::{Fault, Outcome};
use crate::ledger::Transaction;
use crate::repository::Inner;
use bytes::Bytes;
use contract::{Error, ErrorKind};
use format::{DomainId, JournalNumber};

/// Most numbers that are named.
const NAMED_MAX: usize = 8;

/// The ledger's setting that names them.
fn setting(domain: DomainId) -> String {
    format!("unread journal {domain}")
}

impl Inner {
    /// A rebuild could not read these.
    pub(crate) async fn note_unread(
        &self,
        transaction: &mut dyn Transaction,
        entries: &[(JournalNumber, String)],
    ) -> Outcome<()> {
        let numbers: Vec<String> = entries.iter().take(NAMED_MAX).map(|(number, _)| number.to_string()).collect();
        let more = if entries.len() > NAMED_MAX { " and others" } else { "" };
        let value = (!entries.is_empty()).then(|| Bytes::from(format!("{}{more}", numbers.join(", "))));
        Ok(transaction.put_setting(&setting(self.domain), value).await?)
    }

    /// Fails while there are any.
    pub(crate) async fn refuse_unread(&self, transaction: &mut dyn Transaction) -> Outcome<()> {
        let Some(numbers) = transaction.setting(&setting(self.domain)).await? else { return Ok(()) };
        let numbers = String::from_utf8_lossy(&numbers);
        let message = format!(
            "journal entries could not be read when the database was made anew ({numbers}): a collection would delete what only \
             they keep"
        );
        Err(Fault::Answer(Error::new(ErrorKind::Corrupt, message).with_hint(
            "put these objects back from a copy and run 'holdfast rebuild'; or give them up: 'holdfast rebuild --give-up-unreadable'",
        )))
    }

    /// Whatever they kept may go.
    pub(crate) async fn give_up_unread(&self) -> Outcome<()> {
        let mut transaction = self.ledger.begin().await?;
        transaction.put_setting(&setting(self.domain), None).await?;
        Ok(transaction.commit().await?)
    }
}
