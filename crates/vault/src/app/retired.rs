//! Agents that the owner retired. What says so is the descriptor, and nothing else.
//!
//! Invariant: nothing is handed to a retired agent, and nothing waits for one where nobody else would do it.

use super::App;
use super::vault::VaultPlace;
use bytes::Bytes;
use contract::{Error, ErrorKind, Result};
use format::descriptor::{Certificate, Descriptor};
use format::{AgentKey, DomainId};
use std::collections::HashSet;
use std::hash::Hash;

/// What the descriptor says of all agents at once: each of many is looked up in it without going through its certificates again.
#[derive(Default)]
pub(crate) struct Retired {
    agents: HashSet<(DomainId, AgentKey)>,
    domains: HashSet<DomainId>,
}

impl Retired {
    /// As [`Descriptor::is_retired`] and [`Descriptor::nobody_is_left`].
    fn of(descriptor: &Descriptor) -> Self {
        Self {
            agents: all_retired(descriptor, |known| (known.domain, known.agent)),
            domains: all_retired(descriptor, |known| known.domain),
        }
    }

    pub(crate) fn is_retired(&self, domain: DomainId, agent: AgentKey) -> bool {
        self.agents.contains(&(domain, agent))
    }

    pub(crate) fn nobody_is_left(&self, domain: DomainId) -> bool {
        self.domains.contains(&domain)
    }
}

/// What all certificates are retired of that have this in common.
fn all_retired<K: Hash + Eq>(descriptor: &Descriptor, key: impl Fn(&Certificate) -> K) -> HashSet<K> {
    let left: HashSet<K> = descriptor.certificates.iter().filter(|known| !known.retired).map(&key).collect();
    descriptor.certificates.iter().map(&key).filter(|key| !left.contains(key)).collect()
}

impl VaultPlace {
    /// The agents that the owner has retired.
    pub(crate) async fn retired(&self) -> Retired {
        self.find().await.map(|vault| Retired::of(&vault.trusted())).unwrap_or_default()
    }

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
        let before = self.vault.retired().await;
        self.vault.publish(bytes).await?;
        for (domain, agent) in self.vault.retired().await.agents.difference(&before.agents) {
            tracing::info!(%domain, %agent, "an agent was retired by the owner");
            self.listeners.tell(*domain);
        }
        Ok(())
    }

    /// Ends the jobs that only retired agents would do, and those that retired agents do.
    pub(crate) async fn end_jobs_of_retired(&self) -> Result<()> {
        match self.vault.find().await {
            Some(vault) => self.end_retired(&vault.trusted()).await,
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Retired;
    use format::descriptor::Descriptor;
    use format::{AgentKey, DomainId};
    use seal::OwnerSeed;

    #[test]
    fn of_many_agents_it_is_told_what_the_descriptor_says_of_each() {
        let owner = OwnerSeed::generate();
        let vault = format::VaultId([1; 16]);
        let certificate = |domain: u8, agent: u8, retired: bool| {
            let mut made = owner.certify(vault, AgentKey([agent; 32]), DomainId([domain; 16]), &[]);
            made.retired = retired;
            made
        };
        let descriptor = Descriptor {
            vault,
            version: 1,
            created_ms: 0,
            owner: owner.owner_key(),
            owner_public: owner.public(),
            chunker: format::limits::CHUNKER_KEYED_GEAR,
            features_to_read: vec![],
            features_to_write: vec![],
            recipients: vec![],
            domains: vec![],
            // One that was certified anew, one of two, both of two, and nobody's domain.
            certificates: vec![
                certificate(1, 1, true),
                certificate(1, 1, false),
                certificate(2, 1, true),
                certificate(2, 2, false),
                certificate(3, 1, true),
                certificate(3, 2, true),
            ],
        };
        let retired = Retired::of(&descriptor);
        for domain in (1..=4).map(|domain| DomainId([domain; 16])) {
            assert_eq!(retired.nobody_is_left(domain), descriptor.nobody_is_left(domain), "{domain}");
            for agent in (1..=3).map(|agent| AgentKey([agent; 32])) {
                assert_eq!(retired.is_retired(domain, agent), descriptor.is_retired(domain, agent), "{domain} {agent}");
            }
        }
        assert!(retired.nobody_is_left(DomainId([3; 16])) && !retired.nobody_is_left(DomainId([2; 16])));
    }
}
