//! What may be changing now without the kernel telling it.
//!
//! A file that is open to be written is looked at in any case: not every way to write into it is told (asynchronous writes are not). When it
//! is closed, that is told. So it is with files that are mapped, and with those behind loop devices.

use super::Caution;
use super::mounts::{option, unescape};
use crate::platform;
use rustix::fs::OFlags;
use std::collections::HashSet;
use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use system::fanotify::{Handle, handle_of};

/// The machine's own processes, which see those of all its containers, have this one.
const ALL_PROCESSES: &str = "pid:[4026531836]";
/// Of the flags of an open file: how it may be used (`O_ACCMODE`), of which 0 is to be read; and that it is none (`O_PATH`).
const ACCESS: u32 = OFlags::RWMODE.bits();
const NO_FILE: u32 = OFlags::PATH.bits();
/// Servers within the kernel that write into files of their own accord.
const SERVERS: [(&str, &str); 2] = [("/sys/kernel/config/nvmet/subsystems", ""), ("/sys/kernel/config/target/core", "fileio_")];

/// What may be changing.
#[derive(Debug, Clone, Default)]
pub(super) struct Blind {
    /// Upper layers of overlays.
    pub(super) uppers: HashSet<Handle>,
    /// Files.
    pub(super) inodes: HashSet<u64>,
}

/// Looks for upper layers of overlays, files that are open to be written or mapped, and files behind loop devices. None where that cannot be
/// known, for something cannot be looked at, unless that does not matter.
pub(super) fn look(caution: Caution) -> io::Result<Option<Blind>> {
    let mut look = Look::default();
    look.unsure |= fs::read_link("/proc/self/ns/pid")? != Path::new(ALL_PROCESSES);
    for process in fs::read_dir("/proc")? {
        let process = process?.path();
        if !process.file_name().is_some_and(|name| name.as_bytes().iter().all(u8::is_ascii_digit)) {
            continue;
        }
        look.process(&process)?;
    }
    look.loops(Path::new("/sys/block"))?;
    look.unsure |= SERVERS.iter().any(|(place, begin)| has_entries(Path::new(place), begin));
    Ok((!look.unsure || caution == Caution::Lenient).then_some(look.found))
}

#[derive(Default)]
struct Look {
    found: Blind,
    /// Something could not be looked at.
    unsure: bool,
    /// Mount namespaces that were.
    seen: HashSet<PathBuf>,
}

impl Look {
    fn process(&mut self, process: &Path) -> io::Result<()> {
        let is_whole = self.thread(process)?;
        if is_whole {
            return Ok(());
        }
        // A process whose first thread has ended shows nothing of itself; its other threads do. Threads of the kernel have nothing.
        let Ok(threads) = fs::read_dir(process.join("task")) else { return Ok(()) };
        for thread in threads.flatten() {
            self.thread(&thread.path())?;
        }
        Ok(())
    }

