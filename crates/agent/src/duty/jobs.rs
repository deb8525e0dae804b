//! Jobs of the loop: how they begin, and what is kept when they are over.

use super::{Duty, Running};
use crate::chance;
use crate::runner::{self, Cause, Control, Ended, Order, Task};
use crate::state::{Begun, SlotEnd};
use api::{Job, JobOrigin, JobReport, JobState, Work};
use format::{ItemName, JobId};
use policy::Slot;
use std::time::Instant;
use tokio::task::JoinError;

impl Duty {
    /// What was under way when the agent died. What a schedule began is settled; what somebody asked for is taken again.
    pub(super) fn take_up(&mut self) {
        for (job, begun) in self.state.begun() {
            match begun.slot_ms() {
                Some(_) => self.start(job, begun, Task::Settle),
                None => {
                    self.claims.again(job, begun.item().cloned());
                    // What is frozen does not wait for the service.
                    if begun.thaw.is_some() {
                        self.start(job, begun, Task::Thaw);
                    }
                }
            }
        }
    }

    pub(super) fn start_scheduled(&mut self, name: &ItemName, slot: Slot, missed: usize) {
        let is_full = self.running.len() >= self.shared.agent.bounds.jobs;
        // An answer that is on its way may bring a job of this item.
        // One that somebody asked for, and that is to be taken again, comes first: it would take this run's point for its own.
        if is_full || self.is_busy(name) || self.claims.waits_for(name) || self.claims.is_asking() || !self.may_write() {
            return;
        }
        let slot_ms = slot.due.as_millisecond();
        let attempt = self.state.item(name).next_try(slot_ms);
        let origin = JobOrigin::Schedule { slot_ms, missed: missed as u64 };
        let work = Work::Backup { item: name.clone(), reread: false };
        let begun = self.begun(name, 0, work, origin, attempt);
        self.begin(chance::job_id(), begun, Task::Do);
    }

    /// A job that the service gave. It waits for its item if that has another one, and is taken again then.
    pub(super) fn start_given(&mut self, job: Job, again: bool) {
        let Some(item) = job.work.item().cloned() else {
            return tracing::warn!(job = %job.job, "the service gave a job that is no agent's");
        };
        if self.running.contains_key(&job.job) {
            return;
        }
        let waits = self.is_busy(&item);
        let before = self.state.begun().into_iter().find(|(known, _)| *known == job.job).map(|(_, begun)| begun);
        let mut begun = self.begun(&item, job.fence, job.work, job.origin, job.attempt);
        let mut task = Task::Do;
        if let Some(before) = before.filter(|_| again) {
            // When it began first, and what there was then, tells its point from others.
            (begun.report.started_ms, begun.sequence_before, begun.thaw) =
                (before.report.started_ms, before.sequence_before, before.thaw);
            task = Task::GoOn;
        }
        if !waits {
            return self.begin(job.job, begun, task);
        }
        let kept = tokio::task::block_in_place(|| self.state.begin(job.job, begun));
        if self.is_kept(kept) {
            self.claims.again(job.job, Some(item));
        }
    }

    fn begun(&self, item: &ItemName, fence: u64, work: Work, origin: JobOrigin, attempt: u32) -> Begun {
        let agent = &self.shared.agent;
        let report = JobReport::begun(agent.secrets.signer.key(), fence, work, origin, attempt, self.shared.now_ms());
        let sequence_before = tokio::task::block_in_place(|| agent.trust.sequence(agent.domain, item));
        Begun { report, sequence_before, thaw: None }
    }

    /// Writes the job down, then starts it.
    fn begin(&mut self, job: JobId, begun: Begun, task: Task) {
        let kept = tokio::task::block_in_place(|| self.state.begin(job, begun.clone()));
        if self.is_kept(kept) {
            self.start(job, begun, task);
        }
    }

    fn start(&mut self, job: JobId, begun: Begun, task: Task) {
        let Some(item) = begun.item().cloned() else { return };
        let planned = self.shared.plan.borrow().items.get(&item).cloned();
        let (work, attempt) = (begun.report.work.kind().as_str(), begun.report.attempt);
        match task {
            Task::Do => tracing::info!(%job, %item, work, attempt, "a job begins"),
            Task::GoOn => tracing::info!(%job, %item, work, "a job goes on in which the agent died or was ended"),
            Task::Settle => tracing::info!(%job, %item, "the agent died in a job: finding out what came of it"),
            Task::Thaw => {}
        }
        let (control, slot_ms) = (Control::default(), begun.slot_ms());
        let order = Order { job, begun: begun.clone(), item: planned, task, control: control.clone(), asks: self.asks.0.clone() };
        let handle = self.tasks.spawn(runner::run(self.shared.clone(), order));
        self.by_task.insert(handle.id(), job);
        self.running.insert(job, Running { item, slot_ms, control, begun, runs: matches!(task, Task::Do | Task::GoOn) });
    }

    pub(super) fn is_busy(&self, item: &ItemName) -> bool {
        self.running.values().any(|running| running.item == *item)
    }

    /// A job is over: its report is kept, then what follows from it.
    pub(super) fn on_ended(&mut self, ended: Ended) {
        let Some(running) = self.running.remove(&ended.job) else { return };
        self.claims.look_again();
        self.moved = Instant::now();
        self.retired |= ended.retired;
        if let Some(report) = &ended.report {
            let (job, item) = (ended.job, &running.item);
            let why = report.problem.as_ref().map(|problem| problem.message.as_str()).unwrap_or_default();
            let (state, warnings) = (report.state.as_str(), report.warnings_count);
            match report.state {
                JobState::Failed => tracing::error!(%job, %item, warnings, "a job failed: {why}"),
                JobState::Succeeded => tracing::info!(%job, %item, "a job is done"),
                _ => tracing::warn!(%job, %item, state, warnings, "a job is over: {why}"),
            }
        }
        // Somebody asked for it, and the agent ends: the job is not over. It is taken again at the next start; until then its lease says
        // what there is to say.
        let pauses = running.control.cause() == Some(Cause::End) && running.slot_ms.is_none();
        if pauses && is_interrupted(&ended) {
            return;
        }
        self.save(ended);
    }

    /// A job whose task panicked.
    pub(super) fn on_broken(&mut self, error: &JoinError) {
        tracing::error!(%error, "a job broke");
        let Some(job) = self.by_task.remove(&error.id()) else { return };
        let Some(begun) = self.running.get(&job).map(|running| running.begun.clone()) else { return };
        self.on_ended(runner::broke(job, &begun, self.shared.now_ms()));
    }

    fn save(&mut self, ended: Ended) {
        let now_ms = self.shared.now_ms();
        let state = &mut self.state;
        let kept = tokio::task::block_in_place(|| match (&ended.report, ended.end) {
            (Some(report), Some(end)) => state.end(ended.job, report, end, now_ms),
            (None, Some(end)) => state.forget(ended.job, end, now_ms).map(|()| None),
            (_, None) => Ok(None),
        });
        if let Ok(Some(lost)) = &kept {
            tracing::error!(job = %lost, "too many reports wait for the service: that of a job is lost");
        }
        if !self.is_kept(kept) {
            // It stays what it is until the disk takes it: its item has no other job before.
            self.unsaved.push(ended);
        }
    }

    /// The disk may take now what it did not.
    pub(super) fn save_again(&mut self) {
        if !self.unsaved.is_empty() && self.may_write() {
            std::mem::take(&mut self.unsaved).into_iter().for_each(|ended| self.save(ended));
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
