//! How a target treats what is there, owners, sizes and what entries would inherit.

use crate::copy::{copy, copy_to, file_set};
use crate::hostile::{metadata, target};
use crate::round_trip::below;
use crate::walk::{MEMORY, ground, ground_in};
use engine::target::{DirectoryRole, Overwrite, Placement, TargetFile, TreeTarget};
use format::page::{Attribute, EntryKind, Metadata, Owner, Timestamp};
use holdfast_workloads::files::{RestoreOptions, RestoreTarget};
use holdfast_workloads::zoo::{self, ZooOptions};
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::slice;
use std::time::{Duration, UNIX_EPOCH};
use testkit::SmallDisk;

fn write(file: &dyn TargetFile, content: &[u8], metadata: &Metadata) {
    file.write_at(content, 0).unwrap();
    assert_eq!(file.finish(metadata, &[]).unwrap(), []);
}

#[test]
fn what_is_there_is_treated_as_asked() {
    let (older, equal, newer) = (999_999_999, 1_000_000_000, 1_000_000_001);
    for (overwrite, there, expected) in [
        (Overwrite::Fail, older, Placement::Conflict),
        (Overwrite::Never, older, Placement::Skip),
        (Overwrite::Older, older, Placement::Write),
        (Overwrite::Older, equal, Placement::Skip),
        (Overwrite::Older, newer, Placement::Skip),
        (Overwrite::Always, newer, Placement::Write),
    ] {
        let ground = ground();
        ground.plant(&["there"]);
        let file = fs::File::options().append(true).open(ground.path.join("there")).unwrap();
        file.set_modified(UNIX_EPOCH + Duration::new(there, 5)).unwrap();
        let target = target(&ground.path, overwrite);
        let placed = target.place(b"there", &metadata(EntryKind::File)).unwrap();
        assert_eq!(placed, expected, "{overwrite:?} {there}");
        assert!(ground.path.join("there").exists(), "nothing is removed before there is something better");
        assert_eq!(target.place(b"new", &metadata(EntryKind::File)).unwrap(), Placement::Write);
    }
}

#[test]
fn a_directory_in_the_way_and_one_that_is_needed_are_errors() {
    for overwrite in [Overwrite::Fail, Overwrite::Never, Overwrite::Older, Overwrite::Always] {
        let ground = ground();
        ground.plant(&["directory/file", "file"]);
        let target = target(&ground.path, overwrite);
        let error = target.place(b"directory", &metadata(EntryKind::File)).unwrap_err();
        assert_eq!(error.to_string(), "a directory is in its way");
        let error = target.make_directory(b"file", DirectoryRole::Restored).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotADirectory);
        assert!(target.create_file(b"file/below", 1).is_err());
        target.make_directory(b"directory", DirectoryRole::Restored).unwrap();
        assert!(ground.path.join("directory/file").exists());
        let file = target.create_file(b"directory", 0).unwrap();
        assert!(file.finish(&metadata(EntryKind::File), &[]).is_err());
        drop(file);
        assert_eq!(names(&ground.path), ["directory", "file"]);
    }
}

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn what_is_replaced_stays_until_the_new_one_is_whole() {
    for there in ["file", "link", "fifo"] {
        let ground = ground();
        fs::write(ground.path.join(there), "the old one").unwrap();
        let target = target(&ground.path, Overwrite::Always);
        let kind = match there {
            "file" => EntryKind::File,
            "link" => EntryKind::Symlink,
            _ => EntryKind::Fifo,
        };
        let (path, entry) = (there.as_bytes(), metadata(kind));
        assert_eq!(target.place(path, &entry).unwrap(), Placement::Write);
        if kind == EntryKind::File {
            let file = target.create_file(path, 3).unwrap();
            file.write_at(b"new", 0).unwrap();
            drop(file);
            assert_eq!(fs::read(ground.path.join(there)).unwrap(), b"the old one", "an unfinished one is dropped");
            write(&*target.create_file(path, 3).unwrap(), b"new", &entry);
            assert_eq!(fs::read(ground.path.join(there)).unwrap(), b"new");
        } else if kind == EntryKind::Symlink {
            target.make_symlink(path, b"to", &entry, &[]).unwrap();
        } else {
            target.make_node(path, &entry, &[]).unwrap();
        }
        assert!(target.holds(path, &Metadata { size: if kind == EntryKind::File { 3 } else { 2 }, ..entry }).unwrap());
        assert_eq!(names(&ground.path), [there], "nothing temporary is left");
    }
}

