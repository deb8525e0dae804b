//! Commit: the proof that everything a point reaches is there, and the steps that make it durable.
//!
//! "The proof of completeness": a page in a proven pack that is visible had all its links resolved when it was proven, and
//! nothing that it reaches is deleted while a session that sees it is open (see `collect`). So it is enough that the root
//! and every link of the session's own pages resolve in what the session sees. Packs that were registered behind the proof's
//! back are not proven by it.

use crate::fault::{Fault, Outcome};
use crate::heavy::compute;
use crate::ledger::{
    CondemnedRow, DomainRow, HeadRow, JournalRow, JournalState, PackRow, PackState, PointRow, PointRowState, SessionKind,
    SessionRow, SessionState, Transaction,
};
use crate::proof::{Unreached, prove};
use crate::repository::Inner;
use crate::view::SessionView;
use crate::{Sabotage, sabotaged};
use bytes::Bytes;
use contract::{Committed, Error, ErrorKind, ItemHead};
use format::journal::{JournalEntry, Payload};
use format::record::{RecordKind, SignedRecord};
use format::{BlobId, ItemName, PackName, Sequence, SessionId};
use std::collections::BTreeSet;

/// What a proof covers.
struct Proof {
    /// The session's own packs.
    packs: BTreeSet<PackName>,
    /// Pages in them that the root does not reach.
    unreached: Unreached,
}

impl Inner {
    /// Commits a point (the session ends) or a checkpoint (it goes on).
    pub(crate) async fn commit(&self, session: SessionId, bytes: Bytes, kind: RecordKind) -> Outcome<Committed> {
        let record = parse_record(&bytes)?;
        if let Some(committed) = self.committed_before(session, &record).await? {
            return Ok(committed);
        }
        let row = self.ledger.snapshot().await?.session(self.domain, session).await?;
        let row = row.filter(|row| row.kind == SessionKind::Write && row.state == SessionState::Open);
        let row = row.ok_or_else(|| Fault::answer(ErrorKind::Conflict, "the session is over or commits another record"))?;
        self.check_record(&row, &record, kind)?;
        let view = self.view(session)?;
        if view.key() != Some(record.body.key) {
            return Err(Fault::answer(ErrorKind::Invalid, "the session's key object is not stored yet"));
        }
        let proof = compute(|| self.prove(&view, record.body.root))?;
        let (entry, committed) = match self.enter_record(session, &record, &bytes, proof).await {
            Ok(entered) => entered,
            // The same request may have been under way twice.
            Err(fault) => return self.committed_before(session, &record).await?.ok_or(fault),
        };
        if sabotaged(Sabotage::AcknowledgeBeforeRecordIsDurable) {
            self.conclude(&entry).await?;
            return Ok(committed);
        }
        self.make_durable(&entry).await?;
        self.conclude(&entry).await?;
        self.fence(JournalEntry::parse(&entry.bytes)?.incarnation).await?;
        if kind == RecordKind::Point {
            self.forget_view(session);
            if let Err(fault) = self.merge_some().await {
                // The point is committed all the same; the next one merges.
                tracing::warn!(%fault, "cannot merge footers into an index segment");
            }
        }
        self.forget_index();
        Ok(committed)
    }

    /// The record was entered before, by this request's first try: finish what is pending, answer the same.
    async fn committed_before(&self, session: SessionId, record: &SignedRecord) -> Outcome<Option<Committed>> {
        if self.ledger.snapshot().await?.point(self.domain, record.id()).await?.is_none() {
            return Ok(None);
        }
        self.recover().await?;
        let mut transaction = self.ledger.snapshot().await?;
        let domain = self.domain_row(transaction.as_mut()).await?;
        let point = transaction.point(self.domain, record.id()).await?;
        drop(transaction);
        let point = match point {
            Some(point) if matches!(point.state, PointRowState::Committed | PointRowState::SoftDeleted) => point,
            // Dropped by a point since.
            Some(point) if point.kind == RecordKind::Checkpoint && point.state == PointRowState::Purged => point,
            Some(point) if point.state == PointRowState::SetAside => {
                return Err(Fault::answer(ErrorKind::Conflict, "the point was set aside: parts of it are not in storage"));
            }
            _ => return Err(Fault::answer(ErrorKind::NotFound, "the point was purged")),
        };
        self.fence(domain.incarnation).await?;
        if point.session == Some(session) && point.kind == RecordKind::Point {
            self.forget_view(session);
        }
        self.forget_index();
        Ok(Some(Committed { point: point.id, number: point.number, time_ms: point.time_ms }))
    }

