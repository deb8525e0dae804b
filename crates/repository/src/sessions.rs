//! Sessions: opening, packs on their way in, what is missing, and the end without a point.
//!
//! Invariant: what a session may count on is fixed when it opens (its generation and its index), and nothing of that is
//! deleted before it ends.

use crate::environment::Held;
use crate::fault::{Fault, Outcome};
use crate::heavy::compute;
use crate::index::{Index, Table};
use crate::ledger::{
    CondemnedRow, DomainRow, PackRow, PackState, PointRow, PointRowState, SessionKind, SessionRow, SessionState, Transaction,
};
use crate::repository::Inner;
use crate::view::SessionView;
use crate::{Sabotage, sabotaged};
use bytes::Bytes;
use contract::{Error, ErrorKind, ItemHead, OpenSession, PointInfo, PointState, SessionOpened};
use format::blob::BlobKind;
use format::key_object::KeyObject;
use format::pack::{self, ParsedPack};
use format::record::RecordKind;
use format::{BlobId, FooterHash, KeyId, PackName, PointId, SessionId, names};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// Most names issued at once.
const ISSUE_MAX: u32 = 1024;
/// Most ids in one question what is missing.
const MISSING_MAX: usize = 65_536;

/// Places of pages that are seen by nobody, by pack.
type Hidden = BTreeMap<PackName, Vec<u32>>;

impl Inner {
    pub(crate) async fn open_session(&self, request: OpenSession) -> Outcome<SessionOpened> {
        let descriptor = self.trust.descriptor();
        let certified = descriptor.certificates.iter().any(|certificate| {
            certificate.agent == request.agent
                && certificate.domain == self.domain
                && !certificate.retired
                && (certificate.items.is_empty() || certificate.items.contains(&request.item))
        });
        if !certified && !sabotaged(Sabotage::AgentIsNotAuthorised) {
            return Err(Fault::answer(ErrorKind::Denied, format!("the agent is not certified to write item '{}'", request.item)));
        }
        self.recover().await?;
        let session = SessionId(self.environment.random());
        let held = self.hold(session)?;
        let opened = self.insert_write_session(session, &request).await?;
        held.keep();
        Ok(opened)
    }

    pub(crate) fn hold(&self, session: SessionId) -> Outcome<Held> {
        Held::new(&self.environment, session).map_err(cannot_hold)
    }

    /// As `hold`, for what this process itself does.
    pub(crate) fn hold_here(&self, session: SessionId) -> Outcome<Held> {
        Held::here(&self.environment, session).map_err(cannot_hold)
    }

    async fn insert_write_session(&self, session: SessionId, request: &OpenSession) -> Outcome<SessionOpened> {
        let mut transaction = self.ledger.begin().await?;
        let mut domain = self.domain_row(transaction.as_mut()).await?;
        self.fence(domain.incarnation).await?;
        let head = transaction.head(self.domain, &request.item).await?;
        let base = newest_base(transaction.points_of_item(self.domain, &request.item).await?);
        let mut row = self.new_session(&mut domain, session, SessionKind::Write);
        row.item = Some(request.item.clone());
        row.agent = Some(request.agent);
        row.pinned = base.as_ref().map(|base| base.id);
        transaction.put_session(&row).await?;
        transaction.put_domain(&domain).await?;
        let index = Index::load(transaction.as_mut(), self.domain, &self.files, &self.cache).await?;
        transaction.commit().await?;
        let damaged = index.lost_blobs();
        self.views.lock().expect("no panic under this lock").insert(session, Arc::new(SessionView::new(index)));
        Ok(SessionOpened {
            session,
            head: head.map(|head| ItemHead { point: head.point, sequence: head.sequence }),
            base: base.map(|base| point_info(&base, PointState::Committed)),
            damaged,
        })
    }