    /// Looks at a thread's files. Whether it has any memory.
    fn thread(&mut self, thread: &Path) -> io::Result<bool> {
        let looked = (|| {
            let has_memory = self.mapped(thread)?;
            self.open_files(thread)?;
            self.overlays(thread)?;
            Ok(has_memory)
        })();
        match looked {
            Err(error) if has_ended(&error) => Ok(false),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                self.unsure = true;
                Ok(true)
            }
            looked => looked,
        }
    }

    /// Files that are mapped by all who map them together, whatever they may do with it now. Whether anything is mapped at all.
    fn mapped(&mut self, thread: &Path) -> io::Result<bool> {
        let maps = fs::read(thread.join("maps"))?;
        for line in maps.split(|byte| *byte == b'\n') {
            let mut fields = line.split(|byte| *byte == b' ').filter(|field| !field.is_empty());
            let is_shared = fields.nth(1).and_then(|rights| rights.get(3)) == Some(&b's');
            if is_shared {
                self.found.inodes.extend(fields.nth(2).and_then(number).filter(|inode| *inode != 0));
            }
        }
        Ok(!maps.is_empty())
    }

    /// Files that are open to be written.
    fn open_files(&mut self, thread: &Path) -> io::Result<()> {
        for open in fs::read_dir(thread.join("fdinfo"))? {
            let about = match fs::read(open?.path()) {
                Ok(about) => about,
                Err(error) if has_ended(&error) => continue,
                Err(error) => return Err(error),
            };
            let value =
                |name: &[u8]| about.split(|byte| *byte == b'\n').find_map(|line| Some(line.strip_prefix(name)?.trim_ascii()));
            let flags = value(b"flags:").and_then(|digits| u32::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
            let is_written = flags.is_none_or(|flags| flags & ACCESS != 0 && flags & NO_FILE == 0);
            if is_written {
                match value(b"ino:").and_then(number) {
                    Some(inode) => drop(self.found.inodes.insert(inode)),
                    None => self.unsure = true,
                }
            }
        }
        Ok(())
    }

    /// Upper layers of overlays that a thread sees.
    fn overlays(&mut self, thread: &Path) -> io::Result<()> {
        let namespace = fs::read_link(thread.join("ns/mnt"))?;
        if self.seen.contains(&namespace) {
            return Ok(());
        }
        let mounts = fs::read(thread.join("mountinfo"))?;
        for line in mounts.split(|byte| *byte == b'\n') {
            let Some(upper) = option(line, b"upperdir").map(unescape) else { continue };
            // It is named as whoever mounted it saw it: what it is, is known if it is to be found from there.
            match upper_layer(thread, &upper) {
                Ok(Some(handle)) => drop(self.found.uppers.insert(handle)),
                Ok(None) => {}
                Err(_) => self.unsure = true,
            }
        }
        self.seen.insert(namespace);
        Ok(())
    }

    /// Files behind loop devices that can be written.
    fn loops(&mut self, devices: &Path) -> io::Result<()> {
        for device in fs::read_dir(devices).into_iter().flatten() {
            let device = device?.path();
            let Ok(file) = fs::read(device.join("loop/backing_file")) else { continue };
            if fs::read(device.join("ro")).is_ok_and(|ro| ro.trim_ascii() == b"1") {
                continue;
            }
            let path = PathBuf::from(std::ffi::OsString::from_vec(file.trim_ascii_end().to_vec()));
            match fs::symlink_metadata(path) {
                Ok(metadata) if metadata.is_file() => drop(self.found.inodes.insert(metadata.ino())),
                // It is named as whoever set it up saw it.
                _ => self.unsure = true,
            }
        }
        Ok(())
    }
}

