//! What commands say to whoever meets something for the first time: what is missing, what is waited for, what comes next.

use crate::machine::{Ended, Machine};
use crate::protected::{Protected, daily_at_minute_of, name, now_ms};
use api::{JobState, RestoreWork, Work};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// Runs as somebody whom the modes of files hold back, also where the test is root.
fn run_without_rights(machine: &Machine, arguments: &[&str]) -> Ended {
    let mut command = match rustix::process::geteuid().is_root() {
        true => {
            let mut command = Command::new("setpriv");
            command.args(["--bounding-set=-dac_override,-dac_read_search", "--", env!("CARGO_BIN_EXE_holdfast")]);
            command
        }
        false => Command::new(env!("CARGO_BIN_EXE_holdfast")),
    };
    machine.surround(&mut command);
    ended(command.env("PATH", std::env::var_os("PATH").unwrap()).args(arguments))
}

/// Runs where the environment names no vault.
fn run_unnamed(machine: &Machine, arguments: &[&str]) -> Ended {
    let mut command = Command::new(env!("CARGO_BIN_EXE_holdfast"));
    machine.surround(&mut command);
    ended(command.env_remove("HOLDFAST_VAULT").args(arguments))
}

fn ended(command: &mut Command) -> Ended {
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ended { code: output.status.code().unwrap(), out: text(&output.stdout), err: text(&output.stderr), memory_bytes: 0 }
}

/// A directory of the source that nobody may list.
fn closed(machine: &Machine, name: &str) -> PathBuf {
    machine.write(&format!("{name}/file"), "content");
    let path = machine.path("source").join(name);
    fs::set_permissions(&path, Permissions::from_mode(0o000)).unwrap();
    path
}

#[test]
fn of_a_directory_that_cannot_be_listed_no_point_is_made_and_that_is_said() {
    let machine = Machine::with_vault();
    let path = closed(&machine, "closed");
    let refused = run_without_rights(&machine, &["backup", path.to_str().unwrap(), "--item", "closed"]);
    assert_eq!(refused.code, 1, "{}", refused.err);
    for words in ["cannot be read and is not in the point", "no point is made", "hint: ", "has to be able to read them"] {
        assert!(refused.err.contains(words), "{words}: {}", refused.err);
    }
    assert!(machine.points().is_empty());
}

#[test]
fn a_point_that_lacks_a_whole_path_is_marked_where_it_is_listed_and_where_it_is_read() {
    for machine in [Machine::with_vault(), Machine::with_service()] {
        machine.write("open/file", "content");
        let (open, path) = (machine.text("source/open"), closed(&machine, "closed"));
        let paths = [open.as_str(), path.to_str().unwrap()];
        let made = run_without_rights(&machine, &["backup", paths[0], paths[1], "--item", "both"]);
        assert_eq!(made.code, 3, "{}", made.err);
        assert!(made.out.contains("INCOMPLETE: nothing of '") && made.out.contains("\n1 warning\n"), "{}", made.out);
        let told = run_without_rights(&machine, &["backup", paths[0], paths[1], "--item", "both", "--json"]).json();
        assert_eq!((&told["completeness"], &told["point"]), (&"incomplete".into(), &machine.points()[1].as_str().into()));
        fs::set_permissions(&path, Permissions::from_mode(0o700)).unwrap();
        let whole = machine.ok(&["backup", paths[0], paths[1], "--item", "both"]);
        assert_eq!(whole["completeness"], "clean");
        let listed = machine.run(&["points"]).out;
        let marked: Vec<bool> = listed.lines().skip(1).map(|line| line.contains("INCOMPLETE")).collect();
        assert_eq!(marked, [true, true, false], "{listed}");
        let points = machine.ok(&["points"]);
        assert_eq!(points["points"][0]["completeness"], "incomplete", "{points}");
        // Another machine learns of it as soon as it opens the point.
        let other = machine.other("other");
        if machine.vault().is_absolute() {
            let point = points["points"][0]["id"].as_str().unwrap();
            assert!(!other.run(&["points"]).out.contains("INCOMPLETE"));
            let to = other.text("out of other");
            let restored = other.run(&["restore", point, "--to", &to]);
            assert!(
                restored.err.contains("INCOMPLETE: point ") && restored.err.contains("1 path could not be read"),
                "{}",
                restored.err
            );
            assert_eq!(other.ok(&["ls", point])["completeness"], "incomplete");
            assert_eq!(other.ok(&["ls", "latest"])["completeness"], "clean");
            assert_eq!(other.run(&["points"]).out.matches("INCOMPLETE").count(), 1);
        } else {
            // The service was told when they were committed: whoever asks it knows.
            let asked = machine.ok(&["points"]);
            let completeness: Vec<_> =
                asked["points"].as_array().unwrap().iter().map(|point| point["completeness"].clone()).collect();
            assert_eq!(completeness, ["incomplete", "incomplete", "clean"]);
            fs::remove_file(machine.agent_state().with_file_name("incomplete")).unwrap();
            assert_eq!(machine.run(&["points"]).out.matches("INCOMPLETE").count(), 2, "without what is remembered here");
        }
    }
}

