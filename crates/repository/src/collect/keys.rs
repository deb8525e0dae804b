//! Key objects that nothing names any more.
//!
//! A key object is needed by the packs that name it, by the records of points (their metadata is sealed with it), and by the
//! session that runs with it: its row names the key before the object is put, so that no collector sees one without owner.
//!
//! A key that was on a deletion list is never used again: its object may be deleted at any time, by whoever carries the list out
//! late. The ledger remembers each, and a rebuild reads them from the lists.

use crate::fault::{Fault, Outcome};
use crate::index::Index;
use crate::ledger::Transaction;
use crate::repository::Inner;
use crate::{Sabotage, sabotaged};
use bytes::Bytes;
use contract::{CollectReport, Error, ErrorKind};
use format::journal::Payload;
use format::limits::DELETION_NAMES_MAX;
use format::record::SignedRecord;
use format::{KeyId, names};
use std::collections::HashSet;

impl Inner {
    /// Deletes key objects that nothing names; as packs, by a deletion list.
    pub(crate) async fn delete_keys(&self, report: &mut CollectReport) -> Outcome<()> {
        let stored = self.list_all(&names::keys(self.domain)).await?;
        if stored.is_empty() {
            return Ok(());
        }
        let mut transaction = self.ledger.begin().await?;
        let mut domain = self.domain_row(transaction.as_mut()).await?;
        let needed = self.needed_keys(transaction.as_mut()).await?;
        let unneeded = stored.into_iter().filter(|name| names::parse_key(name).is_ok_and(|key| !needed.contains(&key)));
        let names: Vec<String> = unneeded.take(DELETION_NAMES_MAX).collect();
        if names.is_empty() {
            return Ok(());
        }
        let count = names.len() as u64;
        let deleted: HashSet<KeyId> = names.iter().filter_map(|name| names::parse_key(name).ok()).collect();
        let payload = Payload::Deletion { names };
        let entry = self.enter(transaction.as_mut(), &mut domain, self.environment.clock.now_ms(), payload).await?;
        self.remember_deleted(transaction.as_mut(), &deleted).await?;
        transaction.commit().await?;
        self.delete_listed(&entry).await?;
        tracing::debug!(count, packs = report.packs_deleted, "key objects deleted");
        Ok(())
    }

    /// These keys are on a deletion list.
    pub(crate) async fn remember_deleted(&self, transaction: &mut dyn Transaction, keys: &HashSet<KeyId>) -> Outcome<()> {
        for key in keys {
            transaction.put_setting(&self.deleted_key(*key), Some(Bytes::new())).await?;
        }
        Ok(())
    }

    /// Fails for a key that was ever on one.
    pub(crate) async fn refuse_deleted(&self, transaction: &mut dyn Transaction, key: KeyId) -> Outcome<()> {
        if transaction.setting(&self.deleted_key(key)).await?.is_none() || sabotaged(Sabotage::DeletedKeyIsUsedAgain) {
            return Ok(());
        }
        Err(Fault::Answer(
            Error::new(ErrorKind::Conflict, "the session's key was deleted before: nothing can be sealed with it any more")
                .with_hint("start the backup again: it makes a new key"),
        ))
    }

    fn deleted_key(&self, key: KeyId) -> String {
        format!("deleted key {} {key}", self.domain)
    }

    /// Keys that packs, points and running sessions name.
    async fn needed_keys(&self, transaction: &mut dyn Transaction) -> Outcome<HashSet<KeyId>> {
        let index = Index::load(transaction, self.domain, &self.files, &self.cache).await?;
        let mut keys = self.named_keys(transaction, &index).await?;
        keys.extend(super::running_sessions(transaction, self.domain).await?.iter().filter_map(|row| row.key));
        Ok(keys)
    }

    /// Keys that packs and points name.
    pub(crate) async fn named_keys(&self, transaction: &mut dyn Transaction, index: &Index) -> Outcome<HashSet<KeyId>> {
        let mut keys = index.keys();
        if !sabotaged(Sabotage::KeyOfRecordIsForgotten) {
            for point in transaction.points(self.domain).await? {
                keys.insert(SignedRecord::parse_unverified(&point.record)?.body.key);
            }
        }
        Ok(keys)
    }
}
