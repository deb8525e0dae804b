//! The world of one simulation: the storage, the database that is the authority now, and what everybody was promised.

use super::content::{Graph, Tree};
use super::identity::{IDENTITY, item};
use super::node::{Database, Locks, Node};
use bytes::Bytes;
use format::record::{RecordBody, RecordKind};
use format::{BlobId, KeyId, PointId, Sequence};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use storage::MemoryStore;
use testkit::{FaultyStore, Rng, Simulation};

/// Trees that are likely to come back: the fewer, the more is found again that others left behind.
const RECENT: usize = 8;

/// Whether somebody wanted a point purged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purge {
    /// Nobody.
    No,
    /// Somebody, who got no answer (yet).
    Asked,
    /// It was promised.
    Done,
}

/// A point that somebody tried to commit.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) kind: RecordKind,
    pub(super) acknowledged: bool,
    pub(super) purge: Purge,
}

/// What everybody was promised.
#[derive(Debug, Default)]
pub(super) struct Model {
    pub(super) points: BTreeMap<PointId, Known>,
    /// Records that nobody may ever serve.
    pub(super) forged: BTreeSet<PointId>,
    /// Blobs and objects that were damaged on purpose: their loss is not the repository's fault.
    pub(super) tainted: BTreeSet<String>,
    /// Key objects of all sessions.
    pub(super) keys: Vec<Bytes>,
    /// Trees by their root.
    trees: BTreeMap<BlobId, Tree>,
    /// Roots of the newest trees, the newest first.
    recent: VecDeque<BlobId>,
}

/// See the module.
pub(super) struct World {
    pub(super) simulation: Simulation,
    pub(super) memory: Arc<MemoryStore>,
    pub(super) weather: FaultyStore,
    pub(super) locks: Locks,
    pub(super) model: RefCell<Model>,
    /// The database that is the authority, as far as everybody knows.
    pub(super) current: RefCell<Database>,
    databases: Cell<usize>,
    /// Packs may lie in storage of which the current database knows nothing: another one issued them.
    pub(super) foreign_packs: Cell<bool>,
    /// Somebody is making a database anew: two who do so at once get nowhere, as they would in earnest.
    pub(super) rebuilder: Cell<Option<&'static str>>,
    /// Rebuilds that began so far: what goes on in a database that is made anew meanwhile may fail in many ways.
    pub(super) rebuilds: Cell<u32>,
    /// The current database was brought back to an older state, and nobody opened it since.
    pub(super) is_reverted: Cell<bool>,
    violation: RefCell<Option<String>>,
    trace: RefCell<Vec<String>>,
}

impl World {
    pub(super) fn new(seed: u64) -> Rc<Self> {
        let simulation = Simulation::new(seed);
        let memory = Arc::new(MemoryStore::new());
        let weather = FaultyStore::new(memory.clone(), simulation.rng().next_u64());
        Rc::new(Self {
            simulation,
            memory,
            weather,
            locks: Locks::default(),
            model: RefCell::default(),
            current: RefCell::new(Database::new(0)),
            databases: Cell::new(1),
            foreign_packs: Cell::new(false),
            rebuilder: Cell::new(None),
            rebuilds: Cell::new(0),
            is_reverted: Cell::new(false),
            violation: RefCell::default(),
            trace: RefCell::default(),
        })
    }

    /// A process.
    pub(super) fn node(&self, name: &'static str) -> Node {
        Node::new(name, &self.weather, self.simulation.clock(), &self.locks, self.simulation.rng())
    }

    /// A database that nobody used before.
    pub(super) fn new_database(&self) -> Database {
        let number = self.databases.get();
        self.databases.set(number + 1);
        Database::new(number)
    }

    /// The key object of an earlier session, rather a late one.
    pub(super) fn old_key(&self, rng: &mut Rng) -> Option<Bytes> {
        let model = self.model.borrow();
        let newest = model.keys.len().saturating_sub(RECENT);
        let recent = &model.keys[newest..];
        (!recent.is_empty()).then(|| rng.pick(recent).clone())
    }

