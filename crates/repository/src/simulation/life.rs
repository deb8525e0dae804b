//! The life of a process: it opens the repository, does jobs, dies, comes back; and what its operator does when it refuses.

use super::audit::{drive, no_progress};
use super::backup::{Habits, back_up, patiently};
use super::identity::{IDENTITY, ITEMS};
use super::node::{Database, Node};
use super::restore::restore;
use super::world::{Purge, World};
use crate::ledger::{Ledger, MemoryLedger};
use crate::repository::Repository;
use contract::{CheckOptions, CollectOptions, Domain, Error, ErrorKind, PointFilter, PointInfo, PointState, Result};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use testkit::{FaultRates, Remains, Rng, join_all};

/// How often an operator tries to open the repository, and after how many tries the weather gets better.
const ATTEMPTS: u32 = 600;
const PATIENCE: u32 = 6;

/// Longer than anything takes.
const FOR_EVER_MS: u64 = 1 << 40;

/// What a process may be asked to do; relative frequencies.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mix {
    pub(super) backup: u64,
    pub(super) collect: u64,
    pub(super) keep: u64,
    pub(super) restore: u64,
    pub(super) check: u64,
    /// Another database is made from storage and takes over.
    pub(super) takeover: u64,
    /// Probability that a collection is given up half-way, as when its caller goes away.
    pub(super) cut_short: f64,
    /// Probability that a point is purged, where points are looked after.
    pub(super) purge: f64,
    pub(super) habits: Habits,
}

#[derive(Debug, Clone, Copy)]
enum Job {
    Backup,
    Collect,
    Keep,
    Restore,
    Check,
    Takeover,
}

impl Mix {
    fn draw(&self, rng: &mut Rng) -> Job {
        let shares = [
            (self.backup, Job::Backup),
            (self.collect, Job::Collect),
            (self.keep, Job::Keep),
            (self.restore, Job::Restore),
            (self.check, Job::Check),
            (self.takeover, Job::Takeover),
        ];
        let mut at = rng.below(shares.iter().map(|(share, _)| share).sum());
        for (share, job) in shares {
            if at < share {
                return job;
            }
            at -= share;
        }
        Job::Backup
    }
}

/// A process with its plans.
pub(super) struct Actor {
    pub(super) world: Rc<World>,
    pub(super) node: Node,
    /// The database that it uses.
    pub(super) database: RefCell<Database>,
    /// Jobs left, over all lives.
    pub(super) jobs: Cell<u32>,
    pub(super) mix: Mix,
    /// Steps after which it dies, one for each life.
    pub(super) crashes: RefCell<VecDeque<(u64, Remains)>>,
    pub(super) rng: RefCell<Rng>,
    /// Jobs at once.
    pub(super) hands: usize,
}

impl Actor {
    fn rng(&self) -> Rng {
        self.rng.borrow_mut().fork()
    }

    /// Lives until its jobs are done.
    pub(super) async fn live(&self) {
        while self.jobs.get() > 0 && !self.world.failed() {
            self.node.process.revive();
            if let Some((steps, remains)) = self.crashes.borrow_mut().pop_front() {
                self.node.process.crash_at(self.node.process.durable_steps() + steps, remains);
            }
            if self.node.process.run(self.one_life()).await.is_err() {
                if self.world.rebuilder.get() == Some(self.node.name) {
                    self.world.rebuilder.set(None);
                }
                self.world.note(|| format!("{} dies", self.node.name));
                self.world.audit("after a crash");
                let pause = 1 + self.rng().below(100);
                self.world.simulation.time().sleep_ms(pause).await;
            }
        }
    }

    async fn one_life(&self) {
        while self.jobs.get() > 0 && !self.world.failed() {
            let Some(repository) = self.open().await else { return };
            self.world.audit("after opening");
            let hands = (0..self.hands).map(|_| self.work(&repository));
            join_all(hands.map(Box::pin)).await;
        }
    }

