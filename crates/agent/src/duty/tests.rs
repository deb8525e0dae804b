//! What the loop begins and what it refuses, with a service that is never there.

use super::*;
use crate::agent::{Agent, Places, Secrets};
use crate::bounds::Bounds;
use crate::clock::Clock;
use crate::error::AgentError;
use crate::limits::DEATHS_MAX;
use crate::state::{SlotEnd, State};
use crate::trust::{Seen, Trust};
use api::{JobOrigin, ProtectedItem, ServiceOptions, Work};
use format::DomainId;
use format::descriptor::Descriptor;
use policy::{Days, Hook, HookFailure, PolicySettings, Schedule, TimeOfDay, Times, Timestamp};
use seal::AgentKeys;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use tempfile::TempDir;

const MINUTE_MS: i64 = 60_000;

struct Settable(AtomicI64);

impl Clock for Settable {
    fn now(&self) -> Timestamp {
        Timestamp::from_millisecond(self.0.load(Ordering::Relaxed)).unwrap()
    }
}

struct Nobody;

#[async_trait::async_trait]
impl Trust for Nobody {
    async fn look(&self, _: &api::ServiceVault) -> Result<Arc<Descriptor>, Trouble> {
        Err(Trouble::new(TroubleKind::Away, "nobody is there"))
    }

    async fn look_at(&self, _: &api::ServiceVault, _: DomainId, _: &ItemName) -> Result<Seen, Trouble> {
        Err(Trouble::new(TroubleKind::Away, "nobody is there"))
    }

    fn sequence(&self, _: DomainId, _: &ItemName) -> u64 {
        0
    }

    fn remember(&self, _: DomainId, _: &engine::Remembered) -> Result<(), Trouble> {
        Ok(())
    }
}

/// An agent that nobody runs: a test does what its loop would do.
struct Still {
    duty: Duty,
    clock: Arc<Settable>,
    directory: Arc<TempDir>,
}

impl Still {
    /// Of items that are due every five minutes.
    fn new(items: &[&str], bounds: Bounds) -> Self {
        Self::open(Arc::new(tempfile::tempdir().unwrap()), items, bounds)
    }

    fn open(directory: Arc<TempDir>, items: &[&str], bounds: Bounds) -> Self {
        let clock = Arc::new(Settable(AtomicI64::new(1_800_000_000_000)));
        let keys = AgentKeys::generate(DomainId([7; 16]));
        let state = directory.path().join("state");
        // What one that was dropped had begun still runs: only a process that dies takes all of it along.
        for _ in 0..400 {
            if !matches!(State::open(&state), Err(AgentError::Running { .. })) {
                break;
            }
            std::thread::sleep(Duration::from_millis(25));
        }
        let agent = Agent {
            service: ServiceOptions::new("https://127.0.0.1:1".parse().unwrap(), None, "token".into()),
            domain: keys.domain,
            secrets: Secrets {
                writer: keys.secret.writer(keys.domain),
                signer: Arc::new(keys.signer),
                secret: Some(keys.secret),
            },
            trust: Arc::new(Nobody),
            bounds,
            places: Places { staging: directory.path().join("staging"), state, own: Vec::new() },
            host: "host".to_owned(),
            program: "test".to_owned(),
            clock: clock.clone(),
            once: false,
        };
        let mut duty = agent.open().unwrap().duty;
        let times = Times::Every { minutes: 5, from: TimeOfDay::START, until: TimeOfDay::END };
        let settings = PolicySettings {
            schedules: vec![Schedule { days: Days::Daily, times }],
            spread_minutes: 0,
            ..PolicySettings::new("often", "UTC")
        };
        let items = items.iter().map(|name| ProtectedItem {
            item: item(name),
            files: api::FileScope::default(),
            policy: Some(settings.clone()),
            impact: None,
            since_ms: clock.now_ms() - 24 * 60 * MINUTE_MS,
            last_slot_ms: None,
        });
        duty.on_protection(Ok(Protection { revision: 1, items: items.collect() }));
        Self { duty, clock, directory }
    }

