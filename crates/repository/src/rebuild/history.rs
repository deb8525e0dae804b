//! The journal as storage has it.

use super::RebuildReport;
use crate::fault::Outcome;
use crate::index::Index;
use crate::ledger::{HeadRow, JournalRow, JournalState, PointRow, PointRowState, Transaction};
use crate::repository::Inner;
use crate::stored::Stored;
use crate::{Sabotage, sabotaged};
use contract::SetAside;
use format::journal::{JournalEntry, Payload};
use format::record::{RecordKind, SignedRecord};
use format::{ClaimNonce, Incarnation, ItemName, JournalNumber, KeyId, PackName, PointId, names};
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// What the journal says, strays left out.
#[derive(Default)]
pub(super) struct History {
    pub(super) rows: Vec<JournalRow>,
    pub(super) unreadable: Vec<(JournalNumber, String)>,
    /// Packs that are gone, or may be at any time.
    pub(super) deleted: HashSet<PackName>,
    /// Keys that are.
    pub(super) deleted_keys: HashSet<KeyId>,
    /// The newest incarnation that wrote an entry.
    pub(super) newest: Incarnation,
    records: Vec<(JournalEntry, Vec<u8>)>,
    purged: HashSet<PointId>,
    strays: Vec<JournalNumber>,
    last: JournalNumber,
}

impl History {
    pub(super) fn next_number(&self) -> JournalNumber {
        self.last.next()
    }

    /// Takes the next entry; entries come by number.
    fn add(&mut self, number: JournalNumber, entry: JournalEntry, newest: &mut Incarnation) {
        self.newest = self.newest.max(entry.incarnation);
        if entry.incarnation < *newest {
            self.strays.push(number);
            return;
        }
        match entry.payload.clone() {
            Payload::Opening { .. } => *newest = entry.incarnation,
            Payload::Record { record, .. } => self.records.push((entry, record)),
            Payload::Tombstone { points } => self.purged.extend(points),
            Payload::Deletion { names } => {
                self.deleted.extend(names.iter().filter_map(|name| names::parse_pack(name).ok()));
                self.deleted_keys.extend(names.iter().filter_map(|name| names::parse_key(name).ok()));
            }
        }
    }
}

impl Inner {
    pub(super) async fn read_history(&self) -> Outcome<History> {
        let mut history = History::default();
        let mut newest = Incarnation(0);
        for name in self.list_all(&names::journal_entries(self.domain)).await? {
            let Ok(number) = names::parse_number(&name).map(JournalNumber) else { continue };
            if number > history.last.next() {
                let (first, last) = (history.last.next(), JournalNumber(number.0 - 1));
                history.unreadable.push((first, format!("entries {first} to {last} are not in storage")));
            }
            history.last = number;
            let bytes = match self.read_stored(&name).await? {
                Stored::Whole(bytes) => bytes,
                Stored::Absent | Stored::Unreadable => {
                    history.unreadable.push((number, "storage cannot read it".to_owned()));
                    continue;
                }
            };
            match JournalEntry::parse(&bytes) {
                Ok(entry) if entry.number == number && entry.domain == self.domain => {
                    history.rows.push(JournalRow { domain: self.domain, number, state: JournalState::Done, bytes });
                    history.add(number, entry, &mut newest);
                }
                Ok(_) => history.unreadable.push((number, "it belongs to another place".to_owned())),
                Err(error) => history.unreadable.push((number, error.to_string())),
            }
        }
        Ok(history)
    }

