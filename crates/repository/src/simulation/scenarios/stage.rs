//! Where scenarios play: a world with a process that may die, and another that does not.

use super::thorough;
use crate::fault::Fault;
use crate::ledger::JournalRow;
use crate::repository::Repository;
use crate::simulation::audit::no_progress;
use crate::simulation::backup::{Backup, Habits};
use crate::simulation::content::{Graph, Tree};
use crate::simulation::life::incarnation;
use crate::simulation::node::{Database, Node};
use crate::simulation::walker::Walker;
use crate::simulation::world::{Purge, World};
use contract::{CollectOptions, CollectReport, Domain, Error, PointInfo, Result};
use format::PointId;
use format::journal::{JournalEntry, Payload};
use format::record::RecordKind;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use testkit::{Remains, Rng};

pub(super) struct Stage {
    pub(super) world: Rc<World>,
    /// May die.
    pub(super) actor: Node,
    /// Does not.
    pub(super) other: Node,
    /// Their repositories.
    repositories: RefCell<Vec<Repository>>,
    /// Nobody may be able to restore everything: things were damaged.
    pub(super) has_damage: Cell<bool>,
    rng: RefCell<Rng>,
}

/// A tree of middle pages of leaves of chunks.
pub(super) fn tree(middles: &[&[&[u64]]]) -> Tree {
    Tree { middles: middles.iter().map(|leaves| leaves.iter().map(|leaf| leaf.to_vec()).collect()).collect(), salt: 0 }
}

impl Stage {
    pub(super) fn new(world: &Rc<World>) -> Self {
        let (actor, other) = (world.node("actor"), world.node("other"));
        let rng = RefCell::new(world.simulation.rng());
        Self { world: world.clone(), actor, other, repositories: RefCell::default(), has_damage: Cell::new(false), rng }
    }

    /// Both processes open the repository.
    pub(super) async fn open_both(&self) -> Result<()> {
        let database = self.world.current();
        let (own, others) = (self.actor.assemble(&database), self.other.assemble(&database));
        own.start().await?;
        others.start().await?;
        self.repositories.replace(vec![own, others]);
        Ok(())
    }

    /// The process that may die opens the repository once more.
    pub(super) async fn actor_starts_again(&self) -> Result<()> {
        let own = self.actor.assemble(&self.world.current());
        own.start().await?;
        self.repositories.borrow_mut()[0] = own;
        Ok(())
    }

    /// The repository of the process that may die.
    pub(super) fn own(&self) -> Repository {
        self.repositories.borrow()[0].clone()
    }

    /// That of the other one.
    pub(super) fn others(&self) -> Repository {
        self.repositories.borrow()[1].clone()
    }

    pub(super) fn rng(&self) -> Rng {
        self.rng.borrow_mut().fork()
    }

    /// What fails here is a violation.
    pub(super) fn must(&self, doing: &str, outcome: Result<()>) {
        if let Err(error) = outcome {
            self.world.violation(format!("cannot {doing}: {error} ({:?})", error.kind()));
        }
    }

    pub(super) fn graph(&self, tree: &Tree) -> Graph {
        self.world.graph(tree)
    }

    /// A session on an item.
    pub(super) async fn session<'a>(&'a self, repository: &'a Repository, item: usize) -> Result<Backup<'a>> {
        Backup::open(&self.world, repository, item, Habits::PLAIN, self.rng()).await
    }

    /// A whole backup.
    pub(super) async fn back_up(&self, repository: &Repository, item: usize, tree: &Tree) -> Result<PointId> {
        let mut session = self.session(repository, item).await?;
        self.finish(&mut session, tree).await
    }

    /// The rest of a session: sends what is missing and commits.
    pub(super) async fn finish(&self, session: &mut Backup<'_>, tree: &Tree) -> Result<PointId> {
        let graph = self.graph(tree);
        session.send_missing(&graph).await?;
        Ok(session.commit(graph.root, RecordKind::Point).await?.point)
    }

    pub(super) async fn purge(&self, repository: &Repository, point: PointId) -> Result<()> {
        self.world.purge(point, Purge::Asked);
        repository.purge(&[point]).await?;
        self.world.purge(point, Purge::Done);
        Ok(())
    }

    pub(super) async fn collect(&self, repository: &Repository) -> Result<CollectReport> {
        let report = repository.collect(thorough(), no_progress()).await?;
        self.world.audit("after a collection");
        Ok(report)
    }

    /// The first half of a collection: what is not needed is condemned, and then the collector's caller goes away.
    pub(super) async fn condemn_only(&self, repository: &Repository) -> Result<()> {
        let inner = &repository.inner;
        inner.recover().await?;
        inner.end_dead_sessions().await?;
        inner.condemn(&mut CollectReport::default(), &no_progress()).await?;
        Ok(())
    }

    /// Deletion lists that were entered and not carried out.
    pub(super) async fn lists_pending(&self, repository: &Repository) -> Result<usize> {
        let pending = repository.inner.pending().await?;
        let is_list = |row: &&JournalRow| {
            matches!(JournalEntry::parse(&row.bytes).map(|entry| entry.payload), Ok(Payload::Deletion { .. }))
        };
        Ok(pending.iter().filter(is_list).count())
    }