/// The handle of an upper layer; none where its file system has none, and cannot be followed anyway.
fn upper_layer(thread: &Path, upper: &[u8]) -> io::Result<Option<Handle>> {
    if !upper.starts_with(b"/") {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let root = platform::open_trusted_directory(&thread.join("root"))?;
    let directory = platform::open_in_root(root.as_fd(), upper)?;
    handle_of(directory.as_fd())
}

fn number(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Whether an error says that a process is no more: there is no such file, process, or memory.
fn has_ended(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || matches!(error.raw_os_error(), Some(3 | 22))
}

fn has_entries(place: &Path, begin: &str) -> bool {
    let mut entries = fs::read_dir(place).into_iter().flatten().flatten();
    entries.any(|entry| entry.file_name().as_bytes().starts_with(begin.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    #[test]
    fn the_processes_of_this_machine_can_be_looked_at_and_what_is_open_here_to_be_written_is_among_it() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let read = File::open(file.path()).unwrap();
        let inode = read.metadata().unwrap().ino();
        assert!(look(Caution::Lenient).unwrap().unwrap().inodes.contains(&inode));
        drop(file.into_parts().0);
        assert!(!look(Caution::Lenient).unwrap().unwrap().inodes.contains(&inode), "it is only read");
        // Where some process cannot be looked at, nothing is claimed; that none claims too much is all that can be said here.
        look(Caution::Safe).unwrap();
    }

    #[test]
    fn files_that_are_mapped_together_are_found_among_the_lines_also_where_they_are_only_read_now() {
        let process = tempfile::tempdir().unwrap();
        let lines = "7f00-7f10 rw-s 00000000 08:01 4711                       /data/base\n\
                     7f10-7f20 rw-p 00000000 08:01 4712                       /lib/private\n\
                     7f20-7f30 r--s 00000000 08:01 4713                       /data/protected\n\
                     7f30-7f40 rw-s 00000000 00:01 0                          /dev/zero\n";
        fs::write(process.path().join("maps"), lines).unwrap();
        let mut look = Look::default();
        assert!(look.mapped(process.path()).unwrap());
        assert_eq!(look.found.inodes, HashSet::from([4711, 4713]));
    }

    #[test]
    fn open_files_are_found_by_how_they_were_opened() {
        let process = tempfile::tempdir().unwrap();
        fs::create_dir(process.path().join("fdinfo")).unwrap();
        let files = [
            ("0", "0100000", "ino:\t1\n"),
            ("1", "0100001", "ino:\t2\n"),
            ("2", "02100002", "ino:\t3\n"),
            ("3", "012000002", "ino:\t4\n"),
        ];
        for (name, flags, inode) in files {
            fs::write(process.path().join("fdinfo").join(name), format!("pos:\t0\nflags:\t{flags}\nmnt_id:\t27\n{inode}"))
                .unwrap();
        }
        let mut look = Look::default();
        look.open_files(process.path()).unwrap();
        assert_eq!((look.found.inodes.clone(), look.unsure), (HashSet::from([2, 3]), false));
        fs::write(process.path().join("fdinfo/4"), "pos:\t0\nflags:\t01\nmnt_id:\t27\n").unwrap();
        look.open_files(process.path()).unwrap();
        assert!(look.unsure, "a kernel that does not say which file it is");
    }

    #[test]
    fn upper_layers_are_what_they_are_from_where_they_were_mounted_and_others_make_nothing_be_sure() {
        let process = tempfile::tempdir().unwrap();
        fs::create_dir_all(process.path().join("ns")).unwrap();
        fs::create_dir_all(process.path().join("elsewhere/real")).unwrap();
        fs::create_dir_all(process.path().join("elsewhere/a")).unwrap();
        std::os::unix::fs::symlink("/real", process.path().join("elsewhere/link")).unwrap();
        std::os::unix::fs::symlink(process.path().join("elsewhere"), process.path().join("root")).unwrap();
        std::os::unix::fs::symlink("mnt:[1]", process.path().join("ns/mnt")).unwrap();
        let find = |upper: &str| {
            let line = format!("40 35 0:50 / / rw - overlay overlay rw,lowerdir=/l,upperdir={upper},workdir=/w\n");
            fs::write(process.path().join("mountinfo"), line).unwrap();
            let mut look = Look::default();
            look.overlays(process.path()).unwrap();
            (look.found.uppers, look.unsure)
        };
        let real = platform::open_trusted_directory(&process.path().join("elsewhere/real")).unwrap();
        let Some(real) = handle_of(real.as_fd()).unwrap() else { return };
        for upper in ["/real", "/link", "/a/../real", "/../real/."] {
            assert_eq!(find(upper), (HashSet::from([real.clone()]), false), "{upper}");
        }
        assert_eq!(find("real"), (HashSet::new(), true));
        assert_eq!(find("/gone"), (HashSet::new(), true));
    }

    #[test]
    fn of_loop_devices_those_that_cannot_be_written_do_not_matter_and_a_file_that_is_not_there_makes_nothing_be_sure() {
        let devices = tempfile::tempdir().unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        let device = |name: &str, ro: &str, backing: &Path| {
            fs::create_dir_all(devices.path().join(name).join("loop")).unwrap();
            fs::write(devices.path().join(name).join("ro"), format!("{ro}\n")).unwrap();
            fs::write(devices.path().join(name).join("loop/backing_file"), [backing.as_os_str().as_bytes(), b"\n"].concat())
                .unwrap();
        };
        device("loop0", "0", file.path());
        device("loop1", "1", Path::new("/gone"));
        fs::create_dir(devices.path().join("vda")).unwrap();
        let mut look = Look::default();
        look.loops(devices.path()).unwrap();
        assert_eq!((look.found.inodes.len(), look.unsure), (1, false));
        device("loop2", "0", Path::new("/gone (deleted)"));
        look.loops(devices.path()).unwrap();
        assert!(look.unsure);
    }
}
