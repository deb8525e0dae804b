//! The order of work in a walk: which directory is listed next, and what its reader gets next.
//!
//! Directories are nodes. A node is *waiting* (to be listed), *listing*, *cutting* (its names are being looked at, batch by
//! batch, several at once) or *complete*. Its batches are slots in order; the reader takes them from the front, then goes
//! into its subdirectories one after the other. Tasks that nobody has taken yet stand in a heap in tree order: one for
//! each node that waits or cuts. Of the subdirectories of a node at most one waits; the others stand in the node's queue,
//! which spills to disk.
//!
//! # Why no walk gets stuck
//!
//! What is buffered is bounded: over the limit no task is taken until the reader has taken its share. The reader waits
//! for the front slot of one node, and for nothing else. Either that slot's task is running: running tasks never wait for
//! the reader or the limit, so it ends. Or it has not been taken: then it stands in the heap, and first in it. For all that
//! comes before it in tree order was given to the reader already, and tasks stand in tree order. So the reader marks the
//! first task as urgent, and an urgent task is taken whatever the limit says. A worker that panics fails the walk.

use super::Place;
use super::children::{Child, ChildQueue};
use super::inspect::{Inspected, Listed};
use super::names::{Names, SortedNames};
use super::roots::Scope;
use crate::files::source::Directory;
use engine::source::WalkEvent;
use std::cmp::{Ordering, Reverse};
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Names in a batch.
pub(super) const BATCH_NAMES: usize = 1000;
/// What a directory counts besides its entries, against the limit of what is buffered.
const DIRECTORY_COST: usize = 16;
/// Bytes of a directory's path that count as much as an entry.
const PATH_COST_BYTES: usize = 256;

pub(super) type NodeId = u64;

/// All that workers and reader share.
pub(super) struct Schedule {
    state: Mutex<State>,
    /// Workers wait here for a task.
    work: Condvar,
    /// The reader waits here for a slot.
    ready: Condvar,
    /// Most entries that are buffered.
    limit: usize,
}

#[derive(Default)]
struct State {
    nodes: HashMap<NodeId, Node>,
    last_id: NodeId,
    tasks: BinaryHeap<Reverse<Task>>,
    buffered: usize,
    /// Over the limit, until the reader has taken a quarter.
    paused: bool,
    /// The reader waits for the first task.
    urgent: bool,
    /// The node whose slot the reader waits for.
    awaited: Option<NodeId>,
    idle: usize,
    stopped: bool,
    failed: Option<io::Error>,
}

struct Task {
    place: Arc<Place>,
    node: NodeId,
}

struct Node {
    parent: Option<NodeId>,
    /// Needed to open it.
    parent_directory: Option<Arc<Directory>>,
    scope: Scope,
    /// The place while it waits.
    place: Arc<Place>,
    phase: Phase,
    slots: VecDeque<Slot>,
    /// Number of the front slot.
    front: u64,
    /// Number of the first slot whose subdirectories are not in the queue yet.
    unsettled: u64,
    children: ChildQueue,
    /// Subdirectories in order: listed, being listed, and last the one that waits.
    started: VecDeque<NodeId>,
    /// Whether the last of them waits.
    child_waits: bool,
    directory: Option<Arc<Directory>>,
}

enum Phase {
    Waiting,
    Listing,
    Cutting { path: Arc<[u8]>, names: SortedNames },
    Complete,
}

enum Slot {
    Running,
    Ready { events: Vec<WalkEvent>, children: Vec<Child>, cost: usize },
}

/// What a worker is to do.
pub(super) enum Job {
    /// Open a directory and read its names.
    List { node: NodeId, parent: Option<Arc<Directory>>, place: Arc<Place>, scope: Scope },
    /// Look at some of its names.
    Inspect { node: NodeId, slot: u64, directory: Arc<Directory>, path: Arc<[u8]>, scope: Scope, names: Names },
}

impl Ord for Task {
    fn cmp(&self, other: &Self) -> Ordering {
        self.place.cmp(&other.place)
    }
}