#[test]
fn what_came_meanwhile_is_not_replaced_unless_asked() {
    for overwrite in [Overwrite::Fail, Overwrite::Never] {
        let ground = ground();
        let target = target(&ground.path, overwrite);
        assert_eq!(target.place(b"file", &metadata(EntryKind::File)).unwrap(), Placement::Write);
        let file = target.create_file(b"file", 1).unwrap();
        file.write_at(b"x", 0).unwrap();
        ground.plant(&["file"]);
        let error = file.finish(&metadata(EntryKind::File), &[]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyExists);
        drop(file);
        assert_eq!(fs::read(ground.path.join("file")).unwrap(), b"file", "what came meanwhile is there");
        assert_eq!(names(&ground.path), ["file"]);
    }
}

#[test]
fn a_further_name_replaces_what_has_it_even_if_it_is_the_same_file() {
    let ground = ground();
    ground.plant(&["first", "other"]);
    fs::hard_link(ground.path.join("first"), ground.path.join("second")).unwrap();
    let target = target(&ground.path, Overwrite::Always);
    target.make_link(b"first", b"second").unwrap();
    target.make_link(b"first", b"other").unwrap();
    assert_eq!(fs::metadata(ground.path.join("first")).unwrap().nlink(), 3);
    assert_eq!(names(&ground.path), ["first", "other", "second"]);
}

#[test]
fn a_directory_that_was_there_keeps_what_belongs_to_it_unless_it_is_to_be_replaced() {
    let options = |overwrite, resume, path: &Path| RestoreOptions { overwrite, resume, ..RestoreOptions::new(path) };
    let (restored, on_the_way) = (DirectoryRole::Restored, DirectoryRole::OnTheWay);
    for (overwrite, resume, mode, role, expected) in [
        (Overwrite::Fail, false, 0o755, restored, false),
        (Overwrite::Never, false, 0o755, restored, false),
        (Overwrite::Older, false, 0o700, restored, false),
        (Overwrite::Always, false, 0o755, restored, true),
        (Overwrite::Always, false, 0o755, on_the_way, false),
        (Overwrite::Fail, true, 0o755, restored, false),
        (Overwrite::Fail, true, 0o700, restored, true),
        (Overwrite::Fail, true, 0o700, on_the_way, true),
    ] {
        let ground = ground();
        ground.plant(&["there/"]);
        fs::set_permissions(ground.path.join("there"), PermissionsExt::from_mode(mode)).unwrap();
        let target = RestoreTarget::new(options(overwrite, resume, &ground.path)).unwrap();
        assert_eq!(target.make_directory(b"there", role).unwrap(), expected, "{overwrite:?} {resume} {mode:o} {role:?}");
        assert!(target.make_directory(b"new", role).unwrap(), "what is made is finished");
    }
}

#[test]
fn a_restore_that_goes_on_removes_what_was_left_unfinished() {
    let ground = ground();
    ground.plant(&["directory/"]);
    for directory in ["", "directory/"] {
        for name in [".holdfast-restore-0011223344556677-5", ".holdfast-mine", "file"] {
            fs::write(ground.path.join(format!("{directory}{name}")), "x").unwrap();
        }
    }
    ground.plant(&[".holdfast-restore-0011223344556677-6/", ".holdfast-restore-0011223344556677-6/place/"]);
    let before = names(&ground.path.join("directory"));
    target(&ground.path, Overwrite::Always).make_directory(b"directory", DirectoryRole::Restored).unwrap();
    assert_eq!(names(&ground.path.join("directory")), before, "perhaps another restore is at work");
    let target = RestoreTarget::new(RestoreOptions { resume: true, ..RestoreOptions::new(&ground.path) }).unwrap();
    let file = target.create_file(b"directory/new", 1).unwrap();
    target.make_directory(b"directory", DirectoryRole::Restored).unwrap();
    write(&*file, b"x", &metadata(EntryKind::File));
    assert_eq!(names(&ground.path.join("directory")), [".holdfast-mine", "file", "new"]);
    assert_eq!(names(&ground.path), [".holdfast-mine", "directory", "file"]);
}

