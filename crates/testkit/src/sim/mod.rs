//! A deterministic executor: one thread, one seed, one order of events.
//!
//! Nothing in it depends on the machine's clock, randomness, threads or hash order, so a seed repeats a run exactly — as
//! long as what runs in it does not depend on them either.

mod clock;
mod state;
mod task;

pub use clock::{SimClock, SimTime};
pub use task::{Killed, TaskHandle};

use crate::rng::Rng;
use state::{SharedState, Turn};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use task::{TaskId, TaskWaker};

/// More steps than any sensible simulation takes: what goes on behind them waits for something that never comes.
const STEPS_MAX: u64 = 50_000_000;

/// Tasks that run in an order drawn from a seed. Clones are the same simulation.
#[derive(Clone)]
pub struct Simulation {
    seed: u64,
    shared: SharedState,
    tasks: Rc<RefCell<Tasks>>,
}

#[derive(Default)]
struct Tasks {
    next: u64,
    running: BTreeMap<TaskId, Task>,
}

struct Task {
    name: String,
    waker: Waker,
    /// Absent while it is being polled.
    future: Option<Pin<Box<dyn Future<Output = ()>>>>,
}

impl Simulation {
    /// A simulation without tasks.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { seed, shared: SharedState::new(Rng::new(seed)), tasks: Rc::default() }
    }

    /// The seed.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// A generator of its own for a task, drawn from the seed.
    #[must_use]
    pub fn rng(&self) -> Rng {
        self.shared.lock().rng.fork()
    }

    /// Steps so far; each polls one task once.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.shared.lock().steps
    }

    /// The simulated time, which tasks may keep.
    #[must_use]
    pub fn time(&self) -> SimTime {
        SimTime::new(self.shared.clone())
    }

    /// A clock of its own for an actor.
    #[must_use]
    pub fn clock(&self) -> SimClock {
        SimClock::new(self.time())
    }

    /// Starts a task. The name appears in messages only.
    pub fn spawn<T: 'static>(&self, name: impl Into<String>, future: impl Future<Output = T> + 'static) -> TaskHandle<T> {
        let mut tasks = self.tasks.borrow_mut();
        let id = TaskId(tasks.next);
        tasks.next += 1;
        let (handle, future) = task::reporting(id, self.shared.clone(), future);
        let waker = Waker::from(TaskWaker::new(id, self.shared.clone()));
        tasks.running.insert(id, Task { name: name.into(), waker, future: Some(Box::pin(future)) });
        self.shared.lock().ready.insert(id);
        handle
    }

    /// Runs until every task has ended. Panics, naming the seed, when those left wait for what nobody will do.
    pub fn run(&self) {
        while self.step() {}
    }

    /// Runs at most `steps` steps; whether tasks are left.
    pub fn run_steps(&self, steps: u64) -> bool {
        (0..steps).all(|_| self.step())
    }

    /// Runs until this future has its answer, beside all other tasks. What of them is left goes on in a later run.
    #[track_caller]
    pub fn block_on<T: 'static>(&self, future: impl Future<Output = T> + 'static) -> T {
        let handle = self.spawn(format!("block_on at {}", Location::caller()), future);
        while !handle.is_finished() {
            self.step();
        }
        handle.take().expect("nobody else holds the handle that could kill or take it")
    }

    /// Gives the other tasks a turn.
    pub async fn yield_now(&self) {
        crate::pause::yield_now().await;
    }

    /// One step; false when no task is left.
    fn step(&self) -> bool {
        self.bury_the_killed();
        loop {
            if self.tasks.borrow().running.is_empty() {
                return false;
            }
            match self.shared.next_turn() {
                Turn::Poll(id) => {
                    if self.poll(id) {
                        break;
                    }
                }
                Turn::TimePassed => {}
                Turn::Deadlock => self.give_up("is deadlocked: nothing will ever wake"),
            }
        }
        self.bury_the_killed();
        if self.steps() > STEPS_MAX {
            self.give_up("goes on for ever: still running are");
        }
        !self.tasks.borrow().running.is_empty()
    }

    /// Polls a task; false when it has ended before.
    fn poll(&self, id: TaskId) -> bool {
        let (mut future, waker, name) = {
            let mut tasks = self.tasks.borrow_mut();
            let Some(task) = tasks.running.get_mut(&id) else { return false };
            let future = task.future.take().expect("a task is not polled from within its own poll");
            (future, task.waker.clone(), task.name.clone())
        };
        let guard = NameTheSeed { simulation: self, task: &name };
        let answer = future.as_mut().poll(&mut Context::from_waker(&waker));
        drop(guard);
        match answer {
            Poll::Ready(()) => {
                self.tasks.borrow_mut().running.remove(&id);
            }
            Poll::Pending => {
                let mut tasks = self.tasks.borrow_mut();
                tasks.running.get_mut(&id).expect("only this executor removes tasks").future = Some(future);
            }
        }
        true
    }

    /// Drops the futures of killed tasks. A drop may run code that spawns, wakes or kills, hence no borrow across it.
    fn bury_the_killed(&self) {
        loop {
            let Some(id) = self.shared.lock().killed.pop() else { return };
            let task = self.tasks.borrow_mut().running.remove(&id);
            drop(task);
        }
    }

    fn give_up(&self, problem: &str) -> ! {
        let names: Vec<String> = self.tasks.borrow().running.values().map(|task| format!("'{}'", task.name)).collect();
        panic!("the simulation with seed {:#x} {problem} {} (step {})", self.seed, names.join(", "), self.steps());
    }
}

/// Says on unwinding which seed repeats the failure.
struct NameTheSeed<'a> {
    simulation: &'a Simulation,
    task: &'a str,
}

impl Drop for NameTheSeed<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Simulation { seed, .. } = self.simulation;
            eprintln!("the simulation with seed {seed:#x} failed in task '{}' at step {}", self.task, self.simulation.steps());
        }
    }
}
