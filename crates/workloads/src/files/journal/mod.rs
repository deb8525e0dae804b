//! The change journal: what changed in a file set since its last walk, from what the kernel tells.
//!
//! It is a hint. What it says is held against the last point by whoever uses it, and where it may have missed something it says nothing,
//! and everything is walked: after an overflow of the kernel's queue, on file systems that it does not know, and where a process could change files unseen. It lives in memory, as long as the process that has it.
//!
//! Not seen, whatever it does: writes of containers into the upper layer of an overlay that came and went between two walks, changes to the
//! `nodump` flag, and what is written past the file system (to its disk, or by another machine). A whole walk every so often finds them.

mod blind;
mod log;
mod mounts;
mod places;

use super::changed::ChangedFiles;
use super::file_set::FileSet;
use super::walk::{Change, Ways};
use crate::platform;
use blind::Blind;
use engine::path::is_within;
use engine::source::{Changes, TreeSource, Walk};
use format::PointId;
use log::{Log, Since};
use mounts::{Mounts, mounts_of};
use places::{Place, Places};
use std::collections::{BTreeSet, HashSet};
use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::{Duration, Instant};
use system::fanotify::{FileSystemId, Handle, Watch};

/// Bytes of events that are taken at once.
const BUFFER_BYTES: usize = 64 << 10;
/// The thread that takes events looks so often whether it is still wanted.
const LOOK: Duration = Duration::from_secs(2);
/// Whoever wants to know all that happened until now waits so long for it.
const TAKE_MAX: Duration = Duration::from_secs(20);
/// Most directories and files that changed that are remembered: some 30 to 90 MiB, as their names are long.
const REMEMBERED_MAX: usize = 1 << 18;
/// A look at all processes may take so long: one that does not answer keeps nobody waiting for ever.
const BLIND_MAX: Duration = Duration::from_secs(30);
/// Most looks at once, with those that nobody waits for any more.
const LOOKS_MAX: usize = 4;

/// Follows file systems.
pub struct Journal {
    shared: Arc<Shared>,
}

struct Shared {
    /// None once nothing can be followed any more: a queue that nobody reads would grow.
    watch: Mutex<Option<Arc<Watch>>>,
    log: Mutex<Log>,
    looks: Arc<AtomicUsize>,
    caution: Caution,
}

/// What a journal does where files may be changing unseen, for a process cannot be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caution {
    /// It says nothing: everything is walked.
    Safe,
    /// It goes on. What such a process writes unseen is seen when it lets go of the file.
    Lenient,
}

/// What is known of a file set at the time of a point.
#[derive(Clone)]
pub struct Known {
    point: PointId,
    at: Mark,
    /// Paths of which something was not as it should be: they are looked at again.
    again: BTreeSet<Vec<u8>>,
}

/// A moment, and what there was to follow.
#[derive(Clone)]
struct Mark {
    moment: Arc<Moment>,
    mounts: Mounts,
    /// The file systems that are followed.
    file_systems: BTreeSet<FileSystemId>,
    scope: String,
    /// Upper layers of overlays; or why they are not known.
    uppers: Result<HashSet<Handle>, &'static str>,
}

/// A moment: what happened behind it is remembered as long as somebody has it.
struct Moment {
    number: u64,
    shared: Arc<Shared>,
}

impl Drop for Moment {
    fn drop(&mut self) {
        self.shared.log().release(self.number);
    }
}

/// A file set whose changes are followed.
pub struct Followed {
    files: Arc<FileSet>,
    before: Option<Known>,
    now: Mark,
    /// Files that may be changing now without being told.
    unseen: HashSet<u64>,
    /// Why everything was walked.
    why_not: Mutex<Option<String>>,
}

/// What has changed; or why that is not known.
type Found = Result<ChangedFiles, &'static str>;

impl Journal {
    /// Begins to follow changes. Takes `CAP_SYS_ADMIN`, and Linux 5.19; and `CAP_SYS_PTRACE` to see which files others have open.
    pub fn start(caution: Caution) -> io::Result<Self> {
        let watch = Mutex::new(Some(Arc::new(Watch::new()?)));
        let shared = Arc::new(Shared { watch, log: Mutex::new(Log::new(REMEMBERED_MAX)), looks: Arc::default(), caution });
        let reader = Arc::downgrade(&shared);
        let read = move || {
            let mut buffer = vec![0; BUFFER_BYTES];
            while let Some(shared) = reader.upgrade() {
                let Some(watch) = shared.watch() else { return };
                match watch.wait(LOOK) {
                    Ok(true) => shared.take(&mut buffer),
                    Ok(false) => {}
                    Err(error) => shared.break_off(&error),
                }
            }
        };
        std::thread::Builder::new().name("journal".into()).spawn(read)?;
        Ok(Self { shared })
    }

