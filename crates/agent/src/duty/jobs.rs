//! Jobs of the loop: how they begin, and what is kept when they are over.

use super::{DueRun, Duty, Running};
use crate::chance;
use crate::limits::DEATHS_MAX;
use crate::runner::{self, Cause, Control, Ended, Order, Task};
use crate::state::{Begun, SlotEnd};
use api::{Job, JobOrigin, JobReport, JobState, Work};
use format::{ItemName, JobId};
use std::time::Instant;
use tokio::task::JoinError;

/// The end of a job that the disk has not taken. Until it does, the item has no other job.
pub(super) struct Unsaved {
    item: ItemName,
    ended: Ended,
}

impl Duty {
    /// What was under way when the agent died. What a schedule began is settled; what somebody asked for is taken again, unless the agent
    /// dies of it each time.
    pub(super) fn take_up(&mut self) {
        for (job, mut begun) in self.state.begun() {
            if begun.slot_ms().is_some() {
                self.start(job, begun, Task::Settle);
                continue;
            }
            // One that is given up already counts on: the last look for its point is not taken twice.
            if !begun.rests || begun.deaths >= DEATHS_MAX {
                let kept = tokio::task::block_in_place(|| self.state.rest(job, true));
                self.is_kept(kept);
                begun.deaths = begun.deaths.saturating_add(1);
            }
            if begun.deaths >= DEATHS_MAX {
                self.start(job, begun, Task::GiveUp);
                continue;
            }
            let is_kept = self.claims.again(job, begun.item().cloned());
            // What is frozen does not wait for the service.
            if begun.thaw.is_some() {
                self.start(job, begun, Task::Thaw);
            } else if !is_kept {
                tracing::error!(%job, "too many jobs were under way: this one is nobody's any more");
                self.forget(job);
            }
        }
    }

    /// Begins a run that is due, if there is room and nothing else comes first.
    pub(super) fn start_scheduled(&mut self, run: &DueRun) -> bool {
        let name = &run.item;
        let scheduled = self.running.values().filter(|running| running.runs && running.slot_ms.is_some()).count();
        let is_full = scheduled >= self.shared.agent.bounds.jobs;
        // An answer that is on its way may bring a job of this item.
        // One that somebody asked for, and that is to be taken again, comes first: of what it finds done nothing is read twice.
        if is_full || self.is_busy(name) || self.claims.waits_for(name) || self.claims.is_asking() || !self.may_write() {
            return false;
        }
        let slot_ms = run.slot.due.as_millisecond();
        let attempt = self.state.item(name).next_try(slot_ms);
        let origin = JobOrigin::Schedule { slot_ms, missed: run.missed as u64 };
        let work = Work::Backup { item: name.clone(), reread: false };
        let begun = self.begun(name, 0, work, origin, attempt);
        self.begin(chance::job_id(), begun, Task::Do)
    }

    /// A job that the service gave. One for an item that has another job is not taken: the service was told which those are.
    pub(super) fn start_given(&mut self, job: Job) {
        let Some(item) = job.work.item().cloned() else {
            return tracing::warn!(job = %job.job, "the service gave a job that is no agent's");
        };
        if self.running.contains_key(&job.job) {
            return;
        }
        let before = self.state.begun().into_iter().find(|(known, _)| *known == job.job).map(|(_, begun)| begun);
        if self.is_busy(&item) || self.unsaved.iter().any(|unsaved| unsaved.ended.job == job.job) {
            // Nothing is written down for it: its lease says what there is to say.
            tracing::warn!(job = %job.job, %item, "the service gave a job for an item that has another one");
            if let Some(before) = before {
                self.claims.again(job.job, before.item().cloned());
            }
            return self.claims.pause();
        }
        self.claims.strike(job.job);
        let mut begun = self.begun(&item, job.fence, job.work, job.origin, job.attempt);
        let mut task = Task::Do;
        if let Some(before) = before {
            // What there was when it began first tells its point from others.
            begun.report.started_ms = before.report.started_ms;
            (begun.sequence_before, begun.thaw, begun.deaths) = (before.sequence_before, before.thaw, before.deaths);
            task = Task::GoOn;
        }
        self.begin(job.job, begun, task);
    }

    fn begun(&self, item: &ItemName, fence: u64, work: Work, origin: JobOrigin, attempt: u32) -> Begun {
        let agent = &self.shared.agent;
        let report = JobReport::begun(agent.secrets.signer.key(), fence, work, origin, attempt, self.shared.now_ms());
        let sequence_before = tokio::task::block_in_place(|| agent.trust.sequence(agent.domain, item));
        Begun { report, sequence_before, thaw: None, deaths: 0, rests: false }
    }

    /// Writes the job down, then starts it. Answers whether it has begun.
    fn begin(&mut self, job: JobId, begun: Begun, task: Task) -> bool {
        let kept = tokio::task::block_in_place(|| self.state.begin(job, begun.clone()));
        let is_kept = self.is_kept(kept);
        if is_kept {
            self.start(job, begun, task);
        }
        is_kept
    }

