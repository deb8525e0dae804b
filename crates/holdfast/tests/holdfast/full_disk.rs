//! A disk that is full in the middle of anything: a clear error, nothing lost, and on it goes once there is room.
//!
//! Needs to mount a tmpfs; where that is not allowed, the tests say so and end.

use crate::machine::{Machine, assert_equal};
use crate::service_process::ServiceProcess;
use crate::threat_model::change_row;
use std::fs;
use std::path::Path;
use testkit::{Rng, SmallDisk};

fn on_a_small_disk(kilobytes: u32) -> Option<(SmallDisk, Machine)> {
    let machine = Machine::new();
    let disk = SmallDisk::mount(machine.path("disk"), kilobytes)?;
    let vault = machine.path("disk/vault");
    Some((disk, machine.at(vault)))
}

fn with_vault(kilobytes: u32) -> Option<(SmallDisk, Machine)> {
    let (disk, machine) = on_a_small_disk(kilobytes)?;
    machine.ok(&["init", "--kit", &machine.text("kit")]);
    Some((disk, machine.with_kit()))
}

/// Done, or failed with a word on what to do; answers whether it failed.
fn failed_clearly(machine: &Machine, arguments: &[&str]) -> bool {
    let ended = machine.run(&[arguments, &["--json"]].concat());
    if ended.code == 0 {
        return false;
    }
    assert!([1, 5].contains(&ended.code), "{arguments:?}: {} {} {}", ended.code, ended.out, ended.err);
    let error = &ended.json()["error"];
    assert!(error["hint"].is_string(), "{arguments:?} gives no hint: {error}");
    true
}

fn write_noise(machine: &Machine, name: &str, kilobytes: usize, seed: u64) {
    machine.write(name, Rng::new(seed).vec(kilobytes * 1024));
}

fn wait_until(what: &str, holds: impl Fn() -> bool) {
    let started = std::time::Instant::now();
    while !holds() {
        assert!(started.elapsed() < std::time::Duration::from_secs(60), "{what}: never");
        std::thread::sleep(std::time::Duration::from_millis(500));
    }
}

fn content(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap()
}

#[test]
fn init_on_a_full_disk_fails_clearly_and_works_later() {
    let mut failures = 0;
    for free in [0, 8, 64, 256] {
        let Some((disk, machine)) = on_a_small_disk(4096) else { return };
        disk.fill_but(free);
        let kit = machine.text("kit");
        let is_failed = failed_clearly(&machine, &["init", "--kit", &kit]);
        disk.make_room();
        if is_failed {
            failures += 1;
            // What an init left that did not finish is removed by hand; no vault is ever made over anything.
            let _ = fs::remove_dir_all(machine.vault());
            machine.ok(&["init", "--kit", &kit]);
        }
        let machine = machine.with_kit();
        write_noise(&machine, "file", 10, 1);
        machine.backup("item");
        machine.assert_restores("latest", &machine.path("source"));
    }
    assert!(failures > 0, "the disk was never full");
}

#[test]
fn a_backup_that_fills_the_disk_fails_clearly_and_goes_on_with_room() {
    let mut failures = 0;
    for free in [0, 20, 100, 700, 1500] {
        let Some((disk, machine)) = with_vault(12 << 10) else { return };
        write_noise(&machine, "first", 300, 1);
        let first = machine.backup("item");
        let kept = content(&machine.path("source/first"));
        write_noise(&machine, "second", 1800, 2);
        disk.fill_but(free);
        let is_failed = failed_clearly(&machine, &["backup", &machine.text("source"), "--item", "item"]);
        failures += usize::from(is_failed);
        disk.make_room();
        assert_eq!(machine.points().len(), if is_failed { 1 } else { 2 });
        assert_eq!(content(&machine.restore(&first, "out").join("first")), kept);
        disk.resize(24 << 10);
        machine.backup("item");
        machine.assert_restores("latest", &machine.path("source"));
        assert_eq!(machine.ok(&["check", "--read-data"])["sound"], true);
    }
    assert!(failures >= 3, "the disk was full {failures} times");
}

