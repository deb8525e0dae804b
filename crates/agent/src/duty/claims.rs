//! Jobs that somebody asked for: when the agent takes one, and those that it has to take again.

use super::{Answer, Duty};
use crate::limits::ON_DEMAND_MAX;
use api::limits::{SCOPE_LINE_BYTES_MAX, SCOPE_LINES_MAX};
use api::{Job, JobClaim, Notice, Work};
use contract::ErrorKind;
use format::{ItemName, JobId};
use std::collections::{BTreeSet, VecDeque};
use std::time::{Duration, Instant};

/// After a question that failed, so long until the next.
const AGAIN: Duration = Duration::from_secs(10);
/// Most jobs that wait to be taken again. There are no more under way than there are places for what somebody asks for.
const AGAIN_MAX: usize = 32;

/// What is asked, and what has to be.
#[derive(Debug, Default)]
pub(super) struct Claims {
    /// The question that has no answer yet.
    asked: Option<Asked>,
    /// Taken before the agent died, or was ended.
    again: VecDeque<(JobId, Option<ItemName>)>,
    /// The service had no job, and has said nothing since.
    nothing: Option<Notice>,
    /// A question failed: the next one is not before this.
    after: Option<Instant>,
}

/// A question for a job.
#[derive(Debug)]
struct Asked {
    /// What the service had said by then.
    notice: Notice,
    /// Something became free since: that there is no job does not hold any more.
    is_outdated: bool,
}

impl Claims {
    /// Has this job taken again. Answers whether there is room for that.
    pub(super) fn again(&mut self, job: JobId, item: Option<ItemName>) -> bool {
        let is_known = self.again.iter().any(|(known, _)| *known == job);
        if !is_known && self.again.len() < AGAIN_MAX {
            self.again.push_back((job, item));
        }
        is_known || self.again.iter().any(|(known, _)| *known == job)
    }

    /// The job is not to be taken again: it was, or it is nobody's any more.
    pub(super) fn strike(&mut self, job: JobId) {
        self.again.retain(|(known, _)| *known != job);
    }

    /// Asks for nothing for a while.
    pub(super) fn pause(&mut self) {
        self.after = Some(Instant::now() + AGAIN);
    }

    /// Whether a job of this item is to be taken again.
    pub(super) fn waits_for(&self, item: &ItemName) -> bool {
        self.again.iter().any(|(_, waits)| waits.as_ref() == Some(item))
    }

    /// There is room again.
    pub(super) fn look_again(&mut self) {
        self.nothing = None;
        if let Some(asked) = &mut self.asked {
            asked.is_outdated = true;
        }
    }

    fn ask(&mut self, notice: &Notice) {
        self.asked = Some(Asked { notice: notice.clone(), is_outdated: false });
    }

    /// The answer was that there is no job.
    fn learn_of_none(&mut self, asked: Option<Asked>) {
        self.nothing = asked.filter(|asked| !asked.is_outdated).map(|asked| asked.notice);
    }

    /// Whether an answer may bring a job any moment.
    pub(super) fn is_asking(&self) -> bool {
        self.asked.is_some()
    }

    pub(super) fn forget_question(&mut self) {
        self.asked = None;
    }

    /// Whether there is nothing to take.
    pub(super) fn is_done(&self, notice: &Notice) -> bool {
        self.again.is_empty() && self.asked.is_none() && (notice.waiting == 0 || self.nothing.as_ref() == Some(notice))
    }
}

impl Duty {
    /// Takes a job if there is one and room for it. Somebody who asks does not wait behind schedules, and schedules do not wait behind who
    /// asks: there is a place for such jobs.
    pub(super) fn claim(&mut self, notice: &Notice) {
        let on_demand = self.running.values().filter(|running| running.runs && running.slot_ms.is_none()).count();
        let is_full = on_demand >= ON_DEMAND_MAX;
        let is_early = self.claims.after.is_some_and(|after| Instant::now() < after);
        if self.claims.is_asking() || is_early || is_full || !self.may_write() {
            return;
        }
        let is_free = |item: &Option<ItemName>| item.as_ref().is_none_or(|item| !self.is_busy(item));
        let again = self.claims.again.iter().find(|(_, item)| is_free(item)).map(|(job, _)| *job);
        if again.is_none() && (notice.waiting == 0 || self.claims.nothing.as_ref() == Some(notice)) {
            return;
        }
        self.claims.ask(notice);
        let busy: BTreeSet<_> = self.busy().cloned().collect();
        let claim = JobClaim { agent: self.shared.agent.secrets.signer.key(), busy: busy.into_iter().collect(), again };
        let shared = self.shared.clone();
        self.answers.spawn(async move {
            let job = shared.control.claim_job(shared.agent.domain, &claim).await;
            Answer::Claimed { again, job }
        });
    }

    pub(super) fn on_claimed(&mut self, again: Option<JobId>, answer: contract::Result<Option<Job>>) {
        let asked = self.claims.asked.take();
        match answer {
            Ok(job) => {
                self.moved = Instant::now();
                if let Some(wanted) = again {
                    self.claims.strike(wanted);
                    if job.as_ref().is_none_or(|job| job.job != wanted) {
                        tracing::info!(job = %wanted, "the job is over, or somebody else's");
                        self.forget(wanted);
                    }
                }
                match job {
                    Some(job) => self.on_given(job),
                    None if again.is_none() => self.claims.learn_of_none(asked),
                    None => {}
                }
            }
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Conflict | ErrorKind::Invalid) => {
                tracing::warn!(%error, "the service does not give a job");
                match again {
                    Some(wanted) => {
                        self.claims.strike(wanted);
                        self.forget(wanted);
                    }
                    None => self.claims.learn_of_none(asked),
                }
            }
            Err(error) => {
                self.refusal = Some(error.to_string());
                tracing::debug!(%error, "cannot ask for a job");
                self.claims.pause();
            }
        }
    }

    fn on_given(&mut self, job: Job) {
        if !is_bounded(&job.work) {
            // It is not worth a place on this machine's disk: its lease says what there is to say.
            return tracing::error!(job = %job.job, "the service gave a job that is larger than any may be");
        }
        self.claims.nothing = None;
        self.start_given(job);
    }
}

/// Whether the work has the size that a service of this API gives.
fn is_bounded(work: &Work) -> bool {
    let Work::Restore(work) = work else { return true };
    let lines = work.paths.len() <= SCOPE_LINES_MAX;
    lines && work.paths.iter().chain(&work.to).all(|path| path.len() <= SCOPE_LINE_BYTES_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(waiting: u64, time_ms: i64) -> Notice {
        Notice { waiting, time_ms, ..Notice::default() }
    }

    #[test]
    fn there_is_nothing_to_take_until_the_service_says_something_else() {
        let mut claims = Claims::default();
        claims.ask(&waiting(1, 1));
        assert!(!claims.is_done(&waiting(1, 1)));
        let asked = claims.asked.take();
        claims.learn_of_none(asked);
        assert!(claims.is_done(&waiting(1, 1)));
        assert!(!claims.is_done(&waiting(1, 2)), "what it said later may be about another job");
    }

    #[test]
    fn an_answer_from_before_an_item_became_free_does_not_end_the_search() {
        let mut claims = Claims::default();
        claims.ask(&waiting(1, 1));
        claims.look_again();
        let asked = claims.asked.take();
        claims.learn_of_none(asked);
        assert!(!claims.is_done(&waiting(1, 1)));
    }
}
