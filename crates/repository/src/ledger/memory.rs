//! The deterministic ledger of the simulation: rows in ordered maps, shared by everybody who holds a clone.
//!
//! It keeps time with nothing and runs on any executor. A transaction collects its changes and applies them at commit,
//! so that commit costs what was changed; a table is copied only if it changes while a snapshot or a saved state holds it.

use super::bounds::{Refusal, ascending, integers};
use super::{
    CondemnedRow, DamageRow, DomainRow, HeadRow, JournalRow, JournalState, Ledger, LedgerError, LedgerResult, PackRow, PackState,
    PointRow, SegmentRow, SessionRow, SessionState, Transaction,
};
use async_trait::async_trait;
use bytes::Bytes;
use format::{DomainId, ItemName, JournalNumber, PackName, PointId, SessionId};
use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

/// What happens to one commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommitFault {
    /// It succeeds.
    None,
    /// It fails and left nothing.
    FailBefore,
    /// It took effect, and still fails.
    FailAfter,
}

/// Decides about each commit that changes something.
pub type CommitHook = Arc<dyn Fn() -> CommitFault + Send + Sync>;

/// A ledger in memory. Clones share one database, as processes share a file.
#[derive(Clone, Default)]
pub struct MemoryLedger {
    database: Arc<Mutex<Database>>,
    writer: Arc<AsyncMutex<()>>,
}

/// A state that a ledger can be brought back to.
#[derive(Clone, Default)]
pub struct MemorySnapshot {
    tables: Tables,
}

#[derive(Default)]
struct Database {
    tables: Tables,
    /// Goes up when the tables are replaced as a whole: transactions from before cannot commit.
    epoch: u64,
    commits: u64,
    hook: Option<CommitHook>,
}

impl MemoryLedger {
    /// An empty ledger.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets `hook` decide about each commit that changes something; such a commit is one durable step.
    pub fn set_commit_fault(&self, hook: CommitHook) {
        self.lock().hook = Some(hook);
    }

    /// Commits that took effect so far.
    #[must_use]
    pub fn commits(&self) -> u64 {
        self.lock().commits
    }

    /// The state now, without what running transactions have changed.
    #[must_use]
    pub fn save(&self) -> MemorySnapshot {
        MemorySnapshot { tables: self.lock().tables.clone() }
    }

    /// Brings the whole database back to `state`. Transactions that are running cannot commit any more.
    pub fn restore(&self, state: MemorySnapshot) {
        let mut database = self.lock();
        database.tables = state.tables;
        database.epoch += 1;
    }

    /// A copy of the database that goes its own way.
    #[must_use]
    pub fn fork(&self) -> Self {
        let copy = Self::new();
        copy.restore(self.save());
        copy
    }

    fn lock(&self) -> MutexGuard<'_, Database> {
        self.database.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn transaction(&self, turn: Option<OwnedMutexGuard<()>>) -> Box<MemoryTransaction> {
        let database = self.lock();
        Box::new(MemoryTransaction { ledger: self.clone(), epoch: database.epoch, views: database.tables.view(), turn })
    }
}

#[async_trait]
impl Ledger for MemoryLedger {
    async fn begin(&self) -> LedgerResult<Box<dyn Transaction>> {
        let turn = Arc::clone(&self.writer).lock_owned().await;
        Ok(self.transaction(Some(turn)))
    }

    async fn snapshot(&self) -> LedgerResult<Box<dyn Transaction>> {
        Ok(self.transaction(None))
    }
}

type Rows<K, V> = Arc<BTreeMap<K, Arc<V>>>;

/// One table as a transaction sees it.
struct View<K, V> {
    committed: Rows<K, V>,
    /// What was put, or `None` where something was removed.
    changed: BTreeMap<K, Option<Arc<V>>>,
}

impl<K: Ord + Clone, V: Clone> View<K, V> {
    fn of(committed: &Rows<K, V>) -> Self {
        Self { committed: Arc::clone(committed), changed: BTreeMap::new() }
    }

    fn get(&self, key: &K) -> Option<V> {
        match self.changed.get(key) {
            Some(changed) => changed.as_deref().cloned(),
            None => self.committed.get(key).map(|row| V::clone(row)),
        }
    }

    fn put(&mut self, key: K, row: V) {
        self.changed.insert(key, Some(Arc::new(row)));
    }

    fn remove(&mut self, key: &K) {
        if self.committed.contains_key(key) {
            self.changed.insert(key.clone(), None);
        } else {
            self.changed.remove(key);
        }
    }