    pub(crate) fn new_session(&self, domain: &mut DomainRow, id: SessionId, kind: SessionKind) -> SessionRow {
        let number = domain.next_session;
        domain.next_session += 1;
        SessionRow {
            domain: self.domain,
            id,
            number,
            kind,
            state: SessionState::Open,
            item: None,
            agent: None,
            generation: domain.generation,
            pinned: None,
            key: None,
            opened_ms: self.environment.clock.now_ms(),
            lease_until_ms: None,
            point: None,
        }
    }

    /// The session's row, which must be open.
    pub(crate) async fn open_row(&self, transaction: &mut dyn Transaction, session: SessionId) -> Outcome<SessionRow> {
        let row = transaction.session(self.domain, session).await?;
        row.filter(|row| row.state == SessionState::Open && row.kind == SessionKind::Write)
            .ok_or_else(|| Fault::answer(ErrorKind::Conflict, "the session is over or takes no more packs"))
    }

    pub(crate) async fn renew_session(&self, session: SessionId) -> Outcome<()> {
        self.view(session)?;
        let mut transaction = self.ledger.snapshot().await?;
        let domain = self.domain_row(transaction.as_mut()).await?;
        self.open_row(transaction.as_mut(), session).await?;
        drop(transaction);
        self.fence(domain.incarnation).await
    }

    /// Key object: named in the session's row, which keeps collectors from it, then put in two copies, then used.
    pub(crate) async fn put_key(&self, session: SessionId, bytes: Bytes) -> Outcome<KeyId> {
        let view = self.view(session)?;
        let object = KeyObject::parse(&bytes)
            .map_err(|error| Fault::Answer(Error::new(ErrorKind::Invalid, "the key object cannot be read").with_source(error)))?;
        let key = KeyObject::id(&bytes);
        let mut transaction = self.ledger.begin().await?;
        let mut row = self.open_row(transaction.as_mut(), session).await?;
        if object.domain != self.domain || row.key.is_some_and(|known| known != key) {
            return Err(Fault::answer(ErrorKind::Invalid, "a session has one key object, of its own domain"));
        }
        self.refuse_deleted(transaction.as_mut(), key).await?;
        row.key = Some(key);
        transaction.put_session(&row).await?;
        transaction.commit().await?;
        if !sabotaged(Sabotage::KeyObjectIsNotStored) {
            for copy in names::COPIES {
                self.store.put(&self.object(names::key(self.domain, key, copy))?, bytes.clone()).await?;
            }
        }
        view.set_key(key);
        Ok(key)
    }

    pub(crate) async fn issue_packs(&self, session: SessionId, count: u32) -> Outcome<Vec<PackName>> {
        if count == 0 || count > ISSUE_MAX {
            return Err(Fault::answer(ErrorKind::Invalid, format!("1 to {ISSUE_MAX} pack names are issued at once")));
        }
        let mut transaction = self.ledger.begin().await?;
        self.domain_row(transaction.as_mut()).await?;
        self.open_row(transaction.as_mut(), session).await?;
        let mut issued = Vec::with_capacity(count as usize);
        for _ in 0..count {
            let name = PackName(self.environment.random());
            transaction.put_pack(&self.issued_row(name, Some(session))).await?;
            issued.push(name);
        }
        transaction.commit().await?;
        Ok(issued)
    }

    pub(crate) fn issued_row(&self, name: PackName, session: Option<SessionId>) -> PackRow {
        PackRow {
            domain: self.domain,
            name,
            number: 0,
            kind: None,
            state: PackState::Issued,
            session,
            length: 0,
            entries: 0,
            footer_hash: FooterHash([0; 32]),
            recovered: false,
            sightings: 0,
            frame_damaged: false,
            segment: None,
            footer: None,
        }
    }

