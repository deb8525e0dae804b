//! What a rebuild could not read, or did not find: entries of the journal, packs, blobs that set-aside records reach.
//!
//! A record among them keeps what nothing else keeps; a page among them names what nothing else names. Until somebody gives
//! them up, or a later rebuild can read them, nothing of the domain is collected. Each rebuild begins anew: what was given up
//! before and still cannot be read is to be given up again.

use crate::collect::Marks;
use crate::fault::{Fault, Outcome};
use crate::ledger::Transaction;
use crate::rebuild::RebuildReport;
use crate::repository::Inner;
use crate::{Sabotage, sabotaged};
use bytes::Bytes;
use contract::{Error, ErrorKind};
use format::DomainId;
use std::fmt::Display;

/// Most numbers or names that are named.
const NAMED_MAX: usize = 8;

/// The ledger's settings that name them.
fn unread_entries(domain: DomainId) -> String {
    format!("unread journal {domain}")
}

fn unread_packs(domain: DomainId) -> String {
    format!("unread packs {domain}")
}

/// The setting that is there once they were given up.
fn given_up(domain: DomainId) -> String {
    format!("given up {domain}")
}

impl Inner {
    /// What a rebuild could not read.
    pub(crate) async fn note_unread(&self, transaction: &mut dyn Transaction, report: &RebuildReport) -> Outcome<()> {
        let packs = if sabotaged(Sabotage::UnreadPacksAreForgotten) { None } else { named(&report.unreadable_packs) };
        transaction.put_setting(&unread_entries(self.domain), named(&report.unreadable_entries)).await?;
        transaction.put_setting(&unread_packs(self.domain), packs).await?;
        Ok(transaction.put_setting(&given_up(self.domain), None).await?)
    }

    /// Fails while there is any of it.
    pub(crate) async fn refuse_unread(&self, transaction: &mut dyn Transaction) -> Outcome<()> {
        for (setting, what) in [(unread_entries(self.domain), "journal entries"), (unread_packs(self.domain), "packs")] {
            let Some(names) = transaction.setting(&setting).await? else { continue };
            let names = String::from_utf8_lossy(&names);
            return Err(refused(format!(
                "{what} could not be read when the database was made anew ({names}): a collection would delete what only they keep"
            )));
        }
        Ok(())
    }

    /// Whether what set-aside records lack was given up.
    pub(crate) async fn has_given_up(&self, transaction: &mut dyn Transaction) -> Outcome<bool> {
        Ok(transaction.setting(&given_up(self.domain)).await?.is_some())
    }

    /// Whatever they kept may go.
    pub(crate) async fn give_up_unread(&self) -> Outcome<()> {
        let mut transaction = self.ledger.begin().await?;
        transaction.put_setting(&unread_entries(self.domain), None).await?;
        transaction.put_setting(&unread_packs(self.domain), None).await?;
        transaction.put_setting(&given_up(self.domain), Some(Bytes::new())).await?;
        Ok(transaction.commit().await?)
    }
}

/// Fails if a set-aside record reaches blobs that are in no pack: a page among them may be back some day, and what it names
/// must be there then.
pub(crate) fn refuse_lacking(marks: &Marks, has_given_up: bool) -> Outcome<()> {
    match marks.missing.first() {
        Some(id) if !has_given_up && !sabotaged(Sabotage::UnreadPacksAreForgotten) => Err(refused(format!(
            "a record that was set aside reaches blob {id}, which is in no pack: a collection would delete what only that keeps"
        ))),
        _ => Ok(()),
    }
}

fn named<T: Display>(unread: &[(T, String)]) -> Option<Bytes> {
    let names: Vec<String> = unread.iter().take(NAMED_MAX).map(|(name, _)| name.to_string()).collect();
    let more = if unread.len() > NAMED_MAX { " and others" } else { "" };
    (!unread.is_empty()).then(|| Bytes::from(format!("{}{more}", names.join(", "))))
}

fn refused(message: String) -> Fault {
    Fault::Answer(Error::new(ErrorKind::Corrupt, message).with_hint(
        "put the objects back from a copy and run 'holdfast rebuild'; or give them up: 'holdfast rebuild --give-up-unreadable'",
    ))
}
