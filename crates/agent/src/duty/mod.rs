//! The agent at work: one loop that knows what is due, what runs and what the service says, and acts on it.
//!
//! Invariant: an item has at most one job at a time, whoever wants it. What is on disk comes first: a job is written down before it
//! begins, and its report before it is sent. The loop itself never waits for the service or for a job, and holds no thread while idle.

mod claims;
mod disk;
mod jobs;
mod line;
mod ready;
#[cfg(test)]
mod tests;

use crate::agent::{JobCounts, Shared};
use crate::error::{AgentError, Result};
use crate::limits::{END, FAREWELL, LOOK_EVERY};
use crate::link::{Heard, listen};
use crate::plan::{Due, Plan, bounded};
use crate::reports::{Delivery, deliver};
use crate::runner::{Ask, Cause, Control, Ended};
use crate::state::{Begun, State};
use crate::trouble::{Trouble, TroubleKind};
use api::{Job, JobState, Notice, Protection};
use claims::Claims;
use disk::FullDisk;
use format::{ItemName, JobId};
use jobs::Unsaved;
use line::{DueRun, Line};
use ready::Ready;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};
use tokio::task::{Id, JoinSet};

/// Messages that wait for the loop; whoever has more waits.
const WAITING: usize = 64;
/// Without a service to be had, or a disk that takes anything, what is to be done once ends after this.
const ONCE_PATIENCE: Duration = Duration::from_secs(30);

/// A job that runs.
struct Running {
    item: ItemName,
    /// The slot; on demand there is none.
    slot_ms: Option<i64>,
    control: Control,
    begun: Begun,
    /// It is done, and not only found out what came of it.
    runs: bool,
}

/// The answer of a question to the service.
enum Answer {
    Protection(contract::Result<Protection>),
    Claimed { again: Option<JobId>, job: contract::Result<Option<Job>> },
    Delivered { number: u64, delivery: Delivery },
}

/// What is known of the service.
#[derive(Default)]
struct Link {
    is_up: bool,
    /// What it said last.
    notice: Option<Notice>,
    asking_protection: bool,
    protection_after: Option<Instant>,
    /// The revision that could not be had for another reason than that the service is away.
    unusable_revision: Option<u64>,
    delivering: bool,
    deliver_after: Option<Instant>,
    /// Why it is away, as the log has it already.
    told: Option<String>,
    /// It does not let this agent in.
    is_denied: bool,
}

/// What happens next.
enum Event {
    Heard(Heard),
    Ask(Ask),
    Answer(Answer),
    Ended(std::result::Result<(Id, Ended), tokio::task::JoinError>),
    Look,
    End,
}

/// The agent at work.
pub(crate) struct Duty {
    shared: Arc<Shared>,
    state: State,
    plans: watch::Sender<Arc<Plan>>,
    link: Link,
    claims: Claims,
    running: HashMap<JobId, Running>,
    tasks: JoinSet<Ended>,
    by_task: HashMap<Id, JobId>,
    answers: JoinSet<Answer>,
    asks: (mpsc::Sender<Ask>, mpsc::Receiver<Ask>),
    ready: Ready,
    line: Line,
    started: Instant,
    /// When the service last took or gave something, and why it took nothing since.
    moved: Instant,
    refusal: Option<String>,
    /// Ends of jobs that the disk has not taken.
    unsaved: VecDeque<Unsaved>,
    /// It takes nothing now.
    disk: Option<FullDisk>,
    /// How the jobs of an agent that does once what there is ended last: of each item by its schedule, and of each that somebody asked for.
    ends: BTreeMap<(ItemName, Option<JobId>), JobState>,
    retired: bool,
}

impl Duty {
    pub(crate) fn new(shared: Arc<Shared>, state: State, plans: watch::Sender<Arc<Plan>>) -> Self {
        let now_ms = shared.now_ms();
        Self {
            shared,
            state,
            plans,
            link: Link::default(),
            claims: Claims::default(),
            running: HashMap::new(),
            tasks: JoinSet::new(),
            by_task: HashMap::new(),
            answers: JoinSet::new(),
            asks: mpsc::channel(WAITING),
            ready: Ready::new(now_ms, Instant::now()),
            line: Line::default(),
            started: Instant::now(),
            moved: Instant::now(),
            refusal: None,
            unsaved: VecDeque::new(),
            disk: None,
            ends: BTreeMap::new(),
            retired: false,
        }
    }

