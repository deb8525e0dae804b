//! What reaches the disk, in which order, and what happens when a call fails.

use super::disk::Call::{self, Link, Lock, MakeDirectory, MakeFile, Rename, SyncAll, SyncDirectory, SyncFile, Unlink};
use super::{LocalStore, is_network_file_system};
use crate::{ErrorKind, ObjectName, ObjectStore, PutOutcome, Result};
use bytes::Bytes;
use rustix::io::Errno;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use tempfile::TempDir;

const BYTES: Bytes = Bytes::from_static(b"some bytes");

fn name(name: &str) -> ObjectName {
    ObjectName::new(name).unwrap()
}

fn kind<T>(result: Result<T>) -> Option<ErrorKind> {
    result.err().map(|error| error.kind())
}

async fn store() -> (TempDir, LocalStore) {
    let directory = tempfile::tempdir().unwrap();
    let store = LocalStore::open(directory.path()).await.unwrap();
    (directory, store)
}

/// The calls since the last time, with their paths below the store; those of temporaries without theirs.
fn calls(store: &LocalStore) -> Vec<(Call, String)> {
    let calls = store.inner.writer.disk.watch.take();
    let shown = |path: &Path| {
        let below = path.strip_prefix(store.path()).unwrap().to_str().unwrap().to_owned();
        if below.starts_with(".tmp/") { ".tmp/…".to_owned() } else { below }
    };
    calls.into_iter().map(|(call, path)| (call, shown(&path))).collect()
}

fn expect(store: &LocalStore, expected: &[(Call, &str)]) {
    let calls = calls(store);
    let calls: Vec<(Call, &str)> = calls.iter().map(|(call, path)| (*call, path.as_str())).collect();
    assert_eq!(calls, expected);
}

fn fail(store: &LocalStore, call: Call, errno: Errno) {
    store.inner.writer.disk.watch.fail(call, errno.raw_os_error());
}

fn fail_no_more(store: &LocalStore) {
    store.inner.writer.disk.watch.fail_no_more();
}

/// Files in the directory of temporaries.
fn temporaries(store: &LocalStore) -> usize {
    let Ok(directories) = fs::read_dir(store.path().join(".tmp")) else { return 0 };
    directories.map(|directory| fs::read_dir(directory.unwrap().path()).unwrap().count()).sum()
}

#[tokio::test]
async fn a_put_is_on_the_disk_before_it_is_acknowledged() {
    let (_directory, store) = store().await;
    store.put(&name("a/b/1"), BYTES).await.unwrap();
    expect(
        &store,
        &[
            (MakeDirectory, "a"),
            (SyncDirectory, ""),
            (MakeDirectory, "a/b"),
            (SyncDirectory, "a"),
            (MakeDirectory, ".tmp"),
            (MakeDirectory, ".tmp/…"),
            (Lock, ".tmp/…"),
            (MakeFile, ".tmp/…"),
            (SyncFile, ".tmp/…"),
            (Rename, "a/b/1"),
            (SyncDirectory, "a/b"),
        ],
    );
}

#[tokio::test]
async fn a_further_put_costs_two_syncs() {
    let (_directory, store) = store().await;
    store.put(&name("pack/00/1"), BYTES).await.unwrap();
    calls(&store);
    store.put(&name("pack/00/2"), BYTES).await.unwrap();
    expect(&store, &[(MakeFile, ".tmp/…"), (SyncFile, ".tmp/…"), (Rename, "pack/00/2"), (SyncDirectory, "pack/00")]);
}

#[tokio::test]
async fn directories_found_at_opening_are_synced_once_and_together() {
    let (_directory, store) = store().await;
    for i in 0..20 {
        fs::create_dir_all(store.path().join(format!("pack/{i:02}"))).unwrap();
    }
    for i in 0..20 {
        store.put(&name(&format!("pack/{i:02}/x")), BYTES).await.unwrap();
    }
    let syncs: Vec<_> = calls(&store).into_iter().filter(|(call, _)| *call == SyncDirectory).map(|(_, path)| path).collect();
    let expected = ["".to_owned(), "pack".to_owned()].into_iter().chain((0..20).map(|i| format!("pack/{i:02}")));
    assert_eq!(syncs, expected.collect::<Vec<_>>());
}

