//! A transaction on one connection.

use super::columns::{Columns, FromColumns, Numbered, encode_places};
use super::connection::failed;
use super::{IDLE_READERS_MAX, Shared, statements as sql};
use crate::ledger::bounds::{Refusal, ascending, integer};
use crate::ledger::{
    CondemnedRow, DamageRow, DomainRow, HeadRow, JournalRow, JournalState, LedgerError, LedgerResult, PackRow, PointRow,
    SegmentRow, SessionRow, SessionState, Transaction,
};
use async_trait::async_trait;
use bytes::Bytes;
use format::{DomainId, ItemName, JournalNumber, PackName, PointId, SessionId};
use sqlx::query::Query;
use sqlx::sqlite::SqliteArguments;
use sqlx::{Sqlite, SqliteConnection, query};
use std::collections::BTreeSet;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};
use tokio::sync::OwnedMutexGuard;

type Statement<'q> = Query<'q, Sqlite, SqliteArguments>;

/// Where the connection goes when the transaction is over.
pub(super) enum Home {
    /// The slot of the writer, with the turn to write.
    Writer(OwnedMutexGuard<Option<SqliteConnection>>),
    Readers,
}

pub(super) struct SqliteTransaction {
    /// Taken when the transaction is over.
    connection: Option<SqliteConnection>,
    shared: Arc<Shared>,
    home: Home,
    /// No statement is under way and none failed or was cancelled. Otherwise nobody knows what the transaction holds, or
    /// whether there still is one: it can only be given up.
    settled: bool,
}

impl SqliteTransaction {
    pub(super) fn new(connection: SqliteConnection, shared: Arc<Shared>, home: Home) -> Self {
        Self { connection: Some(connection), shared, home, settled: true }
    }

    /// The connection, marked as busy until the statement ended well.
    fn busy(&mut self, doing: &'static str) -> LedgerResult<&mut SqliteConnection> {
        if !self.settled {
            let source = "an earlier call of this transaction failed or was cancelled".into();
            return Err(LedgerError::Unavailable { doing, full: false, source });
        }
        self.settled = false;
        Ok(self.connection.as_mut().expect("only the end of the transaction takes the connection"))
    }

    async fn execute(&mut self, doing: &'static str, statement: Statement<'_>) -> LedgerResult<u64> {
        let done = statement.execute(self.busy(doing)?).await;
        let done = done.map_err(|error| failed(doing, &self.shared.file, error))?;
        self.settled = true;
        Ok(done.rows_affected())
    }

    /// Executes a statement that writes.
    async fn write(&mut self, doing: &'static str, statement: Statement<'_>) -> LedgerResult<u64> {
        if matches!(self.home, Home::Readers) {
            return Err(Refusal::Snapshot.to(doing));
        }
        self.execute(doing, statement).await
    }

    async fn one<T: FromColumns>(&mut self, doing: &'static str, statement: Statement<'_>) -> LedgerResult<Option<T>> {
        let row = statement.fetch_optional(self.busy(doing)?).await;
        let row = row.map_err(|error| failed(doing, &self.shared.file, error))?;
        self.settled = true;
        row.map(|row| T::read(&mut Columns::new(&row))).transpose()
    }

    /// All rows, decoded as they come: a raw row takes several times the memory.
    async fn all<T: FromColumns>(&mut self, doing: &'static str, statement: Statement<'_>) -> LedgerResult<Vec<T>> {
        let mut rows = Vec::new();
        let mut stream = statement.fetch(self.busy(doing)?);
        let ended = loop {
            match poll_fn(|context| stream.as_mut().poll_next(context)).await {
                Some(Ok(row)) => rows.push(T::read(&mut Columns::new(&row))?),
                Some(Err(error)) => break Err(error),
                None => break Ok(()),
            }
        };
        drop(stream);
        ended.map_err(|error| failed(doing, &self.shared.file, error))?;
        self.settled = true;
        Ok(rows)
    }

    /// Puts a usable connection back where the next transaction finds it.
    fn give_back(&mut self, connection: SqliteConnection) {
        match &mut self.home {
            Home::Writer(slot) => **slot = Some(connection),
            Home::Readers => {
                let mut idle = self.shared.idle_readers();
                if idle.len() < IDLE_READERS_MAX {
                    idle.push(connection);
                }
            }
        }
    }
}

impl Drop for SqliteTransaction {
    fn drop(&mut self) {
        let Some(mut connection) = self.connection.take() else { return };
        // an unsettled connection is closed instead, which rolls back too
        if self.settled {
            send_rollback(&mut connection);
            self.give_back(connection);
        }
    }
}

