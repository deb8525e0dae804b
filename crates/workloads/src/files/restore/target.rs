//! The target of a restore.

use super::attributes::apply;
use super::directories::{Directories, OpenDirectory};
use super::file::RestoredFile;
use super::in_place::{ChangedFile, Changes};
use super::nursery::{self, Nursery};
use super::past_cache::Disk;
use super::turns::Turns;
use super::unfinished::{TemporaryNames, Unfinished, look};
use crate::error::WorkloadError;
use crate::files::owners::Owners;
use crate::platform::{self, Found, Named, Stat};
use engine::path::is_within;
use engine::target::{DirectoryRole, Overwrite, Placement, Shortfall, TargetFile, TreeTarget};
use format::page::{Attribute, EntryKind, Metadata, Timestamp};
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// An open file has its own one, another one past the page cache, and its directory's.
const DESCRIPTORS_OF_FILE: usize = 3;

/// How to restore.
#[derive(Debug, Clone)]
pub struct RestoreOptions {
    /// The directory to restore to; made where it is missing.
    pub destination: PathBuf,
    /// What to do with what is there already.
    pub overwrite: Overwrite,
    /// Change files that are there where they differ, instead of replacing them. Only with [`Overwrite::Always`]: a file of which a change
    /// was interrupted is younger than what it was to become.
    pub in_place: bool,
    /// Go on with an interrupted restore: what it left unfinished is removed, directories that it left unfinished are finished. What it
    /// finished before the machine was started is written anew, whatever `overwrite` says.
    pub resume: bool,
    /// Set owners by number even where their name is known here.
    pub numeric_owner: bool,
    /// Set owners at all. Without, an entry whose owner would be another one is reported, and loses its set-id bits.
    pub owners: bool,
    /// Paths below the destination at and below which nothing is made or changed: their entries are reported.
    pub keep_off: Vec<Vec<u8>>,
}

impl RestoreOptions {
    /// The usual way: nothing is overwritten, owners by name, and only for root.
    #[must_use]
    pub fn new(destination: impl Into<PathBuf>) -> Self {
        Self {
            destination: destination.into(),
            overwrite: Overwrite::default(),
            in_place: false,
            resume: false,
            numeric_owner: false,
            owners: platform::effective_user_is_root(),
            keep_off: Vec::new(),
        }
    }
}

/// A directory of this machine that files are restored to.
pub struct RestoreTarget {
    directories: Directories,
    policy: Arc<Policy>,
    names: TemporaryNames,
    nursery: Nursery,
    turns: Turns,
    disk: Arc<Disk>,
    changes: Arc<Changes>,
    open_files_max: usize,
    booted: Timestamp,
    /// What changed since then was not finished by an earlier restore.
    begun: Timestamp,
    /// A file of which an earlier restore left several names gets replaced: that changes the file behind the others.
    replaces_names: AtomicBool,
}

/// What holds for all entries.
#[derive(Debug)]
pub(super) struct Policy {
    pub(super) overwrite: Overwrite,
    in_place: bool,
    resume: bool,
    numeric_owner: bool,
    pub(super) owners: bool,
    keep_off: Vec<Vec<u8>>,
    names: Owners,
}

impl Policy {
    fn keeps_off(&self, path: &[u8]) -> bool {
        self.keep_off.iter().any(|off| is_within(path, off))
    }

    /// What an interrupted restore may have left of an entry, where one goes on and could not be certain of it: an entry of the same kind
    /// and modification time.
    fn remains(&self, stat: &Stat, metadata: &Metadata) -> Option<Remains> {
        let is_left = self.resume && stat.found == Found::Kept(metadata.kind) && stat.modified == metadata.modified;
        is_left.then(|| if is_like(stat, metadata) { Remains::Whole } else { Remains::Torn })
    }

    /// What an entry may do to what has its name by now.
    pub(super) fn overwrite_of(&self, entry: &Unfinished<impl AsFd>, metadata: &Metadata) -> io::Result<Overwrite> {
        if !self.resume {
            return Ok(self.overwrite);
        }
        let remains = entry.look()?.and_then(|stat| self.remains(&stat, metadata));
        Ok(if remains == Some(Remains::Whole) { Overwrite::Always } else { self.overwrite })
    }