    /// Works until `end` comes. Answers what came of the jobs of an agent that does once what there is.
    pub(crate) async fn run(mut self, end: impl Future<Output = ()>) -> Result<JobCounts> {
        let (heard_of, mut heard) = mpsc::channel(WAITING);
        let listener = tokio::spawn(listen(self.shared.clone(), heard_of));
        self.take_up();
        let mut end = std::pin::pin!(end);
        let outcome = loop {
            let wait = self.look();
            if self.retired {
                break Err(AgentError::Retired);
            }
            if let Some(outcome) = self.once_is_over() {
                break outcome;
            }
            let event = tokio::select! {
                biased;
                () = &mut end => Event::End,
                Some(ask) = self.asks.1.recv() => Event::Ask(ask),
                Some(ended) = self.tasks.join_next_with_id() => Event::Ended(ended),
                Some(answer) = self.answers.join_next() => match answer {
                    Ok(answer) => Event::Answer(answer),
                    // Only a panic gets here; the question is asked again.
                    Err(_) => self.forget_questions(),
                },
                Some(heard) = heard.recv() => Event::Heard(heard),
                () = tokio::time::sleep(wait) => Event::Look,
            };
            if matches!(event, Event::End) {
                break Ok(());
            }
            self.on(event);
        };
        listener.abort();
        self.stop().await;
        outcome.map(|()| JobCounts::of(self.ends.values().copied()))
    }

    fn on(&mut self, event: Event) {
        match event {
            Event::Heard(heard) => self.on_heard(heard),
            Event::Ask(Ask { job, thaw, done }) => {
                let kept = tokio::task::block_in_place(|| self.state.note_thaw(job, thaw));
                // A job that is gone needs no answer.
                let _ = done.send(self.is_kept(kept));
            }
            Event::Answer(answer) => self.on_answer(answer),
            Event::Ended(Ok((task, ended))) => {
                self.by_task.remove(&task);
                self.on_ended(ended);
            }
            Event::Ended(Err(error)) => self.on_broken(&error),
            Event::Look | Event::End => {}
        }
    }

    /// Looks at what is due and starts it, hands the service what waits for it, and answers how long there is nothing to do.
    fn look(&mut self) -> Duration {
        if self.ready.look(self.shared.now_ms(), Instant::now()) {
            tracing::info!("the machine slept, or its clock was set ahead");
        }
        self.save_again();
        let next = self.look_at_items();
        self.ask_and_tell();
        next.min(self.disk_rests()).min(LOOK_EVERY)
    }

    /// Starts and stops runs; answers how long until the next one. Those that are due begin in the order of their line as far as there is
    /// room.
    fn look_at_items(&mut self) -> Duration {
        let plan = self.shared.plan.borrow().clone();
        let now = self.shared.agent.clock.now();
        let mut next = LOOK_EVERY;
        let mut due = Vec::new();
        for (name, item) in &plan.items {
            let running = self.running.values().find(|running| running.item == *name);
            let ready_ms = self.ready.since_ms(name);
            match item.due(&self.state.item(name), ready_ms, running.map(|running| running.slot_ms), now) {
                Due::Start { slot, missed, planned } => due.push(DueRun { item: name.clone(), slot, missed, planned }),
                Due::Stop => {
                    // What only finds out what came of a job has no window.
                    if let Some(running) = running.filter(|running| running.runs) {
                        running.control.stop(Cause::Window);
                    }
                }
                Due::Later(Some(until)) => {
                    let ms = until.as_millisecond().saturating_sub(now.as_millisecond());
                    next = next.min(Duration::from_millis(u64::try_from(ms).unwrap_or(0)));
                }
                Due::Later(None) => {}
            }
        }
        for run in self.line.order(due) {
            if self.start_scheduled(&run) {
                self.line.leave(&run.item);
            }
        }
        // A clock may show the same millisecond twice.
        next.max(Duration::from_millis(1))
    }

