//! Points that a person lets expire, brings back or purges, and a review that a person accepts.

use super::plan::ItemPlan;
use super::round::Done;
use crate::app::App;
use crate::app::items::no_such_item;
use api::ReviewBody;
use contract::{Error, ErrorKind, Result};
use format::{DomainId, ItemName, PointId};

impl App {
    /// Soft-deletes points, from now on.
    pub(crate) async fn expire_points(&self, domain: DomainId, points: &[PointId]) -> Result<()> {
        let repository = self.vault.domain(domain).await?;
        let _turn = self.turns.of(domain).await;
        // Those that the vault lists again would count as deleted since they were the first time.
        self.reconcile(repository.as_ref()).await?;
        let now_ms = self.clock.stored().await?.as_millisecond();
        repository.expire(points).await?;
        self.database.set_points_deleted(domain, points, Some(now_ms)).await?;
        Ok(())
    }

    /// Makes points listed again. From then on they expire by a person's hand only: by their policy they would go at once.
    pub(crate) async fn undelete_points(&self, domain: DomainId, points: &[PointId]) -> Result<()> {
        let repository = self.vault.domain(domain).await?;
        let _turn = self.turns.of(domain).await;
        // Those that are listed are brought back from nowhere: which they are has to be known.
        self.reconcile(repository.as_ref()).await?;
        // First: whatever comes in between, what is listed again does not go by its policy.
        self.database.hold_points(domain, points).await?;
        repository.undelete(points).await?;
        self.database.set_points_deleted(domain, points, None).await?;
        Ok(())
    }

    /// Purges points for ever. Of many, that takes room.
    pub(crate) async fn purge_points(&self, domain: DomainId, points: &[PointId]) -> Result<()> {
        let _turn = self.turns.of(domain).await;
        let repository = self.vault.domain(domain).await?;
        // Each by itself: what is purged is purged, and cannot be once more.
        self.reserve.at_need(|| repository.purge(points)).await?;
        self.due.collect_soon(domain);
        self.reserve.at_need(|| self.database.remove_points(domain, points)).await?;
        Ok(())
    }

    /// Lets points expire of which so many would that a person had to look, if it is still those. The same again is no error.
    pub(crate) async fn accept_review(&self, domain: DomainId, name: &ItemName, accepted: ReviewBody) -> Result<()> {
        let repository = self.vault.domain(domain).await?;
        let _turn = self.turns.of(domain).await;
        let item = self.database.item(domain, name).await?.ok_or_else(|| no_such_item(name))?;
        let now = self.clock.stored().await?;
        let (points, book) = self.reconcile(repository.as_ref()).await?;
        let plan = ItemPlan::new(self, &item, &points, &book, now)?;
        let Some((plan, review)) = plan.and_then(|plan| plan.review.map(|review| (plan, review))) else {
            return if item.accepted == Some(accepted) { Ok(()) } else { Err(nothing_waits(name)) };
        };
        if review != accepted {
            self.database.set_review(domain, name, Some(review)).await?;
            let what = format!("{} of {} points of item '{name}' would expire now", review.expiring, review.points);
            return Err(Error::new(ErrorKind::Conflict, what).with_hint("look again, and accept what would expire now"));
        }
        self.expire_by_plan(repository.as_ref(), &plan.expiring, now, &Done::default()).await?;
        self.database.accept_review(domain, name, accepted).await?;
        tracing::info!(%domain, item = %name, points = plan.expiring.len(), "a person let points expire");
        Ok(())
    }
}

fn nothing_waits(name: &ItemName) -> Error {
    Error::new(ErrorKind::Conflict, format!("no points of item '{name}' wait for a person"))
}