#[test]
fn owners_are_found_by_name_first() {
    let ground = ground();
    let owner = |name: Option<&str>| Owner { id: 54_321, name: name.map(|name| name.as_bytes().into()) };
    for (numeric_owner, name, expected) in
        [(false, Some("daemon"), 1), (true, Some("daemon"), 54_321), (false, Some("nobody knows"), 54_321), (false, None, 54_321)]
    {
        let options = RestoreOptions { numeric_owner, overwrite: Overwrite::Always, ..RestoreOptions::new(&ground.path) };
        let target = RestoreTarget::new(options).unwrap();
        let entry = Metadata { user: owner(name), group: owner(name), mode: 0o4711, ..metadata(EntryKind::File) };
        target.place(b"file", &entry).unwrap();
        write(&*target.create_file(b"file", 1).unwrap(), b"x", &entry);
        let stat = fs::metadata(ground.path.join("file")).unwrap();
        assert_eq!((stat.uid(), stat.gid(), stat.mode() & 0o7777), (expected, expected, 0o4711));
    }
}

#[test]
fn until_it_is_finished_an_entry_is_its_owners_alone() {
    let ground = ground();
    let target = target(&ground.path, Overwrite::Fail);
    target.make_directory(b"directory", DirectoryRole::Restored).unwrap();
    let file = target.create_file(b"directory/file", 10).unwrap();
    let mode = |path: &str| fs::metadata(ground.path.join(path)).unwrap().mode() & 0o7777;
    let [temporary] = names(&ground.path.join("directory")).try_into().unwrap();
    assert_eq!((mode("directory"), mode(&format!("directory/{temporary}"))), (0o700, 0o600));
    assert!(!target.holds(b"directory/file", &Metadata { size: 10, ..metadata(EntryKind::File) }).unwrap());
    write(&*file, b"0123456789", &metadata(EntryKind::File));
    assert_eq!(mode("directory/file"), 0o644);
    assert!(target.holds(b"directory/file", &Metadata { size: 10, ..metadata(EntryKind::File) }).unwrap());
    assert!(!target.holds(b"directory/file", &Metadata { size: 11, ..metadata(EntryKind::File) }).unwrap());
    assert!(!target.holds(b"directory/file", &Metadata { size: 10, ..metadata(EntryKind::Fifo) }).unwrap());
    assert!(!target.holds(b"directory/other", &metadata(EntryKind::File)).unwrap());
}

#[test]
fn a_file_gets_its_size_however_it_is_written() {
    let ground = ground();
    let target = target(&ground.path, Overwrite::Fail);
    for size in [0, 1, 5000, 1 << 20, (1 << 20) + 1, 5 << 20] {
        let size_of = |name: &str| fs::metadata(ground.path.join(name)).unwrap().len();
        let name = |kind: &str| format!("{kind} {size}");
        // All hole.
        let file = target.create_file(name("hole").as_bytes(), size).unwrap();
        file.finish(&metadata(EntryKind::File), &[]).unwrap();
        assert_eq!(size_of(&name("hole")), size);
        // One end is written, then perhaps the other.
        for (early, both) in [(true, true), (false, true), (true, false), (false, false)] {
            if size < 2 {
                continue;
            }
            let name = name(&format!("{early} {both}"));
            let file = target.create_file(name.as_bytes(), size).unwrap();
            file.write_at(b"a", if early { size - 1 } else { 0 }).unwrap();
            if both {
                file.write_at(b"b", if early { 0 } else { size - 1 }).unwrap();
            }
            file.finish(&metadata(EntryKind::File), &[]).unwrap();
            drop(file);
            assert_eq!(size_of(&name), size);
            let content = fs::read(ground.path.join(&name)).unwrap();
            let other = if both { b'b' } else { 0 };
            let ends = (content[0], content[size as usize - 1]);
            assert_eq!(ends, if early { (other, b'a') } else { (b'a', other) });
            assert!(content[1..size as usize - 1].iter().all(|byte| *byte == 0));
            let stat = fs::metadata(ground.path.join(&name)).unwrap();
            assert_eq!((stat.mtime(), stat.mtime_nsec()), (1_000_000_000, 5));
        }
    }
}

