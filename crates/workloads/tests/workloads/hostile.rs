//! Nothing is ever written outside the destination.

use crate::walk::{Ground, ground};
use engine::target::{DirectoryRole, Overwrite, TreeTarget};
use format::page::{EntryKind, Metadata, Owner, Timestamp};
use holdfast_workloads::files::{RestoreOptions, RestoreTarget};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

pub(crate) fn metadata(kind: EntryKind) -> Metadata {
    Metadata {
        kind,
        mode: 0o644,
        user: Owner { id: 4711, name: None },
        group: Owner { id: 4712, name: None },
        modified: Timestamp { seconds: 1_000_000_000, nanoseconds: 5 },
        changed: Timestamp::default(),
        inode: 1,
        names: 1,
        size: 0,
        device: (1, 3),
    }
}

pub(crate) fn target(destination: &Path, overwrite: Overwrite) -> RestoreTarget {
    RestoreTarget::new(RestoreOptions { overwrite, ..RestoreOptions::new(destination) }).unwrap()
}

/// Every way to touch a path; answers those that succeeded.
fn touch(target: &RestoreTarget, path: &[u8]) -> Vec<&'static str> {
    let directory = metadata(EntryKind::Directory);
    let file = metadata(EntryKind::File);
    let ways: [(&'static str, bool); 9] = [
        ("place", target.place(path, &file).is_ok()),
        ("make_directory", target.make_directory(path, DirectoryRole::Restored).is_ok()),
        ("create_file", target.create_file(path, 1).and_then(|file| file.write_at(b"x", 0)).is_ok()),
        ("make_symlink", target.make_symlink(path, b"/etc", &metadata(EntryKind::Symlink), &[]).is_ok()),
        ("make_node", target.make_node(path, &metadata(EntryKind::Fifo), &[]).is_ok()),
        ("make_link to", target.make_link(b"inside", path).is_ok()),
        ("make_link from", target.make_link(path, b"new name").is_ok()),
        ("finish_directory", target.finish_directory(path, &directory, &[]).is_ok()),
        ("holds", target.holds(path, &file).is_ok()),
    ];
    ways.into_iter().filter(|(_, succeeded)| *succeeded).map(|(way, _)| way).collect()
}

/// A destination and a place outside that must stay as it is.
fn stage() -> Ground {
    let ground = ground();
    ground.plant(&["outside/secret", "outside/directory/", "inside/inside"]);
    fs::write(ground.path.join("outside/secret"), "secret").unwrap();
    ground
}

/// Everything about the place outside, times of change included.
fn snapshot(ground: &Ground) -> Vec<String> {
    let mut all = Vec::new();
    for path in ["outside", "outside/secret", "outside/directory"] {
        let full = ground.path.join(path);
        let stat = fs::symlink_metadata(&full).unwrap();
        let content = if stat.is_file() { fs::read(&full).unwrap() } else { Vec::new() };
        let changed = (stat.ctime(), stat.ctime_nsec());
        all.push(format!("{path} {:o} {} {changed:?} {} {content:?}", stat.mode(), stat.uid(), stat.nlink()));
    }
    assert_eq!(fs::read_dir(ground.path.join("outside")).unwrap().count(), 2);
    assert_eq!(fs::read_dir(ground.path.join("outside/directory")).unwrap().count(), 0);
    all
}

#[test]
fn hostile_paths_are_refused_in_every_way() {
    let stage = stage();
    let before = snapshot(&stage);
    let target = target(&stage.path.join("inside"), Overwrite::Always);
    let outside = stage.path.join("outside/secret").to_str().unwrap().to_owned();
    let paths: [&[u8]; 16] = [
        b"",
        b".",
        b"..",
        b"/",
        b"../outside/secret",
        b"x/../../outside/secret",
        b"inside/../../outside",
        b"a//b",
        b"a/",
        b"/a",
        b"a/.",
        b"./a",
        b"a\0b",
        b"\0",
        b"../outside/directory/new",
        outside.as_bytes(),
    ];
    for path in paths {
        assert_eq!(touch(&target, path), Vec::<&str>::new(), "{}", path.escape_ascii());
    }
    assert_eq!(snapshot(&stage), before);
}

#[test]
fn symlinks_in_the_destination_are_not_followed() {
    let stage = stage();
    let inside = stage.path.join("inside");
    fs::create_dir(inside.join("real")).unwrap();
    for (link, to) in [
        ("to directory", "../outside"),
        ("absolute", stage.path.join("outside").to_str().unwrap()),
        ("real/nested", "../../outside"),
        ("to itself", "."),
        ("to real", "real"),
    ] {
        symlink(to, inside.join(link)).unwrap();
    }
    let before = snapshot(&stage);
    for overwrite in [Overwrite::Fail, Overwrite::Never, Overwrite::Older, Overwrite::Always] {
        let target = target(&inside, overwrite);
        for path in [
            "to directory/secret",
            "to directory/new",
            "to directory/directory",
            "absolute/secret",
            "absolute/directory/new",
            "real/nested/secret",
            "to itself/new",
            "to real/new",
        ] {
            assert_eq!(touch(&target, path.as_bytes()), Vec::<&str>::new(), "{path}");
        }
    }
    assert_eq!(snapshot(&stage), before);
}

