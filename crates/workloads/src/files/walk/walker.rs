//! A walk: threads that look ahead, and the reader.

use super::inspect::{Inspected, Inspector};
use super::schedule::{BATCH_NAMES, Job, NodeId, Schedule};
use engine::source::WalkEvent;
use std::io;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

/// Most entries that are buffered ahead of the reader.
const BUFFERED_ENTRIES_MAX: usize = 16 << 10;
/// Workers need little stack.
const STACK_BYTES: usize = 512 << 10;

/// The events of a walk in the order of trees.
pub(crate) struct Walk {
    schedule: Arc<Schedule>,
    way: Vec<NodeId>,
    events: std::vec::IntoIter<WalkEvent>,
    inspector: Arc<Inspector>,
    has_failed: bool,
    workers: Vec<JoinHandle<()>>,
}

impl Walk {
    /// Starts it with so many threads.
    pub(crate) fn start(inspector: Inspector, threads: usize) -> io::Result<Self> {
        Self::start_within(BUFFERED_ENTRIES_MAX, inspector, threads)
    }

    /// Starts it with a limit of what is buffered.
    fn start_within(limit: usize, inspector: Inspector, threads: usize) -> io::Result<Self> {
        let (schedule, top) = Schedule::new(limit, inspector.top());
        let schedule = Arc::new(schedule);
        let inspector = Arc::new(inspector);
        let events = Vec::new().into_iter();
        let mut walk = Self { schedule, way: vec![top], events, inspector, has_failed: false, workers: Vec::new() };
        for number in 0..threads.max(1) {
            let (schedule, inspector) = (walk.schedule.clone(), walk.inspector.clone());
            let builder = Builder::new().name(format!("walk-{number}")).stack_size(STACK_BYTES);
            match system::spawn(builder, move || Worker { schedule: &schedule, inspector: &inspector }.run()) {
                Ok(worker) => walk.workers.push(worker),
                // One thread is enough to go on with.
                Err(error) if walk.workers.is_empty() => return Err(error),
                Err(_) => break,
            }
        }
        Ok(walk)
    }
}

impl Iterator for Walk {
    type Item = io::Result<WalkEvent>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(event) = self.events.next() {
                return Some(Ok(event));
            }
            match self.schedule.next(&mut self.way) {
                Some(Ok(events)) => self.events = events.into_iter(),
                Some(Err(error)) => {
                    self.has_failed = true;
                    return Some(Err(error));
                }
                None if self.has_failed => return None,
                None => {
                    // None the second time.
                    self.events = self.inspector.not_met().into_iter();
                    return self.events.next().map(Ok);
                }
            }
        }
    }
}

impl Drop for Walk {
    fn drop(&mut self) {
        self.schedule.stop();
        for worker in self.workers.drain(..) {
            // A panic was reported to the reader.
            let _ = worker.join();
        }
    }
}

struct Worker<'a> {
    schedule: &'a Schedule,
    inspector: &'a Inspector,
}

/// Fails the walk when a worker panics, so that the reader does not wait for ever.
struct PanicGuard<'a>(&'a Schedule);

impl Drop for PanicGuard<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.fail(io::Error::other("a thread of the walk failed"));
        }
    }
}

impl Worker<'_> {
    fn run(&self) {
        let _guard = PanicGuard(self.schedule);
        while let Some(job) = self.schedule.take() {
            if let Err(error) = self.work(job) {
                self.schedule.fail(error);
            }
        }
    }

    fn work(&self, job: Job) -> io::Result<()> {
        match job {
            Job::List { node, parent, place, scope } => {
                let listed = match self.inspector.list(parent.as_deref(), place, scope)? {
                    Ok(mut listed) => {
                        let names = listed.names.next_batch(BATCH_NAMES)?;
                        let inspected = match names.len() {
                            0 => Inspected::default(),
                            _ => self.inspector.inspect(&listed.directory, &listed.path, scope, &names),
                        };
                        Ok((listed, inspected))
                    }
                    Err(events) => Err(events),
                };
                self.schedule.listed(node, listed);
            }
            Job::Inspect { node, slot, directory, path, scope, names } => {
                let inspected = self.inspector.inspect(&directory, &path, scope, &names);
                self.schedule.inspected(node, slot, inspected);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::source::Machine;
    use crate::files::walk::{Roots, RuleOptions, Rules, resolve};
    use std::path::Path;

    fn inspector(root: &Path, names_bytes: usize) -> Inspector {
        let paths = [resolve(root).unwrap()];
        let rules = Rules::new(RuleOptions::default()).unwrap();
        let machine = Arc::new(Machine::new().unwrap());
        Inspector::new(machine, Roots::merge(&paths), Arc::new(rules), &paths).unwrap().with_names_in(names_bytes)
    }

    fn paths(walk: Walk) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut paths = Vec::new();
        for event in walk {
            let WalkEvent::Batch(batch) = event.unwrap() else { panic!("nothing goes wrong here") };
            paths.extend(batch.entries.into_iter().map(|entry| (batch.path.to_vec(), entry.name)));
        }
        paths
    }

    #[test]
    fn a_walk_with_hardly_any_room_gives_the_same() {
        let directory = tempfile::tempdir_in("/dev/shm").unwrap();
        for n in 0..3500 {
            std::fs::write(directory.path().join(format!("file {n}")), "").unwrap();
        }
        for n in 0..300 {
            std::fs::create_dir_all(directory.path().join(format!("a/{}/{n}/x/y", n % 7))).unwrap();
            std::fs::write(directory.path().join(format!("a/{}/{n}/x/file", n % 7)), "").unwrap();
            std::fs::create_dir(directory.path().join(format!("{n}"))).unwrap();
        }
        let expected = paths(Walk::start(inspector(directory.path(), 1 << 20), 4).unwrap());
        assert!(expected.len() > 3500 + 5 * 300);
        for limit in [1, 100, 2000] {
            for threads in [1, 2, 16] {
                let walk = Walk::start_within(limit, inspector(directory.path(), 1000), threads).unwrap();
                assert_eq!(paths(walk), expected, "limit {limit}, {threads} threads");
            }
        }
    }
}
