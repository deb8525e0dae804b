//! The state across restarts, crashes between its files, and damage.

use super::*;
use api::{JobOrigin, JobState, Work};
use format::AgentKey;

const SLOT: i64 = 5_000;

fn item() -> ItemName {
    ItemName::new("files").unwrap()
}

fn report(origin: JobOrigin, state: JobState) -> JobReport {
    let work = Work::Backup { item: item(), reread: false };
    JobReport { state, ..JobReport::begun(AgentKey([1; 32]), 0, work, origin, 1, 1) }
}

fn scheduled() -> JobOrigin {
    JobOrigin::Schedule { slot_ms: SLOT, missed: 0 }
}

fn begun(origin: JobOrigin) -> Begun {
    Begun { report: report(origin, JobState::Running), sequence_before: 3, thaw: None, deaths: 0, rests: false }
}

fn open(directory: &Path) -> State {
    let (state, words) = State::open(directory).unwrap();
    assert!(words.is_empty(), "{words:?}");
    state
}

#[test]
fn a_second_agent_of_one_vault_does_not_start() {
    let directory = tempfile::tempdir().unwrap();
    let first = open(directory.path());
    assert!(matches!(State::open(directory.path()), Err(AgentError::Running { .. })));
    assert!(glance(directory.path()).unwrap().running);
    drop(first);
    open(directory.path());
    assert!(!glance(directory.path()).unwrap().running);
}

#[test]
fn what_was_under_way_is_known_after_a_kill() {
    let directory = tempfile::tempdir().unwrap();
    let job = JobId([7; 16]);
    let mut state = open(directory.path());
    state.begin(job, begun(scheduled())).unwrap();
    state
        .note_thaw(job, Some(Hook { command: vec!["/thaw".into()], timeout_seconds: 1, on_failure: Default::default() }))
        .unwrap();
    drop(state);
    let state = open(directory.path());
    let [(found, begun)] = &state.begun()[..] else { panic!("{:?}", state.begun()) };
    assert_eq!((*found, begun.sequence_before, begun.slot_ms()), (job, 3, Some(SLOT)));
    assert!(begun.thaw.is_some());
}

#[test]
fn how_often_the_agent_died_in_a_job_is_known_and_that_it_was_ended_is_no_death() {
    let directory = tempfile::tempdir().unwrap();
    let job = JobId([7; 16]);
    let mut state = open(directory.path());
    state.begin(job, begun(JobOrigin::Person)).unwrap();
    for (died, deaths) in [(true, 1), (false, 1), (true, 2)] {
        state.rest(job, died).unwrap();
        drop(state);
        state = open(directory.path());
        assert_eq!((state.begun()[0].1.deaths, state.begun()[0].1.rests), (deaths, true));
    }
}

#[test]
fn reports_wait_in_order_until_they_are_taken() {
    let directory = tempfile::tempdir().unwrap();
    let mut state = open(directory.path());
    for number in 1..=3 {
        let job = JobId([number; 16]);
        state.begin(job, begun(scheduled())).unwrap();
        state.end(job, &report(scheduled(), JobState::Succeeded), SlotEnd::Done, 9).unwrap();
    }
    drop(state);
    let mut state = open(directory.path());
    assert_eq!((state.reports(), state.begun().len()), (3, 0));
    assert_eq!(state.item(&item()).last_slot_ms, Some(SLOT));
    for number in 1..=3 {
        let (place, waiting) = state.oldest_report().unwrap().unwrap();
        assert_eq!(waiting.job(), Some(JobId([number; 16])));
        state.drop_report(place).unwrap();
    }
    assert!(state.oldest_report().unwrap().is_none());
}

#[test]
fn a_job_whose_report_was_written_is_over_though_the_crash_came_before_the_rest() {
    let directory = tempfile::tempdir().unwrap();
    let (done, asked) = (JobId([1; 16]), JobId([2; 16]));
    let mut state = open(directory.path());
    state.begin(done, begun(scheduled())).unwrap();
    state.begin(asked, begun(JobOrigin::Person)).unwrap();
    state.outbox.put(done, &report(scheduled(), JobState::Succeeded), SlotEnd::Done).unwrap();
    drop(state);
    let state = open(directory.path());
    assert_eq!(state.item(&item()).last_slot_ms, Some(SLOT), "it is not run twice");
    assert_eq!(state.begun().iter().map(|(job, _)| *job).collect::<Vec<_>>(), [asked], "what somebody asked for goes on");
}

#[test]
fn damaged_files_are_named_and_the_agent_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let mut state = open(directory.path());
    state.keep_protection(Protection { revision: 4, items: Vec::new() }, 8).unwrap();
    state.begin(JobId([1; 16]), begun(scheduled())).unwrap();
    state.end(JobId([1; 16]), &report(scheduled(), JobState::Failed), SlotEnd::Failed { away: false }, 9).unwrap();
    drop(state);
    assert_eq!(glance(directory.path()).unwrap().protection.unwrap().protection.revision, 4);
    for name in [RUNS, PROTECTION, "reports/00000000000000000001.json"] {
        std::fs::write(directory.path().join(name), "{").unwrap();
    }
    assert_eq!(glance(directory.path()).unwrap().damaged.len(), 2);
    let (state, words) = State::open(directory.path()).unwrap();
    assert_eq!(words.len(), 3, "{words:?}");
    assert!(state.protection().is_none() && state.reports() == 0);
    assert!(directory.path().join("runs.json.damaged").exists());
    drop(state);
    open(directory.path());
}

#[test]
fn a_state_of_another_schema_is_set_aside_and_not_taken_for_ones_own() {
    let directory = tempfile::tempdir().unwrap();
    let other = r#"{"schema":"holdfast.agent-state/9","items":{},"jobs":{}}"#;
    std::fs::write(directory.path().join(RUNS), other).unwrap();
    let (_state, words) = State::open(directory.path()).unwrap();
    assert!(words[0].contains("agent-state/9"), "{words:?}");
    assert_eq!(std::fs::read_to_string(directory.path().join("runs.json.damaged")).unwrap(), other);
}

#[test]
fn a_write_that_fails_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let mut state = open(directory.path());
    state.begin(JobId([1; 16]), begun(scheduled())).unwrap();
    // A directory in the way of the new file stands for a disk that takes nothing; root may write everywhere.
    std::fs::create_dir(directory.path().join(".runs.json.new")).unwrap();
    let error = state.begin(JobId([2; 16]), begun(scheduled())).unwrap_err();
    assert!(matches!(error, AgentError::Write { .. }), "{error}");
    assert_eq!(state.begun().len(), 1);
    std::fs::remove_dir(directory.path().join(".runs.json.new")).unwrap();
    state.begin(JobId([2; 16]), begun(scheduled())).unwrap();
    assert_eq!(state.begun().len(), 2);
}