    /// Follows a file set from now on; `before` is what was known when its last point was made.
    pub fn follow(&self, files: Arc<FileSet>, before: Option<Known>) -> io::Result<Followed> {
        let shared = &self.shared;
        let mut mounts = mounts_of(files.roots())?;
        let (places, not) = Places::open(&mounts)?;
        mounts.do_not_follow(&not);
        let mut file_systems = places.ids();
        for (id, mount, root) in places.iter() {
            if !shared.follow(root.as_fd(), id)? {
                mounts.do_not_follow(&[mount.id]);
                file_systems.remove(&id);
            }
        }
        // What is let go of from now on is told.
        let (uppers, unseen) = match shared.look() {
            Ok(Blind { uppers, inodes }) => (Ok(uppers), inodes),
            Err(why_not) => (Err(why_not), HashSet::new()),
        };
        // What happened until now is in the log: the walk that comes sees it.
        shared.take(&mut vec![0; BUFFER_BYTES]);
        let moment = Arc::new(Moment { number: shared.log().hold(), shared: shared.clone() });
        let now = Mark { moment, mounts, file_systems, scope: files.fingerprint(), uppers };
        Ok(Followed { files, before, now, unseen, why_not: Mutex::default() })
    }
}

impl Shared {
    fn log(&self) -> MutexGuard<'_, Log> {
        lock(&self.log)
    }

    fn watch(&self) -> Option<Arc<Watch>> {
        lock(&self.watch).clone()
    }

    /// Nothing is known from now on.
    fn break_off(&self, error: &io::Error) {
        tracing::warn!(%error, "changes cannot be followed any more: everything is walked until the agent is started again");
        self.log().break_off();
        *lock(&self.watch) = None;
    }

    /// Takes all events that are there.
    fn take(&self, buffer: &mut [u8]) {
        let Some(watch) = self.watch() else { return };
        let (mut log, begun) = (self.log(), Instant::now());
        let broken = loop {
            if begun.elapsed() > TAKE_MAX {
                // They come faster than they are read.
                return log.lose();
            }
            match watch.read(buffer) {
                Ok(events) if events.is_empty() => return,
                Ok(events) => events.for_each(|event| match event {
                    Ok(event) => log.note(event),
                    Err(_) => log.lose(),
                }),
                Err(error) => break error,
            }
        };
        drop(log);
        self.break_off(&broken);
    }

    /// Follows a file system; false if it tells nothing. One that was mounted anew is not followed any more, though nothing else tells so.
    fn follow(&self, root: std::os::fd::BorrowedFd<'_>, id: FileSystemId) -> io::Result<bool> {
        let Some(watch) = self.watch() else { return Ok(false) };
        if watch.has(root)? {
            return Ok(true);
        }
        match watch.file_system(root) {
            Ok(()) => {
                self.log().follow(id);
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(error),
            Err(_) => Ok(false),
        }
    }

    /// Looks for what may be changing unseen, and waits for that no longer than is good.
    fn look(&self) -> Result<Blind, &'static str> {
        if self.looks.fetch_add(1, Ordering::AcqRel) >= LOOKS_MAX {
            self.looks.fetch_sub(1, Ordering::AcqRel);
            return Err("processes that were to be looked at do not answer");
        }
        let (sender, looked) = mpsc::sync_channel(1);
        let (looks, caution) = (self.looks.clone(), self.caution);
        let look = move || {
            let found = blind::look(caution);
            looks.fetch_sub(1, Ordering::AcqRel);
            // Whoever does not wait any more needs no answer.
            let _ = sender.send(found);
        };
        if std::thread::Builder::new().name("journal look".into()).spawn(look).is_err() {
            self.looks.fetch_sub(1, Ordering::AcqRel);
            return Err("processes could not be looked at");
        }
        match looked.recv_timeout(BLIND_MAX) {
            Ok(Ok(Some(blind))) => Ok(blind),
            Ok(Ok(None)) => Err("files may be changing unseen: not everything that writes can be looked at"),
            Ok(Err(error)) => {
                tracing::warn!(%error, "processes cannot be looked at");
                Err("processes could not be looked at")
            }
            Err(_) => Err("a process that was to be looked at does not answer"),
        }
    }
}