    pub(crate) async fn put_pack(&self, session: SessionId, name: PackName, bytes: Bytes) -> Outcome<()> {
        let view = self.view(session)?;
        self.make_room_for_own_packs(&view).await?;
        let parsed = self.check_pack(&view, name, &bytes)?;
        let mut transaction = self.ledger.snapshot().await?;
        self.open_row(transaction.as_mut(), session).await?;
        let row = transaction.pack(self.domain, name).await?;
        drop(transaction);
        let row = row.filter(|row| row.session == Some(session));
        let row = row.ok_or_else(|| Fault::answer(ErrorKind::Invalid, "the pack's name was not issued to this session"))?;
        match row.state {
            PackState::Issued => {}
            PackState::Registered | PackState::Proven if row.footer_hash == parsed.footer_hash => {
                // The answer to the first try may have been lost before the view heard of the pack.
                view.add_own(name, Arc::new(Table::tail(parsed.footer)));
                self.merge_own_if_due(&view).await;
                return Ok(());
            }
            _ => return Err(Fault::answer(ErrorKind::Conflict, "another pack was sent under this name")),
        }
        if !sabotaged(Sabotage::PackRegisteredBeforeItIsDurable) {
            self.store.put(&self.object(names::pack(self.domain, name))?, bytes.clone()).await?;
        }
        self.register(session, row, &parsed, &bytes).await?;
        view.add_own(name, Arc::new(Table::tail(parsed.footer)));
        self.merge_own_if_due(&view).await;
        if sabotaged(Sabotage::PackRegisteredBeforeItIsDurable) {
            self.store.put(&self.object(names::pack(self.domain, name))?, bytes).await?;
        }
        Ok(())
    }

    /// Frame, checksums, and that the pack belongs here.
    fn check_pack(&self, view: &SessionView, name: PackName, bytes: &Bytes) -> Outcome<ParsedPack> {
        let parsed = pack::parse(bytes)
            .map_err(|error| Fault::Answer(Error::new(ErrorKind::Invalid, "the pack cannot be read").with_source(error)))?;
        let footer = &parsed.footer;
        if footer.domain != self.domain || footer.name != name || footer.entries.is_empty() {
            return Err(Fault::answer(ErrorKind::Invalid, "the pack is of another domain or name, or empty"));
        }
        if !footer.damaged_entries(bytes).is_empty() {
            return Err(Fault::answer(ErrorKind::Invalid, "the pack was damaged on its way"));
        }
        if view.key().map(|key| vec![key]) != Some(footer.keys.clone()) {
            return Err(Fault::answer(ErrorKind::Invalid, "a session's packs name only the session's own key"));
        }
        Ok(parsed)
    }

    /// The pack is durable: a data pack is proven and seen by every session from now on, a page pack waits for the proof.
    async fn register(&self, session: SessionId, mut row: PackRow, parsed: &ParsedPack, bytes: &Bytes) -> Outcome<()> {
        let mut transaction = self.ledger.begin().await?;
        let mut domain = self.domain_row(transaction.as_mut()).await?;
        self.open_row(transaction.as_mut(), session).await?;
        match transaction.pack(self.domain, row.name).await? {
            Some(now) if now.state == PackState::Issued => {}
            // The same request is under way twice, because its connection broke; the other was faster.
            Some(now)
                if matches!(now.state, PackState::Registered | PackState::Proven) && now.footer_hash == parsed.footer_hash =>
            {
                return Ok(());
            }
            _ => return Err(Fault::answer(ErrorKind::Conflict, "the pack's name is no longer issued")),
        }
        let footer = &parsed.footer;
        row.number = domain.next_pack;
        domain.next_pack += 1;
        row.kind = Some(footer.kind);
        row.state = if footer.kind == BlobKind::Data { PackState::Proven } else { PackState::Registered };
        row.length = bytes.len() as u64;
        row.entries = footer.entries.len() as u32;
        row.footer_hash = parsed.footer_hash;
        let range = parsed.footer_range.start as usize..parsed.footer_range.end as usize;
        row.footer = Some(bytes.slice(range));
        transaction.put_pack(&row).await?;
        transaction.put_domain(&domain).await?;
        transaction.commit().await?;
        Ok(())
    }