    /// Records become points again.
    pub(super) async fn restore_points(
        &self,
        history: &History,
        keys: &HashSet<KeyId>,
        nonce: ClaimNonce,
        report: &mut RebuildReport,
    ) -> Outcome<()> {
        let index = self.fresh_index().await?;
        let mut transaction = self.ledger.begin().await?;
        self.row_in_rebuild(transaction.as_mut(), nonce).await?;
        let mut rows: BTreeMap<ItemName, Vec<PointRow>> = BTreeMap::new();
        let mut unauthorised = Vec::new();
        for (entry, bytes) in &history.records {
            match self.read_record(entry, bytes, &index, keys) {
                Ok((row, None)) => rows.entry(row.item.clone()).or_default().push(row),
                Ok((row, Some(why))) => unauthorised.push((row, why)),
                Err(why) => report.set_aside.push(SetAside { point: None, number: entry.number, why }),
            }
        }
        let stray = "it was written by a database that another one had replaced, and never acknowledged";
        let strays = history.strays.iter().map(|number| SetAside { point: None, number: *number, why: stray.to_owned() });
        report.set_aside.extend(strays);
        for (item, points) in rows {
            self.restore_item(transaction.as_mut(), history, item, points, report).await?;
        }
        for (row, why) in unauthorised {
            self.set_aside(transaction.as_mut(), history, row, why, report).await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    /// A point that nobody may have signed: it continues no chain and is never served, but the descriptor that certifies its
    /// agent may only be missing, so what it reaches stays until it is purged.
    async fn set_aside(
        &self,
        transaction: &mut dyn Transaction,
        history: &History,
        row: PointRow,
        why: String,
        report: &mut RebuildReport,
    ) -> Outcome<()> {
        if history.purged.contains(&row.id) {
            report.purged += 1;
            return Ok(());
        }
        report.set_aside.push(SetAside { point: Some(row.id), number: row.number, why });
        // Somebody may have signed another agent's words: its row stays.
        if transaction.point(self.domain, row.id).await?.is_none() {
            transaction.put_point(&PointRow { state: PointRowState::SetAside, ..row }).await?;
        }
        Ok(())
    }

    async fn restore_item(
        &self,
        transaction: &mut dyn Transaction,
        history: &History,
        item: ItemName,
        points: Vec<PointRow>,
        report: &mut RebuildReport,
    ) -> Outcome<()> {
        let newest = points.iter().filter(|row| row.kind == RecordKind::Point).max_by_key(|row| row.sequence);
        let newest = newest.map(|row| (row.id, row.sequence, row.number));
        if let Some((point, sequence, _)) = newest {
            transaction.put_head(&HeadRow { domain: self.domain, item, point, sequence }).await?;
        }
        let mut seen = BTreeSet::new();
        for row in points {
            let dropped = row.kind == RecordKind::Checkpoint && newest.is_some_and(|(_, _, number)| number > row.number);
            if dropped || !seen.insert(row.id) {
                continue;
            }
            if history.purged.contains(&row.id) {
                report.purged += 1;
                continue;
            }
            if row.state == PointRowState::SetAside {
                let why = "parts of it are not in storage".to_owned();
                report.set_aside.push(SetAside { point: Some(row.id), number: row.number, why });
            } else if row.kind == RecordKind::Point {
                report.points += 1;
            }
            transaction.put_point(&row).await?;
        }
        Ok(())
    }

    /// A point's row, and why its agent may not have signed it, if so; or why there is none.
    fn read_record(
        &self,
        entry: &JournalEntry,
        bytes: &[u8],
        index: &Index,
        keys: &HashSet<KeyId>,
    ) -> Result<(PointRow, Option<String>), String> {
        let verified = if sabotaged(Sabotage::RecordIsNotVerified) {
            SignedRecord::parse_unverified(bytes)
        } else {
            SignedRecord::parse(bytes)
        };
        let record = verified.map_err(|error| error.to_string())?;
        if record.body.domain != self.domain {
            return Err("it belongs to another domain".to_owned());
        }
        let Payload::Record { received_ms, .. } = entry.payload else {
            return Err("it is no record".to_owned());
        };
        let whole = index.is_visible(&record.body.root) && keys.contains(&record.body.key);
        let row = PointRow {
            domain: self.domain,
            id: record.id(),
            kind: record.body.kind,
            item: record.body.item.clone(),
            sequence: record.body.sequence,
            root: record.body.root,
            state: if whole { PointRowState::Committed } else { PointRowState::SetAside },
            number: entry.number,
            session: None,
            time_ms: entry.time_ms,
            received_ms,
            purged_at: None,
            record: bytes.to_vec().into(),
        };
        Ok((row, self.lacks_authority(&record)))
    }

    /// Why the record's agent may not have signed it.
    pub(crate) fn lacks_authority(&self, record: &SignedRecord) -> Option<String> {
        let authorised = self.trust.descriptor().authorise(record, true);
        authorised.err().filter(|_| !sabotaged(Sabotage::AgentIsNotAuthorised)).map(|error| error.to_string())
    }
}