    /// Numbers of an entry's user and group on this machine.
    pub(super) fn local_owner(&self, metadata: &Metadata) -> (u32, u32) {
        let user = self.names.local_user(&metadata.user, self.numeric_owner);
        (user, self.names.local_group(&metadata.group, self.numeric_owner))
    }
}

/// What an interrupted restore left of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Remains {
    /// As long as it should be: it is the same entry, though its content may be lost.
    Whole,
    /// Of another length.
    Torn,
}

/// Whether something is of the kind, modification time and size of an entry.
fn is_like(stat: &Stat, metadata: &Metadata) -> bool {
    let is_sized = matches!(metadata.kind, EntryKind::File | EntryKind::Symlink);
    stat.found == Found::Kept(metadata.kind) && stat.modified == metadata.modified && (!is_sized || stat.size == metadata.size)
}

/// Whether both are there and alike in this.
fn is_same(left: Option<Stat>, right: Option<Stat>) -> bool {
    let alike = |stat: Stat| (stat.found, stat.modified, stat.size);
    left.is_some() && left.map(alike) == right.map(alike)
}

/// An entry's directory, open, and its name in it.
struct Place<'a> {
    parent: Arc<OpenDirectory>,
    name: &'a [u8],
}

impl Place<'_> {
    fn look(&self) -> io::Result<Option<Stat>> {
        look(self.parent.as_fd(), self.name)
    }
}

impl RestoreTarget {
    /// Opens the directory, or makes it.
    pub fn new(options: RestoreOptions) -> Result<Self, WorkloadError> {
        let open = || {
            std::fs::create_dir_all(&options.destination)?;
            platform::open_trusted_directory(&options.destination)
        };
        let destination = open().map_err(|source| WorkloadError::Destination { path: options.destination.clone(), source })?;
        let failed = |source| WorkloadError::Destination { path: options.destination.clone(), source };
        let nursery = destination.try_clone().map_err(failed)?;
        let nursery = Nursery::new(nursery, may_have_nursery(destination.as_fd()).map_err(failed)?);
        let share = (platform::raise_open_files() / 4).clamp(8, 4096) as usize;
        let policy = Policy {
            overwrite: options.overwrite,
            in_place: options.in_place && options.overwrite == Overwrite::Always,
            resume: options.resume,
            numeric_owner: options.numeric_owner,
            owners: options.owners,
            keep_off: options.keep_off,
            names: Owners::of_this_machine(),
        };
        let target = Self {
            directories: Directories::new(destination, share),
            policy: Arc::new(policy),
            names: TemporaryNames::new(),
            nursery,
            turns: Turns::default(),
            disk: Arc::default(),
            changes: Arc::default(),
            open_files_max: share / DESCRIPTORS_OF_FILE,
            booted: platform::booted(),
            begun: platform::changes_before(),
            replaces_names: AtomicBool::new(false),
        };
        target.tidy_up(b"").map_err(|source| WorkloadError::Destination { path: options.destination, source })?;
        Ok(target)
    }