#[tokio::test]
async fn what_another_put_stored_is_synced_before_it_counts() {
    let (_directory, store) = store().await;
    store.put(&name("a/1"), BYTES).await.unwrap();
    calls(&store);
    assert_eq!(store.put(&name("a/1"), BYTES).await.unwrap(), PutOutcome::Identical);
    expect(&store, &[(SyncDirectory, "a")]);
    assert_eq!(kind(store.put(&name("a/1"), Bytes::new()).await), Some(ErrorKind::Exists));
    expect(&store, &[(SyncDirectory, "a")]);
}

#[tokio::test]
async fn a_delete_is_on_the_disk_before_it_is_acknowledged() {
    let (_directory, store) = store().await;
    store.put(&name("a/b/1"), BYTES).await.unwrap();
    calls(&store);
    store.delete(&name("a/b/1")).await.unwrap();
    expect(&store, &[(Unlink, "a/b/1"), (SyncDirectory, "a/b")]);
    // It may be absent because a process died between the two.
    store.delete(&name("a/b/1")).await.unwrap();
    expect(&store, &[(SyncDirectory, "a/b")]);
    store.delete(&name("a/c/d/1")).await.unwrap();
    expect(&store, &[(SyncDirectory, "a")]);
}

#[tokio::test]
async fn a_file_system_without_rename_noreplace_gets_links() {
    for errno in [Errno::INVAL, Errno::NOSYS, Errno::NOTSUP] {
        let (_directory, store) = store().await;
        fail(&store, Rename, errno);
        assert_eq!(store.put(&name("a/1"), BYTES).await.unwrap(), PutOutcome::Created);
        let calls = calls(&store);
        let end: Vec<_> = calls[calls.len() - 4..].iter().map(|(call, path)| (*call, path.as_str())).collect();
        assert_eq!(end, [(SyncFile, ".tmp/…"), (Link, "a/1"), (Unlink, ".tmp/…"), (SyncDirectory, "a")]);
        assert_eq!(store.put(&name("a/1"), BYTES).await.unwrap(), PutOutcome::Identical);
        assert_eq!(kind(store.put(&name("a/1"), Bytes::new()).await), Some(ErrorKind::Exists));
        assert_eq!(store.get(&name("a/1"), None).await.unwrap(), BYTES);
        assert_eq!(temporaries(&store), 0);
    }
}

#[tokio::test]
async fn no_way_of_publishing_replaces_a_file() {
    for errno in [None, Some(Errno::INVAL)] {
        let (_directory, store) = store().await;
        if let Some(errno) = errno {
            fail(&store, Rename, errno);
        }
        let (from, to) = (store.path().join("from"), store.path().join("to"));
        fs::write(&from, "new").unwrap();
        fs::write(&to, "old").unwrap();
        let error = store.inner.writer.disk.publish(&from, &to).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::AlreadyExists);
        assert_eq!((fs::read(&from).unwrap(), fs::read(&to).unwrap()), (b"new".to_vec(), b"old".to_vec()));
        fs::remove_file(&to).unwrap();
        store.inner.writer.disk.publish(&from, &to).unwrap();
        assert_eq!(fs::read(&to).unwrap(), b"new");
        assert!(!from.exists());
    }
}

#[tokio::test]
async fn before_the_object_has_its_name_errors_leave_nothing_behind() {
    let causes = [(Errno::NOSPC, ErrorKind::Full), (Errno::DQUOT, ErrorKind::Full), (Errno::IO, ErrorKind::Unavailable)];
    for (errno, expected) in causes {
        for call in [MakeDirectory, MakeFile, SyncFile, Rename] {
            let (_directory, store) = store().await;
            fail(&store, call, errno);
            assert_eq!(kind(store.put(&name("a/1"), BYTES).await), Some(expected), "{call:?}");
            assert_eq!(temporaries(&store), 0, "{call:?}");
            assert_eq!(store.list("", None, 9).await.unwrap(), [], "{call:?}");
            fail_no_more(&store);
            assert_eq!(store.put(&name("a/1"), BYTES).await.unwrap(), PutOutcome::Created, "{call:?}");
        }
    }
}

