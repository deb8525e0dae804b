//! Where restores may go: a directory of the job's own in staging, or below a directory that the configuration names.
//!
//! Invariant: the way from a named directory to the destination has no symlink in it, and the destination is held open from when it
//! was looked at: who can write in between cannot lead a restore out. Holdfast's own files are never in reach of a restore, nor are the
//! programs that its hooks run.

use super::commands::files_of;
use super::{Bounds, is_plain};
use crate::trouble::{Trouble, TroubleKind};
use format::JobId;
use rustix::fs::{CWD, Mode, OFlags, fchmod, fstat, mkdirat, openat};
use rustix::io::Errno;
use rustix::process::geteuid;
use std::fs::DirBuilder;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Component, Path, PathBuf};

const STEP: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
const OPEN: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
const PRIVATE: u32 = 0o700;

/// A directory to restore to, held open.
#[derive(Debug)]
pub(crate) struct Destination {
    /// What people call it.
    pub(crate) name: PathBuf,
    held: OwnedFd,
}

impl Destination {
    /// A path to it that nobody can lead elsewhere, as long as this lives.
    pub(crate) fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.held.as_raw_fd()))
    }
}

impl Bounds {
    /// A directory of the job's own.
    pub(crate) fn stage(&self, staging: &Path, job: JobId) -> Result<Destination, Trouble> {
        let name = staging.join(job.to_string());
        let make = || {
            DirBuilder::new().recursive(true).mode(PRIVATE).create(staging)?;
            let directory = openat(CWD, staging, OPEN, Mode::empty())?;
            make_private(&directory)?;
            let held = step(&directory, Path::new(&job.to_string()))?;
            Ok(held)
        };
        let failed = |error: io::Error| Trouble::io(format!("cannot use the staging directory '{}'", staging.display()), &error);
        Ok(Destination { held: make().map_err(failed)?, name })
    }

    /// The directory that the service names, if the configuration allows it. What of the way to it is missing is made.
    pub(crate) fn open_destination(&self, wanted: &Path, own: &[PathBuf]) -> Result<Destination, Trouble> {
        let shown = wanted.display();
        if !is_plain(wanted) {
            return Err(Trouble::refused(format!("cannot restore to '{shown}': it is not absolute, or has '..' in it")));
        }
        let Some((base, rest)) = self.base_of(wanted) else {
            return Err(Trouble::refused(format!("this machine does not allow restores to '{shown}'")).with_hint(
                "without a directory a restore goes to the agent's staging directory; 'restore_to' of agent.toml allows others",
            ));
        };
        // Before anything is made: a directory in the wrong place would do harm by being there.
        keep_off(&base.join(&rest), wanted, own)?;
        self.keep_off_hooks(&base.join(&rest), wanted)?;
        let held = open_below(&base, &rest).map_err(|error| match Errno::from_io_error(&error) {
            Some(Errno::LOOP | Errno::NOTDIR) => {
                Trouble::refused(format!("cannot restore to '{shown}': something on the way to it is a symlink or no directory"))
            }
            _ => Trouble::io(format!("cannot restore to '{shown}'"), &error),
        })?;
        let destination = Destination { name: wanted.to_owned(), held };
        let real =
            std::fs::read_link(destination.path()).map_err(|error| Trouble::io("cannot look at the destination", &error))?;
        keep_off(&real, wanted, own)?;
        self.keep_off_hooks(&real, wanted)?;
        Ok(destination)
    }

    /// Refuses what holds a file that hooks run, or a symlink on the way to one: who can restore there can run anything.
    fn keep_off_hooks(&self, real: &Path, wanted: &Path) -> Result<(), Trouble> {
        let mut files = self.hook_commands.iter().flat_map(|command| files_of(command));
        let Some(file) = files.find(|file| file.starts_with(real)) else { return Ok(()) };
        let message = format!("cannot restore to '{}': the hook in 'hook_commands' needs '{}'", wanted.display(), file.display());
        Err(Trouble::refused(message).with_hint("'restore_to' of agent.toml names directories that no hook is in or below"))
    }

