//! Leases of jobs: whoever does one says so now and then, or it counts as interrupted. A backup whose point is there is done.
//!
//! Time is the process's running time: no jump of the system's clock ends a lease. They are in memory only; after a restart every
//! job that runs gets one full lease.

use super::made::{End, JobTurn, end_without_point, point_made};
use super::{Jobs, Live, interrupt_own, interrupted};
use crate::app::App;
use api::{JobOrigin, JobState};
use contract::Result;
use format::{DomainId, JobId};
use std::time::Duration;

/// Most runs of a domain that agents began themselves, whose leases ran out, and that are remembered. Of one that was forgotten a late
/// report is taken as of one that is new.
const LAPSED_RUNS_MAX: u64 = 200;

impl App {
    /// Interrupts the jobs whose leases ran out. One that was taken, and of which nothing was heard since, waits again: who took it may
    /// not have had the answer. One whose point is being committed is looked at again later: others do not wait for that.
    pub(crate) async fn lapse_jobs(&self) -> Result<()> {
        let mut outcome = Ok(());
        for (domain, job) in self.jobs.ran_out() {
            match self.free_turn_of_job(domain, job).await {
                Ok(Some(turn)) => self.jobs.lapse((domain, job), &turn).await?,
                Ok(None) => {}
                // Of one domain whose storage does not answer. It is the others' no less to be looked at.
                Err(error) => outcome = Err(error),
            }
        }
        outcome
    }
}

impl Jobs {
    fn ran_out(&self) -> Vec<(DomainId, JobId)> {
        let now = self.time.running();
        let live = self.live();
        live.iter().filter(|(_, live)| live.until.is_some_and(|until| until <= now)).map(|(key, _)| *key).collect()
    }

    async fn lapse(&self, key: (DomainId, JobId), turn: &JobTurn) -> Result<()> {
        let lapsed = self.lapse_one(key, turn).await;
        if lapsed.is_err() {
            // Looked at again: a job without a lease would run for ever.
            let now = self.time.running();
            self.live().entry(key).or_insert_with(|| Live::ran_out(now));
        }
        lapsed
    }

    async fn lapse_one(&self, key: (DomainId, JobId), turn: &JobTurn) -> Result<()> {
        let mut change = self.database.change().await?;
        // Whoever renews a lease in a change has done so, or waits for this one; whoever renews without one finds it gone.
        if !self.remove_if_ran_out(key) {
            return Ok(());
        }
        let row = change.job(key.0, key.1).await?;
        let Some(mut row) = row.filter(|row| row.job.state == JobState::Running) else { return Ok(()) };
        let now_ms = self.time.wall_ms();
        let waits_again = row.job.work.kind().is_agents() && !row.heard && !row.job.cancelling;
        if !row.job.work.kind().is_agents() {
            interrupt_own(&mut row, now_ms);
            change.update_job(&row).await?;
        } else if waits_again && point_made(&mut change, &row).await?.is_none() {
            (row.job.state, row.job.started_ms) = (JobState::Waiting, None);
            change.update_job(&row).await?;
        } else {
            // Whoever did it may only be cut off.
            row.lapsed = row.heard;
            let end = match row.heard {
                true => {
                    let problem = interrupted("its agent was not heard of for longer than the job's lease");
                    End { state: JobState::Interrupted, problem: Some(problem) }
                }
                false => End { state: JobState::Cancelled, problem: None },
            };
            end_without_point(&mut change, &mut row, turn, end, now_ms).await?;
        }
        if matches!(row.job.origin, JobOrigin::Schedule { .. }) {
            // An agent makes as many of these as it wants. A late report brings the whole log again.
            if row.job.state == JobState::Interrupted {
                change.remove_job_log(row.number).await?;
                change.forget_lapsed_runs(key.0, LAPSED_RUNS_MAX).await?;
            } else if row.job.state.is_over() {
                change.forget_jobs_of(key.0, row.job.work.kind(), self.kept).await?;
            }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;
    use crate::time::Time;
    use api::{JobReport, Work};
    use format::{AgentKey, ItemName};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    #[derive(Default)]
    struct Seconds(AtomicU64);

    impl Time for Seconds {
        fn wall_ms(&self) -> i64 {
            1_800_000_000_000
        }

        fn running(&self) -> Duration {
            Duration::from_secs(self.0.load(Ordering::Relaxed))
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_job_whose_point_is_being_committed_keeps_its_state_and_holds_up_no_other() {
        let (directory, time) = (tempfile::tempdir().unwrap(), Arc::new(Seconds::default()));
        let app = App::open(Config { data: directory.path().to_owned(), ..Config::default() }, time.clone()).await.unwrap();
        let domain = DomainId([1; 16]);
        let (committing, other) = (JobId([1; 16]), JobId([2; 16]));
        let work = Work::Backup { item: ItemName::new("item").unwrap(), reread: false };
        let origin = JobOrigin::Schedule { slot_ms: 1, missed: 0 };
        let report = JobReport::begun(AgentKey([1; 32]), 0, work, origin, 1, 1);
        for job in [committing, other] {
            app.jobs.report(domain, job, report.clone(), true, None).await.unwrap();
        }
        let states = async || {
            let of = async |job| app.jobs.find(domain, job).await.unwrap().state;
            (of(committing).await, of(other).await)
        };
        let turn = app.turn_of_job(domain, committing).await.unwrap();
        time.0.store(1000, Ordering::Relaxed);
        tokio::time::timeout(Duration::from_secs(10), app.lapse_jobs()).await.expect("it waits for a commit").unwrap();
        assert_eq!(states().await, (JobState::Running, JobState::Interrupted));
        drop(turn);
        app.lapse_jobs().await.unwrap();
        assert_eq!(states().await, (JobState::Interrupted, JobState::Interrupted));
    }
}
