//! What goes in comes out, and every way to ask for less than all of it.

use crate::machine::{Machine, assert_equal, copy, files};
use std::fs;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;
use testkit::Rng;
use workloads::zoo::{self, ZooOptions};

/// Each of these runs on an embedded vault and on a vault service: nobody can tell the difference.
macro_rules! on_both {
    ($($name:ident),* $(,)?) => {
        mod embedded {
            $(#[test] fn $name() { super::$name(&crate::machine::Machine::with_vault()); })*
        }
        mod service {
            $(#[test] fn $name() { super::$name(&crate::machine::Machine::with_service()); })*
        }
    };
}

on_both!(
    the_zoo_comes_out_as_it_went_in,
    a_second_backup_of_the_same_reads_nothing,
    each_point_restores_what_was_there_when_it_was_made,
    a_path_restores_alone_and_leading_directories_come_off,
    files_that_are_there_are_overwritten_only_when_asked,
    a_resumed_restore_keeps_what_is_finished_and_mends_the_rest,
    paths_are_taken_as_they_are_named,
    a_directory_on_the_way_stays_as_it_is,
    the_scope_of_a_point_is_where_its_paths_are_and_not_how_they_are_written,
    points_are_named_by_prefix_or_as_the_latest_of_an_item,
    every_version_of_a_file_is_found_over_many_points,
    points_expire_come_back_and_are_purged,
    a_large_file_comes_out_with_its_holes_anew_and_in_the_place_of_another,
    a_restore_in_place_changes_what_differs_and_nothing_else,
    the_zoo_comes_out_in_place_of_what_was_made_of_it,
);

fn the_zoo_comes_out_as_it_went_in(machine: &Machine) {
    zoo::build(&machine.path("source"), ZooOptions { large_directory: 300, ..ZooOptions::default() }).unwrap();
    let report = machine.ends(3, &["backup", &machine.text("source")]);
    // The socket is said not to be kept, and nothing else is wrong.
    assert_eq!(report["warnings_by_kind"], serde_json::json!({"not_kept": 1}), "{report}");
    let restored = machine.restore("latest", "out");
    assert_equal(&machine.path("source"), &restored);
    fs::write(restored.join("content/one byte"), b"y").unwrap();
    assert!(!zoo::compare(&machine.path("source"), &restored).is_empty(), "the comparison can fail");
}

fn a_second_backup_of_the_same_reads_nothing(machine: &Machine) {
    for number in 0..40 {
        machine.write(&format!("directory {}/file {number}", number % 4), format!("content {number}").repeat(number));
    }
    // What changed within two seconds of its backup is read again by the next one.
    std::thread::sleep(std::time::Duration::from_millis(2100));
    let first = machine.backup("item");
    let second = machine.ok(&["backup", &machine.text("source"), "--item", "item"]);
    assert_eq!(second["bytes_read"], 0, "{second}");
    assert!(second["entries_unchanged"].as_u64().unwrap() >= 40, "{second}");
    // Directories above the source, which others change, are pages of their own.
    assert!(second["bytes_stored"].as_u64().unwrap() < 2000, "{second}");
    assert_ne!(second["point"], first.as_str());
    assert_eq!(second["sequence"], 2);
    machine.assert_restores("latest", &machine.path("source"));
    let again = machine.ok(&["backup", &machine.text("source"), "--item", "item", "--reread"]);
    assert!(again["bytes_read"].as_u64().unwrap() > 0, "{again}");
}

fn each_point_restores_what_was_there_when_it_was_made(machine: &Machine) {
    machine.write("same", "stays");
    machine.write("changed", "before");
    machine.write("removed", "gone later");
    copy(&machine.path("source"), &machine.path("first"));
    let first = machine.backup("item");
    machine.write("changed", "after!");
    machine.write("added/new", "new");
    fs::remove_file(machine.path("source/removed")).unwrap();
    let second = machine.ok(&["backup", &machine.text("source"), "--item", "item"]);
    assert_eq!(second["files"], 3, "{second}");
    machine.assert_restores(&first, &machine.path("first"));
    machine.assert_restores("latest", &machine.path("source"));
    let diff = machine.ok(&["diff", &first, "latest"]);
    assert_eq!((&diff["added"], &diff["removed"]), (&2.into(), &1.into()), "{diff}");
    assert!(diff["changes"].to_string().contains("source/changed"), "{diff}");
    let listed = machine.ok(&["ls", &first, &machine.text("source")]);
    let names: Vec<_> = listed["entries"].as_array().unwrap().iter().map(|entry| entry["path"].to_string()).collect();
    assert_eq!(names.len(), 3, "{listed}");
    assert!(machine.ok(&["check", "--read-data"])["sound"].as_bool().unwrap());
}

fn a_path_restores_alone_and_leading_directories_come_off(machine: &Machine) {
    machine.write("a/one", "1");
    machine.write("b/two", "2");
    machine.backup("item");
    machine.ok(&["restore", "latest", "--path", &machine.text("source/a"), "--to", &machine.text("out")]);
    assert_eq!(fs::read(machine.restored("out").join("a/one")).unwrap(), b"1");
    assert!(!machine.restored("out").join("b").exists());
    let strip = (machine.path("source").components().count() - 1).to_string();
    machine.ok(&["restore", "latest", "--strip", &strip, "--to", &machine.text("flat")]);
    assert_equal(&machine.path("source/b"), &machine.path("flat/b"));
    let missing = machine.ends(1, &["restore", "latest", "--path", "/nowhere", "--to", &machine.text("none")]);
    assert_eq!(missing["not_found"][0]["path"], "nowhere");
}

fn files_that_are_there_are_overwritten_only_when_asked(machine: &Machine) {
    machine.write("file", "from the vault");
    machine.write("beside", "from the vault, too");
    machine.backup("item");
    let to = machine.text("out");
    let there = machine.restore("latest", "out").join("file");
    let restore = |code, policy: &str| machine.ends(code, &["restore", "latest", "--to", &to, "--overwrite", policy]);
    fs::write(&there, "mine").unwrap();
    fs::remove_file(there.with_file_name("beside")).unwrap();
    let report = restore(7, "fail");
    assert_eq!(fs::read(&there).unwrap(), b"mine");
    assert_eq!((&report["in_the_way_count"], &report["files"]), (&1.into(), &1.into()), "the others are restored: {report}");
    assert_eq!(restore(0, "never")["skipped"], 2);
    assert_eq!(fs::read(&there).unwrap(), b"mine");
    // Mine is newer.
    restore(0, "older");
    assert_eq!(fs::read(&there).unwrap(), b"mine");
    fs::File::options().write(true).open(&there).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
    restore(0, "older");
    assert_eq!(fs::read(&there).unwrap(), b"from the vault");
    fs::write(&there, "mine").unwrap();
    restore(0, "always");
    assert_equal(&machine.path("source"), &machine.restored("out"));
}

fn a_resumed_restore_keeps_what_is_finished_and_mends_the_rest(machine: &Machine) {
    for number in 0..20 {
        machine.write(&format!("{number}"), format!("content {number}").repeat(100));
    }
    machine.backup("item");
    let restored = machine.restore("latest", "out");
    fs::write(restored.join("3"), "somebody's").unwrap();
    fs::remove_file(restored.join("7")).unwrap();
    fs::write(restored.join(".holdfast-restore-0123456789abcdef-1"), "half").unwrap();
    let resume = |code, policy: &str| {
        machine.ends(code, &["restore", "latest", "--to", &machine.text("out"), "--resume", "--overwrite", policy])
    };
    let report = resume(7, "fail");
    assert_eq!((&report["resumed"], &report["in_the_way_count"]), (&18.into(), &1.into()), "{report}");
    assert_eq!(resume(0, "never")["skipped"], 1);
    assert_eq!(fs::read(restored.join("3")).unwrap(), b"somebody's", "going on does not mean to overwrite");
    assert_eq!(resume(0, "always")["resumed"], 19);
    assert_equal(&machine.path("source"), &restored);
}

fn the_scope_of_a_point_is_where_its_paths_are_and_not_how_they_are_written(machine: &Machine) {
    machine.write("a/file", "1");
    machine.write("b/file", "2");
    let (a, b) = (machine.text("source/a"), machine.text("source/b"));
    machine.ok(&["backup", &a, &b, "--item", "item"]);
    machine.ok(&["backup", "source/b/", "source/./a", "--item", "item"]);
    let report = machine.ends(3, &["backup", "source/a", "--item", "item"]);
    assert_eq!(report["warnings_by_kind"], serde_json::json!({"scope_changed": 1}), "{report}");
}

fn paths_are_taken_as_they_are_named(machine: &Machine) {
    machine.write("a/one", "1");
    machine.write("a/b/two", "2");
    machine.backup("item");
    let (outer, inner) = (machine.text("source/a"), machine.text("source/a/b"));
    machine.ok(&["restore", "latest", "--path", &outer, "--path", &inner, "--to", &machine.text("both")]);
    let depth = (machine.path("source").components().count() + 1).to_string();
    let report = machine.ends(1, &["restore", "latest", "--path", &outer, "--strip", &depth, "--to", &machine.text("flat")]);
    assert_eq!((&report["failed_count"], &report["files"]), (&1.into(), &1.into()), "nothing is left out in silence: {report}");
}

fn a_directory_on_the_way_stays_as_it_is(machine: &Machine) {
    machine.write("a/one", "1");
    machine.backup("item");
    let directory = machine.restore("latest", "out").join("a");
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o700)).unwrap();
    fs::remove_file(directory.join("one")).unwrap();
    machine.ok(&["restore", "latest", "--path", &machine.text("source/a/one"), "--to", &machine.text("out")]);
    assert!(directory.join("one").exists());
    assert_eq!(fs::metadata(&directory).unwrap().mode() & 0o7777, 0o700);
}