#[test]
fn nothing_is_inherited_from_the_destination() {
    let (source, destination) = (ground(), ground());
    zoo::build(&source.path, ZooOptions { deep: false, large_directory: 10, socket: false }).unwrap();
    // A default ACL and the set-group-id bit are inherited by everything that is made below.
    let status = std::process::Command::new("chmod").arg("2777").arg(&destination.path).status().unwrap();
    assert!(status.success());
    std::os::unix::fs::chown(&destination.path, None, Some(4711)).unwrap();
    let acl = [
        2_u32.to_le_bytes().to_vec(),
        [1_u16, 7, 0xffff, 0xffff, 2, 7, 1, 0, 4, 7, 0xffff, 0xffff, 16, 7, 0xffff, 0xffff, 32, 7, 0xffff, 0xffff]
            .iter()
            .flat_map(|word| word.to_le_bytes())
            .collect(),
    ]
    .concat();
    rustix::fs::setxattr(&destination.path, c"system.posix_acl_default", &acl, rustix::fs::XattrFlags::empty()).unwrap();
    fs::create_dir(destination.path.join("probe")).unwrap();
    assert!(rustix::fs::getxattr_query(destination.path.join("probe"), c"system.posix_acl_access").is_ok());

    let copied = copy(file_set(&[&source.path]), &destination.path);
    assert_eq!(copied.shortfalls, []);
    assert_eq!(zoo::compare(&source.path, &below(&destination.path, &source.path)), Vec::<String>::new());
}

#[test]
fn a_second_restore_over_the_first_brings_back_what_was_changed() {
    let (source, destination) = (ground(), ground());
    zoo::build(&source.path, ZooOptions { deep: true, large_directory: 10, socket: false }).unwrap();
    copy(file_set(&[&source.path]), &destination.path);
    let restored = below(&destination.path, &source.path);
    fs::set_permissions(restored.join("content"), PermissionsExt::from_mode(0o777)).unwrap();
    fs::write(restored.join("content/text"), "overwritten").unwrap();
    fs::remove_file(restored.join("links/to a file")).unwrap();
    symlink("/etc", restored.join("links/to a file")).unwrap();
    assert_ne!(zoo::compare(&source.path, &restored), Vec::<String>::new());
    let copied = copy_to(file_set(&[&source.path]), &target(&destination.path, Overwrite::Always));
    assert_eq!(copied.shortfalls, []);
    assert_eq!(zoo::compare(&source.path, &restored), Vec::<String>::new());
}

#[test]
fn what_cannot_be_set_is_said() {
    let ground = ground();
    let target = target(&ground.path, Overwrite::Fail);
    let file = target.create_file(b"file", 0).unwrap();
    let attributes = [
        Attribute { name: b"no name space".to_vec(), value: b"x".to_vec() },
        Attribute { name: b"user.fine".to_vec(), value: b"x".to_vec() },
        Attribute { name: b"system.posix_acl_access".to_vec(), value: b"no ACL".to_vec() },
    ];
    let shortfalls = file.finish(&metadata(EntryKind::File), &attributes).unwrap();
    let what: Vec<_> = shortfalls.iter().map(|shortfall| shortfall.what.as_str()).collect();
    assert_eq!(what, ["attribute no name space", "attribute system.posix_acl_access"]);
    assert!(rustix::fs::getxattr_query(ground.path.join("file"), c"user.fine").is_ok());
    let stat = fs::metadata(ground.path.join("file")).unwrap();
    assert_eq!((stat.mtime(), stat.uid()), (1_000_000_000, 4711));
}

#[test]
fn links_and_nodes_that_cannot_be_made_are_errors() {
    let ground = ground();
    ground.plant(&["directory/", "file"]);
    let target = target(&ground.path, Overwrite::Fail);
    assert!(target.make_link(b"missing", b"new").is_err());
    assert!(target.make_link(b"directory", b"new").is_err());
    assert!(target.make_link(b"file", b"directory").is_err());
    assert!(target.make_node(b"new", &metadata(EntryKind::File), &[]).is_err());
    let early = Metadata { modified: Timestamp { seconds: -5, nanoseconds: 7 }, ..metadata(EntryKind::CharacterDevice) };
    assert_eq!(target.make_node(b"device", &early, &[]).unwrap(), []);
    let stat = fs::symlink_metadata(ground.path.join("device")).unwrap();
    assert_eq!((stat.mtime(), stat.mtime_nsec(), stat.rdev(), stat.uid()), (-5, 7, rustix::fs::makedev(1, 3), 4711));
}