    fn start(&mut self, job: JobId, begun: Begun, task: Task) {
        let Some(item) = begun.item().cloned() else { return };
        let planned = self.shared.plan.borrow().items.get(&item).cloned();
        let (work, attempt) = (begun.report.work.kind().as_str(), begun.report.attempt);
        match task {
            Task::Do => tracing::info!(%job, %item, work, attempt, "a job begins"),
            Task::GoOn => tracing::info!(%job, %item, work, "a job goes on in which the agent died or was ended"),
            Task::Settle => tracing::info!(%job, %item, "the agent died in a job: finding out what came of it"),
            Task::GiveUp => {
                tracing::error!(%job, %item, deaths = begun.deaths, "the agent died in a job each time: it is given up")
            }
            Task::Thaw => {}
        }
        let (control, slot_ms) = (Control::default(), begun.slot_ms());
        let order = Order { job, begun: begun.clone(), item: planned, task, control: control.clone(), asks: self.asks.0.clone() };
        let handle = self.tasks.spawn(runner::run(self.shared.clone(), order));
        self.by_task.insert(handle.id(), job);
        self.running.insert(job, Running { item, slot_ms, control, begun, runs: matches!(task, Task::Do | Task::GoOn) });
    }

    pub(super) fn is_busy(&self, item: &ItemName) -> bool {
        self.busy().any(|busy| busy == item)
    }

    /// Items that have a job, or one whose end is not written down yet.
    pub(super) fn busy(&self) -> impl Iterator<Item = &ItemName> {
        let unsaved = self.unsaved.iter().map(|unsaved| &unsaved.item);
        self.running.values().map(|running| &running.item).chain(unsaved)
    }

    /// A job is over: its report is kept, then what follows from it.
    pub(super) fn on_ended(&mut self, ended: Ended) {
        let Some(running) = self.running.remove(&ended.job) else { return };
        self.claims.look_again();
        self.moved = Instant::now();
        self.retired |= ended.retired;
        if let Some(report) = &ended.report {
            let (job, item) = (ended.job, &running.item);
            if self.shared.agent.once {
                self.ends.insert((item.clone(), running.slot_ms.is_none().then_some(job)), report.state);
            }
            let why = report.problem.as_ref().map(|problem| problem.message.as_str()).unwrap_or_default();
            let (state, warnings) = (report.state.as_str(), report.warnings_count);
            match report.state {
                JobState::Failed => tracing::error!(%job, %item, warnings, "a job failed: {why}"),
                JobState::Succeeded => tracing::info!(%job, %item, "a job is done"),
                _ if why.is_empty() => tracing::warn!(%job, %item, state, warnings, "a job is over"),
                _ => tracing::warn!(%job, %item, state, warnings, "a job is over: {why}"),
            }
        }
        // Somebody asked for it, and the agent ends: the job is not over. It is taken again at the next start; until then its lease says
        // what there is to say.
        let pauses = running.control.cause() == Some(Cause::End) && running.slot_ms.is_none();
        if pauses && is_interrupted(&ended) {
            let kept = tokio::task::block_in_place(|| self.state.rest(ended.job, false));
            self.is_kept(kept);
            return;
        }
        self.save(Unsaved { item: running.item, ended });
    }

    /// A job whose task panicked.
    pub(super) fn on_broken(&mut self, error: &JoinError) {
        tracing::error!(%error, "a job broke");
        let Some(job) = self.by_task.remove(&error.id()) else { return };
        let Some(begun) = self.running.get(&job).map(|running| running.begun.clone()) else { return };
        self.on_ended(runner::broke(job, &begun, self.shared.now_ms()));
    }

    /// Writes down how a job ended, and keeps that in memory if the disk does not take it. Answers whether it did.
    fn save(&mut self, unsaved: Unsaved) -> bool {
        let now_ms = self.shared.now_ms();
        let (state, ended) = (&mut self.state, &unsaved.ended);
        let kept = tokio::task::block_in_place(|| match (&ended.report, ended.end) {
            (Some(report), Some(end)) => state.end(ended.job, report, end, now_ms),
            (None, Some(end)) => state.forget(ended.job, end, now_ms).map(|()| None),
            (_, None) => Ok(None),
        });
        if let Ok(Some(lost)) = &kept {
            tracing::error!(job = %lost, "too many reports wait for the service: that of a job is lost");
        }
        let is_kept = self.is_kept(kept);
        if !is_kept {
            self.unsaved.push_front(unsaved);
        }
        is_kept
    }

    /// The disk may take now what it did not. What it does not take is tried again later, and what comes after it as well: a small report
    /// that found room would let the agent begin something while a large one has none.
    pub(super) fn save_again(&mut self) {
        while self.may_write()
            && let Some(unsaved) = self.unsaved.pop_front()
        {
            if !self.save(unsaved) {
                return;
            }
        }
    }

    /// Forgets a job that is nobody's any more.
    pub(super) fn forget(&mut self, job: JobId) {
        let now_ms = self.shared.now_ms();
        let kept = tokio::task::block_in_place(|| self.state.forget(job, SlotEnd::Paused, now_ms));
        self.is_kept(kept);
    }
}

fn is_interrupted(ended: &Ended) -> bool {
    ended.report.as_ref().is_some_and(|report| report.state == JobState::Interrupted)
}