    fn find<'a>(&self, path: &'a [u8]) -> io::Result<Place<'a>> {
        platform::split_components(path)?;
        if self.policy.keeps_off(path) {
            return Err(io::Error::new(ErrorKind::PermissionDenied, "nothing is restored there: it is kept as it is"));
        }
        let (parent, name) = platform::split_name(path);
        Ok(Place { parent: self.directories.get(parent)?, name })
    }

    fn unfinished<'a>(&self, place: &'a Place<'_>) -> Unfinished<&'a OpenDirectory> {
        Unfinished::new(&self.names, place.parent.as_ref(), place.name)
    }

    /// Sets what belongs to an entry that was just made here and is not open, and gives it its name. What stands there must
    /// be that entry: of its kind, with one name; anything else was put there by somebody, perhaps linked from elsewhere, and
    /// is not touched.
    fn dress(
        &self,
        entry: &Unfinished<&OpenDirectory>,
        metadata: &Metadata,
        attributes: &[Attribute],
    ) -> io::Result<Vec<Shortfall>> {
        let handle = platform::open_handle(entry.parent().as_fd(), entry.temporary())?;
        let stat = platform::stat_open(handle.as_fd())?;
        if stat.found != Found::Kept(metadata.kind) || stat.names > 1 {
            return Err(io::Error::other("somebody put something else in its place"));
        }
        let may_inherit = entry.parent().has_default_acl;
        let shortfalls = apply(Named::Handle(handle.as_fd()), may_inherit, &self.policy, metadata, attributes);
        entry.give_name(self.policy.overwrite_of(entry, metadata)?)?;
        Ok(shortfalls)
    }

    /// Removes from a directory what an interrupted restore left there unfinished.
    fn tidy_up(&self, path: &[u8]) -> io::Result<()> {
        if !self.policy.resume {
            return Ok(());
        }
        let directory = self.directories.get(path)?;
        let listed = match platform::open_directory(directory.as_fd(), b".") {
            // One that cannot be read gets nothing restored into it either, or was left by somebody else.
            Err(error) if error.kind() == ErrorKind::PermissionDenied => return Ok(()),
            listed => listed?,
        };
        let mut left = Vec::new();
        platform::list_names(listed.as_fd(), |name| {
            if self.names.is_left_behind(name) {
                left.push(name.to_vec());
            }
            Ok(())
        })?;
        left.iter().try_for_each(|name| match platform::remove_file(directory.as_fd(), name) {
            // One that is not empty is somebody's.
            Err(error) if error.kind() == ErrorKind::IsADirectory => {
                let _ = nursery::remove_left(directory.as_fd(), name);
                Ok(())
            }
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        })
    }

    /// Whether a directory that was there gets the attributes of the one that is restored. What a resumed restore made the
    /// first time is known by its mode: nobody else can enter it.
    fn is_to_be_finished(&self, stat: &Stat, role: DirectoryRole) -> bool {
        let is_replaced = role == DirectoryRole::Restored && self.policy.overwrite == Overwrite::Always;
        is_replaced || (self.policy.resume && stat.mode == 0o700 && platform::is_own(stat))
    }
}

