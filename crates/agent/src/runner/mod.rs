//! Doing a job: a backup or a restore, from its beginning to what the service is told of it.
//!
//! Invariant: every job that was begun ends with a state that is true, and with everything on its record that was not as it should be.
//! The runner decides nothing about when; it knows no schedule and keeps nothing on disk.

mod backup;
mod found;
mod hook;
mod impact;
mod record;
mod restore;

pub(crate) use record::Record;

use crate::agent::Shared;
use crate::chance::wait_up_to;
use crate::limits::DEATHS_MAX;
use crate::plan::PlannedItem;
use crate::reports::{Telling, tell};
use crate::state::{Begun, SlotEnd};
use crate::trouble::{Trouble, TroubleKind};
use api::{
    BackupResult, Completeness, JobReport, JobResult, JobState, PointOrigin, PointTold, RestoreReceipt, ServiceVault, Work,
};
use engine::Cancel;
use format::{ItemName, JobId};
use impact::{Holding, Reins};
use policy::Hook;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use system::Priorities;
use tokio::sync::{mpsc, oneshot};

/// While the service is away, what came of a job is asked for about this often.
const SETTLE_AGAIN: Duration = Duration::from_secs(30);
/// A scheduled run that lost the answer to its commit waits so long for a service that says what came of it.
const LATE: Duration = Duration::from_secs(900);
/// A job that somebody asked for is tried again for so long while the service goes away and comes back.
const PERSIST: Duration = Duration::from_secs(3600);
/// Between two such tries, about.
const PERSIST_AGAIN: Duration = Duration::from_secs(10);
/// A wish to stop is looked for this often.
const LOOK: Duration = Duration::from_millis(500);

/// A job waits so long until the service has heard of it.
const HEARD: Duration = Duration::from_secs(15);

/// Why a job is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// Somebody asked for it.
    Asked,
    /// Its window closed.
    Window,
    /// The agent ends.
    End,
    /// Somebody else has taken it.
    Taken,
}

/// Stops a job. Clones stop the same one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Control {
    pub(crate) cancel: Cancel,
    cause: Arc<Mutex<Option<Cause>>>,
}

impl Control {
    /// Stops it; the first cause counts, but that it is somebody else's counts more.
    pub(crate) fn stop(&self, cause: Cause) {
        let mut first = self.cause.lock().unwrap_or_else(PoisonError::into_inner);
        if first.is_none() || cause == Cause::Taken {
            *first = Some(cause);
        }
        self.cancel.cancel();
    }

