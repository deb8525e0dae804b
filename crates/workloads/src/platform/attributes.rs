//! Extended attributes of an entry of a directory, symlinks and devices too.
//!
//! The system calls take a path only, so the entry is named through `/proc/self/fd/<directory>/<name>`: one call, no limit
//! on the directory's depth, and the last component is not followed. Without `/proc`, files and directories are opened for
//! it; attributes of other entries cannot be had then, and that is said, never passed over.

use super::placing::Named;
use super::stat::Found;
use format::page::{Attribute, EntryKind};
use rustix::fs::{
    XattrFlags, fgetxattr, fgetxattr_query, flistxattr, flistxattr_query, fremovexattr, fsetxattr, lgetxattr, lgetxattr_query,
    llistxattr, llistxattr_query, removexattr, setxattr,
};
use rustix::io::Errno;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

/// The access ACL of an entry.
pub(crate) const ACL_ACCESS: &[u8] = b"system.posix_acl_access";
/// The ACL that new entries of a directory inherit.
pub(crate) const ACL_DEFAULT: &[u8] = b"system.posix_acl_default";
/// Attributes of the name space `system` that can be set back; the others are views of something else.
const SYSTEM_KEPT: [&[u8]; 3] = [ACL_ACCESS, ACL_DEFAULT, b"system.nfs4_acl"];
/// A signature by the machine's own key over the inode, which nobody can set.
const EVM: &[u8] = b"security.evm";

/// Most attempts when a list or value grows between asking for its length and reading it.
const ATTEMPTS_MAX: usize = 8;

/// Path of an entry through its open directory; of the directory itself where the name is empty.
fn proc_path(directory: BorrowedFd<'_>, name: &[u8]) -> Vec<u8> {
    let mut path = format!("/proc/self/fd/{}/", directory.as_raw_fd()).into_bytes();
    path.extend_from_slice(if name.is_empty() { b"." } else { name });
    path
}

/// Path of what an `O_PATH` handle stands for. It leads to just that, even where it is a symlink.
pub(super) fn handle_path(handle: BorrowedFd<'_>) -> String {
    format!("/proc/self/fd/{}", handle.as_raw_fd())
}

/// Whether an attribute belongs to the entry's protection and must be set after its mode.
pub(crate) fn is_privileged_attribute(name: &[u8]) -> bool {
    name == b"security.capability" || name.starts_with(b"system.")
}

/// Reads the attributes that can be set back, sorted by name, and says which could not be read. `Err` only where the
/// entry itself cannot be reached.
pub(crate) fn read_attributes(directory: BorrowedFd<'_>, name: &[u8]) -> io::Result<(Vec<Attribute>, Option<String>)> {
    let path = proc_path(directory, name);
    let list = grow(|buffer| llistxattr(&path, buffer), || llistxattr_query(&path));
    if matches!(list, Err(Errno::NOENT)) {
        return read_without_proc(directory, name);
    }
    Ok(gather(list, |attribute| grow(|buffer| lgetxattr(&path, attribute, buffer), || lgetxattr_query(&path, attribute))))
}

/// The entry is gone, or there is no `/proc` to name it by.
fn read_without_proc(directory: BorrowedFd<'_>, name: &[u8]) -> io::Result<(Vec<Attribute>, Option<String>)> {
    let stat = super::stat_at(directory, name)?;
    let opened = match stat.found {
        Found::Kept(EntryKind::File) => super::open_file(directory, name),
        Found::Kept(EntryKind::Directory) => super::open_directory(directory, name),
        _ => return Ok((Vec::new(), Some("its attributes cannot be read without /proc".into()))),
    };
    let file = match opened {
        Ok(file) => file,
        Err(error) => return Ok((Vec::new(), Some(error.to_string()))),
    };
    Ok(read_open_attributes(file.as_fd()))
}

/// As `read_attributes`, of what is open.
pub(crate) fn read_open_attributes(file: BorrowedFd<'_>) -> (Vec<Attribute>, Option<String>) {
    let list = grow(|buffer| flistxattr(file, buffer), || flistxattr_query(file));
    gather(list, |attribute| grow(|buffer| fgetxattr(file, attribute, buffer), || fgetxattr_query(file, attribute)))
}

