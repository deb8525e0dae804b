//! `statx`, and what of it is kept.

use format::page::{EntryKind, Timestamp};
use rustix::fs::{AtFlags, FileType, Statx, StatxAttributes, StatxFlags, StatxTimestamp, makedev, statx};
use rustix::time::{ClockId, clock_gettime};
use std::io;
use std::os::fd::BorrowedFd;
use std::time::{SystemTime, UNIX_EPOCH};

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    /// Something that is kept.
    Kept(EntryKind),
    /// A socket.
    Socket,
    /// Something that this version does not know.
    Unknown,
}

/// The answer of `statx`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stat {
    pub(crate) found: Found,
    pub(crate) mode: u16,
    pub(crate) user: u32,
    pub(crate) group: u32,
    pub(crate) modified: Timestamp,
    pub(crate) changed: Timestamp,
    pub(crate) inode: u64,
    pub(crate) names: u32,
    pub(crate) size: u64,
    /// Bytes that the file system says it uses.
    pub(crate) used: u64,
    pub(crate) device: (u32, u32),
    /// Device number of the file system.
    pub(crate) file_system: u64,
    /// Whether something is mounted here; none where the kernel cannot tell.
    pub(crate) mount_root: Option<bool>,
    /// Whether the `nodump` flag is set.
    pub(crate) nodump: bool,
}

impl Stat {
    /// Whether it is a regular file.
    pub(crate) fn is_file(&self) -> bool {
        self.found == Found::Kept(EntryKind::File)
    }

    /// Whether it is a directory.
    pub(crate) fn is_directory(&self) -> bool {
        self.found == Found::Kept(EntryKind::Directory)
    }
}

/// Looks at an entry of a directory without following a symlink and without mounting anything. A remote server is asked as often
/// as for any `stat`: an answer of any age would hide changes.
pub(crate) fn stat_at(directory: BorrowedFd<'_>, name: &[u8]) -> io::Result<Stat> {
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
    Ok(convert(&statx(directory, name, flags, StatxFlags::BASIC_STATS)?))
}

/// Looks at what is open.
pub(crate) fn stat_open(file: BorrowedFd<'_>) -> io::Result<Stat> {
    Ok(convert(&statx(file, c"", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS)?))
}

/// Processor time that this thread has used.
pub(crate) fn thread_cpu_ns() -> u64 {
    let used = clock_gettime(ClockId::ThreadCPUTime);
    // Neither is ever negative.
    used.tv_sec as u64 * 1_000_000_000 + used.tv_nsec as u64
}

/// The machine's clock, in nanoseconds since 1970.
pub(crate) fn now_ns() -> i128 {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => since.as_nanos() as i128,
        Err(before) => -(before.duration().as_nanos() as i128),
    }
}

/// The number of the mount on which an open directory is, as `/proc/self/mountinfo` has it; none where the kernel does not tell.
pub(crate) fn mount_id(open: BorrowedFd<'_>) -> io::Result<Option<u64>> {
    let stat = statx(open, c"", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID)?;
    Ok(StatxFlags::from_bits_retain(stat.stx_mask).contains(StatxFlags::MNT_ID).then_some(stat.stx_mnt_id))
}

/// When this machine was started, by the clock that it has now.
pub(crate) fn booted() -> Timestamp {
    let since = clock_gettime(ClockId::Boottime);
    let booted_ns = now_ns() - i128::from(since.tv_sec) * 1_000_000_000 - i128::from(since.tv_nsec);
    let seconds = booted_ns.div_euclid(1_000_000_000);
    Timestamp { seconds: seconds as i64, nanoseconds: booted_ns.rem_euclid(1_000_000_000) as u32 }
}

/// Everything that is changed from now on has a later time of change than this. File systems take those times from the coarse clock, and
/// some cut them to two seconds.
pub(crate) fn changes_before() -> Timestamp {
    let now = clock_gettime(ClockId::RealtimeCoarse);
    Timestamp { seconds: now.tv_sec - 2, nanoseconds: u32::try_from(now.tv_nsec).unwrap_or(0) }
}

fn convert(stat: &Statx) -> Stat {
    let found = match FileType::from_raw_mode(u32::from(stat.stx_mode)) {
        FileType::RegularFile => Found::Kept(EntryKind::File),
        FileType::Directory => Found::Kept(EntryKind::Directory),
        FileType::Symlink => Found::Kept(EntryKind::Symlink),
        FileType::Fifo => Found::Kept(EntryKind::Fifo),
        FileType::CharacterDevice => Found::Kept(EntryKind::CharacterDevice),
        FileType::BlockDevice => Found::Kept(EntryKind::BlockDevice),
        FileType::Socket => Found::Socket,
        FileType::Unknown => Found::Unknown,
    };
    let mount_known = stat.stx_attributes_mask.contains(StatxAttributes::MOUNT_ROOT);
    Stat {
        found,
        mode: stat.stx_mode & 0o7777,
        user: stat.stx_uid,
        group: stat.stx_gid,
        modified: timestamp(&stat.stx_mtime),
        changed: timestamp(&stat.stx_ctime),
        inode: stat.stx_ino,
        names: stat.stx_nlink,
        size: stat.stx_size,
        used: stat.stx_blocks.saturating_mul(512),
        device: (stat.stx_rdev_major, stat.stx_rdev_minor),
        file_system: makedev(stat.stx_dev_major, stat.stx_dev_minor),
        mount_root: mount_known.then(|| stat.stx_attributes.contains(StatxAttributes::MOUNT_ROOT)),
        nodump: stat.stx_attributes.contains(StatxAttributes::NODUMP),
    }
}

fn timestamp(time: &StatxTimestamp) -> Timestamp {
    Timestamp { seconds: time.tv_sec, nanoseconds: time.tv_nsec.min(999_999_999) }
}
