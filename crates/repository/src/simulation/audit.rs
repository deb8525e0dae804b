//! The invariants of the design, held against raw storage and the authority's database.

use super::forgery;
use super::identity::IDENTITY;
use super::node::{Database, Locks, Node};
use super::walker::{Walker, objects};
use super::world::{Model, Purge, World};
use crate::ledger::{Ledger, MemoryLedger, PackState, PointRowState, SessionState};
use crate::rebuild::RebuildReport;
use crate::repository::Repository;
use contract::{CollectOptions, PointFilter};
use format::record::{RecordKind, SignedRecord};
use format::{ItemName, PackName, PointId, Sequence, names};
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use storage::MemoryStore;
use testkit::FaultyStore;

/// More polls than anything takes that waits for nobody.
const POLLS_MAX: u32 = 1_000_000;

/// Runs something that waits for nobody but itself.
pub(super) fn drive<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    for _ in 0..POLLS_MAX {
        if let Poll::Ready(answer) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return answer;
        }
    }
    panic!("an audit goes on for ever");
}

impl World {
    /// At any moment: invariants 2, 3 and 8 (and with the clocks that jump all the time, 4).
    pub(super) fn audit(&self, when: &str) {
        if self.failed() {
            return;
        }
        let walker = Walker::new(&self.memory);
        let model = self.model.borrow();
        self.audit_promises(&walker, &model, when);
        if !self.is_reverted.get() {
            self.audit_rows(&walker, &model, &self.current().ledger, when);
        }
    }

    /// 3: what was acknowledged and not purged is there, whole.
    fn audit_promises(&self, walker: &Walker, model: &Model, when: &str) {
        for (id, known) in &model.points {
            if !known.acknowledged || known.purge != Purge::No || known.kind == RecordKind::Checkpoint {
                continue;
            }
            let Some(record) = walker.records.get(id) else {
                if !model.tainted.contains(&format!("record {id}")) {
                    self.violation(format!("3 {when}: the record of acknowledged point {id} is not in storage"));
                }
                continue;
            };
            for lack in walker.lacks(record) {
                if !model.tainted.contains(&lack) {
                    self.violation(format!("3 {when}: acknowledged point {id} lacks {lack} ({})", walker.explain(&lack)));
                }
            }
        }
    }

    /// 2 and 8: what the database takes for committed is whole and signed by who may.
    fn audit_rows(&self, walker: &Walker, model: &Model, ledger: &MemoryLedger, when: &str) {
        let rows = drive(async { ledger.snapshot().await?.points(IDENTITY.domain).await }).unwrap();
        for row in rows {
            if !matches!(row.state, PointRowState::Pending | PointRowState::Committed | PointRowState::SoftDeleted) {
                continue;
            }
            let id = row.id;
            let trusted =
                SignedRecord::parse(&row.record).is_ok_and(|record| IDENTITY.descriptor.authorise(&record, true).is_ok());
            if !trusted || model.forged.contains(&id) {
                self.violation(format!("8 {when}: point {id} is not signed by who may"));
                continue;
            }
            let Ok(record) = SignedRecord::parse_unverified(&row.record) else { continue };
            for lack in walker.lacks(&record) {
                if !model.tainted.contains(&lack) {
                    self.violation(format!("2 {when}: {:?} {:?} {id} lacks {lack}", row.state, row.kind));
                }
            }
        }
    }

    /// 6, and 8 for what is planted in storage: a database made anew from a copy of the storage.
    pub(super) fn audit_rebuild(&self, when: &str) {
        if self.failed() {
            return;
        }
        let copy = Arc::new(self.memory.snapshot());
        let forged = forgery::plant(&copy);
        let database = Database::new(usize::MAX);
        let repository = self.lone_repository(&copy, &database);
        let report = match drive(repository.inner.rebuild()) {
            Ok(report) => report,
            Err(fault) => return self.violation(format!("6 {when}: the rebuild fails: {fault}")),
        };
        self.acknowledge_unread(&repository, &report);
        if (report.set_aside.len()) < forged.len() {
            self.violation(format!("8 {when}: {} forged records, {} set aside", forged.len(), report.set_aside.len()));
        }
        let listed = drive(repository.inner.points(&PointFilter { item: None, deleted: true })).unwrap();
        let listed: BTreeSet<PointId> = listed.iter().map(|point| point.id).collect();
        self.compare_points(&listed, &forged, when);
        self.audit_collections_after_rebuild(&repository, &database, &copy, when);
    }

