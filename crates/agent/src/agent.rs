//! An agent: what it needs to know of its machine and its vault, and the one way to run it.

use crate::bounds::Bounds;
use crate::changes::ChangeJournal;
use crate::clock::Clock;
use crate::duty::Duty;
use crate::error::{AgentError, Result};
use crate::limits::PATIENCE;
use crate::plan::Plan;
use crate::state::State;
use crate::trust::Trust;
use api::{JobState, Protection, ServiceOptions, ServiceVault};
use format::DomainId;
use seal::{AgentSigner, DomainSecret, DomainWriter};
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// The keys of an agent. They never leave this process.
#[derive(Clone)]
pub struct Secrets {
    /// Adds to the domain.
    pub writer: DomainWriter,
    /// Signs its points.
    pub signer: Arc<AgentSigner>,
    /// Opens what is in the domain. None: an agent that writes only, which restores nothing.
    pub secret: Option<DomainSecret>,
}

/// Directories of this machine that the agent uses.
#[derive(Debug, Clone)]
pub struct Places {
    /// Its own state.
    pub state: PathBuf,
    /// Where restores go that name no directory.
    pub staging: PathBuf,
    /// What is never backed up, and never restored over: Holdfast's configuration, state and cache.
    pub own: Vec<PathBuf>,
}

/// An agent.
pub struct Agent {
    /// How to reach the service.
    pub service: ServiceOptions,
    /// The domain that it protects.
    pub domain: DomainId,
    /// Its keys.
    pub secrets: Secrets,
    /// What it trusts of the vault.
    pub trust: Arc<dyn Trust>,
    /// What it may be asked.
    pub bounds: Bounds,
    /// Where it keeps what.
    pub places: Places,
    /// The machine's name.
    pub host: String,
    /// Program and version.
    pub program: String,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    /// Does what is due, and ends.
    pub once: bool,
}

/// What all that an agent does shares.
pub(crate) struct Shared {
    pub(crate) agent: Agent,
    /// For short questions.
    pub(crate) control: ServiceVault,
    /// What is protected now.
    pub(crate) plan: watch::Receiver<Arc<Plan>>,
    /// What the kernel tells of changes, if it is asked.
    pub(crate) changes: Option<ChangeJournal>,
}

impl Shared {
    pub(crate) fn now_ms(&self) -> i64 {
        self.agent.clock.now_ms()
    }
}

/// An agent that has its state, alone.
pub struct OpenAgent {
    pub(crate) duty: Duty,
}

/// What came of the jobs of an agent that did once what there was to do. Of a slot that was run more than once the last time counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct JobCounts {
    /// All of them.
    pub jobs: u64,
    /// Failed, or were interrupted.
    pub failed: u64,
    /// Somebody stopped them, or their window closed.
    pub cancelled: u64,
    /// Are done, with warnings.
    pub warned: u64,
}

impl JobCounts {
    pub(crate) fn of(ends: impl Iterator<Item = JobState>) -> Self {
        ends.fold(Self::default(), |mut counts, state| {
            counts.jobs += 1;
            match state {
                JobState::Failed | JobState::Interrupted => counts.failed += 1,
                JobState::Cancelled => counts.cancelled += 1,
                JobState::Warnings => counts.warned += 1,
                JobState::Succeeded | JobState::Waiting | JobState::Running => {}
            }
            counts
        })
    }
}

impl Agent {
    /// What is protected, ready to be asked. What is done once is not spread: whoever starts it says when.
    pub(crate) fn plan(&self, protection: &Protection, before: &Plan) -> Plan {
        Plan::new(self.domain, protection, before, !self.once)
    }

    /// An agent that runs on follows changes, if it is to. Where that cannot be it walks everything, and says so.
    fn follow_changes(&self) -> Option<ChangeJournal> {
        if self.once {
            return None;
        }
        let days = Duration::from_secs(u64::from(self.bounds.walk_everything_days) * 24 * 3600);
        ChangeJournal::start(self.bounds.journal, days).unwrap_or_else(|error| {
            tracing::warn!(
                %error,
                "changes cannot be followed, so everything is walked: 'journal' in agent.toml takes Linux 5.19 and CAP_SYS_ADMIN; \
                 'holdfast agent doctor' says more"
            );
            None
        })
    }

    /// Takes the state of this agent. Fails if another process has it. Must be called within a multi-threaded runtime.
    pub fn open(self) -> Result<OpenAgent> {
        let (state, words) = tokio::task::block_in_place(|| State::open(&self.places.state))?;
        words.iter().for_each(|word| tracing::warn!("{word}"));
        let options = ServiceOptions { patience: PATIENCE, ..self.service.clone() };
        let control = ServiceVault::new(options).map_err(AgentError::Client)?;
        let plan = state.protection().map(|protection| self.plan(protection, &Plan::default())).unwrap_or_default();
        let (plans, plan) = watch::channel(Arc::new(plan));
        let changes = self.follow_changes();
        let shared = Arc::new(Shared { agent: self, control, plan, changes });
        Ok(OpenAgent { duty: Duty::new(shared, state, plans) })
    }
}

impl OpenAgent {
    /// Protects the machine until `end` comes, or for ever. Jobs that run then are stopped and go on at the next start.
    pub async fn run(self, end: impl Future<Output = ()>) -> Result<JobCounts> {
        self.duty.run(end).await
    }
}

/// Protects the machine until `end` comes, or for ever.
pub async fn run(agent: Agent, end: impl Future<Output = ()>) -> Result<JobCounts> {
    agent.open()?.run(end).await
}
