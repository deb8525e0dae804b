//! Making entries and setting what belongs to them, always by an open directory and one name in it.

use super::attributes::handle_path;
use super::stat::{Stat, now_ns};
use format::page::{EntryKind, Timestamp};
use rustix::fs::{
    AtFlags, CWD, FileType, Gid, IFlags, Mode, OFlags, RenameFlags, Timespec, Timestamps, UTIME_OMIT, Uid, chmod, chownat,
    fchmod, fchown, fstat, fstatfs, futimens, ioctl_getflags, ioctl_setflags, linkat, makedev, mkdirat, mknodat, openat,
    readlinkat, renameat, renameat_with, statat, symlinkat, unlinkat, utimensat,
};
use rustix::io::Errno;
use rustix::process::geteuid;
use rustix::rand::{GetRandomFlags, getrandom};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// What attributes are set on. Never a name: somebody might put something else there between two calls.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Named<'a> {
    /// An open file or directory.
    Open(BorrowedFd<'a>),
    /// An `O_PATH` handle of anything, symlinks too.
    Handle(BorrowedFd<'a>),
}

/// Whether this process may give files away and make devices.
pub(crate) fn effective_user_is_root() -> bool {
    geteuid().is_root()
}

/// Whether something belongs to the user of this process.
pub(crate) fn is_own(stat: &Stat) -> bool {
    stat.user == geteuid().as_raw()
}

/// A number that nobody else comes to.
pub(crate) fn random_number() -> u64 {
    let mut bytes = [0; 8];
    match getrandom(&mut bytes, GetRandomFlags::empty()) {
        Ok(8) => u64::from_ne_bytes(bytes),
        // A kernel without randomness this early: the time and the process are told apart from all others here.
        _ => (now_ns() as u64) ^ (u64::from(std::process::id()) << 40),
    }
}

/// Makes a directory that nobody else can enter.
pub(crate) fn make_directory(parent: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
    Ok(mkdirat(parent, name, Mode::RWXU)?)
}

/// Opens a directory to set what belongs to it.
pub(crate) fn open_named_directory(parent: BorrowedFd<'_>, name: &[u8]) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    Ok(openat(parent, name, flags, Mode::empty())?)
}

/// Creates a file that must not exist, readable and writable by its owner only.
pub(crate) fn create_file(parent: BorrowedFd<'_>, name: &[u8]) -> io::Result<OwnedFd> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NOCTTY;
    Ok(openat(parent, name, flags, Mode::RUSR | Mode::WUSR)?)
}

/// Opens a file that is open for writing once more, to write it past the page cache; none where that is not known to pay. Other file
/// systems compress what goes through the cache only, or have no such way. Not by its name, under which somebody may have put another one.
pub(crate) fn open_past_cache(file: BorrowedFd<'_>) -> Option<OwnedFd> {
    const EXT4: u32 = 0xef53;
    const XFS: u32 = 0x5846_5342;
    let magic = fstatfs(file).ok()?.f_type as u32;
    if !matches!(magic, EXT4 | XFS) {
        return None;
    }
    let flags = OFlags::WRONLY | OFlags::DIRECT | OFlags::CLOEXEC | OFlags::NOCTTY;
    openat(CWD, handle_path(file), flags, Mode::empty()).ok()
}

/// Opens a file that is there to be changed; none where that cannot be: it is no regular file, a program that runs, or somebody else's.
pub(crate) fn open_to_change(parent: BorrowedFd<'_>, name: &[u8]) -> io::Result<Option<OwnedFd>> {
    let open = || {
        let handle = openat(parent, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
        // nothing else is opened: with some devices that alone does something
        if FileType::from_raw_mode(fstat(&handle)?.st_mode) != FileType::RegularFile {
            return Ok(None);
        }
        // nor is anybody's lease on it waited for
        let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
        openat(CWD, handle_path(handle.as_fd()), flags, Mode::empty()).map(Some)
    };
    match open() {
        Ok(file) => Ok(file),
        Err(error @ (Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::IO)) => Err(error.into()),
        Err(_) => Ok(None),
    }
}

/// Makes a symlink.
pub(crate) fn make_symlink(parent: BorrowedFd<'_>, name: &[u8], target: &[u8]) -> io::Result<()> {
    Ok(symlinkat(target, parent, name)?)
}

/// The target of a symlink.
pub(crate) fn read_link(parent: BorrowedFd<'_>, name: &[u8]) -> io::Result<Vec<u8>> {
    Ok(readlinkat(parent, name, Vec::new())?.into_bytes())
}

/// Makes a further name; a symlink is linked itself, not followed.
pub(crate) fn make_link(from: (BorrowedFd<'_>, &[u8]), to: (BorrowedFd<'_>, &[u8])) -> io::Result<()> {
    Ok(linkat(from.0, from.1, to.0, to.1, AtFlags::empty())?)
}

/// Makes a fifo or a device that only its owner can use.
pub(crate) fn make_node(parent: BorrowedFd<'_>, name: &[u8], kind: EntryKind, device: (u32, u32)) -> io::Result<()> {
    let file_type = match kind {
        EntryKind::Fifo => FileType::Fifo,
        EntryKind::CharacterDevice => FileType::CharacterDevice,
        EntryKind::BlockDevice => FileType::BlockDevice,
        EntryKind::File | EntryKind::Directory | EntryKind::Symlink => return Err(io::ErrorKind::InvalidInput.into()),
    };
    let device = if kind == EntryKind::Fifo { 0 } else { makedev(device.0, device.1) };
    Ok(mknodat(parent, name, file_type, Mode::RUSR | Mode::WUSR, device)?)
}

/// Removes an entry that is not a directory.
pub(crate) fn remove_file(parent: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
    Ok(unlinkat(parent, name, AtFlags::empty())?)
}

/// Removes an empty directory.
pub(crate) fn remove_directory(parent: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
    Ok(unlinkat(parent, name, AtFlags::REMOVEDIR)?)
}

/// Asks that directories be made all over the file system, each far from its parent. Few file systems can.
pub(crate) fn spread_directories(directory: BorrowedFd<'_>) -> io::Result<()> {
    let flags = ioctl_getflags(directory)?;
    Ok(ioctl_setflags(directory, flags | IFlags::TOPDIR)?)
}

/// Gives an entry another name in its directory, which must be free.
pub(crate) fn rename_new(parent: BorrowedFd<'_>, from: &[u8], to: &[u8]) -> io::Result<()> {
    match renameat_with(parent, from, parent, to, RenameFlags::NOREPLACE) {
        // A file system that cannot: a further name never replaces anything either.
        Err(Errno::INVAL | Errno::NOSYS) => match linkat(parent, from, parent, to, AtFlags::empty()) {
            Ok(()) => Ok(unlinkat(parent, from, AtFlags::empty())?),
            // One that has no further names: nothing is left but to look first.
            Err(Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS) => match statat(parent, to, AtFlags::SYMLINK_NOFOLLOW) {
                Err(Errno::NOENT) => rename_over(parent, from, to),
                Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
                Err(error) => Err(error.into()),
            },
            Err(error) => Err(error.into()),
        },
        renamed => Ok(renamed?),
    }
}

/// Moves an entry to another directory, where its name must be free.
pub(crate) fn move_new(from: BorrowedFd<'_>, name: &[u8], to: BorrowedFd<'_>, new_name: &[u8]) -> io::Result<()> {
    Ok(renameat_with(from, name, to, new_name, RenameFlags::NOREPLACE)?)
}

/// Gives an entry another name in its directory; what had it is gone, unless it is a directory.
pub(crate) fn rename_over(parent: BorrowedFd<'_>, from: &[u8], to: &[u8]) -> io::Result<()> {
    Ok(renameat(parent, from, parent, to)?)
}

/// A handle of an entry, which may be a symlink.
pub(crate) fn open_handle(parent: BorrowedFd<'_>, name: &[u8]) -> io::Result<OwnedFd> {
    Ok(openat(parent, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?)
}

/// Sets owner and group.
pub(crate) fn set_owner(what: Named<'_>, user: u32, group: u32) -> io::Result<()> {
    // All ones means "leave as it is" to the kernel and is no number that anybody can have.
    let user = (user != u32::MAX).then(|| Uid::from_raw(user));
    let group = (group != u32::MAX).then(|| Gid::from_raw(group));
    match what {
        Named::Open(file) => fchown(file, user, group)?,
        Named::Handle(handle) => chownat(handle, c"", user, group, AtFlags::EMPTY_PATH)?,
    }
    Ok(())
}

/// Sets permission, set-id and sticky bits. Not for symlinks, which have none.
pub(crate) fn set_mode(what: Named<'_>, mode: u16) -> io::Result<()> {
    let mode = Mode::from_raw_mode(u32::from(mode));
    match what {
        Named::Open(file) => fchmod(file, mode)?,
        Named::Handle(handle) => chmod(handle_path(handle), mode)?,
    }
    Ok(())
}

/// Sets the time of the last change of content and leaves the access time.
pub(crate) fn set_times(what: Named<'_>, modified: Timestamp) -> io::Result<()> {
    let times = Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec { tv_sec: modified.seconds, tv_nsec: i64::from(modified.nanoseconds) },
    };
    match what {
        Named::Open(file) => futimens(file, &times)?,
        Named::Handle(handle) => utimensat(CWD, handle_path(handle), &times, AtFlags::empty())?,
    }
    Ok(())
}