    fn check_record(&self, row: &SessionRow, record: &SignedRecord, kind: RecordKind) -> Outcome<()> {
        let body = &record.body;
        let fits = body.kind == kind
            && body.domain == self.domain
            && Some(&body.item) == row.item.as_ref()
            && Some(record.agent) == row.agent
            && Some(body.key) == row.key;
        if !fits {
            return Err(Fault::answer(ErrorKind::Invalid, "the record does not belong to this session"));
        }
        if sabotaged(Sabotage::AgentIsNotAuthorised) {
            return Ok(());
        }
        self.trust.descriptor().authorise(record, false).map_err(|error| {
            Fault::Answer(Error::new(ErrorKind::Denied, "the record is not signed by an agent that may").with_source(error))
        })
    }

    /// The proof of completeness.
    fn prove(&self, view: &SessionView, root: BlobId) -> Outcome<Proof> {
        let own = view.own_tables();
        let packs = own.packs();
        if sabotaged(Sabotage::CommitWithoutProof) {
            return Ok(Proof { packs, unreached: Unreached::new() });
        }
        let unreached = prove(&own, root, |ids| view.index.visible(ids)).map_err(|id| incomplete(&id))?;
        Ok(Proof { packs, unreached })
    }

    /// The first transaction: the point is pending, which makes it a root, and the head moves with it.
    async fn enter_record(
        &self,
        session: SessionId,
        record: &SignedRecord,
        bytes: &Bytes,
        proof: Proof,
    ) -> Outcome<(JournalRow, Committed)> {
        let body = &record.body;
        let mut transaction = self.ledger.begin().await?;
        let mut domain = self.domain_row(transaction.as_mut()).await?;
        let mut row = self.open_row(transaction.as_mut(), session).await?;
        self.check_head(transaction.as_mut(), record).await?;
        if transaction.point(self.domain, record.id()).await?.is_some() {
            return Err(Fault::answer(ErrorKind::Conflict, "this record was committed before"));
        }
        self.prove_packs(transaction.as_mut(), &domain, session, body.kind, proof).await?;
        let now = self.environment.clock.now_ms();
        let payload = Payload::Record { received_ms: now, record: bytes.to_vec() };
        let entry = self.enter(transaction.as_mut(), &mut domain, now, payload).await?;
        transaction
            .put_point(&PointRow {
                domain: self.domain,
                id: record.id(),
                kind: body.kind,
                item: body.item.clone(),
                sequence: body.sequence,
                root: body.root,
                state: PointRowState::Pending,
                number: entry.number,
                session: Some(session),
                time_ms: now,
                received_ms: now,
                purged_at: None,
                record: bytes.clone(),
            })
            .await?;
        if body.kind == RecordKind::Point {
            row.state = SessionState::Committing;
            row.point = Some(record.id());
            transaction.put_session(&row).await?;
            let head = HeadRow { domain: self.domain, item: body.item.clone(), point: record.id(), sequence: body.sequence };
            transaction.put_head(&head).await?;
        }
        transaction.commit().await?;
        let committed = Committed { point: record.id(), number: entry.number, time_ms: now };
        Ok((entry, committed))
    }

    /// The record must continue the item's chain.
    async fn check_head(&self, transaction: &mut dyn Transaction, record: &SignedRecord) -> Outcome<()> {
        let head = transaction.head(self.domain, &record.body.item).await?;
        let expected = (head.as_ref().map(|head| head.point), head.as_ref().map_or(Sequence(1), |head| head.sequence.next()));
        if (record.body.previous, record.body.sequence) == expected {
            return Ok(());
        }
        Err(Fault::answer(
            ErrorKind::Conflict,
            "another point of the item was committed meanwhile; sign the record anew on top of it",
        ))
    }

    pub(crate) async fn head(&self, item: &ItemName) -> Outcome<Option<ItemHead>> {
        let head = self.ledger.snapshot().await?.head(self.domain, item).await?;
        Ok(head.map(|head| ItemHead { point: head.point, sequence: head.sequence }))
    }

    /// The session's page packs are proven; pages that the root does not reach are seen by nobody.
    ///
    /// Why they must not be: their links were resolved for this session, which may see copies that are condemned already.
    /// What the root reaches is kept by the second mark; what it does not reach is not, so no later session may rest on it.
    /// Pages that a checkpoint reached before stay as they are: others may rest on them, and the checkpoint is a root.
    async fn prove_packs(
        &self,
        transaction: &mut dyn Transaction,
        domain: &DomainRow,
        session: SessionId,
        kind: RecordKind,
        mut proof: Proof,
    ) -> Outcome<()> {
        let (hidden, rows) = self.take_unproven(transaction, session).await?;
        let generation = if kind == RecordKind::Point { domain.generation } else { CondemnedRow::UNPROVEN };
        for pack in transaction.packs_of_session(self.domain, session).await? {
            if !proof.packs.remove(&pack.name) {
                continue;
            }
            let mut unreached = proof.unreached.remove(&pack.name).unwrap_or_default();
            if pack.state == PackState::Proven {
                let hidden = hidden.get(&pack.name).map(Vec::as_slice).unwrap_or_default();
                unreached.retain(|place| hidden.binary_search(place).is_ok());
            }
            let name = pack.name;
            if pack.state == PackState::Registered {
                transaction.update_pack(&PackRow { state: PackState::Proven, ..pack }).await?;
            }
            if !sabotaged(Sabotage::UnreachedPagesStayVisible) {
                self.condemn_more(transaction, &rows, name, generation, unreached).await?;
            }
        }
        if proof.packs.is_empty() {
            Ok(())
        } else {
            Err(Fault::answer(ErrorKind::Conflict, "the database lost packs of the session"))
        }
    }

