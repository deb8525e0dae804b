//! What the demo adds to the copied directory, so that every kind of file is there, and how it changes it.

use anyhow::{Context, Result};
use rustix::fs::{CWD, FileType, Mode, XattrFlags, lsetxattr, mknodat};
use std::ffi::OsStr;
use std::fs::{self, File, FileTimes, Permissions};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Name of the directory that is added.
const ADDED: &str = "holdfast-demo";

/// Adds a directory with files of every kind.
pub(super) fn add(live: &Path) -> Result<()> {
    let added = live.join(ADDED);
    fs::create_dir(&added).with_context(|| format!("cannot add {}", added.display()))?;
    let write = |name: &str, bytes: &[u8]| -> Result<PathBuf> {
        let path = added.join(name);
        fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    };
    write("noise", &noise(32 << 20, 1))?;
    write("text", &text(32 << 20))?;
    write("empty", b"")?;
    let small = added.join("small");
    fs::create_dir(&small)?;
    for number in 0..2000_u32 {
        fs::write(small.join(format!("file-{number:04}")), text(100 + 7 * number as usize))?;
    }
    sparse(&added.join("sparse"))?;
    let linked = write("linked", b"one content under two names\n")?;
    fs::hard_link(&linked, added.join("linked too"))?;
    symlink("linked", added.join("symlink"))?;
    symlink("points/nowhere", added.join("broken symlink"))?;
    fs::write(added.join(OsStr::from_bytes(b"not UTF-8: \xff\xfe")), b"bytes are bytes\n")?;
    fs::write(added.join("new\nline"), b"a name with a new line\n")?;
    mknodat(CWD, added.join("fifo"), FileType::Fifo, Mode::from_raw_mode(0o640), 0)?;
    attributes(&write("attributes", b"more than content\n")?)?;
    let old = FileTimes::new().set_modified(SystemTime::UNIX_EPOCH + Duration::new(1_000_000_000, 123_456_789));
    File::options().write(true).open(write("old", b"times to the nanosecond\n")?)?.set_times(old)?;
    fs::set_permissions(write("setuid", b"\n")?, Permissions::from_mode(0o4751))?;
    fs::set_permissions(&small, Permissions::from_mode(0o1770))?;
    Ok(())
}

/// Changes the tree as a day's work would; answers what it did, in words.
pub(super) fn change(live: &Path) -> Result<&'static str> {
    let added = live.join(ADDED);
    let noisy = File::options().write(true).open(added.join("noise"))?;
    noisy.write_all_at(&noise(4096, 2), 10 << 20)?;
    fs::write(added.join("text"), text(33 << 20))?;
    fs::write(added.join("new"), noise(1 << 20, 3))?;
    fs::remove_file(added.join("empty"))?;
    fs::rename(added.join("small/file-0001"), added.join("small/renamed"))?;
    fs::set_permissions(added.join("setuid"), Permissions::from_mode(0o700))?;
    for number in (0..2000_u32).step_by(20) {
        fs::write(added.join(format!("small/file-{number:04}")), format!("changed {number}\n"))?;
    }
    Ok("102 files rewritten, 1 new, 1 gone, 1 renamed, 1 mode")
}

fn sparse(path: &Path) -> Result<()> {
    let file = File::create_new(path)?;
    file.set_len(64 << 20)?;
    for place in [0, 20 << 20, (64 << 20) - 4096] {
        file.write_all_at(&noise(4096, place), place)?;
    }
    Ok(())
}

/// A user's attribute; and an access list and a capability where the system and the user's rights allow them.
fn attributes(path: &Path) -> Result<()> {
    lsetxattr(path, "user.holdfast.demo", b"an attribute", XattrFlags::empty()).context("cannot set an attribute")?;
    let entry = |tag: u16, rights: u16, id: u32| [&tag.to_le_bytes()[..], &rights.to_le_bytes(), &id.to_le_bytes()].concat();
    let nobody = u32::MAX;
    let entries = [entry(1, 6, nobody), entry(2, 4, 12345), entry(4, 4, nobody), entry(16, 4, nobody), entry(32, 0, nobody)];
    let access = [2_u32.to_le_bytes().to_vec(), entries.concat()].concat();
    let capability = [0x0200_0001_u32, 0x0000_0400, 0, 0, 0].map(u32::to_le_bytes).concat();
    for (name, value) in [("system.posix_acl_access", access), ("security.capability", capability)] {
        if lsetxattr(path, name, &value, XattrFlags::empty()).is_err() {
            println!("  (this file system or user has no {name}: left out)");
        }
    }
    Ok(())
}

/// Bytes that do not compress: xorshift.
fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// Lines that compress as a log does.
fn text(length: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(length + 80);
    let mut number = 0_u64;
    while bytes.len() < length {
        number += 1;
        let line =
            format!("line {number}: request {:016x} took {} ms\n", number.wrapping_mul(0x9e37_79b9_7f4a_7c15), number % 977);
        bytes.extend(line.into_bytes());
    }
    bytes.truncate(length);
    bytes
}
