//! `holdfast item points` and `review`

use crate::cli::Global;
use crate::commands::at_service::open_service;
use crate::commands::points::expires;
use crate::failure::{Exit, Failure, Outcome};
use crate::terminal::{self, Json, Table, json_times, note, say};
use api::{Completeness, ItemPoint, PointOrigin};
use clap::Args;
use format::ItemName;

/// List an item's points with when each expires, and what keeps it.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The item.
    #[arg(value_name = "ITEM")]
    item: ItemName,
}

/// Let points expire of which the policy lets none expire before a person has looked.
///
/// A shortened policy or a clock that went wrong looks like that. Without --accept it says how many they are. Takes an
/// administrator's token.
#[derive(Debug, Args)]
pub(crate) struct ReviewArguments {
    /// The item.
    #[arg(value_name = "ITEM")]
    item: ItemName,

    /// They may expire: so many as this command shows without it.
    #[arg(long, value_name = "COUNT")]
    accept: Option<u64>,
}

pub(super) async fn run(global: &Global, arguments: Arguments) -> Outcome<Exit> {
    let at = open_service(global).await?;
    let item = at.item(global, &arguments.item).await?;
    let list = at.service.item_points(item.domain, &item.item).await?;
    if global.json {
        let mut json = Json::new("item");
        json.set("points", json_times(&list.points));
        json.set("now", terminal::utc(list.now_ms));
        json.print();
        return Ok(Exit::Clean);
    }
    if list.points.is_empty() {
        note!("no points; 'holdfast job backup {}' makes one", item.item);
        return Ok(Exit::Clean);
    }
    let mut table = Table::new(&["POINT", "RECEIVED", "MADE", "EXPIRES", "WHY"]);
    for point in &list.points {
        table.row(vec![
            point.point.to_string()[..8].to_owned(),
            terminal::local(point.received_ms),
            made(point),
            expires(point),
            point.reason.clone(),
        ]);
    }
    table.print();
    Ok(Exit::Clean)
}

fn made(point: &ItemPoint) -> String {
    let origin = match point.origin {
        PointOrigin::Unknown => "unknown",
        PointOrigin::Scheduled => "by schedule",
        PointOrigin::OnDemand => "on demand",
    };
    let completeness = match point.completeness {
        Completeness::Unknown if point.origin == PointOrigin::Unknown => "",
        Completeness::Unknown => ", whether whole is unknown",
        Completeness::Clean => "",
        Completeness::Warnings => ", with warnings",
        Completeness::Incomplete => ", INCOMPLETE",
    };
    format!("{origin}{completeness}")
}

pub(super) async fn run_review(global: &Global, arguments: ReviewArguments) -> Outcome<Exit> {
    let at = open_service(global).await?;
    let item = at.item(global, &arguments.item).await?;
    let Some(review) = item.review else {
        return Err(Failure::new(Exit::Conflict, "nothing of the item waits for a person to look"));
    };
    if let Some(count) = arguments.accept {
        if count != review.expiring {
            let what = format!("{} points would expire, not {count}", review.expiring);
            return Err(Failure::new(Exit::Conflict, what).with_hint(format!("'holdfast item points {}' lists them", item.item)));
        }
        at.service.accept_review(item.domain, &item.item, review).await?;
    }
    if global.json {
        let mut json = Json::new("item");
        json.set("item", item.item.as_str());
        json.set("expiring", review.expiring);
        json.set("points", review.points);
        json.set("accepted", arguments.accept.is_some());
        json.print();
        return Ok(Exit::Clean);
    }
    if arguments.accept.is_some() {
        say!("{} of {} points may expire", review.expiring, review.points);
    } else {
        say!("{} of {} points would expire now, more than the policy lets expire by itself", review.expiring, review.points);
        say!(
            "'holdfast item points {}' lists them; to let them expire: holdfast item review {} --accept {}",
            item.item,
            item.item,
            review.expiring
        );
    }
    Ok(Exit::Clean)
}
