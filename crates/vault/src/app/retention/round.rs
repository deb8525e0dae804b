//! A round of retention of a domain: what expired is soft-deleted, what was soft-deleted long enough ago is purged.

use super::plan::{ItemPlan, of_item};
use crate::app::App;
use crate::app::clock::timestamp;
use crate::app::reserve::Full;
use crate::db::{ItemRow, PointRow};
use api::{ProgressBody, RetentionResult};
use contract::{Domain, PointFilter, PointInfo, PointState, Result};
use format::{DomainId, PointId};
use policy::{Policy, Timestamp};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

/// Points that are changed in one transaction.
const AT_ONCE: usize = 1000;

/// What a round did, and what a person is to be told.
#[derive(Default)]
pub(crate) struct Round {
    pub(crate) result: RetentionResult,
    /// Items with which something is not as it should be.
    pub(crate) notes: Vec<String>,
}

/// What cannot be done twice, and counts also if what follows fails.
#[derive(Default)]
pub(super) struct Done {
    expired: AtomicU64,
    purged: AtomicU64,
}

impl App {
    /// Goes through all items of a domain that have a policy. On a full disk the reserve is given up for that, if anything would come of
    /// it.
    pub(crate) async fn retain(&self, domain: DomainId, progress: &(dyn Fn(ProgressBody) + Send + Sync)) -> Result<Round> {
        let done = Done::default();
        let go_round = || self.go_round(domain, &done, progress);
        let mut round = match go_round().await {
            Err(error) if error.is_full() && self.would_retain(domain).await? => self.reserve.at_need(go_round).await?,
            round => round?,
        };
        (round.result.expired, round.result.purged) = (done.expired.into_inner(), done.purged.into_inner());
        Ok(round)
    }

    /// Whether anything would expire or be purged now. Changes nothing.
    pub(crate) async fn would_retain(&self, domain: DomainId) -> Result<bool> {
        let points = self.vault.domain(domain).await?.points(PointFilter { item: None, deleted: true }).await?;
        let book = self.database.points(domain, None).await?;
        let book: HashMap<PointId, PointRow> = book.into_iter().map(|row| (row.id, row)).collect();
        let now = self.clock.shown();
        for item in self.database.items(Some(domain)).await? {
            let Ok(Some(plan)) = ItemPlan::new(self, &item, &points, &book, now) else { continue };
            let expires = plan.review.is_none() && !plan.expiring.is_empty();
            if expires || !purgeable(of_item(&points, &item.name), &book, &plan.policy, now).is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn go_round(&self, domain: DomainId, done: &Done, progress: &(dyn Fn(ProgressBody) + Send + Sync)) -> Result<Round> {
        let repository = self.vault.domain(domain).await?;
        let _turn = self.turns.of(domain).await;
        let now = self.clock.stored().await?;
        let (points, book) = self.reconcile(repository.as_ref()).await?;
        let items = self.database.items(Some(domain)).await?;
        let (mut round, mut policies) = (Round::default(), HashMap::new());
        let total = items.iter().filter(|item| item.policy.is_some()).count() as u64;
        for item in items.iter().filter(|item| item.policy.is_some()) {
            let phase = "retention".to_owned();
            progress(ProgressBody { phase, done: round.result.items, total: Some(total), bytes: 0 });
            round.result.items += 1;
            let plan = match ItemPlan::new(self, item, &points, &book, now) {
                Ok(Some(plan)) => plan,
                Ok(None) => continue,
                Err(error) => {
                    round.notes.push(format!("item '{}': {error}", item.name));
                    continue;
                }
            };
            self.retain_item(repository.as_ref(), (item, &plan), now, done, &mut round).await?;
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
                done.purged.fetch_add(ids.len() as u64, Ordering::Relaxed);
                self.due.collect_soon(domain);
                self.database.remove_points(domain, ids).await?;
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
        (item, plan): (&ItemRow, &ItemPlan),
        now: Timestamp,
        done: &Done,
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
            self.expire_by_plan(repository, ids, now, done).await?;
        }
        Ok(())
    }

    /// Soft-deletes points, since the time by which they expired.
    pub(super) async fn expire_by_plan(
        &self,
        repository: &dyn Domain,
        points: &[PointId],
        now: Timestamp,
        done: &Done,
    ) -> Result<()> {
        for ids in points.chunks(AT_ONCE) {
            repository.expire(ids).await?;
            done.expired.fetch_add(ids.len() as u64, Ordering::Relaxed);
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
