//! A simulated process: counts its durable steps and dies at a chosen one.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

/// What the durable step that a process dies in leaves behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remains {
    /// Nothing: the crash came before it.
    Nothing,
    /// All of it: the crash came after it, before anybody heard.
    Whole,
    /// A put object cut short (a delete: nothing). Only sensible for storage.
    Torn,
    /// All of it, but only after so many more steps of the storage: the request was under way.
    Late {
        /// Steps of the storage, by any process.
        steps: u32,
    },
}

/// The process is dead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crashed;

impl fmt::Display for Crashed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the simulated process has crashed")
    }
}

impl std::error::Error for Crashed {}

/// What to do about a durable step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DurableStep {
    /// Do it.
    Goes,
    /// Leave this behind and answer nothing: the process died in it.
    Dies(Remains),
}

/// One life of a process: a task that began in an earlier one is as dead as that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Life(u64);

/// A simulated process; clones are the same process. Everything durable that it does, to storage or to a ledger, is a
/// durable step of it.
#[derive(Debug, Clone, Default)]
pub struct Process {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    life: u64,
    dead: bool,
    steps: u64,
    crash: Option<(u64, Remains)>,
    running: Vec<Waker>,
}

impl Process {
    /// A process that lives.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Durable steps so far, in all lives, the one it died in included.
    #[must_use]
    pub fn durable_steps(&self) -> u64 {
        self.state().steps
    }

    /// Lets it die in its durable step number `step`, counted from 0 over all lives. `crash_at(durable_steps(), …)` is the
    /// next one.
    pub fn crash_at(&self, step: u64, remains: Remains) {
        self.state().crash = Some((step, remains));
    }

    /// Kills it now.
    pub fn kill(&self) {
        let wakers = self.state().die();
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Starts it again; what ran in its earlier life stays dead. Does nothing to a process that lives.
    pub fn revive(&self) {
        let mut state = self.state();
        if state.dead {
            state.dead = false;
            state.life += 1;
        }
    }

    /// Whether it is dead.
    #[must_use]
    pub fn is_dead(&self) -> bool {
        self.state().dead
    }

    /// The present life, or the error that there is none.
    pub fn life(&self) -> Result<Life, Crashed> {
        let state = self.state();
        if state.dead { Err(Crashed) } else { Ok(Life(state.life)) }
    }

    /// An error when that life is over.
    pub fn check(&self, life: Life) -> Result<(), Crashed> {
        if self.life()? == life { Ok(()) } else { Err(Crashed) }
    }

    /// To be called before everything durable. From a step that `Dies` on, the process is dead.
    pub fn durable_step(&self, life: Life) -> Result<DurableStep, Crashed> {
        let mut state = self.state();
        if state.dead || state.life != life.0 {
            return Err(Crashed);
        }
        let step = state.steps;
        state.steps += 1;
        let Some((_, remains)) = state.crash.take_if(|(at, _)| *at == step) else { return Ok(DurableStep::Goes) };
        let wakers = state.die();
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
        Ok(DurableStep::Dies(remains))
    }

    /// Runs a future as part of the present life: when the process dies, the future is dropped where it stands, and what it
    /// might have answered in the same poll is lost.
    pub async fn run<F: Future>(&self, future: F) -> Result<F::Output, Crashed> {
        let life = self.life()?;
        let mut future = pin!(future);
        poll_fn(|context| {
            if let Err(crashed) = self.check(life) {
                return Poll::Ready(Err(crashed));
            }
            let answer = future.as_mut().poll(context);
            let mut state = self.state();
            if state.dead || state.life != life.0 {
                return Poll::Ready(Err(Crashed));
            }
            if answer.is_pending() && !state.running.iter().any(|waker| waker.will_wake(context.waker())) {
                state.running.push(context.waker().clone());
            }
            answer.map(Ok)
        })
        .await
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn die(&mut self) -> Vec<Waker> {
        self.dead = true;
        std::mem::take(&mut self.running)
    }
}
