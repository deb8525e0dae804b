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

use super::changed::ChangedFiles;
use super::file_set::FileSet;
use super::walk::{Change, Ways};
use crate::platform;
use blind::Blind;
use engine::source::{Changes, TreeSource, Walk};
use format::PointId;
use log::{Log, Since};
use mounts::{Mount, Mounts, mounts_of};
use std::collections::{BTreeSet, HashMap};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use system::fanotify::{Handle, Watch, file_system_id, open};

/// Bytes of events that are taken at once.
const BUFFER_BYTES: usize = 64 << 10;
/// The thread that takes events looks so often whether it is still wanted.
const LOOK: Duration = Duration::from_secs(2);
/// Whoever wants to know all that happened until now waits so long for it.
const TAKE_MAX: Duration = Duration::from_secs(20);
/// Most directories and files that changed that are remembered: some 32 MiB.
const REMEMBERED_MAX: usize = 1 << 18;

/// Follows file systems.
pub struct Journal {
    shared: Arc<Shared>,
}

struct Shared {
    watch: Watch,
    log: Mutex<Log>,
    /// Numbers of moments behind which somebody may still ask.
    held: Arc<Mutex<BTreeSet<u64>>>,
    caution: Caution,
}

/// What a journal does where a process may change files unseen, for it cannot be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caution {
    /// It says nothing: everything is walked.
    Safe,
    /// It goes on. What such a process writes into a file that it has mapped is seen when it lets go of the file.
    Lenient,
}

/// What is known of a file set at the time of a point.
#[derive(Debug, Clone)]
pub struct Known {
    point: PointId,
    at: Mark,
    /// Paths of which something was not as it should be: they are looked at again.
    again: BTreeSet<Vec<u8>>,
}

/// A moment, and what there was to follow.
#[derive(Debug, Clone)]
struct Mark {
    moment: Arc<Moment>,
    mounts: Mounts,
    scope: String,
}

/// A moment: what happened behind it is remembered as long as somebody has it.
#[derive(Debug)]
struct Moment {
    number: u64,
    held: Arc<Mutex<BTreeSet<u64>>>,
}

impl Drop for Moment {
    fn drop(&mut self) {
        lock(&self.held).remove(&self.number);
    }
}

/// A file set whose changes are followed.
pub struct Followed {
    files: Arc<FileSet>,
    shared: Arc<Shared>,
    before: Option<Known>,
    now: Mark,
    /// Why everything was walked.
    why_not: Mutex<Option<String>>,
}

/// What has changed; or why that is not known.
type Found = Result<ChangedFiles, &'static str>;

impl Journal {
    /// Begins to follow changes. Takes `CAP_SYS_ADMIN`, and Linux 5.17; and `CAP_SYS_PTRACE` to see which files others have mapped to be
    /// written.
    pub fn start(caution: Caution) -> io::Result<Self> {
        let (log, held) = (Mutex::new(Log::new(REMEMBERED_MAX)), Arc::default());
        let shared = Arc::new(Shared { watch: Watch::new()?, log, held, caution });
        let reader = Arc::downgrade(&shared);
        let watch = move || {
            let mut buffer = vec![0; BUFFER_BYTES];
            while let Some(shared) = reader.upgrade() {
                match shared.watch.wait(LOOK) {
                    Ok(true) => shared.take(&mut buffer),
                    Ok(false) => {}
                    Err(error) => {
                        tracing::warn!(%error, "changes cannot be followed any more");
                        return shared.log().break_off();
                    }
                }
            }
        };
        std::thread::Builder::new().name("journal".into()).spawn(watch)?;
        Ok(Self { shared })
    }

    /// Follows a file set from now on; `before` is what was known when its last point was made.
    pub fn follow(&self, files: Arc<FileSet>, before: Option<Known>) -> io::Result<Followed> {
        let mut mounts = mounts_of(files.roots())?;
        let mut ids: HashMap<[u8; 8], u64> = HashMap::new();
        for (mount, root) in open_all(&mounts)? {
            let id = file_system_id(root.as_fd())?;
            // A copy of a file system has the same id: whose directories are meant is not to be told then.
            if let Some(twin) = ids.insert(id, mount.id) {
                mounts.do_not_follow(&[mount.id, twin]);
            } else if !self.shared.follow(&root, id)? {
                mounts.do_not_follow(&[mount.id]);
            }
        }
        // What happened until now is in the log: the walk that comes sees it.
        self.shared.take(&mut vec![0; BUFFER_BYTES]);
        let now = Mark { moment: Arc::new(self.shared.moment()), mounts, scope: files.fingerprint() };
        Ok(Followed { files, shared: self.shared.clone(), before, now, why_not: Mutex::default() })
    }
}

