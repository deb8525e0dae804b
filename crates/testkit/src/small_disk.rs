//! A disk that a test fills.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A small file system, gone when this is dropped.
#[derive(Debug)]
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounted in a directory, which is made where there is none. None where mounting is not allowed: that is said.
    #[must_use]
    pub fn mount(at: PathBuf, kilobytes: u32) -> Option<Self> {
        fs::create_dir_all(&at).expect("the directory can be made");
        let options = format!("size={kilobytes}k");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(&at).status();
        if mounted.is_ok_and(|status| status.success()) {
            return Some(Self(at));
        }
        println!("cannot mount a tmpfs here: nothing is tested");
        None
    }

    /// As [`SmallDisk::mount`], with ext4 in an image beside it: a file system of a real disk.
    #[must_use]
    pub fn mount_ext4(at: PathBuf, kilobytes: u32) -> Option<Self> {
        fs::create_dir_all(&at).expect("the directory can be made");
        let image = at.with_extension("image");
        let made = File::create(&image).and_then(|file| file.set_len(u64::from(kilobytes) * 1024));
        made.expect("the image can be made");
        let is_done = |command: &mut Command| command.status().is_ok_and(|status| status.success());
        if is_done(Command::new("mkfs.ext4").arg("-q").arg(&image))
            && is_done(Command::new("mount").args(["-o", "loop"]).arg(&image).arg(&at))
        {
            return Some(Self(at));
        }
        println!("cannot mount an ext4 image here: nothing is tested");
        None
    }

    /// Where it is mounted.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Makes it another size.
    pub fn resize(&self, kilobytes: u32) {
        let options = format!("remount,size={kilobytes}k");
        let resized = Command::new("mount").args(["-o", &options]).arg(&self.0).status();
        assert!(resized.is_ok_and(|status| status.success()), "the disk keeps its size");
    }

    /// Fills all but so much.
    pub fn fill_but(&self, kilobytes: usize) {
        let mut filler = File::create(self.filler()).expect("a file can be made");
        let block = [0; 4096];
        let mut written = 0;
        while filler.write_all(&block).is_ok() {
            written += block.len() as u64;
        }
        filler.set_len(written.saturating_sub(kilobytes as u64 * 1024)).expect("a file can be cut");
    }

    /// Something else takes what has become free since.
    pub fn fill_on(&self) {
        let mut filler = File::options().append(true).open(self.filler()).expect("the disk was filled");
        while filler.write_all(&[0; 4096]).is_ok() {}
    }

    /// Gives back what filled it.
    pub fn make_room(&self) {
        fs::remove_file(self.filler()).expect("the disk was filled");
    }

    /// What is left.
    #[must_use]
    pub fn free_kilobytes(&self) -> u64 {
        let told = rustix::fs::statvfs(&self.0).expect("the disk is mounted");
        told.f_bavail * told.f_frsize / 1024
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").args(["-l"]).arg(&self.0).status();
    }
}
