//! What commands say where something is not there, is refused, waits or is stopped: what it is, and how to go on.

use crate::agent_bounds::{script, with_hooks};
use crate::machine::Machine;
use crate::protected::{Protected, name};
use api::{FileScope, ItemRequest, JobState};
use contract::ErrorKind;
use policy::{BandwidthSettings, PolicySettings};
use std::fs;
use std::process::Command;
use testkit::Rng;
use workloads::files::{FileSet, FileSetOptions};

#[test]
fn an_item_that_is_not_there_is_named_and_those_that_are() {
    let machine = Machine::with_vault();
    let nothing = machine.ends(1, &["points", "--item", "files"]);
    assert!(nothing["error"]["hint"].as_str().unwrap().contains("backup PATH --item files"), "{nothing}");
    machine.write("file", "content");
    let point = machine.backup("files");
    for command in [["points", "--item", "flies"].as_slice(), &["find", "file", "--item", "flies"]] {
        let refused = machine.ends(1, command);
        assert_eq!(refused["error"]["message"], "item 'flies' has no point");
        assert_eq!(refused["error"]["hint"], "items with points: files");
    }
    // One whose points are all deleted for a while is there.
    machine.ok(&["expire", &point]);
    assert_eq!(machine.ok(&["points", "--item", "files"])["points"], serde_json::json!([]));
    let protected = Protected::new();
    protected.protect("files", None);
    for machine in [&protected.owner, &protected.laptop] {
        let domain = protected.domain.to_string();
        let listed = machine.ok(&["points", "--item", "files", "--domain", &domain]);
        assert_eq!(listed["points"], serde_json::json!([]), "it is protected, and has no point yet");
        machine.ends(1, &["points", "--item", "flies", "--domain", &domain]);
    }
}

#[test]
fn a_restore_of_nothing_makes_nothing() {
    let machine = Machine::with_vault();
    machine.write("file", "content");
    machine.backup("files");
    let to = machine.text("out");
    let refused = machine.run(&["restore", "latest", "--path", "/nope", "--to", &to]);
    assert_eq!((refused.code, refused.out.as_str()), (1, ""), "{}", refused.err);
    assert!(refused.err.starts_with("error: the point has no '/nope'\nhint: "), "{}", refused.err);
    let json = machine.ends(1, &["restore", "latest", "--path", "/nope", "--to", &to]);
    assert_eq!((&json["not_found"][0]["path"], &json["files"]), (&"nope".into(), &0.into()), "{json}");
    assert!(!machine.path("out").exists());
    // What is there of several paths is restored.
    let some = machine.run(&["restore", "latest", "--path", "/nope", "--path", &machine.text("source/file"), "--to", &to]);
    assert_eq!(some.code, 1);
    assert!(some.out.starts_with("restored 1 file, "), "{}", some.out);
    assert!(some.err.contains("the point has no '/nope'") && machine.restored("out").join("file").exists(), "{}", some.err);
}

#[test]
fn files_that_are_in_the_way_are_listed_up_to_a_bound_and_counted() {
    let machine = Machine::with_vault();
    for file in 0..130 {
        machine.write(&format!("{file}"), "content");
    }
    machine.backup("files");
    let to = machine.text("out");
    machine.ok(&["restore", "latest", "--to", &to]);
    let again = machine.run(&["restore", "latest", "--to", &to]);
    assert_eq!(again.code, 7);
    assert!(again.err.contains("130 there already") && again.err.contains("  and 30 more: '--json' lists"), "{}", again.err);
    assert_eq!(again.err.lines().count(), 102, "{}", again.err);
    let json = machine.ends(7, &["restore", "latest", "--to", &to]);
    assert_eq!((&json["in_the_way_count"], json["in_the_way"].as_array().unwrap().len()), (&130.into(), 130));
}

#[test]
fn who_stops_waiting_hears_how_it_goes_on() {
    let protected = Protected::new();
    protected.protect("files", None);
    let waiting = protected.owner.start(&["job", "backup", "files", "--follow"]);
    protected.until_local("it waits", || waiting.said().contains("holdfast agent list").then_some(()));
    let stopped = waiting.terminate();
    let id = protected.jobs()[0].job.to_string()[..8].to_owned();
    assert_eq!(stopped.code, 130, "{}", stopped.err);
    for words in ["it goes on", &format!("holdfast job follow {id}"), &format!("holdfast job cancel {id}")] {
        assert!(stopped.err.contains(words), "{words}: {}", stopped.err);
    }
    assert_eq!(protected.jobs()[0].state, JobState::Waiting);
}