impl PartialOrd for Task {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Task {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Task {}

impl Schedule {
    /// A schedule with the top directory waiting, and its node.
    pub(super) fn new(limit: usize, top: Scope) -> (Self, NodeId) {
        let mut state = State::default();
        let node = state.add_node(None, None, Place::top(), top);
        (Self { state: Mutex::new(state), work: Condvar::new(), ready: Condvar::new(), limit }, node)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the walk: workers get no more jobs.
    pub(super) fn stop(&self) {
        self.lock().stopped = true;
        self.work.notify_all();
    }

    /// Fails the walk.
    pub(super) fn fail(&self, error: io::Error) {
        let mut state = self.lock();
        state.failed.get_or_insert(error);
        state.stopped = true;
        self.work.notify_all();
        self.ready.notify_all();
    }

    // ---- workers -------------------------------------------------------------------------------------------------------

    /// The next job; waits for one. None at the end.
    pub(super) fn take(&self) -> Option<Job> {
        let mut state = self.lock();
        loop {
            if state.stopped {
                return None;
            }
            if !state.tasks.is_empty() && (!state.paused || state.urgent) {
                state.urgent = false;
                let job = state.take_first();
                self.wake_worker(&state);
                match job {
                    Ok(Some(job)) => return Some(job),
                    Ok(None) => continue,
                    Err(error) => {
                        drop(state);
                        self.fail(error);
                        return None;
                    }
                }
            }
            state.idle += 1;
            state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.idle -= 1;
        }
    }

    /// A directory was listed (`Err`: could not be); `first` is what is known of its first names.
    pub(super) fn listed(&self, node: NodeId, listed: Result<(Listed, Inspected), Vec<WalkEvent>>) {
        let mut state = self.lock();
        let done = state.listed(node, listed);
        self.finish_job(state, node, done);
    }

    /// Names of a directory were looked at.
    pub(super) fn inspected(&self, node: NodeId, slot: u64, inspected: Inspected) {
        let mut state = self.lock();
        let cost = cost_of(&inspected.events);
        state.buffered += cost;
        let done = match state.nodes.get_mut(&node) {
            Some(at) => {
                let index = (slot - at.front) as usize;
                if let Some(slot) = at.slots.get_mut(index) {
                    *slot = Slot::Ready { events: inspected.events, children: inspected.children, cost };
                }
                at.settle();
                state.advance(node)
            }
            None => Ok(()),
        };
        self.finish_job(state, node, done);
    }

    fn finish_job(&self, mut state: MutexGuard<'_, State>, node: NodeId, done: io::Result<()>) {
        if state.buffered >= self.limit {
            state.paused = true;
        }
        if state.awaited == Some(node) {
            state.awaited = None;
            self.ready.notify_one();
        }
        self.wake_worker(&state);
        drop(state);
        if let Err(error) = done {
            self.fail(error);
        }
    }

    /// Each worker that takes or adds a task wakes at most one further worker: enough are awake, never all at once.
    fn wake_worker(&self, state: &State) {
        if state.idle > 0 && !state.tasks.is_empty() && (!state.paused || state.urgent) {
            self.work.notify_one();
        }
    }

    // ---- the reader ----------------------------------------------------------------------------------------------------

    /// What comes next; `way` is the reader's way from the top, its place in the tree. None at the end.
    pub(super) fn next(&self, way: &mut Vec<NodeId>) -> Option<io::Result<Vec<WalkEvent>>> {
        let mut state = self.lock();
        loop {
            if let Some(error) = state.failed.take() {
                way.clear();
                return Some(Err(error));
            }
            let id = *way.last()?;
            let Some(node) = state.nodes.get_mut(&id) else {
                way.clear();
                return Some(Err(io::Error::other("the walk lost its place")));
            };
            match node.slots.front() {
                Some(Slot::Ready { .. }) => {
                    let events = self.take_slot(&mut state, id);
                    if !events.is_empty() {
                        return Some(Ok(events));
                    }
                    continue;
                }
                None if matches!(node.phase, Phase::Complete) => {
                    state.go_on(way);
                    continue;
                }
                None if !matches!(node.phase, Phase::Listing) => {
                    state.urgent = true;
                    self.work.notify_one();
                }
                // Being listed or looked at.
                Some(Slot::Running) | None => {}
            }
            state.awaited = Some(id);
            state = self.ready.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn take_slot(&self, state: &mut State, id: NodeId) -> Vec<WalkEvent> {
        let Some(node) = state.nodes.get_mut(&id) else { return Vec::new() };
        let Some(Slot::Ready { events, cost, .. }) = node.slots.pop_front() else { return Vec::new() };
        node.front += 1;
        state.buffered = state.buffered.saturating_sub(cost);
        if state.paused && state.buffered < self.limit / 4 * 3 {
            state.paused = false;
            self.wake_worker(state);
        }
        events
    }
}

impl State {
    fn add_node(&mut self, parent: Option<NodeId>, directory: Option<Arc<Directory>>, place: Arc<Place>, scope: Scope) -> NodeId {
        self.last_id += 1;
        let node = Node {
            parent,
            parent_directory: directory,
            scope,
            place: place.clone(),
            phase: Phase::Waiting,
            slots: VecDeque::new(),
            front: 0,
            unsettled: 0,
            children: ChildQueue::default(),
            started: VecDeque::new(),
            child_waits: false,
            directory: None,
        };
        self.nodes.insert(self.last_id, node);
        self.tasks.push(Reverse(Task { place, node: self.last_id }));
        self.last_id
    }

    /// Takes the first task. None where its node is gone.
    fn take_first(&mut self) -> io::Result<Option<Job>> {
        let Some(Reverse(Task { place, node: id })) = self.tasks.pop() else { return Ok(None) };
        let Some(node) = self.nodes.get_mut(&id) else { return Ok(None) };
        match std::mem::replace(&mut node.phase, Phase::Complete) {
            Phase::Waiting => {
                node.phase = Phase::Listing;
                let job = Job::List { node: id, parent: node.parent_directory.take(), place, scope: node.scope };
                if let Some(parent) = node.parent {
                    if let Some(parent) = self.nodes.get_mut(&parent) {
                        parent.child_waits = false;
                    }
                    self.advance(parent)?;
                }
                Ok(Some(job))
            }
            Phase::Cutting { path, mut names } => {
                let batch = names.next_batch(BATCH_NAMES)?;
                let slot = node.front + node.slots.len() as u64;
                node.slots.push_back(Slot::Running);
                let scope = node.scope;
                let directory = node.directory.clone();
                if !names.is_empty() {
                    node.phase = Phase::Cutting { path: path.clone(), names };
                    self.tasks.push(Reverse(Task { place, node: id }));
                }
                Ok(directory.map(|directory| Job::Inspect { node: id, slot, directory, path, scope, names: batch }))
            }
            // Only waiting and cutting nodes have a task.
            other => {
                node.phase = other;
                Ok(None)
            }
        }
    }

    fn listed(&mut self, id: NodeId, listed: Result<(Listed, Inspected), Vec<WalkEvent>>) -> io::Result<()> {
        let Some(node) = self.nodes.get_mut(&id) else { return Ok(()) };
        let (events, children) = match listed {
            Ok((Listed { directory, path, names, mut events }, inspected)) => {
                node.directory = Some(directory);
                node.phase = if names.is_empty() { Phase::Complete } else { Phase::Cutting { path, names } };
                events.extend(inspected.events);
                (events, inspected.children)
            }
            Err(events) => {
                node.phase = Phase::Complete;
                (events, Vec::new())
            }
        };
        let cost = cost_of(&events) + DIRECTORY_COST + node.place.length() / PATH_COST_BYTES;
        self.buffered += cost;
        node.slots.push_back(Slot::Ready { events, children, cost });
        node.settle();
        if matches!(node.phase, Phase::Cutting { .. }) {
            self.tasks.push(Reverse(Task { place: node.place.clone(), node: id }));
        }
        self.advance(id)
    }

    /// Lets the next subdirectory of a node wait, unless one does.
    fn advance(&mut self, id: NodeId) -> io::Result<()> {
        let Some(node) = self.nodes.get_mut(&id).filter(|node| !node.child_waits) else { return Ok(()) };
        let Some(child) = node.children.pop()? else { return Ok(()) };
        node.child_waits = true;
        let place = node.place.child(&child.name);
        let directory = node.directory.clone();
        let child = self.add_node(Some(id), directory, place, child.scope);
        if let Some(node) = self.nodes.get_mut(&id) {
            node.started.push_back(child);
        }
        Ok(())
    }

    /// Moves the reader from a node that it has read to the next one. A node is forgotten before its last subdirectory is
    /// read: a chain of directories leaves nothing behind.
    fn go_on(&mut self, way: &mut Vec<NodeId>) {
        let Some(id) = way.pop() else { return };
        let Some(node) = self.nodes.get_mut(&id) else { return };
        let Some(child) = node.started.pop_front() else {
            self.nodes.remove(&id);
            return;
        };
        if node.started.is_empty() && node.children.is_empty() {
            self.nodes.remove(&id);
        } else {
            way.push(id);
        }
        way.push(child);
    }
}

impl Node {
    /// Queues the subdirectories of all slots that are ready without a gap.
    fn settle(&mut self) {
        while let Some(Slot::Ready { children, .. }) = self.slots.get_mut((self.unsettled - self.front) as usize) {
            for child in std::mem::take(children) {
                self.children.push(&child);
            }
            self.unsettled += 1;
        }
    }
}

fn cost_of(events: &[WalkEvent]) -> usize {
    let cost = |event: &WalkEvent| match event {
        WalkEvent::Batch(batch) => batch.entries.len(),
        WalkEvent::Warning(_) | WalkEvent::LeftOut(_) | WalkEvent::Listed { .. } | WalkEvent::Lost => 1,
    };
    events.iter().map(cost).sum()
}