#[tokio::test]
async fn after_a_failed_sync_of_a_directory_nothing_is_acknowledged() {
    // A full disk too: the object has its name, so "nothing of it is there" would be a lie.
    for errno in [Errno::IO, Errno::NOSPC] {
        let (directory, store) = store().await;
        store.put(&name("a/0"), BYTES).await.unwrap();
        fail(&store, SyncDirectory, errno);
        assert_eq!(kind(store.put(&name("a/1"), BYTES).await), Some(ErrorKind::Unavailable));
        // The kernel reports an error once: that the next sync works proves nothing.
        fail_no_more(&store);
        assert_eq!(kind(store.put(&name("a/1"), BYTES).await), Some(ErrorKind::Unavailable));
        assert_eq!(kind(store.put(&name("b/1"), BYTES).await), Some(ErrorKind::Unavailable));
        assert_eq!(kind(store.delete(&name("a/0")).await), Some(ErrorKind::Unavailable));
        assert_eq!(store.get(&name("a/0"), None).await.unwrap(), BYTES);
        let store = LocalStore::open(directory.path()).await.unwrap();
        assert_eq!(store.put(&name("a/1"), BYTES).await.unwrap(), PutOutcome::Identical);
    }
}

#[tokio::test]
async fn a_failed_sync_after_a_delete_is_an_error() {
    let (_directory, store) = store().await;
    store.put(&name("a/1"), BYTES).await.unwrap();
    fail(&store, SyncDirectory, Errno::IO);
    assert_eq!(kind(store.delete(&name("a/1")).await), Some(ErrorKind::Unavailable));
}

#[tokio::test]
async fn a_failed_sync_of_a_new_directory_is_an_error() {
    for errno in [Errno::IO, Errno::NOSPC] {
        let (_directory, store) = store().await;
        fail(&store, SyncDirectory, errno);
        assert_eq!(kind(store.put(&name("a/1"), BYTES).await), Some(ErrorKind::Unavailable));
        assert_eq!(store.list("", None, 9).await.unwrap(), []);
    }
}

#[tokio::test]
async fn leftovers_of_the_dead_are_removed_after_everything_is_synced() {
    let (directory, living) = store().await;
    living.put(&name("a"), BYTES).await.unwrap();
    let dead = directory.path().join(".tmp/0123456789abcdef");
    fs::create_dir(&dead).unwrap();
    fs::write(dead.join("0"), "half an object").unwrap();
    let strange = directory.path().join(".tmp/strange");
    fs::create_dir(&strange).unwrap();

    let opened = LocalStore::open(directory.path()).await.unwrap();
    expect(&opened, &[(SyncAll, ""), (Unlink, ".tmp/…")]);
    assert!(!dead.exists());
    assert!(strange.exists(), "what nobody of us made stays");
    // The living one still has its place, and nothing to be synced for is left.
    living.put(&name("b"), BYTES).await.unwrap();
    drop(LocalStore::open(directory.path()).await.unwrap());
    assert_eq!(fs::read_dir(directory.path().join(".tmp")).unwrap().count(), 2, "the living one's and the strange one");
    drop(living);
    assert_eq!(fs::read_dir(directory.path().join(".tmp")).unwrap().count(), 1, "a closed store leaves no trace");
}

#[tokio::test]
async fn a_put_survives_the_loss_of_its_temporary_directory() {
    let (directory, store) = store().await;
    store.put(&name("a"), BYTES).await.unwrap();
    fs::remove_dir_all(directory.path().join(".tmp")).unwrap();
    assert_eq!(store.put(&name("b"), BYTES).await.unwrap(), PutOutcome::Created);
}

#[tokio::test]
async fn a_put_survives_the_loss_of_its_temporary_file() {
    let (directory, store) = store().await;
    let temporaries = directory.path().join(".tmp");
    store.inner.writer.disk.watch.interfere(Rename, move || fs::remove_dir_all(temporaries).unwrap());
    assert_eq!(store.put(&name("a"), BYTES).await.unwrap(), PutOutcome::Created);
    assert_eq!(store.get(&name("a"), None).await.unwrap(), BYTES);
}