#[test]
fn a_restore_that_is_stopped_says_how_it_goes_on() {
    let machine = Machine::with_vault();
    machine.write("large", Rng::new(3).vec(256 << 20));
    machine.backup("files");
    let restore = machine.start(&["restore", "latest", "--to", &machine.text("out")]);
    let stopped = restore.terminate();
    // It may have been faster.
    assert!(stopped.code == 0 || (stopped.code == 130 && stopped.err.contains("--resume goes on")), "{}", stopped.err);
}

#[test]
fn a_usage_line_names_what_the_command_takes_and_not_what_the_environment_says() {
    let machine = Machine::with_vault();
    let wrong = machine.run(&["restore", "latest"]);
    assert_eq!(wrong.code, 2);
    assert!(wrong.err.contains("\nUsage: holdfast restore [OPTIONS] --to <DIR> <POINT>\n"), "{}", wrong.err);
    let nested = machine.run(&["item", "set"]);
    assert!(nested.err.contains("\nUsage: holdfast item set [OPTIONS] <ITEM> <PATH>...\n"), "{}", nested.err);
    let named_like_a_command = machine.run(&["--domain", "backup", "restore", "latest"]);
    assert!(named_like_a_command.err.contains("\nUsage: holdfast restore [OPTIONS]"), "{}", named_like_a_command.err);
    assert_eq!(machine.run(&["--help"]).code, 0);
}

#[test]
fn an_object_that_cannot_be_written_is_told_on_standard_error() {
    let machine = Machine::with_vault();
    let mut command = Command::new(env!("CARGO_BIN_EXE_holdfast"));
    machine.surround(&mut command);
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = command.args(["points", "--json"]).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("standard output cannot be written"), "{said}");
}

#[test]
fn another_scope_of_an_item_is_told_without_a_path() {
    let machine = Machine::with_vault();
    machine.write("one/file", "content");
    machine.write("two/file", "content");
    machine.backup_of("source/one", "files");
    let changed = machine.run(&["backup", &machine.text("source/two"), "--item", "files"]);
    assert_eq!(changed.code, 3);
    assert!(changed.err.contains("warning: the paths are not those of the item's last point: "), "{}", changed.err);
}

#[test]
fn a_configuration_that_cannot_be_used_says_how_to_mend_it() {
    let protected = Protected::new();
    for (text, expected) in [("jobs = 0", "jobs is from 1"), ("job = 1", "as a configuration"), ("jobs = ", "as a configuration")]
    {
        protected.laptop.bound(text);
        let refused = protected.laptop.run(&["agent", "run", "--once"]);
        assert_eq!(refused.code, 1);
        assert!(refused.err.contains(expected) && refused.err.contains("hint: mend that file"), "{}", refused.err);
    }
}

#[test]
fn what_a_hook_prints_is_in_the_log_line_by_line_and_escaped_once() {
    let protected = Protected::new();
    protected.owner.write("file", "content");
    let before = script(&protected.owner.path("before"), r"printf 'hello\nback\\slash\n\n'");
    let after = script(&protected.owner.path("after"), "true");
    protected.laptop.bound(&format!("hooks = true\nhook_commands = [['{before}'], ['{after}']]"));
    protected.protect("files", Some(with_hooks(&before, &after)));
    let agent = protected.agent();
    protected.ends(protected.ask_for_backup("files"), JobState::Succeeded);
    let shown = protected.owner.run(&["job", "show", "latest", "--log"]).out;
    let lines: Vec<&str> = shown.lines().filter_map(|line| line.split_once("the hook ").map(|(_, said)| said)).collect();
    let expected = ["before the run: hello", r"before the run: back\\slash", "after the run: it printed nothing"];
    assert_eq!(lines, expected, "{shown}");
    drop(agent);
}

#[test]
fn a_run_whose_bandwidth_is_limited_says_so_and_one_that_waits_says_behind_which() {
    let protected = Protected::new();
    protected.owner.write("large", Rng::new(5).vec(12 << 20));
    let bandwidth = BandwidthSettings { outside_bytes_per_second: Some(512 << 10), ..Default::default() };
    protected.protect("files", Some(PolicySettings { bandwidth, ..PolicySettings::new("Slow", "UTC") }));
    let agent = protected.agent();
    let job = protected.ask_for_backup("files");
    let phase = || protected.job(job).progress.map(|progress| progress.phase).unwrap_or_default();
    protected.until("it says that it is limited", || phase().starts_with("backing up, limited to 512.0 KiB/s, ").then_some(()));
    let second = protected.ask_for_backup("files");
    let behind = format!("waits until the agent is done with job {} (backup of files)", &job.to_string()[..8]);
    let listed = protected.owner.run(&["job", "list"]).out;
    assert!(listed.contains(&behind), "{listed}");
    let shown = protected.owner.run(&["job", "show", &second.to_string()]).out;
    assert!(shown.contains(&format!("outcome   {behind}")), "{shown}");
    for job in [second, job] {
        protected.owner.ok(&["job", "cancel", &job.to_string()]);
        protected.end_of(job);
    }
    drop(agent);
}