#[test]
fn many_directories_are_restored_with_few_open_files() {
    let ground = ground_in(MEMORY);
    let target = target(&ground.path, Overwrite::Fail);
    for n in 0..6000 {
        let directory = format!("{n}");
        target.make_directory(directory.as_bytes(), DirectoryRole::Restored).unwrap();
        let file = target.create_file(format!("{directory}/file").as_bytes(), 1).unwrap();
        write(&*file, b"x", &metadata(EntryKind::File));
    }
    let open = fs::read_dir("/proc/self/fd").unwrap().count();
    assert!(open < 4200, "{open} open files");
}

#[test]
fn what_is_longer_than_its_file_is_refused() {
    let ground = ground();
    let target = target(&ground.path, Overwrite::Fail);
    let file = target.create_file(b"file", 20 << 20).unwrap();
    for end in [(20 << 20) + 1, u64::MAX] {
        assert_eq!(file.reserve(&[0..4096, 4096..end]).unwrap_err().kind(), ErrorKind::InvalidInput);
    }
    for offset in [(20 << 20) - 6, u64::MAX - 2] {
        assert_eq!(file.write_at(b"content", offset).unwrap_err().kind(), ErrorKind::InvalidInput);
    }
    file.write_at(b"content", (20 << 20) - 7).unwrap();
}

#[test]
fn a_large_file_that_finds_the_disk_full_in_the_middle_or_at_the_end_says_so_and_is_gone() {
    let ground = ground();
    let Some(disk) = SmallDisk::mount_ext4(ground.path.join("disk"), 32 << 10) else { return };
    let target = target(disk.path(), Overwrite::Fail);
    let left = || fs::read_dir(disk.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>();
    let before = left();
    let file = target.create_file(b"large", 64 << 20).unwrap();
    // without room for the rest
    file.reserve(slice::from_ref(&(0..4096))).unwrap();
    let noise = vec![7; 1 << 20];
    let full = (0..64).find_map(|mebibyte| file.write_at(&noise, mebibyte << 20).err());
    assert_eq!(full.unwrap().kind(), ErrorKind::StorageFull);
    drop(file);
    assert_eq!(left(), before);

    let file = target.create_file(b"large", 64 << 20).unwrap();
    file.reserve(slice::from_ref(&(0..4096))).unwrap();
    for mebibyte in 0..10u64 {
        file.write_at(&noise[..5], (mebibyte << 20) + 5000).unwrap();
    }
    disk.fill_but(0);
    let full = file.finish(&metadata(EntryKind::File), &[]).unwrap_err();
    assert_eq!(full.kind(), ErrorKind::StorageFull);
    drop(file);
    disk.make_room();
    assert_eq!(left(), before);
}

fn in_place(destination: &Path) -> RestoreTarget {
    let options = RestoreOptions { overwrite: Overwrite::Always, in_place: true, ..RestoreOptions::new(destination) };
    RestoreTarget::new(options).unwrap()
}

/// As the files here are owned.
fn own(size: u64) -> Metadata {
    let id = |id: u32| Owner { id, name: None };
    let (user, group) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    Metadata { size, user: id(user), group: id(group), ..metadata(EntryKind::File) }
}

#[test]
fn a_file_that_is_changed_in_place_is_its_owners_alone_until_it_is_done_and_known_as_unfinished() {
    let ground = ground();
    let path = ground.path.join("file");
    let (target, wanted) = (in_place(&ground.path), own(20_000));
    fs::write(&path, vec![1; 20_000]).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    // as if it was done already
    fs::File::options().write(true).open(&path).unwrap().set_modified(UNIX_EPOCH + Duration::new(1_000_000_000, 5)).unwrap();
    let now = fs::metadata(&path).unwrap();
    let file = target.change_file(b"file", &wanted, &[]).unwrap().unwrap();
    assert!(target.change_file(b"file", &wanted, &[]).unwrap().is_none(), "two entries must not both change one file");
    file.write_at(&[1; 10_000], 0).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().ctime_nsec(), now.ctime_nsec(), "nothing is changed yet");
    file.write_at(&[2; 5_000], 10_000).unwrap();
    let under_way = fs::metadata(&path).unwrap();
    assert_eq!(under_way.mode() & 0o7777, 0o600);
    assert_ne!(under_way.mtime(), wanted.modified.seconds);
    assert_eq!(target.bytes_kept(), 10_000);
    drop(file);
    let going_on = RestoreOptions { overwrite: Overwrite::Always, resume: true, ..RestoreOptions::new(&ground.path) };
    assert!(!RestoreTarget::new(going_on).unwrap().holds(b"file", &wanted).unwrap(), "it is not taken for done");
    let file = target.change_file(b"file", &wanted, &[]).unwrap().unwrap();
    file.write_at(&[2; 5_000], 10_000).unwrap();
    assert_eq!(file.finish(&wanted, &[]).unwrap(), []);
    drop(file);
    let mut content = vec![0; 20_000];
    content[10_000..15_000].fill(2);
    assert!(fs::read(&path).unwrap() == content, "what was not written is a hole");
    let done = fs::metadata(&path).unwrap();
    assert_eq!((done.ino(), done.mode() & 0o7777, done.mtime()), (now.ino(), 0o644, wanted.modified.seconds));
    let file = target.change_file(b"file", &wanted, &[]).unwrap().unwrap();
    file.write_at(&[2; 5_000], 10_000).unwrap();
    assert_eq!(file.finish(&wanted, &[]).unwrap(), []);
    let again = fs::metadata(&path).unwrap();
    assert_eq!((again.ctime(), again.ctime_nsec()), (done.ctime(), done.ctime_nsec()), "what is right is not touched");
}

