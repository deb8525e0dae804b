//! `cargo xtask bench`: the project's own benchmarks. Ratios inside one run are what they are for: times differ from machine to
//! machine, and on the same one from hour to hour.

mod tree;
mod user;

use crate::checkout::{self, Profile};
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;
use user::User;

const ROUNDS: usize = 3;

/// What a step took in each round, in seconds.
struct Step {
    what: &'static str,
    /// The step without which it cannot be, whose time it is compared with.
    beside: Option<&'static str>,
    took: Vec<f64>,
}

/// The task: parts, requests, then the program on a generated tree, or on a copy of a real one.
pub(crate) fn run(arguments: &[String]) -> Result<ExitCode> {
    let (directory, rounds) = parse(arguments)?;
    let root = checkout::root()?;
    println!("== parts");
    checkout::run(Command::new(checkout::cargo()).current_dir(&root).args(["bench", "--quiet", "--package", "holdfast-parts"]))?;
    println!("\n== requests, as recorded");
    let test = ["test", "--quiet", "--package", "holdfast-vault", "--test", "vault", "recorded::"];
    checkout::run(Command::new(checkout::cargo()).current_dir(&root).args(test))?;
    println!("\n== the program, {rounds} rounds, page cache warm");
    let programs = checkout::build_programs(&root, Profile::Release, &["holdfast"])?;
    let place = tempfile::Builder::new().prefix("holdfast-bench-").tempdir().context("cannot make a directory")?;
    let source = place.path().join("source");
    match directory {
        Some(directory) => checkout::run(Command::new("cp").arg("-a").arg(&directory).arg(&source))?,
        None => tree::make(&source)?,
    }
    let mut steps = Vec::new();
    for round in 0..rounds {
        one_round(&programs.join("holdfast"), &source, &place.path().join(round.to_string()), &mut steps)?;
    }
    steps.iter().for_each(|step| println!("{}", line(step, &steps)));
    Ok(ExitCode::SUCCESS)
}

fn parse(arguments: &[String]) -> Result<(Option<PathBuf>, usize)> {
    let (mut directory, mut rounds) = (None, ROUNDS);
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            "--rounds" => rounds = rest.next().and_then(|rounds| rounds.parse().ok()).context("--rounds takes a number")?,
            path if !path.starts_with('-') && directory.is_none() => {
                directory = Some(PathBuf::from(path).canonicalize().with_context(|| format!("cannot find {path}"))?);
            }
            other => bail!("cargo xtask bench [DIRECTORY] [--rounds N]: what is {other}?"),
        }
    }
    if rounds == 0 {
        bail!("at least one round");
    }
    Ok((directory, rounds))
}

fn one_round(program: &Path, source: &Path, place: &Path, steps: &mut Vec<Step>) -> Result<()> {
    std::fs::create_dir(place).with_context(|| format!("cannot make {}", place.display()))?;
    let user = User::new(program, place)?;
    let (source_text, out) = (text(source)?, place.join("out"));
    let backup = ["backup", source_text, "--item", "bench"];
    timed(steps, "read every file", None, || tree::read(source))?;
    timed(steps, "look at every file", None, || tree::look(source))?;
    timed(steps, "first backup", Some("read every file"), || user.run(&backup))?;
    timed(steps, "unchanged backup", Some("look at every file"), || user.run(&backup))?;
    let changed = tree::change(source)?;
    timed(steps, "changed backup", Some("look at every file"), || user.run(&backup))?;
    tree::change_back(changed)?;
    timed(steps, "find a name", Some("look at every file"), || {
        user.run(&["find", "*.rs"]).or_else(|_| user.run(&["find", "*"]))
    })?;
    timed(steps, "check every byte", Some("read every file"), || user.run(&["check", "--read-data"]))?;
    timed(steps, "restore", None, || user.run(&["restore", "latest", "--item", "bench", "--to", text(&out)?]))?;
    std::fs::remove_dir_all(&out).context("cannot remove what was restored")?;
    timed(steps, "copy", Some("restore"), || {
        checkout::run(Command::new("cp").arg("-a").arg(source).arg(&out).stdout(Stdio::null()))
    })?;
    std::fs::remove_dir_all(place).context("cannot remove what a round left")?;
    Ok(())
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("the directory's name is not UTF-8")
}

fn timed(
    steps: &mut Vec<Step>,
    what: &'static str,
    beside: Option<&'static str>,
    work: impl FnOnce() -> Result<()>,
) -> Result<()> {
    let started = Instant::now();
    work().with_context(|| what.to_owned())?;
    let took = started.elapsed().as_secs_f64();
    match steps.iter_mut().find(|step| step.what == what) {
        Some(step) => step.took.push(took),
        None => steps.push(Step { what, beside, took: vec![took] }),
    }
    Ok(())
}

fn median(took: &[f64]) -> f64 {
    let mut sorted = took.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

fn line(step: &Step, steps: &[Step]) -> String {
    let own = median(&step.took);
    let ratio = |name: &str| steps.iter().find(|other| other.what == name).map(|other| own / median(&other.took));
    let beside = step.beside.and_then(|name| ratio(name).map(|ratio| format!("{ratio:8.2} × {name}")));
    format!("{:20} {own:8.2} s {}", step.what, beside.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::{Step, line, median, parse};

    #[test]
    fn a_step_is_told_with_its_median_and_beside_another() {
        let step = |what, beside, took: &[f64]| Step { what, beside, took: took.to_vec() };
        let steps = [step("read", None, &[1.0, 9.0, 2.0]), step("backup", Some("read"), &[3.0, 4.0, 100.0])];
        assert_eq!(median(&steps[0].took), 2.0);
        assert!(line(&steps[1], &steps).ends_with("4.00 s     2.00 × read"), "{}", line(&steps[1], &steps));
    }

    #[test]
    fn arguments_that_say_nothing_are_refused() {
        let parse = |text: &[&str]| parse(&text.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
        assert_eq!(parse(&["--rounds", "5"]).unwrap().1, 5);
        assert!(parse(&["--rounds", "0"]).is_err() && parse(&["--fast"]).is_err() && parse(&["/", "/"]).is_err());
    }
}