impl TreeTarget for RestoreTarget {
    fn make_directory(&self, path: &[u8], role: DirectoryRole) -> io::Result<bool> {
        let place = self.find(path)?;
        match self.nursery.make_directory(&self.names, place.parent.as_fd(), place.name) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                return match place.look()? {
                    Some(stat) if stat.is_directory() => {
                        self.tidy_up(path)?;
                        Ok(self.is_to_be_finished(&stat, role))
                    }
                    Some(stat) => Err(in_the_way(&stat)),
                    None => Err(error),
                };
            }
            Err(error) => return Err(error),
        }
        if place.parent.has_default_acl {
            // What is restored into it must not inherit from what was here before.
            let opened = platform::open_named_directory(place.parent.as_fd(), place.name)?;
            for acl in [platform::ACL_DEFAULT, platform::ACL_ACCESS] {
                platform::remove_attribute(Named::Open(opened.as_fd()), acl)?;
            }
            platform::set_mode(Named::Open(opened.as_fd()), 0o700)?;
        }
        Ok(true)
    }

    fn place(&self, path: &[u8], metadata: &Metadata) -> io::Result<Placement> {
        let place = self.find(path)?;
        let Some(stat) = place.look()? else { return Ok(Placement::Write) };
        if stat.is_directory() {
            return Err(in_the_way(&stat));
        }
        match self.policy.remains(&stat, metadata) {
            Some(Remains::Whole) => {
                self.replaces_names.fetch_or(stat.names > 1, Ordering::Relaxed);
                return Ok(Placement::Write);
            }
            Some(Remains::Torn) if self.policy.overwrite != Overwrite::Always && stat.changed < self.booted => {
                return Err(io::Error::new(
                    ErrorKind::AlreadyExists,
                    "it was restored before the machine was started, and did not all reach the disk: remove it and restore it again",
                ));
            }
            _ => {}
        }
        Ok(match self.policy.overwrite {
            Overwrite::Fail => Placement::Conflict,
            Overwrite::Older if stat.modified < metadata.modified => Placement::Write,
            Overwrite::Never | Overwrite::Older => Placement::Skip,
            Overwrite::Always => Placement::Write,
        })
    }

    fn holds(&self, path: &[u8], metadata: &Metadata) -> io::Result<bool> {
        if self.policy.in_place && metadata.kind == EntryKind::File {
            // it may be one that was there before: it is compared
            return Ok(false);
        }
        let place = self.find(path)?;
        let Some(stat) = place.look()?.filter(|stat| is_like(stat, metadata)) else { return Ok(false) };
        // Nobody asked the disk for it: what was finished before the machine was started may have lost its content.
        let is_before = stat.changed < self.booted;
        let is_own_change = stat.changed >= self.begun && self.replaces_names.load(Ordering::Relaxed);
        Ok(!is_before && !is_own_change)
    }

    fn changes_in_place(&self) -> bool {
        self.policy.in_place
    }

    fn change_file(&self, path: &[u8], metadata: &Metadata, attributes: &[Attribute]) -> io::Result<Option<Box<dyn TargetFile>>> {
        if !self.policy.in_place {
            return Ok(None);
        }
        let Place { parent, name } = self.find(path)?;
        let file = ChangedFile::open(parent, name, &self.policy, (metadata, attributes), &self.changes)?;
        Ok(file.map(|file| Box::new(file) as Box<dyn TargetFile>))
    }

    fn bytes_kept(&self) -> u64 {
        self.changes.bytes_kept()
    }

    fn create_file(&self, path: &[u8], size: u64) -> io::Result<Box<dyn TargetFile>> {
        let Place { parent, name } = self.find(path)?;
        let entry = Unfinished::new(&self.names, parent, name);
        Ok(Box::new(RestoredFile::create(entry, self.policy.clone(), size, &self.turns, &self.disk)?))
    }

    fn open_files_max(&self) -> usize {
        self.open_files_max
    }

    fn make_symlink(
        &self,
        path: &[u8],
        target: &[u8],
        metadata: &Metadata,
        attributes: &[Attribute],
    ) -> io::Result<Vec<Shortfall>> {
        let place = self.find(path)?;
        let entry = self.unfinished(&place);
        platform::make_symlink(place.parent.as_fd(), entry.temporary(), target)?;
        self.dress(&entry, metadata, attributes)
    }

    fn make_link(&self, existing: &[u8], path: &[u8]) -> io::Result<()> {
        let (from, to) = (self.find(existing)?, self.find(path)?);
        let entry = self.unfinished(&to);
        platform::make_link((from.parent.as_fd(), from.name), (to.parent.as_fd(), entry.temporary()))?;
        let overwrite = match self.policy.resume {
            true if is_same(from.look()?, to.look()?) => Overwrite::Always,
            _ => self.policy.overwrite,
        };
        entry.give_name(overwrite)
    }

    fn make_node(&self, path: &[u8], metadata: &Metadata, attributes: &[Attribute]) -> io::Result<Vec<Shortfall>> {
        let place = self.find(path)?;
        let entry = self.unfinished(&place);
        platform::make_node(place.parent.as_fd(), entry.temporary(), metadata.kind, metadata.device)?;
        self.dress(&entry, metadata, attributes)
    }

    fn finish_directory(&self, path: &[u8], metadata: &Metadata, attributes: &[Attribute]) -> io::Result<Vec<Shortfall>> {
        let place = self.find(path)?;
        // What is restored into it later, if anything is, finds out anew what it inherits.
        self.directories.forget(path);
        let (parent, name) = (place.parent.as_fd(), place.name);
        match platform::open_named_directory(parent, name) {
            Ok(open) => Ok(apply(Named::Open(open.as_fd()), true, &self.policy, metadata, attributes)),
            // One of one's own that was there and cannot be read.
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                let handle = platform::open_path_directory(parent, name)?;
                Ok(apply(Named::Handle(handle.as_fd()), true, &self.policy, metadata, attributes))
            }
            Err(error) => Err(error),
        }
    }
}

