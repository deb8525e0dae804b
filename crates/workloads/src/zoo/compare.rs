//! A comparison of two trees in everything that a restore must bring back.

use crate::platform::{self, Found, Stat};
use engine::source::Segment;
use format::page::EntryKind;
use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// Bytes compared at once.
const BUFFER_BYTES: usize = 256 << 10;

/// Compares two trees and answers every difference: names, types, content, holes, modes, owners, modification times, extended
/// attributes with ACLs and capabilities, targets of symlinks, numbers of devices, and which names are names of one file.
/// Sockets are passed over. The two directories themselves are compared too.
#[must_use]
pub fn compare(left: &Path, right: &Path) -> Vec<String> {
    let mut comparison = Comparison::default();
    let open = |path: &Path| {
        let (parent, name) = (path.parent().unwrap_or(path), path.file_name());
        let parent = platform::open_trusted_directory(if parent.as_os_str().is_empty() { Path::new(".") } else { parent })?;
        let name = name.map_or(b".".as_slice(), std::os::unix::ffi::OsStrExt::as_bytes).to_vec();
        io::Result::Ok((parent, name))
    };
    match (open(left), open(right)) {
        (Ok((left, left_name)), Ok((right, right_name))) => {
            comparison.entry((left.as_fd(), &left_name), (right.as_fd(), &right_name), b".");
        }
        (Err(error), _) => comparison.note(b".", format!("{}: {error}", left.display())),
        (_, Err(error)) => comparison.note(b".", format!("{}: {error}", right.display())),
    }
    comparison.differences
}

#[derive(Default)]
struct Comparison {
    differences: Vec<String>,
    /// Which file of the other tree each file with several names is.
    left_to_right: HashMap<(u64, u64), (u64, u64)>,
    right_to_left: HashMap<(u64, u64), (u64, u64)>,
}

type Entry<'a> = (BorrowedFd<'a>, &'a [u8]);

impl Comparison {
    fn note(&mut self, path: &[u8], what: String) {
        self.differences.push(format!("{}: {what}", path.escape_ascii()));
    }

    fn differ<T: PartialEq + std::fmt::Debug>(&mut self, path: &[u8], what: &str, left: &T, right: &T) {
        if left != right {
            self.note(path, format!("{what}: {left:?} became {right:?}"));
        }
    }

    fn check<T>(&mut self, path: &[u8], result: io::Result<T>) -> Option<T> {
        result.map_err(|error| self.note(path, error.to_string())).ok()
    }

    fn entry(&mut self, left: Entry<'_>, right: Entry<'_>, path: &[u8]) {
        let stats = platform::stat_at(left.0, left.1).and_then(|l| Ok((l, platform::stat_at(right.0, right.1)?)));
        let Some((a, b)) = self.check(path, stats) else { return };
        if a.found != b.found {
            return self.note(path, format!("kind: {:?} became {:?}", a.found, b.found));
        }
        self.differ(path, "mode", &format!("{:o}", a.mode), &format!("{:o}", b.mode));
        self.differ(path, "owner", &(a.user, a.group), &(b.user, b.group));
        self.differ(path, "modified", &a.modified, &b.modified);
        self.attributes(left, right, path);
        let Found::Kept(kind) = a.found else { return };
        if kind != EntryKind::Directory {
            self.names(&a, &b, path);
        }
        match kind {
            EntryKind::Directory => self.directory(left, right, path),
            EntryKind::File => self.file(left, right, path, (&a, &b)),
            EntryKind::Symlink => {
                let targets = platform::read_link(left.0, left.1).and_then(|l| Ok((l, platform::read_link(right.0, right.1)?)));
                if let Some((l, r)) = self.check(path, targets) {
                    self.differ(path, "target", &l.escape_ascii().to_string(), &r.escape_ascii().to_string());
                }
            }
            EntryKind::CharacterDevice | EntryKind::BlockDevice => self.differ(path, "device", &a.device, &b.device),
            EntryKind::Fifo => {}
        }
    }

    fn attributes(&mut self, left: Entry<'_>, right: Entry<'_>, path: &[u8]) {
        let both = platform::read_attributes(left.0, left.1).and_then(|l| Ok((l, platform::read_attributes(right.0, right.1)?)));
        let Some(((a, a_unreadable), (b, b_unreadable))) = self.check(path, both) else { return };
        for unreadable in [a_unreadable, b_unreadable].into_iter().flatten() {
            self.note(path, unreadable);
        }
        if a != b {
            let shown = |list: &[format::page::Attribute]| {
                let one = |a: &format::page::Attribute| format!("{}={}", a.name.escape_ascii(), a.value.escape_ascii());
                list.iter().map(one).collect::<Vec<_>>().join(", ")
            };
            self.note(path, format!("attributes: [{}] became [{}]", shown(&a), shown(&b)));
        }
    }

