//! Leases of jobs: whoever does one says so now and then, or it counts as interrupted.
//!
//! Time is the process's running time: no jump of the system's clock ends a lease. They are in memory only; after a restart every
//! job that runs gets one full lease.

use super::{Jobs, Live, interrupt_own, interrupted};
use api::{JobOrigin, JobState};
use contract::Result;
use format::{DomainId, JobId};
use std::time::Duration;

/// Most runs of a domain that agents began themselves, whose leases ran out, and that are remembered. Of one that was forgotten a late
/// report is taken as of one that is new.
const LAPSED_RUNS_MAX: u64 = 200;

impl Jobs {
    /// Interrupts the jobs whose leases ran out. One that was taken, and of which nothing was heard since, waits again: who took it may
    /// not have had the answer.
    pub(crate) async fn lapse(&self) -> Result<()> {
        let now = self.time.running();
        let ran_out: Vec<(DomainId, JobId)> = {
            let live = self.live();
            live.iter().filter(|(_, live)| live.until.is_some_and(|until| until <= now)).map(|(key, _)| *key).collect()
        };
        for key in ran_out {
            if let Err(error) = self.lapse_one(key).await {
                // Looked at again: a job without a lease would run for ever.
                self.live().entry(key).or_insert_with(|| Live::ran_out(now));
                return Err(error);
            }
        }
        Ok(())
    }

    async fn lapse_one(&self, key: (DomainId, JobId)) -> Result<()> {
        let mut change = self.database.change().await?;
        // Whoever renews a lease in a change has done so, or waits for this one; whoever renews without one finds it gone.
        if !self.remove_if_ran_out(key) {
            return Ok(());
        }
        let row = change.job(key.0, key.1).await?;
        let Some(mut row) = row.filter(|row| row.job.state == JobState::Running) else { return Ok(()) };
        if !row.job.work.kind().is_agents() {
            interrupt_own(&mut row, self.time.wall_ms());
        } else if row.heard {
            (row.job.state, row.lapsed) = (JobState::Interrupted, true);
            row.job.problem = Some(interrupted("its agent was not heard of for longer than the job's lease"));
        } else if row.job.cancelling {
            row.job.state = JobState::Cancelled;
        } else {
            (row.job.state, row.job.started_ms) = (JobState::Waiting, None);
        }
        row.job.ended_ms = row.job.state.is_over().then(|| self.time.wall_ms());
        change.update_job(&row).await?;
        if row.lapsed && matches!(row.job.origin, JobOrigin::Schedule { .. }) {
            // An agent makes as many of these as it wants. A late report brings the whole log again.
            change.remove_job_log(row.number).await?;
            change.forget_lapsed_runs(key.0, LAPSED_RUNS_MAX).await?;
        }
        change.commit().await?;
        let (domain, job) = key;
        tracing::warn!(%domain, %job, state = row.job.state.as_str(), "nothing was heard of a job for longer than its lease");
        self.listeners.tell(domain);
        Ok(())
    }

    fn remove_if_ran_out(&self, key: (DomainId, JobId)) -> bool {
        let now = self.time.running();
        let mut live = self.live();
        let ran_out = live.get(&key).is_some_and(|live| live.until.is_some_and(|until| until <= now));
        if ran_out {
            live.remove(&key);
        }
        ran_out
    }
}

impl Live {
    pub(super) fn ran_out(now: Duration) -> Self {
        Self { until: Some(now), fence: 0, progress: None, warnings_count: 0, lines: Some(0) }
    }
}