#[test]
fn a_search_says_what_it_leaves_out_and_how_far_it_is_to_those_who_watch() {
    let machine = Machine::with_vault();
    machine.write("file", "1");
    let first = machine.backup("item");
    machine.write("file", "two");
    machine.backup("item");
    machine.ok(&["expire", &first]);
    let found = machine.run(&["find", "file"]);
    assert_eq!(found.code, 0);
    assert_eq!(
        found.err, "1 soft-deleted point was not looked through; '--deleted' does it\n",
        "no progress where nobody watches"
    );
    let json = machine.run(&["find", "file", "--json"]);
    assert_eq!((&json.json()["deleted_points_left_out"], &json.json()["points"]), (&1.into(), &1.into()));
    let progress: serde_json::Value = serde_json::from_str(json.err.lines().next().unwrap()).unwrap();
    assert_eq!((&progress["phase"], &progress["points_total"]), (&"find".into(), &1.into()), "{progress}");
    let all = machine.ok(&["find", "file", "--deleted"]);
    assert_eq!((&all["deleted_points_left_out"], &all["points"]), (&0.into(), &2.into()));
}

#[test]
fn a_collection_says_what_it_leaves_for_the_next_one() {
    let machine = Machine::with_vault();
    machine.write("kept", "kept");
    let point = machine.backup("item");
    machine.ok(&["expire", &point]);
    machine.write("large", testkit::Rng::new(7).vec(96 << 20));
    let source = machine.text("source");
    let packs = machine.objects("/pack/").len();
    let backup = machine.start(&["backup", &source, "--item", "large"]);
    let started = Instant::now();
    while machine.objects("/pack/").len() < packs + 3 {
        assert!(started.elapsed() < Duration::from_secs(60), "no packs come");
        std::thread::sleep(Duration::from_millis(2));
    }
    assert_eq!(backup.kill_after(Duration::ZERO).code, -9);
    let before = machine.ok(&["status"])["pack_bytes"].as_u64().unwrap();
    let first = machine.run(&["collect"]);
    assert!(first.out.contains("a later 'holdfast collect' frees it"), "{}", first.out);
    assert!(first.out.contains("1 soft-deleted point keeps what it needs"), "{}", first.out);
    let second = machine.ok(&["collect"]);
    assert_eq!((&second["bytes_spared"], &second["points_soft_deleted"]), (&0.into(), &1.into()));
    assert!(machine.ok(&["status"])["pack_bytes"].as_u64().unwrap() + (8 << 20) < before, "{second}");
    let third = machine.run(&["collect", "--quiet"]).out;
    assert!(third.starts_with("freed ") && third.lines().count() == 1, "{third}");
}