    pub(super) fn current(&self) -> Database {
        self.current.borrow().clone()
    }

    /// Something that must never be.
    pub(super) fn violation(&self, what: impl Into<String>) {
        let what = what.into();
        self.note(|| format!("VIOLATION {what}"));
        self.violation.borrow_mut().get_or_insert(what);
    }

    pub(super) fn failed(&self) -> bool {
        self.violation.borrow().is_some()
    }

    /// What was violated, with what led there if the environment asks for it.
    pub(super) fn verdict(&self) -> Result<(), String> {
        match self.violation.borrow().as_ref() {
            None => Ok(()),
            Some(what) if is_tracing() => Err(format!("{}\n{what}", self.trace.borrow().join("\n"))),
            Some(what) => Err(what.clone()),
        }
    }

    /// A line of the trace.
    pub(super) fn note(&self, line: impl FnOnce() -> String) {
        if is_tracing() {
            self.trace.borrow_mut().push(format!("{:>6} {}", self.simulation.steps(), line()));
        }
    }

    /// A tree to back up: the base's, changed a bit or not at all; or, with this probability, one that was there before or none
    /// was like.
    pub(super) fn tree(&self, base: Option<BlobId>, other: f64, rng: &mut Rng) -> Tree {
        let model = self.model.borrow();
        if rng.chance(other) {
            let known = model.recent.get(rng.index(RECENT)).and_then(|root| model.trees.get(root));
            return if rng.chance(0.6) { known.cloned() } else { None }.unwrap_or_else(|| Tree::random(rng));
        }
        let known = base.and_then(|root| model.trees.get(&root).cloned());
        let mut tree = known.unwrap_or_else(|| Tree::random(rng));
        if rng.chance(0.8) {
            tree.mutate(rng);
        }
        tree
    }

    /// The tree's blobs; it is known by its root from now on.
    pub(super) fn graph(&self, tree: &Tree) -> Graph {
        let graph = tree.graph();
        let mut model = self.model.borrow_mut();
        model.trees.insert(graph.root, tree.clone());
        model.recent.push_front(graph.root);
        model.recent.truncate(RECENT);
        drop(model);
        graph
    }

    /// Somebody is about to commit this.
    pub(super) fn attempted(&self, body: &RecordBody) {
        let known = Known { kind: body.kind, acknowledged: false, purge: Purge::No };
        self.model.borrow_mut().points.entry(body.id()).or_insert(known);
    }

    pub(super) fn acknowledged(&self, point: PointId) {
        if let Some(known) = self.model.borrow_mut().points.get_mut(&point) {
            known.acknowledged = true;
        }
    }

    pub(super) fn purge(&self, point: PointId, purge: Purge) {
        if let Some(known) = self.model.borrow_mut().points.get_mut(&point)
            && known.purge != Purge::Done
        {
            known.purge = purge;
        }
    }
}

/// The body of a record.
pub(super) fn record_body(
    kind: RecordKind,
    number: usize,
    previous: Option<(PointId, Sequence)>,
    root: BlobId,
    key: KeyId,
    rng: &mut Rng,
) -> RecordBody {
    RecordBody {
        vault: IDENTITY.vault,
        domain: IDENTITY.domain,
        item: item(number),
        kind,
        sequence: previous.map_or(Sequence(1), |(_, sequence)| sequence.next()),
        previous: previous.map(|(point, _)| point),
        root,
        key,
        agent_time_ms: 0,
        metadata_nonce: rng.bytes(),
        metadata: vec![1; 30],
    }
}

fn is_tracing() -> bool {
    static TRACING: std::sync::LazyLock<bool> =
        std::sync::LazyLock::new(|| std::env::var_os("HOLDFAST_SIMULATION_TRACE").is_some());
    *TRACING
}