#[test]
fn expire_collect_and_rebuild_on_a_full_disk_lose_nothing() {
    for free in [0, 8, 40, 160] {
        let Some((disk, machine)) = with_vault(12 << 10) else { return };
        let mut points = Vec::new();
        for number in 0..3 {
            write_noise(&machine, "file", 300, number);
            points.push(machine.backup("item"));
        }
        disk.fill_but(free);
        failed_clearly(&machine, &["expire", &points[0], "--purge", "--yes"]);
        failed_clearly(&machine, &["collect"]);
        failed_clearly(&machine, &["collect"]);
        failed_clearly(&machine, &["rebuild"]);
        disk.make_room();
        // What failed is run again.
        machine.ok(&["rebuild"]);
        let listed = machine.points();
        assert!(listed.contains(&points[1]) && listed.contains(&points[2]), "{listed:?}");
        machine.assert_restores(&points[2], &machine.path("source"));
        machine.ok(&["collect"]);
        machine.ok(&["collect"]);
        machine.ok(&["restore", &points[1], "--to", &machine.text("out")]);
        machine.backup("item");
        assert_eq!(machine.ok(&["check", "--read-data"])["sound"], true);
    }
}

#[test]
fn a_restore_that_fills_the_disk_fails_clearly_and_goes_on_with_room() {
    let Some((disk, machine)) = on_a_small_disk(4 << 10) else { return };
    // The vault is elsewhere: what is full is the destination.
    let machine = machine.at(disk.path().with_file_name("vault"));
    machine.ok(&["init", "--kit", &machine.text("kit")]);
    let machine = machine.with_kit();
    for number in 0..6 {
        write_noise(&machine, &format!("file {number}"), 500, number);
    }
    machine.backup("item");
    disk.fill_but(1200);
    let to = machine.text("disk/out");
    assert!(failed_clearly(&machine, &["restore", "latest", "--to", &to]), "the disk was never full");
    disk.make_room();
    let report = machine.ok(&["restore", "latest", "--to", &to, "--resume"]);
    assert!(report["resumed"].as_u64().unwrap() < 6, "{report}");
    assert_equal(&machine.path("source"), &machine.restored("disk/out"));
}

#[test]
fn a_large_file_whose_restore_fills_a_disk_is_not_there_until_there_is_room() {
    let machine = Machine::with_vault();
    let Some(disk) = SmallDisk::mount_ext4(machine.path("disk"), 96 << 10) else { return };
    write_noise(&machine, "large", 40 << 10, 1);
    write_noise(&machine, "small", 4, 2);
    machine.backup("item");
    let (to, restored) = (machine.text("disk/out"), machine.restored("disk/out"));
    for free in [4 << 10, 25 << 10] {
        disk.fill_but(free);
        assert!(failed_clearly(&machine, &["restore", "latest", "--to", &to, "--resume"]), "the disk was never full");
        assert!(!restored.join("large").exists(), "half a file is none");
        disk.make_room();
    }
    machine.ok(&["restore", "latest", "--to", &to, "--resume"]);
    assert_equal(&machine.path("source"), &restored);
}

#[test]
fn a_file_whose_change_in_place_fills_a_disk_is_done_by_the_same_command_once_there_is_room() {
    let machine = Machine::with_vault();
    let Some(disk) = SmallDisk::mount_ext4(machine.path("disk"), 96 << 10) else { return };
    write_noise(&machine, "large", 40 << 10, 1);
    machine.backup("item");
    let (to, restored) = (machine.text("disk/out"), machine.restored("disk/out"));
    machine.ok(&["restore", "latest", "--to", &to]);
    let file = fs::File::options().write(true).open(restored.join("large")).unwrap();
    let length = file.metadata().unwrap().len();
    file.set_len(0).unwrap();
    file.set_len(length).unwrap();
    let arguments = ["restore", "latest", "--to", &to, "--overwrite", "in-place"];
    disk.fill_but(4 << 10);
    assert!(failed_clearly(&machine, &arguments), "the disk was never full");
    let told = machine.run(&arguments);
    assert!(told.err.contains("neither old nor new"), "{}", told.err);
    disk.make_room();
    machine.ok(&arguments);
    assert_equal(&machine.path("source"), &restored);
}

#[test]
fn a_check_on_a_full_disk_says_what_it_finds_or_fails_clearly() {
    let Some((disk, machine)) = with_vault(12 << 10) else { return };
    write_noise(&machine, "file", 300, 1);
    machine.backup("item");
    disk.fill_but(0);
    failed_clearly(&machine, &["check", "--read-data"]);
    failed_clearly(&machine, &["status"]);
    disk.make_room();
    assert_eq!(machine.ok(&["check", "--read-data"])["sound"], true);
    machine.assert_restores("latest", &machine.path("source"));
}

