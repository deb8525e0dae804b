//! What the vault shows of each item, compared with what this machine has seen of it.
//!
//! Invariant: a row that nobody signed proves nothing. Of an item that this machine backed up, the point that it made last, or a
//! newer one, must be there with a record that verifies; soft-deleted ones count. A point that this machine purged itself is missed
//! by nobody.

use super::keyring::Opened;
use super::remembered::Remembered;
use crate::cli::Global;
use crate::failure::{Exit, Failure, Outcome};
use crate::terminal::note;
use contract::{Domain, ItemHead, PointFilter, PointInfo};
use format::{DomainId, ItemName, PointId};

/// What was found of all items of a domain that this machine has seen, where it is not alarming already.
pub(crate) struct Findings {
    /// The newest point of an item is there and cannot be trusted.
    pub(crate) untrusted: Option<Failure>,
    /// Of how many items the newest point is gone, which others may have purged.
    pub(crate) gone: usize,
}

/// What was found of one item, where it is not alarming.
pub(crate) enum Finding {
    /// What was seen is there, or something newer.
    Held,
    /// Its newest point is there and cannot be trusted.
    Untrusted(Failure),
    /// Its newest point is gone, which others may have purged.
    Gone(String),
}

/// How an item stands.
#[derive(Debug, PartialEq, Eq)]
enum Standing {
    /// What was seen is there, or something newer.
    Held,
    /// Something newer is there, and cannot be trusted.
    Untrusted,
    /// Nothing is there.
    Gone,
}

impl Opened {
    /// An alarm if the vault shows less of any item of the domain than this machine has seen. Where a point is gone that somebody
    /// else may have purged by right, it is a warning: only administrators purge, and an agent cannot tell it from loss.
    pub(crate) async fn check_items(&self, domain: &dyn Domain) -> Outcome<Findings> {
        let mut findings = Findings { untrusted: None, gone: 0 };
        if self.remembered.accepts_less() {
            return Ok(findings);
        }
        for item in self.remembered.items(domain.id()) {
            match self.check_item(domain, &item).await? {
                Finding::Held => {}
                Finding::Untrusted(failure) => findings.untrusted = Some(failure),
                Finding::Gone(words) => {
                    note!("warning: {words}");
                    findings.gone += 1;
                }
            }
        }
        Ok(findings)
    }

    /// The same for one item.
    pub(crate) async fn check_item(&self, domain: &dyn Domain, item: &ItemName) -> Outcome<Finding> {
        let head = domain.head(item).await?;
        self.remembered.check_item(domain.id(), item, head)?;
        let Some(seen) = self.remembered.item(domain.id(), item)? else { return Ok(Finding::Held) };
        if self.remembered.is_gone(domain.id(), &seen) {
            return Ok(Finding::Held);
        }
        let points = domain.points(PointFilter { item: Some(item.clone()), deleted: true }).await?;
        match self.standing(domain.id(), &seen, head, &points) {
            Standing::Held => Ok(Finding::Held),
            // Another process of this machine may have purged it since this one began.
            Standing::Gone if Remembered::load(&self.home, false)?.is_gone(domain.id(), &seen) => Ok(Finding::Held),
            Standing::Untrusted => Ok(Finding::Untrusted(untrusted(item))),
            Standing::Gone if self.is_agent().await? => {
                Ok(Finding::Gone(format!("{}; if nobody purged it, the vault was set back", gone_words(&seen))))
            }
            Standing::Gone => Err(gone(&seen)),
        }
    }

    fn standing(&self, domain: DomainId, seen: &engine::Remembered, head: Option<ItemHead>, points: &[PointInfo]) -> Standing {
        let verifies = |point: &PointInfo| engine::verify_point(&self.descriptor, domain, point).is_ok();
        let is_head = |point: &&PointInfo| head.is_some_and(|head| point.id == head.point || point.sequence >= head.sequence);
        if points.iter().filter(is_head).any(|point| !verifies(point)) {
            return Standing::Untrusted;
        }
        let counts = |point: &PointInfo| point.sequence > seen.sequence || point.id == seen.point;
        match points.iter().any(|point| counts(point) && verifies(point)) {
            true => Standing::Held,
            false => Standing::Gone,
        }
    }

    /// From now on what the vault shows of the domain's items is what this machine has seen.
    pub(super) async fn accept_items(&self, global: &Global) -> Outcome<()> {
        let mut remembered = self.remembered.clone();
        // Where no domain is chosen the command says so itself.
        let entry = self.domain_entry(global).ok().map(|entry| entry.id);
        if let Some(id) = entry.filter(|id| !remembered.items(*id).is_empty()) {
            let domain = self.vault.domain(id).await?;
            for item in remembered.items(id) {
                let head = domain.head(&item).await?;
                remembered.accept(id, &item, head);
                let Some(seen) = remembered.shown(id, &item)? else { continue };
                let points = domain.points(PointFilter { item: Some(item.clone()), deleted: true }).await?;
                if self.standing(id, &seen, head, &points) != Standing::Held {
                    remembered.note_gone(id, &seen);
                }
            }
        }
        remembered.store(&self.home)
    }

    /// This machine is about to purge points: those that it has seen last are missed no more.
    pub(crate) async fn note_purge(&self, domain: &dyn Domain, purged: &[PointId]) -> Outcome<()> {
        let mut remembered = Remembered::load(&self.home, false)?;
        for item in remembered.items(domain.id()) {
            let Some(seen) = remembered.item(domain.id(), &item)? else { continue };
            let points = domain.points(PointFilter { item: Some(item), deleted: true }).await?;
            let (going, staying): (Vec<_>, Vec<_>) = points.into_iter().partition(|point| purged.contains(&point.id));
            let counts = |point: &PointInfo| point.sequence >= seen.sequence;
            let verifies = |point: &PointInfo| engine::verify_point(&self.descriptor, domain.id(), point).is_ok();
            if going.iter().any(counts) && !staying.iter().any(|point| counts(point) && verifies(point)) {
                remembered.note_gone(domain.id(), &seen);
            }
        }
        remembered.store(&self.home)
    }
}

fn gone_words(seen: &engine::Remembered) -> String {
    let id = &seen.point.to_string()[..8];
    format!(
        "point {id} of {}, the newest that this machine made (number {}), is gone, and nothing newer is there",
        seen.item, seen.sequence
    )
}

fn gone(seen: &engine::Remembered) -> Failure {
    Failure::new(Exit::Damage, gone_words(seen)).with_hint(
        "if it was purged on another machine, or a rebuild has set aside what it could not read ('holdfast check --accept-rollback' \
         names that), --accept-rollback goes on with the state that is there; if not, points were lost or somebody hides them: \
         compare with other copies of the vault",
    )
}

fn untrusted(item: &ItemName) -> Failure {
    Failure::new(Exit::Damage, format!("the newest point of {item} cannot be trusted")).with_hint(
        "'holdfast points' tells which it is and why; 'holdfast rebuild' makes a damaged database anew; if that does not help, purge it, \
         or go on with the state that is there with --accept-rollback",
    )
}
