//! A simulated process that is, with others or alone, the authority: its storage connection, database connection, clock,
//! randomness, and its life.

use super::identity::IDENTITY;
use crate::environment::{Clock, Entropy, Environment, Liveness};
use crate::index::{MemoryFiles, SegmentFiles};
use crate::ledger::{Ledger, LedgerError, LedgerResult, MemoryLedger, Transaction};
use crate::repository::Repository;
use crate::trust::Trust;
use async_trait::async_trait;
use format::SessionId;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex};
use testkit::{DurableStep, FaultyStore, Life, Process, Remains, Rng, SimClock, yield_now};

/// A database, and the index files that belong to it.
#[derive(Clone)]
pub(super) struct Database {
    pub(super) ledger: MemoryLedger,
    pub(super) files: Arc<Mutex<MemoryFiles>>,
    /// Databases are told apart by it.
    pub(super) number: usize,
}

impl Database {
    pub(super) fn new(number: usize) -> Self {
        Self { ledger: MemoryLedger::new(), files: Arc::default(), number }
    }
}

/// Who holds sessions: the advisory locks of the simulated machine, or the leases of a simulated service.
#[derive(Clone, Default)]
pub(super) struct Locks(Arc<Mutex<BTreeMap<SessionId, Lock>>>);

struct Lock {
    process: Process,
    life: Life,
    /// It may run out.
    is_lease: bool,
}

impl Locks {
    fn is_held(&self, session: SessionId) -> bool {
        self.0.lock().unwrap().get(&session).is_some_and(|lock| lock.process.check(lock.life).is_ok())
    }

    /// So much time goes by that everything runs out that can.
    pub(super) fn run_out(&self) {
        self.0.lock().unwrap().retain(|_, lock| !lock.is_lease);
    }
}

/// A process.
#[derive(Clone)]
pub(super) struct Node {
    pub(super) name: &'static str,
    pub(super) process: Process,
    pub(super) clock: SimClock,
    store: FaultyStore,
    locks: Locks,
    entropy: Arc<NodeEntropy>,
}

impl Node {
    pub(super) fn new(name: &'static str, weather: &FaultyStore, clock: SimClock, locks: &Locks, rng: Rng) -> Self {
        let process = Process::new();
        let store = weather.connect(&process);
        let entropy = Arc::new(NodeEntropy(Mutex::new(rng)));
        Self { name, process, clock, store, locks: locks.clone(), entropy }
    }

    /// A repository of this process on that database, not opened yet.
    pub(super) fn assemble(&self, database: &Database) -> Repository {
        let environment = Environment {
            clock: Arc::new(NodeClock(self.clock.clone())),
            entropy: self.entropy.clone(),
            liveness: Arc::new(NodeLocks { locks: self.locks.clone(), process: self.process.clone() }),
        };
        let ledger = NodeLedger { inner: database.ledger.clone(), process: self.process.clone() };
        Repository::assemble(
            IDENTITY.domain,
            Arc::new(self.store.clone()),
            Arc::new(ledger),
            environment,
            Arc::new(Trust::new(IDENTITY.descriptor.clone())),
            SegmentFiles::Memory(database.files.clone()),
        )
    }
}

struct NodeClock(SimClock);

impl Clock for NodeClock {
    fn now_ms(&self) -> i64 {
        self.0.now_ms()
    }
}

struct NodeEntropy(Mutex<Rng>);

impl Entropy for NodeEntropy {
    fn fill(&self, buffer: &mut [u8]) {
        self.0.lock().unwrap().fill(buffer);
    }
}

struct NodeLocks {
    locks: Locks,
    process: Process,
}

impl NodeLocks {
    fn lock(&self, session: SessionId, is_lease: bool) -> io::Result<()> {
        let life = self.process.life().map_err(io::Error::other)?;
        self.locks.0.lock().unwrap().insert(session, Lock { process: self.process.clone(), life, is_lease });
        Ok(())
    }
}

impl Liveness for NodeLocks {
    fn hold(&self, session: SessionId) -> io::Result<()> {
        self.lock(session, true)
    }

    fn hold_here(&self, session: SessionId) -> io::Result<()> {
        self.lock(session, false)
    }

    fn release(&self, session: SessionId) {
        self.locks.0.lock().unwrap().remove(&session);
    }

    fn is_alive(&self, session: SessionId) -> bool {
        self.locks.is_held(session)
    }
}

/// The process's connection to a database: commits are durable steps, and others get their turn around each.
struct NodeLedger {
    inner: MemoryLedger,
    process: Process,
}

fn crashed() -> LedgerError {
    LedgerError::Unavailable { doing: "go on", full: false, source: "the process is dead".into() }
}