    fn later(&self, minutes: i64) {
        self.clock.0.fetch_add(minutes * MINUTE_MS, Ordering::Relaxed);
    }

    fn running(&self) -> Vec<String> {
        let mut names: Vec<_> = self.duty.running.values().map(|running| running.item.to_string()).collect();
        names.sort();
        names
    }

    /// The job of this item is done.
    fn ends(&mut self, name: &str) {
        let (job, running) = self.duty.running.iter().find(|(_, running)| running.item == item(name)).unwrap();
        let report = api::JobReport { state: JobState::Succeeded, ..running.begun.report.clone() };
        let ended = Ended { job: *job, report: Some(report), end: Some(SlotEnd::Done), retired: false };
        self.duty.on_ended(ended);
    }

    fn asked(&self, number: u8, name: &str) -> Job {
        Job {
            job: JobId([number; 16]),
            domain: self.duty.shared.agent.domain,
            work: Work::Backup { item: item(name), reread: false },
            origin: JobOrigin::Person,
            state: JobState::Running,
            fence: 1,
            attempt: 1,
            cancelling: false,
            created_ms: 0,
            started_ms: None,
            ended_ms: None,
            progress: None,
            warnings_count: 0,
            result: None,
            problem: None,
        }
    }
}

fn item(name: &str) -> ItemName {
    ItemName::new(name).unwrap()
}

fn within(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap().block_on(test);
}

fn one_at_a_time() -> Bounds {
    Bounds { jobs: 1, ..Bounds::default() }
}

#[test]
fn runs_that_take_longer_than_their_schedules_let_others_have_their_turn() {
    within(async {
        let mut still = Still::new(&["a", "b", "c"], Bounds::default());
        let (mut begun, mut turns) = (VecDeque::new(), BTreeMap::new());
        for _ in 0..12 {
            still.duty.look();
            begun.extend(still.running().into_iter().filter(|name| !begun.contains(name)).collect::<Vec<_>>());
            assert_eq!(begun.len(), 2);
            // Each takes longer than the five minutes until its item is due again.
            still.later(7);
            let ended: String = begun.pop_front().unwrap();
            still.ends(&ended);
            *turns.entry(ended).or_insert(0) += 1;
        }
        assert!(turns.len() == 3 && turns.values().all(|turns| *turns >= 3), "{turns:?}");
    });
}

#[test]
fn schedules_and_what_somebody_asks_for_take_no_places_from_each_other() {
    within(async {
        let mut still = Still::new(&["a", "b"], one_at_a_time());
        still.duty.start_given(still.asked(1, "other"));
        still.duty.look();
        assert_eq!(still.running(), ["a", "other"], "one long restore stops no schedule");
        // There is one place for what somebody asks for, and it is taken.
        let notice = Notice { waiting: 3, ..Notice::default() };
        still.duty.claim(&notice);
        assert!(!still.duty.claims.is_asking());
        still.ends("other");
        still.duty.claim(&notice);
        assert!(still.duty.claims.is_asking(), "the schedule that runs takes no place from it");
    });
}

#[test]
fn jobs_of_a_service_for_an_item_that_has_one_are_refused_and_leave_nothing() {
    within(async {
        let mut still = Still::new(&["a"], one_at_a_time());
        still.duty.start_given(still.asked(1, "a"));
        for number in 2..200 {
            still.duty.start_given(still.asked(number, "a"));
        }
        assert_eq!(still.duty.state.begun().len(), 1);
        let notice = Notice { waiting: 1, ..Notice::default() };
        still.ends("a");
        still.duty.claim(&notice);
        assert!(!still.duty.claims.is_asking(), "it is not asked again at once");
        // Of those that it once took and could not go on with there is an end, too.
        let kept = (0..=u8::MAX).filter(|number| still.duty.claims.again(JobId([*number; 16]), None)).count();
        assert!(kept < 100, "{kept}");
    });
}