    fn entries(&self) -> impl Iterator<Item = (&K, &V)> {
        let kept = self.committed.iter().filter(|(key, _)| !self.changed.contains_key(key)).map(|(key, row)| (key, &**row));
        kept.chain(self.changed.iter().filter_map(|(key, row)| Some((key, &**row.as_ref()?))))
    }

    /// Rows that `wanted` keeps, by `order`.
    fn rows<O: Ord>(&self, wanted: impl Fn(&V) -> bool, order: impl Fn(&V) -> O) -> Vec<V> {
        let mut rows: Vec<&V> = self.entries().map(|(_, row)| row).filter(|row| wanted(row)).collect();
        rows.sort_by_key(|row| order(row));
        rows.into_iter().cloned().collect()
    }

    fn remove_where(&mut self, unwanted: impl Fn(&V) -> bool) {
        let keys: Vec<K> = self.entries().filter(|(_, row)| unwanted(row)).map(|(key, _)| key.clone()).collect();
        keys.iter().for_each(|key| self.remove(key));
    }

    fn apply(self, rows: &mut Rows<K, V>) {
        let Self { committed, changed } = self;
        // without this reference the table is changed in place
        drop(committed);
        if changed.is_empty() {
            return;
        }
        let rows = Arc::make_mut(rows);
        for (key, row) in changed {
            match row {
                Some(row) => drop(rows.insert(key, row)),
                None => drop(rows.remove(&key)),
            }
        }
    }
}

macro_rules! tables {
    ($($name:ident: $key:ty => $row:ty,)*) => {
        #[derive(Clone, Default)]
        struct Tables { $($name: Rows<$key, $row>,)* }

        struct Views { $($name: View<$key, $row>,)* }

        impl Tables {
            fn view(&self) -> Views {
                Views { $($name: View::of(&self.$name),)* }
            }
        }

        impl Views {
            fn is_unchanged(&self) -> bool {
                $(self.$name.changed.is_empty())&&*
            }

            fn apply(self, tables: &mut Tables) {
                $(self.$name.apply(&mut tables.$name);)*
            }
        }
    };
}

tables! {
    domains: DomainId => DomainRow,
    sessions: (DomainId, SessionId) => SessionRow,
    packs: (DomainId, PackName) => PackRow,
    condemned: (DomainId, PackName, u64) => CondemnedRow,
    damage: (DomainId, PackName, u32) => DamageRow,
    points: (DomainId, PointId) => PointRow,
    heads: (DomainId, ItemName) => HeadRow,
    journal: (DomainId, JournalNumber) => JournalRow,
    segments: (DomainId, u64) => SegmentRow,
    settings: String => Bytes,
}

struct MemoryTransaction {
    ledger: MemoryLedger,
    epoch: u64,
    views: Views,
    /// The right to write; a snapshot has none.
    turn: Option<OwnedMutexGuard<()>>,
}

impl MemoryTransaction {
    fn write(&mut self) -> LedgerResult<&mut Views> {
        if self.turn.is_none() { Err(Refusal::Snapshot.to("write")) } else { Ok(&mut self.views) }
    }
}

fn not_committed(why: &'static str) -> LedgerError {
    LedgerError::Unavailable { doing: "commit", full: false, source: why.into() }
}

#[async_trait]
impl Transaction for MemoryTransaction {
    async fn commit(self: Box<Self>) -> LedgerResult<()> {
        let Self { ledger, epoch, views, turn: _turn } = *self;
        if views.is_unchanged() {
            return Ok(());
        }
        // called without the lock, so that the hook may look at the ledger
        let hook = ledger.lock().hook.clone();
        let fault = hook.map_or(CommitFault::None, |hook| hook());
        if fault == CommitFault::FailBefore {
            return Err(not_committed("simulated failure before the commit"));
        }
        let mut database = ledger.lock();
        if database.epoch != epoch {
            return Err(not_committed("the database was brought back to another state"));
        }
        views.apply(&mut database.tables);
        database.commits += 1;
        if fault == CommitFault::FailAfter { Err(not_committed("simulated failure after the commit")) } else { Ok(()) }
    }

    async fn domain(&mut self, domain: DomainId) -> LedgerResult<Option<DomainRow>> {
        Ok(self.views.domains.get(&domain))
    }

    async fn put_domain(&mut self, row: &DomainRow) -> LedgerResult<()> {
        let views = self.write()?;
        integers([row.incarnation.0, row.next_number.0, row.next_pack, row.next_session, row.next_segment])?;
        integers([row.marking, row.generation])?;
        views.domains.put(row.domain, row.clone());
        Ok(())
    }

