//! A restore: a point, or part of it, becomes files again.
//!
//! ```text
//! leaves (read ahead) → planner ─ directories, symlinks, devices: at once
//!                               └ content: windows → locating thread → reading threads (pack by pack)
//!                                                                        → writing threads: open, verify, write
//! then: further names of files → attributes of directories, the deepest first
//! ```
//! Every blob that is written was opened and its id computed anew. A file of which anything is damaged is not left there:
//! rather nothing than something that looks right, and what it would have replaced stays. (One that is changed in place is neither until it
//! is done.) Nobody waits in a circle: each stage waits for the next one only, and the planner, where many files are open, for files of which
//! everything was sent on.

mod absent;
mod directories;
mod file_job;
mod in_place;
mod links;
mod open_files;
mod plan;
mod report;
mod selection;
mod window;

pub use absent::{AbsentRequest, absent};
pub use report::{REPORTED_MAX, RestoreReport, Trouble, Troubles};

use crate::call::{Calls, on_thread};
use crate::cancel::Cancel;
use crate::error::{EngineError, Result};
use crate::progress::Progress;
use crate::read::{BlobReader, LeafStream, OpenPoint, PageReader, ReadKeys, start_readers};
use crate::stop::Stop;
use crate::target::TreeTarget;
use contract::{Domain, PointInfo};
use crossbeam_channel::bounded;
use directories::FoundDirectories;
use file_job::Writing;
use format::descriptor::Descriptor;
use in_place::InPlace;
use links::Links;
use plan::{Planned, Planner, attributes_or_damage};
use report::{Tally, concerns_entry_only};
use selection::Selection;
use std::collections::BTreeSet;
use std::sync::Arc;
use window::Window;

/// Blobs that wait to be opened.
const FETCHED_WAITING: usize = 16;

/// How a restore is done.
#[derive(Debug, Clone)]
pub struct RestoreOptions {
    /// Paths in the point that are restored, with all that is below them; none means everything.
    pub paths: Vec<Vec<u8>>,
    /// Leading components that are taken off every path.
    pub strip: usize,
    /// Keep what an earlier, interrupted restore finished.
    pub resume: bool,
    /// Threads that open blobs and write files.
    pub workers: usize,
    /// Bytes of content that are planned together.
    pub window_bytes: u64,
}

impl Default for RestoreOptions {
    fn default() -> Self {
        // more than there are processors, since some of them wait for the disk
        let workers = (3 * std::thread::available_parallelism().map_or(2, usize::from)).clamp(4, 8);
        Self { paths: Vec::new(), strip: 0, resume: false, workers, window_bytes: 128 << 20 }
    }
}

/// A restore to be done.
pub struct RestoreRequest {
    /// Where the point is.
    pub domain: Arc<dyn Domain>,
    /// The vault's descriptor, verified.
    pub descriptor: Arc<Descriptor>,
    /// Keys.
    pub keys: ReadKeys,
    /// The point; it is verified before it is used.
    pub point: PointInfo,
    /// Where files go.
    pub target: Arc<dyn TreeTarget>,
    /// How.
    pub options: RestoreOptions,
    /// Counted while it runs.
    pub progress: Progress,
    /// Stops it.
    pub cancel: Cancel,
}

/// Restores a point. Must be called within a multi-threaded runtime.
pub async fn run(request: RestoreRequest) -> Result<RestoreReport> {
    on_thread(move |runtime| {
        let calls = Calls::new(request.domain.clone(), runtime);
        let point = OpenPoint::open(&calls, &request.descriptor, &request.keys, &request.point)?;
        let part = point.files()?;
        request.progress.entries_expected.set(part.entries);
        request.progress.bytes_expected.set(part.bytes);
        let tally = Arc::new(Tally::new(request.progress.clone()));
        let writing = Arc::new(Writing::new(request.target.clone(), tally));
        let selection = Selection::new(&request.options.paths, request.options.strip);
        let leaves = match part.root {
            Some(root) => LeafStream::start(point.pages.clone(), root, selection.filter()),
            None => LeafStream::empty(),
        };
        let (blobs, pages) = (point.blobs.clone(), point.pages.clone());
        let restore = Restore { request: &request, blobs, pages, writing, selection };
        let found = restore.run(leaves)?;
        let absent = |place: &usize| !found.contains(place) && !restore.selection.paths()[*place].is_empty();
        let not_found = (0..restore.selection.paths().len()).filter(absent);
        let report = restore.writing.tally.report(not_found.map(|place| restore.selection.paths()[place].clone()).collect());
        // pieces that were written include those that were found to be the same
        let kept = request.target.bytes_kept();
        let (bytes_written, bytes_kept) = (report.bytes_written.saturating_sub(kept), report.bytes_kept + kept);
        Ok(RestoreReport { bytes_written, bytes_kept, ..report })
    })
    .await
}

