//! The zoo.

use crate::platform::{self, Named};
use format::page::{EntryKind, Timestamp};
use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;

/// What the zoo holds besides the usual.
#[derive(Debug, Clone, Copy)]
pub struct ZooOptions {
    /// Files in one large directory.
    pub large_directory: u32,
    /// A directory with a path of more than 4096 bytes.
    pub deep: bool,
    /// A socket, which backups report and do not keep.
    pub socket: bool,
}

impl Default for ZooOptions {
    fn default() -> Self {
        Self { large_directory: 1200, deep: true, socket: true }
    }
}

/// Builds the zoo in a directory that exists and answers what could not be made here: by this user, on this file system.
pub fn build(root: &Path, options: ZooOptions) -> io::Result<Vec<String>> {
    let mut zoo = Zoo { root, skipped: Vec::new() };
    zoo.contents()?;
    zoo.holes()?;
    zoo.names(options.large_directory)?;
    zoo.links()?;
    zoo.modes_and_owners()?;
    zoo.attributes()?;
    zoo.nodes(options.socket)?;
    if options.deep {
        deep_directory(&root.join("deep"), 20)?;
    }
    zoo.times()?;
    zoo.locked()?;
    Ok(zoo.skipped)
}

/// Makes a chain of directories with names of 255 bytes, so many levels deep, with a file and a symlink at its end.
pub fn deep_directory(top: &Path, levels: usize) -> io::Result<()> {
    fs::create_dir(top)?;
    let mut at: OwnedFd = platform::open_trusted_directory(top)?;
    for level in 0..levels {
        let name = [b'a' + (level % 26) as u8; 255];
        platform::make_directory(at.as_fd(), &name)?;
        at = platform::open_path_directory(at.as_fd(), &name)?;
    }
    let file = platform::create_file(at.as_fd(), b"bottom")?;
    platform::write_at(&file, b"very deep\n", 0)?;
    match platform::set_attribute(Named::Open(file.as_fd()), b"user.depth", b"deep") {
        Err(error) if error.raw_os_error() != Some(95) => return Err(error),
        _ => {}
    }
    platform::make_symlink(at.as_fd(), b"up", b"../bottom")
}

struct Zoo<'a> {
    root: &'a Path,
    skipped: Vec<String>,
}

