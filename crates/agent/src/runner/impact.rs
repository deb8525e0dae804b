//! How much a job takes of the machine and of its line: what its item's policy says, as it is now.
//!
//! Invariant: a run between its hooks is not paused. What the first one has frozen would stay frozen.

use super::record::Record;
use crate::agent::Shared;
use crate::limits::REPORT_EVERY;
use crate::plan::PlannedItem;
use crate::power::is_on_battery;
use api::Pace;
use engine::ReadGate;
use format::ItemName;
use policy::{ImpactLevel, ImpactSettings, OnBattery};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use system::{Crew, Priorities, Priority};
use tokio::sync::oneshot;

/// What a job shows while it is paused.
const PAUSED: &str = "paused: on battery";

/// What holds a job while it runs. Clones hold the same one.
#[derive(Clone, Default)]
pub(crate) struct Reins {
    /// How fast it sends.
    pub(crate) pace: Pace,
    /// When and how often it reads.
    pub(crate) gate: ReadGate,
    /// The threads that do it.
    pub(crate) crew: Crew,
    held: Arc<Mutex<Held>>,
}

#[derive(Default)]
struct Held {
    is_paused: bool,
    is_between_hooks: bool,
}

impl Reins {
    pub(super) fn is_paused(&self) -> bool {
        self.held().is_paused
    }

    /// The hook before the run comes next, unless the job is paused: then it answers false.
    pub(super) fn enter_hooks(&self) -> bool {
        let mut held = self.held();
        held.is_between_hooks = !held.is_paused;
        held.is_between_hooks
    }

    /// The hook after the run is over.
    pub(super) fn leave_hooks(&self) {
        self.held().is_between_hooks = false;
    }

    fn pause(&self, wanted: bool, record: &Record) {
        let mut held = self.held();
        let pauses = wanted && !held.is_between_hooks;
        if std::mem::replace(&mut held.is_paused, pauses) == pauses {
            return;
        }
        if pauses {
            self.gate.close();
            record.pause(Some(PAUSED));
            record.say("paused: the machine is on battery, and the policy says that runs wait until it is on mains");
        } else {
            self.gate.open();
            record.pause(None);
            record.say("it goes on: the machine is on mains again, or the policy says something else now");
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Holds a job as its item's policy says, whatever becomes of that meanwhile.
pub(super) struct Holding {
    pub(super) shared: Arc<Shared>,
    pub(super) item: ItemName,
    pub(super) record: Arc<Record>,
    pub(super) reins: Reins,
    /// It reads what is protected. What restores is held by its line alone: somebody waits for it.
    pub(super) reads: bool,
    pub(super) stands: Priorities,
}

impl Holding {
    /// Looks again when the policy changes, and now and then: bandwidth has office hours, and plugs are pulled.
    pub(super) async fn hold(mut self, mut stopped: oneshot::Receiver<()>) {
        let mut plans = self.shared.plan.clone();
        loop {
            tokio::select! {
                _ = &mut stopped => return,
                changed = plans.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(REPORT_EVERY) => {}
            }
            self.look().await;
        }
    }

    /// Does once what the policy says now.
    pub(super) async fn look(&mut self) {
        let plan = self.shared.plan.borrow().clone();
        let item = plan.items.get(&self.item);
        let bytes_per_second = item.and_then(|item| item.bytes_per_second(self.shared.now_ms()));
        self.reins.pace.set(bytes_per_second);
        self.record.limit(bytes_per_second);
        if !self.reads {
            return;
        }
        let impact = item.map(PlannedItem::impact).unwrap_or_default();
        self.reins.gate.limit(impact.reads_per_second);
        self.put(&impact);
        let is_paused = impact.on_battery == OnBattery::Pause && {
            let supplies = self.shared.agent.bounds.power_supplies().to_owned();
            // Some batteries take their time to answer.
            tokio::task::spawn_blocking(move || is_on_battery(&supplies)).await.unwrap_or(false)
        };
        self.reins.pause(is_paused, &self.record);
    }

    fn put(&mut self, impact: &ImpactSettings) {
        let wanted = Priorities { processor: priority(impact.processor), disk: priority(impact.disk) };
        if std::mem::replace(&mut self.stands, wanted) == wanted || self.reins.crew.set(wanted) {
            return;
        }
        self.record.say(
            "the policy gives the run more of the processor than before, and the kernel does not let this agent take it back \
             (CAP_SYS_NICE, or LimitNICE= in its unit): the next run has it",
        );
    }
}

fn priority(level: ImpactLevel) -> Priority {
    match level {
        ImpactLevel::Normal => Priority::Normal,
        ImpactLevel::Low => Priority::Low,
        ImpactLevel::Idle => Priority::Idle,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;
    use api::{JobOrigin, JobReport, Work};
    use format::AgentKey;

    fn record() -> Record {
        let work = Work::Backup { item: ItemName::new("files").unwrap(), reread: false };
        let begun = JobReport::begun(AgentKey([1; 32]), 1, work, JobOrigin::Person, 1, 7);
        Record::new(begun, Arc::new(SystemClock), true)
    }

    fn phase(record: &Record) -> String {
        record.live().progress.unwrap().phase
    }

    #[test]
    fn a_job_says_that_it_is_paused_as_long_as_it_is_and_each_time_once() {
        let (reins, record) = (Reins::default(), record());
        record.phase("backing up");
        for wanted in [false, true, true, false, false] {
            reins.pause(wanted, &record);
            assert_eq!(phase(&record), if wanted { PAUSED } else { "backing up" });
        }
        assert_eq!(record.live().log.len(), 2);
    }

    #[test]
    fn what_is_frozen_is_not_paused_and_what_is_paused_is_not_frozen() {
        let (reins, record) = (Reins::default(), record());
        reins.pause(true, &record);
        assert!(!reins.enter_hooks(), "it waits first");
        reins.pause(false, &record);
        assert!(reins.enter_hooks());
        reins.pause(true, &record);
        assert!(!reins.is_paused());
        reins.leave_hooks();
        reins.pause(true, &record);
        assert!(reins.is_paused());
    }
}