    /// What its operator does about what a rebuild could not read, and what (forged) records that it set aside lack. Nothing was
    /// damaged here: such an entry was put by a database that another one had replaced, and nobody was told that it is there. If
    /// anything was lost with it all the same, the audits say so.
    fn acknowledge_unread(&self, repository: &Repository, report: &RebuildReport) {
        if report.unreadable_entries.is_empty() && report.unreadable_packs.is_empty() && report.set_aside.is_empty() {
            return;
        }
        let could_not_read = !report.unreadable_entries.is_empty() || !report.unreadable_packs.is_empty();
        if could_not_read
            && self.model.borrow().tainted.is_empty()
            && drive(repository.inner.collect(&thorough(), &no_progress())).is_ok()
        {
            self.violation(format!("6 a collection goes on although something could not be read: {report:?}"));
        }
        drive(repository.inner.give_up_unread()).unwrap();
    }

    fn compare_points(&self, listed: &BTreeSet<PointId>, forged: &BTreeSet<PointId>, when: &str) {
        let model = self.model.borrow();
        if let Some(id) = listed.iter().find(|id| forged.contains(id) || model.forged.contains(id)) {
            self.violation(format!("8 {when}: forged point {id} is served after a rebuild"));
        }
        for (id, known) in &model.points {
            let is_listed = listed.contains(id);
            if known.kind == RecordKind::Checkpoint {
                continue;
            }
            if known.purge == Purge::Done && is_listed {
                self.violation(format!("6 {when}: purged point {id} is back after a rebuild"));
            }
            let promised = known.acknowledged && known.purge == Purge::No && model.tainted.is_empty();
            if promised && !is_listed {
                self.violation(format!("6 {when}: acknowledged point {id} is not back after a rebuild"));
            }
        }
    }

    /// A rebuilt repository must not lose anything either, and leaves nothing that is not needed.
    fn audit_collections_after_rebuild(&self, repository: &Repository, database: &Database, copy: &Arc<MemoryStore>, when: &str) {
        for _ in 0..2 {
            if let Err(fault) = drive(repository.inner.collect(&thorough(), &no_progress())) {
                if self.model.borrow().tainted.is_empty() {
                    self.violation(format!("6 {when}: collection after a rebuild fails: {fault}"));
                }
                return;
            }
        }
        let walker = Walker::new(copy);
        {
            let model = self.model.borrow();
            self.audit_promises(&walker, &model, &format!("{when}, rebuilt and collected"));
            self.audit_rows(&walker, &model, &database.ledger, &format!("{when}, rebuilt and collected"));
        }
        if self.model.borrow().tainted.is_empty() {
            self.audit_garbage(&walker, database, copy, false, &format!("{when}, rebuilt and collected"));
        }
    }

    /// A repository on a copy of the storage, alone in its world.
    pub(super) fn lone_repository(&self, copy: &Arc<MemoryStore>, database: &Database) -> Repository {
        let weather = FaultyStore::new(copy.clone(), 1);
        // Its randomness must not shift the simulation's.
        let rng = testkit::Rng::new(self.simulation.seed() ^ 0x5eed);
        Node::new("auditor", &weather, self.simulation.clock(), &Locks::default(), rng).assemble(database)
    }