impl Shared {
    fn log(&self) -> MutexGuard<'_, Log> {
        lock(&self.log)
    }

    /// Begins a moment, and forgets what nobody may ask for any more.
    fn moment(&self) -> Moment {
        let mut log = self.log();
        let mut held = lock(&self.held);
        let number = log.cut();
        held.insert(number);
        log.forget(held.first().copied().unwrap_or(number));
        Moment { number, held: self.held.clone() }
    }

    /// Takes all events that are there.
    fn take(&self, buffer: &mut [u8]) {
        let (mut log, begun) = (self.log(), Instant::now());
        loop {
            if begun.elapsed() > TAKE_MAX {
                // They come faster than they are read.
                return log.lose();
            }
            match self.watch.read(buffer) {
                Ok(events) if events.is_empty() => return,
                Ok(events) => events.for_each(|event| match event {
                    Ok(event) => log.note(event),
                    Err(_) => log.lose(),
                }),
                Err(error) => {
                    tracing::warn!(%error, "changes cannot be read");
                    return log.lose();
                }
            }
        }
    }

    /// Follows a file system; false if it tells nothing. One that was mounted anew is not followed any more, though nothing else tells so.
    fn follow(&self, root: &OwnedFd, id: [u8; 8]) -> io::Result<bool> {
        if self.watch.has(root.as_fd())? {
            return Ok(true);
        }
        match self.watch.file_system(root.as_fd()) {
            Ok(()) => {
                self.log().follow(id);
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(error),
            Err(_) => Ok(false),
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
        let Some(Blind { directories, mut inodes }) = blind::look(self.shared.caution)? else {
            return Ok(Err("a process may change files unseen: not all can be looked at"));
        };
        let Some(since) = self.shared.log().since(before.at.moment.number) else {
            return Ok(Err("more happened than is remembered"));
        };
        let mut ways = Ways::default();
        for path in directories.iter().chain(&self.now.mounts.not_followed()) {
            self.add(&mut ways, path, Change::Whole);
        }
        for path in before.at.mounts.differing(&self.now.mounts) {
            self.add(&mut ways, platform::split_name(&path).0, Change::Listed);
            self.add(&mut ways, &path, Change::Whole);
        }
        // The directories that lead to the paths may be on file systems that are not followed.
        self.roots().iter().for_each(|root| ways.add(root, Change::Below));
        for path in &before.again {
            let parent = platform::split_name(path).0;
            self.add(&mut ways, parent, Change::Listed);
            self.add(&mut ways, path, Change::Whole);
        }
        let mut file_systems = FileSystems::new();
        for (mount, root) in open_all(&self.now.mounts)? {
            let id = file_system_id(root.as_fd())?;
            if !self.shared.log().is_followed_since(before.at.moment.number, &id) {
                self.add(&mut ways, &mount.path, Change::Whole);
            }
            file_systems.insert(id, root);
        }
        let Since { directories, objects } = since;
        for (handle, brought) in directories {
            let Some(path) = path_of(&file_systems, &handle)? else { continue };
            self.add(&mut ways, &path, Change::Listed);
            for name in brought {
                self.add(&mut ways, &[&path, &b"/"[..], &name].concat(), Change::Whole);
            }
        }
        for handle in objects {
            if let Some(opened) = open_any(&file_systems, &handle)? {
                inodes.insert(platform::stat_open(opened.as_fd())?.inode);
            }
        }
        Ok(Ok(ChangedFiles::new(self.files.clone(), ways, inodes)))
    }

    /// Adds a directory, if it is in the file set, or on the way to it.
    fn add(&self, ways: &mut Ways, path: &[u8], change: Change) {
        let path = path.strip_prefix(b"/").unwrap_or(path);
        let change = match self.roots().iter().any(|root| platform::is_within(path, root)) {
            true => change,
            // Above the paths only the ways to them belong to it: one of them may have come anew, or gone.
            false if self.roots().iter().any(|root| platform::is_within(root, path)) => change,
            false => return,
        };
        ways.add(path, change);
    }
}

/// Something open on each file system, by the id that handles have.
type FileSystems = HashMap<[u8; 8], OwnedFd>;

/// The top directories of the mounts that are followed. They are not kept: what is open cannot be unmounted.
fn open_all(mounts: &Mounts) -> io::Result<Vec<(Mount, OwnedFd)>> {
    let slash = platform::open_path_of_slash()?;
    let open = |mount: &Mount| {
        let directory = platform::descend(slash.as_fd(), &mount.path)?;
        Ok((mount.clone(), platform::open_directory(directory.as_fd(), b".")?))
    };
    mounts.followed().map(open).collect()
}

/// What a handle names, if it is there and on one of these file systems.
fn open_any(file_systems: &FileSystems, handle: &Handle) -> io::Result<Option<OwnedFd>> {
    let Some(on) = file_systems.get(&handle.file_system) else { return Ok(None) };
    match open(on.as_fd(), handle) {
        Ok(opened) => Ok(Some(opened)),
        Err(error) if platform::is_stale(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Where a directory is now; none if it is gone, or not to be reached from where its file system is mounted.
fn path_of(file_systems: &FileSystems, handle: &Handle) -> io::Result<Option<Vec<u8>>> {
    let Some(opened) = open_any(file_systems, handle)? else { return Ok(None) };
    if platform::stat_open(opened.as_fd())?.names == 0 {
        return Ok(None);
    }
    let path = std::fs::read_link(format!("/proc/self/fd/{}", opened.as_raw_fd()))?;
    let path = path.as_os_str().as_bytes();
    Ok(path.starts_with(b"/").then(|| path.to_vec()))
}

impl TreeSource for Followed {
    fn walk(&self) -> io::Result<Walk> {
        self.files.walk()
    }

    fn changes(&self, since: PointId) -> Option<Arc<dyn Changes>> {
        let found = match &self.before {
            None => Ok(Err("it was not followed yet")),
            Some(before) if before.point != since => Ok(Err("the last point is not the one that was made of what was followed")),
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
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