    /// Another process, that has recovered everything.
    pub(super) async fn another(&self, name: &'static str) -> Result<(Node, Repository)> {
        let node = self.world.node(name);
        let repository = node.assemble(&self.world.current());
        repository.start().await?;
        Ok((node, repository))
    }

    /// A collection without recovery before it, by somebody who does not look whether another one runs.
    pub(super) async fn sweep_only(&self, repository: &Repository, options: CollectOptions) -> Result<()> {
        let (inner, mut report) = (&repository.inner, CollectReport::default());
        inner.condemn(&mut report, &no_progress()).await?;
        Ok(inner.sweep(&options, &mut report, &no_progress()).await?)
    }

    /// Such a collection of a process that dies in this durable step; whether it took so many.
    pub(super) async fn sweep_and_die(&self, node: &Node, repository: &Repository, step: u64) -> Result<bool> {
        node.process.crash_at(node.process.durable_steps() + step, Remains::Whole);
        let outcome = node.process.run(self.sweep_only(repository, thorough())).await;
        let died = node.process.is_dead();
        if !died {
            outcome.map_err(|_| Error::new(contract::ErrorKind::Internal, "the collector died without a crash"))??;
        }
        Ok(died)
    }

    /// The first step of a purge: its tombstone has its place in the journal, and nothing more.
    pub(super) async fn enter_tombstone(&self, repository: &Repository, point: PointId) -> Result<JournalRow> {
        self.world.purge(point, Purge::Asked);
        let inner = &repository.inner;
        let mut transaction = inner.ledger.begin().await.map_err(Fault::from)?;
        let mut domain = inner.domain_row(transaction.as_mut()).await?;
        let payload = Payload::Tombstone { points: vec![point] };
        let entry = inner.enter(transaction.as_mut(), &mut domain, 0, payload).await?;
        transaction.commit().await.map_err(Fault::from)?;
        Ok(entry)
    }

    pub(super) async fn points(&self, repository: &Repository) -> Result<Vec<PointInfo>> {
        repository.points(contract::PointFilter { item: None, deleted: true }).await
    }

    /// A database that takes over.
    pub(super) async fn take_over(&self, node: &Node, database: &Database) -> Result<Repository> {
        self.world.foreign_packs.set(true);
        let repository = node.assemble(database);
        repository.inner.rebuild().await.map_err(Error::from)?;
        if incarnation(&database.ledger) > incarnation(&self.world.current().ledger)
            || database.number == self.world.current().number
        {
            self.world.current.replace(database.clone());
        }
        Ok(repository)
    }

    /// Everybody is gone; somebody looks after what is left, and uses it again.
    pub(super) async fn curtain(&self) {
        let world = &self.world;
        if world.failed() {
            return;
        }
        self.actor.process.kill();
        self.other.process.kill();
        world.weather.calm().await;
        world.audit("behind the curtain");
        let last = world.node("last");
        let mut repository = last.assemble(&world.current());
        if repository.start().await.is_err() {
            match self.take_over(&last, &world.current()).await {
                Ok(rebuilt) => repository = rebuilt,
                Err(error) => return world.violation(format!("nobody can rebuild: {error}")),
            }
        }
        world.is_reverted.set(false);
        if world.model.borrow().tainted.is_empty() && Self::refuses_to_collect(&repository).await {
            // Nothing is lost: somebody puts the disk right.
            world.weather.make_all_readable();
            match self.take_over(&last, &world.current()).await {
                Ok(rebuilt) => repository = rebuilt,
                Err(error) => return world.violation(format!("nobody can rebuild: {error}")),
            }
        }
        if !world.model.borrow().tainted.is_empty() {
            let given_up = repository.inner.give_up_unread().await.map_err(Error::from);
            self.must("give up what cannot be read", given_up);
        }
        world.audit("after the recovery");
        world.audit_equality("after the recovery");
        world.audit_rebuild("after the recovery");
        self.must("use it again", self.epilogue(&repository).await);
        world.audit("at the end");
        world.audit_equality("at the end");
        world.audit_rebuild("at the end");
        if !self.has_damage.get() && !world.failed() {
            let walker = Walker::new(&world.memory);
            world.audit_garbage(&walker, &world.current(), &world.memory, world.foreign_packs.get(), "at the end");
        }
    }

    async fn refuses_to_collect(repository: &Repository) -> bool {
        let mut transaction = repository.inner.ledger.snapshot().await.unwrap();
        repository.inner.refuse_unread(transaction.as_mut()).await.is_err()
    }

    async fn epilogue(&self, repository: &Repository) -> Result<()> {
        for item in 0..2 {
            self.back_up(repository, item, &tree(&[&[&[0, 1], &[2]], &[&[3, 4]], &[&[40 + item as u64]]])).await?;
        }
        for _ in 0..2 {
            repository.collect(thorough(), no_progress()).await?;
            self.world.audit("after a last collection");
        }
        Ok(())
    }
}
