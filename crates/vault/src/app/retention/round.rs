//! A round of retention of a domain: what expired is soft-deleted, what was soft-deleted long enough ago is purged.

use super::plan::{ItemPlan, of_item};
use crate::app::App;
use crate::app::clock::timestamp;
use crate::db::{ItemRow, PointRow};
use api::{ProgressBody, RetentionResult};
use contract::{Domain, PointInfo, PointState, Result};
use format::{DomainId, PointId};
use policy::{Policy, Timestamp};
use std::collections::HashMap;

/// Points that are changed in one transaction.
const AT_ONCE: usize = 1000;

/// What a round did, and what a person is to be told.
#[derive(Default)]
pub(crate) struct Round {
    pub(crate) result: RetentionResult,
    /// Items with which something is not as it should be.
    pub(crate) notes: Vec<String>,
}

impl App {
    /// Goes through all items of a domain that have a policy.
    pub(crate) async fn retain(&self, domain: DomainId, progress: &(dyn Fn(ProgressBody) + Send + Sync)) -> Result<Round> {
        let repository = self.vault.domain(domain).await?;
        let _turn = self.turns.of(domain).await;
        let now = self.clock.stored().await?;
        let (points, book) = self.reconcile(repository.as_ref()).await?;
        let items = self.database.items(Some(domain)).await?;
        let (mut round, mut policies) = (Round::default(), HashMap::new());
        let total = items.iter().filter(|item| item.policy.is_some()).count() as u64;
        for item in items.iter().filter(|item| item.policy.is_some()) {
            let (phase, done) = ("retention".to_owned(), round.result.items);
            progress(ProgressBody { phase, done, total: Some(total), bytes: 0 });
            round.result.items += 1;
            let plan = match ItemPlan::new(self, item, &points, &book, now) {
                Ok(Some(plan)) => plan,
                Ok(None) => continue,
                Err(error) => {
                    round.notes.push(format!("item '{}': {error}", item.name));
                    continue;
                }
            };
            self.retain_item(repository.as_ref(), item, &plan, now, &mut round).await?;
            policies.insert(item.name.clone(), plan.policy);
        }
        for item in items.iter().filter(|item| policies.contains_key(&item.name)) {
            let purged = purgeable(of_item(&points, &item.name), &book, &policies[&item.name], now);
            for ids in purged.chunks(AT_ONCE) {
                if !self.is_as_planned(item).await? {
                    round.notes.push(other_rules(item));
                    break;
                }
                repository.purge(ids).await?;
                self.database.remove_points(domain, ids).await?;
                round.result.purged += ids.len() as u64;
            }
        }
        Ok(round)
    }

    /// Whether an item has the policy that it had, and that says what it said: whoever sets another is answered once nothing goes by
    /// the old one any more.
    async fn is_as_planned(&self, item: &ItemRow) -> Result<bool> {
        let now = self.database.item(item.domain, &item.name).await?;
        Ok(now.is_some_and(|now| now.settings == item.settings))
    }

    async fn retain_item(
        &self,
        repository: &dyn Domain,
        item: &ItemRow,
        plan: &ItemPlan,
        now: Timestamp,
        round: &mut Round,
    ) -> Result<()> {
        if plan.review != item.review {
            self.database.set_review(item.domain, &item.name, plan.review).await?;
        }
        if let Some(review) = plan.review {
            round.result.reviews += 1;
            let what = format!("{} of {} points would expire", review.expiring, review.points);
            round.notes.push(format!("item '{}': {what}, and nothing does until a person has looked", item.name));
            return Ok(());
        }
        for ids in plan.expiring.chunks(AT_ONCE) {
            if !self.is_as_planned(item).await? {
                round.notes.push(other_rules(item));
                break;
            }
            self.expire_by_plan(repository, ids, now).await?;
            round.result.expired += ids.len() as u64;
        }
        Ok(())
    }

    /// Soft-deletes points, since the time by which they expired.
    pub(super) async fn expire_by_plan(&self, repository: &dyn Domain, points: &[PointId], now: Timestamp) -> Result<()> {
        for ids in points.chunks(AT_ONCE) {
            repository.expire(ids).await?;
            self.database.set_points_deleted(repository.id(), ids, Some(now.as_millisecond())).await?;
        }
        Ok(())
    }
}

/// Points of an item that were soft-deleted long enough ago. Without a policy nobody says how long that is.
fn purgeable<'a>(
    points: impl Iterator<Item = &'a PointInfo>,
    book: &HashMap<PointId, PointRow>,
    policy: &Policy,
    now: Timestamp,
) -> Vec<PointId> {
    let is_due = |info: &&PointInfo| {
        let deleted_ms = book.get(&info.id).and_then(|row| row.deleted_ms);
        info.state == PointState::SoftDeleted && deleted_ms.is_some_and(|at| policy.purge_at(timestamp(at)) <= now)
    };
    points.filter(is_due).map(|info| info.id).collect()
}

fn other_rules(item: &ItemRow) -> String {
    format!("item '{}': it or its policy changed meanwhile; the next round goes by what holds now", item.name)
}
