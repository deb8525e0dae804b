//! A round of retention of a domain: what expired is soft-deleted, what was soft-deleted long enough ago is purged.

use super::plan::ItemPlan;
use crate::app::App;
use crate::app::clock::timestamp;
use crate::db::{ItemRow, PointRow};
use api::{ProgressBody, RetentionResult};
use contract::{Domain, PointInfo, PointState, Result};
use format::{DomainId, ItemName, PointId};
use policy::{Policy, Timestamp};
use std::collections::HashMap;
use std::sync::Arc;

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
        let purged = purgeable(&points, &book, &policies, now);
        for ids in purged.chunks(AT_ONCE) {
            repository.purge(ids).await?;
            self.database.remove_points(domain, ids).await?;
            round.result.purged += ids.len() as u64;
        }
        Ok(round)
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
        self.expire_by_plan(repository, &plan.expiring, now).await?;
        round.result.expired += plan.expiring.len() as u64;
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

/// Points that were soft-deleted long enough ago. Without a policy nobody says how long that is.
fn purgeable(
    points: &[PointInfo],
    book: &HashMap<PointId, PointRow>,
    policies: &HashMap<ItemName, Arc<Policy>>,
    now: Timestamp,
) -> Vec<PointId> {
    let is_due = |info: &&PointInfo| {
        let deleted_ms = book.get(&info.id).and_then(|row| row.deleted_ms);
        let (Some(deleted_ms), Some(policy)) = (deleted_ms, policies.get(&info.item)) else { return false };
        info.state == PointState::SoftDeleted && policy.purge_at(timestamp(deleted_ms)) <= now
    };
    points.iter().filter(is_due).map(|info| info.id).collect()
}