    /// Names of one file on the left must be names of one file on the right, and the reverse.
    fn names(&mut self, a: &Stat, b: &Stat, path: &[u8]) {
        let (left, right) = ((a.file_system, a.inode), (b.file_system, b.inode));
        if a.names > 1 && *self.left_to_right.entry(left).or_insert(right) != right {
            self.note(path, "is no longer the same file as its other names".into());
        }
        if b.names > 1 && *self.right_to_left.entry(right).or_insert(left) != left {
            self.note(path, "became the same file as another one".into());
        }
    }

    fn directory(&mut self, left: Entry<'_>, right: Entry<'_>, path: &[u8]) {
        let opened = list(left).and_then(|l| Ok((l, list(right)?)));
        let Some(((left, mut left_names), (right, mut right_names))) = self.check(path, opened) else { return };
        left_names.retain(|name| !is_socket(left.as_fd(), name));
        right_names.retain(|name| !is_socket(right.as_fd(), name));
        for name in right_names.iter().filter(|name| left_names.binary_search(name).is_err()) {
            self.note(path, format!("{} was not there", name.escape_ascii()));
        }
        for name in &left_names {
            if right_names.binary_search(name).is_err() {
                self.note(path, format!("{} is missing", name.escape_ascii()));
                continue;
            }
            let path = [path, b"/", name].concat();
            self.entry((left.as_fd(), name), (right.as_fd(), name), &path);
        }
    }

    fn file(&mut self, left: Entry<'_>, right: Entry<'_>, path: &[u8], (a, b): (&Stat, &Stat)) {
        if a.size != b.size {
            return self.note(path, format!("size: {} became {}", a.size, b.size));
        }
        let opened = platform::open_file(left.0, left.1).and_then(|l| Ok((l, platform::open_file(right.0, right.1)?)));
        let Some((left, right)) = self.check(path, opened) else { return };
        let segments = segments(&left).and_then(|l| Ok((l, segments(&right)?)));
        let Some((left_segments, right_segments)) = self.check(path, segments) else { return };
        self.differ(path, "holes", &left_segments, &right_segments);
        let same = left_segments.iter().chain(&right_segments).try_fold(true, |same, segment| match segment {
            Segment::Data { offset, length } => Ok(same && equal(&left, &right, *offset, *length)?),
            Segment::Hole { .. } => io::Result::Ok(same),
        });
        if self.check(path, same) == Some(false) {
            self.note(path, "content differs".into());
        }
    }
}

fn list((parent, name): Entry<'_>) -> io::Result<(OwnedFd, Vec<Vec<u8>>)> {
    let directory = platform::open_directory(parent, name)?;
    let mut names = Vec::new();
    platform::list_names(directory.as_fd(), |name| {
        names.push(name.to_vec());
        Ok(())
    })?;
    names.sort();
    Ok((directory, names))
}

fn is_socket(directory: BorrowedFd<'_>, name: &[u8]) -> bool {
    platform::stat_at(directory, name).is_ok_and(|stat| stat.found == Found::Socket)
}

fn segments(file: &OwnedFd) -> io::Result<Vec<Segment>> {
    let mut segments = Vec::new();
    let mut at = 0;
    while let Some(segment) = platform::segment(file.as_fd(), at)? {
        let (Segment::Data { offset, length } | Segment::Hole { offset, length }) = segment;
        at = offset + length;
        segments.push(segment);
    }
    Ok(segments)
}

fn equal(left: &OwnedFd, right: &OwnedFd, offset: u64, length: u64) -> io::Result<bool> {
    let (mut a, mut b) = (vec![0; BUFFER_BYTES], vec![0; BUFFER_BYTES]);
    let mut at = offset;
    while at < offset + length {
        let wanted = BUFFER_BYTES.min((offset + length - at) as usize);
        let read = platform::read_at(left.as_fd(), &mut a[..wanted], at)?;
        if platform::read_at(right.as_fd(), &mut b[..wanted], at)? != read || a[..read] != b[..read] {
            return Ok(false);
        }
        if read == 0 {
            break;
        }
        at += read as u64;
    }
    Ok(true)
}