    pub(crate) fn missing(&self, session: SessionId, ids: &[BlobId]) -> Outcome<Vec<bool>> {
        if ids.len() > MISSING_MAX {
            return Err(Fault::answer(ErrorKind::Invalid, format!("at most {MISSING_MAX} ids are asked for at once")));
        }
        let view = self.view(session)?;
        Ok(compute(|| view.visible(ids)).into_iter().map(|visible| !visible).collect())
    }

    pub(crate) async fn abandon_session(&self, session: SessionId) -> Outcome<()> {
        if !self.is_session(session, SessionKind::Write).await? && self.view(session).is_err() {
            return Ok(()); // of another domain, or of another kind: not this caller's to end
        }
        let ended = self.end_writer(session).await;
        // Whatever the database answered: this process is done with it, so that others may end it.
        self.forget_view(session);
        self.merge_what_is_left().await;
        ended
    }

    async fn end_writer(&self, session: SessionId) -> Outcome<()> {
        let mut transaction = self.ledger.begin().await?;
        let domain = self.domain_row(transaction.as_mut()).await?;
        let row = transaction.session(self.domain, session).await?;
        if let Some(row) = row.filter(|row| row.state == SessionState::Open && row.kind == SessionKind::Write) {
            self.end_session(transaction.as_mut(), &domain, row).await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    /// Whether a session is of this domain, and of this kind.
    pub(crate) async fn is_session(&self, session: SessionId, kind: SessionKind) -> Outcome<bool> {
        let row = self.ledger.snapshot().await?.session(self.domain, session).await?;
        Ok(row.is_some_and(|row| row.kind == kind))
    }

    /// When a session that has a row was opened.
    pub(crate) async fn opened_ms(&self, session: SessionId) -> Outcome<Option<i64>> {
        let row = self.ledger.snapshot().await?.session(self.domain, session).await?;
        Ok(row.map(|row| row.opened_ms))
    }

    /// Sessions that read or write and are open.
    pub(crate) async fn open_sessions(&self) -> Outcome<Vec<SessionRow>> {
        let mut open = self.ledger.snapshot().await?.sessions(self.domain, SessionState::Open).await?;
        open.retain(|row| row.kind != SessionKind::Collect);
        Ok(open)
    }

    /// Sessions of earlier processes go on where that is possible. Collectors do not: they ended with their process.
    pub(crate) async fn adopt_sessions(&self) -> Outcome<()> {
        let now_ms = self.environment.clock.now_ms();
        for row in self.open_sessions().await? {
            let age_ms = u64::try_from(now_ms.saturating_sub(row.opened_ms)).unwrap_or(0);
            self.environment.liveness.adopt(row.id, Duration::from_millis(age_ms));
        }
        Ok(())
    }

    /// Ends an open session without a point.
    async fn end_session(&self, transaction: &mut dyn Transaction, domain: &DomainRow, mut row: SessionRow) -> Outcome<()> {
        self.unpin(transaction, domain, &row).await?;
        if row.kind != SessionKind::Write {
            transaction.remove_session(self.domain, row.id).await?;
            return Ok(());
        }
        let (hidden, rows) = self.take_unproven(transaction, row.id).await?;
        for (pack, places) in hidden {
            self.condemn_more(transaction, &rows, pack, domain.generation, places).await?;
        }
        row.state = SessionState::Expired;
        row.pinned = None;
        transaction.put_session(&row).await?;
        Ok(())
    }

    /// A purged point that the session pinned was a root until now: second marks of the generation that is being marked count it.
    pub(crate) async fn unpin(&self, transaction: &mut dyn Transaction, domain: &DomainRow, row: &SessionRow) -> Outcome<()> {
        let Some(pinned) = row.pinned else { return Ok(()) };
        let point = transaction.point(self.domain, pinned).await?;
        if let Some(point) = point.filter(|point| point.state == PointRowState::Purged) {
            transaction.put_point(&PointRow { purged_at: Some(domain.marking), ..point }).await?;
        }
        Ok(())
    }

    /// Takes away what hides the pages that the proof of the session's last checkpoint did not reach. Answers their places,
    /// and the other condemned copies.
    pub(crate) async fn take_unproven(
        &self,
        transaction: &mut dyn Transaction,
        session: SessionId,
    ) -> Outcome<(Hidden, Vec<CondemnedRow>)> {
        let own = transaction.packs_of_session(self.domain, session).await?;
        let own: BTreeSet<PackName> = own.iter().map(|pack| pack.name).collect();
        let (mut hidden, mut others) = (Hidden::new(), Vec::new());
        for mut row in transaction.condemned(self.domain).await? {
            if row.generation == CondemnedRow::UNPROVEN && own.contains(&row.pack) {
                hidden.insert(row.pack, std::mem::take(&mut row.places));
                transaction.put_condemned(&row).await?;
            } else {
                others.push(row);
            }
        }
        Ok((hidden, others))
    }

    /// Condemns places beside those that the generation condemned in this pack already, according to `rows`.
    pub(crate) async fn condemn_more(
        &self,
        transaction: &mut dyn Transaction,
        rows: &[CondemnedRow],
        pack: PackName,
        generation: u64,
        mut places: Vec<u32>,
    ) -> Outcome<()> {
        if places.is_empty() {
            return Ok(());
        }
        let there = rows.iter().find(|row| row.pack == pack && row.generation == generation);
        places.extend(there.iter().flat_map(|row| &row.places));
        places.sort_unstable();
        places.dedup();
        transaction.put_condemned(&CondemnedRow { domain: self.domain, pack, generation, places }).await?;
        Ok(())
    }

    /// Ends the sessions whose process is gone.
    pub(crate) async fn end_dead_sessions(&self) -> Outcome<()> {
        let open = self.ledger.snapshot().await?.sessions(self.domain, SessionState::Open).await?;
        let dead: Vec<SessionId> = open.iter().map(|row| row.id).filter(|id| !self.environment.liveness.is_alive(*id)).collect();
        if dead.is_empty() {
            return Ok(());
        }
        let mut transaction = self.ledger.begin().await?;
        let domain = self.domain_row(transaction.as_mut()).await?;
        for id in &dead {
            let row = transaction.session(self.domain, *id).await?;
            if let Some(row) = row.filter(|row| row.state == SessionState::Open) {
                self.end_session(transaction.as_mut(), &domain, row).await?;
            }
        }
        transaction.commit().await?;
        dead.into_iter().for_each(|id| self.forget_view(id));
        self.merge_what_is_left().await;
        Ok(())
    }

    /// Packs of sessions that ended without a point are merged as those of commits are: however many such sessions there were, footers that
    /// no segment covers have a limit.
    async fn merge_what_is_left(&self) {
        if let Err(fault) = self.merge_some_tails().await {
            tracing::warn!(%fault, "cannot merge packs that an ended session left");
        }
    }
}

fn cannot_hold(error: io::Error) -> Fault {
    Fault::Answer(Error::new(ErrorKind::Unavailable, "cannot make the lock file of a session").with_source(error))
}

/// The newest committed point, or a newer checkpoint.
fn newest_base(points: Vec<PointRow>) -> Option<PointRow> {
    points.into_iter().filter(|row| row.state == PointRowState::Committed).max_by_key(|row| row.number)
}

/// A point as callers see it.
pub(crate) fn point_info(row: &PointRow, state: PointState) -> PointInfo {
    debug_assert!(row.kind == RecordKind::Point || state == PointState::Committed);
    PointInfo {
        id: PointId(row.id.0),
        item: row.item.clone(),
        sequence: row.sequence,
        state,
        time_ms: row.time_ms,
        received_ms: row.received_ms,
        record: row.record.clone(),
    }
}
