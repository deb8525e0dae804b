//! `holdfast points`

use super::point_names::{Points, verified_points};
use crate::cli::Global;
use crate::failure::{Exit, Outcome};
use crate::local::{Incomplete, Opened, open_keyless};
use crate::terminal::{self, Json, Table, note};
use api::{Completeness, ItemPoint};
use clap::Args;
use contract::{ErrorKind, PointFilter, PointInfo, PointState};
use format::{DomainId, ItemName, PointId};
use std::collections::{BTreeMap, BTreeSet};

/// List recovery points, oldest first.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Only this item's.
    #[arg(long, value_name = "NAME")]
    item: Option<ItemName>,

    /// Soft-deleted points too: 'holdfast undelete' brings them back until they are purged.
    #[arg(long)]
    deleted: bool,
}

pub(crate) async fn run(global: &Global, arguments: Arguments) -> Outcome<Exit> {
    let opened = open_keyless(global).await?;
    opened.prove_named_secret(global).await?;
    let domain = opened.domain(global).await?;
    opened.note_domain(global, domain.id()).await?;
    let filter = PointFilter { item: arguments.item.clone(), deleted: arguments.deleted };
    let points = verified_points(&opened, domain.as_ref(), filter).await?;
    if let Some(item) = arguments.item.as_ref().filter(|_| points.has_none()) {
        refuse_unknown(&opened, domain.id(), item, &points).await?;
    }
    let exit = if points.untrusted.is_empty() { Exit::Clean } else { Exit::Damage };
    let fates = fates(&opened, domain.id(), &points.trusted).await;
    let incomplete = Incomplete::load(&opened.home);
    if global.json {
        let list = points.trusted.iter().map(|point| {
            serde_json::json!({
                "id": point.id.to_string(),
                "item": point.item.as_str(),
                "sequence": point.sequence.0,
                "time": terminal::utc(point.time_ms),
                "received": terminal::utc(point.received_ms),
                "state": state_word(point.state),
                "expires": fates.get(&point.id).and_then(|fate| fate.expires_ms).map(terminal::utc),
                "kept_as": fates.get(&point.id).map(|fate| &fate.reason),
                "completeness": completeness(&incomplete, point.id, fates.get(&point.id)).map(Completeness::as_str),
            })
        });
        let mut json = Json::new("points");
        json.set("points", list.collect::<Vec<_>>());
        let untrusted = points.untrusted.iter().map(|(point, error)| {
            serde_json::json!({ "id": point.id.to_string(), "item": point.item.as_str(), "why": error.to_string() })
        });
        json.set("untrusted", untrusted.collect::<Vec<_>>());
        json.print();
        return Ok(exit);
    }
    let heading = ["POINT", "ITEM", "TIME", "STATE", "EXPIRES"];
    let columns = if fates.is_empty() { heading.len() - 1 } else { heading.len() };
    let mut table = Table::new(&heading[..columns]);
    for point in &points.trusted {
        let id = point.id.to_string()[..points.shown].to_owned();
        let fate = fates.get(&point.id);
        let is_incomplete = completeness(&incomplete, point.id, fate) == Some(Completeness::Incomplete);
        let state = format!("{}{}", state_word(point.state), if is_incomplete { ", INCOMPLETE" } else { "" });
        let expires = fate.map(expires).unwrap_or_default();
        let row = [id, point.item.to_string(), terminal::local(point.time_ms), state, expires];
        table.row(row[..columns].to_vec());
    }
    if points.trusted.is_empty() {
        note!("no points; 'holdfast backup PATH' makes one");
    } else {
        table.print();
    }
    if points.unlisted > 0 {
        let what = if points.unlisted == 1 { "point is" } else { "points are" };
        note!("{} soft-deleted {what} not listed; '--deleted' lists them", points.unlisted);
    }
    points.warn();
    Ok(exit)
}

/// Fails for an item that is none. A service may protect one that has no point yet; in a directory an item is what has points.
async fn refuse_unknown(opened: &Opened, domain: DomainId, item: &ItemName, points: &Points) -> Outcome<()> {
    let Some(service) = &opened.service else { return Err(points.no_point_of(item)) };
    match service.item(domain, item).await {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => Err(points.no_point_of(item)),
        Err(error) => Err(error.into()),
    }
}

/// What becomes of the points of items that a service protects; nothing of others, and nothing if the service does not say.
async fn fates(opened: &Opened, domain: DomainId, points: &[PointInfo]) -> BTreeMap<PointId, ItemPoint> {
    let mut fates = BTreeMap::new();
    let Some(service) = &opened.service else { return fates };
    for item in points.iter().map(|point| &point.item).collect::<BTreeSet<_>>() {
        let list = service.item_points(domain, item).await.map(|list| list.points).unwrap_or_default();
        fates.extend(list.into_iter().map(|point| (point.point, point)));
    }
    fates
}

/// How much of its item is in a point, as the service was told, or as this machine found out when it made or read it.
fn completeness(incomplete: &Incomplete, point: PointId, fate: Option<&ItemPoint>) -> Option<Completeness> {
    if incomplete.contains(point) {
        return Some(Completeness::Incomplete);
    }
    fate.map(|fate| fate.completeness)
}

/// When a point expires, or is purged.
pub(super) fn expires(point: &ItemPoint) -> String {
    match (point.deleted_ms, point.purged_ms, point.expires_ms) {
        (Some(_), Some(purged), _) => format!("purged {}", terminal::local(purged)),
        (Some(_), None, _) => "soft-deleted".to_owned(),
        (None, _, Some(expires)) => terminal::local(expires),
        (None, _, None) => "not now".to_owned(),
    }
}

fn state_word(state: PointState) -> &'static str {
    match state {
        PointState::Committed => "committed",
        PointState::SoftDeleted => "soft-deleted",
    }
}
