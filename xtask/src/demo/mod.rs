//! `cargo xtask demo`: the main job, done with the real programs on a real directory, and proven.
//!
//! The directory itself is only read: the demo works on a copy. It starts a vault service, makes a vault, enrols a machine whose agent
//! protects the copy by a policy, has a point made, changes the copy, has a second point made, has the agent restore both and
//! compares them with what was there, byte by byte and attribute by attribute. That the comparison can tell two trees
//! apart is proven too: the changed copy must differ. The service and the agent stay up, to be looked at.

mod comparison;
mod main_job;
mod place;
mod receipt;
mod running;
mod sample;
mod user;

use crate::checkout::{self, Profile};
use anyhow::{Result, bail};
use comparison::Comparison;
use place::Place;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// The task.
pub(crate) fn run(arguments: &[String]) -> Result<ExitCode> {
    let root = checkout::root()?;
    let place = Place::new(checkout::target_directory(&root)?.join("demo"));
    let chosen: Option<PathBuf> = match arguments {
        [] => None,
        [end] if end == "--end" => {
            println!("{}", if place.clear()? { "ended and removed" } else { "there was no demo" });
            return Ok(ExitCode::SUCCESS);
        }
        [directory] if !directory.starts_with('-') => Some(directory.into()),
        _ => bail!("the demo takes one directory, or --end"),
    };
    println!("building the programs (release)");
    let programs = checkout::build_programs(&root, Profile::Release, &["holdfast", "holdfast-vault"])?;
    if place.clear()? {
        println!("ended and removed the demo before this one");
    }
    place.make()?;
    let live = place.at("live");
    println!("copying the directory");
    match &chosen {
        Some(directory) => copy(directory, &live)?,
        None => copy_own_sources(&root, &live)?,
    }
    sample::add(&live)?;
    copy(&live, &place.at("before"))?;
    println!("starting a vault service and an agent");
    let (receipt, next) = main_job::run(&place, &programs)?;
    println!("{receipt}\n\n{next}");
    Ok(ExitCode::SUCCESS)
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