/// The attributes of a list, and what went wrong.
fn gather(
    list: rustix::io::Result<Vec<u8>>,
    value: impl Fn(&[u8]) -> rustix::io::Result<Vec<u8>>,
) -> (Vec<Attribute>, Option<String>) {
    let names = match list {
        Ok(names) => names,
        Err(Errno::OPNOTSUPP) => return (Vec::new(), None),
        Err(other) => return (Vec::new(), Some(format!("list: {}", io::Error::from(other)))),
    };
    let mut attributes = Vec::new();
    let mut unreadable = Vec::new();
    for attribute in names.split(|byte| *byte == 0).filter(|attribute| !attribute.is_empty() && is_kept(attribute)) {
        match value(attribute) {
            Ok(value) => attributes.push(Attribute { name: attribute.to_vec(), value }),
            // Gone since it was listed, or listed by a file system that does not serve it.
            Err(Errno::NODATA | Errno::OPNOTSUPP) => {}
            Err(other) => unreadable.push(format!("{}: {}", String::from_utf8_lossy(attribute), io::Error::from(other))),
        }
    }
    attributes.sort_by(|left, right| left.name.cmp(&right.name));
    attributes.dedup_by(|left, right| left.name == right.name);
    (attributes, (!unreadable.is_empty()).then(|| unreadable.join("; ")))
}

/// Sets an attribute.
pub(crate) fn set_attribute(what: Named<'_>, attribute: &[u8], value: &[u8]) -> io::Result<()> {
    match what {
        Named::Open(file) => fsetxattr(file, attribute, value, XattrFlags::empty())?,
        Named::Handle(handle) => setxattr(handle_path(handle), attribute, value, XattrFlags::empty())?,
    }
    Ok(())
}

/// Removes an attribute; one that is not there is no error.
pub(crate) fn remove_attribute(what: Named<'_>, attribute: &[u8]) -> io::Result<()> {
    let removed = match what {
        Named::Open(file) => fremovexattr(file, attribute),
        Named::Handle(handle) => removexattr(handle_path(handle), attribute),
    };
    match removed {
        Ok(()) | Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(()),
        Err(other) => Err(other.into()),
    }
}

/// Whether what is made in this directory inherits an ACL.
pub(crate) fn has_default_acl(directory: BorrowedFd<'_>) -> bool {
    lgetxattr_query(proc_path(directory, b""), ACL_DEFAULT).is_ok()
}

fn is_kept(attribute: &[u8]) -> bool {
    if attribute.starts_with(b"system.") { SYSTEM_KEPT.contains(&attribute) } else { attribute != EVM }
}

/// Reads into a buffer that is large enough for nearly everything, otherwise asks for the length first.
fn grow(
    read: impl Fn(&mut [u8]) -> rustix::io::Result<usize>,
    length: impl Fn() -> rustix::io::Result<usize>,
) -> rustix::io::Result<Vec<u8>> {
    let mut small = [0; 512];
    match read(&mut small) {
        Err(Errno::RANGE) => {}
        other => return other.map(|filled| small[..filled].to_vec()),
    }
    for _ in 0..ATTEMPTS_MAX {
        let mut buffer = vec![0; length()?.max(1)];
        match read(&mut buffer) {
            Err(Errno::RANGE) => {}
            other => {
                return other.map(|filled| {
                    buffer.truncate(filled);
                    buffer
                });
            }
        }
    }
    Err(Errno::RANGE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn attributes_are_the_same_with_and_without_proc() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("file"), "").unwrap();
        std::fs::create_dir(directory.path().join("directory")).unwrap();
        let open = super::super::open_trusted_directory(directory.path()).unwrap();
        for name in [b"file".as_slice(), b"directory"] {
            let handle = super::super::open_handle(open.as_fd(), name).unwrap();
            for (attribute, length) in [("user.long", 2000), ("user.empty", 0), ("user.a", 3), ("security.evm2", 1)] {
                set_attribute(Named::Handle(handle.as_fd()), attribute.as_bytes(), &vec![b'x'; length]).unwrap();
            }
            let (attributes, unreadable) = read_attributes(open.as_fd(), name).unwrap();
            let lengths: Vec<_> = attributes.iter().map(|attribute| (attribute.name.as_slice(), attribute.value.len())).collect();
            let expected: [(&[u8], usize); 4] = [(b"security.evm2", 1), (b"user.a", 3), (b"user.empty", 0), (b"user.long", 2000)];
            assert_eq!((lengths.as_slice(), &unreadable), (expected.as_slice(), &None));
            assert_eq!(read_without_proc(open.as_fd(), name).unwrap(), (attributes, unreadable));
        }
        std::os::unix::fs::symlink("x", directory.path().join("link")).unwrap();
        assert!(read_without_proc(open.as_fd(), b"link").unwrap().1.is_some());
        assert_eq!(read_attributes(open.as_fd(), b"missing").unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn views_of_the_kernel_are_not_kept() {
        for (attribute, kept) in [
            ("user.x", true),
            ("trusted.overlay.opaque", true),
            ("security.selinux", true),
            ("system.posix_acl_access", true),
            ("system.nfs4_acl", true),
            ("system.ntfs_attrib", false),
            ("security.evm", false),
        ] {
            assert_eq!(is_kept(attribute.as_bytes()), kept, "{attribute}");
        }
    }
}
