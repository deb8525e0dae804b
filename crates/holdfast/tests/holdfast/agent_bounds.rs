//! What the service may not ask of a machine, whatever it asks.

use crate::protected::{Protected, due_before};
use api::{Completeness, Job, JobResult, JobState};
use policy::{Hook, HookFailure, HookSettings, PolicySettings};
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

fn problem(job: Job) -> String {
    let problem = job.problem.unwrap();
    format!("{} ({})", problem.message, problem.hint.unwrap_or_default())
}

#[test]
fn restores_stay_within_what_the_machine_allows() {
    let protected = Protected::new();
    let allowed = protected.owner.path("allowed");
    let closed = protected.owner.path("closed");
    fs::create_dir(&allowed).unwrap();
    fs::create_dir(&closed).unwrap();
    symlink(&closed, allowed.join("way")).unwrap();
    protected.owner.write("file", "content");
    protected.protect("files", None);
    protected.laptop.bound(&format!("restore_to = ['{}']", allowed.display()));
    let agent = protected.agent();
    protected.ends(protected.ask_for_backup("files"), JobState::Succeeded);
    let point = protected.newest("files");
    for to in [closed.clone(), allowed.join("way"), allowed.join("way/deep")] {
        let job = protected.ends(protected.ask_for_restore("files", point, Some(to.clone())), JobState::Failed);
        let why = problem(job);
        assert!(why.contains("cannot restore to") || why.contains("restore_to"), "{}: {why}", to.display());
    }
    assert_eq!(fs::read_dir(&closed).unwrap().count(), 0);
    let job = protected.ask_for_restore("files", point, Some(allowed.join("here")));
    protected.ends(job, JobState::Succeeded);
    let source = protected.owner.path("source");
    assert!(allowed.join("here").join(source.strip_prefix("/").unwrap()).join("file").exists());
    // What is there is left, and told.
    let again = protected.ends(protected.ask_for_restore("files", point, Some(allowed.join("here"))), JobState::Warnings);
    let Some(JobResult::Restore(receipt)) = &again.result else { panic!("{again:?}") };
    assert_eq!(receipt.differences_count, 1);
    assert_eq!(protected.log(again.job).warnings[0].kind, "in_the_way");
    // Or changed, where that is asked for.
    let file = allowed.join("here").join(source.strip_prefix("/").unwrap()).join("file");
    let before = fs::metadata(&file).unwrap().ino();
    fs::write(&file, "something else").unwrap();
    let in_place = api::Overwriting::InPlace;
    let changed = protected.ask_for_restore_over("files", point, Some(allowed.join("here")), in_place);
    protected.ends(changed, JobState::Succeeded);
    assert_eq!((fs::read(&file).unwrap(), fs::metadata(&file).unwrap().ino()), (b"content".to_vec(), before));
    drop(agent);
}

#[test]
fn what_is_not_allowed_is_not_backed_up_and_a_least_scope_is() {
    let protected = Protected::new();
    for name in ["open/file", "open/never/file", "closed/file", "least/file"] {
        protected.owner.write(name, "content");
    }
    let source = protected.owner.path("source");
    let path = |name: &str| source.join(name).to_str().unwrap().to_owned();
    protected.laptop.bound(&format!(
        "allowed = ['{}']\nnever = ['{}']\n[least.partly]\npaths = ['{}']\n",
        path("open"),
        path("open/never"),
        path("least")
    ));
    protected.protect_paths("partly", None, vec![path("open"), path("closed")]);
    protected.protect_paths("not-at-all", None, vec![path("closed")]);
    let agent = protected.agent();
    let partly = protected.ends(protected.ask_for_backup("partly"), JobState::Warnings);
    let Some(JobResult::Backup(result)) = &partly.result else { panic!("{partly:?}") };
    assert_eq!((result.files, result.completeness), (2, Completeness::Warnings));
    let log = protected.log(partly.job);
    assert!(log.warnings.iter().any(|warning| warning.kind == "not_allowed" && warning.path == path("closed")), "{log:?}");
    assert!(log.lines.iter().any(|line| line.text.contains("left out always")), "{log:?}");
    let refused = protected.ends(protected.ask_for_backup("not-at-all"), JobState::Failed);
    assert!(problem(refused).contains("allowed"));
    drop(agent);
    let listed = protected.laptop.ok(&["ls", "latest", "--item", "partly", "--recursive"]).to_string();
    assert!(listed.contains("least/file") && listed.contains("open/file"), "{listed}");
    assert!(!listed.contains("never/file") && !listed.contains("closed"), "{listed}");
}