    async fn erase_domain(&mut self, domain: DomainId) -> LedgerResult<()> {
        let views = self.write()?;
        views.domains.remove(&domain);
        views.sessions.remove_where(|row| row.domain == domain);
        views.packs.remove_where(|row| row.domain == domain);
        views.condemned.remove_where(|row| row.domain == domain);
        views.damage.remove_where(|row| row.domain == domain);
        views.points.remove_where(|row| row.domain == domain);
        views.heads.remove_where(|row| row.domain == domain);
        views.journal.remove_where(|row| row.domain == domain);
        views.segments.remove_where(|row| row.domain == domain);
        Ok(())
    }

    async fn session(&mut self, domain: DomainId, session: SessionId) -> LedgerResult<Option<SessionRow>> {
        Ok(self.views.sessions.get(&(domain, session)))
    }

    async fn put_session(&mut self, row: &SessionRow) -> LedgerResult<()> {
        let views = self.write()?;
        integers([row.number, row.generation])?;
        views.sessions.put((row.domain, row.id), row.clone());
        Ok(())
    }

    async fn sessions(&mut self, domain: DomainId, state: SessionState) -> LedgerResult<Vec<SessionRow>> {
        Ok(self.views.sessions.rows(|row| row.domain == domain && row.state == state, |row| (row.number, row.id)))
    }

    async fn remove_session(&mut self, domain: DomainId, session: SessionId) -> LedgerResult<()> {
        self.write()?.sessions.remove(&(domain, session));
        Ok(())
    }

    async fn pack(&mut self, domain: DomainId, pack: PackName) -> LedgerResult<Option<PackRow>> {
        Ok(self.views.packs.get(&(domain, pack)))
    }

    async fn pack_alone(&mut self, domain: DomainId, pack: PackName) -> LedgerResult<Option<PackRow>> {
        Ok(self.views.packs.get(&(domain, pack)).map(|row| PackRow { footer: None, ..row }))
    }

    async fn put_pack(&mut self, row: &PackRow) -> LedgerResult<()> {
        let views = self.write()?;
        integers([row.number, row.length, row.segment.unwrap_or(0)])?;
        views.packs.put((row.domain, row.name), row.clone());
        Ok(())
    }

    async fn update_pack(&mut self, row: &PackRow) -> LedgerResult<()> {
        let views = self.write()?;
        integers([row.number, row.length, row.segment.unwrap_or(0)])?;
        let key = (row.domain, row.name);
        let footer = views.packs.get(&key).ok_or_else(|| Refusal::Absent.to("update a pack"))?.footer;
        views.packs.put(key, PackRow { footer, ..row.clone() });
        Ok(())
    }

    async fn move_packs(&mut self, domain: DomainId, from: &BTreeSet<u64>, to: u64) -> LedgerResult<u64> {
        let views = self.write()?;
        integers([to])?;
        let is_moved = |row: &PackRow| row.domain == domain && row.segment.is_some_and(|segment| from.contains(&segment));
        let moved = views.packs.rows(|row| is_moved(row) && is_in_use(row), pack_order);
        let count = moved.len() as u64;
        moved.into_iter().for_each(|row| views.packs.put((domain, row.name), PackRow { segment: Some(to), ..row }));
        Ok(count)
    }

    async fn packs(&mut self, domain: DomainId) -> LedgerResult<Vec<PackRow>> {
        Ok(without_footers(self.views.packs.rows(|row| row.domain == domain, pack_order)))
    }

    async fn packs_of_session(&mut self, domain: DomainId, session: SessionId) -> LedgerResult<Vec<PackRow>> {
        let wanted = |row: &PackRow| row.domain == domain && row.session == Some(session);
        Ok(without_footers(self.views.packs.rows(wanted, pack_order)))
    }

    async fn tails(&mut self, domain: DomainId) -> LedgerResult<Vec<PackRow>> {
        Ok(self.views.packs.rows(|row| row.domain == domain && row.segment.is_none() && is_in_use(row), pack_order))
    }

    async fn remove_pack(&mut self, domain: DomainId, pack: PackName) -> LedgerResult<()> {
        self.write()?.packs.remove(&(domain, pack));
        Ok(())
    }

    async fn condemned(&mut self, domain: DomainId) -> LedgerResult<Vec<CondemnedRow>> {
        Ok(self.views.condemned.rows(|row| row.domain == domain, |row| (row.pack, row.generation)))
    }

