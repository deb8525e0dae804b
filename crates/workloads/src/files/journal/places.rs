//! Where what the kernel names by handles is to be found.

use super::mounts::{Mount, Mounts};
use crate::platform;
use std::collections::{BTreeSet, HashMap};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use system::fanotify::{FileSystemId, Handle, file_system_id, open};

/// Most directories that are looked at on the way up to one whose path is not too long.
const DEPTH_MAX: usize = 100_000;

/// The top directories of the mounts that are followed, by the ids that handles have. They are not kept: what is open cannot be unmounted.
pub(super) struct Places(HashMap<FileSystemId, (Mount, OwnedFd)>);

/// A directory's path.
pub(super) enum Place {
    /// Its own.
    At(Vec<u8>),
    /// It lies somewhere below this one, with a path that is too long.
    Below(Vec<u8>),
}

impl Places {
    /// Opens them. Answers as well, by their numbers, mounts whose file systems cannot be followed: other ones are in their places, or
    /// several have the same id, as copies of a file system have: whose directories are meant is not to be told then.
    pub(super) fn open(mounts: &Mounts) -> io::Result<(Self, Vec<u64>)> {
        let slash = platform::open_path_of_slash()?;
        let open = |mount: &Mount| {
            let directory = platform::descend(slash.as_fd(), &mount.path)?;
            let root = platform::open_directory(directory.as_fd(), b".")?;
            Ok::<_, io::Error>((platform::mount_id(root.as_fd())? == Some(mount.id)).then_some(root))
        };
        let mut places: HashMap<FileSystemId, (Mount, OwnedFd)> = HashMap::new();
        let (mut twins, mut not) = (BTreeSet::new(), Vec::new());
        for mount in mounts.followed() {
            let Ok(Some(root)) = open(mount) else {
                not.push(mount.id);
                continue;
            };
            let id = file_system_id(root.as_fd())?;
            if let Some((twin, _)) = places.insert(id, (mount.clone(), root)) {
                not.extend([twin.id, mount.id]);
                twins.insert(id);
            }
        }
        places.retain(|id, _| !twins.contains(id));
        Ok((Self(places), not))
    }

    pub(super) fn ids(&self) -> BTreeSet<FileSystemId> {
        self.0.keys().copied().collect()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (FileSystemId, &Mount, &OwnedFd)> {
        self.0.iter().map(|(id, (mount, root))| (*id, mount, root))
    }

    /// Opens what a handle names, if it is there and on one of these file systems.
    pub(super) fn open_any(&self, handle: &Handle) -> io::Result<Option<OwnedFd>> {
        let Some((_, on)) = self.0.get(&handle.file_system) else { return Ok(None) };
        match open(on.as_fd(), handle) {
            Ok(opened) => Ok(Some(opened)),
            Err(error) if platform::is_stale(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Where a directory is now; none if it is gone, or not to be reached from where its file system is mounted.
    pub(super) fn find(&self, handle: &Handle) -> io::Result<Option<Place>> {
        let Some(mut opened) = self.open_any(handle)? else { return Ok(None) };
        if platform::stat_open(opened.as_fd())?.names == 0 {
            return Ok(None);
        }
        for above in 0..DEPTH_MAX {
            match std::fs::read_link(format!("/proc/self/fd/{}", opened.as_raw_fd())) {
                Ok(path) => {
                    let path = path.as_os_str().as_bytes();
                    let place = if above == 0 { Place::At } else { Place::Below };
                    return Ok(path.starts_with(b"/").then(|| place(path.to_vec())));
                }
                Err(error) if error.kind() == io::ErrorKind::InvalidFilename => {
                    opened = platform::open_path_directory(opened.as_fd(), b"..")?;
                }
                Err(error) => return Err(error),
            }
        }
        Err(io::Error::other("directories lie too deep"))
    }
}