fn points_are_named_by_prefix_or_as_the_latest_of_an_item(machine: &Machine) {
    machine.write("file", "1");
    let first = machine.backup("one");
    let second = machine.backup("two");
    machine.ok(&["ls", &first[..12]]);
    machine.ends(2, &["ls", "latest"]);
    assert_eq!(machine.ok(&["ls", "latest", "--item", "one"])["point"], first.as_str());
    assert_eq!(machine.ok(&["ls", "latest", "--item", "two"])["point"], second.as_str());
    machine.ends(2, &["ls", &first[..3]]);
    let error = machine.ends(1, &["ls", "zzzzzzzz"]);
    assert!(error["error"]["hint"].is_string(), "{error}");
    assert_eq!(machine.run(&["backup", &machine.text("source"), "--item", "Not A Name"]).code, 2);
    let listed = machine.ok(&["points", "--item", "one"]);
    assert_eq!(listed["points"].as_array().unwrap().len(), 1);
}

fn every_version_of_a_file_is_found_over_many_points(machine: &Machine) {
    let mut points = Vec::new();
    for number in 0..5 {
        machine.write("deep/a\nname.txt", format!("version {}", number / 2).repeat(1 + number / 2));
        machine.write("other", number.to_string());
        points.push(machine.backup("item"));
    }
    let found = machine.ok(&["find", "a\nname.*", "--below", &machine.text("source"), "--type", "file"]);
    assert_eq!(found["points"], 5, "{found}");
    let versions = found["versions"].as_array().unwrap();
    let (first, last) = (&versions[0], versions.last().unwrap());
    assert_eq!((first["first_point"].as_str(), last["last_point"].as_str()), (Some(&*points[0]), Some(&*points[4])), "{found}");
    assert_eq!((first["in_newest"].as_bool(), last["in_newest"].as_bool()), (Some(false), Some(true)), "{found}");
    let said = machine.run(&["find", "A*.TXT", "--ignore-case"]);
    assert!(said.code == 0 && said.out.contains("name.txt"), "{}", said.out);
    assert!(!said.out.contains("a\nname"), "a name breaks no line: {}", said.out);
    machine.ends(1, &["find", "nothing-of-that-name"]);
}

