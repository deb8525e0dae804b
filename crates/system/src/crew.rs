//! Threads that work together, and where they stand among those who want the processor and the disk.
//!
//! Priorities belong to threads, and a process may have several pieces of work, and threads that have to answer in any case. A crew is
//! the threads of one piece of work: those that joined it, and those that they start with [`spawn`].
//!
//! Invariant: a crew never stands before where it was made. What it was made to is what the machine's administrator gave the process.

use crate::priority::{self, POLICY_IDLE};
use rustix::process::{Pid, getpriority_process, setpriority_process};
use rustix::thread::gettid;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io;
use std::num::NonZeroI32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};

/// What is behind others is this nice, at least.
const NICE_LOW: i32 = 10;
/// And by this much nicer than where it was.
const NICE_STEP: i32 = 5;
/// The nicest there is.
const NICE_LAST: i32 = 19;

/// Classes of disk priorities.
const DISK_CLASS_BITS: i32 = 13;
const DISK_CLASS_BEST_EFFORT: i32 = 2;
const DISK_CLASS_IDLE: i32 = 3;
/// The last level of a class.
const DISK_LEVEL_LAST: i32 = 7;

/// A place among those who want something of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Priority {
    /// Where the process was put.
    #[default]
    Normal,
    /// Behind others.
    Low,
    /// What nobody else wants.
    Idle,
}

/// Where a crew stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Priorities {
    /// Among those who want the processor.
    pub processor: Priority,
    /// Among those who want the disk.
    pub disk: Priority,
}

/// Threads that work together. Clones are the same crew.
#[derive(Debug, Clone)]
pub struct Crew(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    /// Where threads stand that nobody has put anywhere.
    usual: Usual,
    wanted: Priorities,
    /// Something else than the usual was wanted once: who joins may have it from the thread that started it.
    is_moved: bool,
    members: BTreeSet<NonZeroI32>,
}

#[derive(Debug, Clone, Copy)]
struct Usual {
    policy: i32,
    nice: i32,
    disk: i32,
}

thread_local! {
    static OWN: RefCell<Option<Crew>> = const { RefCell::new(None) };
}

impl Default for Crew {
    /// Nobody yet; the usual place is that of the thread that makes it, or of the crew which that belongs to.
    fn default() -> Self {
        let usual = OWN.with_borrow(|own| own.as_ref().map(|crew| crew.state().usual));
        let usual = usual.unwrap_or_else(|| Usual::of(gettid()));
        Self(Arc::new(Mutex::new(State { usual, wanted: Priorities::default(), is_moved: false, members: BTreeSet::new() })))
    }
}

impl Crew {
    /// Puts all its threads there, and those that join later. Answers whether all of them are there now: a process without CAP_SYS_NICE
    /// gets the processor back only as far as RLIMIT_NICE allows.
    #[must_use]
    pub fn set(&self, wanted: Priorities) -> bool {
        let mut state = self.state();
        state.wanted = wanted;
        state.is_moved |= wanted != Priorities::default();
        // All of them, whatever becomes of one.
        state.members.iter().filter(|thread| !state.put(**thread)).count() == 0
    }

    /// The calling thread belongs to it until the membership ends, which has to be on the same thread.
    #[must_use]
    pub fn join(&self) -> Membership {
        let thread = gettid().as_raw_nonzero();
        let mut state = self.state();
        state.members.insert(thread);
        if state.is_moved {
            // Who stands too far behind for want of a right does the work all the same.
            state.put(thread);
        }
        drop(state);
        let before = OWN.replace(Some(self.clone()));
        Membership { thread, before, on_one_thread: std::marker::PhantomData }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// That a thread belongs to a crew.
#[derive(Debug)]
pub struct Membership {
    thread: NonZeroI32,
    before: Option<Crew>,
    on_one_thread: std::marker::PhantomData<*const ()>,
}

impl Drop for Membership {
    fn drop(&mut self) {
        // Before the thread ends: its number may be another's then.
        if let Some(crew) = OWN.replace(self.before.take()) {
            crew.state().members.remove(&self.thread);
        }
    }
}

/// Starts a thread that belongs to the crew of the thread that starts it, if that has one.
pub fn spawn<T: Send + 'static>(builder: Builder, work: impl FnOnce() -> T + Send + 'static) -> io::Result<JoinHandle<T>> {
    let crew = OWN.with_borrow(Clone::clone);
    builder.spawn(move || {
        let _membership = crew.as_ref().map(Crew::join);
        work()
    })
}

impl Usual {
    fn of(thread: Pid) -> Self {
        Self {
            policy: priority::policy(thread).unwrap_or(0),
            nice: getpriority_process(Some(thread)).unwrap_or(0),
            disk: priority::disk(thread).unwrap_or(0),
        }
    }

    /// Policy and nice value. None: those of a thread that has to be in time are left as they are.
    fn processor(self, wanted: Priority) -> Option<(i32, i32)> {
        if ![libc::SCHED_OTHER, libc::SCHED_BATCH, POLICY_IDLE].contains(&self.policy) {
            return None;
        }
        Some(match wanted {
            Priority::Normal => (self.policy, self.nice),
            Priority::Low => (self.policy, (self.nice + NICE_STEP).clamp(NICE_LOW, NICE_LAST)),
            Priority::Idle => (POLICY_IDLE, NICE_LAST),
        })
    }