impl NodeLedger {
    fn life(&self) -> LedgerResult<Life> {
        self.process.life().map_err(|_| crashed())
    }
}

#[async_trait]
impl Ledger for NodeLedger {
    async fn begin(&self) -> LedgerResult<Box<dyn Transaction>> {
        let life = self.life()?;
        yield_now().await;
        let inner = self.inner.begin().await?;
        Ok(Box::new(NodeTransaction { inner, process: self.process.clone(), life, writes: true }))
    }

    async fn snapshot(&self) -> LedgerResult<Box<dyn Transaction>> {
        let life = self.life()?;
        yield_now().await;
        let inner = self.inner.snapshot().await?;
        Ok(Box::new(NodeTransaction { inner, process: self.process.clone(), life, writes: false }))
    }
}

struct NodeTransaction {
    inner: Box<dyn Transaction>,
    process: Process,
    life: Life,
    writes: bool,
}

macro_rules! pass_on {
    ($($name:ident($($argument:ident: $type:ty),*) -> $answer:ty;)*) => {
        #[async_trait]
        impl Transaction for NodeTransaction {
            async fn commit(self: Box<Self>) -> LedgerResult<()> {
                let Self { inner, process, life, writes } = *self;
                if !writes {
                    return inner.commit().await;
                }
                yield_now().await;
                match process.durable_step(life).map_err(|_| crashed())? {
                    DurableStep::Goes => {}
                    DurableStep::Dies(Remains::Nothing | Remains::Torn) => return Err(crashed()),
                    DurableStep::Dies(Remains::Whole | Remains::Late { .. }) => {
                        inner.commit().await?;
                        return Err(crashed());
                    }
                }
                let committed = inner.commit().await;
                yield_now().await;
                committed
            }

            $(async fn $name(&mut self, $($argument: $type),*) -> LedgerResult<$answer> {
                self.inner.$name($($argument),*).await
            })*
        }
    };
}

use crate::ledger::{
    CondemnedRow, DamageRow, DomainRow, HeadRow, JournalRow, JournalState, PackRow, PointRow, SegmentRow, SessionRow,
    SessionState,
};
use bytes::Bytes;
use format::{DomainId, ItemName, JournalNumber, PackName, PointId};

pass_on! {
    domain(domain: DomainId) -> Option<DomainRow>;
    put_domain(row: &DomainRow) -> ();
    erase_domain(domain: DomainId) -> ();
    session(domain: DomainId, session: SessionId) -> Option<SessionRow>;
    put_session(row: &SessionRow) -> ();
    sessions(domain: DomainId, state: SessionState) -> Vec<SessionRow>;
    remove_session(domain: DomainId, session: SessionId) -> ();
    pack(domain: DomainId, pack: PackName) -> Option<PackRow>;
    pack_alone(domain: DomainId, pack: PackName) -> Option<PackRow>;
    put_pack(row: &PackRow) -> ();
    update_pack(row: &PackRow) -> ();
    move_packs(domain: DomainId, from: &BTreeSet<u64>, to: u64) -> u64;
    packs(domain: DomainId) -> Vec<PackRow>;
    packs_of_session(domain: DomainId, session: SessionId) -> Vec<PackRow>;
    tails(domain: DomainId) -> Vec<PackRow>;
    remove_pack(domain: DomainId, pack: PackName) -> ();
    condemned(domain: DomainId) -> Vec<CondemnedRow>;
    put_condemned(row: &CondemnedRow) -> ();
    remove_condemned(domain: DomainId, pack: PackName) -> ();
    damage(domain: DomainId) -> Vec<DamageRow>;
    damage_of_pack(domain: DomainId, pack: PackName) -> Vec<DamageRow>;
    put_damage(row: &DamageRow) -> ();
    remove_damage(domain: DomainId, pack: PackName) -> ();
    point(domain: DomainId, point: PointId) -> Option<PointRow>;
    put_point(row: &PointRow) -> ();
    points(domain: DomainId) -> Vec<PointRow>;
    points_of_item(domain: DomainId, item: &ItemName) -> Vec<PointRow>;
    remove_point(domain: DomainId, point: PointId) -> ();
    head(domain: DomainId, item: &ItemName) -> Option<HeadRow>;
    put_head(row: &HeadRow) -> ();
    journal(domain: DomainId, number: JournalNumber) -> Option<JournalRow>;
    put_journal(row: &JournalRow) -> ();
    journal_in(domain: DomainId, state: JournalState) -> Vec<JournalRow>;
    segments(domain: DomainId) -> Vec<SegmentRow>;
    put_segment(row: &SegmentRow) -> ();
    remove_segment(domain: DomainId, segment: u64) -> ();
    setting(name: &str) -> Option<Bytes>;
    put_setting(name: &str, value: Option<Bytes>) -> ();
}
