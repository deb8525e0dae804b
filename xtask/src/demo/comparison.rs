//! Compares two trees byte by byte and attribute by attribute. Independent of the program that it judges.

use super::receipt::mebibytes;
use anyhow::{Context, Result};
use rustix::fs::{SeekFrom, lgetxattr, llistxattr, seek};
use rustix::io::Errno;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs::{self, File, Metadata};
use std::io::Read as _;
use std::ops::Range;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::Path;

/// What was compared, and what differs.
#[derive(Debug, Default)]
pub(super) struct Comparison {
    /// What differs, a line each.
    pub(super) differences: Vec<String>,
    /// Bytes of content on the left.
    pub(super) bytes: u64,
    files: u64,
    directories: u64,
    symlinks: u64,
    special: u64,
    attributes: u64,
    holes: u64,
    /// Files with several names: left (device, inode) to right (device, inode), and back.
    links: BTreeMap<(u64, u64), (u64, u64)>,
    links_back: BTreeMap<(u64, u64), (u64, u64)>,
}

impl Comparison {
    /// Compares two directories.
    pub(super) fn of(left: &Path, right: &Path) -> Result<Self> {
        let mut comparison = Self::default();
        comparison.entries(left, right, Path::new(""))?;
        Ok(comparison)
    }

    /// What was compared, in words.
    pub(super) fn summary(&self) -> String {
        format!(
            "{} files ({:.1} MiB), {} directories, {} symlinks, {} special files, {} attributes, {} linked files, {} holes",
            self.files,
            mebibytes(self.bytes),
            self.directories,
            self.symlinks,
            self.special,
            self.attributes,
            self.links.len(),
            self.holes
        )
    }

    fn differs(&mut self, name: &Path, what: impl std::fmt::Display) {
        self.differences.push(format!("{}: {what}", name.display().to_string().escape_debug()));
    }

    fn equal<T: PartialEq + std::fmt::Debug>(&mut self, name: &Path, what: &str, left: &T, right: &T) {
        if left != right {
            self.differs(name, format!("{what} {left:?} and {right:?}"));
        }
    }

    fn entries(&mut self, left: &Path, right: &Path, name: &Path) -> Result<()> {
        self.directories += 1;
        let (in_left, in_right) = (names(left)?, names(right)?);
        in_left.difference(&in_right).for_each(|each| self.differs(&name.join(each), "is missing"));
        in_right.difference(&in_left).for_each(|each| self.differs(&name.join(each), "is extra"));
        for each in in_left.intersection(&in_right) {
            self.entry(&left.join(each), &right.join(each), &name.join(each))?;
        }
        self.metadata(left, right, name)?;
        Ok(())
    }

    fn entry(&mut self, left: &Path, right: &Path, name: &Path) -> Result<()> {
        let (kind, other) = (fs::symlink_metadata(left)?.file_type(), fs::symlink_metadata(right)?.file_type());
        if kind != other {
            self.differs(name, "is of another kind");
            return Ok(());
        }
        if kind.is_dir() {
            return self.entries(left, right, name);
        }
        let (of_left, of_right) = self.metadata(left, right, name)?;
        self.link(name, &of_left, &of_right);
        if kind.is_symlink() {
            self.symlinks += 1;
            self.equal(name, "target", &fs::read_link(left)?, &fs::read_link(right)?);
        } else if kind.is_file() {
            self.file(left, right, name)?;
        } else {
            self.special += 1;
            if kind.is_char_device() || kind.is_block_device() {
                self.equal(name, "device", &of_left.rdev(), &of_right.rdev());
            }
        }
        Ok(())
    }

    fn metadata(&mut self, left: &Path, right: &Path, name: &Path) -> Result<(Metadata, Metadata)> {
        let (of_left, of_right) = (fs::symlink_metadata(left)?, fs::symlink_metadata(right)?);
        self.equal(name, "mode", &of_left.mode(), &of_right.mode());
        self.equal(name, "owner", &(of_left.uid(), of_left.gid()), &(of_right.uid(), of_right.gid()));
        self.equal(name, "time", &(of_left.mtime(), of_left.mtime_nsec()), &(of_right.mtime(), of_right.mtime_nsec()));
        let attributes = attributes(left)?;
        self.attributes += attributes.len() as u64;
        self.equal(name, "attributes", &attributes, &self::attributes(right)?);
        Ok((of_left, of_right))
    }

    /// Names that are one file on one side must be one file on the other.
    fn link(&mut self, name: &Path, left: &Metadata, right: &Metadata) {
        if left.nlink() < 2 && right.nlink() < 2 {
            return;
        }
        let (left, right) = ((left.dev(), left.ino()), (right.dev(), right.ino()));
        let there = *self.links.entry(left).or_insert(right) == right;
        let back = *self.links_back.entry(right).or_insert(left) == left;
        if !(there && back) {
            self.differs(name, "is linked to other names");
        }
    }

    fn file(&mut self, left: &Path, right: &Path, name: &Path) -> Result<()> {
        self.files += 1;
        let open = |path: &Path| File::open(path).with_context(|| format!("cannot open {}", path.display()));
        let (mut of_left, mut of_right) = (open(left)?, open(right)?);
        self.bytes += of_left.metadata()?.len();
        if !same_content(&mut of_left, &mut of_right)? {
            self.differs(name, "has other content");
        }
        let holes = holes(&of_left)?;
        let filled = holes.iter().filter(|hole| !is_hole(&of_right, hole).unwrap_or(false)).count();
        self.holes += holes.len() as u64;
        if filled > 0 {
            self.differs(name, format!("{filled} holes are filled"));
        }
        Ok(())
    }
}