    fn disk(self, wanted: Priorities) -> i32 {
        let best_effort = |level: i32| (DISK_CLASS_BEST_EFFORT << DISK_CLASS_BITS) | level;
        let class = self.disk >> DISK_CLASS_BITS;
        match wanted.disk {
            Priority::Normal if class == 0 && wanted.processor != Priority::Normal => {
                // A thread without a disk priority has one that follows its processor priority: it stays where that was.
                best_effort((self.nice + 20).clamp(0, 39) / 5)
            }
            Priority::Normal => self.disk,
            Priority::Low if class == DISK_CLASS_IDLE => self.disk,
            Priority::Low => best_effort(DISK_LEVEL_LAST),
            Priority::Idle => DISK_CLASS_IDLE << DISK_CLASS_BITS,
        }
    }
}

impl State {
    /// Puts a thread where the crew is wanted; answers whether it is there.
    fn put(&self, thread: NonZeroI32) -> bool {
        let Some(thread) = Pid::from_raw(thread.get()) else { return true };
        let processor = match self.usual.processor(self.wanted.processor) {
            None => true,
            Some((policy, nice)) => {
                let has_policy = || priority::policy(thread).is_ok_and(|now| now == policy);
                let has_nice = || getpriority_process(Some(thread)).is_ok_and(|now| now == nice);
                (has_policy() || priority::set_policy(thread, policy).is_ok())
                    & (has_nice() || setpriority_process(Some(thread), nice).is_ok())
            }
        };
        let disk = self.usual.disk(self.wanted);
        processor & (priority::disk(thread).is_ok_and(|now| now == disk) || priority::set_disk(thread, disk).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    const LOW: Priorities = Priorities { processor: Priority::Low, disk: Priority::Low };
    const IDLE: Priorities = Priorities { processor: Priority::Idle, disk: Priority::Idle };

    fn own() -> (i32, i32, i32) {
        let Usual { policy, nice, disk } = Usual::of(gettid());
        (policy, nice, disk)
    }

    /// On a thread of its own: what is taken from a thread may be lost to it.
    fn aside<T: Send + 'static>(test: impl FnOnce() -> T + Send + 'static) -> T {
        std::thread::spawn(test).join().unwrap()
    }

    /// A thread of the calling thread's crew that answers where it stands each time that it is asked.
    fn member() -> impl Fn() -> (i32, i32, i32) {
        let (asked, asks) = mpsc::channel();
        let (answers, answer) = mpsc::channel();
        let work = move || asks.iter().try_for_each(|()| answers.send(own()));
        spawn(Builder::new(), work).unwrap();
        move || {
            asked.send(()).unwrap();
            answer.recv().unwrap()
        }
    }

    #[test]
    fn all_threads_of_a_crew_stand_where_it_was_put_and_no_other_does() {
        aside(|| {
            let usual = own();
            let (crew, other) = (Crew::default(), member());
            let _joined = crew.join();
            let first = member();
            assert!(crew.set(LOW));
            let later = member();
            for stands in [own(), first(), later()] {
                assert_eq!(stands, (usual.0, (usual.1 + NICE_STEP).clamp(NICE_LOW, NICE_LAST), (2 << 13) | 7));
            }
            assert!(crew.set(IDLE));
            for stands in [own(), first(), later()] {
                assert_eq!(stands, (POLICY_IDLE, NICE_LAST, 3 << 13));
            }
            assert_eq!(other(), usual);
        });
    }

    #[test]
    fn a_crew_comes_back_to_where_it_was_or_says_that_it_could_not() {
        aside(|| {
            let usual = own();
            let crew = Crew::default();
            let _joined = crew.join();
            assert!(crew.set(IDLE));
            let is_back = crew.set(Priorities::default());
            let may = rustix::thread::capabilities(None)
                .is_ok_and(|sets| sets.effective.contains(rustix::thread::CapabilitySet::SYS_NICE));
            assert!(is_back || !may);
            assert_eq!(own().2, usual.2, "the disk is given back to everybody");
            assert_eq!(own() == usual, is_back);
        });
    }

    #[test]
    fn a_disk_priority_that_nobody_set_does_not_follow_the_processor() {
        let usual = Usual { policy: 0, nice: 0, disk: 0 };
        let wanted = |processor, disk| usual.disk(Priorities { processor, disk });
        assert_eq!(wanted(Priority::Normal, Priority::Normal), 0);
        assert_eq!(wanted(Priority::Idle, Priority::Normal), (2 << 13) | 4);
        assert_eq!(wanted(Priority::Normal, Priority::Idle), 3 << 13);
    }

    #[test]
    fn nothing_is_taken_from_the_administrator_who_put_a_process_behind_others() {
        let unit = Usual { policy: 0, nice: 10, disk: 3 << 13 };
        assert_eq!(unit.processor(Priority::Low), Some((0, 15)));
        assert_eq!(unit.disk(LOW), 3 << 13);
        let in_time = Usual { policy: libc::SCHED_FIFO, nice: 0, disk: 0 };
        assert_eq!(in_time.processor(Priority::Idle), None);
    }

    #[test]
    fn who_left_is_put_nowhere() {
        aside(|| {
            let crew = Crew::default();
            drop(crew.join());
            let usual = own();
            assert!(crew.set(IDLE) && crew.state().members.is_empty());
            assert_eq!(own(), usual);
        });
    }
}