impl Zoo<'_> {
    fn directory(&self, path: &str) -> io::Result<()> {
        fs::create_dir_all(self.root.join(path))
    }

    fn file(&self, path: &str, content: &[u8]) -> io::Result<()> {
        fs::write(self.root.join(path), content)
    }

    /// What a user who is not root, or another file system, may refuse.
    fn attempt(&mut self, what: &str, done: io::Result<()>) -> io::Result<()> {
        match done {
            // EOPNOTSUPP and EINVAL: a file system without such attributes.
            Err(error) if error.kind() == ErrorKind::PermissionDenied || matches!(error.raw_os_error(), Some(95 | 22)) => {
                self.skipped.push(format!("{what}: {error}"));
                Ok(())
            }
            other => other,
        }
    }

    fn with_handle(&self, path: &str, act: impl Fn(Named<'_>) -> io::Result<()>) -> io::Result<()> {
        let (parent, name) = platform::split_name(path.as_bytes());
        let parent = platform::open_trusted_directory(&self.root.join(OsStr::from_bytes(parent)))?;
        let handle = platform::open_handle(parent.as_fd(), name)?;
        act(Named::Handle(handle.as_fd()))
    }

    fn attribute(&mut self, path: &str, name: &str, value: &[u8]) -> io::Result<()> {
        let done = self.with_handle(path, |what| platform::set_attribute(what, name.as_bytes(), value));
        self.attempt(&format!("{name} on {path}"), done)
    }

    fn contents(&mut self) -> io::Result<()> {
        self.directory("content")?;
        self.directory("content/empty directory")?;
        self.file("content/empty", b"")?;
        self.file("content/one byte", b"x")?;
        self.file("content/text", "line\n".repeat(300).as_bytes())?;
        self.file("content/zeros", &[0; 10_000])?;
        self.file("content/large", &noise(5_000_003, 1))?;
        self.file("content/block", &noise(4096, 2))?;
        self.file("content/twin of block", &noise(4096, 2))
    }

    fn holes(&mut self) -> io::Result<()> {
        self.directory("holes")?;
        let make = |name: &str, size: u64, data: &[(u64, usize)]| -> io::Result<()> {
            let file = File::create(self.root.join("holes").join(name))?;
            file.set_len(size)?;
            for (offset, length) in data {
                file.write_all_at(&noise(*length, *offset as u32), *offset)?;
            }
            Ok(())
        };
        make("at the start", 1 << 20, &[(768 << 10, 256 << 10)])?;
        make("in the middle", 1 << 20, &[(0, 65_536), (900 << 10, 124 << 10)])?;
        make("at the end", 1 << 20, &[(0, 100_000)])?;
        make("many", 4 << 20, &(0..64).map(|n| (n << 16, 4096)).collect::<Vec<_>>())?;
        make("all", 3 << 20, &[])?;
        make("huge", 1 << 40, &[(1 << 39, 10)])?;
        make("small", 8192, &[(4096, 4096)])?;
        make("odd end", 100_001, &[(65_536, 10)])
    }

    fn names(&mut self, large: u32) -> io::Result<()> {
        self.directory("names")?;
        let longest = "n".repeat(255);
        let odd: [&[u8]; 17] = [
            b"not utf-8 \xff\xfe",
            b"\xc3\x28",
            b"new\nline",
            b"tab\tand\x01control\x7f",
            b"-rf",
            b"--",
            b" leading space",
            b"trailing space ",
            b"quote'\"`",
            b"back\\slash",
            b"*",
            b"?[a-z]",
            b"$(HOME)",
            b"...",
            b"~",
            "\u{e4}\u{1f980}".as_bytes(),
            longest.as_bytes(),
        ];
        for name in odd {
            fs::write(self.root.join("names").join(OsStr::from_bytes(name)), name)?;
        }
        // Names that sort differently as paths than as components.
        for path in ["order/a", "order/a.b", "order/a!b", "order/a0", "order/a/z", "order/a\u{1}"] {
            self.directory(path)?;
            self.file(&format!("{path}/file"), path.as_bytes())?;
        }
        self.directory("large")?;
        for number in 0..large {
            self.file(&format!("large/{number:06}"), number.to_string().as_bytes())?;
        }
        Ok(())
    }

    fn links(&mut self) -> io::Result<()> {
        self.directory("links/other")?;
        self.file("links/first", b"one file, three names")?;
        fs::hard_link(self.root.join("links/first"), self.root.join("links/other/second"))?;
        fs::hard_link(self.root.join("links/first"), self.root.join("links/a third"))?;
        self.file("links/pair a", b"another pair")?;
        fs::hard_link(self.root.join("links/pair a"), self.root.join("links/other/pair b"))?;
        let long = "l/".repeat(2000);
        for (target, name) in [
            ("first", "to a file"),
            ("other", "to a directory"),
            ("/etc/passwd", "absolute"),
            ("nowhere at all", "dangling"),
            ("loop b", "loop a"),
            ("loop a", "loop b"),
            ("../../../../../..", "far up"),
            (".", "itself"),
            (long.as_str(), "long"),
        ] {
            symlink(target, self.root.join("links").join(name))?;
        }
        symlink(OsStr::from_bytes(b"target \xff"), self.root.join("links/to bytes"))?;
        fs::hard_link(self.root.join("links/dangling"), self.root.join("links/dangling too"))
    }

    fn modes_and_owners(&mut self) -> io::Result<()> {
        self.directory("modes")?;
        for mode in [0o000, 0o400, 0o644, 0o755, 0o777, 0o1644] {
            let path = format!("modes/{mode:05o}");
            self.file(&path, path.as_bytes())?;
            self.with_handle(&path, |what| platform::set_mode(what, mode))?;
        }
        for mode in [0o500, 0o1777, 0o2775] {
            let path = format!("modes/directory {mode:05o}");
            self.directory(&path)?;
            self.with_handle(&path, |what| platform::set_mode(what, mode))?;
        }
        // A daemon's own, a number that nobody has, and the largest.
        for (name, user, group) in [("daemon", 1, 1), ("nobody's", 123_456, 654_321), ("largest", u32::MAX - 1, u32::MAX - 1)] {
            for (mode, kind) in [(0o640, ""), (0o4755, " setuid"), (0o2755, " setgid"), (0o6711, " both")] {
                let path = format!("modes/{name}{kind}");
                self.file(&path, b"#!/bin/false\n")?;
                let owned = self.with_handle(&path, |what| platform::set_owner(what, user, group));
                self.attempt(&format!("owner of {path}"), owned)?;
                self.with_handle(&path, |what| platform::set_mode(what, mode))?;
            }
            let path = format!("modes/{name} link");
            symlink("anywhere", self.root.join(&path))?;
            let owned = self.with_handle(&path, |what| platform::set_owner(what, user, group));
            self.attempt(&format!("owner of {path}"), owned)?;
        }
        self.directory("modes/daemon directory")?;
        let owned = self.with_handle("modes/daemon directory", |what| platform::set_owner(what, 1, 4711));
        self.attempt("owner of a directory", owned)
    }

    fn attributes(&mut self) -> io::Result<()> {
        self.directory("attributes/directory")?;
        self.file("attributes/file", b"with attributes")?;
        symlink("file", self.root.join("attributes/link"))?;
        for path in ["attributes/file", "attributes/directory"] {
            self.attribute(path, "user.comment", b"a comment")?;
            self.attribute(path, "user.empty", b"")?;
            self.attribute(path, "user.bytes \u{fc}", &noise(300, 3))?;
            self.attribute(path, "trusted.secret", b"only root sees this")?;
            self.attribute(path, "security.note", b"in the name space of modules")?;
        }
        self.attribute("attributes/file", "user.long", &noise(2000, 4))?;
        self.attribute("attributes/link", "trusted.link", b"on the symlink itself")?;
        let acl = acl(&[(1, 7, None), (2, 7, Some(1)), (2, 4, Some(123_456)), (4, 4, None), (16, 6, None), (32, 0, None)]);
        for (name, mode) in [("attributes/acl file", 0o660), ("attributes/acl directory", 0o2770)] {
            match name.ends_with("file") {
                true => self.file(name, b"shared")?,
                false => self.directory(name)?,
            }
            self.with_handle(name, |what| platform::set_mode(what, mode))?;
            self.attribute(name, "system.posix_acl_access", &acl)?;
        }
        self.attribute("attributes/acl directory", "system.posix_acl_default", &acl)?;
        self.file("attributes/acl directory/heir", b"with an inherited ACL")?;
        self.directory("attributes/acl directory/sub")?;
        self.directory("attributes/acl directory/disinherited")?;
        let without = |what: Named<'_>| {
            platform::remove_attribute(what, platform::ACL_ACCESS)?;
            platform::remove_attribute(what, platform::ACL_DEFAULT)
        };
        self.with_handle("attributes/acl directory/disinherited", without)?;
        self.file("attributes/capable", b"\x7fELF")?;
        let owned = self.with_handle("attributes/capable", |what| platform::set_owner(what, 1, 1));
        self.attempt("owner of a file with a capability", owned)?;
        self.with_handle("attributes/capable", |what| platform::set_mode(what, 0o4755))?;
        self.attribute("attributes/capable", "security.capability", &capability(10))
    }

    fn nodes(&mut self, socket: bool) -> io::Result<()> {
        self.directory("nodes")?;
        let directory = platform::open_trusted_directory(&self.root.join("nodes"))?;
        for (name, kind, device, mode) in [
            ("fifo", EntryKind::Fifo, (0, 0), 0o644),
            ("null", EntryKind::CharacterDevice, (1, 3), 0o666),
            ("large numbers", EntryKind::CharacterDevice, (4000, 1_000_000), 0o600),
            ("block", EntryKind::BlockDevice, (7, 200), 0o660),
        ] {
            let made = platform::make_node(directory.as_fd(), name.as_bytes(), kind, device);
            let is_made = made.is_ok();
            self.attempt(name, made)?;
            if is_made {
                self.with_handle(&format!("nodes/{name}"), |what| platform::set_mode(what, mode))?;
            }
        }
        fs::hard_link(self.root.join("nodes/fifo"), self.root.join("nodes/fifo too"))?;
        if socket {
            // The path of a socket has at most 108 bytes.
            use std::os::fd::AsRawFd;
            UnixListener::bind(format!("/proc/self/fd/{}/socket", directory.as_raw_fd()))?;
        }
        Ok(())
    }

    /// Directories get theirs when everything is in them.
    fn times(&mut self) -> io::Result<()> {
        self.directory("times/directory")?;
        self.file("times/directory/file", b"")?;
        symlink("x", self.root.join("times/link"))?;
        fs::create_dir(self.root.join("times/empty"))?;
        for (name, seconds, nanoseconds) in [
            ("past", -1_000_000_000, 1),
            ("epoch", 0, 0),
            ("then", 1_000_000_000, 123_456_789),
            ("future", 4_102_444_800, 999_999_999),
        ] {
            let path = format!("times/{name}");
            self.file(&path, name.as_bytes())?;
            self.with_handle(&path, |what| platform::set_times(what, Timestamp { seconds, nanoseconds }))?;
        }
        for (number, path) in [
            "links/loop a",
            "times/link",
            "times/empty",
            "times/directory",
            "times",
            "attributes/acl directory",
            "nodes/fifo",
            "holes/all",
        ]
        .iter()
        .enumerate()
        {
            let time = Timestamp { seconds: 1_234_567_890 + number as i64, nanoseconds: 987_654_321 };
            self.with_handle(path, |what| platform::set_times(what, time))?;
        }
        Ok(())
    }

    /// What only root can read.
    fn locked(&mut self) -> io::Result<()> {
        self.directory("locked")?;
        self.file("locked/inside", b"behind a closed door")?;
        fs::set_permissions(self.root.join("locked"), Permissions::from_mode(0o000))
    }
}

/// Bytes that do not compress, the same for the same seed.
fn noise(length: usize, seed: u32) -> Vec<u8> {
    let mut state = u64::from(seed) | 0x9e37_79b9_7f4a_7c15;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..length).map(|_| next()).collect()
}

/// A POSIX ACL as the kernel takes it: version 2, then tag, permissions and number of each entry.
fn acl(entries: &[(u16, u16, Option<u32>)]) -> Vec<u8> {
    let mut bytes = 2_u32.to_le_bytes().to_vec();
    for (tag, permissions, number) in entries {
        bytes.extend_from_slice(&tag.to_le_bytes());
        bytes.extend_from_slice(&permissions.to_le_bytes());
        bytes.extend_from_slice(&number.unwrap_or(u32::MAX).to_le_bytes());
    }
    bytes
}

/// File capabilities, version 2, with one permitted and effective.
fn capability(number: u32) -> Vec<u8> {
    let mut bytes = 0x0200_0001_u32.to_le_bytes().to_vec();
    for word in [1_u32 << number, 0, 0, 0] {
        bytes.extend_from_slice(&word.to_le_bytes());
    }
    bytes
}
