//! Extended attributes of an entry of a directory, symlinks and devices too.
//!
//! The system calls take a path only, so the entry is named through `/proc/self/fd/<directory>/<name>`: one call, no limit
//! on the directory's depth, and the last component is not followed. Without `/proc` there are no attributes to be had
//! this way and that is said, never passed over.

use super::placing::Named;
use format::page::Attribute;
use rustix::fs::{
    XattrFlags, fremovexattr, fsetxattr, lgetxattr, lgetxattr_query, llistxattr, llistxattr_query, removexattr, setxattr,
};
use rustix::io::Errno;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

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
    let names = match list(&path) {
        Ok(names) => names,
        Err(Errno::OPNOTSUPP) => return Ok((Vec::new(), None)),
        Err(Errno::NOENT) => return missing(directory, name),
        Err(other) => return Ok((Vec::new(), Some(format!("list: {}", io::Error::from(other))))),
    };
    let mut attributes = Vec::new();
    let mut unreadable = Vec::new();
    for attribute in names.split(|byte| *byte == 0).filter(|attribute| !attribute.is_empty() && is_kept(attribute)) {
        match value(&path, attribute) {
            Ok(value) => attributes.push(Attribute { name: attribute.to_vec(), value }),
            // Gone since it was listed, or listed by a file system that does not serve it.
            Err(Errno::NODATA | Errno::OPNOTSUPP) => {}
            Err(other) => unreadable.push(format!("{}: {}", String::from_utf8_lossy(attribute), io::Error::from(other))),
        }
    }
    attributes.sort_by(|left, right| left.name.cmp(&right.name));
    attributes.dedup_by(|left, right| left.name == right.name);
    Ok((attributes, (!unreadable.is_empty()).then(|| unreadable.join("; "))))
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

/// The entry is gone, or there is no `/proc` to name it by.
fn missing(directory: BorrowedFd<'_>, name: &[u8]) -> io::Result<(Vec<Attribute>, Option<String>)> {
    if !name.is_empty() {
        super::stat_at(directory, name)?;
    }
    Ok((Vec::new(), Some("no attribute can be read without /proc".into())))
}

fn list(path: &[u8]) -> rustix::io::Result<Vec<u8>> {
    grow(|buffer| llistxattr(path, buffer), || llistxattr_query(path))
}

fn value(path: &[u8], attribute: &[u8]) -> rustix::io::Result<Vec<u8>> {
    grow(|buffer| lgetxattr(path, attribute, buffer), || lgetxattr_query(path, attribute))
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