    /// The named directory that a path is below, resolved, and the rest of the way.
    fn base_of(&self, wanted: &Path) -> Option<(PathBuf, PathBuf)> {
        self.restore_to.iter().find_map(|named| {
            let real = named.canonicalize().ok()?;
            let rest = wanted.strip_prefix(named).or_else(|_| wanted.strip_prefix(&real)).ok()?.to_owned();
            Some((real, rest))
        })
    }
}

/// Refuses what holds, or is in, the agent's own files: a restore could change what bounds it.
fn keep_off(real: &Path, wanted: &Path, own: &[PathBuf]) -> Result<(), Trouble> {
    let own = own.iter().map(|path| path.canonicalize().unwrap_or_else(|_| path.clone()));
    for path in own {
        if real.starts_with(&path) || path.starts_with(real) {
            let message = format!("cannot restore to '{}': '{}' is holdfast's own", wanted.display(), path.display());
            return Err(Trouble::new(TroubleKind::Refused, message));
        }
    }
    Ok(())
}

/// Goes down from a directory, making what is missing, and never through a symlink.
fn open_below(base: &Path, rest: &Path) -> io::Result<OwnedFd> {
    let mut at = openat(CWD, base, STEP, Mode::empty())?;
    for part in rest.components() {
        match part {
            Component::Normal(name) => at = step(&at, Path::new(name))?,
            _ => return Err(io::ErrorKind::InvalidInput.into()),
        }
    }
    Ok(at)
}