    async fn put_condemned(&mut self, row: &CondemnedRow) -> LedgerResult<()> {
        let views = self.write()?;
        integers([row.generation])?;
        ascending(&row.places)?;
        let key = (row.domain, row.pack, row.generation);
        if row.places.is_empty() {
            views.condemned.remove(&key);
        } else {
            views.condemned.put(key, row.clone());
        }
        Ok(())
    }

    async fn remove_condemned(&mut self, domain: DomainId, pack: PackName) -> LedgerResult<()> {
        self.write()?.condemned.remove_where(|row| row.domain == domain && row.pack == pack);
        Ok(())
    }

    async fn damage(&mut self, domain: DomainId) -> LedgerResult<Vec<DamageRow>> {
        Ok(self.views.damage.rows(|row| row.domain == domain, |row| (row.pack, row.place)))
    }

    async fn damage_of_pack(&mut self, domain: DomainId, pack: PackName) -> LedgerResult<Vec<DamageRow>> {
        Ok(self.views.damage.rows(|row| row.domain == domain && row.pack == pack, |row| row.place))
    }

    async fn put_damage(&mut self, row: &DamageRow) -> LedgerResult<()> {
        self.write()?.damage.put((row.domain, row.pack, row.place), row.clone());
        Ok(())
    }

    async fn remove_damage(&mut self, domain: DomainId, pack: PackName) -> LedgerResult<()> {
        self.write()?.damage.remove_where(|row| row.domain == domain && row.pack == pack);
        Ok(())
    }

    async fn point(&mut self, domain: DomainId, point: PointId) -> LedgerResult<Option<PointRow>> {
        Ok(self.views.points.get(&(domain, point)))
    }

    async fn put_point(&mut self, row: &PointRow) -> LedgerResult<()> {
        let views = self.write()?;
        integers([row.sequence.0, row.number.0, row.purged_at.unwrap_or(0)])?;
        views.points.put((row.domain, row.id), row.clone());
        Ok(())
    }

    async fn points(&mut self, domain: DomainId) -> LedgerResult<Vec<PointRow>> {
        Ok(self.views.points.rows(|row| row.domain == domain, |row| (row.number, row.id)))
    }

    async fn points_of_item(&mut self, domain: DomainId, item: &ItemName) -> LedgerResult<Vec<PointRow>> {
        Ok(self.views.points.rows(|row| row.domain == domain && row.item == *item, |row| (row.number, row.id)))
    }

    async fn remove_point(&mut self, domain: DomainId, point: PointId) -> LedgerResult<()> {
        self.write()?.points.remove(&(domain, point));
        Ok(())
    }

    async fn head(&mut self, domain: DomainId, item: &ItemName) -> LedgerResult<Option<HeadRow>> {
        Ok(self.views.heads.get(&(domain, item.clone())))
    }

    async fn put_head(&mut self, row: &HeadRow) -> LedgerResult<()> {
        let views = self.write()?;
        integers([row.sequence.0])?;
        views.heads.put((row.domain, row.item.clone()), row.clone());
        Ok(())
    }

    async fn journal(&mut self, domain: DomainId, number: JournalNumber) -> LedgerResult<Option<JournalRow>> {
        Ok(self.views.journal.get(&(domain, number)))
    }

    async fn put_journal(&mut self, row: &JournalRow) -> LedgerResult<()> {
        let views = self.write()?;
        integers([row.number.0])?;
        views.journal.put((row.domain, row.number), row.clone());
        Ok(())
    }

    async fn journal_in(&mut self, domain: DomainId, state: JournalState) -> LedgerResult<Vec<JournalRow>> {
        Ok(self.views.journal.rows(|row| row.domain == domain && row.state == state, |row| row.number))
    }

    async fn segments(&mut self, domain: DomainId) -> LedgerResult<Vec<SegmentRow>> {
        Ok(self.views.segments.rows(|row| row.domain == domain, |row| row.id))
    }

    async fn put_segment(&mut self, row: &SegmentRow) -> LedgerResult<()> {
        let views = self.write()?;
        integers([row.id, row.packs, row.entries])?;
        let key = (row.domain, row.id);
        if views.segments.get(&key).is_some() {
            return Err(Refusal::Exists.to("insert an index segment"));
        }
        views.segments.put(key, row.clone());
        Ok(())
    }

    async fn remove_segment(&mut self, domain: DomainId, segment: u64) -> LedgerResult<()> {
        self.write()?.segments.remove(&(domain, segment));
        Ok(())
    }

    async fn setting(&mut self, name: &str) -> LedgerResult<Option<Bytes>> {
        Ok(self.views.settings.get(&name.to_owned()))
    }