    fn on_heard(&mut self, heard: Heard) {
        match heard {
            Heard::Linked => {
                tracing::info!(service = %self.shared.agent.service.address, "connected");
                (self.link.is_up, self.link.is_denied) = (true, false);
                self.link.told = None;
                (self.link.deliver_after, self.link.protection_after) = (None, None);
                self.forgive();
            }
            Heard::Notice(notice) => {
                for job in &notice.cancel {
                    if let Some(running) = self.running.get(job).filter(|running| running.runs) {
                        tracing::info!(%job, "somebody asked for the job to stop");
                        running.control.stop(Cause::Asked);
                    }
                }
                self.link.notice = Some(notice);
            }
            Heard::Lost(error) => {
                self.link.is_up = false;
                self.link.notice = None;
                let trouble = Trouble::from(error);
                self.link.is_denied = trouble.kind == TroubleKind::Denied;
                let why = trouble.message().to_owned();
                if self.link.told.as_ref() == Some(&why) {
                    return;
                }
                match trouble.kind {
                    TroubleKind::Denied => tracing::error!("the vault service does not let this agent in: {why}"),
                    _ => tracing::warn!("the vault service is away, schedules go on: {why}"),
                }
                self.link.told = Some(why);
            }
        }
    }

    /// The service is back: what failed for want of it is tried again, each at a moment of its own.
    fn forgive(&mut self) {
        let forgiven = tokio::task::block_in_place(|| self.state.forgive());
        match forgiven {
            Ok(items) => {
                let now_ms = self.shared.now_ms();
                self.ready.begin(items, now_ms);
            }
            Err(error) => self.disk_failed(error),
        }
    }

    fn on_answer(&mut self, answer: Answer) {
        match answer {
            Answer::Protection(answer) => {
                self.link.asking_protection = false;
                self.on_protection(answer);
            }
            Answer::Claimed { again, job } => self.on_claimed(again, job),
            Answer::Delivered { number, delivery } => {
                self.link.delivering = false;
                self.on_delivered(number, delivery);
            }
        }
    }

    /// After a panic in a question nobody knows which it was: all count as unanswered.
    fn forget_questions(&mut self) -> Event {
        self.answers.abort_all();
        (self.link.asking_protection, self.link.delivering) = (false, false);
        self.claims.forget_question();
        Event::Look
    }

    fn on_protection(&mut self, answer: contract::Result<Protection>) {
        let protection = match answer.and_then(bounded) {
            Ok(protection) => protection,
            Err(error) => {
                self.link.protection_after = Some(Instant::now() + LOOK_EVERY);
                let wanted = self.link.notice.as_ref().map(|notice| notice.revision);
                self.link.unusable_revision = wanted.filter(|_| !error.kind().is_passing());
                return tracing::warn!(%error, "cannot learn what is protected; what was known before counts");
            }
        };
        let plan = self.shared.agent.plan(&protection, &self.shared.plan.borrow());
        for (name, item) in &plan.items {
            if let Some(why) = &item.unusable {
                tracing::error!(item = %name, "the policy cannot be used, the one before counts: {why}");
            }
        }
        for gone in self.shared.plan.borrow().items.keys().filter(|name| !plan.items.contains_key(*name)) {
            tracing::warn!(item = %gone, "the service protects the item no more");
        }
        tracing::info!(revision = protection.revision, items = protection.items.len(), "what is protected");
        let now_ms = self.shared.now_ms();
        let kept = tokio::task::block_in_place(|| self.state.keep_protection(protection, now_ms));
        if self.is_kept(kept) {
            self.link.unusable_revision = None;
            self.plans.send_replace(Arc::new(plan));
        }
    }

    /// Asks the service what it has to be asked, and tells it what waits for it.
    fn ask_and_tell(&mut self) {
        self.deliver_next();
        let Some(notice) = self.link.notice.clone().filter(|_| self.link.is_up) else { return };
        let known = self.state.protection().map(|protection| protection.revision);
        let is_current = known == Some(notice.revision);
        let is_unusable = self.link.unusable_revision == Some(notice.revision);
        let is_early = self.link.protection_after.is_some_and(|after| Instant::now() < after);
        if !is_current && !is_early && !self.link.asking_protection && self.may_write() {
            self.link.asking_protection = true;
            let shared = self.shared.clone();
            self.answers.spawn(async move { Answer::Protection(shared.control.protection(shared.agent.domain).await) });
        }
        // A job may be about an item that is not known yet.
        if is_current || is_unusable {
            self.claim(&notice);
        }
    }