#[test]
fn a_symlink_in_the_place_of_an_entry_is_replaced_itself() {
    let stage = stage();
    let inside = stage.path.join("inside");
    let before = snapshot(&stage);
    symlink("../outside/secret", inside.join("link")).unwrap();
    symlink("../outside/directory", inside.join("directory")).unwrap();
    let target = target(&inside, Overwrite::Always);
    for path in ["link", "directory"] {
        let path = path.as_bytes();
        assert!(target.make_directory(path, DirectoryRole::Restored).is_err());
        assert!(target.make_directory(path, DirectoryRole::OnTheWay).is_err());
        assert!(target.finish_directory(path, &metadata(EntryKind::Directory), &[]).is_err());
    }
    target.place(b"link", &metadata(EntryKind::File)).unwrap();
    let file = target.create_file(b"link", 3).unwrap();
    file.write_at(b"new", 0).unwrap();
    file.finish(&metadata(EntryKind::File), &[]).unwrap();
    assert!(fs::symlink_metadata(inside.join("link")).unwrap().is_file());
    assert_eq!(snapshot(&stage), before);
}

#[test]
fn a_file_that_somebody_linked_into_the_destination_is_not_written_to() {
    let stage = stage();
    let inside = stage.path.join("inside");
    fs::hard_link(stage.path.join("outside/secret"), inside.join("planted")).unwrap();
    let before = snapshot(&stage);
    let target = target(&inside, Overwrite::Always);
    target.place(b"planted", &metadata(EntryKind::File)).unwrap();
    let file = target.create_file(b"planted", 1).unwrap();
    file.write_at(b"x", 0).unwrap();
    assert_eq!(snapshot(&stage), before);
    // Replacing it leaves the other name alone.
    file.finish(&metadata(EntryKind::File), &[]).unwrap();
    assert_eq!(fs::read(inside.join("planted")).unwrap(), b"x");
    assert_eq!(fs::read(stage.path.join("outside/secret")).unwrap(), b"secret");
}

#[test]
fn a_directory_that_becomes_a_symlink_at_any_moment_leads_nowhere() {
    let stage = stage();
    let inside = stage.path.join("inside");
    fs::create_dir_all(inside.join("swapped/below")).unwrap();
    symlink("../outside", inside.join("other")).unwrap();
    stage.plant(&["outside/below/secret"]);
    let before = fs::symlink_metadata(stage.path.join("outside")).unwrap().ctime_nsec();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                renameat_with(CWD, inside.join("swapped"), CWD, inside.join("other"), RenameFlags::EXCHANGE).unwrap();
            }
        });
        let (mut made, mut refused) = (0, 0);
        let mut round = 0;
        // Until both outcomes were seen often enough that the swap must have hit between any two steps.
        while (made < 2000 || refused < 2000) && round < 200_000 {
            round += 1;
            // A new target each time, which has no directory open.
            let target = target(&inside, Overwrite::Always);
            let path = format!("swapped/{}file {}", ["", "below/"][round % 2], round % 50).into_bytes();
            let wrote = target.place(&path, &metadata(EntryKind::File)).and_then(|_| {
                let file = target.create_file(&path, 1)?;
                file.write_at(b"x", 0)?;
                file.finish(&metadata(EntryKind::File), &[])
            });
            let _ = target.make_directory(b"swapped/below/new", DirectoryRole::Restored);
            let _ = target.finish_directory(b"swapped/below", &metadata(EntryKind::Directory), &[]);
            let _ = target.finish_directory(b"swapped", &metadata(EntryKind::Directory), &[]);
            let _ = target.make_symlink(b"swapped/link", b"x", &metadata(EntryKind::Symlink), &[]);
            drop(target.create_file(b"swapped/secret", 1));
            match wrote {
                Ok(_) => made += 1,
                Err(_) => refused += 1,
            }
        }
        done.store(true, Ordering::Relaxed);
        assert!(made > 100 && refused > 100, "{made} made, {refused} refused: the race was none");
    });
    let outside = stage.path.join("outside");
    assert_eq!(fs::read(outside.join("secret")).unwrap(), b"secret");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 3);
    assert_eq!(fs::read_dir(outside.join("below")).unwrap().count(), 1);
    assert_eq!(fs::read_dir(outside.join("directory")).unwrap().count(), 0);
    assert_eq!(fs::metadata(outside.join("below")).unwrap().uid(), 0);
    let stat = fs::symlink_metadata(&outside).unwrap();
    assert_eq!((stat.uid(), stat.ctime_nsec()), (0, before));
}