/// Whether what is made in a destination may be made elsewhere in it: nothing is in it yet from which other things might be inherited.
fn may_have_nursery(destination: BorrowedFd<'_>) -> io::Result<bool> {
    let listed = platform::open_directory(destination, b".");
    // The first name ends it.
    match listed.and_then(|listed| platform::list_names(listed.as_fd(), |_| Err(ErrorKind::DirectoryNotEmpty.into()))) {
        Ok(()) => Ok(!platform::has_default_acl(destination)),
        Err(error) if matches!(error.kind(), ErrorKind::DirectoryNotEmpty | ErrorKind::PermissionDenied) => Ok(false),
        Err(error) => Err(error),
    }
}

fn in_the_way(stat: &Stat) -> io::Error {
    if stat.is_directory() {
        io::Error::new(ErrorKind::IsADirectory, "a directory is in its way")
    } else {
        io::Error::new(ErrorKind::NotADirectory, "something that is no directory is in its way (a symlink is never followed)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use format::page::Owner;
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    use std::path::Path;

    fn metadata(size: u64) -> Metadata {
        let owner = || Owner { id: 4711, name: None };
        let modified = Timestamp { seconds: 1_000_000_000, nanoseconds: 5 };
        Metadata {
            kind: EntryKind::File,
            mode: 0o644,
            user: owner(),
            group: owner(),
            modified,
            changed: Timestamp::default(),
            inode: 1,
            names: 1,
            size,
            device: (0, 0),
        }
    }

    fn write(target: &RestoreTarget, path: &[u8], content: &[u8]) {
        let metadata = metadata(content.len() as u64);
        assert_eq!(target.place(path, &metadata).unwrap(), Placement::Write);
        let file = target.create_file(path, metadata.size).unwrap();
        file.write_at(content, 0).unwrap();
        file.finish(&metadata, &[]).unwrap();
    }

    /// Directories within directories, with files, of all that an entry has; in order what was made of it.
    fn restore_tree(destination: &Path, elsewhere: bool) -> Vec<(String, u32, u32, i64, String)> {
        // Another group, which is inherited, for those who may.
        let _ = std::os::unix::fs::chown(destination, None, Some(4711));
        fs::set_permissions(destination, fs::Permissions::from_mode(0o2755)).unwrap();
        let options = RestoreOptions { owners: false, ..RestoreOptions::new(destination) };
        let target = RestoreTarget::new(options).unwrap();
        let directories: Vec<String> =
            (0..3).flat_map(|top| [format!("{top}"), format!("{top}/a"), format!("{top}/a/b")]).collect();
        match elsewhere {
            true => target.nursery.much_work(),
            false => target.nursery.give_up(),
        }
        for directory in &directories {
            target.make_directory(directory.as_bytes(), DirectoryRole::Restored).unwrap();
            write(&target, format!("{directory}/file").as_bytes(), directory.as_bytes());
            target.make_link(format!("{directory}/file").as_bytes(), format!("{directory}/link").as_bytes()).unwrap();
        }
        assert_eq!(target.nursery.is_open(), elsewhere);
        for directory in directories.iter().rev() {
            let metadata = Metadata { kind: EntryKind::Directory, mode: 0o751, ..metadata(0) };
            target.finish_directory(directory.as_bytes(), &metadata, &[]).unwrap();
        }
        drop(target);
        let mut made = Vec::new();
        let mut folders = vec![destination.to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap()) {
                let (stat, path) = (entry.metadata().unwrap(), entry.path());
                let content = if stat.is_dir() { String::new() } else { fs::read_to_string(&path).unwrap() };
                let name = path.strip_prefix(destination).unwrap().to_str().unwrap().to_owned();
                made.push((name, stat.mode(), stat.gid(), stat.mtime(), content));
                folders.extend(stat.is_dir().then_some(path));
            }
        }
        made.sort();
        made
    }

    #[test]
    fn directories_that_were_made_elsewhere_are_as_those_that_were_made_in_their_places() {
        let [plain, moved] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        if platform::spread_directories(fs::File::open(moved.path()).unwrap().as_fd()).is_err() {
            println!("not tested: the file system of '{}' does not spread directories", moved.path().display());
            return;
        }
        let made = restore_tree(plain.path(), false);
        assert_eq!(made.len(), 27);
        assert_eq!(restore_tree(moved.path(), true), made);
    }

    /// A restore that goes on after the machine was started anew.
    fn after_a_start(destination: &Path, overwrite: Overwrite) -> RestoreTarget {
        std::thread::sleep(std::time::Duration::from_millis(20));
        let options = RestoreOptions { overwrite, resume: true, owners: false, ..RestoreOptions::new(destination) };
        let mut target = RestoreTarget::new(options).unwrap();
        // As if it had been started now.
        target.booted = platform::changes_before();
        target.booted.seconds += 2;
        target.begun = target.booted;
        target
    }

    fn lose_content(path: &Path, size: u64) {
        let file = fs::File::options().write(true).open(path).unwrap();
        file.set_len(0).unwrap();
        file.set_len(size).unwrap();
        file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::new(1_000_000_000, 5)).unwrap();
    }

    #[test]
    fn what_was_finished_before_the_machine_was_started_is_written_anew_and_what_is_not_the_restores_stays() {
        for overwrite in [Overwrite::Fail, Overwrite::Never, Overwrite::Older, Overwrite::Always] {
            let ground = tempfile::tempdir().unwrap();
            let first = RestoreTarget::new(RestoreOptions { owners: false, ..RestoreOptions::new(ground.path()) }).unwrap();
            write(&first, b"lost", b"content");
            write(&first, b"torn", b"content");
            lose_content(&ground.path().join("lost"), 7);
            lose_content(&ground.path().join("torn"), 0);
            fs::write(ground.path().join("other"), "somebody's").unwrap();
            let target = after_a_start(ground.path(), overwrite);
            assert!(!target.holds(b"lost", &metadata(7)).unwrap());
            write(&target, b"lost", b"content");
            assert_eq!(fs::read(ground.path().join("lost")).unwrap(), b"content", "{overwrite:?}");
            // One of which not even the length is right could be anybody's: it is named as not restored.
            match overwrite {
                Overwrite::Always => write(&target, b"torn", b"content"),
                _ => assert!(target.place(b"torn", &metadata(7)).unwrap_err().to_string().contains("reach the disk")),
            }
            let expected = match overwrite {
                Overwrite::Fail => Placement::Conflict,
                Overwrite::Always => Placement::Write,
                Overwrite::Never | Overwrite::Older => Placement::Skip,
            };
            assert_eq!(target.place(b"other", &metadata(7)).unwrap(), expected);
        }
    }

    #[test]
    fn all_names_of_a_file_that_was_finished_before_the_machine_was_started_lead_to_the_new_one() {
        let ground = tempfile::tempdir().unwrap();
        let first = RestoreTarget::new(RestoreOptions { owners: false, ..RestoreOptions::new(ground.path()) }).unwrap();
        write(&first, b"a", b"content");
        first.make_link(b"a", b"b").unwrap();
        lose_content(&ground.path().join("a"), 7);
        let target = after_a_start(ground.path(), Overwrite::Fail);
        write(&target, b"a", b"content");
        // By replacing its first name the lost file has changed just now.
        assert!(!target.holds(b"b", &metadata(7)).unwrap());
        assert_eq!(target.place(b"b", &metadata(7)).unwrap(), Placement::Write);
        target.make_link(b"a", b"b").unwrap();
        assert_eq!(fs::read(ground.path().join("b")).unwrap(), b"content");
        assert_eq!(fs::read_dir(ground.path()).unwrap().count(), 2);
    }
}