    fn deliver_next(&mut self) {
        let is_early = self.link.deliver_after.is_some_and(|after| Instant::now() < after);
        if self.link.delivering || is_early || self.state.reports() == 0 {
            return;
        }
        let oldest = tokio::task::block_in_place(|| self.state.oldest_report());
        let (number, waiting) = match oldest {
            Ok(Some(oldest)) => oldest,
            Ok(None) => return,
            Err(error) => return self.disk_failed(error),
        };
        let Some(job) = waiting.job() else { return };
        self.link.delivering = true;
        let (shared, report) = (self.shared.clone(), waiting.report);
        self.answers.spawn(async move { Answer::Delivered { number, delivery: deliver(shared, job, report).await } });
    }

    fn on_delivered(&mut self, number: u64, delivery: Delivery) {
        match delivery {
            Delivery::Later(why) => {
                tracing::debug!("a report waits: {why}");
                self.refusal = Some(why);
                self.link.deliver_after = Some(Instant::now() + LOOK_EVERY / 3);
                return;
            }
            Delivery::Unwanted(why) => tracing::warn!("the service does not take a report: {why}"),
            // To the service the job's item was busy until now.
            Delivery::Taken => self.claims.look_again(),
        }
        self.moved = Instant::now();
        let dropped = tokio::task::block_in_place(|| self.state.drop_report(number));
        self.is_kept(dropped);
    }

    /// Whether all that was to be done once is done.
    fn once_is_over(&mut self) -> Option<Result<()>> {
        // What only finds out what came of a job waits for the service as long as it takes, and goes on at the next start.
        if !self.shared.agent.once || self.running.values().any(|running| running.runs) {
            return None;
        }
        if let Some(full) = self.disk.take_if(|full| full.since.elapsed() >= ONCE_PATIENCE) {
            return Some(Err(full.error));
        }
        if self.disk.is_some() || !self.unsaved.is_empty() {
            return None;
        }
        let Some(notice) = self.link.notice.as_ref().filter(|_| self.link.is_up) else {
            let why = self.link.told.clone().unwrap_or_default();
            return match self.link.is_denied {
                true => Some(Err(AgentError::Denied(why))),
                false => (self.started.elapsed() > ONCE_PATIENCE).then_some(Err(AgentError::Away(why))),
            };
        };
        let is_idle = self.running.is_empty() && self.answers.is_empty();
        let is_current = self.state.protection().is_some_and(|protection| protection.revision == notice.revision);
        if is_idle && is_current && self.state.reports() == 0 && self.claims.is_done(notice) {
            return Some(Ok(()));
        }
        // It answers and takes nothing, as one whose disk is full, perhaps for days: what waits is for the next start.
        let is_stuck = self.moved.elapsed() > 2 * ONCE_PATIENCE;
        is_stuck.then(|| Err(AgentError::Stuck(self.refusal.clone().unwrap_or_else(|| "it gave no reason".to_owned()))))
    }

    /// Ends: jobs are stopped, and the service hears of it if it is there.
    async fn stop(&mut self) {
        for running in self.running.values() {
            running.control.stop(Cause::End);
        }
        let until = tokio::time::Instant::now() + END;
        while !self.running.is_empty() {
            tokio::select! {
                biased;
                Some(ask) = self.asks.1.recv() => self.on(Event::Ask(ask)),
                Some(ended) = self.tasks.join_next_with_id() => self.on(Event::Ended(ended)),
                () = tokio::time::sleep_until(until) => {
                    tracing::warn!(jobs = self.running.len(), "jobs did not end in time: they go on at the next start");
                    break;
                }
            }
        }
        self.save_again();
        let _ = tokio::time::timeout(FAREWELL, self.take_leave()).await;
    }

    async fn take_leave(&mut self) {
        while self.link.is_up && (self.state.reports() > 0 || self.link.delivering) {
            self.deliver_next();
            match self.answers.join_next().await {
                Some(Ok(Answer::Delivered { number, delivery })) => {
                    self.link.delivering = false;
                    let is_gone = matches!(delivery, Delivery::Later(_));
                    self.on_delivered(number, delivery);
                    if is_gone {
                        return;
                    }
                }
                Some(_) => {}
                None => return,
            }
        }
    }
}
