//! The main job itself, step by step, as the documents tell an administrator to do it.

use super::comparison::Comparison;
use super::place::Place;
use super::receipt::Receipt;
use super::running::Processes;
use super::user::User;
use super::{compare, sample};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The item that is protected.
const ITEM: &str = "demo";

/// Does it. Answers the receipt, and what to do next; the service and the agent go on.
pub(super) fn run(place: &Place, programs: &Path) -> Result<(Receipt, String)> {
    let processes = Processes::new(place);
    let service = processes.start_service(&programs.join("holdfast-vault"))?;
    let program = programs.join("holdfast");
    let administrator = User::new(place, "administrator", &program, &service.url)?.with_passphrase()?;
    let machine = User::new(place, "machine", &program, &service.url)?;
    let (live, before) = (place.at("live"), place.at("before"));
    let start = compare("the copy", &before, &live)?;
    let mut receipt = Receipt::new(administrator.output(&["--version"])?.trim_end(), &start);

    let one_time = administrator.private("one-time-token", &service.one_time)?;
    administrator.run(&["login", &service.url, "--fingerprint", &service.authority, "--token-file", text(&one_time)?])?;
    receipt.step("make the vault", administrator.run(&["init"])?, None);
    let token = place.at("enrolment-token");
    let made = administrator.run(&["agent", "token", "demo-machine", "--to", text(&token)?])?;
    receipt.step("enrol the machine", made + machine.run(&["agent", "enroll", "--token-file", text(&token)?])?, None);
    processes.start_agent(machine.command())?;

    let policy = administrator.output(&["policy", "example"])?;
    let policy = administrator.private("nightly.toml", &policy)?;
    let set = administrator.run(&["policy", "set", "nightly", text(&policy)?])?;
    let item = ["item", "set", ITEM, text(&live)?, "--policy", "nightly", "--domain", "demo-machine"];
    receipt.step("set policy and item", set + administrator.run(&item)?, None);

    let (first, time) = backup(&administrator)?;
    receipt.step("first point", time, Some(start.bytes));
    receipt.note(&format!("point {first}"));
    let (_, time) = backup(&administrator)?;
    receipt.step("again, nothing changed", time, Some(start.bytes));
    let changes = sample::change(&live)?;
    let changed = Comparison::of(&before, &live)?;
    ensure!(!changed.differences.is_empty(), "the comparison does not see that the tree was changed");
    receipt.note(&format!("changed: {changes}"));
    let (second, time) = backup(&administrator)?;
    receipt.step("point of the change", time, Some(changed.bytes));
    receipt.note(&format!("point {second}"));
    ensure!(first != second, "the second point has the id of the first");
    let owner = ["--domain", "demo-machine"];
    receipt.step("what differs", administrator.run(&[&["diff", &first, &second][..], &owner].concat())?, None);
    for (title, point, original) in [("restore the first", &first, &before), ("restore the second", &second, &live)] {
        let (restored, time) = restore(&administrator, point)?;
        receipt.step(title, time, Some(start.bytes));
        let result = compare(title, original, &restored.join(live.strip_prefix("/").context("the copy has no absolute path")?))?;
        receipt.note(&format!("to {}", restored.display()));
        receipt.note(&format!("equal: {}", result.summary()));
    }
    receipt.step("check every byte", administrator.run(&[&["check", "--read-data"][..], &owner].concat())?, None);
    receipt.vault(&place.at("service/vault"))?;
    let next = next(place, &administrator, &service.url)?;
    processes.leave();
    Ok((receipt, next))
}

/// Has the agent make a point; answers its id.
fn backup(administrator: &User) -> Result<(String, Duration)> {
    let (answer, time) = administrator.json(&["job", "backup", ITEM, "--wait"])?;
    Ok((result(&answer, "point")?, time))
}

/// Has the agent restore a point; answers where it is.
fn restore(administrator: &User, point: &str) -> Result<(PathBuf, Duration)> {
    let (answer, time) = administrator.json(&["job", "restore", ITEM, "--point", point, "--wait"])?;
    Ok((result(&answer, "to")?.into(), time))
}

fn result(answer: &Value, field: &str) -> Result<String> {
    let text = answer["job"]["result"][field].as_str();
    Ok(text.with_context(|| format!("the job's result has no {field}: {answer}"))?.to_owned())
}

fn next(place: &Place, administrator: &User, url: &str) -> Result<String> {
    let env = place.at("env");
    std::fs::write(&env, administrator.shell_lines())?;
    Ok(format!(
        "The vault service is up at {url}, and the machine's agent runs: it backs '{}' up every night.\n\
         Next, as its administrator:\n\
         \x20 . {}\n\
         \x20 holdfast item list; holdfast job list; holdfast item points {ITEM}\n\
         \x20 holdfast policy preview --item {ITEM}\n\
         and when you have seen enough: cargo xtask demo --end",
        place.at("live").display(),
        env.display()
    ))
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("the path of the checkout is not UTF-8")
}
