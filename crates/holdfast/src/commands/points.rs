//! `holdfast points`

use super::point_names::verified_points;
use crate::cli::Global;
use crate::failure::{Exit, Outcome};
use crate::local::open_keyless;
use crate::terminal::{self, Json, Table, note};
use clap::Args;
use contract::{PointFilter, PointState};
use format::ItemName;

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
    let domain = opened.domain(global).await?;
    let filter = PointFilter { item: arguments.item, deleted: arguments.deleted };
    let points = verified_points(&opened, domain.as_ref(), filter).await?;
    let exit = if points.untrusted.is_empty() { Exit::Clean } else { Exit::Damage };
    if global.json {
        let list = points.trusted.iter().map(|point| {
            serde_json::json!({
                "id": point.id.to_string(),
                "item": point.item.as_str(),
                "sequence": point.sequence.0,
                "time": terminal::utc(point.time_ms),
                "received": terminal::utc(point.received_ms),
                "state": state_word(point.state),
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
    let mut table = Table::new(&["POINT", "ITEM", "TIME", "STATE"]);
    for point in &points.trusted {
        let id = point.id.to_string()[..points.shown].to_owned();
        table.row(vec![id, point.item.to_string(), terminal::local(point.time_ms), state_word(point.state).to_owned()]);
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

fn state_word(state: PointState) -> &'static str {
    match state {
        PointState::Committed => "committed",
        PointState::SoftDeleted => "soft-deleted",
    }
}