#[test]
fn a_file_that_somebody_else_may_have_open_or_run_is_replaced_and_not_changed_in_place() {
    let ground = ground();
    let at = |name: &str| ground.path.join(name);
    ground.plant(&["file", "linked", "directory/file", "theirs", "open to all", "with an attribute"]);
    fs::hard_link(at("linked"), at("further name")).unwrap();
    symlink(at("file"), at("symlink")).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, at("fifo"), rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0).unwrap();
    fs::copy("/bin/sleep", at("program")).unwrap();
    fs::copy("/bin/sleep", at("library")).unwrap();
    fs::set_permissions(at("library"), fs::Permissions::from_mode(0o644)).unwrap();
    fs::set_permissions(at("open to all"), fs::Permissions::from_mode(0o666)).unwrap();
    std::os::unix::fs::chown(at("theirs"), None, Some(4711)).unwrap();
    let target = in_place(&ground.path);
    let changed = |name: &str, wanted: &Metadata| target.change_file(name.as_bytes(), wanted, &[]).unwrap().is_some();
    assert!(changed("file", &own(3)) && changed("directory/file", &own(3)));
    for name in ["linked", "symlink", "fifo", "directory", "nothing", "program", "library", "open to all", "theirs"] {
        assert!(!changed(name, &own(3)), "{name}");
    }
    let others = [
        Metadata { user: Owner { id: 4711, name: None }, ..own(3) },
        Metadata { mode: 0o600, ..own(3) },
        Metadata { mode: 0o4644, ..own(3) },
    ];
    for wanted in others {
        assert!(!changed("file", &wanted), "{wanted:?}");
    }
    let capability = Attribute { name: b"security.capability".to_vec(), value: vec![1] };
    assert!(target.change_file(b"file", &own(3), &[capability]).unwrap().is_none());
    let plain = RestoreTarget::new(RestoreOptions { in_place: true, ..RestoreOptions::new(&ground.path) }).unwrap();
    assert!(
        !plain.changes_in_place() && plain.change_file(b"file", &own(3), &[]).unwrap().is_none(),
        "only where all is overwritten"
    );
}

#[test]
fn a_file_whose_name_leads_elsewhere_once_it_is_changed_is_not_restored() {
    let ground = ground();
    ground.plant(&["file", "other"]);
    let target = in_place(&ground.path);
    let file = target.change_file(b"file", &own(7), &[]).unwrap().unwrap();
    file.write_at(b"content", 0).unwrap();
    fs::rename(ground.path.join("other"), ground.path.join("file")).unwrap();
    assert!(file.finish(&own(7), &[]).unwrap_err().to_string().contains("somebody"));
}