/// A directory in another one; made, for this user alone, where it is missing.
fn step(parent: &OwnedFd, name: &Path) -> io::Result<OwnedFd> {
    match openat(parent, name, STEP, Mode::empty()) {
        Err(Errno::NOENT) => {
            match mkdirat(parent, name, Mode::from_raw_mode(PRIVATE)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
            Ok(openat(parent, name, STEP, Mode::empty())?)
        }
        other => Ok(other?),
    }
}

/// Staging holds restored files of all users: nobody else looks in.
fn make_private(directory: &OwnedFd) -> io::Result<()> {
    let stat = fstat(directory)?;
    if stat.st_uid != geteuid().as_raw() {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "it belongs to another user"));
    }
    if stat.st_mode & 0o077 != 0 {
        fchmod(directory, Mode::from_raw_mode(PRIVATE))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{MetadataExt, symlink};

    /// A directory with `allowed/` and `closed/`, and `allowed/way` that leads to `closed`.
    fn tree() -> (tempfile::TempDir, PathBuf, Bounds) {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("allowed")).unwrap();
        fs::create_dir_all(root.join("closed")).unwrap();
        symlink(root.join("closed"), root.join("allowed/way")).unwrap();
        let bounds = Bounds { restore_to: vec![root.join("allowed")], ..Bounds::default() };
        (directory, root, bounds)
    }

    #[test]
    fn a_restore_goes_below_what_is_allowed_and_what_is_missing_is_made() {
        let (_directory, root, bounds) = tree();
        let destination = bounds.open_destination(&root.join("allowed/a/b"), &[]).unwrap();
        fs::write(destination.path().join("file"), "x").unwrap();
        assert!(root.join("allowed/a/b/file").exists());
        bounds.open_destination(&root.join("allowed"), &[]).unwrap();
    }

    #[test]
    fn a_restore_does_not_go_elsewhere_whatever_the_way() {
        let (_directory, root, bounds) = tree();
        for path in ["closed", "closed/new", "allowed/way", "allowed/way/new", "allowed/../closed", "allowedx", ""] {
            let error = bounds.open_destination(&root.join(path), &[]).unwrap_err();
            assert_eq!(error.kind, TroubleKind::Refused, "{path}: {}", error.message());
        }
        assert!(bounds.open_destination(Path::new("allowed"), &[]).is_err());
        assert!(!root.join("closed/new").exists());
        let nothing = Bounds::default().open_destination(&root.join("allowed"), &[]).unwrap_err();
        assert!(nothing.hint().unwrap().contains("restore_to"));
    }

    #[test]
    fn a_directory_that_is_replaced_by_a_symlink_meanwhile_leads_nowhere_else() {
        let (_directory, root, bounds) = tree();
        let destination = bounds.open_destination(&root.join("allowed/a"), &[]).unwrap();
        fs::rename(root.join("allowed/a"), root.join("allowed/moved")).unwrap();
        symlink(root.join("closed"), root.join("allowed/a")).unwrap();
        fs::write(destination.path().join("file"), "x").unwrap();
        assert!(root.join("allowed/moved/file").exists() && !root.join("closed/file").exists());
    }

    #[test]
    fn a_restore_keeps_off_holdfasts_own_files() {
        let (_directory, root, bounds) = tree();
        let own = [root.join("allowed/etc/holdfast")];
        fs::create_dir_all(&own[0]).unwrap();
        for path in ["allowed", "allowed/etc", "allowed/etc/holdfast", "allowed/etc/holdfast/vaults/new"] {
            assert!(bounds.open_destination(&root.join(path), &own).is_err(), "{path}");
        }
        assert!(!root.join("allowed/etc/holdfast/vaults").exists(), "nothing is made there");
        bounds.open_destination(&root.join("allowed/etc/other"), &own).unwrap();
    }

    #[test]
    fn a_restore_keeps_off_what_hooks_run_and_every_symlink_that_leads_there() {
        let (_directory, root, mut bounds) = tree();
        for made in ["allowed/bin", "allowed/links", "allowed/lib", "allowed/free"] {
            fs::create_dir(root.join(made)).unwrap();
        }
        fs::write(root.join("closed/freeze"), "").unwrap();
        fs::write(root.join("allowed/lib/words"), "").unwrap();
        symlink(root.join("allowed/links/freeze"), root.join("allowed/bin/freeze")).unwrap();
        symlink(root.join("closed/freeze"), root.join("allowed/links/freeze")).unwrap();
        let word = |name: &str| root.join(name).to_str().unwrap().to_owned();
        bounds.hook_commands =
            vec![vec![word("allowed/bin/freeze"), word("allowed/lib/words")], vec![word("allowed/later/thaw")]];
        for path in ["allowed", "allowed/bin", "allowed/bin/freeze", "allowed/links", "allowed/lib", "allowed/later"] {
            let error = bounds.open_destination(&root.join(path), &[]).unwrap_err();
            assert_eq!(error.kind, TroubleKind::Refused, "{path}: {}", error.message());
        }
        assert!(!root.join("allowed/later").exists(), "nothing is made there");
        bounds.open_destination(&root.join("allowed/free"), &[]).unwrap();
        bounds.open_destination(&root.join("allowed/bin/other"), &[]).unwrap();
    }

    #[test]
    fn staging_is_for_this_user_alone() {
        let (_directory, root, bounds) = tree();
        let staging = root.join("staging");
        fs::create_dir(&staging).unwrap();
        let job = JobId([7; 16]);
        let destination = bounds.stage(&staging, job).unwrap();
        assert_eq!(destination.name, staging.join(job.to_string()));
        assert_eq!(fs::metadata(&staging).unwrap().mode() & 0o777, 0o700);
        assert_eq!(fs::metadata(&destination.name).unwrap().mode() & 0o777, 0o700);
        bounds.stage(&staging, job).unwrap();
        fs::remove_dir(&destination.name).unwrap();
        symlink(root.join("closed"), &destination.name).unwrap();
        assert!(bounds.stage(&staging, job).is_err(), "a symlink in staging is not followed");
    }
}
