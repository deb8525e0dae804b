//! Memory does not grow with the number of files: not with many of them, and not with many in one directory.
//!
//! 150,000 files; `HOLDFAST_FILES=1000000` for more.

use crate::machine::{Ended, Machine};
use std::fs::{self, File};
use std::io::Write;
use testkit::Rng;

/// The most that a command may hold.
const MEMORY_BYTES_MAX: u64 = 200 << 20;
/// The most that a collection may hold that rewrites packs: a few packs of 8 MiB, and what a program takes.
const REWRITING_BYTES_MAX: u64 = 80 << 20;

fn files() -> usize {
    std::env::var("HOLDFAST_FILES").map_or(150_000, |text| text.parse().unwrap())
}

fn assert_bounded(doing: &str, ended: &Ended) {
    println!("{doing}: {} MiB", ended.memory_bytes >> 20);
    assert!(ended.memory_bytes > 1 << 20, "{doing}: nothing was measured");
    assert!(ended.memory_bytes < MEMORY_BYTES_MAX, "{doing} took {} MiB", ended.memory_bytes >> 20);
}

/// A first backup, an unchanged one, a restore and a check of a tree with so many files.
fn stays_small(machine: &Machine, count: usize) {
    let first = machine.backup_of("many", "many");
    assert!(first.json()["files"].as_u64().unwrap() >= count as u64, "{}", first.out);
    assert_bounded("first backup", &first);
    assert_bounded("unchanged backup", &machine.backup_of("many", "many"));
    let restore = machine.run(&["restore", "latest", "--to", &machine.text("out"), "--json"]);
    assert_eq!(restore.code, 0, "{}", restore.err);
    assert_bounded("restore", &restore);
    assert_bounded("check", &machine.run(&["check", "--read-data", "--json"]));
}

#[test]
fn many_small_files_take_bounded_memory() {
    let machine = Machine::with_vault();
    let count = files();
    for directory in 0..count.div_ceil(500) {
        let directory = machine.path(&format!("many/{directory}"));
        fs::create_dir_all(&directory).unwrap();
        for number in 0..500 {
            let mut file = File::create(directory.join(format!("file {number}"))).unwrap();
            write!(file, "{number} of {} ", directory.display()).unwrap();
        }
    }
    stays_small(&machine, count);
}

#[test]
fn one_directory_with_many_entries_takes_bounded_memory() {
    let machine = Machine::with_vault();
    let count = files();
    let directory = machine.path("many");
    fs::create_dir(&directory).unwrap();
    for number in 0..count {
        File::create(directory.join(format!("an entry with number {number}"))).unwrap();
    }
    stays_small(&machine, count);
}

#[test]
fn an_agent_that_makes_many_points_gives_the_memory_of_each_back() {
    let owner = Machine::with_service();
    let token = owner.ok(&["agent", "token", "laptop"])["token"].as_str().unwrap().to_owned();
    let token = owner.private("token of laptop", &token);
    let laptop = owner.other("laptop").without_secret();
    laptop.ok(&["agent", "enroll", "--token-file", token.to_str().unwrap()]);
    owner.ok(&["item", "set", "files", &owner.text("source"), "--domain", "laptop"]);
    let agent = laptop.start(&["agent", "run"]);
    let mut point = |number: u8| {
        // What of it is read anew goes through all of the engine's buffers.
        owner.write(
            "large",
            vec![number; 40 << 20].iter().enumerate().map(|(at, byte)| byte ^ (at >> 9) as u8).collect::<Vec<u8>>(),
        );
        owner.ok(&["job", "backup", "files", "--wait"]);
        agent.resident_bytes()
    };
    let early = (0..3).map(&mut point).max().unwrap();
    let late = (3..15).map(&mut point).max().unwrap();
    println!("{} MiB after the first points, {} MiB after fifteen", early >> 20, late >> 20);
    assert!(early > 1 << 20, "nothing was measured");
    assert!(late < early + (40 << 20), "{} MiB after three points and {} after fifteen", early >> 20, late >> 20);
    agent.kill_after(std::time::Duration::ZERO);
}

#[test]
fn a_collection_that_rewrites_many_packs_holds_a_few_of_them_at_a_time() {
    let machine = Machine::with_vault();
    let mut random = Rng::new(1);
    let mut write = |number: usize| machine.write(&format!("src/{number}"), random.vec(2 << 20));
    (0..80).for_each(&mut write);
    let first = machine.backup("files");
    (0..80).step_by(4).for_each(&mut write);
    machine.backup("files");
    machine.ok(&["expire", &first, "--purge", "--yes"]);
    let collected = [0, 1].map(|_| machine.run(&["collect", "--json"]));
    let rewritten: Vec<u64> = collected.iter().map(|ended| ended.json()["packs_rewritten"].as_u64().unwrap()).collect();
    assert!(rewritten.iter().sum::<u64>() >= 16, "{rewritten:?}");
    for ended in collected {
        println!("collection: {} MiB", ended.memory_bytes >> 20);
        assert!(ended.memory_bytes < REWRITING_BYTES_MAX, "{} MiB", ended.memory_bytes >> 20);
    }
}
