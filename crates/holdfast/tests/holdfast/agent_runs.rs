//! Agents that run by themselves: schedules, jobs that somebody asks for, and everything that may die in between.

use crate::agent_bounds::{script, with_hooks};
use crate::machine::assert_equal;
use crate::protected::{Protected, daily_at_minute_of, due_before, now_ms};
use api::{Completeness, JobOrigin, JobResult, JobState};
use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

fn backup_result(job: &api::Job) -> &api::BackupResult {
    match &job.result {
        Some(JobResult::Backup(result)) => result,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_machine_is_backed_up_by_its_schedule_without_anyone() {
    let protected = Protected::new();
    protected.owner.write("file", "content");
    // The slot is the next full minute, or the one after it, if that is too close.
    let slot_ms = (now_ms() + 8_000) / 60_000 * 60_000 + 60_000;
    protected.protect("files", Some(daily_at_minute_of(slot_ms)));
    let agent = protected.agent();
    let job = protected.until("a run begins", || protected.jobs().first().cloned());
    assert!(now_ms() >= slot_ms, "it was started before its time");
    let job = protected.ends(job.job, JobState::Succeeded);
    assert_eq!(job.origin, JobOrigin::Schedule { slot_ms, missed: 0 });
    assert_eq!((backup_result(&job).completeness, backup_result(&job).files), (Completeness::Clean, 1));
    assert_eq!(agent.terminate().code, 0);
    protected.laptop.assert_restores("latest", &protected.owner.path("source"));
    assert_eq!(protected.jobs().len(), 1, "once");
}

#[test]
fn what_somebody_asks_for_is_backed_up_and_restored_with_a_receipt() {
    let protected = Protected::new();
    protected.owner.write("a/file", "content");
    protected.owner.write("b", vec![7; 3_000_000]);
    protected.protect("files", None);
    let agent = protected.agent();
    let backup = protected.ends(protected.ask_for_backup("files"), JobState::Succeeded);
    assert_eq!((backup.origin.clone(), backup.fence), (JobOrigin::Person, 1));
    let point = backup_result(&backup).point;
    assert_eq!(point, protected.newest("files"));
    let restore = protected.ends(protected.ask_for_restore("files", point, None), JobState::Succeeded);
    let Some(JobResult::Restore(receipt)) = &restore.result else { panic!("{restore:?}") };
    assert_eq!((receipt.point, receipt.files, receipt.differences_count), (point, 2, 0));
    assert!(receipt.bytes_verified >= 3_000_000 && receipt.blobs_verified > 0, "{receipt:?}");
    let source = protected.owner.path("source");
    let restored = std::path::Path::new(&receipt.to).join(source.strip_prefix("/").unwrap());
    assert_equal(&source, &restored);
    assert!(receipt.to.contains("restores") && receipt.to.ends_with(&restore.job.to_string()));
    drop(agent);
}

#[test]
fn a_machine_that_was_off_catches_up_once_and_a_missing_part_is_told() {
    let protected = Protected::new();
    protected.owner.write("file", "content");
    let paths = vec![protected.owner.text("source"), protected.owner.text("not mounted")];
    protected.protect("whole", Some(due_before()));
    protected.protect_paths("part", Some(due_before()), paths);
    protected.backdate();
    let agent = protected.agent();
    let find = |item: &str| protected.jobs().into_iter().find(|job| job.work.item().unwrap().as_str() == item);
    let whole = protected.until("the whole item is run", || find("whole"));
    let whole = protected.ends(whole.job, JobState::Succeeded);
    assert!(matches!(whole.origin, JobOrigin::Schedule { missed: 1, .. }), "{whole:?}");
    let part = protected.until("the other one is", || find("part"));
    let part = protected.ends(part.job, JobState::Warnings);
    assert_eq!(backup_result(&part).completeness, Completeness::Incomplete);
    let log = protected.log(part.job);
    assert!(log.warnings.iter().any(|warning| warning.kind == "missing" && warning.path.ends_with("not mounted")), "{log:?}");
    // Some minutes later it is there: the slot gets a whole point.
    fs::create_dir(protected.owner.path("not mounted")).unwrap();
    let again = protected.until("it is tried again", || protected.jobs().into_iter().find(|job| job.attempt == 2));
    let again = protected.end_of(again.job);
    assert_eq!(backup_result(&again).completeness, Completeness::Clean, "{again:?}");
    drop(agent);
    assert_eq!(protected.jobs().iter().filter(|job| job.work.item().unwrap().as_str() == "whole").count(), 1);
}

#[test]
fn the_service_knows_of_a_point_that_a_part_is_missing_though_the_part_was_there_when_the_run_began() {
    let protected = Protected::new();
    protected.owner.write("file", "content");
    // Nothing of it is ever kept, which the walk finds out.
    let _listener = std::os::unix::net::UnixListener::bind(protected.owner.path("socket")).unwrap();
    let paths = vec![protected.owner.text("source"), protected.owner.text("socket")];
    protected.protect_paths("part", None, paths);
    let agent = protected.agent();
    let done = protected.ends(protected.ask_for_backup("part"), JobState::Warnings);
    assert_eq!(backup_result(&done).completeness, Completeness::Incomplete);
    let points = protected.owner.ok(&["item", "points", "part"]);
    assert_eq!(points["points"][0]["completeness"], "incomplete", "{points}");
    drop(agent);
}

#[test]
fn while_the_service_is_away_schedules_go_on_and_everything_is_told_when_it_is_back() {
    let protected = Protected::new();
    protected.owner.write("file", "content");
    protected.protect("files", Some(due_before()));
    protected.backdate();
    protected.owner.service().go_away();
    // It starts by what it knows.
    let agent = protected.agent();
    let reports = protected.laptop.agent_state().join("reports");
    let waiting = || fs::read_dir(&reports).map_or(0, Iterator::count);
    protected.until_local("the run that failed waits to be told", || (waiting() > 0).then_some(()));
    protected.owner.service().come_back();
    let done = protected.until("the slot has its point", || protected.jobs().into_iter().find(|job| job.state.is_done()));
    let failed =
        protected.until("the failure is told", || protected.jobs().into_iter().find(|job| job.state == JobState::Failed));
    assert_eq!(failed.origin, done.origin, "both are for one slot");
    assert!(failed.problem.unwrap().message.contains("cannot reach"), "it says why");
    assert!(done.attempt > failed.attempt);
    protected.until("all is told", || (waiting() == 0).then_some(()));
    assert_eq!(agent.terminate().code, 0);
    assert_eq!(protected.points(), 1);
}

#[test]
fn an_agent_killed_in_a_backup_goes_on_when_it_is_back_and_every_state_is_true() {
    let protected = Protected::new();
    for file in 0..40 {
        protected.owner.write(&format!("{file}"), noise(file, 2_000_000));
    }
    protected.protect("scheduled", Some(due_before()));
    protected.protect("asked", None);
    protected.backdate();
    let agent = protected.agent();
    let scheduled = protected.until("the scheduled run begins", || protected.jobs().first().cloned());
    let asked = protected.ask_for_backup("asked");
    protected.until("both run", || (protected.job(asked).state == JobState::Running).then_some(()));
    agent.kill_after(Duration::from_millis(300));
    let agent = protected.agent();
    let asked = protected.end_of(asked);
    assert!(asked.state.is_done(), "{asked:?}");
    let first = protected.end_of(scheduled.job);
    let done = protected.until("the slot has its point", || {
        protected.jobs().into_iter().find(|job| job.state.is_done() && job.origin == scheduled.origin)
    });
    match first.state {
        // It was committed before the kill: there is no second run.
        state if state.is_done() => assert_eq!(done.job, first.job),
        JobState::Interrupted => assert!(done.job != first.job && done.attempt == 2, "{done:?}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(agent.terminate().code, 0);
    assert_eq!(protected.points(), 2, "a point each");
    let jobs = protected.jobs();
    assert!(jobs.iter().all(|job| job.state.is_over()), "{jobs:#?}");
    assert_eq!(jobs.iter().filter(|job| job.state.is_done()).count(), 2, "{jobs:#?}");
}

#[test]
fn a_scheduled_run_that_is_refused_because_its_job_has_its_point_is_done() {
    let protected = Protected::new();
    protected.owner.write("file", "content");
    let (frozen, go_on) = (protected.owner.path("frozen"), protected.owner.path("go on"));
    let wait = format!("touch '{}'; until [ -e '{}' ]; do sleep 0.1; done", frozen.display(), go_on.display());
    let (wait, nothing) = (script(&protected.owner.path("wait"), &wait), script(&protected.owner.path("nothing"), "true"));
    protected.laptop.bound(&format!("hooks = true\nhook_commands = [['{wait}'], ['{nothing}']]"));
    protected.protect("files", Some(with_hooks(&wait, &nothing)));
    protected.backdate();
    let agent = protected.agent();
    let run = protected.until("a run begins", || protected.jobs().first().cloned());
    protected.until("its hook runs", || frozen.exists().then_some(()));
    // As after a commit that was done, and whose answer nobody got.
    protected.laptop.ok(&["backup", &protected.owner.text("source"), "--item", "files"]);
    let point = protected.newest("files");
    protected.owner.in_the_services_database(&format!("UPDATE points SET job = x'{}'", run.job));
    fs::write(&go_on, "").unwrap();
    let done = protected.ends(run.job, JobState::Succeeded);
    assert_eq!(
        (backup_result(&done).point, backup_result(&done).files),
        (point, 1),
        "the agent has looked, and knows what is in it"
    );
    assert!(protected.log(run.job).lines.iter().any(|line| line.text.contains("nobody here had heard of it")));
    assert_eq!(agent.terminate().code, 0);
    assert_eq!((protected.points(), protected.jobs().len()), (1, 1));
}

#[test]
fn an_agent_that_is_ended_in_a_job_goes_on_with_it_at_the_next_start() {
    let protected = Protected::new();
    for file in 0..40 {
        protected.owner.write(&format!("{file}"), noise(file, 2_000_000));
    }
    protected.protect("files", None);
    protected.protect("scheduled", Some(due_before()));
    protected.backdate();
    let agent = protected.agent();
    let scheduled = protected.until("the scheduled run begins", || protected.jobs().first().cloned());
    let asked = protected.ask_for_backup("files");
    protected.until("it runs", || (protected.job(asked).state == JobState::Running).then_some(()));
    let ended = agent.terminate();
    assert_eq!(ended.code, 0, "{}", ended.err);
    let first = protected.job(scheduled.job);
    assert!(first.state == JobState::Interrupted || first.state.is_done(), "the service was told: {first:?}");
    let agent = protected.agent();
    let asked = protected.end_of(asked);
    assert!(asked.state.is_done() && asked.fence >= 1, "{asked:?}");
    protected.until("the slot has its point", || {
        protected.jobs().into_iter().find(|job| job.state.is_done() && job.origin == scheduled.origin)
    });
    drop(agent);
    assert_eq!(protected.points(), 2);
}

#[test]
fn a_job_that_somebody_cancels_stops_and_its_slot_is_not_run_again() {
    let protected = Protected::new();
    for file in 0..40 {
        protected.owner.write(&format!("{file}"), noise(file, 2_000_000));
    }
    let slow = due_before();
    let bandwidth = policy::BandwidthSettings { outside_bytes_per_second: Some(1 << 20), ..Default::default() };
    protected.protect("files", Some(policy::PolicySettings { bandwidth, ..slow }));
    protected.backdate();
    let agent = protected.agent();
    let job = protected.until("a run begins", || protected.jobs().first().cloned());
    protected.until("it is told", || (protected.job(job.job).progress.is_some()).then_some(()));
    protected.wait(protected.admin.cancel_job(protected.domain, job.job));
    let job = protected.ends(job.job, JobState::Cancelled);
    assert!(job.problem.unwrap().message.contains("asked"));
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(protected.jobs().len(), 1, "it is not begun again");
    // Somebody who asks for it still gets it, as fast as the policy lets it be.
    let asked = protected.ask_for_backup("files");
    protected.until("it runs", || (protected.job(asked).state == JobState::Running).then_some(()));
    protected.wait(protected.admin.cancel_job(protected.domain, asked));
    protected.ends(asked, JobState::Cancelled);
    assert_eq!(agent.terminate().code, 0);
}

#[test]
fn a_run_whose_pack_waits_for_bandwidth_ends_at_once_when_it_is_cancelled_or_its_agent_is_ended() {
    let protected = Protected::new();
    // One pack, for a minute and more.
    protected.owner.write("file", noise(1, 7_500_000));
    let bandwidth = policy::BandwidthSettings { outside_bytes_per_second: Some(128 << 10), ..Default::default() };
    protected.protect("files", Some(policy::PolicySettings { bandwidth, ..daily_at_minute_of(now_ms() + 7_200_000) }));
    let agent = protected.agent();
    let sends = |job| {
        let read = protected.job(job).progress.is_some_and(|progress| progress.bytes >= 7_500_000);
        read.then_some(())
    };
    let asked = protected.ask_for_backup("files");
    protected.until("it sends", || sends(asked));
    let began = Instant::now();
    protected.wait(protected.admin.cancel_job(protected.domain, asked));
    protected.ends(asked, JobState::Cancelled);
    // The pack would take a minute.
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    let asked = protected.ask_for_backup("files");
    protected.until("it sends again", || sends(asked));
    let began = Instant::now();
    assert_eq!(agent.terminate().code, 0);
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}

#[test]
fn two_runs_of_one_item_never_overlap_and_two_agents_of_one_machine_never_run() {
    let protected = Protected::new();
    for file in 0..20 {
        protected.owner.write(&format!("{file}"), noise(file, 1_000_000));
    }
    protected.protect("files", Some(due_before()));
    protected.backdate();
    let agent = protected.agent();
    // Of two that wait for the same the second is refused: each is asked for when the one before has begun.
    let asked = [0; 2].map(|_| {
        let job = protected.ask_for_backup("files");
        protected.until("it begins", || (protected.job(job).state != JobState::Waiting).then_some(job))
    });
    let second = protected.laptop.run(&["agent", "run"]);
    assert_eq!(second.code, 7, "{}", second.err);
    assert!(second.err.contains("another agent"), "{}", second.err);
    asked.iter().for_each(|job| drop(protected.ends(*job, JobState::Succeeded)));
    protected.until("the scheduled one is done too", || {
        protected.jobs().iter().all(|job| job.state.is_over()).then(|| protected.jobs()).filter(|jobs| jobs.len() == 3)
    });
    let mut times: Vec<_> = protected.jobs().iter().map(|job| (job.started_ms.unwrap(), job.ended_ms.unwrap())).collect();
    times.sort_unstable();
    assert!(times.windows(2).all(|pair| pair[0].1 <= pair[1].0), "{times:?}");
    drop(agent);
}

#[test]
fn what_is_due_is_done_once_on_request() {
    let protected = Protected::new();
    protected.owner.write("file", "content");
    protected.protect("files", Some(due_before()));
    protected.backdate();
    let asked = protected.ask_for_backup("files");
    let ended = protected.laptop.run(&["agent", "run", "--once"]);
    assert_eq!(ended.code, 0, "{}", ended.err);
    protected.ends(asked, JobState::Succeeded);
    assert_eq!(protected.jobs().iter().filter(|job| job.state.is_done()).count(), 2);
    protected.owner.service().go_away();
    assert_eq!(protected.laptop.run(&["agent", "run", "--once"]).code, 5);
}

#[test]
fn what_is_due_is_done_once_however_starts_are_spread() {
    let protected = Protected::new();
    protected.owner.write("file", "content");
    // Its slot was a minute ago, and its start is spread over the next hour.
    let slot_ms = now_ms() / 60_000 * 60_000;
    protected.protect("files", Some(policy::PolicySettings { spread_minutes: 60, ..daily_at_minute_of(slot_ms) }));
    protected.backdate();
    let ended = protected.laptop.run(&["agent", "run", "--once"]);
    assert_eq!(ended.code, 0, "{}", ended.err);
    let [job] = &protected.jobs()[..] else { panic!("{:#?}", protected.jobs()) };
    assert_eq!((job.state, &job.origin), (JobState::Succeeded, &JobOrigin::Schedule { slot_ms, missed: 1 }));
}

#[test]
fn once_ends_as_what_it_did_and_fails_where_it_cannot_begin() {
    let protected = Protected::new();
    protected.owner.write("file", "content");
    let (there, gone) = (protected.owner.text("source"), protected.owner.text("gone"));
    protected.protect_paths("partly", None, vec![there, gone.clone()]);
    protected.protect_paths("gone", None, vec![gone]);
    protected.protect("whole", None);
    let once = |item: &str, code: i32, words: &str| {
        protected.ask_for_backup(item);
        let ended = protected.laptop.run(&["agent", "run", "--once"]);
        assert_eq!(ended.code, code, "{}", ended.err);
        assert!(ended.err.contains(words), "{}", ended.err);
    };
    once("partly", 3, "a job is over");
    once("gone", 1, "1 of 1 job failed");
    once("whole", 0, "a job is done");
    // A directory in the way of the new state stands for a disk that is full.
    fs::create_dir(protected.laptop.agent_state().join(".runs.json.new")).unwrap();
    once("whole", 1, "cannot write");
}

#[test]
fn an_agent_that_the_owner_retired_ends_and_says_so() {
    let protected = Protected::new();
    protected.protect("files", None);
    let agent = protected.laptop.ok(&["agent", "status"])["agent"].as_str().unwrap().to_owned();
    let token = fs::read(protected.laptop.service_token()).unwrap();
    protected.owner.ok(&["key", "retire", &agent[..12]]);
    // Its token is ended with it: the service tells it no more than that.
    let running = protected.agent();
    protected.until("it says so", || running.said().contains("does not let this agent in").then_some(()));
    assert_eq!(running.terminate().code, 0);
    let once = protected.laptop.run(&["agent", "run", "--once"]);
    assert_eq!(once.code, 8, "{}", once.err);
    assert!(once.err.contains("agent doctor"), "{}", once.err);
    assert_eq!(fs::read(protected.laptop.service_token()).unwrap(), token);
}

#[test]
fn nothing_waits_for_an_agent_that_is_retired_and_of_one_that_is_away_that_is_said() {
    let protected = Protected::new();
    protected.protect("files", None);
    let asked = protected.owner.run(&["job", "backup", "files"]);
    assert_eq!(asked.code, 0, "{}", asked.err);
    assert!(asked.err.contains("has never spoken to the service"), "{}", asked.err);
    let agent = protected.laptop.ok(&["agent", "status"])["agent"].as_str().unwrap().to_owned();
    let retired = protected.owner.run(&["key", "retire", &agent[..12]]);
    assert!(retired.out.contains("1 job that waited for it is cancelled"), "{} {}", retired.out, retired.err);
    let jobs = protected.jobs();
    assert_eq!(jobs.iter().map(|job| job.state).collect::<Vec<_>>(), [JobState::Cancelled]);
    let refused = protected.owner.run(&["job", "backup", "files"]);
    assert_eq!(refused.code, 8, "{}", refused.err);
    assert!(refused.err.contains("is retired") && refused.err.contains("enroll --replace"), "{}", refused.err);
    assert_eq!(protected.jobs().len(), 1);
}

#[test]
fn an_enrolled_machine_says_its_status_without_being_told_of_what_vault() {
    let protected = Protected::new();
    let named = protected.laptop.ok(&["agent", "status"]);
    let mut command = Command::new(env!("CARGO_BIN_EXE_holdfast"));
    protected.laptop.surround(&mut command);
    let unnamed = command.env_remove("HOLDFAST_VAULT").args(["agent", "status", "--json"]).output().unwrap();
    let unnamed: serde_json::Value = serde_json::from_slice(&unnamed.stdout).unwrap();
    assert_eq!(unnamed["agent"], named["agent"]);
}

/// Bytes that do not compress, the same for the same number.
pub(crate) fn noise(number: u64, length: usize) -> Vec<u8> {
    testkit::Rng::new(number + 1).vec(length)
}

#[test]
fn an_agent_that_follows_changes_backs_up_what_changed_and_everything_where_it_does_not_know() {
    let protected = Protected::new();
    for number in 0..200 {
        protected.owner.write(&format!("d{}/{number}", number % 10), format!("content {number}"));
    }
    protected.protect("files", None);
    protected.owner.bound("journal = 'lenient'\n");
    let agent = protected.agent();
    let backup = || protected.ends(protected.ask_for_backup("files"), JobState::Succeeded);
    let says = |job: &api::Job, words: &str| {
        let log = protected.log(job.job);
        log.lines.iter().any(|line| line.text.contains(words))
    };
    let first = backup();
    if says(&first, "changes cannot be followed") || !says(&first, "it was not followed yet") {
        println!("changes cannot be followed here: {:?}", protected.log(first.job));
        return;
    }
    // What changed within two seconds of its backup is read again by the next one.
    std::thread::sleep(Duration::from_millis(2100));
    protected.owner.write("d3/3", "another content");
    protected.owner.write("new/deep/file", "new");
    fs::remove_dir_all(protected.owner.path("source/d7")).unwrap();
    let second = backup();
    assert!(says(&second, "only what has changed"), "{:?}", protected.log(second.job));
    assert_eq!(backup_result(&second).files, 181);
    protected.laptop.assert_restores("latest", &protected.owner.path("source"));
    // Nothing is known of the time in which no agent ran.
    assert_eq!(agent.terminate().code, 0);
    protected.owner.write("d4/4", "while nobody looked");
    let agent = protected.agent();
    let third = backup();
    assert!(says(&third, "everything was walked: it was not followed yet"), "{:?}", protected.log(third.job));
    protected.laptop.assert_restores("latest", &protected.owner.path("source"));
    drop(agent);
}
