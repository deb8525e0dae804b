//! What may be changing now without the kernel telling it.

use super::Caution;
use super::mounts::{option, unescape};
use std::collections::HashSet;
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What may be changing.
#[derive(Debug, Default)]
pub(super) struct Blind {
    /// Directories, with all below them.
    pub(super) directories: Vec<Vec<u8>>,
    /// Files.
    pub(super) inodes: HashSet<u64>,
}

/// The machine's own processes, which see those of all its containers, have this one.
const ALL_PROCESSES: &str = "pid:[4026531836]";

/// Looks for upper layers of overlays, files that are mapped to be written, and files behind loop devices. None where that cannot be known,
/// for some process cannot be looked at, unless that does not matter.
pub(super) fn look(caution: Caution) -> io::Result<Option<Blind>> {
    let goes_on = caution == Caution::Lenient;
    if !goes_on && fs::read_link("/proc/self/ns/pid")? != Path::new(ALL_PROCESSES) {
        return Ok(None);
    }
    let mut blind = Blind::default();
    let mut seen = HashSet::new();
    for process in fs::read_dir("/proc")? {
        let process = process?.path();
        if !process.file_name().is_some_and(|name| name.as_bytes().iter().all(u8::is_ascii_digit)) {
            continue;
        }
        let known = mapped(&process, &mut blind.inodes).and_then(|()| overlays(&process, &mut seen, &mut blind.directories));
        match known {
            Ok(true) => {}
            Ok(false) => return Ok(None),
            // It has ended.
            Err(error) if error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(3) => {}
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied && goes_on => {}
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Ok(None),
            Err(error) => return Err(error),
        }
    }
    loops(&mut blind.inodes)?;
    Ok(Some(blind))
}

/// Files that a process has mapped to be written by all who map them.
fn mapped(process: &Path, inodes: &mut HashSet<u64>) -> io::Result<()> {
    let maps = fs::read(process.join("maps"))?;
    for line in maps.split(|byte| *byte == b'\n') {
        let mut fields = line.split(|byte| *byte == b' ').filter(|field| !field.is_empty());
        let rights = fields.nth(1).unwrap_or_default();
        if rights.get(1) == Some(&b'w') && rights.get(3) == Some(&b's') {
            let inode: Option<u64> = fields.nth(2).and_then(|inode| std::str::from_utf8(inode).ok()?.parse().ok());
            inodes.extend(inode.filter(|inode| *inode != 0));
        }
    }
    Ok(())
}

/// Upper layers of overlays that a process sees. False where one is named in a way that only those who mounted it understand.
fn overlays(process: &Path, seen: &mut HashSet<PathBuf>, directories: &mut Vec<Vec<u8>>) -> io::Result<bool> {
    if !seen.insert(fs::read_link(process.join("ns/mnt"))?) {
        return Ok(true);
    }
    let mounts = fs::read(process.join("mountinfo"))?;
    for line in mounts.split(|byte| *byte == b'\n') {
        if let Some(upper) = option(line, b"upperdir").map(unescape) {
            if !upper.starts_with(b"/") {
                return Ok(false);
            }
            directories.push(upper[1..].to_vec());
        }
    }
    Ok(true)
}

/// Files behind loop devices.
fn loops(inodes: &mut HashSet<u64>) -> io::Result<()> {
    for device in fs::read_dir("/sys/block").into_iter().flatten() {
        let Ok(file) = fs::read(device?.path().join("loop/backing_file")) else { continue };
        let path = PathBuf::from(std::ffi::OsString::from_vec(file.trim_ascii_end().to_vec()));
        if let Ok(metadata) = fs::symlink_metadata(path) {
            inodes.insert(metadata.ino());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processes_of_this_machine_can_be_looked_at_or_nothing_is_claimed() {
        if let Some(blind) = look(Caution::Safe).unwrap() {
            assert!(blind.directories.iter().all(|path| !path.starts_with(b"/")));
        }
    }

    #[test]
    fn files_that_are_mapped_to_be_written_by_all_are_found_among_the_lines() {
        let process = tempfile::tempdir().unwrap();
        let lines = "7f00-7f10 rw-s 00000000 08:01 4711                       /data/base\n\
                     7f10-7f20 rw-p 00000000 08:01 4712                       /lib/private\n\
                     7f20-7f30 r--s 00000000 08:01 4713                       /data/read\n\
                     7f30-7f40 rw-s 00000000 00:01 0                          /dev/zero\n";
        fs::write(process.path().join("maps"), lines).unwrap();
        let mut inodes = HashSet::new();
        mapped(process.path(), &mut inodes).unwrap();
        assert_eq!(inodes, HashSet::from([4711]));
    }

    #[test]
    fn upper_layers_are_found_and_one_that_is_named_relatively_makes_nothing_be_known() {
        let process = tempfile::tempdir().unwrap();
        fs::create_dir(process.path().join("ns")).unwrap();
        std::os::unix::fs::symlink("mnt:[1]", process.path().join("ns/mnt")).unwrap();
        let look = |upper: &str| {
            let line = format!("40 35 0:50 / / rw - overlay overlay rw,lowerdir=/l,upperdir={upper},workdir=/w\n");
            fs::write(process.path().join("mountinfo"), line).unwrap();
            let mut directories = Vec::new();
            let known = overlays(process.path(), &mut HashSet::new(), &mut directories).unwrap();
            (known, directories)
        };
        assert_eq!(look("/var/upper"), (true, vec![b"var/upper".to_vec()]));
        assert_eq!(look("abc/diff"), (false, vec![]));
    }
}