#[test]
fn a_service_whose_disk_was_full_takes_backups_and_changes_again_once_there_is_room() {
    let machine = Machine::new();
    let Some(disk) = SmallDisk::mount(machine.path("service"), 24_000) else { return };
    let mut service = ServiceProcess::start(&machine, "");
    let owner = service.take(machine);
    let policy = owner.private("policy.toml", &owner.run(&["policy", "example"]).out);
    let (policy, source) = (policy.to_str().unwrap().to_owned(), owner.text("source"));
    let set = |name: &str| ["policy", "set", name, &policy].map(str::to_owned);
    let change = |name: &str| {
        let arguments = set(name);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        failed_clearly(&owner, &arguments)
    };
    write_noise(&owner, "one", 500, 1);
    owner.ok(&["backup", &source, "--item", "files"]);
    disk.fill_but(0);
    write_noise(&owner, "two", 4000, 2);
    let started = std::time::Instant::now();
    assert!(failed_clearly(&owner, &["backup", &source, "--item", "files"]));
    assert!(started.elapsed() < std::time::Duration::from_secs(60), "a full disk is no service that is away");
    // As often as there are connections to its database, and more.
    (0..12).for_each(|number| {
        change(&format!("full-{number}"));
    });
    service.kill_and_start_again();
    (0..12).for_each(|number| {
        change(&format!("again-{number}"));
    });
    disk.make_room();
    assert!((0..12).all(|number| !change(&format!("room-{number}"))));
    owner.ok(&["backup", &source, "--item", "files"]);
    owner.ok(&["check", "--read-data"]);
    owner.ok(&["restore", "latest", "--to", &owner.text("out")]);
    assert_equal(&owner.path("source"), &owner.restored("out"));
}

#[test]
fn a_disk_that_something_else_filled_to_the_last_byte_is_freed_through_the_service() {
    let machine = Machine::new();
    let Some(disk) = SmallDisk::mount(machine.path("service"), 24_000) else { return };
    let mut service = ServiceProcess::start(&machine, "");
    let owner = service.take(machine);
    let source = owner.text("source");
    write_noise(&owner, "one", 4000, 1);
    let first = owner.backup("files");
    write_noise(&owner, "one", 3000, 2);
    let second = owner.backup("files");
    disk.fill_but(0);
    write_noise(&owner, "two", 1000, 3);
    let refused = owner.run(&["backup", &source, "--item", "files"]);
    assert_ne!(refused.code, 0);
    assert!(refused.err.contains("until there is room") && refused.err.contains("--purge"), "{}", refused.err);
    // What fills the disk may go on with that: the reserve is there for whoever makes room, and nobody has.
    std::thread::sleep(std::time::Duration::from_secs(5));
    let reserve = owner.path("service/reserve");
    assert!(
        reserve.exists(),
        "it is given up for nothing: {}",
        fs::read_to_string(owner.path("service.log")).unwrap_or_default()
    );
    // Also a service that was started meanwhile finds the room that it needs.
    service.kill_and_start_again();
    disk.fill_on();
    let packs = || owner.ok(&["status"])["packs"].clone();
    let before = packs();
    // What is there can be had, whatever fills the disk.
    owner.ok(&["restore", &second, "--to", &owner.text("before")]);
    owner.ok(&["expire", &first, "--purge", "--yes"]);
    owner.ok(&["job", "collection", "--follow"]);
    owner.ok(&["job", "collection", "--follow"]);
    assert_ne!(packs(), before);
    // What was freed is room enough.
    wait_until("uploads are taken again", || owner.run(&["backup", &source, "--item", "files"]).code == 0);
    wait_until("the reserve is made again", || reserve.exists());
    owner.ok(&["restore", &second, "--to", &owner.text("out")]);
    assert_eq!(owner.ok(&["check", "--read-data"])["sound"], true);
    disk.make_room();
}

