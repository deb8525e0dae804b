//! `cargo xtask demo`: the main job, done with the real program on a real directory, and proven.
//!
//! The directory itself is only read: the demo works on a copy. It makes a vault and a point, changes the copy, makes a second
//! point, restores the first and compares it with what was there, byte by byte and attribute by attribute. That the
//! comparison can tell two trees apart is proven too: the changed copy must differ.

mod comparison;
mod program;
mod receipt;
mod sample;

use crate::checkout::{self, Profile};
use anyhow::{Context, Result, bail, ensure};
use comparison::Comparison;
use program::Program;
use receipt::Receipt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// The task.
pub(crate) fn run(arguments: &[String]) -> Result<ExitCode> {
    let root = checkout::root()?;
    let chosen: Option<PathBuf> = match arguments {
        [] => None,
        [directory] => Some(directory.into()),
        _ => bail!("the demo takes one directory"),
    };
    println!("building the program (release)");
    let binary = checkout::build_program(&root, Profile::Release)?;
    let work = tempfile::Builder::new().prefix("demo-").tempdir_in(binary.parent().context("no directory")?)?;
    let program = Program::new(binary, work.path())?;
    let live = work.path().join("live");
    let before = work.path().join("before");
    println!("copying the directory");
    match &chosen {
        Some(directory) => copy(directory, &live)?,
        None => copy_own_sources(&root, &live)?,
    }
    sample::add(&live)?;
    copy(&live, &before)?;
    let receipt = main_job(&program, work.path(), &live, &before)?;
    println!("{receipt}");
    Ok(ExitCode::SUCCESS)
}

fn main_job(program: &Program, work: &Path, live: &Path, before: &Path) -> Result<Receipt> {
    let start = compare("the copy", before, live)?;
    let mut receipt = Receipt::new(&program.version()?, &start);
    receipt.step("make the vault", program.run(&["init"])?, None);
    let path = live.to_str().context("the path of the copy is not UTF-8")?;
    let backup = ["backup", path, "--item", "demo"];
    receipt.step("first point", program.run(&backup)?, Some(start.bytes));
    let first = program.newest_point()?;
    receipt.note(&format!("point {first}"));
    receipt.step("again, nothing changed", program.run(&backup)?, Some(start.bytes));
    let changes = sample::change(live)?;
    let changed = Comparison::of(before, live)?;
    ensure!(!changed.differences.is_empty(), "the comparison does not see that the tree was changed");
    receipt.note(&format!("changed: {changes}"));
    receipt.step("point of the change", program.run(&backup)?, Some(changed.bytes));
    let second = program.newest_point()?;
    receipt.note(&format!("point {second}"));
    ensure!(first != second, "the second point has the id of the first");
    receipt.step("what differs", program.run(&["diff", &first, &second])?, None);
    for (title, point, original) in [("restore the first", &first, before), ("restore the second", &second, live)] {
        let out = work.join(format!("restored-{point}"));
        std::fs::create_dir(&out)?;
        let destination = out.to_str().context("the path of the destination is not UTF-8")?;
        let restored = out.join(live.strip_prefix("/").context("the copy has no absolute path")?);
        receipt.step(title, program.run(&["restore", point, "--to", destination])?, Some(start.bytes));
        let result = compare(title, original, &restored)?;
        receipt.note(&format!("equal: {}", result.summary()));
    }
    receipt.step("check every byte", program.run(&["check", "--read-data"])?, None);
    receipt.vault(&program.vault())?;
    Ok(receipt)
}

fn compare(what: &str, left: &Path, right: &Path) -> Result<Comparison> {
    let result = Comparison::of(left, right)?;
    if !result.differences.is_empty() {
        let shown: Vec<&str> = result.differences.iter().take(20).map(String::as_str).collect();
        bail!("{what}: {} differences\n  {}", result.differences.len(), shown.join("\n  "));
    }
    Ok(result)
}

/// Copies a tree with everything that the system keeps about its files.
fn copy(from: &Path, to: &Path) -> Result<()> {
    checkout::run(Command::new("cp").args(["--archive", "--reflink=auto", "--"]).args([from, to]))
}

fn copy_own_sources(root: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir(to)?;
    for name in ["crates", "docs", "xtask", "README.md", "Cargo.lock"] {
        copy(&root.join(name), &to.join(name))?;
    }
    Ok(())
}