#[test]
fn a_secret_can_be_tested_and_one_that_is_given_is_looked_at() {
    let machine = Machine::with_vault();
    let kit = machine.text("kit");
    let tested = machine.ok(&["key", "test"]);
    assert_eq!((&tested["secret"], &tested["domains_opened"]), (&"recovery kit".into(), &1.into()));
    let other = Machine::with_vault();
    let wrong_kit = other.text("kit");
    for command in [["points"].as_slice(), &["status"], &["key", "test"]] {
        machine.ok(&[command, &["--recovery-kit", &kit]].concat());
        machine.ends(6, &[command, &["--recovery-kit", &wrong_kit]].concat());
    }
    let machine = Machine::with_passphrase();
    let right = machine.text("passphrase");
    let tested = machine.ok(&["key", "test"]);
    assert_eq!((&tested["secret"], &tested["opens_wrap_on_machine"]), (&"passphrase".into(), &true.into()));
    assert!(tested["opens_wrap_in_vault"].is_null(), "it keeps none: {tested}");
    let said = machine.run(&["key", "test"]);
    assert!(said.out.contains("on this machine alone"), "{}", said.out);
    for command in [["points"].as_slice(), &["status"], &["key", "test"]] {
        machine.ok(&[command, &["--passphrase-file", &right]].concat());
        let written = machine.private("wrong", "another passphrase");
        machine.ends(6, &[command, &["--passphrase-file", written.to_str().unwrap()]].concat());
    }
    // What the environment has costs nothing where it is not needed.
    let wrong = machine.private("wrong", "another passphrase");
    let machine = machine.without_secret().with("HOLDFAST_PASSPHRASE_FILE", wrong);
    machine.ok(&["points"]);
    machine.ends(6, &["key", "test"]);
}

#[test]
fn the_service_refuses_the_patterns_that_an_agent_would_fail_with() {
    let compiles = |excludes: Vec<String>, includes: Vec<String>| {
        let options = FileSetOptions { roots: vec!["/".into()], excludes, includes, ..FileSetOptions::default() };
        FileSet::new(options).is_ok()
    };
    let checked = |excludes: Vec<String>, includes: Vec<String>| {
        FileScope { excludes, includes, ..FileScope::default() }.check_patterns().is_ok()
    };
    let alphabet: Vec<char> = "[]{}\\-!^a*/,# c?".chars().collect();
    let mut random = Rng::new(11);
    for round in 0..6000_u32 {
        let length = 1 + round as usize % 9;
        let line: String = (0..length).map(|_| *random.pick(&alphabet)).collect();
        let (excluded, included) = ((vec![line.clone()], Vec::new()), (Vec::new(), vec![line.clone()]));
        for (excludes, includes) in [excluded, included] {
            let expected = compiles(excludes.clone(), includes.clone());
            assert_eq!(checked(excludes, includes), expected, "{line:?}");
        }
    }
    // What the limits let through compiles, and so does the most of it.
    for step in ["{b,a", "{", "{,", "{a*,[!b]?"] {
        let deepest = (1..200).map(|depth| [step.repeat(depth), "}".repeat(depth)].concat());
        let deepest = deepest.take_while(|line| checked(vec![line.clone()], Vec::new())).last().unwrap();
        assert!(deepest.matches('{').count() >= 80 && compiles(vec![deepest.clone()], Vec::new()), "{deepest}");
    }
    for unit in ["?", "*", "**/", "[!a-z]", "é", "{a,b}"] {
        let lines = |number: usize| vec![unit.repeat(4000 / unit.len()); number];
        let most = (1..200).take_while(|number| checked(lines(*number), Vec::new())).last().unwrap();
        assert!(most >= 16 && compiles(lines(most), Vec::new()), "{most} lines of {unit:?}");
    }
    let protected = Protected::new();
    let files = FileScope { paths: vec!["/etc".to_owned()], excludes: vec!["[".to_owned()], ..FileScope::default() };
    let request = ItemRequest { files, policy: None, weaken: false };
    let refused = protected.try_wait(protected.admin.set_item(protected.domain, &name("files"), &request)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Invalid);
    assert!(refused.to_string().contains("malformed pattern"), "{refused}");
}