struct Restore<'a> {
    request: &'a RestoreRequest,
    blobs: Arc<BlobReader>,
    pages: Arc<PageReader>,
    writing: Arc<Writing>,
    selection: Selection,
}

impl Restore<'_> {
    fn run(&self, leaves: LeafStream) -> Result<BTreeSet<usize>> {
        let stop = Stop::new(self.request.cancel.clone());
        let progress = &self.request.progress;
        let (windows, planned_windows) = bounded(1);
        let (fetched, to_write) = bounded(FETCHED_WAITING);
        let (reads, mut threads) = start_readers(&self.blobs, &stop, progress, &fetched);
        let (blobs, stopping) = (self.blobs.clone(), stop.clone());
        let locate = move || window::locate(&blobs, &stopping, &planned_windows, &reads, &fetched);
        threads.push(stop.spawn("locate", locate));
        for _ in 0..self.request.options.workers.max(1) {
            let (blobs, writing, to_write) = (self.blobs.clone(), self.writing.clone(), to_write.clone());
            let (stopping, counting) = (stop.clone(), progress.clone());
            threads.push(stop.spawn("write", move || window::write(&blobs, &writing, &stopping, &counting, &to_write)));
        }
        drop(to_write);
        let planner = Planner {
            pages: &self.pages,
            selection: &self.selection,
            writing: &self.writing,
            stop: &stop,
            progress,
            windows,
            window_bytes: self.request.options.window_bytes,
            resume: self.request.options.resume,
            window: Window::default(),
            directories: FoundDirectories::default(),
            links: Links::default(),
            found: BTreeSet::new(),
            has_gaps: false,
            bridged: Vec::new(),
            in_place: self.request.target.changes_in_place().then(|| InPlace::new(self.request.keys.writer().clone())),
        };
        let planned = planner.run(leaves).map_err(|error| stop.fail(error));
        // a panic of a thread has stopped everything already
        threads.into_iter().for_each(|thread| drop(thread.join()));
        stop.outcome()?;
        let Ok(Planned { directories, links, found }) = planned else {
            return Err(EngineError::Internal("the restore failed without an error"));
        };
        self.make_links(links)?;
        self.finish_directories(directories)?;
        Ok(found)
    }

    fn make_links(&self, links: Links) -> Result<()> {
        links.drain(|existing, path| {
            self.request.cancel.check()?;
            // What stands there by now is what was to be replaced: no file of this point.
            let made = match self.writing.is_given_up(&existing)? {
                true => Err(std::io::ErrorKind::NotFound.into()),
                false => self.writing.target.make_link(&existing, &path),
            };
            match made {
                Ok(()) => self.writing.tally.files.add(1),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                    let first = crate::error::printable(&existing);
                    let what = std::io::Error::other(format!("it is a further name of '/{first}', which was not restored"));
                    self.writing.tally.failed(&path, &what);
                }
                Err(error) if concerns_entry_only(&error) => self.writing.tally.failed(&path, &error),
                Err(error) => return Err(EngineError::target(&path)(error)),
            }
            Ok(())
        })
    }

    fn finish_directories(&self, directories: FoundDirectories) -> Result<()> {
        directories.drain_backwards(|entry| {
            self.request.cancel.check()?;
            let origin = crate::path::join(&entry.directory, &entry.entry.name);
            let Some(path) = self.selection.target(&origin) else { return Ok(()) };
            let entry = entry.entry;
            let attributes = attributes_or_damage(&self.pages, &self.writing, &origin, &entry.attributes)?;
            match self.writing.target.finish_directory(path, &entry.metadata, &attributes) {
                Ok(shortfalls) => {
                    self.writing.tally.directories.add(1);
                    self.writing.tally.shortfalls(&origin, shortfalls);
                }
                Err(error) if concerns_entry_only(&error) => self.writing.tally.failed(&origin, &error),
                Err(error) => return Err(EngineError::target(&origin)(error)),
            }
            Ok(())
        })
    }
}