#[tokio::test]
async fn who_comes_second_within_a_put_compares_with_the_first() {
    for (theirs, expected) in [(BYTES, Ok(PutOutcome::Identical)), (Bytes::new(), Err(ErrorKind::Exists))] {
        let (directory, store) = store().await;
        let path = directory.path().join("a");
        store.inner.writer.disk.watch.interfere(Rename, move || fs::write(path, theirs).unwrap());
        assert_eq!(store.put(&name("a"), BYTES).await.map_err(|error| error.kind()), expected);
        assert_eq!(temporaries(&store), 0);
    }
}

#[tokio::test]
async fn a_clearing_at_the_wrong_moment_does_not_take_a_new_directory_of_temporaries() {
    let (directory, store) = store().await;
    store.put(&name("a"), BYTES).await.unwrap();
    // Another store's directory, made but not locked yet, is taken for a dead one's.
    let path = directory.path().to_owned();
    let second = LocalStore::open(&path).await.unwrap();
    second.inner.writer.disk.watch.interfere(Lock, move || {
        let disk = super::disk::Disk::default();
        super::temporary::clear_leftovers(&disk, &super::root::Root::open(&path).unwrap()).unwrap();
    });
    assert_eq!(second.put(&name("b"), BYTES).await.unwrap(), PutOutcome::Created);
    let made = calls(&second).iter().filter(|call| **call == (MakeDirectory, ".tmp/…".to_owned())).count();
    assert_eq!(made, 2, "the one that was cleared away is made anew");
}

#[tokio::test]
async fn a_put_survives_the_loss_of_a_directory_it_knew() {
    let (directory, store) = store().await;
    store.put(&name("a/b/1"), BYTES).await.unwrap();
    fs::remove_dir_all(directory.path().join("a")).unwrap();
    calls(&store);
    assert_eq!(store.put(&name("a/b/2"), BYTES).await.unwrap(), PutOutcome::Created);
    assert_eq!(store.get(&name("a/b/2"), None).await.unwrap(), BYTES);
    let calls = calls(&store);
    assert!(calls.contains(&(SyncDirectory, "a".to_owned())), "the directory made anew is synced into the one above: {calls:?}");
}

#[tokio::test]
async fn files_and_directories_are_their_owners_only() {
    let directory = tempfile::tempdir().unwrap();
    let store = LocalStore::create(directory.path().join("new/store")).await.unwrap();
    store.put(&name("a/1"), BYTES).await.unwrap();
    let mode = |path: &str| fs::metadata(store.path().join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(".."), mode(""), mode("a"), mode("a/1"), mode(".tmp")), (0o700, 0o700, 0o700, 0o600, 0o700));
}

#[tokio::test]
async fn a_new_store_and_what_is_above_it_are_on_the_disk_before_it_is_used() {
    let directory = tempfile::tempdir().unwrap();
    // The second time too: the first may have died before its syncs.
    for _ in 0..2 {
        let store = LocalStore::create(directory.path().join("a/b")).await.unwrap();
        let above = fs::canonicalize(directory.path()).unwrap();
        let calls = store.inner.writer.disk.watch.take();
        assert_eq!(calls[..2], [(SyncDirectory, above.join("a")), (SyncDirectory, above)]);
        assert!(calls.iter().all(|(call, _)| *call == SyncDirectory));
    }
}

#[tokio::test]
async fn another_directory_in_the_place_of_the_store_is_not_mistaken_for_it() {
    let (directory, store) = {
        let directory = tempfile::tempdir().unwrap();
        let store = LocalStore::create(directory.path().join("store")).await.unwrap();
        (directory, store)
    };
    store.put(&name("a/1"), BYTES).await.unwrap();
    let path = store.path().to_owned();
    fs::rename(&path, directory.path().join("away")).unwrap();
    for replaced in [false, true] {
        if replaced {
            fs::create_dir(&path).unwrap();
        }
        assert_eq!(kind(store.list("", None, 9).await), Some(ErrorKind::Unavailable));
        assert_eq!(kind(store.get(&name("a/1"), None).await), Some(ErrorKind::Unavailable));
        assert_eq!(kind(store.length(&name("a/1")).await), Some(ErrorKind::Unavailable));
        assert_eq!(kind(store.put(&name("a/2"), BYTES).await), Some(ErrorKind::Unavailable));
        assert_eq!(kind(store.delete(&name("a/1")).await), Some(ErrorKind::Unavailable));
    }
    assert_eq!(fs::read_dir(&path).unwrap().count(), 0);
    fs::remove_dir(&path).unwrap();
    fs::rename(directory.path().join("away"), &path).unwrap();
    assert_eq!(store.get(&name("a/1"), None).await.unwrap(), BYTES);
}