    pub(crate) fn cause(&self) -> Option<Cause> {
        *self.cause.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is to be done about a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Task {
    /// Do it.
    Do,
    /// It was under way when the agent died: go on with it, or find that it was done.
    GoOn,
    /// It was under way when the agent died: find out what came of it, and do no more.
    Settle,
    /// The agent died between its hooks: the one after it runs now, and the job itself when it is taken again.
    Thaw,
    /// The agent died in it each time that it was taken: it is over.
    GiveUp,
}

/// A job to be done.
pub(crate) struct Order {
    pub(crate) job: JobId,
    pub(crate) begun: Begun,
    /// Its item, if it is protected.
    pub(crate) item: Option<PlannedItem>,
    pub(crate) task: Task,
    pub(crate) control: Control,
    /// Where it asks for what has to be on disk.
    pub(crate) asks: mpsc::Sender<Ask>,
}

/// Something that has to be on disk before a job goes on.
pub(crate) struct Ask {
    pub(crate) job: JobId,
    /// The hook that has to run however the job ends; none, if it has run.
    pub(crate) thaw: Option<Hook>,
    pub(crate) done: oneshot::Sender<bool>,
}

/// A job that is over, or paused.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) job: JobId,
    /// What the service is told. None: it is somebody else's job now.
    pub(crate) report: Option<JobReport>,
    /// What it means for its slot. None: it is not over for the agent, which goes on with it when it is started again.
    pub(crate) end: Option<SlotEnd>,
    /// The agent need not try anything any more.
    pub(crate) retired: bool,
}

/// What a job has come to.
enum Outcome {
    Point(BackupResult),
    /// The point is there, and something that had to come after it failed.
    PointBut(BackupResult, Trouble),
    Files(RestoreReceipt),
    /// Not everything is there.
    FilesBut(RestoreReceipt, Trouble),
    /// The agent died in it, and it had come to nothing.
    Nothing(Trouble),
}

/// A job that is being done.
struct Doing {
    shared: Arc<Shared>,
    job: JobId,
    name: ItemName,
    begun: Begun,
    item: Option<PlannedItem>,
    task: Task,
    control: Control,
    record: Arc<Record>,
    reins: Reins,
    asks: mpsc::Sender<Ask>,
}

/// Does a job. Must be called within a multi-threaded runtime.
pub(crate) async fn run(shared: Arc<Shared>, order: Order) -> Ended {
    let Order { job, begun, item, task, control, asks } = order;
    let record = Arc::new(Record::new(begun.report.clone(), shared.agent.clock.clone(), shared.agent.bounds.tell_paths));
    let Some(name) = begun.item().cloned() else {
        let trouble = Trouble::refused("this is no work for an agent");
        return conclude(job, &record, None, Err(trouble));
    };
    let reins = Reins::default();
    let ((stop, stopped), (heard, was_heard)) = (oneshot::channel(), oneshot::channel());
    let (to_tell, to_stop) = (record.clone(), control.clone());
    let telling = Telling { job, record: to_tell, control: to_stop, heard };
    // What is only settled runs no more: nobody is told that it does.
    let runs = matches!(task, Task::Do | Task::GoOn);
    let teller = runs.then(|| tokio::spawn(tell(shared.clone(), telling, stopped)));
    let (release, released) = oneshot::channel();
    let mut holding = Holding {
        shared: shared.clone(),
        item: name.clone(),
        record: record.clone(),
        reins: reins.clone(),
        reads: matches!(begun.report.work, Work::Backup { .. }),
        stands: Priorities::default(),
    };
    let holder = match runs {
        true => {
            holding.look().await;
            Some(tokio::spawn(holding.hold(released)))
        }
        false => None,
    };
    let mut doing = Doing { shared, job, name, begun, item, task, control, record, reins, asks };
    if teller.is_some() {
        // What is told of a point counts only if the service knew of the job before. One that is away hears of it later.
        let _ = tokio::time::timeout(HEARD, was_heard).await;
    }
    if task != Task::Do {
        backup::thaw(&doing).await;
    }
    if task == Task::Thaw {
        return Ended { job, report: None, end: None, retired: false };
    }
    if task == Task::GiveUp {
        // It may have died right after its point was committed. That is looked for once: the look may be what ends the agent.
        if matches!(doing.begun.report.work, Work::Backup { .. }) && doing.begun.deaths == DEATHS_MAX {
            match settle(&doing).await {
                found @ Ok(Outcome::Point(_)) => return conclude(job, &doing.record, None, found),
                Ok(_) => {}
                Err(_) => return Ended { job, report: None, end: None, retired: false },
            }
        }
        let message = format!("the agent died in it {} times", doing.begun.deaths.min(DEATHS_MAX));
        let trouble = Trouble::new(TroubleKind::Failed, message)
            .with_hint("what ended the agent stands in the machine's journal; if it ran out of memory, give it more");
        return conclude(job, &doing.record, None, Err(trouble));
    }
    let outcome = match (&doing.begun.report.work, task) {
        (Work::Backup { .. }, Task::Settle) => settle(&doing).await,
        _ => persist(&mut doing).await,
    };
    drop((stop, release));
    for helper in [teller, holder].into_iter().flatten() {
        // It ends by itself; one that panicked has told nothing, and held nothing.
        let _ = helper.await;
    }
    // What came of a commit that nobody heard of is found out at the next start.
    let is_unsure = doing.record.commit_sent() && doing.begun.slot_ms().is_some() && doing.control.cause() == Some(Cause::End);
    if outcome.is_err() && (task == Task::Settle || is_unsure) {
        return Ended { job, report: None, end: None, retired: false };
    }
    conclude(job, &doing.record, doing.control.cause(), outcome)
}

/// Does it. What somebody asked for is not given up because the service goes away for a while; a schedule has retries of its own.
async fn persist(doing: &mut Doing) -> Result<Outcome, Trouble> {
    let until = Instant::now() + PERSIST;
    loop {
        let outcome = match doing.begun.report.work.clone() {
            Work::Backup { reread, .. } => backup::run(doing, reread).await,
            Work::Restore(work) => restore::run(doing, &work).await,
            _ => Err(Trouble::refused("this is no work for an agent")),
        };
        let trouble = match outcome {
            Err(trouble) if trouble.kind == TroubleKind::Away && doing.begun.slot_ms().is_none() => trouble,
            outcome => return outcome,
        };
        if Instant::now() >= until {
            return Err(trouble);
        }
        doing.pause(PERSIST_AGAIN).await?;
        doing.record.say(format!("tried again: {}", trouble.message()));
        // What it has come to may be there, though the answer was lost.
        doing.task = Task::GoOn;
    }
}

/// Finds out what came of a backup, however long the service is away. An error means that the agent ended before.
async fn settle(doing: &Doing) -> Result<Outcome, Trouble> {
    loop {
        let trouble = match backup::run(doing, false).await {
            Ok(outcome) => return Ok(outcome),
            Err(trouble) => trouble,
        };
        doing.check()?;
        // Nobody has looked yet.
        if !matches!(trouble.kind, TroubleKind::Away | TroubleKind::Full | TroubleKind::Denied) {
            return Ok(Outcome::Nothing(trouble));
        }
        doing.pause(SETTLE_AGAIN).await?;
    }
}

/// What the service is told, and what it means for the slot.
fn conclude(job: JobId, record: &Record, cause: Option<Cause>, outcome: Result<Outcome, Trouble>) -> Ended {
    let is_retired = |trouble: &Trouble| trouble.kind == TroubleKind::Retired;
    let retired = outcome.as_ref().err().is_some_and(is_retired);
    let done = |warnings: u64| if warnings > 0 { JobState::Warnings } else { JobState::Succeeded };
    let (state, result, problem, end) = match (outcome, cause) {
        (Ok(Outcome::Point(result)), _) => {
            let whole = result.completeness != Completeness::Incomplete;
            // What a whole part is missing from does not stand for its slot: perhaps it is there in some minutes.
            let end = if whole { SlotEnd::Done } else { SlotEnd::Failed { away: false } };
            (done(record.warnings_count()), Some(JobResult::Backup(result)), None, end)
        }
        (Ok(Outcome::PointBut(result, trouble)), _) => {
            (JobState::Failed, Some(JobResult::Backup(result)), Some(trouble.to_problem()), SlotEnd::Failed { away: false })
        }
        (Ok(Outcome::Files(receipt)), _) => {
            (done(record.warnings_count()), Some(JobResult::Restore(receipt)), None, SlotEnd::Done)
        }
        (Ok(Outcome::FilesBut(receipt, trouble)), _) => {
            (JobState::Failed, Some(JobResult::Restore(receipt)), Some(trouble.to_problem()), SlotEnd::Done)
        }
        (Ok(Outcome::Nothing(trouble)), _) => (JobState::Interrupted, None, Some(trouble.to_problem()), SlotEnd::Died),
        (Err(_), Some(Cause::Taken)) => return Ended { job, report: None, end: Some(SlotEnd::Paused), retired: false },
        (Err(_), Some(cause)) => stopped(cause),
        (Err(trouble), None) => {
            let end = SlotEnd::Failed { away: matches!(trouble.kind, TroubleKind::Away | TroubleKind::Denied) };
            (JobState::Failed, None, Some(trouble.to_problem()), end)
        }
    };
    Ended { job, report: Some(record.ended(state, result, problem)), end: Some(end), retired }
}

type End = (JobState, Option<JobResult>, Option<api::JobProblem>, SlotEnd);

fn stopped(cause: Cause) -> End {
    let (state, words, hint, end) = match cause {
        Cause::Asked => (JobState::Cancelled, "somebody asked for it to stop", None, SlotEnd::Unwanted),
        Cause::Window => {
            (JobState::Cancelled, "its window closed", Some("it goes on in the next window, where it was"), SlotEnd::Paused)
        }
        Cause::End | Cause::Taken => {
            (JobState::Interrupted, "the agent ended", Some("it goes on when the agent is started again"), SlotEnd::Paused)
        }
    };
    let problem = api::JobProblem { message: words.to_owned(), hint: hint.map(str::to_owned) };
    (state, None, Some(problem), end)
}

/// What the service is told of a job whose thread panicked.
pub(crate) fn broke(job: JobId, begun: &Begun, ended_ms: i64) -> Ended {
    let problem = Trouble::new(TroubleKind::Failed, "a fault of this program ended the job").to_problem();
    let report = JobReport { state: JobState::Failed, ended_ms: Some(ended_ms), problem: Some(problem), ..begun.report.clone() };
    Ended { job, report: Some(report), end: Some(SlotEnd::Failed { away: false }), retired: false }
}

impl Doing {
    /// A connection of the job's own, as fast as its item's policy lets it be.
    fn connect(&self) -> Result<ServiceVault, Trouble> {
        let (record, job) = (self.record.clone(), self.job);
        let origin = if self.begun.slot_ms().is_some() { PointOrigin::Scheduled } else { PointOrigin::OnDemand };
        // Asked when the point is committed: all that the run warns of has been said by then.
        let told = move || PointTold { job: Some(job), origin, completeness: record.completeness() };
        let options = api::ServiceOptions {
            pace: self.reins.pace.clone(),
            told: Some(Arc::new(told)),
            ..self.shared.agent.service.clone()
        };
        Ok(ServiceVault::new(options)?)
    }