    /// The record is durable: the point is committed, and older checkpoints of the item are dropped.
    pub(crate) async fn conclude_record(&self, entry: &JournalRow) -> Outcome<()> {
        let mut transaction = self.ledger.begin().await?;
        if sabotaged(Sabotage::AcknowledgeBeforeRecordIsDurable) {
            let row = JournalRow { state: JournalState::Done, ..entry.clone() };
            transaction.put_journal(&row).await?;
        } else if !self.finish_entry(transaction.as_mut(), entry.number).await? {
            return Ok(());
        }
        let Payload::Record { record, .. } = JournalEntry::parse(&entry.bytes)?.payload else {
            return Err(Fault::answer(ErrorKind::Internal, "a record's journal entry holds no record"));
        };
        let id = SignedRecord::parse(&record)?.id();
        let domain = self.domain_row(transaction.as_mut()).await?;
        let Some(mut point) = transaction.point(self.domain, id).await? else {
            return Err(Fault::answer(ErrorKind::Internal, "a pending point has no row"));
        };
        if point.state == PointRowState::Pending {
            point.state = PointRowState::Committed;
            transaction.put_point(&point).await?;
        }
        if point.kind == RecordKind::Checkpoint {
            self.drop_overtaken(transaction.as_mut(), &domain, &point).await?;
        }
        if point.kind == RecordKind::Point {
            self.end_committed_session(transaction.as_mut(), &domain, &point).await?;
            self.drop_checkpoints(transaction.as_mut(), &domain, &point).await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    async fn end_committed_session(
        &self,
        transaction: &mut dyn Transaction,
        domain: &DomainRow,
        point: &PointRow,
    ) -> Outcome<()> {
        let Some(session) = point.session else { return Ok(()) };
        if let Some(mut row) = transaction.session(self.domain, session).await? {
            self.unpin(transaction, domain, &row).await?;
            row.state = SessionState::Committed;
            row.pinned = None;
            transaction.put_session(&row).await?;
        }
        Ok(())
    }

    /// A point of the item with a higher number may have been concluded before this checkpoint.
    async fn drop_overtaken(&self, transaction: &mut dyn Transaction, domain: &DomainRow, checkpoint: &PointRow) -> Outcome<()> {
        let points = transaction.points_of_item(self.domain, &checkpoint.item).await?;
        let newer = |row: &PointRow| {
            row.kind == RecordKind::Point && row.number > checkpoint.number && row.state != PointRowState::Pending
        };
        if points.iter().any(newer) {
            let dropped = PointRow { state: PointRowState::Purged, purged_at: Some(domain.marking), ..checkpoint.clone() };
            transaction.put_point(&dropped).await?;
        }
        Ok(())
    }

    async fn drop_checkpoints(&self, transaction: &mut dyn Transaction, domain: &DomainRow, point: &PointRow) -> Outcome<()> {
        // Also those that were set aside: a rebuild would drop them now.
        let may_go = |state| matches!(state, PointRowState::Committed | PointRowState::SetAside);
        for mut older in transaction.points_of_item(self.domain, &point.item).await? {
            if older.kind == RecordKind::Checkpoint && older.number < point.number && may_go(older.state) {
                older.state = PointRowState::Purged;
                older.purged_at = Some(domain.marking);
                transaction.put_point(&older).await?;
            }
        }
        Ok(())
    }
}

fn parse_record(bytes: &Bytes) -> Outcome<SignedRecord> {
    if sabotaged(Sabotage::RecordIsNotVerified) {
        return Ok(SignedRecord::parse_unverified(bytes)?);
    }
    SignedRecord::parse(bytes).map_err(|error| {
        Fault::Answer(Error::new(ErrorKind::Denied, "the record is not signed as it must be").with_source(error))
    })
}

fn incomplete(id: &BlobId) -> Fault {
    Fault::answer(
        ErrorKind::Conflict,
        format!("the point is not complete: blob {id} is not in any pack that the session may count on"),
    )
}
