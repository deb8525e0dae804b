//! Opening: every step without following a symlink.

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2};
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// Most bytes of a path that are given to the kernel at once; its own limit is 4096 with the zero.
const PIECE_BYTES_MAX: usize = 4000;

/// Set once the kernel has answered that it has no `openat2`.
static NO_OPENAT2: AtomicBool = AtomicBool::new(false);

const STEP: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// The directory `/`, to start from.
pub(crate) fn open_path_of_slash() -> io::Result<OwnedFd> {
    Ok(openat(CWD, "/", STEP, Mode::empty())?)
}

/// A directory named by the user, following symlinks.
pub(crate) fn open_trusted_directory(path: &Path) -> io::Result<OwnedFd> {
    Ok(openat(CWD, path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?)
}

/// A directory by a path that means what it means to those whose `/` this is, symlinks and all.
pub(crate) fn open_in_root(root: BorrowedFd<'_>, path: &[u8]) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(openat2(root, path, flags, Mode::empty(), ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS)?)
}

/// A directory to list, without updating its access time where that is allowed.
pub(crate) fn open_directory(parent: BorrowedFd<'_>, name: &[u8]) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    match openat(parent, name, flags | OFlags::NOATIME, Mode::empty()) {
        Err(Errno::PERM) => Ok(openat(parent, name, flags, Mode::empty())?),
        other => Ok(other?),
    }
}

/// A directory to go through, which needs no permission to list it.
pub(crate) fn open_path_directory(parent: BorrowedFd<'_>, name: &[u8]) -> io::Result<OwnedFd> {
    Ok(openat(parent, name, STEP, Mode::empty())?)
}

/// A file to read, without updating its access time where that is allowed. A fifo that took its place does not block.
pub(crate) fn open_file(parent: BorrowedFd<'_>, name: &[u8]) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
    let open = |flags| match openat(parent, name, flags | OFlags::NOATIME, Mode::empty()) {
        Err(Errno::PERM) => openat(parent, name, flags, Mode::empty()),
        other => other,
    };
    match open(flags) {
        // A lease of another process (a file server's) is being broken: wait for that, if it still is a regular file.
        Err(Errno::AGAIN) if super::stat_at(parent, name)?.is_file() => Ok(open(flags.difference(OFlags::NONBLOCK))?),
        other => Ok(other?),
    }
}

/// The first bytes of a regular file; for marker files.
pub(crate) fn open_marker(parent: BorrowedFd<'_>, name: &[u8], length: usize) -> io::Result<Vec<u8>> {
    let file = open_file(parent, name)?;
    if !super::stat_open(file.as_fd())?.is_file() {
        return Ok(Vec::new());
    }
    let mut bytes = Vec::new();
    File::from(file).take(length as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Whether an error says that what was there before is not there any more, or is something else.
pub(crate) fn is_gone(error: &io::Error) -> bool {
    let codes = [Errno::NOENT, Errno::NOTDIR, Errno::LOOP];
    error.kind() == io::ErrorKind::NotFound || Errno::from_io_error(error).is_some_and(|code| codes.contains(&code))
}

/// Whether an error says that what a handle names is gone.
pub(crate) fn is_stale(error: &io::Error) -> bool {
    Errno::from_io_error(error) == Some(Errno::STALE)
}

/// Splits a path into its components, which must not be empty, `.`, `..` or contain a zero.
pub(crate) fn split_components(path: &[u8]) -> io::Result<Vec<&[u8]>> {
    let components: Vec<&[u8]> = path.split(|byte| *byte == b'/').collect();
    for component in &components {
        if component.is_empty() || *component == b"." || *component == b".." || component.contains(&0) {
            let shown = String::from_utf8_lossy(path).into_owned();
            return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("not a plain relative path: {shown:?}")));
        }
    }
    Ok(components)
}

/// The directory's path and the name of the last component.
pub(crate) fn split_name(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (b"", path),
    }
}

/// Goes from an open directory down a path of plain components to a directory, beneath it and through no symlink.
/// The empty path is the directory itself.
pub(crate) fn descend(base: BorrowedFd<'_>, path: &[u8]) -> io::Result<OwnedFd> {
    if path.is_empty() {
        return base.try_clone_to_owned();
    }
    split_components(path)?;
    let mut at: Option<OwnedFd> = None;
    let mut rest = path;
    while !rest.is_empty() {
        let (piece, behind) = cut_piece(rest);
        let from = at.as_ref().map_or(base, AsFd::as_fd);
        at = Some(descend_piece(from, piece)?);
        rest = behind;
    }
    at.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))
}

/// Cuts as many components from the front of a path as the kernel takes at once.
fn cut_piece(path: &[u8]) -> (&[u8], &[u8]) {
    if path.len() <= PIECE_BYTES_MAX {
        return (path, b"");
    }
    let cut = path[..PIECE_BYTES_MAX].iter().rposition(|byte| *byte == b'/');
    match cut.or_else(|| path.iter().position(|byte| *byte == b'/')) {
        Some(cut) => (&path[..cut], &path[cut + 1..]),
        None => (path, b""),
    }
}

fn descend_piece(base: BorrowedFd<'_>, piece: &[u8]) -> io::Result<OwnedFd> {
    if !NO_OPENAT2.load(Ordering::Relaxed) {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        match openat2(base, piece, STEP, Mode::empty(), resolve) {
            Err(Errno::NOSYS) => NO_OPENAT2.store(true, Ordering::Relaxed),
            // A filter of system calls says EPERM for what it does not know; EAGAIN means that something was renamed meanwhile.
            Err(Errno::PERM | Errno::AGAIN) => {}
            other => return Ok(other?),
        }
    }
    descend_by_steps(base, piece)
}

/// The same with one `openat` a component, for kernels without `openat2` (before 5.6).
pub(super) fn descend_by_steps(base: BorrowedFd<'_>, path: &[u8]) -> io::Result<OwnedFd> {
    let mut at: Option<OwnedFd> = None;
    for component in path.split(|byte| *byte == b'/') {
        let from = at.as_ref().map_or(base, AsFd::as_fd);
        at = Some(openat(from, component, STEP, Mode::empty())?);
    }
    at.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn pieces_end_between_components() {
        let path = [b"abc".as_slice(); 3000].join(&b'/');
        let mut pieces = Vec::new();
        let mut rest = path.as_slice();
        while !rest.is_empty() {
            let (piece, behind) = cut_piece(rest);
            assert!(piece.len() <= PIECE_BYTES_MAX);
            pieces.push(piece);
            rest = behind;
        }
        assert!(pieces.len() > 2);
        assert_eq!(pieces.join(&b'/'), path);
    }

    #[test]
    fn hostile_components_are_refused() {
        for path in ["", "/a", "a/", "a//b", "..", "a/../b", "./a", "a/.", "a\0b"] {
            assert_eq!(split_components(path.as_bytes()).unwrap_err().kind(), io::ErrorKind::InvalidInput, "{path:?}");
        }
        assert_eq!(split_components(b"a/b..c/...").unwrap().len(), 3);
    }

    #[test]
    fn neither_way_of_descending_follows_a_symlink() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(directory.path().join("real/below")).unwrap();
        symlink("real", directory.path().join("link")).unwrap();
        symlink("/", directory.path().join("slash")).unwrap();
        let base = open_trusted_directory(directory.path()).unwrap();
        for way in [descend_piece, descend_by_steps] {
            assert!(way(base.as_fd(), b"real/below").is_ok());
            for path in ["link", "link/below", "slash", "slash/usr", "real/missing"] {
                assert!(way(base.as_fd(), path.as_bytes()).is_err(), "{path}");
            }
        }
    }
}
