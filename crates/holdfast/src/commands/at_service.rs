//! Commands that ask a vault service: which domain, item and job a user means there.

use crate::cli::Global;
use crate::failure::{Exit, Failure, Outcome};
use crate::local::{Opened, open_keyless};
use api::{AgentBody, ItemBody, ItemsQuery, ServiceVault};
use format::{DomainId, ItemName};
use std::time::Duration;

/// A vault behind a service, and the service itself.
pub(super) struct AtService {
    pub(super) opened: Opened,
    pub(super) service: ServiceVault,
}

/// Opens the vault. Fails if it is in a directory: that one does nothing by itself.
pub(super) async fn open_service(global: &Global) -> Outcome<AtService> {
    let opened = open_keyless(global).await?;
    let service = opened.service.clone().ok_or_else(|| {
        Failure::new(Exit::Usage, "the vault is in a directory, which has no policies, jobs, agents or tokens")
            .with_hint("'holdfast-vault serve' keeps a vault as a service; name it with HOLDFAST_VAULT=https://…")
    })?;
    Ok(AtService { opened, service })
}

impl AtService {
    /// A domain's name, for people.
    pub(super) fn name_of(&self, domain: DomainId) -> String {
        self.opened.descriptor.domain(domain).map_or_else(|| domain.to_string(), |entry| entry.name.clone())
    }

    /// The agents of a domain that have spoken to the service and are not retired.
    pub(super) async fn agents_of(&self, domain: DomainId) -> Outcome<Vec<AgentBody>> {
        let agents = self.service.agents().await?.agents;
        Ok(agents.into_iter().filter(|agent| agent.domain == domain && !agent.retired).collect())
    }

    /// The domain that the command line names, if it names one.
    pub(super) fn named_domain(&self, global: &Global) -> Outcome<Option<DomainId>> {
        match global.domain {
            Some(_) => Ok(Some(self.opened.domain_entry(global)?.id)),
            None => Ok(None),
        }
    }

    /// The protected item of this name: in the domain that the command line names, or the only one of all domains.
    pub(super) async fn item(&self, global: &Global, item: &ItemName) -> Outcome<ItemBody> {
        if let Some(domain) = self.named_domain(global)? {
            return Ok(self.service.item(domain, item).await?);
        }
        let all = self.service.items(&ItemsQuery::default()).await?.items;
        let mut fits: Vec<ItemBody> = all.into_iter().filter(|known| known.item == *item).collect();
        match fits.len() {
            1 => Ok(fits.remove(0)),
            0 => Err(Failure::new(Exit::Failed, format!("no item '{item}' is protected"))
                .with_hint("'holdfast item list' lists what is; 'holdfast item set' protects an item")),
            _ => {
                let domains: Vec<String> = fits.iter().map(|known| self.name_of(known.domain)).collect();
                Err(Failure::new(Exit::Usage, format!("several domains have an item '{item}'"))
                    .with_hint(format!("name one with --domain: {}", domains.join(", "))))
            }
        }
    }
}

/// How long ago, or how long until, for people: one unit, or two.
pub(super) fn span(ms: i64) -> String {
    let minutes = ms.unsigned_abs() / 60_000;
    match minutes {
        0 => crate::terminal::seconds(Duration::from_millis(ms.unsigned_abs())),
        1..60 => format!("{minutes} min"),
        60..1440 => format!("{} h {} min", minutes / 60, minutes % 60),
        _ => format!("{} d {} h", minutes / 1440, minutes / 60 % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::span;

    #[test]
    fn a_span_has_the_units_that_matter() {
        for (ms, text) in [(1500, "1.5 s"), (61_000, "1 min"), (-3_660_000, "1 h 1 min"), (90_000_000, "1 d 1 h")] {
            assert_eq!(span(ms), text);
        }
    }
}
