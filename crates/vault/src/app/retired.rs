//! Agents that the owner retired. What says so is the descriptor, and nothing else.
//!
//! Invariant: nothing is handed to a retired agent, and nothing waits for one where nobody else would do it.

use super::App;
use super::vault::VaultPlace;
use bytes::Bytes;
use contract::{Error, ErrorKind, Result};
use format::{AgentKey, DomainId, JobId};
use std::collections::BTreeSet;

impl VaultPlace {
    /// Fails for an agent that the owner has retired.
    pub(crate) async fn refuse_retired(&self, domain: DomainId, agent: AgentKey) -> Result<()> {
        if !self.get().await?.trusted().is_retired(domain, agent) {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Denied, "the owner has retired this agent: it is told nothing more, and takes no jobs")
            .with_hint(ANEW))
    }

    /// Whether nobody is left who would do an agent's work in this domain.
    pub(crate) async fn nobody_is_left(&self, domain: DomainId) -> bool {
        self.find().await.is_some_and(|vault| vault.trusted().nobody_is_left(domain))
    }
}

/// How a machine gets an agent again.
pub(crate) const ANEW: &str =
    "'holdfast agent token NAME' where the owner's key is, then 'holdfast agent enroll --replace' on the machine";

impl App {
    /// Publishes a descriptor. Who is retired by it hears so at once: its stream ends.
    pub(crate) async fn publish(&self, bytes: Bytes) -> Result<()> {
        let before = self.retired_in().await;
        self.vault.publish(bytes).await?;
        for (domain, agent) in self.retired_in().await.difference(&before) {
            tracing::info!(%domain, %agent, "an agent was retired by the owner");
            self.listeners.tell(*domain);
        }
        Ok(())
    }

    async fn retired_in(&self) -> BTreeSet<(DomainId, AgentKey)> {
        let Some(vault) = self.vault.find().await else { return BTreeSet::new() };
        let descriptor = vault.trusted();
        let retired = descriptor.certificates.iter().filter(|known| descriptor.is_retired(known.domain, known.agent));
        retired.map(|known| (known.domain, known.agent)).collect()
    }

    /// Wants a job to stop. Where nobody is left who would have taken it, that is why.
    pub(crate) async fn cancel_job(&self, domain: DomainId, job: JobId) -> Result<()> {
        self.jobs.cancel(domain, job, self.vault.nobody_is_left(domain).await).await
    }

    /// Ends the jobs that only retired agents would do, and those that retired agents do.
    pub(crate) async fn end_jobs_of_retired(&self) -> Result<()> {
        match self.vault.find().await {
            Some(vault) => self.jobs.end_retired(&vault.trusted()).await,
            None => Ok(()),
        }
    }
}
