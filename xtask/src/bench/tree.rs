//! A generated tree, and what a machine does at least with one.

use anyhow::{Context, Result, bail};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

const DIRECTORIES: u64 = 400;
const FILES: u64 = 50;
/// Bytes of the small files together, about, and of the large one.
const NEEDED_BYTES: u64 = DIRECTORIES * FILES * 12_000 + LARGE_BYTES;
const LARGE_BYTES: u64 = 256 << 20;
/// One in so many files changes.
const CHANGE_EVERY: u64 = 100;

/// Numbers from a seed (splitmix64).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// 20,000 files of sources, and a large one half of which does not compress. Vault and restored tree need as much again, each.
pub(super) fn make(source: &Path) -> Result<()> {
    let parent = source.parent().context("a place for the tree")?;
    let disk = rustix::fs::statvfs(parent).context("cannot look at the disk")?;
    let (free, needed) = (disk.f_bavail * disk.f_frsize, 3 * NEEDED_BYTES);
    if free < needed {
        bail!(
            "{} has {} MiB free, and {} MiB are needed; TMPDIR names another place",
            parent.display(),
            free >> 20,
            needed >> 20
        );
    }
    let mut numbers = Numbers(1);
    for directory in 0..DIRECTORIES {
        let path = source.join(format!("package-{:02}/module-{directory:03}", directory % 40));
        fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
        for file in 0..FILES {
            fs::write(path.join(format!("source-{file:03}.rs")), sources(&mut numbers)).context("cannot write the tree")?;
        }
    }
    let mut large = File::create(source.join("large")).context("cannot write the tree")?;
    for block in 0..LARGE_BYTES >> 20 {
        let noise: Vec<u8> = (0..1 << 17).flat_map(|_| numbers.next().to_le_bytes()).collect();
        large.write_all(&if block % 2 == 0 { noise } else { vec![block as u8; 1 << 20] }).context("cannot write the tree")?;
    }
    Ok(())
}

/// Lines of words, 200 bytes to 24 KB.
fn sources(numbers: &mut Numbers) -> Vec<u8> {
    let length = 200 + (numbers.next() % 24_000) as usize;
    let mut text = Vec::with_capacity(length + 32);
    while text.len() < length {
        let number = numbers.next();
        let word = (number % 1500).min(number >> 20 & 2047);
        let _ = write!(
            text,
            "{}{word:x}{}",
            ["let w", "fn ", "self.", "x"][(number >> 40) as usize % 4],
            [" ", ";\n", "(", ") "][(number >> 44) as usize % 4]
        );
    }
    text
}

/// Reads every file, one after the other.
pub(super) fn read(tree: &Path) -> Result<()> {
    let mut buffer = vec![0; 1 << 20];
    each_file(tree, &mut |path| {
        let mut file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
        while file.read(&mut buffer)? > 0 {}
        Ok(())
    })
}

/// Asks for every file's metadata.
pub(super) fn look(tree: &Path) -> Result<()> {
    each_file(tree, &mut |path| {
        fs::symlink_metadata(path).map(drop).with_context(|| format!("cannot look at {}", path.display()))
    })
}

/// Changes one file in a hundred; answers what they held.
pub(super) fn change(tree: &Path) -> Result<Vec<(PathBuf, Vec<u8>)>> {
    let (mut number, mut changed) = (0, Vec::new());
    each_file(tree, &mut |path| {
        number += 1;
        if number % CHANGE_EVERY == 0 && fs::symlink_metadata(path)?.len() < 1 << 20 {
            let before = fs::read(path)?;
            fs::write(path, [before.as_slice(), b"\nchanged\n"].concat())?;
            changed.push((path.to_owned(), before));
        }
        Ok(())
    })?;
    Ok(changed)
}

/// For the next round.
pub(super) fn change_back(changed: Vec<(PathBuf, Vec<u8>)>) -> Result<()> {
    changed.into_iter().try_for_each(|(path, before)| fs::write(path, before)).context("cannot change the tree back")
}

fn each_file(directory: &Path, work: &mut impl FnMut(&Path) -> Result<()>) -> Result<()> {
    let entries = fs::read_dir(directory).with_context(|| format!("cannot list {}", directory.display()))?;
    for entry in entries {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            each_file(&entry.path(), work)?;
        } else if kind.is_file() {
            work(&entry.path())?;
        }
    }
    Ok(())
}