/// Hands a rollback to the connection's thread and does not wait: statements are carried out in their order, so it
/// comes before whatever the next transaction asks. Other processes get their turn now, not then.
fn send_rollback(connection: &mut SqliteConnection) {
    let mut rollback = pin!(query("ROLLBACK").execute(connection));
    // The first poll sends it. If it did not, the next BEGIN would find a transaction and the connection would be closed.
    let _ = rollback.as_mut().poll(&mut Context::from_waker(Waker::noop()));
}

fn pack_statement<'q>(text: &'static str, row: &'q PackRow) -> LedgerResult<Statement<'q>> {
    Ok(query(text)
        .bind(&row.domain.0[..])
        .bind(&row.name.0[..])
        .bind(integer(row.number)?)
        .bind(row.kind.map(|kind| kind.number()))
        .bind(row.state.number())
        .bind(row.session.as_ref().map(|session| &session.0[..]))
        .bind(integer(row.length)?)
        .bind(row.entries)
        .bind(&row.footer_hash.0[..])
        .bind(row.recovered)
        .bind(row.sightings)
        .bind(row.frame_damaged)
        .bind(row.segment.map(integer).transpose()?))
}

#[async_trait]
impl Transaction for SqliteTransaction {
    async fn commit(mut self: Box<Self>) -> LedgerResult<()> {
        // a failed commit leaves the transaction unsettled: its connection is closed
        self.execute("commit", query("COMMIT")).await?;
        if let Some(connection) = self.connection.take() {
            self.give_back(connection);
        }
        Ok(())
    }

    async fn domain(&mut self, domain: DomainId) -> LedgerResult<Option<DomainRow>> {
        self.one("read a domain", query(sql::DOMAIN).bind(&domain.0[..])).await
    }

    async fn put_domain(&mut self, row: &DomainRow) -> LedgerResult<()> {
        let statement = query(sql::PUT_DOMAIN)
            .bind(&row.domain.0[..])
            .bind(integer(row.incarnation.0)?)
            .bind(&row.nonce.0[..])
            .bind(row.ready)
            .bind(integer(row.next_number.0)?)
            .bind(integer(row.next_pack)?)
            .bind(integer(row.next_session)?)
            .bind(integer(row.next_segment)?)
            .bind(integer(row.marking)?)
            .bind(integer(row.generation)?);
        self.write("store a domain", statement).await.map(drop)
    }

    async fn erase_domain(&mut self, domain: DomainId) -> LedgerResult<()> {
        for statement in sql::ERASE {
            self.write("erase a domain", query(statement).bind(&domain.0[..])).await?;
        }
        Ok(())
    }

    async fn session(&mut self, domain: DomainId, session: SessionId) -> LedgerResult<Option<SessionRow>> {
        let statement = query(sql::SESSION).bind(&domain.0[..]).bind(&session.0[..]);
        self.one("read a session", statement).await
    }

    async fn put_session(&mut self, row: &SessionRow) -> LedgerResult<()> {
        let statement = query(sql::PUT_SESSION)
            .bind(&row.domain.0[..])
            .bind(&row.id.0[..])
            .bind(integer(row.number)?)
            .bind(row.kind.number())
            .bind(row.state.number())
            .bind(row.item.as_ref().map(ItemName::as_str))
            .bind(row.agent.as_ref().map(|agent| &agent.0[..]))
            .bind(integer(row.generation)?)
            .bind(row.pinned.as_ref().map(|point| &point.0[..]))
            .bind(row.key.as_ref().map(|key| &key.0[..]))
            .bind(row.opened_ms)
            .bind(row.lease_until_ms)
            .bind(row.point.as_ref().map(|point| &point.0[..]));
        self.write("store a session", statement).await.map(drop)
    }

    async fn sessions(&mut self, domain: DomainId, state: SessionState) -> LedgerResult<Vec<SessionRow>> {
        let statement = query(sql::SESSIONS).bind(&domain.0[..]).bind(state.number());
        self.all("read sessions", statement).await
    }

    async fn remove_session(&mut self, domain: DomainId, session: SessionId) -> LedgerResult<()> {
        let statement = query(sql::REMOVE_SESSION).bind(&domain.0[..]).bind(&session.0[..]);
        self.write("remove a session", statement).await.map(drop)
    }

    async fn pack(&mut self, domain: DomainId, pack: PackName) -> LedgerResult<Option<PackRow>> {
        self.one("read a pack", query(sql::PACK).bind(&domain.0[..]).bind(&pack.0[..])).await
    }

    async fn pack_alone(&mut self, domain: DomainId, pack: PackName) -> LedgerResult<Option<PackRow>> {
        self.one("read a pack", query(sql::PACK_ALONE).bind(&domain.0[..]).bind(&pack.0[..])).await
    }

