//! One flipped byte anywhere in storage: it is named or mended, no wrong byte is written out, and backups heal it.
//!
//! Every second byte is one of all that are stored, the others are spread over the kinds of object.
//!
//! 24 flips; `HOLDFAST_FLIPS=500` for more, `HOLDFAST_SEED` for others.

use crate::machine::{Ended, Machine, assert_equal, files};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use testkit::Rng;

const KINDS: [&str; 5] = ["/pack/", "/journal/", "/key/", "/descriptor/", "/authority/"];

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap())
}

fn flip(path: &Path, rng: &mut Rng) -> usize {
    let mut bytes = fs::read(path).unwrap();
    let place = rng.index(bytes.len());
    bytes[place] ^= 1 << rng.below(8);
    fs::write(path, bytes).unwrap();
    place
}

/// The object in which a byte is flipped.
fn victim(machine: &Machine, turn: usize, rng: &mut Rng) -> PathBuf {
    if turn % 2 == 1 {
        return rng.pick(&machine.objects(KINDS[turn / 2 % KINDS.len()])).clone();
    }
    let objects = machine.objects("/");
    let length = |path: &PathBuf| fs::metadata(path).unwrap().len();
    let mut place = rng.below(objects.iter().map(length).sum());
    let found = objects.into_iter().find(|path| {
        let is_here = place < length(path);
        place = place.saturating_sub(length(path));
        is_here
    });
    found.expect("the place is within what is stored")
}

fn named(report: &Value) -> usize {
    ["mended", "damaged_packs", "damaged_copies", "missing", "damaged_objects", "set_aside", "bad_points", "affected"]
        .iter()
        .filter_map(|field| report[*field].as_array())
        .map(Vec::len)
        .sum()
}

fn sources(machine: &Machine) {
    let mut rng = Rng::new(77);
    for number in 0..12 {
        let length = 1000 + rng.index(200_000);
        let content = rng.vec(length);
        machine.write(&format!("{}/{number}", number % 3), content);
    }
}

/// Every file that a restore left is a file of the source, byte by byte; answers how many there are.
fn restored_right(machine: &Machine, to: &str) -> usize {
    let restored = machine.restored(to);
    let found = files(&restored);
    for file in &found {
        let source = machine.path("source").join(file.strip_prefix(&restored).unwrap());
        assert!(source.is_file(), "'{}' was never in the source", file.display());
        assert_eq!(fs::read(file).unwrap(), fs::read(source).unwrap(), "wrong bytes in '{}'", file.display());
    }
    found.len()
}

/// What a check says once everything was done that may be needed after two backups of unchanged sources.
fn heal(machine: &Machine, new: &[String; 2], what: &str) -> Ended {
    let check = || machine.run(&["check", "--read-data", "--json"]);
    let mut healed = check();
    let report = healed.json();
    // Directories above the source do change here, so pages of older points that hold them do not come again. Such a point
    // is named; those made since the damage are whole.
    for affected in report["affected"].as_array().unwrap() {
        let (point, path) = (affected["point"].as_str().unwrap(), affected["path"].as_str().unwrap());
        assert!(!new.iter().any(|new| new == point), "{what}: a new point is damaged: {report}");
        assert!(machine.text("source")[1..].starts_with(path), "{what}: '{path}' did not change and is not healed: {report}");
        if machine.points().iter().any(|listed| listed == point) {
            machine.ok(&["expire", point, "--purge", "--yes"]);
        }
    }
    if healed.code == 4 && report["damaged_objects"] == json!([]) && report["set_aside"] == json!([]) {
        // What no point needs any more, and packs with a damaged frame, go with the next collections.
        machine.ok(&["collect"]);
        machine.ok(&["collect"]);
        healed = check();
    }
    healed
}

/// The first backup after the damage. Where that hit the root of the last point it says so, and reads everything anew.
fn backup_over_damage(machine: &Machine, what: &str) -> String {
    let ended = machine.run(&["backup", &machine.text("source"), "--item", "item", "--json"]);
    let report = ended.json();
    let warned = &report["warnings_by_kind"];
    let is_expected = ended.code == 0 || (ended.code == 3 && *warned == json!({"base_unreadable": 1}));
    assert!(is_expected, "{what}: {} {} {}", ended.code, ended.out, ended.err);
    report["point"].as_str().unwrap().to_owned()
}