pub(crate) fn script(path: &Path, text: &str) -> String {
    fs::write(path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
    path.to_str().unwrap().to_owned()
}

pub(crate) fn with_hooks(before: &str, after: &str) -> PolicySettings {
    let hook =
        |command: &str| Some(Hook { command: vec![command.to_owned()], timeout_seconds: 20, on_failure: HookFailure::Fail });
    PolicySettings { hooks: HookSettings { before: hook(before), after: hook(after) }, ..due_before() }
}

#[test]
fn hooks_run_only_if_this_machine_lists_them_and_what_was_frozen_thaws() {
    let protected = Protected::new();
    protected.owner.write("file", "content");
    let marks = protected.owner.text("marks");
    let freeze = script(&protected.owner.path("freeze"), &format!("echo freeze >> '{marks}'; echo frozen"));
    let thaw = script(&protected.owner.path("thaw"), &format!("echo thaw >> '{marks}'"));
    let fail = script(&protected.owner.path("fail"), &format!("echo fail >> '{marks}'; exit 4"));
    let marked = || fs::read_to_string(&marks).unwrap_or_default();
    protected.protect("files", Some(with_hooks(&freeze, &thaw)));
    let agent = protected.agent();
    let refused = protected.ends(protected.ask_for_backup("files"), JobState::Failed);
    assert!(problem(refused).contains("hooks"));
    assert_eq!(marked(), "");
    agent.terminate();
    protected.laptop.bound(&format!("hooks = true\nhook_commands = [['{freeze}'], ['{thaw}'], ['{fail}']]"));
    let agent = protected.agent();
    let done = protected.ends(protected.ask_for_backup("files"), JobState::Succeeded);
    assert_eq!(marked(), "freeze\nthaw\n");
    assert!(protected.log(done.job).lines.iter().any(|line| line.text.contains("frozen")));
    // One that fails ends the run, and what may be frozen thaws.
    protected.protect("files", Some(with_hooks(&fail, &thaw)));
    let failed = protected.ends(protected.ask_for_backup("files"), JobState::Failed);
    assert!(problem(failed).contains("exit status: 4"));
    assert_eq!(marked(), "freeze\nthaw\nfail\nthaw\n");
    drop(agent);
}

#[test]
fn paths_are_looked_at_after_the_hook_that_makes_them_and_what_was_made_goes_in_any_case() {
    let protected = Protected::new();
    let (snapshots, latest) = (protected.owner.path("snapshots"), protected.owner.text("snapshots/latest"));
    fs::create_dir_all(snapshots.join("yesterday")).unwrap();
    fs::write(snapshots.join("yesterday/old"), "old").unwrap();
    symlink("yesterday", &latest).unwrap();
    let make = script(
        &protected.owner.path("make"),
        &format!("cd '{}' && mkdir today && echo new > today/new && ln -sfn today latest", snapshots.display()),
    );
    let drop_it = script(&protected.owner.path("drop"), &format!("rm -r '{}/today'", snapshots.display()));
    let nothing = script(&protected.owner.path("nothing"), "true");
    protected.laptop.bound(&format!("hooks = true\nhook_commands = [['{make}'], ['{nothing}'], ['{drop_it}']]"));
    protected.protect_paths("files", Some(with_hooks(&make, &drop_it)), vec![format!("{latest}/")]);
    let agent = protected.agent();
    protected.ends(protected.ask_for_backup("files"), JobState::Succeeded);
    assert!(!snapshots.join("today").exists());
    let listed = protected.laptop.ok(&["ls", "latest", "--item", "files", "--recursive"]).to_string();
    assert!(listed.contains("today/new") && !listed.contains("yesterday"), "{listed}");
    // Now the link leads nowhere, and the hook makes nothing: the run fails, and the other hook ran all the same.
    fs::create_dir(snapshots.join("today")).unwrap();
    fs::remove_file(&latest).unwrap();
    protected.protect_paths("files", Some(with_hooks(&nothing, &drop_it)), vec![format!("{latest}/")]);
    let failed = protected.ends(protected.ask_for_backup("files"), JobState::Failed);
    assert!(problem(failed).contains("no path of the item is there"));
    assert!(!snapshots.join("today").exists());
    drop(agent);
}

#[test]
fn an_agent_that_dies_between_its_hooks_thaws_when_it_is_back() {
    let protected = Protected::new();
    protected.owner.write("file", "content");
    let marks = protected.owner.text("marks");
    let freeze = script(&protected.owner.path("freeze"), &format!("echo freeze >> '{marks}'; sleep 10"));
    let thaw = script(&protected.owner.path("thaw"), &format!("echo thaw >> '{marks}'"));
    let marked = || fs::read_to_string(&marks).unwrap_or_default();
    protected.protect("files", Some(with_hooks(&freeze, &thaw)));
    protected.laptop.bound(&format!("hooks = true\nhook_commands = [['{freeze}'], ['{thaw}']]"));
    let agent = protected.agent();
    let asked = protected.ask_for_backup("files");
    protected.until("it is frozen", || marked().contains("freeze").then_some(()));
    agent.kill_after(std::time::Duration::ZERO);
    assert_eq!(marked(), "freeze\n");
    let agent = protected.agent();
    protected.until("it is thawed", || marked().starts_with("freeze\nthaw\n").then_some(()));
    protected.ends(asked, JobState::Succeeded);
    assert_eq!(marked(), "freeze\nthaw\nfreeze\nthaw\n");
    drop(agent);
}