fn points_expire_come_back_and_are_purged(machine: &Machine) {
    machine.write("file", "1");
    let (first, second) = (machine.backup("item"), machine.backup("item"));
    machine.ok(&["expire", &first, "--dry-run"]);
    assert_eq!(machine.points().len(), 2);
    machine.ok(&["expire", &first]);
    assert_eq!(machine.points(), [second.as_str()]);
    let hint = machine.run(&["points"]).err;
    assert!(hint.contains("1 soft-deleted point is not listed"), "{hint}");
    assert_eq!(machine.ok(&["points", "--deleted"])["points"].as_array().unwrap().len(), 2);
    machine.ok(&["undelete", &first]);
    assert_eq!(machine.points().len(), 2);
    machine.ends(8, &["expire", &first, "--purge"]);
    assert_eq!(machine.points().len(), 2, "nothing is purged without a yes");
    machine.ok(&["expire", &first, "--purge", "--yes"]);
    machine.ends(1, &["undelete", &first]);
    machine.ok(&["collect"]);
    machine.ok(&["collect"]);
    machine.assert_restores(&second, &machine.path("source"));
}

fn the_zoo_comes_out_in_place_of_what_was_made_of_it(machine: &Machine) {
    zoo::build(&machine.path("source"), ZooOptions { large_directory: 300, ..ZooOptions::default() }).unwrap();
    machine.ends(3, &["backup", &machine.text("source"), "--item", "item"]);
    let restored = machine.restore("latest", "out");
    let changed = files(&restored);
    for path in changed.iter().filter(|path| fs::symlink_metadata(path).unwrap().is_file()) {
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
        let _ = rustix::fs::setxattr(path, "user.foreign", b"value", rustix::fs::XattrFlags::empty());
        let length = fs::metadata(path).unwrap().len();
        let file = fs::File::options().write(true).open(path).unwrap();
        file.set_len(length / 2 + 7).unwrap();
    }
    machine.ok(&["restore", "latest", "--to", &machine.text("out"), "--overwrite", "in-place"]);
    assert_equal(&machine.path("source"), &restored);
}