    /// Nothing is left that no root needs. To be called when nobody writes and two collections ran.
    pub(super) fn audit_garbage(&self, walker: &Walker, database: &Database, store: &MemoryStore, foreign: bool, when: &str) {
        let ledger = &database.ledger;
        let rows = drive(async { ledger.snapshot().await?.points(IDENTITY.domain).await }).unwrap();
        let mut needed = BTreeSet::new();
        let mut keys = BTreeSet::new();
        for row in &rows {
            // What a point that was set aside reaches stays until it is purged, though nobody may be able to open it.
            let is_set_aside = row.state == PointRowState::SetAside;
            needed.extend(if is_set_aside { walker.named_from(row.root) } else { walker.closure(row.root).1 });
            keys.extend(SignedRecord::parse_unverified(&row.record).map(|record| record.body.key));
            if row.state == PointRowState::Purged {
                self.violation(format!("leak {when}: the row of purged point {} stays", row.id));
            }
        }
        let registered = drive(async { ledger.snapshot().await?.packs(IDENTITY.domain).await }).unwrap();
        let registered: BTreeMap<PackName, PackState> = registered.iter().map(|row| (row.name, row.state)).collect();
        for (name, (blobs, pack_keys)) in &walker.packs {
            if foreign && !registered.contains_key(name) {
                continue;
            }
            if !blobs.iter().any(|blob| needed.contains(blob)) {
                self.violation(format!("leak {when}: nothing needs pack {name} ({:?})", registered.get(name)));
            }
            keys.extend(pack_keys);
        }
        for (name, state) in &registered {
            if !walker.packs.contains_key(name) {
                self.violation(format!("leak {when}: the row of pack {name} ({state:?}) stays without an object"));
            }
        }
        for (name, _) in objects(store, &names::keys(IDENTITY.domain)) {
            let is_needed = names::parse_key(&name).is_ok_and(|key| keys.contains(&key));
            if !is_needed && !walker.listed.contains(&name) && !foreign {
                self.violation(format!("leak {when}: nothing needs key object {name}"));
            }
        }
        self.audit_sessions(ledger, when);
    }

    fn audit_sessions(&self, ledger: &MemoryLedger, when: &str) {
        for state in [SessionState::Open, SessionState::Committing, SessionState::Committed, SessionState::Expired] {
            let rows = drive(async { ledger.snapshot().await?.sessions(IDENTITY.domain, state).await }).unwrap();
            if let Some(row) = rows.first() {
                self.violation(format!("leak {when}: a session ({:?}, {:?}) stays", row.kind, row.state));
            }
        }
    }

    /// 6 in full, once nobody writes: the same points, the same heads.
    pub(super) fn audit_equality(&self, when: &str) {
        if self.failed() || !self.model.borrow().tainted.is_empty() {
            return;
        }
        let copy = Arc::new(self.memory.snapshot());
        let database = Database::new(usize::MAX);
        let repository = self.lone_repository(&copy, &database);
        if let Err(fault) = drive(repository.inner.rebuild()) {
            return self.violation(format!("6 {when}: the rebuild fails: {fault}"));
        }
        let (live, rebuilt) = (summary(&self.current().ledger), summary(&database.ledger));
        if live != rebuilt {
            self.violation(format!("6 {when}: a rebuild differs from the database\n  live    {live:?}\n  rebuilt {rebuilt:?}"));
        }
    }
}

/// Points and heads that a database knows.
fn summary(ledger: &MemoryLedger) -> (BTreeSet<PointId>, BTreeMap<ItemName, (PointId, Sequence)>) {
    drive(async {
        let mut transaction = ledger.snapshot().await.unwrap();
        let rows = transaction.points(IDENTITY.domain).await.unwrap();
        let known = rows.iter().filter(|row| !matches!(row.state, PointRowState::Purged));
        let points = known.map(|row| row.id).collect();
        let mut heads = BTreeMap::new();
        for number in 0..super::identity::ITEMS.len() {
            let item = super::identity::item(number);
            if let Some(head) = transaction.head(IDENTITY.domain, &item).await.unwrap() {
                heads.insert(item, (head.point, head.sequence));
            }
        }
        (points, heads)
    })
}

/// Collects everything that can be.
pub(super) fn thorough() -> CollectOptions {
    CollectOptions { repack_dead_percent: 0 }
}

pub(super) fn no_progress() -> contract::ProgressSink {
    Arc::new(|_| {})
}