    async fn put_setting(&mut self, name: &str, value: Option<Bytes>) -> LedgerResult<()> {
        let settings = &mut self.write()?.settings;
        match value {
            Some(value) => settings.put(name.to_owned(), value),
            None => settings.remove(&name.to_owned()),
        }
        Ok(())
    }
}

fn pack_order(row: &PackRow) -> (u64, PackName) {
    (row.number, row.name)
}

fn is_in_use(row: &PackRow) -> bool {
    matches!(row.state, PackState::Registered | PackState::Proven)
}

fn without_footers(mut rows: Vec<PackRow>) -> Vec<PackRow> {
    rows.iter_mut().for_each(|row| drop(mem::take(&mut row.footer)));
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::conformance::{answers, domain_id, pack};
    use std::future::Future;
    use std::pin::pin;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::task::{Context, Poll, Waker};

    /// An executor that knows no timers, threads or wakers.
    fn run<T>(future: impl Future<Output = T>) -> T {
        let mut future = pin!(future);
        loop {
            if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                return value;
            }
        }
    }

    async fn put(ledger: &MemoryLedger, number: u8) -> LedgerResult<()> {
        let mut transaction = ledger.begin().await?;
        transaction.put_pack(&pack(1, number)).await?;
        transaction.commit().await
    }

    async fn tails(ledger: &MemoryLedger) -> Vec<PackRow> {
        ledger.snapshot().await.unwrap().tails(domain_id(1)).await.unwrap()
    }

    #[test]
    fn a_failing_commit_took_effect_or_did_not() {
        run(async {
            let ledger = MemoryLedger::new();
            let asked = Arc::new(AtomicU64::new(0));
            let counter = Arc::clone(&asked);
            ledger.set_commit_fault(Arc::new(move || match counter.fetch_add(1, Ordering::Relaxed) {
                0 => CommitFault::FailBefore,
                1 => CommitFault::FailAfter,
                _ => CommitFault::None,
            }));
            assert!(put(&ledger, 1).await.is_err());
            assert_eq!(tails(&ledger).await, []);
            assert!(put(&ledger, 2).await.is_err());
            assert_eq!(tails(&ledger).await, [pack(1, 2)]);
            put(&ledger, 3).await.unwrap();
            assert_eq!(tails(&ledger).await, [pack(1, 2), pack(1, 3)]);
            ledger.begin().await.unwrap().commit().await.unwrap();
            ledger.snapshot().await.unwrap().commit().await.unwrap();
            assert_eq!(asked.load(Ordering::Relaxed), 3, "only a commit that changes something is a step");
            assert_eq!(ledger.commits(), 2);
        });
    }

    #[test]
    fn a_restored_ledger_is_as_it_was_and_stops_running_transactions() {
        run(async {
            let ledger = MemoryLedger::new();
            put(&ledger, 1).await.unwrap();
            let saved = ledger.save();
            let mut running = ledger.begin().await.unwrap();
            running.put_pack(&pack(1, 2)).await.unwrap();
            ledger.restore(saved.clone());
            assert!(running.commit().await.is_err());
            put(&ledger, 3).await.unwrap();
            let copy = ledger.fork();
            put(&copy, 4).await.unwrap();
            assert_eq!(tails(&copy).await, [pack(1, 1), pack(1, 3), pack(1, 4)]);
            assert_eq!(tails(&ledger).await, [pack(1, 1), pack(1, 3)]);
            let mut before = ledger.snapshot().await.unwrap();
            let seen = answers(&mut *before).await;
            ledger.restore(saved);
            assert_eq!(tails(&ledger).await, [pack(1, 1)]);
            assert_eq!(answers(&mut *before).await, seen);
        });
    }

    #[test]
    fn writers_take_turns_in_the_order_in_which_they_came() {
        run(async {
            let ledger = MemoryLedger::new();
            let first = ledger.begin().await.unwrap();
            let (mut second, mut third) = (pin!(ledger.begin()), pin!(ledger.begin()));
            let mut context = Context::from_waker(Waker::noop());
            assert!(second.as_mut().poll(&mut context).is_pending());
            assert!(third.as_mut().poll(&mut context).is_pending());
            drop(first);
            assert!(third.as_mut().poll(&mut context).is_pending());
            let Poll::Ready(second) = second.as_mut().poll(&mut context) else { panic!("it is the second's turn") };
            drop(second);
            assert!(third.as_mut().poll(&mut context).is_ready());
        });
    }
}
