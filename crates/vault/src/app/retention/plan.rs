//! An item's plan: its points as retention sees them, and what becomes of each.

use crate::app::App;
use crate::app::work::compute;
use crate::db::{ItemRow, PointRow};
use api::{Completeness, PointOrigin, ReviewBody};
use contract::{Error, ErrorKind, PointInfo, PointState, Result};
use format::{ItemName, PointId};
use policy::{Fate, Origin, Policy, RetentionPoint, Timestamp};
use std::collections::HashMap;
use std::sync::Arc;

/// What becomes of an item's points.
pub(crate) struct ItemPlan {
    /// The policy by which.
    pub(crate) policy: Arc<Policy>,
    /// Of its committed points.
    pub(crate) fates: HashMap<PointId, Fate>,
    /// Those that expire now, in the order of the chain. A point that a person brought back is not among them.
    pub(crate) expiring: Vec<PointId>,
    /// So many that a person has to look first.
    pub(crate) review: Option<ReviewBody>,
}

impl ItemPlan {
    /// The plan of an item that has a policy.
    pub(crate) fn new(
        app: &App,
        item: &ItemRow,
        points: &[PointInfo],
        book: &HashMap<PointId, PointRow>,
        now: Timestamp,
    ) -> Result<Option<Self>> {
        let Some(policy) = app.policy_of(item)? else { return Ok(None) };
        let committed: Vec<RetentionPoint> = of_item(points, &item.name)
            .filter(|info| info.state == PointState::Committed)
            .map(|info| retention_point(info, book.get(&info.id)))
            .collect();
        let plan = compute(|| policy.plan_retention(&committed, now));
        let plan = plan.map_err(|error| Error::new(ErrorKind::Invalid, error.to_string()))?;
        let is_held = |id: &PointId| book.get(id).is_some_and(|row| row.held);
        let expiring: Vec<PointId> = plan.expiring().map(|fate| fate.id).filter(|id| !is_held(id)).collect();
        let review = policy.review(expiring.len(), committed.len());
        let review = review.map(|review| ReviewBody { expiring: review.expiring as u64, points: review.points as u64 });
        let fates = plan.fates.into_iter().map(|fate| (fate.id, fate)).collect();
        Ok(Some(Self { policy, fates, expiring, review }))
    }
}

/// The points of one item.
pub(super) fn of_item<'a>(points: &'a [PointInfo], item: &'a ItemName) -> impl Iterator<Item = &'a PointInfo> {
    points.iter().filter(move |info| info.item == *item)
}

/// A point of which the service has no book is what deletes nothing early.
fn retention_point(info: &PointInfo, known: Option<&PointRow>) -> RetentionPoint {
    let stamped_ms = info.time_ms.min(info.received_ms);
    RetentionPoint {
        id: info.id,
        sequence: info.sequence,
        place_ms: known.map_or(stamped_ms, |row| row.place_ms),
        received_ms: info.received_ms,
        origin: match known.map(|row| (row.held, row.told.origin)) {
            Some((true, _)) => Origin::Held,
            Some((false, PointOrigin::OnDemand)) => Origin::OnDemand,
            Some((false, PointOrigin::Scheduled | PointOrigin::Unknown)) | None => Origin::Scheduled,
        },
        completeness: match known.map(|row| row.told.completeness) {
            Some(Completeness::Clean | Completeness::Unknown) | None => policy::Completeness::Clean,
            Some(Completeness::Warnings) => policy::Completeness::Warnings,
            Some(Completeness::Incomplete) => policy::Completeness::Incomplete,
        },
    }
}