    async fn put_pack(&mut self, row: &PackRow) -> LedgerResult<()> {
        self.write("store a pack", pack_statement(sql::PUT_PACK, row)?).await?;
        let text = if row.footer.is_some() { sql::PUT_FOOTER } else { sql::REMOVE_FOOTER };
        let mut statement = query(text).bind(&row.domain.0[..]).bind(&row.name.0[..]);
        if let Some(footer) = &row.footer {
            statement = statement.bind(&footer[..]);
        }
        self.write("store a pack's footer", statement).await.map(drop)
    }

    async fn update_pack(&mut self, row: &PackRow) -> LedgerResult<()> {
        match self.write("update a pack", pack_statement(sql::UPDATE_PACK, row)?).await? {
            0 => Err(Refusal::Absent.to("update a pack")),
            _ => Ok(()),
        }
    }

    async fn move_packs(&mut self, domain: DomainId, from: &BTreeSet<u64>, to: u64) -> LedgerResult<u64> {
        // no row has an id that was never let in
        let from: Vec<String> =
            from.iter().filter_map(|segment| integer(*segment).ok()).map(|segment| segment.to_string()).collect();
        let from = format!("[{}]", from.join(","));
        let statement = query(sql::MOVE_PACKS).bind(&domain.0[..]).bind(from).bind(integer(to)?);
        self.write("move packs to another index segment", statement).await
    }

    async fn packs(&mut self, domain: DomainId) -> LedgerResult<Vec<PackRow>> {
        self.all("read packs", query(sql::PACKS).bind(&domain.0[..])).await
    }

    async fn packs_of_session(&mut self, domain: DomainId, session: SessionId) -> LedgerResult<Vec<PackRow>> {
        let statement = query(sql::PACKS_OF_SESSION).bind(&domain.0[..]).bind(&session.0[..]);
        self.all("read a session's packs", statement).await
    }

    async fn tails(&mut self, domain: DomainId) -> LedgerResult<Vec<PackRow>> {
        self.all("read packs outside of segments", query(sql::TAILS).bind(&domain.0[..])).await
    }

    async fn remove_pack(&mut self, domain: DomainId, pack: PackName) -> LedgerResult<()> {
        self.write("remove a pack", query(sql::REMOVE_PACK).bind(&domain.0[..]).bind(&pack.0[..])).await.map(drop)
    }

    async fn condemned(&mut self, domain: DomainId) -> LedgerResult<Vec<CondemnedRow>> {
        self.all("read condemned copies", query(sql::CONDEMNED).bind(&domain.0[..])).await
    }

    async fn put_condemned(&mut self, row: &CondemnedRow) -> LedgerResult<()> {
        ascending(&row.places)?;
        let text = if row.places.is_empty() { sql::REMOVE_CONDEMNED_GENERATION } else { sql::PUT_CONDEMNED };
        let mut statement = query(text).bind(&row.domain.0[..]).bind(&row.pack.0[..]).bind(integer(row.generation)?);
        if !row.places.is_empty() {
            statement = statement.bind(encode_places(&row.places));
        }
        self.write("store condemned copies", statement).await.map(drop)
    }

    async fn remove_condemned(&mut self, domain: DomainId, pack: PackName) -> LedgerResult<()> {
        let statement = query(sql::REMOVE_CONDEMNED).bind(&domain.0[..]).bind(&pack.0[..]);
        self.write("remove condemned copies", statement).await.map(drop)
    }

    async fn damage(&mut self, domain: DomainId) -> LedgerResult<Vec<DamageRow>> {
        self.all("read damage", query(sql::DAMAGE).bind(&domain.0[..])).await
    }

    async fn damage_of_pack(&mut self, domain: DomainId, pack: PackName) -> LedgerResult<Vec<DamageRow>> {
        self.all("read damage", query(sql::DAMAGE_OF_PACK).bind(&domain.0[..]).bind(&pack.0[..])).await
    }

    async fn put_damage(&mut self, row: &DamageRow) -> LedgerResult<()> {
        let statement = query(sql::PUT_DAMAGE)
            .bind(&row.domain.0[..])
            .bind(&row.pack.0[..])
            .bind(row.place)
            .bind(&row.blob.0[..])
            .bind(row.source.number());
        self.write("store damage", statement).await.map(drop)
    }

    async fn remove_damage(&mut self, domain: DomainId, pack: PackName) -> LedgerResult<()> {
        let statement = query(sql::REMOVE_DAMAGE).bind(&domain.0[..]).bind(&pack.0[..]);
        self.write("remove damage", statement).await.map(drop)
    }

    async fn point(&mut self, domain: DomainId, point: PointId) -> LedgerResult<Option<PointRow>> {
        self.one("read a point", query(sql::POINT).bind(&domain.0[..]).bind(&point.0[..])).await
    }