    /// Opens the repository, as its operator would after reading the errors.
    async fn open(&self) -> Option<Repository> {
        for attempt in 0..ATTEMPTS {
            let database = self.database.borrow().clone();
            let repository = self.node.assemble(&database);
            match repository.start().await.map_err(Error::from) {
                Ok(()) => {
                    if self.world.current().number == database.number {
                        self.world.is_reverted.set(false);
                    }
                    return Some(repository);
                }
                Err(error) if error.kind().is_passing() => {}
                Err(error) if error.kind() == ErrorKind::Conflict => {
                    self.world.note(|| format!("{} cannot open: {error}", self.node.name));
                    let current = self.world.current();
                    if current.number == database.number {
                        if attempt >= PATIENCE {
                            // Who looks after a vault in ruins waits for better weather.
                            self.world.weather.set_rates(FaultRates::NONE);
                        }
                        if self.world.rebuilder.get().is_none() {
                            self.world.rebuilder.set(Some(self.node.name));
                            let _ = self.rebuild(&database).await;
                            self.world.rebuilder.set(None);
                        }
                    } else {
                        self.database.replace(current);
                    }
                }
                Err(error) => self.unexpected("opening", &error),
            }
            let pause = 1 + self.rng().below(30);
            self.world.simulation.time().sleep_ms(pause).await;
            if self.world.failed() {
                return None;
            }
        }
        self.world.violation(format!("{} cannot open the repository at all", self.node.name));
        None
    }

    /// Makes a database anew from storage.
    async fn rebuild(&self, database: &Database) -> Result<()> {
        let repository = self.node.assemble(database);
        self.world.foreign_packs.set(true);
        self.world.rebuilds.set(self.world.rebuilds.get() + 1);
        let report = repository.inner.rebuild().await.map_err(Error::from);
        self.world.note(|| format!("{} rebuilds database {}: {report:?}", self.node.name, database.number));
        let report = report?;
        if !report.unreadable_entries.is_empty() || !self.world.model.borrow().tainted.is_empty() {
            // As the audits' operator, see there.
            repository.inner.give_up_unread().await.map_err(Error::from)?;
        }
        let (new, old) = (incarnation(&database.ledger), incarnation(&self.world.current().ledger));
        if new >= old {
            self.world.current.replace(database.clone());
            self.world.is_reverted.set(false);
        }
        self.database.replace(database.clone());
        self.world.audit("after a rebuild");
        if !report.unreadable_packs.is_empty() && self.world.model.borrow().tainted.is_empty() {
            self.world.violation(format!("a rebuild cannot read packs: {report:?}"));
        }
        Ok(())
    }

    async fn work(&self, repository: &Repository) {
        while self.jobs.get() > 0 && !self.world.failed() {
            if repository.inner.fenced.load(Ordering::Acquire) {
                return;
            }
            self.jobs.set(self.jobs.get() - 1);
            let mut rng = self.rng();
            let job = self.mix.draw(&mut rng);
            self.world.note(|| format!("{} begins {job:?}", self.node.name));
            let rebuilds = self.world.rebuilds.get();
            let outcome = self.run(repository, job, &mut rng).await;
            self.world.note(|| format!("{} ends {job:?}: {outcome:?}", self.node.name));
            if let Err(error) = outcome
                && self.world.rebuilds.get() == rebuilds
            {
                self.unexpected(&format!("{job:?}"), &error);
            }
            if matches!(job, Job::Takeover) {
                return;
            }
            let pause = rng.below(40);
            self.world.simulation.time().sleep_ms(pause).await;
        }
    }

    async fn run(&self, repository: &Repository, job: Job, rng: &mut Rng) -> Result<()> {
        match job {
            Job::Backup => {
                let item = rng.index(ITEMS.len());
                back_up(&self.world, repository, item, self.mix.habits, rng).await.map(drop)
            }
            Job::Collect => self.collect(repository, rng).await,
            Job::Keep => self.keep(repository, rng).await,
            Job::Restore => {
                let Some(point) = any_point(repository, rng).await? else { return Ok(()) };
                let rebuilds = self.world.rebuilds.get();
                let outcome = restore(&self.world, repository, &point, self.mix.habits.pause, rng).await?;
                if self.world.rebuilds.get() == rebuilds {
                    self.judge_restore(repository, &point, outcome);
                }
                Ok(())
            }
            Job::Check => {
                let rebuilds = self.world.rebuilds.get();
                let report = repository
                    .check(CheckOptions { read_data: rng.chance(0.5), ..CheckOptions::default() }, no_progress())
                    .await?;
                let alone = self.world.rebuilds.get() == rebuilds && !self.is_replaced(repository);
                if !report.is_sound() && alone && self.world.model.borrow().tainted.is_empty() {
                    self.world.violation(format!("check finds damage where there is none: {report:?}"));
                }
                Ok(())
            }
            Job::Takeover => {
                let database = self.world.new_database();
                patiently(&self.world, || self.rebuild(&database)).await
            }
        }
    }