#[test]
fn a_slot_whose_end_the_disk_has_not_taken_is_not_run_again() {
    within(async {
        let mut still = Still::new(&["a", "b"], Bounds { jobs: 2, ..Bounds::default() });
        still.duty.look();
        assert_eq!(still.running(), ["a", "b"]);
        // A directory in the way of a report stands for a disk that takes no large file.
        let in_the_way = still.directory.path().join("state/reports").join(format!(".{:020}.json.new", 1));
        std::fs::create_dir(&in_the_way).unwrap();
        still.ends("a");
        still.ends("b");
        assert_eq!(still.duty.unsaved.len(), 2);
        // It takes something else.
        still.duty.is_kept(Ok(()));
        still.duty.look();
        assert_eq!(still.duty.unsaved.len(), 2);
        still.duty.is_kept(Ok(()));
        still.later(5);
        still.duty.look_at_items();
        assert_eq!(still.running(), [""; 0], "their slots are done, though nobody has written that down");
        std::fs::remove_dir(&in_the_way).unwrap();
        still.duty.save_again();
        assert!(still.duty.unsaved.is_empty() && still.duty.state.begun().is_empty());
        assert_eq!(still.duty.state.reports(), 2);
    });
}

/// A hook that leaves a mark.
fn mark(path: &Path) -> Hook {
    let command = vec!["/usr/bin/touch".to_owned(), path.to_str().unwrap().to_owned()];
    Hook { command, timeout_seconds: 20, on_failure: HookFailure::Fail }
}

#[test]
fn a_job_in_which_the_agent_died_each_time_is_given_up_and_what_is_frozen_thaws() {
    within(async {
        let directory = Arc::new(tempfile::tempdir().unwrap());
        let thaw = mark(&directory.path().join("thawed"));
        let bounds = Bounds { hooks: true, hook_commands: vec![thaw.command.clone()], ..Bounds::default() };
        let mut still = Still::open(directory.clone(), &["a"], bounds.clone());
        let job = still.asked(1, "a");
        still.duty.start_given(job.clone());
        still.duty.state.note_thaw(job.job, Some(thaw.clone())).unwrap();
        drop(still);
        for death in 1..DEATHS_MAX {
            let mut still = Still::open(directory.clone(), &["a"], bounds.clone());
            still.duty.take_up();
            assert!(still.duty.claims.waits_for(&item("a")), "death {death}: it is taken again");
            // It is, and the agent dies.
            still.duty.running.clear();
            still.duty.start_given(job.clone());
        }
        // Whether its point came is looked for; the agent is stopped before anybody answers, and does not wait for that again.
        let mut still = Still::open(directory.clone(), &["a"], bounds.clone());
        still.duty.take_up();
        assert!(!still.duty.claims.waits_for(&item("a")));
        still.duty.stop().await;
        assert!(directory.path().join("thawed").exists());
        assert_eq!(still.duty.state.begun().len(), 1, "nobody knows yet what it came to");
        drop(still);
        let mut still = Still::open(directory.clone(), &["a"], bounds);
        still.duty.take_up();
        still.duty.stop().await;
        assert!(still.duty.state.begun().is_empty());
        let (_, waiting) = still.duty.state.oldest_report().unwrap().unwrap();
        assert_eq!((waiting.job(), waiting.report.state), (Some(job.job), JobState::Failed));
        assert!(waiting.report.problem.unwrap().message.contains("died in it 5 times"));
    });
}

#[test]
fn a_job_that_was_stopped_with_the_agent_counts_as_no_death() {
    within(async {
        let directory = Arc::new(tempfile::tempdir().unwrap());
        let mut still = Still::open(directory.clone(), &["a"], Bounds::default());
        let job = still.asked(1, "a");
        for _ in 0..2 * DEATHS_MAX {
            still.duty.start_given(job.clone());
            let running = &still.duty.running[&job.job];
            running.control.stop(Cause::End);
            let report = api::JobReport { state: JobState::Interrupted, ..running.begun.report.clone() };
            still.duty.on_ended(Ended { job: job.job, report: Some(report), end: Some(SlotEnd::Paused), retired: false });
            drop(still);
            still = Still::open(directory.clone(), &["a"], Bounds::default());
            still.duty.take_up();
            assert_eq!(still.duty.state.begun()[0].1.deaths, 0);
        }
    });
}