#[test]
fn a_flipped_byte_anywhere_is_found_and_healed_and_never_restored() {
    let seed = number("HOLDFAST_SEED", 1);
    println!("HOLDFAST_SEED={seed}");
    let mut rng = Rng::new(seed);
    let machine = Machine::with_vault();
    sources(&machine);
    machine.backup("item");
    for turn in 0..number("HOLDFAST_FLIPS", 24) as usize {
        let victim = victim(&machine, turn, &mut rng);
        let place = flip(&victim, &mut rng);
        let what = format!("flip {turn} in '{}' at {place}", victim.display());
        println!("{what}");
        let to = format!("out {turn}");
        let ended = machine.run(&["restore", "latest", "--to", &machine.text(&to), "--json"]);
        assert!([0, 4].contains(&ended.code), "{what}: {} {} {}", ended.code, ended.out, ended.err);
        let there = restored_right(&machine, &to);
        assert!(ended.code == 4 || there == 12, "{what}: a clean restore with {there} of 12 files");
        let ended = machine.run(&["check", "--read-data", "--json"]);
        assert!([0, 4].contains(&ended.code), "{what}: {} {} {}", ended.code, ended.out, ended.err);
        assert!(named(&ended.json()) > 0, "{what} was not noticed: {}", ended.out);
        let new = [backup_over_damage(&machine, &what), machine.backup("item")];
        let healed = heal(&machine, &new, &what);
        assert_eq!(healed.code, 0, "{what} is not healed: {} {}", healed.out, healed.err);
        fs::remove_dir_all(machine.path(&to)).unwrap();
    }
    assert_equal(&machine.path("source"), &machine.restore("latest", "out"));
}

/// Flips a bit in the middle of the largest pack: of data, where files are large.
fn flip_the_largest_pack(machine: &Machine) {
    let pack = machine.objects("/pack/").into_iter().max_by_key(|path| fs::metadata(path).unwrap().len()).unwrap();
    let mut bytes = fs::read(&pack).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&pack, bytes).unwrap();
}

#[test]
fn files_beside_a_damaged_one_restore() {
    let machine = Machine::with_vault();
    let mut rng = Rng::new(5);
    for number in 0..4 {
        machine.write(&format!("large {number}"), rng.vec(3_000_000));
    }
    machine.backup("item");
    flip_the_largest_pack(&machine);
    let report = machine.ends(4, &["restore", "latest", "--to", &machine.text("out")]);
    assert_eq!(report["damaged_count"], 1, "{report}");
    assert_eq!(restored_right(&machine, "out"), 3);
    let check = machine.ends(4, &["check", "--read-data"]);
    assert!(check["affected"][0]["path"].as_str().unwrap().contains("source/large"), "{check}");
}

#[test]
fn a_damaged_file_does_not_cost_the_one_that_it_would_replace() {
    let machine = Machine::with_vault();
    machine.write("file", Rng::new(6).vec(3_000_000));
    machine.backup("item");
    let there = machine.restore("latest", "out").join("file");
    fs::write(&there, "mine").unwrap();
    flip_the_largest_pack(&machine);
    let report = machine.ends(4, &["restore", "latest", "--to", &machine.text("out"), "--overwrite", "always"]);
    assert_eq!(report["damaged_count"], 1, "{report}");
    assert_eq!(fs::read(&there).unwrap(), b"mine");
    assert_eq!(files(&machine.restored("out")).len(), 1, "nothing temporary is left");
}

#[test]
fn a_damaged_file_that_is_changed_in_place_is_said_to_be_changed_in_part_and_is_not_taken_for_done() {
    let machine = Machine::with_vault();
    let content = Rng::new(6).vec(3_000_000);
    machine.write("file", &content);
    machine.backup("item");
    let there = machine.restore("latest", "out").join("file");
    fs::write(&there, &content[1..]).unwrap();
    flip_the_largest_pack(&machine);
    let to = machine.text("out");
    let arguments = ["restore", "latest", "--to", &to, "--overwrite", "in-place"];
    let report = machine.ends(4, &arguments);
    assert_eq!(report["damaged_count"], 1, "{report}");
    assert!(report["damaged"][0]["what"].as_str().unwrap().ends_with("what is there may be changed in part"), "{report}");
    let modified = |path: &Path| fs::metadata(path).unwrap().modified().unwrap();
    assert_ne!(modified(&there), modified(&machine.path("source/file")));
    // Back again: the vault is whole.
    flip_the_largest_pack(&machine);
    machine.ok(&arguments);
    assert_equal(&machine.path("source"), &machine.restored("out"));
}

#[test]
fn a_damaged_file_with_several_names_costs_none_of_those_that_it_would_replace() {
    let machine = Machine::with_vault();
    machine.write("a", Rng::new(7).vec(3_000_000));
    fs::hard_link(machine.path("source/a"), machine.path("source/b")).unwrap();
    machine.backup("item");
    let there = machine.restore("latest", "out");
    for name in ["a", "b"] {
        fs::remove_file(there.join(name)).unwrap();
        fs::write(there.join(name), format!("my {name}")).unwrap();
    }
    flip_the_largest_pack(&machine);
    let report = machine.ends(4, &["restore", "latest", "--to", &machine.text("out"), "--overwrite", "always"]);
    assert_eq!(
        (&report["damaged_count"], &report["failed_count"], &report["files"]),
        (&1.into(), &1.into(), &0.into()),
        "{report}"
    );
    for name in ["a", "b"] {
        assert_eq!(fs::read_to_string(there.join(name)).unwrap(), format!("my {name}"));
    }
    assert_eq!(files(&machine.restored("out")).len(), 2, "nothing temporary is left");
}