    /// Waits for up to so long, unless it is stopped.
    async fn pause(&self, most: Duration) -> Result<(), Trouble> {
        let until = Instant::now() + wait_up_to(most);
        loop {
            self.check()?;
            if Instant::now() >= until {
                return Ok(());
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Waits while it is paused, unless it is stopped.
    async fn until_it_may_read(&self) -> Result<(), Trouble> {
        while self.reins.is_paused() {
            self.check()?;
            tokio::time::sleep(LOOK).await;
        }
        self.check()
    }

    /// Whether it was stopped.
    fn check(&self) -> Result<(), Trouble> {
        match self.control.cause() {
            Some(_) => Err(Trouble::new(TroubleKind::Stopped, "stopped on request")),
            None => Ok(()),
        }
    }

    /// Has it on disk which hook has to run however this ends.
    async fn note_thaw(&self, thaw: Option<Hook>) -> Result<(), Trouble> {
        let (done, kept) = oneshot::channel();
        let asked = self.asks.send(Ask { job: self.job, thaw, done }).await.is_ok();
        match kept.await {
            Ok(true) if asked => Ok(()),
            _ => Err(Trouble::new(TroubleKind::Failed, "cannot keep on disk that a hook is about to run")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;
    use api::{JobOrigin, RestoreWork};
    use format::{AgentKey, PointId};

    fn record() -> Record {
        let work = RestoreWork {
            item: ItemName::new("files").unwrap(),
            point: PointId([1; 32]),
            paths: Vec::new(),
            strip: 0,
            to: None,
            overwrite: api::Overwriting::Fail,
        };
        let begun = JobReport::begun(AgentKey([1; 32]), 1, Work::Restore(work), JobOrigin::Person, 1, 7);
        Record::new(begun, Arc::new(SystemClock), true)
    }

    fn point(completeness: Completeness) -> BackupResult {
        let (point, sequence) = (PointId([1; 32]), 1);
        BackupResult {
            point,
            sequence,
            completeness,
            files: 1,
            directories: 1,
            others: 0,
            bytes: 1,
            entries_read: 1,
            entries_unchanged: 0,
            bytes_read: 1,
            bytes_stored: 1,
            left_out_count: 0,
        }
    }

    fn conclusion(record: &Record, cause: Option<Cause>, outcome: Result<Outcome, Trouble>) -> (Option<JobState>, SlotEnd) {
        let ended = conclude(JobId([7; 16]), record, cause, outcome);
        (ended.report.map(|report| report.state), ended.end.unwrap())
    }

    #[test]
    fn a_point_is_told_whatever_came_after_it_and_an_incomplete_one_does_not_stand_for_its_slot() {
        let record = record();
        let clean = Ok(Outcome::Point(point(Completeness::Clean)));
        assert_eq!(conclusion(&record, Some(Cause::Asked), clean), (Some(JobState::Succeeded), SlotEnd::Done));
        record.warn(b"x", "changed", "");
        let incomplete = Ok(Outcome::Point(point(Completeness::Incomplete)));
        assert_eq!(conclusion(&record, None, incomplete), (Some(JobState::Warnings), SlotEnd::Failed { away: false }));
        let but = Ok(Outcome::PointBut(point(Completeness::Clean), Trouble::new(TroubleKind::Failed, "thaw failed")));
        let ended = conclude(JobId([7; 16]), &record, None, but).report.unwrap();
        assert!(ended.state == JobState::Failed && ended.result.is_some() && ended.problem.is_some());
    }

    #[test]
    fn what_was_stopped_ends_as_what_stopped_it_says() {
        let record = record();
        let stop = || Err(Trouble::new(TroubleKind::Stopped, "stopped on request"));
        assert_eq!(conclusion(&record, Some(Cause::Asked), stop()), (Some(JobState::Cancelled), SlotEnd::Unwanted));
        assert_eq!(conclusion(&record, Some(Cause::Window), stop()), (Some(JobState::Cancelled), SlotEnd::Paused));
        assert_eq!(conclusion(&record, Some(Cause::End), stop()), (Some(JobState::Interrupted), SlotEnd::Paused));
        assert_eq!(conclusion(&record, Some(Cause::Taken), stop()), (None, SlotEnd::Paused));
        let away = Err(Trouble::new(TroubleKind::Away, "gone"));
        assert_eq!(conclusion(&record, None, away), (Some(JobState::Failed), SlotEnd::Failed { away: true }));
    }

    #[test]
    fn the_first_cause_counts_but_that_a_job_is_somebody_elses_counts_more() {
        let control = Control::default();
        control.stop(Cause::Window);
        control.stop(Cause::Asked);
        assert_eq!(control.cause(), Some(Cause::Window));
        control.stop(Cause::Taken);
        assert!(control.cause() == Some(Cause::Taken) && control.cancel.is_cancelled());
    }
}