#[test]
fn a_purge_that_takes_more_room_than_is_left_has_that_of_the_reserve() {
    let machine = Machine::new();
    let Some(disk) = SmallDisk::mount(machine.path("service"), 24_000) else { return };
    let mut service = ServiceProcess::start(&machine, "");
    let owner = service.take(machine);
    write_noise(&owner, "one", 500, 1);
    let (first, second) = (owner.backup("files"), owner.backup("files"));
    service.kill_and_start_with(|database| {
        // Stands for the purge of many points.
        let ballast = "CREATE TABLE ballast (bytes BLOB); \
            CREATE TRIGGER much AFTER DELETE ON points BEGIN INSERT INTO ballast VALUES (randomblob(500000)); END; \
            INSERT INTO ballast VALUES (x'00')";
        change_row(database, ballast);
    });
    // More than would make the service give its reserve up before anything fails.
    disk.fill_but(400);
    owner.ok(&["expire", &first, "--purge", "--yes"]);
    assert!(!owner.path("service/reserve").exists(), "it was not needed");
    assert_eq!(owner.points(), [second]);
    disk.make_room();
}

#[test]
fn uploads_alone_never_fill_the_disk_of_a_service() {
    let machine = Machine::new();
    let Some(disk) = SmallDisk::mount(machine.path("service"), 48_000) else { return };
    let service = ServiceProcess::start(&machine, "");
    let owner = service.take(machine);
    let source = owner.text("source");
    write_noise(&owner, "small", 500, 1);
    let first = owner.backup("files");
    // Several packs come at once, and together they are more than there is.
    for number in 0..5 {
        write_noise(&owner, &format!("large {number}"), 16_000, 10 + number);
    }
    let backing_up = std::sync::atomic::AtomicBool::new(true);
    let (refused, least) = std::thread::scope(|scope| {
        let watching = scope.spawn(|| {
            let mut least = disk.free_kilobytes();
            while backing_up.load(std::sync::atomic::Ordering::Relaxed) {
                least = least.min(disk.free_kilobytes());
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
            least
        });
        let refused = owner.run(&["backup", &source, "--item", "files"]);
        backing_up.store(false, std::sync::atomic::Ordering::Relaxed);
        (refused, watching.join().unwrap())
    });
    assert!(refused.code == 5 && refused.err.contains("nearly full"), "{} {}", refused.code, refused.err);
    assert!(least >= 512, "there was a time when only {least} KiB were free");
    assert!(owner.path("service/reserve").exists());
    owner.ok(&["policy", "list"]);
    owner.ok(&["expire", &first, "--yes"]);
    // What the interrupted backup left goes with the second collection.
    owner.ok(&["job", "collection", "--follow"]);
    owner.ok(&["job", "collection", "--follow"]);
    for number in 0..5 {
        fs::remove_file(owner.path("source").join(format!("large {number}"))).unwrap();
    }
    owner.backup("files");
}

#[test]
fn a_service_on_a_disk_without_room_for_a_reserve_starts_and_takes_no_uploads() {
    let machine = Machine::new();
    let Some(disk) = SmallDisk::mount(machine.path("service"), 2_400) else { return };
    let service = ServiceProcess::start(&machine, "");
    let owner = service.take(machine);
    let source = owner.text("source");
    write_noise(&owner, "file", 100, 1);
    assert!(failed_clearly(&owner, &["backup", &source, "--item", "files"]));
    disk.resize(24_000);
    wait_until("uploads are taken", || owner.run(&["backup", &source, "--item", "files"]).code == 0);
    wait_until("the reserve is made", || owner.path("service/reserve").exists());
}

#[test]
fn a_service_that_died_in_a_job_of_its_own_starts_on_a_full_disk_and_ends_the_job_once_there_is_room() {
    let machine = Machine::new();
    let Some(disk) = SmallDisk::mount(machine.path("service"), 24_000) else { return };
    let mut service = ServiceProcess::start(&machine, "");
    let owner = service.take(machine);
    write_noise(&owner, "one", 500, 1);
    owner.ok(&["backup", &owner.text("source"), "--item", "files"]);
    owner.ok(&["job", "scrub", "--follow"]);
    let state = || owner.ok(&["job", "list", "--kind", "scrub"])["jobs"][0]["state"].as_str().unwrap().to_owned();
    assert_eq!(state(), "succeeded");
    service.kill_and_start_with(|database| {
        change_row(database, "UPDATE jobs SET state = 'running', ended_ms = NULL, result = NULL WHERE kind = 'scrub'");
        // Something else took the room that the service's reserve was to keep for it.
        fs::remove_file(owner.path("service/reserve")).unwrap();
        // Room for the index of the database's log, and not for a change.
        disk.fill_but(36);
    });
    assert_eq!(state(), "running", "the disk has no room to end it");
    disk.make_room();
    wait_until("it is ended", || state() == "interrupted");
    owner.ok(&["job", "scrub", "--follow"]);
}
