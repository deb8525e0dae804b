//! The target of a restore.

use super::attributes::apply;
use super::directories::{Directories, OpenDirectory};
use super::file::RestoredFile;
use super::unfinished::{TemporaryNames, Unfinished};
use crate::error::WorkloadError;
use crate::files::owners::Owners;
use crate::platform::{self, Found, Named, Stat};
use engine::target::{DirectoryRole, Overwrite, Placement, Shortfall, TargetFile, TreeTarget};
use format::page::{Attribute, EntryKind, Metadata, Timestamp};
use std::io::{self, ErrorKind};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;

/// How to restore.
#[derive(Debug, Clone)]
pub struct RestoreOptions {
    /// The directory to restore to; made where it is missing.
    pub destination: PathBuf,
    /// What to do with what is there already.
    pub overwrite: Overwrite,
    /// Go on with an interrupted restore: what it left unfinished is removed, directories that it left unfinished are finished.
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
    booted: Timestamp,
}

/// What holds for all entries.
#[derive(Debug)]
pub(super) struct Policy {
    pub(super) overwrite: Overwrite,
    resume: bool,
    numeric_owner: bool,
    pub(super) owners: bool,
    keep_off: Vec<Vec<u8>>,
    names: Owners,
}

impl Policy {
    fn keeps_off(&self, path: &[u8]) -> bool {
        let is_within = |rest: &[u8]| rest.is_empty() || rest[0] == b'/';
        self.keep_off.iter().any(|off| path.strip_prefix(off.as_slice()).is_some_and(is_within))
    }

    /// Numbers of an entry's user and group on this machine.
    pub(super) fn local_owner(&self, metadata: &Metadata) -> (u32, u32) {
        let user = self.names.local_user(&metadata.user, self.numeric_owner);
        (user, self.names.local_group(&metadata.group, self.numeric_owner))
    }
}

/// An entry's directory, open, and its name in it.
struct Place<'a> {
    parent: Arc<OpenDirectory>,
    name: &'a [u8],
}

impl Place<'_> {
    fn look(&self) -> io::Result<Option<Stat>> {
        match platform::stat_at(self.parent.as_fd(), self.name) {
            Ok(stat) => Ok(Some(stat)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
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
        let most = (platform::raise_open_files() / 4).clamp(8, 4096) as usize;
        let policy = Policy {
            overwrite: options.overwrite,
            resume: options.resume,
            numeric_owner: options.numeric_owner,
            owners: options.owners,
            keep_off: options.keep_off,
            names: Owners::of_this_machine(),
        };
        let target = Self {
            directories: Directories::new(destination, most),
            policy: Arc::new(policy),
            names: TemporaryNames::new(),
            booted: platform::booted(),
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
        entry.give_name(self.policy.overwrite)?;
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
            Err(error) if !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::IsADirectory) => Err(error),
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
        match platform::make_directory(place.parent.as_fd(), place.name) {
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
        Ok(match self.policy.overwrite {
            Overwrite::Fail => Placement::Conflict,
            Overwrite::Older if stat.modified < metadata.modified => Placement::Write,
            Overwrite::Never | Overwrite::Older => Placement::Skip,
            Overwrite::Always => Placement::Write,
        })
    }

    fn holds(&self, path: &[u8], metadata: &Metadata) -> io::Result<bool> {
        let place = self.find(path)?;
        let is_sized = matches!(metadata.kind, EntryKind::File | EntryKind::Symlink);
        Ok(place.look()?.is_some_and(|stat| {
            stat.found == Found::Kept(metadata.kind)
                && stat.modified == metadata.modified
                // Nobody asked the disk for it: what was finished before the machine was started may have lost its content.
                && stat.changed >= self.booted
                && (!is_sized || stat.size == metadata.size)
        }))
    }

    fn create_file(&self, path: &[u8], size: u64) -> io::Result<Box<dyn TargetFile>> {
        let Place { parent, name } = self.find(path)?;
        Ok(Box::new(RestoredFile::create(Unfinished::new(&self.names, parent, name), self.policy.clone(), size)?))
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
        entry.give_name(self.policy.overwrite)
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

fn in_the_way(stat: &Stat) -> io::Error {
    if stat.is_directory() {
        io::Error::new(ErrorKind::IsADirectory, "a directory is in its way")
    } else {
        io::Error::new(ErrorKind::NotADirectory, "something that is no directory is in its way (a symlink is never followed)")
    }
}