fn a_restore_in_place_changes_what_differs_and_nothing_else(machine: &Machine) {
    let noise = Rng::new(11).vec(24 << 20);
    machine.write("large", &noise);
    machine.write("same", &noise[..9_000_000]);
    machine.write("sparse", "");
    let sparse = fs::File::options().write(true).open(machine.path("source/sparse")).unwrap();
    sparse.write_all_at(&noise[..1 << 20], 5 << 20).unwrap();
    sparse.set_len(20 << 20).unwrap();
    for number in 0..200 {
        machine.write(&format!("small/{number}"), &noise[number * 1000..number * 1000 + 3000]);
    }
    machine.backup("item");
    let restored = machine.restore("latest", "out");
    let inode = |name: &str| fs::metadata(restored.join(name)).unwrap().ino();
    let names = ["large", "same", "sparse", "small/7", "small/8"];
    let before = names.map(inode);
    let change = |name: &str, at: u64, bytes: &[u8]| {
        fs::File::options().write(true).open(restored.join(name)).unwrap().write_all_at(bytes, at).unwrap();
    };
    change("large", 10 << 20, b"changed");
    change("large", 24 << 20, b"and longer than it was");
    change("sparse", 100, b"where a hole was");
    change("small/7", 10, b"changed");
    fs::File::options().write(true).open(restored.join("small/8")).unwrap().set_len(5).unwrap();
    fs::hard_link(restored.join("small/9"), restored.join("a further name")).unwrap();
    change("small/9", 0, b"of two names");
    fs::remove_file(restored.join("small/10")).unwrap();
    let to = machine.text("out");
    let arguments = ["restore", "latest", "--to", &to, "--overwrite", "in-place"];
    let report = machine.ok(&arguments);
    assert_eq!(names.map(inode), before, "they are the same files");
    assert!(fs::read(restored.join("a further name")).unwrap().starts_with(b"of two names"), "nobody asked for that one");
    fs::remove_file(restored.join("a further name")).unwrap();
    let written = report["bytes_written"].as_u64().unwrap();
    assert!((4096..64 << 10).contains(&written), "{report}");
    assert!(report["bytes_kept"].as_u64().unwrap() > 33 << 20, "{report}");
    assert!(report["bytes_verified"].as_u64().unwrap() < 8 << 20, "what is the same is not fetched: {report}");
    let sparse = fs::metadata(restored.join("sparse")).unwrap();
    assert!(sparse.blocks() * 512 < 2 << 20, "the hole is one again");
    let changed = fs::metadata(restored.join("large")).unwrap().ctime_nsec();
    let again = machine.ok(&arguments);
    assert_eq!((again["bytes_written"].as_u64(), again["bytes_kept"].as_u64() > report["bytes_kept"].as_u64()), (Some(0), true));
    assert_eq!(fs::metadata(restored.join("large")).unwrap().ctime_nsec(), changed, "what is right is not touched");
    assert_equal(&machine.path("source"), &restored);
}

fn a_large_file_comes_out_with_its_holes_anew_and_in_the_place_of_another(machine: &Machine) {
    let noise = Rng::new(7).vec(19 << 20);
    machine.write("small", "beside it");
    machine.write("large", "");
    let file = fs::File::options().write(true).open(machine.path("source/large")).unwrap();
    // data that begins and ends within blocks, between holes and at the end
    for (at, length) in [(13, 9_000_000), (12 << 20, 4096), ((20 << 20) + 1, 9_900_000), ((60 << 20) - 5, 777)] {
        file.write_all_at(&noise[..length], at).unwrap();
    }
    machine.backup("item");
    let restored = machine.restore("latest", "out");
    assert_equal(&machine.path("source"), &restored);
    let used = |path: &Path| {
        fs::File::open(path).unwrap().sync_all().unwrap();
        fs::metadata(path).unwrap().blocks() * 512
    };
    let (before, after) = (used(&machine.path("source/large")), used(&restored.join("large")));
    assert!(after <= before + (256 << 10), "{after} bytes used instead of {before}");
    fs::write(restored.join("large"), &noise).unwrap();
    machine.ok(&["restore", "latest", "--to", &machine.text("out"), "--overwrite", "always"]);
    assert_equal(&machine.path("source"), &restored);
}

