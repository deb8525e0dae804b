//! The system calls for which there is no safe wrapper.

#![allow(unsafe_code)]

use super::event::{FileSystemId, HANDLE_BYTES_MAX, Handle};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// What is told: everything that changes names, content or attributes, of files and directories.
const MASK: u64 = libc::FAN_CREATE
    | libc::FAN_DELETE
    | libc::FAN_MOVED_FROM
    | libc::FAN_MOVED_TO
    | libc::FAN_MODIFY
    | libc::FAN_ATTRIB
    | libc::FAN_CLOSE_WRITE
    | libc::FAN_MOVE_SELF
    | libc::FAN_ONDIR;

pub(super) fn queue() -> io::Result<OwnedFd> {
    let flags = libc::FAN_CLASS_NOTIF
        | libc::FAN_CLOEXEC
        | libc::FAN_NONBLOCK
        | libc::FAN_UNLIMITED_QUEUE
        | libc::FAN_REPORT_DFID_NAME
        | libc::FAN_REPORT_FID;
    // SAFETY: the call takes two numbers; what it answers is a descriptor that nobody else has, or -1.
    unsafe {
        match libc::fanotify_init(flags, (libc::O_RDONLY | libc::O_CLOEXEC) as libc::c_uint) {
            -1 => Err(io::Error::last_os_error()),
            queue => Ok(OwnedFd::from_raw_fd(queue)),
        }
    }
}

pub(super) fn mark(queue: BorrowedFd<'_>, on: BorrowedFd<'_>) -> io::Result<()> {
    change_mark(queue, libc::FAN_MARK_ADD, MASK, on)
}

/// There is no question for it, but taking away what was not asked for changes nothing, and fails where there is no mark.
pub(super) fn has_mark(queue: BorrowedFd<'_>, on: BorrowedFd<'_>) -> io::Result<bool> {
    match change_mark(queue, libc::FAN_MARK_REMOVE, libc::FAN_OPEN_EXEC, on) {
        Ok(()) => Ok(true),
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(false),
        Err(error) => Err(error),
    }
}

fn change_mark(queue: BorrowedFd<'_>, change: libc::c_uint, mask: u64, on: BorrowedFd<'_>) -> io::Result<()> {
    let flags = change | libc::FAN_MARK_FILESYSTEM;
    // SAFETY: both descriptors are open, and without a path the second one is what is meant; the kernel keeps neither.
    match unsafe { libc::fanotify_mark(queue.as_raw_fd(), flags, mask, on.as_raw_fd(), std::ptr::null()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

pub(super) fn file_system_id(on: BorrowedFd<'_>) -> io::Result<FileSystemId> {
    let mut about = std::mem::MaybeUninit::<libc::statfs>::uninit();
    // SAFETY: the descriptor is open and there is room for the answer, which is read only if the call has written it; the id is two
    // numbers of 32 bits, of which any bytes are some.
    unsafe {
        match libc::fstatfs(on.as_raw_fd(), about.as_mut_ptr()) {
            0 => Ok(std::mem::transmute::<libc::fsid_t, [u8; 8]>(about.assume_init().f_fsid)),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

/// A `struct file_handle` with room for the longest one.
#[repr(C)]
struct Room {
    length: libc::c_uint,
    kind: libc::c_int,
    bytes: [u8; HANDLE_BYTES_MAX],
}

pub(super) fn handle_of(on: BorrowedFd<'_>) -> io::Result<Handle> {
    let file_system = file_system_id(on)?;
    let mut room = Room { length: HANDLE_BYTES_MAX as libc::c_uint, kind: 0, bytes: [0; HANDLE_BYTES_MAX] };
    let mut mount = 0;
    // SAFETY: the path is empty and ends with its zero, the descriptor is open; `Room` has as much room as it says, and the kernel writes
    // no more than that.
    let answer = unsafe {
        libc::name_to_handle_at(on.as_raw_fd(), c"".as_ptr(), (&raw mut room).cast(), &raw mut mount, libc::AT_EMPTY_PATH)
    };
    if answer != 0 {
        return Err(io::Error::last_os_error());
    }
    let bytes = room.bytes.get(..room.length as usize).ok_or(io::ErrorKind::InvalidData)?;
    Ok(Handle { file_system, kind: room.kind, bytes: bytes.into() })
}

pub(super) fn open(on: BorrowedFd<'_>, handle: &Handle) -> io::Result<OwnedFd> {
    let mut room = Room { length: handle.bytes.len() as libc::c_uint, kind: handle.kind, bytes: [0; HANDLE_BYTES_MAX] };
    let Some(place) = room.bytes.get_mut(..handle.bytes.len()) else {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    };
    place.copy_from_slice(&handle.bytes);
    let flags = libc::O_PATH | libc::O_CLOEXEC | libc::O_NOFOLLOW;
    // SAFETY: `Room` is a `struct file_handle` with room for as many bytes as it says; the kernel only reads it, and answers a descriptor
    // that nobody else has, or -1.
    unsafe {
        match libc::open_by_handle_at(on.as_raw_fd(), (&raw mut room).cast(), flags) {
            -1 => Err(io::Error::last_os_error()),
            opened => Ok(OwnedFd::from_raw_fd(opened)),
        }
    }
}
