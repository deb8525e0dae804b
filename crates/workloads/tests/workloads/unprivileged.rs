//! What a user who is not root gets.

use crate::copy::{copy, file_set, walk};
use crate::round_trip::below;
use crate::walk::ground;
use engine::source::{TreeSource, WalkEvent, WarningKind};
use holdfast_workloads::files::FileSet;
use holdfast_workloads::zoo::{self, ZooOptions};
use rustix::process::{Gid, Uid};
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;

const NOBODY: u32 = 65_534;

/// Runs something as nobody, in a thread of its own whose children are nobody's too.
fn as_nobody<T: Send>(act: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let (user, group) = (Uid::from_raw(NOBODY), Gid::from_raw(NOBODY));
            rustix::thread::set_thread_groups(&[]).unwrap();
            rustix::thread::set_thread_res_gid(group, group, group).unwrap();
            rustix::thread::set_thread_res_uid(user, user, user).unwrap();
            act()
        });
        thread.join().unwrap()
    })
}

fn open_to_all(path: &Path) {
    fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
}

#[test]
fn a_user_gets_all_of_what_is_the_users() {
    let (source, destination) = (ground(), ground());
    for ground in [&source, &destination] {
        chown(&ground.path, Some(NOBODY), Some(NOBODY)).unwrap();
    }
    let root = source.path.join("zoo");
    let (skipped, copied) = as_nobody(|| {
        fs::create_dir(&root).unwrap();
        let skipped = zoo::build(&root, ZooOptions { large_directory: 20, ..ZooOptions::default() }).unwrap();
        // What one may not read oneself is another test.
        for closed in ["locked", "modes/00000", "modes/nobody's", "modes/largest"] {
            fs::set_permissions(root.join(closed), PermissionsExt::from_mode(0o700)).unwrap();
        }
        (skipped, copy(file_set(&[&root]), &destination.path))
    });
    assert!(skipped.iter().any(|what| what.starts_with("trusted.secret")), "{skipped:?}");
    // The way to the root belongs to root.
    let shortfalls: Vec<_> = copied.shortfalls.iter().map(|(path, shortfall)| (path.len(), shortfall.what.as_str())).collect();
    assert!(shortfalls.iter().all(|(length, what)| *length < 10 && *what == "owner"), "{shortfalls:?}");
    assert_eq!(zoo::compare(&root, &below(&destination.path, &root)), Vec::<String>::new());
}

#[test]
fn what_a_user_may_not_read_is_a_warning_and_its_entry_stays() {
    let ground = ground();
    ground.plant(&["closed/file", "list only/file", "secret", "open/file"]);
    open_to_all(&ground.path);
    let set_mode = |path: &str, mode| fs::set_permissions(ground.path.join(path), PermissionsExt::from_mode(mode)).unwrap();
    set_mode("closed", 0o700);
    set_mode("list only", 0o744);
    set_mode("secret", 0o600);
    let walked = as_nobody(|| walk(file_set(&[&ground.path])));
    let end =
        |path: &[u8]| String::from_utf8_lossy(path).rsplit_once("/.tmp").unwrap().1.split_once('/').map(|path| path.1.to_owned());
    let entries: Vec<_> = walked.entries.iter().filter(|(path, _)| path.len() > 4).filter_map(|(path, _)| end(path)).collect();
    assert_eq!(entries, ["closed", "list only", "open", "secret", "open/file"]);
    let warnings: Vec<_> = walked.warnings.iter().map(|warning| (end(&warning.path).unwrap(), warning.kind)).collect();
    let expected = [("closed", WarningKind::Unreadable), ("list only/file", WarningKind::Unreadable)];
    assert_eq!(warnings, expected.map(|(path, kind)| (path.to_owned(), kind)));

    as_nobody(|| {
        for event in FileSet::new(file_set(&[&ground.path])).unwrap().walk().unwrap() {
            let WalkEvent::Batch(batch) = event.unwrap() else { continue };
            if batch.entries.iter().any(|entry| entry.name == b"secret") {
                assert_eq!(batch.directory.open(b"secret").err().unwrap().kind(), ErrorKind::PermissionDenied);
            }
            if batch.path.ends_with(b"/open") {
                // Somebody else's file, whose access time one may not leave alone.
                let mut content = [0; 20];
                assert_eq!(batch.directory.open(b"file").unwrap().read_at(&mut content, 0).unwrap(), 9);
            }
        }
    });
}

#[test]
fn without_root_owners_are_reported_and_set_id_bits_fall() {
    let (source, destination) = (ground(), ground());
    source.plant(&["tool", "plain"]);
    open_to_all(&source.path);
    for (name, mode) in [("tool", 0o6755), ("plain", 0o644)] {
        fs::set_permissions(source.path.join(name), PermissionsExt::from_mode(mode)).unwrap();
    }
    chown(&destination.path, Some(NOBODY), Some(NOBODY)).unwrap();
    let copied = as_nobody(|| copy(file_set(&[&source.path]), &destination.path));
    let of = |end: &str| -> Vec<String> {
        let shortfalls = copied.shortfalls.iter().filter(|(path, _)| path.ends_with(end.as_bytes()));
        shortfalls.map(|(_, shortfall)| shortfall.what.clone()).collect()
    };
    assert_eq!(of("/tool"), ["owner", "mode"]);
    assert_eq!(of("/plain"), ["owner"]);
    let stat = fs::metadata(below(&destination.path, &source.path).join("tool")).unwrap();
    assert_eq!((stat.mode() & 0o7777, stat.uid()), (0o755, NOBODY));
}