impl Followed {
    /// The file set's paths.
    #[must_use]
    pub fn roots(&self) -> &[Vec<u8>] {
        self.files.roots()
    }

    /// What is known from now on: the point that was just made of it, and the paths of its warnings.
    #[must_use]
    pub fn known(&self, point: PointId, again: BTreeSet<Vec<u8>>) -> Known {
        Known { point, at: self.now.clone(), again }
    }

    /// Why everything was walked, if it was.
    #[must_use]
    pub fn why_everything(&self) -> Option<String> {
        lock(&self.why_not).clone()
    }

    fn find(&self, before: &Known) -> io::Result<Found> {
        if self.files.minds_flags() {
            return Ok(Err("files with the nodump flag are left out, and changes of flags are not told"));
        }
        if before.at.scope != self.now.scope {
            return Ok(Err("the item has other paths or patterns than before"));
        }
        let (uppers_before, uppers) = match (&before.at.uppers, &self.now.uppers) {
            (Ok(before), Ok(now)) => (before, now),
            (Err(why_not), _) | (_, Err(why_not)) => return Ok(Err(why_not)),
        };
        let (places, _) = Places::open(&self.now.mounts)?;
        if places.ids() != self.now.file_systems {
            return Ok(Err("a file system was mounted or unmounted meanwhile"));
        }
        let number = before.at.moment.number;
        let log = self.now.moment.shared.log();
        let Some(since) = log.since(number) else { return Ok(Err("more happened than is remembered")) };
        let new = places.iter().filter(|(id, ..)| !log.is_followed_since(number, id)).map(|(_, mount, _)| mount.path.clone());
        let new: Vec<Vec<u8>> = new.collect();
        drop(log);

        let mut ways = Ways::default();
        for path in new.iter().chain(&self.now.mounts.not_followed()) {
            self.add(&mut ways, path, Change::Whole);
        }
        for path in before.again.iter().chain(&before.at.mounts.differing(&self.now.mounts)) {
            self.add(&mut ways, platform::split_name(path).0, Change::Listed);
            self.add(&mut ways, path, Change::Whole);
        }
        for upper in uppers_before.union(uppers) {
            if let Some(Place::At(path) | Place::Below(path)) = places.find(upper)? {
                self.add(&mut ways, &path, Change::Whole);
            }
        }
        // The directories that lead to the paths may be on file systems that are not followed.
        self.roots().iter().for_each(|root| ways.add(root, Change::Below));
        let Since { directories, objects } = since;
        for (handle, brought) in directories {
            match places.find(&handle)? {
                None => {}
                Some(Place::Below(path)) => self.add(&mut ways, &path, Change::Whole),
                Some(Place::At(path)) => {
                    self.add(&mut ways, &path, Change::Listed);
                    for name in brought {
                        self.add(&mut ways, &[&path, &b"/"[..], &name].concat(), Change::Whole);
                    }
                }
            }
        }
        let mut inodes = self.unseen.clone();
        for handle in objects {
            if let Some(opened) = places.open_any(&handle)? {
                inodes.insert(platform::stat_open(opened.as_fd())?.inode);
            }
        }
        Ok(Ok(ChangedFiles::new(self.files.clone(), ways, inodes)))
    }

    /// Adds a directory, if it is in the file set, or on the way to it.
    fn add(&self, ways: &mut Ways, path: &[u8], change: Change) {
        let path = path.strip_prefix(b"/").unwrap_or(path);
        let mut roots = self.roots().iter();
        // Above the paths only the ways to them belong to it: one of them may have come anew, or gone.
        if roots.any(|root| is_within(path, root) || is_within(root, path)) {
            ways.add(path, change);
        }
    }
}

impl TreeSource for Followed {
    fn walk(&self) -> io::Result<Walk> {
        self.files.walk()
    }

    fn changes(&self, since: PointId) -> Option<Arc<dyn Changes>> {
        let found = match &self.before {
            None => Ok(Err("it was not followed yet")),
            Some(before) if before.point != since => Ok(Err("its last point was not followed to its end")),
            Some(before) => self.find(before),
        };
        let why_not = match found {
            Ok(Ok(changed)) => return Some(Arc::new(changed)),
            Ok(Err(why_not)) => why_not.to_owned(),
            Err(error) => {
                tracing::warn!(%error, "what has changed cannot be found out: everything is walked");
                error.to_string()
            }
        };
        *lock(&self.why_not) = Some(why_not);
        None
    }

    fn open_files_max(&self) -> usize {
        self.files.open_files_max()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
