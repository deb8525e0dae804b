//! Jobs of agents that the owner retired: nobody would ever take or end them.

use super::Jobs;
use super::made::{End, JobTurn, end_without_point};
use crate::app::App;
use crate::app::retired::ANEW;
use crate::db::JobRow;
use api::{JobOrigin, JobProblem, JobState};
use contract::Result;
use format::descriptor::Descriptor;
use format::{DomainId, JobId};

impl App {
    /// Ends what waits where nobody is left to take it, and what a retired agent has taken. One whose point is being committed is looked
    /// at again later.
    pub(crate) async fn end_retired(&self, descriptor: &Descriptor) -> Result<()> {
        let waiting = self.database.jobs_in(None, JobState::Waiting).await?;
        let running = self.database.jobs_in(None, JobState::Running).await?;
        let mut outcome = Ok(());
        for found in waiting.iter().chain(&running).filter(|row| has_nobody(row, descriptor)) {
            let (domain, job) = found.key();
            match self.free_turn_of_job(domain, job).await {
                Ok(Some(turn)) => self.jobs.end_one_retired((domain, job), descriptor, &turn).await?,
                Ok(None) => {}
                Err(error) => outcome = Err(error),
            }
        }
        outcome
    }
}

impl Jobs {
    async fn end_one_retired(&self, (domain, job): (DomainId, JobId), descriptor: &Descriptor, turn: &JobTurn) -> Result<()> {
        let mut change = self.database.change().await?;
        // It may be over by now.
        let found = change.job(domain, job).await?.filter(|row| has_nobody(row, descriptor));
        let Some(mut row) = found else { return Ok(()) };
        let state = if row.job.state == JobState::Waiting { JobState::Cancelled } else { JobState::Interrupted };
        let end = End { state, problem: Some(retired(row.job.state)) };
        row.lapsed = false;
        end_without_point(&mut change, &mut row, turn, end, self.time.wall_ms()).await?;
        if matches!(row.job.origin, JobOrigin::Schedule { .. }) {
            // An agent makes as many of these as it wants.
            if !row.job.state.is_done() {
                change.remove_job_log(row.number).await?;
            }
            change.forget_jobs_of(domain, row.job.work.kind(), self.kept).await?;
        }
        change.commit().await?;
        self.live().remove(&row.key());
        tracing::warn!(%domain, %job, state = row.job.state.as_str(), "a job of a retired agent was ended");
        self.listeners.tell(domain);
        Ok(())
    }
}

/// Why a job in this state ends.
pub(super) fn retired(state: JobState) -> JobProblem {
    let message = match state {
        JobState::Waiting => "the owner has retired the agent for which the job waited",
        _ => "the owner has retired the agent that did the job",
    };
    JobProblem { message: message.to_owned(), hint: Some(ANEW.to_owned()) }
}

fn has_nobody(row: &JobRow, descriptor: &Descriptor) -> bool {
    let domain = row.job.domain;
    row.job.work.kind().is_agents()
        && match row.job.state {
            JobState::Waiting => descriptor.nobody_is_left(domain),
            JobState::Running => row.agent.is_some_and(|agent| descriptor.is_retired(domain, agent)),
            _ => false,
        }
}