    async fn put_point(&mut self, row: &PointRow) -> LedgerResult<()> {
        let statement = query(sql::PUT_POINT)
            .bind(&row.domain.0[..])
            .bind(&row.id.0[..])
            .bind(row.kind.number())
            .bind(row.item.as_str())
            .bind(integer(row.sequence.0)?)
            .bind(&row.root.0[..])
            .bind(row.state.number())
            .bind(integer(row.number.0)?)
            .bind(row.session.as_ref().map(|session| &session.0[..]))
            .bind(row.time_ms)
            .bind(row.received_ms)
            .bind(row.purged_at.map(integer).transpose()?)
            .bind(&row.record[..]);
        self.write("store a point", statement).await.map(drop)
    }

    async fn points(&mut self, domain: DomainId) -> LedgerResult<Vec<PointRow>> {
        self.all("read points", query(sql::POINTS).bind(&domain.0[..])).await
    }

    async fn points_of_item(&mut self, domain: DomainId, item: &ItemName) -> LedgerResult<Vec<PointRow>> {
        let statement = query(sql::POINTS_OF_ITEM).bind(&domain.0[..]).bind(item.as_str());
        self.all("read an item's points", statement).await
    }

    async fn remove_point(&mut self, domain: DomainId, point: PointId) -> LedgerResult<()> {
        self.write("remove a point", query(sql::REMOVE_POINT).bind(&domain.0[..]).bind(&point.0[..])).await.map(drop)
    }

    async fn head(&mut self, domain: DomainId, item: &ItemName) -> LedgerResult<Option<HeadRow>> {
        let statement = query(sql::HEAD).bind(&domain.0[..]).bind(item.as_str());
        self.one("read an item's head", statement).await
    }

    async fn put_head(&mut self, row: &HeadRow) -> LedgerResult<()> {
        let statement = query(sql::PUT_HEAD)
            .bind(&row.domain.0[..])
            .bind(row.item.as_str())
            .bind(&row.point.0[..])
            .bind(integer(row.sequence.0)?);
        self.write("store an item's head", statement).await.map(drop)
    }

    async fn journal(&mut self, domain: DomainId, number: JournalNumber) -> LedgerResult<Option<JournalRow>> {
        // no row has a number that was never let in
        let Ok(number) = integer(number.0) else { return Ok(None) };
        let statement = query(sql::JOURNAL).bind(&domain.0[..]).bind(number);
        self.one("read a journal entry", statement).await
    }

    async fn put_journal(&mut self, row: &JournalRow) -> LedgerResult<()> {
        let statement = query(sql::PUT_JOURNAL)
            .bind(&row.domain.0[..])
            .bind(integer(row.number.0)?)
            .bind(row.state.number())
            .bind(&row.bytes[..]);
        self.write("store a journal entry", statement).await.map(drop)
    }

    async fn journal_in(&mut self, domain: DomainId, state: JournalState) -> LedgerResult<Vec<JournalRow>> {
        let statement = query(sql::JOURNAL_IN).bind(&domain.0[..]).bind(state.number());
        self.all("read the journal", statement).await
    }

    async fn segments(&mut self, domain: DomainId) -> LedgerResult<Vec<SegmentRow>> {
        self.all("read index segments", query(sql::SEGMENTS).bind(&domain.0[..])).await
    }

    async fn put_segment(&mut self, row: &SegmentRow) -> LedgerResult<()> {
        let statement = query(sql::PUT_SEGMENT)
            .bind(&row.domain.0[..])
            .bind(integer(row.id)?)
            .bind(integer(row.packs)?)
            .bind(integer(row.entries)?);
        match self.write("insert an index segment", statement).await? {
            0 => Err(Refusal::Exists.to("insert an index segment")),
            _ => Ok(()),
        }
    }

    async fn remove_segment(&mut self, domain: DomainId, segment: u64) -> LedgerResult<()> {
        // no row has an id that was never let in
        let segment = integer(segment).unwrap_or(-1);
        let statement = query(sql::REMOVE_SEGMENT).bind(&domain.0[..]).bind(segment);
        self.write("remove an index segment", statement).await.map(drop)
    }

    async fn setting(&mut self, name: &str) -> LedgerResult<Option<Bytes>> {
        self.one("read a setting", query(sql::SETTING).bind(name)).await
    }

    async fn put_setting(&mut self, name: &str, value: Option<Bytes>) -> LedgerResult<()> {
        let statement = match &value {
            Some(value) => query(sql::PUT_SETTING).bind(name).bind(&value[..]),
            None => query(sql::REMOVE_SETTING).bind(name),
        };
        self.write("store a setting", statement).await.map(drop)
    }
}
