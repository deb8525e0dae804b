//! `holdfast expire` and `holdfast undelete`

use super::point_names::find_any_point;
use crate::cli::Global;
use crate::failure::{Exit, Failure, Outcome};
use crate::local::open_keyless;
use crate::terminal::{self, Json, say};
use clap::Args;
use contract::PointFilter;
use format::{ItemName, PointId};

/// Soft-delete recovery points, or purge them for ever.
///
/// A soft-deleted point is no longer listed and is kept until it is purged. A purged point is gone at once;
/// 'holdfast collect' then frees what no other point needs. What 'holdfast check' names as set aside is purged by its whole id.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The points: prefixes of their ids, or 'latest'.
    #[arg(required = true, value_name = "POINT")]
    points: Vec<String>,

    /// The item that 'latest' belongs to.
    #[arg(long, value_name = "NAME")]
    item: Option<ItemName>,

    /// Purge now. Nothing brings a purged point back.
    #[arg(long)]
    purge: bool,

    /// Do not ask.
    #[arg(long)]
    yes: bool,

    /// Say what would be done, and do nothing.
    #[arg(long)]
    dry_run: bool,
}

/// Bring soft-deleted points back.
#[derive(Debug, Args)]
pub(crate) struct UndeleteArguments {
    /// The points: prefixes of their ids.
    #[arg(required = true, value_name = "POINT")]
    points: Vec<String>,
}

pub(crate) async fn run(global: &Global, arguments: Arguments) -> Outcome<Exit> {
    let opened = open_keyless(global).await?;
    let domain = opened.domain(global).await?;
    opened.note_domain(global, domain.id()).await?;
    let mut ids: Vec<PointId> = Vec::new();
    for name in &arguments.points {
        let id = find_any_point(&opened, domain.as_ref(), name, arguments.item.as_ref()).await?;
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    let what = if arguments.purge { "purged" } else { "soft-deleted" };
    if !arguments.dry_run {
        if arguments.purge {
            if !arguments.yes && !confirmed(ids.len())? {
                return Err(Failure::new(Exit::Refused, "not confirmed, nothing was purged")
                    .with_hint("--yes confirms without a question"));
            }
            opened.note_purge(domain.as_ref(), &ids).await?;
            domain.purge(&ids).await?;
        } else {
            domain.expire(&ids).await?;
        }
    }
    report(global, "expire", if arguments.dry_run { "would be " } else { "" }, what, &ids);
    Ok(Exit::Clean)
}

fn confirmed(points: usize) -> Outcome<bool> {
    let them = if points == 1 { "it" } else { "them" };
    terminal::confirm(&format!("Purge {}? Nothing brings {them} back.", terminal::counted(points as u64, "point", "points")))
}

pub(crate) async fn run_undelete(global: &Global, arguments: UndeleteArguments) -> Outcome<Exit> {
    let opened = open_keyless(global).await?;
    let domain = opened.domain(global).await?;
    let mut ids = Vec::new();
    for name in &arguments.points {
        ids.push(find_any_point(&opened, domain.as_ref(), name, None).await?);
    }
    let listed = domain.points(PointFilter::default()).await?;
    if let Some(point) = listed.iter().find(|point| ids.contains(&point.id)) {
        let what = format!("point {} is not deleted; nothing was brought back", &point.id.to_string()[..8]);
        return Err(Failure::new(Exit::Failed, what).with_hint("'holdfast points --deleted' lists those that are"));
    }
    domain.undelete(&ids).await?;
    report(global, "undelete", "", "back", &ids);
    Ok(Exit::Clean)
}

fn report(global: &Global, command: &'static str, prefix: &str, what: &str, ids: &[PointId]) {
    if global.json {
        let mut json = Json::new(command);
        json.set("points", ids.iter().map(ToString::to_string).collect::<Vec<_>>());
        json.set("state", what);
        json.set("dry_run", !prefix.is_empty());
        json.print();
        return;
    }
    for id in ids {
        say!("{} {prefix}{what}", &id.to_string()[..8]);
    }
}