#[tokio::test]
async fn what_is_no_regular_file_is_no_object() {
    let (directory, store) = store().await;
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::os::unix::fs::symlink(secret.path(), directory.path().join("link")).unwrap();
    std::os::unix::fs::symlink("nowhere", directory.path().join("dangling")).unwrap();
    std::os::unix::fs::symlink("/", directory.path().join("outside")).unwrap();
    let mode = rustix::fs::Mode::RUSR;
    rustix::fs::mknodat(rustix::fs::CWD, directory.path().join("fifo"), rustix::fs::FileType::Fifo, mode, 0).unwrap();
    fs::create_dir(directory.path().join("directory")).unwrap();
    fs::write(directory.path().join("Not a Name"), "x").unwrap();
    let deep = directory.path().join("directory").join("d".repeat(150));
    fs::create_dir(&deep).unwrap();
    fs::write(deep.join("too-long".repeat(10)), "x").unwrap();
    for odd in ["link", "dangling", "outside", "fifo", "directory"] {
        let odd = name(odd);
        assert_eq!(kind(store.get(&odd, None).await), Some(ErrorKind::NotFound), "{odd}");
        assert_eq!(kind(store.length(&odd).await), Some(ErrorKind::NotFound), "{odd}");
        assert_eq!(kind(store.put(&odd, BYTES).await), Some(ErrorKind::Invalid), "{odd}");
        store.delete(&odd).await.unwrap();
    }
    assert_eq!(kind(store.put(&name("outside/object"), BYTES).await), Some(ErrorKind::Invalid));
    assert_eq!(store.list("", None, 9).await.unwrap(), []);
    assert_eq!(store.list("outside/", None, 9).await.unwrap(), []);
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 6, "nothing was removed");
}

#[tokio::test]
async fn an_object_is_no_directory() {
    let (_directory, store) = store().await;
    store.put(&name("a/b"), BYTES).await.unwrap();
    assert_eq!(kind(store.put(&name("a"), BYTES).await), Some(ErrorKind::Invalid));
    assert_eq!(kind(store.put(&name("a/b/c"), BYTES).await), Some(ErrorKind::Invalid));
    assert_eq!(kind(store.put(&name("a/b/c/d"), BYTES).await), Some(ErrorKind::Invalid));
    assert_eq!(store.get(&name("a/b"), None).await.unwrap(), BYTES);
}

#[tokio::test]
async fn whole_objects_of_more_than_4_gib_are_refused_but_not_their_ranges() {
    let (directory, store) = store().await;
    let file = fs::File::create(directory.path().join("huge")).unwrap();
    file.set_len((4 << 30) + 1).unwrap();
    let huge = name("huge");
    assert_eq!(kind(store.get(&huge, None).await), Some(ErrorKind::Invalid));
    let half = 0..(2u64 << 30) + 1;
    assert_eq!(kind(store.get_ranges(&huge, &[half.clone(), half]).await), Some(ErrorKind::Invalid));
    assert_eq!(store.get(&huge, Some(4 << 30..(4 << 30) + 1)).await.unwrap(), Bytes::from_static(&[0]));
    assert_eq!(store.length(&huge).await.unwrap(), (4 << 30) + 1);
}

#[tokio::test]
async fn a_store_is_opened_where_a_directory_is_and_created_where_none_is() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x/y/z");
    assert_eq!(kind(LocalStore::open(&path).await), Some(ErrorKind::NotFound));
    let store = LocalStore::create(&path).await.unwrap();
    store.put(&name("a"), BYTES).await.unwrap();
    assert_eq!(LocalStore::create(&path).await.unwrap().get(&name("a"), None).await.unwrap(), BYTES);
    assert_eq!(LocalStore::open(&path).await.unwrap().get(&name("a"), None).await.unwrap(), BYTES);
    assert!(LocalStore::open(path.join("a")).await.is_err(), "a file is no store");
    assert!(LocalStore::create(path.join("a")).await.is_err(), "a file is no store");
    assert!(!is_network_file_system(&path).unwrap());
}
