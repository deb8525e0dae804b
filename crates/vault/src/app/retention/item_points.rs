//! An item's points with what becomes of them, for people.

use super::plan::{ItemPlan, of_item};
use crate::app::App;
use crate::app::items::no_such_item;
use crate::db::{ItemRow, PointRow};
use api::{ItemPoint, ItemPointList};
use contract::{PointInfo, PointState, Result};
use format::{DomainId, ItemName, PointId};
use policy::{Expiry, Timestamp};
use std::collections::HashMap;

impl App {
    /// All points of an item, also of one that is protected no more, oldest first.
    pub(crate) async fn item_points(&self, domain: DomainId, name: &ItemName) -> Result<ItemPointList> {
        self.know_points(domain).await?;
        let item = self.database.item(domain, name).await?;
        let repository = self.vault.domain(domain).await?;
        let filter = contract::PointFilter { item: Some(name.clone()), deleted: true };
        let mut points = repository.points(filter).await?;
        if item.is_none() && points.is_empty() {
            return Err(no_such_item(name));
        }
        points.sort_by_key(|info| info.sequence);
        let book = self.database.points(domain, Some(name)).await?;
        let book: HashMap<PointId, PointRow> = book.into_iter().map(|row| (row.id, row)).collect();
        let now = self.clock.shown();
        let plan = match &item {
            Some(item) => ItemPlan::new(self, item, &points, &book, now)?,
            None => None,
        };
        let shown = |info: &PointInfo| item_point(info, book.get(&info.id), plan.as_ref(), item.as_ref(), now);
        Ok(ItemPointList { points: of_item(&points, name).map(shown).collect(), now_ms: now.as_millisecond() })
    }
}

fn item_point(
    info: &PointInfo,
    known: Option<&PointRow>,
    plan: Option<&ItemPlan>,
    item: Option<&ItemRow>,
    now: Timestamp,
) -> ItemPoint {
    let told = known.map(|row| row.told).unwrap_or_default();
    let mut point = ItemPoint {
        point: info.id,
        sequence: info.sequence.0,
        place_ms: known.map_or(info.time_ms.min(info.received_ms), |row| row.place_ms),
        received_ms: info.received_ms,
        origin: told.origin,
        completeness: told.completeness,
        deleted_ms: None,
        purged_ms: None,
        expires_ms: None,
        reason: String::new(),
    };
    if info.state == PointState::SoftDeleted {
        // Seen for the first time: since now.
        let deleted_ms = known.and_then(|row| row.deleted_ms).unwrap_or(now.as_millisecond());
        let purged = plan.map(|plan| plan.policy.purge_at(crate::app::clock::timestamp(deleted_ms)));
        point.deleted_ms = Some(deleted_ms);
        point.purged_ms = purged.map(|at| at.as_millisecond());
        point.reason = match purged {
            Some(_) => "soft-deleted; it can be brought back until it is purged".to_owned(),
            None => "soft-deleted; without a policy it is purged by a person only".to_owned(),
        };
        return point;
    }
    (point.expires_ms, point.reason) = fate_of(info, known, plan, item);
    point
}

/// When a committed point expires, and why it is kept until then.
fn fate_of(info: &PointInfo, known: Option<&PointRow>, plan: Option<&ItemPlan>, item: Option<&ItemRow>) -> (Option<i64>, String) {
    if known.is_some_and(|row| row.held) {
        return (None, "kept because a person brought it back".to_owned());
    }
    let Some(plan) = plan else {
        let why = if item.is_some() { "the item has no policy" } else { "the item is protected no more" };
        return (None, format!("kept because {why}"));
    };
    // Committed since the plan was made.
    let Some(fate) = plan.fates.get(&info.id) else { return (None, "kept because it is new".to_owned()) };
    let expires_ms = match fate.expiry {
        Expiry::At(at) => Some(at.as_millisecond()),
        Expiry::WhileNewest { .. } | Expiry::WhileNothingNewer { .. } => None,
    };
    let waits = fate.expired && plan.review.is_some();
    (expires_ms, if waits { format!("{}; waits until a person has looked", fate.reason()) } else { fate.reason() })
}
