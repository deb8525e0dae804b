//! kill -9 at any moment: what was acknowledged is there, nobody repairs by hand, and nothing leaks.
//!
//! 20 kills; `HOLDFAST_KILLS=200` for more, `HOLDFAST_SEED` for others.

use crate::machine::{Machine, assert_equal, copy};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use testkit::Rng;

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap())
}

struct Trial {
    machine: Machine,
    rng: Rng,
    /// Every point that must be there, with a copy of what it holds.
    points: BTreeMap<String, PathBuf>,
    copies: u64,
}

impl Trial {
    /// Changes the source and keeps a copy of it.
    fn change(&mut self) -> PathBuf {
        let file = self.rng.below(12);
        let length = self.rng.below(400_000) as usize;
        let content = self.rng.vec(length);
        self.machine.write(&format!("{}/{file}", file % 3), content);
        self.copies += 1;
        let kept = self.machine.path(&format!("copy {}", self.copies));
        copy(&self.machine.path("source"), &kept);
        kept
    }

    /// Runs the command and kills it within the time that it takes by itself.
    fn kill(&mut self, arguments: &[&str], takes: Duration) -> bool {
        let wait = Duration::from_micros(self.rng.below(takes.as_micros() as u64));
        self.machine.start(arguments).kill_after(wait).code == 0
    }

    /// Every point that must be there is; those that are new are taken for what was being backed up.
    fn settle(&mut self, current: Option<&PathBuf>, purged: Option<&String>) {
        let listed = self.machine.points();
        if let Some(purged) = purged.filter(|purged| !listed.contains(purged)) {
            self.points.remove(purged);
        }
        for point in self.points.keys() {
            assert!(listed.contains(point), "point {point} was acknowledged and is gone");
        }
        for point in listed {
            self.points.entry(point).or_insert_with(|| current.expect("a point came from nowhere").clone());
        }
    }
}

#[test]
fn whatever_was_acknowledged_survives_kills_at_any_moment() {
    let seed = number("HOLDFAST_SEED", 1);
    println!("HOLDFAST_SEED={seed}");
    let machine = Machine::with_vault();
    let mut trial = Trial { machine, rng: Rng::new(seed), points: BTreeMap::new(), copies: 0 };
    let source = trial.machine.text("source");
    let backup = ["backup", &source, "--item", "item", "--json"];
    let mut takes = Duration::ZERO;
    for _ in 0..2 {
        let kept = trial.change();
        let started = Instant::now();
        let point = trial.machine.backup("item");
        takes = started.elapsed();
        trial.points.insert(point, kept);
    }
    let mut killed = 0;
    for turn in 0..number("HOLDFAST_KILLS", 20) {
        let is_done = match turn % 4 {
            0 | 1 => {
                let kept = trial.change();
                let is_done = trial.kill(&backup, takes);
                trial.settle(Some(&kept), None);
                if turn % 4 == 1 {
                    // One that is left alone works at once, whatever was left behind.
                    let point = trial.machine.backup("item");
                    trial.points.insert(point, kept);
                }
                is_done
            }
            2 => {
                let points: Vec<String> = trial.points.keys().cloned().collect();
                let victim = trial.rng.pick(&points).clone();
                let is_done = trial.kill(&["expire", &victim, "--purge", "--yes"], takes / 3);
                trial.settle(None, Some(&victim));
                is_done
            }
            _ => {
                let is_done = trial.kill(&["collect"], takes / 3);
                trial.settle(None, None);
                is_done
            }
        };
        killed += u64::from(!is_done);
    }
    assert!(killed > 0, "every command was faster than its kill");
    for (point, kept) in &trial.points {
        trial.machine.assert_restores(point, kept);
    }
    assert_nothing_leaks(&trial.machine);
}

fn assert_nothing_leaks(machine: &Machine) {
    machine.ok(&["collect"]);
    machine.ok(&["collect"]);
    let stored = machine.objects("/pack/").len();
    assert_eq!(machine.ok(&["check", "--read-data"])["sound"], true);
    assert_eq!(machine.ok(&["rebuild"])["sound"], true);
    machine.ok(&["collect"]);
    machine.ok(&["collect"]);
    assert_eq!(machine.objects("/pack/").len(), stored, "a fresh rebuild needs as much");
    for point in machine.points() {
        machine.ok(&["expire", &point, "--purge", "--yes"]);
    }
    machine.ok(&["collect"]);
    machine.ok(&["collect"]);
    let left = machine.objects("/pack/");
    assert!(left.is_empty(), "no point is left, and {} packs are: {left:?}", left.len());
}

#[test]
fn a_restore_in_place_that_is_killed_is_finished_by_the_same_command() {
    let machine = Machine::with_vault();
    let mut rng = Rng::new(number("HOLDFAST_SEED", 1));
    for file in 0..4 {
        machine.write(&format!("{file}"), rng.vec(12 << 20));
    }
    machine.backup("item");
    let restored = machine.restore("latest", "out");
    let to = machine.text("out");
    let arguments = ["restore", "latest", "--to", &to, "--overwrite", "in-place"];
    let mut takes = Duration::from_millis(1);
    for turn in 0..8 {
        for file in 0..4 {
            std::fs::write(restored.join(format!("{file}")), rng.vec(11 << 20)).unwrap();
        }
        let resume = if turn % 2 == 0 { &arguments[..] } else { &[&arguments[..], &["--resume"]].concat() };
        let wait = Duration::from_micros(rng.below(takes.as_micros() as u64));
        machine.start(resume).kill_after(wait);
        let begun = Instant::now();
        machine.ok(resume);
        takes = begun.elapsed();
        assert_equal(&machine.path("source"), &restored);
    }
}
