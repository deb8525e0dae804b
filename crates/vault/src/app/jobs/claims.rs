//! Claims: an agent takes a job. Of two who ask at once one gets it; of one item an agent works on one job at a time.

use super::made::{End, JobTurn, end_without_point};
use super::{Jobs, Live, STARTING};
use crate::app::App;
use crate::db::{Change, JobRow};
use api::{Job, JobClaim, JobLog, JobOrigin, JobState};
use contract::Result;
use format::{DomainId, ItemName, JobId};
use std::time::Duration;

/// Who has taken a job says so within this time, or may not have heard that it has it.
const UNHEARD: Duration = Duration::from_secs(30);

impl App {
    /// The next job for an agent, if there is one; with [`JobClaim::again`] that one, if it is still to be done. What an agent sent
    /// before it died is over by then.
    pub(crate) async fn claim_job(&self, domain: DomainId, claim: &JobClaim) -> Result<Option<Job>> {
        let again = match claim.again {
            Some(again) => Some((again, self.turn_of_job(domain, again).await?)),
            None => None,
        };
        self.jobs.claim(domain, claim, again).await
    }
}

impl Jobs {
    async fn claim(&self, domain: DomainId, claim: &JobClaim, again: Option<(JobId, JobTurn)>) -> Result<Option<Job>> {
        // Most who ask find nothing: for them nobody waits.
        if again.is_none() && self.database.jobs_in(Some(domain), JobState::Waiting).await?.is_empty() {
            return Ok(None);
        }
        let mut change = self.database.change().await?;
        let mut row = match &again {
            Some((again, turn)) => match change.job(domain, *again).await?.filter(|row| may_go_on(row, claim)) {
                Some(mut row) if row.job.cancelling => {
                    row.lapsed = false;
                    let end = End { state: JobState::Cancelled, problem: None };
                    end_without_point(&mut change, &mut row, turn, end, self.time.wall_ms()).await?;
                    change.commit().await?;
                    self.live().remove(&row.key());
                    self.listeners.tell(domain);
                    return Ok(None);
                }
                found => found,
            },
            None => next_for(&mut change, domain, claim).await?,
        };
        let Some(row) = &mut row else { return Ok(None) };
        self.take(change, row, claim).await.map(Some)
    }

    async fn take(&self, mut change: Change, row: &mut JobRow, claim: &JobClaim) -> Result<Job> {
        row.job.fence += 1;
        row.job.state = JobState::Running;
        row.job.started_ms = Some(self.time.wall_ms());
        (row.job.ended_ms, row.job.result, row.job.problem, row.job.warnings_count) = (None, None, None, 0);
        (row.agent, row.heard, row.lapsed) = (Some(claim.agent), false, false);
        change.update_job(row).await?;
        change.put_job_log(row.number, &JobLog { lines: Vec::new(), warnings: Vec::new(), warnings_count: 0 }).await?;
        let until = self.time.running() + UNHEARD.min(self.lease);
        // Before the change is made: from then on its lease may be looked at.
        self.live().insert(row.key(), Live::new(row, Some(until), STARTING));
        change.commit().await?;
        let (domain, job) = row.key();
        tracing::info!(%domain, %job, fence = row.job.fence, "a job was taken");
        self.listeners.tell(domain);
        Ok(row.job.clone())
    }
}

/// Whether an agent that says it has this job, and does not do it, is to do it.
fn may_go_on(row: &JobRow, claim: &JobClaim) -> bool {
    let is_open = row.job.state == JobState::Running || row.lapsed || (row.job.state == JobState::Waiting && row.job.fence > 0);
    row.job.work.kind().is_agents()
        && row.job.origin == JobOrigin::Person
        && is_open
        && row.agent == Some(claim.agent)
        && row.job.work.item().is_none_or(|item| !claim.busy.contains(item))
}

/// The oldest job that waits, of an item on which nobody works.
async fn next_for(change: &mut Change, domain: DomainId, claim: &JobClaim) -> Result<Option<JobRow>> {
    let running = change.jobs_in(domain, JobState::Running).await?;
    let worked_on: Vec<ItemName> = running.iter().filter_map(|row| row.job.work.item().cloned()).collect();
    let is_free = |item: &ItemName| !claim.busy.contains(item) && !worked_on.contains(item);
    let waiting = change.jobs_in(domain, JobState::Waiting).await?;
    Ok(waiting.into_iter().find(|row| row.job.work.kind().is_agents() && row.job.work.item().is_some_and(is_free)))
}