fn names(directory: &Path) -> Result<BTreeSet<OsString>> {
    let entries = fs::read_dir(directory).with_context(|| format!("cannot list {}", directory.display()))?;
    entries.map(|entry| Ok(entry?.file_name())).collect()
}

fn attributes(path: &Path) -> Result<BTreeMap<OsString, Vec<u8>>> {
    let mut names = vec![0; 64 << 10];
    let length = match llistxattr(path, names.as_mut_slice()) {
        Err(Errno::NOTSUP) => 0,
        other => other.with_context(|| format!("cannot list attributes of {}", path.display()))?,
    };
    let mut attributes = BTreeMap::new();
    for name in names[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let mut value = vec![0; 64 << 10];
        let length = lgetxattr(path, name, value.as_mut_slice())
            .with_context(|| format!("cannot read an attribute of {}", path.display()))?;
        value.truncate(length);
        attributes.insert(OsString::from_vec(name.to_vec()), value);
    }
    Ok(attributes)
}

fn same_content(left: &mut File, right: &mut File) -> Result<bool> {
    let (mut of_left, mut of_right) = (vec![0; 1 << 20], vec![0; 1 << 20]);
    loop {
        let (length, other) = (fill(left, &mut of_left)?, fill(right, &mut of_right)?);
        if of_left[..length] != of_right[..other] {
            return Ok(false);
        }
        if length == 0 {
            return Ok(true);
        }
    }
}

fn fill(file: &mut File, buffer: &mut [u8]) -> Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match file.read(&mut buffer[length..])? {
            0 => break,
            read => length += read,
        }
    }
    Ok(length)
}

/// Holes of a file, without the one that every file has at its end.
fn holes(file: &File) -> Result<Vec<Range<u64>>> {
    let size = file.metadata()?.len();
    let mut holes = Vec::new();
    let mut at = 0;
    while at < size {
        let start = seek(file, SeekFrom::Hole(at))?;
        if start >= size {
            break;
        }
        at = data_from(file, start)?.unwrap_or(size);
        holes.push(start..at);
    }
    Ok(holes)
}

fn is_hole(file: &File, range: &Range<u64>) -> Result<bool> {
    Ok(data_from(file, range.start)?.is_none_or(|data| data >= range.end))
}

fn data_from(file: &File, at: u64) -> Result<Option<u64>> {
    match seek(file, SeekFrom::Data(at)) {
        Err(Errno::NXIO) => Ok(None),
        other => Ok(Some(other?)),
    }
}

#[cfg(test)]
mod tests {
    use super::Comparison;
    use rustix::fs::{XattrFlags, lsetxattr};
    use std::fs::{self, File, Permissions};
    use std::os::unix::fs::{FileExt as _, PermissionsExt as _, symlink};
    use std::path::Path;
    use std::process::Command;

    fn make(directory: &Path) {
        fs::create_dir(directory).unwrap();
        fs::write(directory.join("a"), "content").unwrap();
        fs::hard_link(directory.join("a"), directory.join("b")).unwrap();
        symlink("a", directory.join("s")).unwrap();
        fs::create_dir(directory.join("d")).unwrap();
        let sparse = File::create(directory.join("h")).unwrap();
        sparse.set_len(8 << 20).unwrap();
        sparse.write_all_at(b"x", 0).unwrap();
    }

    type Change = fn(&Path);

    /// Differences between a tree and its copy after this change to the copy.
    fn after(change: Change) -> Vec<String> {
        let work = tempfile::tempdir().unwrap();
        let (left, right) = (work.path().join("left"), work.path().join("right"));
        make(&left);
        assert!(Command::new("cp").arg("-a").args([&left, &right]).status().unwrap().success());
        change(&right);
        Comparison::of(&left, &right).unwrap().differences
    }

    fn keeping_times(path: &Path, change: impl FnOnce()) {
        let times = fs::FileTimes::new().set_modified(fs::metadata(path).unwrap().modified().unwrap());
        change();
        File::open(path).unwrap().set_times(times).unwrap();
    }

    #[test]
    fn a_copy_is_equal() {
        assert_eq!(after(|_| ()), Vec::<String>::new());
    }

    #[test]
    fn every_kind_of_difference_is_seen() {
        let changes: [(&str, Change); 9] = [
            ("a: has other content", |right| keeping_times(&right.join("a"), || fs::write(right.join("a"), "CONTENT").unwrap())),
            ("a: mode", |right| fs::set_permissions(right.join("a"), Permissions::from_mode(0o600)).unwrap()),
            ("a: time", |right| fs::write(right.join("a"), "content").unwrap()),
            ("a: attributes", |right| lsetxattr(right.join("a"), "user.x", b"1", XattrFlags::empty()).unwrap()),
            ("d: is missing", |right| fs::remove_dir(right.join("d")).unwrap()),
            ("extra: is extra", |right| fs::write(right.join("extra"), "").unwrap()),
            ("h: 1 holes are filled", |right| {
                keeping_times(&right.join("h"), || {
                    let file = File::options().write(true).open(right.join("h")).unwrap();
                    file.write_all_at(&vec![0; (8 << 20) - 1], 1).unwrap();
                });
            }),
            ("s: target", |right| {
                fs::remove_file(right.join("s")).unwrap();
                symlink("b", right.join("s")).unwrap();
            }),
            ("b: is linked to other names", |right| {
                fs::rename(right.join("a"), right.join("c")).unwrap();
                fs::copy(right.join("c"), right.join("a")).unwrap();
            }),
        ];
        for (expected, change) in changes {
            let seen = after(change);
            assert!(seen.iter().any(|line| line.starts_with(expected)), "{expected}: {seen:?}");
        }
    }
}