#[test]
fn a_new_vault_and_a_token_say_what_comes_next() {
    let machine = Machine::new();
    let (vault, kit) = (machine.text("named"), machine.text("kit"));
    let made = run_unnamed(&machine, &["init", "--name", "m", "--kit", &kit, "--vault", &vault]);
    assert_eq!(made.code, 0, "{}", made.err);
    let named = format!("--vault '{vault}' ");
    assert!(made.out.contains(&format!("Next: holdfast {named}backup PATH")), "{}", made.out);
    let made = machine.run(&["init", "--name", "m", "--kit", &machine.text("another kit")]);
    assert!(made.out.contains("Next: holdfast backup PATH"), "{}", made.out);
    let machine = Machine::with_service();
    let to = machine.text("laptop.token");
    let said = machine.run(&["agent", "token", "laptop", "--to", &to]).err;
    for words in
        [format!("scp -p '{to}'"), "holdfast agent enroll --token-file 'laptop.token'".to_owned(), "good once".to_owned()]
    {
        assert!(said.contains(&words), "{words}: {said}");
    }
    // What the hint says works.
    let laptop = machine.other("laptop").without_secret();
    let enrolled = run_unnamed(&laptop, &["agent", "enroll", "--token-file", "laptop.token"]);
    assert_eq!(enrolled.code, 0, "{}", enrolled.err);
    let unnamed = run_unnamed(&laptop, &["points"]);
    assert_eq!(unnamed.code, 2);
    let hint = format!("this machine is enrolled at {}", machine.vault().display());
    assert!(unnamed.err.contains(&hint), "{}", unnamed.err);
}

#[test]
fn a_job_that_waits_for_an_agent_says_so_at_once() {
    let protected = Protected::new();
    protected.protect("files", None);
    let follows = |arguments: &[&str]| {
        let waiting = protected.owner.start(arguments);
        protected.until_local("it says why it waits", || waiting.said().contains("holdfast agent list").then_some(()));
        let said = waiting.said();
        // Not 'latest': the service may have begun a job of its own meanwhile.
        let job = protected.jobs().last().unwrap().job.to_string();
        for words in [format!("'holdfast job show {}'", &job[..8]), format!("'holdfast job cancel {}'", &job[..8])] {
            assert!(said.contains(&words), "{words}: {said}");
        }
        (waiting, said, job)
    };
    let (first, said, job) = follows(&["job", "backup", "files", "--wait"]);
    assert!(said.contains("has never spoken to the service"), "{said}");
    let (second, ..) = follows(&["job", "follow", &job]);
    protected.owner.ok(&["job", "cancel", &job]);
    assert_eq!([first.end().code, second.end().code], [130, 130]);
    // It was there, and is no more.
    let agent = protected.agent();
    protected.until("it has spoken", || protected.wait(protected.admin.agents()).agents.first().map(|_| ()));
    agent.terminate();
    protected.until("it is away", || (!protected.wait(protected.admin.agents()).agents[0].connected).then_some(()));
    let (third, said, job) = follows(&["job", "backup", "files", "--follow"]);
    assert!(said.contains("has been away for ") && said.contains(", since 2"), "{said}");
    protected.owner.ok(&["job", "cancel", &job]);
    assert_eq!(third.end().code, 130);
}

#[test]
fn a_restore_of_a_path_that_the_point_does_not_have_says_how_to_find_it() {
    let protected = Protected::new();
    protected.owner.write("file", "content");
    protected.protect("files", None);
    let agent = protected.agent();
    protected.ends(protected.ask_for_backup("files"), JobState::Succeeded);
    let point = protected.newest("files");
    let paths = vec!["/no/such/path".to_owned()];
    let overwrite = api::Overwriting::Fail;
    let work = Work::Restore(RestoreWork { item: name("files"), point, paths, strip: 0, to: None, overwrite });
    let job = protected.ends(protected.ask(work), JobState::Failed);
    let hint = job.problem.unwrap().hint.unwrap();
    assert!(hint.contains("holdfast ls") && hint.contains("holdfast find") && !hint.contains("check"), "{hint}");
    assert!(job.result.is_none(), "nothing was restored: {:?}", job.result);
    let log = protected.log(job.job);
    let told: Vec<_> = log.warnings.iter().map(|warning| (warning.kind.as_str(), warning.path.as_str())).collect();
    assert_eq!(told, [("not_in_the_point", "/no/such/path")]);
    let staged = Command::new("find").arg(protected.laptop.path(".")).args(["-name", &job.job.to_string()]).output();
    let staged = String::from_utf8(staged.unwrap().stdout).unwrap();
    assert!(!staged.contains("restores"), "nothing was made: {staged}");
    drop(agent);
}

