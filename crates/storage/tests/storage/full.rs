//! Disks without room, without inodes, and that cannot be written. They need a mount, so these tests need root.

use bytes::Bytes;
use rustix::mount::{MountFlags, UnmountFlags, mount, mount_remount, unmount};
use std::ffi::CString;
use std::fs;
use std::path::Path;
use storage::{ErrorKind, LocalStore, ObjectName, ObjectStore, PutOutcome, Result};
use tempfile::TempDir;
use testkit::{Rng, join_all};

/// A small file system of its own, unmounted on drop.
struct Tmpfs(TempDir);

impl Tmpfs {
    fn mount(options: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let options = CString::new(format!("mode=0700,{options}")).unwrap();
        let flags = MountFlags::NODEV | MountFlags::NOSUID;
        mount("tmpfs", directory.path(), "tmpfs", flags, Some(options.as_c_str())).expect("a tmpfs can be mounted (as root)");
        Self(directory)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = unmount(self.path(), UnmountFlags::DETACH);
    }
}

fn name(name: &str) -> ObjectName {
    ObjectName::new(name).unwrap()
}

fn bytes(seed: u64, length: usize) -> Bytes {
    Rng::new(seed).vec(length).into()
}

fn kind<T>(result: Result<T>) -> Option<ErrorKind> {
    result.err().map(|error| error.kind())
}

fn leftovers(path: &Path) -> usize {
    let directories = fs::read_dir(path.join(".tmp")).unwrap();
    directories.map(|directory| fs::read_dir(directory.unwrap().path()).unwrap().count()).sum()
}

#[tokio::test]
async fn a_full_disk_is_full_until_there_is_room() {
    let disk = Tmpfs::mount("size=8m");
    let store = LocalStore::open(disk.path()).await.unwrap();
    let mut stored = 0;
    let error = loop {
        match store.put(&name(&format!("pack/{stored}")), bytes(stored, 1_000_000)).await {
            Ok(_) => stored += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::Full, "{error:?}");
    assert!((5..9).contains(&stored), "{stored} objects of 1 MB in 8 MiB");
    for _ in 0..20 {
        assert_eq!(kind(store.put(&name("too-large"), bytes(99, 5_000_000)).await), Some(ErrorKind::Full));
    }
    assert_eq!(leftovers(disk.path()), 0);
    assert_eq!(kind(store.get(&name("too-large"), None).await), Some(ErrorKind::NotFound));
    assert_eq!(store.list("", None, 99).await.unwrap().len() as u64, stored);
    for i in 0..stored {
        assert_eq!(store.get(&name(&format!("pack/{i}")), None).await.unwrap(), bytes(i, 1_000_000));
        // What is there needs no room to be put again.
        assert_eq!(store.put(&name(&format!("pack/{i}")), bytes(i, 1_000_000)).await.unwrap(), PutOutcome::Identical);
    }
    store.delete(&name("pack/0")).await.unwrap();
    assert_eq!(store.put(&name("pack/new"), bytes(100, 1_000_000)).await.unwrap(), PutOutcome::Created);
}

#[tokio::test]
async fn puts_racing_for_the_last_room_leave_nothing_half_done() {
    let disk = Tmpfs::mount("size=8m");
    let store = LocalStore::open(disk.path()).await.unwrap();
    let names: Vec<_> = (0..16).map(|i| name(&format!("pack/{i:02}"))).collect();
    let answers = join_all(names.iter().map(|name| store.put(name, bytes(7, 1_000_000)))).await;
    let listed = store.list("", None, 99).await.unwrap();
    for (name, answer) in names.iter().zip(answers) {
        let listed = listed.iter().find(|object| object.name == *name).map(|object| object.length);
        match answer {
            Ok(_) => assert_eq!(listed, Some(1_000_000)),
            Err(error) => assert_eq!((error.kind(), listed), (ErrorKind::Full, None), "{error:?}"),
        }
    }
    assert!(!listed.is_empty() && listed.len() < 16);
    assert_eq!(leftovers(disk.path()), 0);
}

#[tokio::test]
async fn a_disk_without_inodes_is_full() {
    let disk = Tmpfs::mount("size=8m,nr_inodes=20");
    let store = LocalStore::open(disk.path()).await.unwrap();
    let mut stored = 0;
    // A directory and a file each, so that both run out.
    let error = loop {
        match store.put(&name(&format!("{stored}/object")), Bytes::new()).await {
            Ok(_) => stored += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::Full, "{error:?}");
    assert_eq!(kind(store.put(&name("0/other"), Bytes::new()).await), Some(ErrorKind::Full));
    assert_eq!(kind(store.put(&name("other/object"), Bytes::new()).await), Some(ErrorKind::Full));
    assert_eq!(leftovers(disk.path()), 0);
    store.delete(&name("0/object")).await.unwrap();
    store.delete(&name("1/object")).await.unwrap();
    assert_eq!(store.put(&name("other/object"), Bytes::new()).await.unwrap(), PutOutcome::Created);
}

#[tokio::test]
async fn what_cannot_be_written_can_be_read() {
    let disk = Tmpfs::mount("size=8m");
    {
        let store = LocalStore::open(disk.path()).await.unwrap();
        store.put(&name("a/1"), bytes(1, 100)).await.unwrap();
        // What a killed process leaves cannot be removed there either.
        fs::create_dir(disk.path().join(".tmp/0123456789abcdef")).unwrap();
    }
    let flags = MountFlags::RDONLY | MountFlags::NODEV | MountFlags::NOSUID;
    mount_remount(disk.path(), flags, "").unwrap();
    let store = LocalStore::open(disk.path()).await.unwrap();
    assert_eq!(store.get(&name("a/1"), None).await.unwrap(), bytes(1, 100));
    assert_eq!(store.list("", None, 9).await.unwrap().len(), 1);
    assert_eq!(kind(store.put(&name("a/2"), Bytes::new()).await), Some(ErrorKind::Denied));
    assert_eq!(kind(store.put(&name("b/2"), Bytes::new()).await), Some(ErrorKind::Denied));
    assert_eq!(kind(store.delete(&name("a/1")).await), Some(ErrorKind::Denied));
    assert_eq!(store.get(&name("a/1"), None).await.unwrap(), bytes(1, 100));
}

#[tokio::test]
async fn a_disk_cannot_be_unmounted_under_an_open_store() {
    let disk = Tmpfs::mount("size=8m");
    let store = LocalStore::open(disk.path()).await.unwrap();
    assert_eq!(unmount(disk.path(), UnmountFlags::empty()), Err(rustix::io::Errno::BUSY));
    store.put(&name("a"), Bytes::new()).await.unwrap();
    // By force it goes, and then the empty mount point is not taken for the store.
    unmount(disk.path(), UnmountFlags::DETACH).unwrap();
    assert_eq!(kind(store.list("", None, 9).await), Some(ErrorKind::Unavailable));
    assert_eq!(kind(store.put(&name("b"), Bytes::new()).await), Some(ErrorKind::Unavailable));
    assert_eq!(fs::read_dir(disk.path()).unwrap().count(), 0);
}