    async fn collect(&self, repository: &Repository, rng: &mut Rng) -> Result<()> {
        let options = CollectOptions { repack_dead_percent: *rng.pick(&[0, 5, 50]) };
        let patience_ms = if rng.chance(self.mix.cut_short) { rng.below(60) } else { FOR_EVER_MS };
        let collection = repository.collect(options, no_progress());
        let Some(report) = within(&self.world, patience_ms, collection).await else {
            self.world.note(|| format!("{} gives a collection up", self.node.name));
            return Ok(());
        };
        let report = report?;
        self.world.note(|| format!("{report:?}"));
        self.world.audit("after a collection");
        Ok(())
    }

    /// Soft-deletes, undeletes, purges.
    async fn keep(&self, repository: &Repository, rng: &mut Rng) -> Result<()> {
        let Some(point) = any_point(repository, rng).await? else { return Ok(()) };
        if rng.chance(self.mix.purge) {
            self.world.purge(point.id, Purge::Asked);
            patiently(&self.world, || repository.purge(std::slice::from_ref(&point.id))).await?;
            self.world.note(|| format!("{} purged {}", self.node.name, point.id));
            self.world.purge(point.id, Purge::Done);
            return Ok(());
        }
        if point.state == PointState::SoftDeleted {
            repository.undelete(&[point.id]).await
        } else {
            repository.expire(&[point.id]).await
        }
    }

    /// Whether another database took over, so that this one may lose what it has.
    fn is_replaced(&self, repository: &Repository) -> bool {
        let current = incarnation(&self.world.current().ledger);
        let own = drive(async { repository.inner.ledger.snapshot().await?.domain(IDENTITY.domain).await });
        let own = own.ok().flatten().filter(|row| row.ready).map(|row| row.incarnation.0);
        repository.inner.fenced.load(Ordering::Acquire) || own != Some(current)
    }

    fn judge_restore(&self, repository: &Repository, point: &PointInfo, outcome: Result<()>) {
        let Err(error) = outcome else { return };
        let excused = error.kind().is_passing() || !self.world.model.borrow().tainted.is_empty() || self.is_replaced(repository);
        if !excused {
            self.world.violation(format!("3: point {} does not restore: {error}", point.id));
        }
    }

    /// Errors that no fault of storage, database or process explains.
    fn unexpected(&self, doing: &str, error: &Error) {
        let tainted = !self.world.model.borrow().tainted.is_empty();
        let explained = match error.kind() {
            ErrorKind::Unavailable | ErrorKind::Full | ErrorKind::Conflict | ErrorKind::NotFound => true,
            ErrorKind::Corrupt => tainted,
            ErrorKind::Invalid | ErrorKind::Denied | ErrorKind::Internal => false,
        };
        if !explained {
            self.world.violation(format!("{doing} fails: {error} ({:?})", error.kind()));
        }
    }
}

/// The answer of a future if it comes in time; otherwise the future is dropped where it stands.
async fn within<T>(world: &World, ms: u64, future: impl Future<Output = T>) -> Option<T> {
    let time = world.simulation.time();
    let mut alarm = pin!(time.sleep_ms(ms));
    let mut future = pin!(future);
    poll_fn(|context| {
        if let Poll::Ready(answer) = future.as_mut().poll(context) {
            return Poll::Ready(Some(answer));
        }
        alarm.as_mut().poll(context).map(|()| None)
    })
    .await
}

/// The incarnation of a database.
pub(super) fn incarnation(ledger: &MemoryLedger) -> u64 {
    let row = drive(async { ledger.snapshot().await?.domain(IDENTITY.domain).await });
    row.unwrap().map_or(0, |row| row.incarnation.0)
}

async fn any_point(repository: &Repository, rng: &mut Rng) -> Result<Option<PointInfo>> {
    let points = repository.points(PointFilter { item: None, deleted: true }).await?;
    Ok(if points.is_empty() { None } else { Some(rng.pick(&points).clone()) })
}
