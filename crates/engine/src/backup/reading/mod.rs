//! The threads that read what is new or changed.

mod ahead;
mod details;
mod own;
mod run;

use super::leaf_job::{LeafJob, Task};
use super::shared::Shared;
use crate::error::Result;
use crossbeam_channel::{Receiver, Sender, bounded, select};
use own::OwnReader;
use std::sync::Arc;
use std::thread::JoinHandle;

pub(crate) use ahead::open_ahead;
pub(crate) use details::is_linked;

/// Files of less than this are run together into shared blobs.
pub(crate) const OWN_BLOBS_FROM: u64 = 256 << 10;
/// Bytes at which a run is full.
pub(crate) const RUN_BYTES_FULL: u64 = 1 << 20;

/// A unit of reading.
pub(crate) enum Work {
    /// Entries without content: directories, symlinks, devices, empty files.
    Bare(Vec<Task>),
    /// Small files of one owner whose content goes into one blob.
    Run(Vec<Task>),
    /// A file with blobs of its own.
    Own(Task),
    /// Nothing is to be read; the leaf only has to be made.
    Nothing,
}

/// A unit of reading for a leaf.
pub(crate) struct Item {
    pub(crate) job: Arc<LeafJob>,
    pub(crate) work: Work,
}

/// Where work for the reading threads is put.
pub(crate) struct Queue {
    small: Sender<Item>,
    large: Sender<Item>,
}

impl Queue {
    /// Puts an item; waits while there are many.
    pub(crate) fn put(&self, item: Item) -> Result<()> {
        let queue = if matches!(item.work, Work::Own(_)) { &self.large } else { &self.small };
        queue.send(item).map_err(|_| crate::EngineError::Internal("the reading threads ended early"))
    }
}

/// How many threads read where so many are asked for: one of them may wait for a large file for long.
fn reading_threads(readers: usize) -> usize {
    readers.max(2)
}

/// Starts `readers` threads, of which `large` also read files with blobs of their own (each has a large buffer).
pub(crate) fn start(shared: &Arc<Shared>, readers: usize, large: usize) -> (Queue, Vec<JoinHandle<()>>) {
    let (small_sender, small) = bounded(64);
    // the places for leaves bound this one: were it bounded too, small files would wait behind large ones
    let (large_sender, large_items) = crossbeam_channel::unbounded();
    let mut threads = Vec::new();
    for number in 0..reading_threads(readers) {
        let (shared, small) = (shared.clone(), small.clone());
        let large_items = (number < large.max(1)).then(|| large_items.clone());
        let stop = shared.stop.clone();
        let work = move || match large_items {
            Some(large) => read_both(&shared, &small, &large),
            None => small.iter().try_for_each(|item| read(&shared, &mut None, item)),
        };
        threads.push(stop.spawn("read", work));
    }
    (Queue { small: small_sender, large: large_sender }, threads)
}

fn read_both(shared: &Shared, small: &Receiver<Item>, large: &Receiver<Item>) -> Result<()> {
    let mut buffer = None;
    loop {
        let item = select! {
            recv(large) -> item => item.or_else(|_| small.recv()),
            recv(small) -> item => item.or_else(|_| large.recv()),
        };
        // both queues are closed at once
        let Ok(item) = item else { return Ok(()) };
        read(shared, &mut buffer, item)?;
    }
}

fn read(shared: &Shared, buffer: &mut Option<OwnReader>, Item { job, work }: Item) -> Result<()> {
    shared.stop.check()?;
    shared.gate.pass(0, &shared.stop)?;
    match work {
        Work::Bare(tasks) => tasks.into_iter().for_each(|task| details::read_bare(shared, &job, task)),
        Work::Run(tasks) => {
            for alone in run::read_run(shared, &job, tasks)? {
                buffer.get_or_insert_with(OwnReader::default).read(shared, &job, alone)?;
            }
        }
        Work::Own(task) => buffer.get_or_insert_with(OwnReader::default).read(shared, &job, task)?,
        Work::Nothing => {}
    }
    job.item_done(shared)
}
