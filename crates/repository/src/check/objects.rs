//! Journal entries, key objects and claims: each has a second copy, in storage or in the ledger, and is mended from it.

use crate::fault::{Fault, Outcome};
use crate::ledger::{JournalRow, JournalState};
use crate::repository::Inner;
use crate::simulated::in_tests;
use crate::stored::Stored;
use bytes::Bytes;
use contract::{CheckReport, Progress, ProgressSink};
use format::authority::Claim;
use format::journal::JournalEntry;
use format::key_object::KeyObject;
use format::{KeyId, names};
use std::collections::HashSet;

/// Objects listed at once.
const PAGE: usize = in_tests(3, 1000);

/// Keys without which nothing that they seal can be opened.
#[derive(Default)]
pub(crate) struct LostKeys {
    /// Neither copy of their object is there and right.
    pub(crate) gone: HashSet<KeyId>,
    /// Storage cannot read a copy, and the other one is not right. It may be readable again some day.
    pub(crate) unreadable: HashSet<KeyId>,
}

impl LostKeys {
    pub(crate) fn contains(&self, key: &KeyId) -> bool {
        self.gone.contains(key) || self.unreadable.contains(key)
    }

    fn is_empty(&self) -> bool {
        self.gone.is_empty() && self.unreadable.is_empty()
    }

    fn insert(&mut self, key: KeyId, is_unreadable: bool) {
        if is_unreadable { &mut self.unreadable } else { &mut self.gone }.insert(key);
    }

    fn retain(&mut self, keys: &HashSet<KeyId>) {
        self.gone.retain(|key| keys.contains(key));
        self.unreadable.retain(|key| keys.contains(key));
    }
}

impl Inner {
    /// Every entry that the ledger holds must be in storage with the same bytes, and they must be an entry.
    pub(crate) async fn check_journal(&self, report: &mut CheckReport, progress: &ProgressSink) -> Outcome<()> {
        let rows = self.ledger.snapshot().await?.journal_in(self.domain, JournalState::Done).await?;
        for (done, row) in rows.iter().enumerate() {
            if row.bytes.is_empty() {
                continue; // written before the rebuild that made this row, and damaged since: nothing to compare with
            }
            self.check_entry(row, report).await?;
            progress(Progress { phase: "journal", done: done as u64 + 1, total: Some(rows.len() as u64), bytes: 0 });
        }
        Ok(())
    }

    /// Whichever of the two is right mends the other. The database is no more to be trusted than storage: nothing is deleted for
    /// bytes that are no entry.
    async fn check_entry(&self, row: &JournalRow, report: &mut CheckReport) -> Outcome<()> {
        let name = names::journal(self.domain, row.number);
        let stored = self.read_stored(&name).await?;
        let right = |bytes: &Bytes| {
            JournalEntry::parse(bytes).is_ok_and(|entry| entry.domain == self.domain && entry.number == row.number)
        };
        let what = match (right(&row.bytes), stored.bytes().filter(|bytes| right(bytes))) {
            (true, Some(bytes)) if *bytes == row.bytes => return Ok(()),
            (true, Some(_)) => "storage and the database hold different entries of this number",
            (true, None) => return self.mend(&name, stored.is_there(), row.bytes.clone(), report).await,
            (false, Some(bytes)) => return self.mend_row(row, bytes, name, report).await,
            (false, None) => "neither storage nor the database holds it undamaged",
        };
        report.damaged_objects.push((name, what.to_owned()));
        Ok(())
    }

    async fn mend_row(&self, row: &JournalRow, bytes: &Bytes, name: String, report: &mut CheckReport) -> Outcome<()> {
        let mut transaction = self.ledger.begin().await?;
        // A rebuild may have made the row anew meanwhile.
        if transaction.journal(self.domain, row.number).await?.as_ref() == Some(row) {
            transaction.put_journal(&JournalRow { bytes: bytes.clone(), ..row.clone() }).await?;
            transaction.commit().await?;
            report.mended.push(name);
        }
        Ok(())
    }

    /// This incarnation's claim must be in storage.
    pub(crate) async fn check_claim(&self, report: &mut CheckReport) -> Outcome<()> {
        let mut transaction = self.ledger.snapshot().await?;
        let domain = self.domain_row(transaction.as_mut()).await?;
        drop(transaction);
        let name = names::claim(self.domain, domain.incarnation);
        let stored = self.read_stored(&name).await?;
        let right = |bytes: &Bytes| Claim::parse(bytes).is_ok_and(|claim| claim.nonce == domain.nonce);
        if stored.bytes().is_some_and(right) {
            return Ok(());
        }
        let claim = Claim {
            domain: self.domain,
            incarnation: domain.incarnation,
            nonce: domain.nonce,
            time_ms: self.environment.clock.now_ms(),
        };
        self.mend(&name, stored.is_there(), claim.encode().into(), report).await
    }

    /// Both copies of every key object must be sound. Answers the keys of which neither is.
    pub(crate) async fn check_keys(&self, report: &mut CheckReport) -> Outcome<LostKeys> {
        let mut lost = LostKeys::default();
        let mut keys: Vec<KeyId> = self.named_keys_now().await?.into_iter().collect();
        keys.sort_unstable();
        for key in keys {
            let [a, b] = names::COPIES.map(|copy| names::key(self.domain, key, copy));
            let right = |stored: &Stored| stored.bytes().filter(|bytes| KeyObject::id(bytes) == key).cloned();
            let (first, second) = (self.read_stored(&a).await?, self.read_stored(&b).await?);
            match (right(&first), right(&second)) {
                (Some(_), Some(_)) => {}
                (Some(bytes), None) => self.mend(&b, second.is_there(), bytes, report).await?,
                (None, Some(bytes)) => self.mend(&a, first.is_there(), bytes, report).await?,
                (None, None) => lost.insert(key, first.is_unreadable() || second.is_unreadable()),
            }
        }
        if !lost.is_empty() {
            // A collection may have freed them meanwhile.
            lost.retain(&self.named_keys_now().await?);
        }
        Ok(lost)
    }

    async fn named_keys_now(&self) -> Outcome<HashSet<KeyId>> {
        let (mut transaction, index) = self.snapshot_with_index().await?;
        self.named_keys(transaction.as_mut(), &index).await
    }

    /// All object names with this prefix.
    pub(crate) async fn list_all(&self, prefix: &str) -> Outcome<Vec<String>> {
        let (mut names, mut after) = (Vec::new(), None);
        loop {
            let page = self.store.list(prefix, after.as_ref(), PAGE).await?;
            names.extend(page.iter().map(|object| object.name.as_str().to_owned()));
            match page.into_iter().next_back() {
                Some(last) => after = Some(last.name),
                None => return Ok(names),
            }
        }
    }

    /// Puts the right bytes in the place of wrong ones. A crash between leaves the object missing; the next check puts it.
    async fn mend(&self, name: &str, is_there: bool, bytes: Bytes, report: &mut CheckReport) -> Outcome<()> {
        let object = self.object(name.to_owned())?;
        if is_there {
            self.store.delete(&object).await?;
        }
        match self.store.put(&object, bytes).await {
            Ok(_) => report.mended.push(name.to_owned()),
            Err(error) => report.damaged_objects.push((name.to_owned(), Fault::from(error).to_string())),
        }
        Ok(())
    }
}