#[test]
fn everything_is_backed_up_where_few_files_may_be_open() {
    let machine = Machine::with_vault();
    for number in 0..3000 {
        machine.write(&format!("{}/{number}", number / 200), format!("content of {number}"));
    }
    with_few_open_files(&machine, 96, &["backup", &machine.text("source"), "--item", "item"]);
    machine.assert_restores("latest", &machine.path("source"));
}

#[test]
fn large_files_with_little_in_them_are_restored_where_few_files_may_be_open() {
    const SIZE: u64 = 17 << 20;
    let machine = Machine::with_vault();
    let sparse = |number: u32| (format!("{}/{number}", number / 200), number.to_le_bytes().repeat(1024));
    for number in 0..3000 {
        let (path, content) = sparse(number);
        machine.write(&path, "");
        let file = fs::File::options().write(true).open(machine.path("source").join(path)).unwrap();
        file.set_len(SIZE).unwrap();
        file.write_all_at(&content, 5 << 20).unwrap();
    }
    let whole = |number: u64| (format!("whole/{number}"), Rng::new(number).vec(SIZE as usize));
    (0..20).map(whole).for_each(|(path, content)| machine.write(&path, content));
    // of one blob each, and all of the same
    let alike = |number: u64| (format!("alike/{number}"), vec![0xff; 6 << 20]);
    for (path, content) in (0..60).map(alike) {
        machine.write(&path, content);
        fs::File::options().write(true).open(machine.path("source").join(path)).unwrap().set_len(SIZE).unwrap();
    }
    machine.backup("item");
    with_few_open_files(&machine, 96, &["restore", "latest", "--to", &machine.text("out")]);
    let restored = machine.restored("out");
    for (path, content) in (0..3000).map(sparse) {
        let file = fs::File::open(restored.join(path)).unwrap();
        let mut found = vec![0; content.len()];
        file.read_exact_at(&mut found, 5 << 20).unwrap();
        assert!(found == content && file.metadata().unwrap().len() == SIZE);
    }
    for (path, content) in (0..20).map(whole).chain((0..60).map(alike)) {
        let found = fs::read(restored.join(path)).unwrap();
        assert!(
            found.len() as u64 == SIZE && found.starts_with(&content) && found[content.len()..].iter().all(|byte| *byte == 0)
        );
    }
}

fn with_few_open_files(machine: &Machine, most: u32, arguments: &[&str]) {
    let mut command = Command::new("/bin/sh");
    machine.surround(&mut command);
    let limited = format!("ulimit -n {most} && exec \"$0\" \"$@\"");
    let ended = command.args(["-c", &limited, env!("CARGO_BIN_EXE_holdfast")]).args(arguments).output().unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
}

#[test]
fn nothing_is_restored_into_what_holdfast_itself_lives_in() {
    let machine = Machine::with_vault();
    machine.write("file", "content");
    machine.backup("item");
    std::os::unix::fs::symlink(machine.vault(), machine.path("link")).unwrap();
    let around = machine.path("none/..").join(machine.vault().file_name().unwrap()).join("new");
    let inside = [machine.vault().to_path_buf(), machine.vault().join("objects/new/deeper"), machine.path("link/new"), around];
    for place in inside {
        let error = machine.ends(8, &["restore", "latest", "--to", place.to_str().unwrap()]);
        assert!(error["error"]["message"].as_str().unwrap().ends_with("belongs to Holdfast itself"), "{error}");
    }
    assert!(!machine.vault().join("objects/new").exists() && !machine.path("none").exists());
}

#[test]
fn what_holdfast_lives_in_is_kept_when_the_directory_above_it_is_restored() {
    let machine = Machine::with_vault();
    let (above, name) = (machine.vault().parent().unwrap(), machine.vault().file_name().unwrap().to_str().unwrap());
    machine.write(&format!("{name}/vault.db"), "not a database");
    machine.write("beside", "content");
    machine.backup("item");
    let strip = machine.path("source").components().count() - 1;
    let (strip, to) = (strip.to_string(), above.to_str().unwrap());
    let report = machine.ends(1, &["restore", "latest", "--strip", &strip, "--to", to, "--overwrite", "always"]);
    assert!(report["failed"].to_string().contains("vault.db"), "{report}");
    assert_eq!(fs::read(above.join("beside")).unwrap(), b"content");
    machine.ok(&["check", "--read-data"]);
}
