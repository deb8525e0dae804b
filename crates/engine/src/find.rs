//! Paths over all points of an item: which states each had, and which points have them. No data is read.
//!
//! The first tree is walked whole; of each further one only the pages that the one before did not have. What has the same kind,
//! size, times and extents as before is the same state.

use crate::call::{Calls, on_thread};
use crate::cancel::Cancel;
use crate::error::{Result, chain};
use crate::path;
use crate::progress::Progress;
use crate::read::{OpenPoint, Pair, ReadKeys, SideBySide, is_damage};
use contract::{Domain, PointInfo};
use format::PointId;
use format::descriptor::Descriptor;
use format::page::{Entry, EntryKind, Metadata};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Most states that are told. The others are counted.
pub const VERSIONS_MAX: usize = 100_000;

/// Whether a path is one of those that are looked for.
pub type Wanted = Arc<dyn Fn(&[u8], &Metadata) -> bool + Send + Sync>;

/// A search to be made.
pub struct FindRequest {
    /// Where the points are.
    pub domain: Arc<dyn Domain>,
    /// The vault's descriptor, verified.
    pub descriptor: Arc<Descriptor>,
    /// Keys.
    pub keys: ReadKeys,
    /// The item's points, oldest first.
    pub points: Vec<PointInfo>,
    /// Which paths.
    pub wanted: Wanted,
    /// Counted while it runs: points, and entries that were looked at. How many points are expected stays where it is said already:
    /// of all items.
    pub progress: Progress,
    /// Stops it.
    pub cancel: Cancel,
}

/// One state of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// The path in the points.
    pub path: Vec<u8>,
    /// What it was.
    pub metadata: Metadata,
    /// The first point with this state.
    pub first: PointId,
    /// The last one.
    pub last: PointId,
    /// How many points have it, these included.
    pub points: u64,
    /// Whether the newest point that could be read has it.
    pub is_newest: bool,
}

/// What was found.
#[derive(Debug, Clone, Default)]
pub struct FindReport {
    /// States, by path, the oldest first.
    pub versions: Vec<Version>,
    /// How many more there are than are told.
    pub left_out: u64,
    /// Points that were looked through.
    pub points: u64,
    /// Points that could not be, with the reason.
    pub unread: Vec<(PointId, String)>,
}

/// Looks through the points. Must be called within a multi-threaded runtime.
pub async fn run(request: FindRequest) -> Result<FindReport> {
    on_thread(move |runtime| {
        let calls = Calls::new(request.domain.clone(), runtime);
        let mut history = History::default();
        if request.progress.points_expected.get() == 0 {
            request.progress.points_expected.set(request.points.len() as u64);
        }
        // The first one stays pinned until the end: the others are read in its session.
        let (mut keeper, mut before): (Option<OpenPoint>, Option<OpenPoint>) = (None, None);
        for info in &request.points {
            request.cancel.check()?;
            match look_through(&request, &calls, keeper.as_ref(), before.as_ref().or(keeper.as_ref()), info) {
                Ok((point, steps)) => {
                    history.add(info.id, steps);
                    *if keeper.is_none() { &mut keeper } else { &mut before } = Some(point);
                }
                Err(error) if is_damage(&error) => history.report.unread.push((info.id, chain(&error))),
                Err(error) => return Err(error),
            }
            request.progress.points_done.add(1);
        }
        Ok(history.end())
    })
    .await
}

/// What changes from one point to the next.
#[derive(Default)]
struct Steps {
    ends: Vec<Vec<u8>>,
    begins: Vec<(Vec<u8>, Metadata)>,
    left_out: u64,
}

impl Steps {
    fn begin(&mut self, path: Vec<u8>, metadata: Metadata) {
        match self.begins.len() < VERSIONS_MAX {
            true => self.begins.push((path, metadata)),
            false => self.left_out += 1,
        }
    }
}

fn look_through(
    request: &FindRequest,
    calls: &Calls,
    keeper: Option<&OpenPoint>,
    before: Option<&OpenPoint>,
    info: &PointInfo,
) -> Result<(OpenPoint, Steps)> {
    let point = match keeper {
        Some(keeper) => keeper.open_beside(&request.descriptor, info)?,
        None => OpenPoint::open(calls, &request.descriptor, &request.keys, info)?,
    };
    let root_before = before.map(OpenPoint::files).transpose()?.and_then(|part| part.root);
    let root = point.files()?.root;
    let mut trees = SideBySide::new((&point.pages, root_before), (&point.pages, root));
    let mut steps = Steps::default();
    let wanted = |path: &[u8], entry: &Entry| (request.wanted)(path, &entry.metadata);
    while let Some(pair) = trees.next(&request.cancel)? {
        request.progress.entries_done.add(1);
        match pair {
            Pair::Removed(found) => {
                let path = path::join(&found.directory, &found.entry.name);
                if wanted(&path, &found.entry) {
                    steps.ends.push(path);
                }
            }
            Pair::Added(found) => {
                let path = path::join(&found.directory, &found.entry.name);
                if wanted(&path, &found.entry) {
                    steps.begin(path, found.entry.metadata);
                }
            }
            Pair::Both(left, right) => {
                let path = path::join(&left.directory, &left.entry.name);
                let (was, is) = (wanted(&path, &left.entry), wanted(&path, &right.entry));
                if was && is && is_same(&left.entry, &right.entry) {
                    continue;
                }
                if was {
                    steps.ends.push(path.clone());
                }
                if is {
                    steps.begin(path, right.entry.metadata);
                }
            }
        }
    }
    drop(trees);
    Ok((point, steps))
}

/// Whether nobody would call them two versions. Small files may be put together anew, in other extents: what was not touched in
/// between is the same all the same. Of a directory only what it is counts: its times change with what it holds.
fn is_same(left: &Entry, right: &Entry) -> bool {
    let (before, after) = (&left.metadata, &right.metadata);
    let untouched = before.changed == after.changed && before.inode == after.inode;
    let same_times = before.kind == EntryKind::Directory || before.modified == after.modified;
    before.kind == after.kind
        && before.size == after.size
        && same_times
        && before.device == after.device
        && left.target == right.target
        && (left.content == right.content || untouched)
}

/// A state that the last point had that was looked through.
struct Running {
    metadata: Metadata,
    first: PointId,
    since: u64,
}

#[derive(Default)]
struct History {
    running: BTreeMap<Vec<u8>, Running>,
    last: Option<PointId>,
    report: FindReport,
}

impl History {
    fn add(&mut self, point: PointId, steps: Steps) {
        for path in steps.ends {
            if let Some(running) = self.running.remove(&path) {
                self.close(path, running, false);
            }
        }
        self.report.left_out += steps.left_out;
        for (path, metadata) in steps.begins {
            if self.running.len() + self.report.versions.len() >= VERSIONS_MAX {
                self.report.left_out += 1;
                continue;
            }
            self.running.insert(path, Running { metadata, first: point, since: self.report.points });
        }
        self.report.points += 1;
        self.last = Some(point);
    }

    fn close(&mut self, path: Vec<u8>, running: Running, is_newest: bool) {
        let Running { metadata, first, since } = running;
        let last = self.last.unwrap_or(first);
        self.report.versions.push(Version { path, metadata, first, last, points: self.report.points - since, is_newest });
    }

    fn end(mut self) -> FindReport {
        for (path, running) in std::mem::take(&mut self.running) {
            self.close(path, running, true);
        }
        // Those of a path were closed one after the other, and stay so.
        self.report.versions.sort_by(|one, other| one.path.cmp(&other.path));
        self.report
    }
}