#[test]
fn a_policy_is_previewed_by_the_words_that_set_it() {
    let machine = Machine::with_service();
    let write = |file: &str, hours: i64| {
        let settings = daily_at_minute_of((now_ms() / 86_400_000 * 24 + hours) * 3_600_000);
        fs::write(machine.path(file), serde_json::to_string(&settings).unwrap()).unwrap();
    };
    write("nightly.toml", 1);
    write("other", 5);
    let first = |arguments: &[&str]| {
        let made = machine.ok(&[&["policy", "preview"], arguments].concat())["points"][0]["made"].clone();
        made.as_str().unwrap()[11..13].to_owned()
    };
    // In a file, nothing is asked of anybody.
    let unnamed = run_unnamed(&machine, &["policy", "preview", "nightly.toml", "--json"]);
    assert_eq!(unnamed.code, 0, "{}", unnamed.err);
    for arguments in [["nightly.toml"].as_slice(), &["./nightly.toml"], &["--file", "nightly.toml"], &["nightly", "nightly.toml"]]
    {
        assert_eq!(first(arguments), "01", "{arguments:?}");
    }
    machine.ok(&["policy", "set", "nightly", "nightly.toml"]);
    assert_eq!(first(&["nightly"]), "01");
    // As it would be if the file set it.
    assert_eq!(first(&["nightly", "other"]), "05");
    assert_eq!(first(&["nightly", "--file", "other"]), "05");
    machine.ends(1, &["policy", "preview", "other"]);
    machine.ends(2, &["policy", "preview", "No Name"]);
}

#[test]
fn an_enrolled_machine_shows_its_agent_also_while_the_service_is_away() {
    let protected = Protected::new();
    protected.protect("files", None);
    let agent = protected.agent();
    let file = protected.laptop.agent_state().join("protection.json");
    protected.until("it knows what it protects", || fs::read_to_string(&file).ok().filter(|kept| kept.contains("files")));
    let there = protected.laptop.ok(&["agent", "status"]);
    assert_eq!((&there["running"], &there["items_protected"], &there["points"]), (&true.into(), &1.into(), &0.into()), "{there}");
    protected.owner.service().go_away();
    let away = run_unnamed(&protected.laptop, &["agent", "status"]);
    assert_eq!(away.code, 5, "{}", away.err);
    assert!(away.out.contains("runs     yes") && away.out.contains("1 item protected"), "{}", away.out);
    assert!(away.out.contains("points   not known") && away.err.contains("error: "), "{} {}", away.out, away.err);
    let away = protected.laptop.ends(5, &["agent", "status"]);
    assert_eq!(
        (&away["agent"], &away["running"], &away["error"]["exit_code"]),
        (&there["agent"], &true.into(), &5.into()),
        "{away}"
    );
    let doctor = run_unnamed(&protected.laptop, &["agent", "doctor"]);
    assert!(doctor.code != 2 && doctor.out.contains("enrolment"), "{} {}", doctor.out, doctor.err);
    agent.terminate();
    let ended = run_unnamed(&protected.laptop, &["agent", "status"]);
    assert!(ended.out.contains("runs     no"), "{}", ended.out);
    assert!(Path::new(&protected.laptop.agent_state()).exists());
}

#[test]
fn patterns_that_an_agent_would_fail_with_and_points_that_are_not_deleted_are_refused() {
    let owner = Machine::with_service();
    let refused = owner.ends(2, &["item", "set", "files", "/etc", "--exclude", "["]);
    assert!(refused["error"]["message"].as_str().unwrap().contains("malformed pattern"), "{refused}");
    let machine = Machine::with_vault();
    machine.write("file", "content");
    let point = machine.backup("files");
    let refused = machine.ends(1, &["undelete", "latest"]);
    assert!(refused["error"]["message"].as_str().unwrap().contains("is not deleted"), "{refused}");
    machine.ok(&["expire", &point]);
    machine.ok(&["undelete", &point]);
}
