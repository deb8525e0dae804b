//! `holdfast policy preview`

use super::read_settings;
use crate::cli::Global;
use crate::commands::at_service::open_service;
use crate::failure::{Exit, Failure, Outcome};
use crate::terminal::{self, Json, Table, note, say};
use api::{ItemPoint, PointOrigin, PolicyName};
use clap::Args;
use format::{ItemName, Sequence};
use policy::{Completeness, Expiry, Origin, Policy, Preview, PreviewEntry, PreviewOptions, RetentionPoint, Timestamp};
use std::path::{Path, PathBuf};

/// Points that are listed for people unless more are asked for.
const LISTED: usize = 50;

/// Show the points that would exist over the next year, and when each would expire.
///
/// Named like for 'policy set', with a FILE, it is that policy as the file would set it; of a file nothing is asked of anybody, so that
/// it can be tried before it is set. With --item the item's points of today come first. It is assumed that every run succeeds and
/// nobody asks for points.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// A policy of the vault service, or a file with one: what has a slash or ends in .toml or .json, and '-' for standard input
    /// [default: the policy of the item].
    #[arg(value_name = "NAME|FILE", required_unless_present_any = ["file", "item"])]
    policy: Option<PathBuf>,

    /// The file that would set the policy, TOML or JSON; '-' is standard input.
    #[arg(value_name = "FILE", conflicts_with = "file")]
    path: Option<PathBuf>,

    /// The same, by its name.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,

    /// Begin with the points that this item has.
    #[arg(long, value_name = "NAME")]
    item: Option<ItemName>,

    /// Days to look ahead.
    #[arg(long, value_name = "DAYS", default_value_t = 366, value_parser = clap::value_parser!(u32).range(1..=i64::from(policy::limits::PREVIEW_DAYS_MAX)))]
    days: u32,

    /// Show only the points that there would be on this day (YYYY-MM-DD), at its end in UTC.
    #[arg(long, value_name = "DATE")]
    on: Option<policy::Date>,

    /// List all points, not only the first and a count.
    #[arg(long)]
    all: bool,
}

pub(super) async fn run(global: &Global, arguments: Arguments) -> Outcome<Exit> {
    let (policy, points, now) = subject(global, &arguments).await?;
    let options = PreviewOptions { days: arguments.days, entries_max: policy::limits::PREVIEW_ENTRIES_MAX };
    let preview = policy.preview(&points, now, options).map_err(failed)?;
    let at = arguments.on.map(end_of).transpose()?;
    let entries: Vec<&PreviewEntry> = preview.entries.iter().filter(|entry| at.is_none_or(|at| entry.exists_at(at))).collect();
    if global.json {
        print_json(&preview, &entries);
    } else {
        print(&preview, &entries, arguments.all || arguments.on.is_some());
    }
    Ok(Exit::Clean)
}

impl Arguments {
    /// The policy of the service, or the file, that is meant.
    fn source(&self) -> Outcome<(Option<PolicyName>, Option<&Path>)> {
        let file = self.path.as_deref().or(self.file.as_deref());
        let Some(policy) = self.policy.as_deref() else { return Ok((None, file)) };
        if file.is_none() && is_file(policy) {
            return Ok((None, Some(policy)));
        }
        let text = policy.to_string_lossy();
        let name = text.parse().map_err(|why: &str| {
            Failure::new(Exit::Usage, format!("'{text}' is no policy's name: {why}"))
                .with_hint("a file is named by ./FILE, or --file FILE")
        })?;
        Ok((Some(name), file))
    }
}

/// Whether this is meant to be a file, and not the name of a policy.
fn is_file(policy: &Path) -> bool {
    let ends = |end: &str| policy.extension().is_some_and(|extension| extension == end);
    policy == Path::new("-") || policy.to_string_lossy().contains('/') || ends("toml") || ends("json")
}

/// The policy, and the points to begin with.
async fn subject(global: &Global, arguments: &Arguments) -> Outcome<(Policy, Vec<RetentionPoint>, Timestamp)> {
    let wall = Timestamp::from_millisecond(terminal::now_ms()).unwrap_or(Timestamp::UNIX_EPOCH);
    let (wanted, file) = arguments.source()?;
    let from_file = file.map(read_settings).transpose()?;
    if let (Some(settings), None) = (&from_file, &arguments.item) {
        return Ok((Policy::new(settings.clone()).map_err(failed)?, Vec::new(), wall));
    }
    let at = open_service(global).await?;
    let item = match &arguments.item {
        Some(item) => Some(at.item(global, item).await?),
        None => None,
    };
    let name = wanted.as_ref().or_else(|| item.as_ref().and_then(|item| item.policy.as_ref()));
    let settings = match (from_file, name) {
        (Some(settings), _) => settings,
        (None, Some(name)) => at.service.policy(name).await?.settings,
        (None, None) => {
            return Err(
                Failure::new(Exit::Failed, "the item has no policy").with_hint("name one: holdfast policy preview NAME --item …")
            );
        }
    };
    let policy = Policy::new(settings).map_err(failed)?;
    let Some(item) = item else { return Ok((policy, Vec::new(), wall)) };
    let list = at.service.item_points(item.domain, &item.item).await?;
    let points = list.points.iter().filter(|point| point.deleted_ms.is_none()).map(retention_point).collect();
    Ok((policy, points, Timestamp::from_millisecond(list.now_ms).unwrap_or(wall)))
}

fn retention_point(point: &ItemPoint) -> RetentionPoint {
    RetentionPoint {
        id: point.point,
        sequence: Sequence(point.sequence),
        place_ms: point.place_ms,
        received_ms: point.received_ms,
        origin: match point.origin {
            PointOrigin::Scheduled | PointOrigin::Unknown => Origin::Scheduled,
            PointOrigin::OnDemand => Origin::OnDemand,
        },
        completeness: match point.completeness {
            api::Completeness::Clean | api::Completeness::Unknown => Completeness::Clean,
            api::Completeness::Warnings => Completeness::Warnings,
            api::Completeness::Incomplete => Completeness::Incomplete,
        },
    }
}

fn end_of(date: policy::Date) -> Outcome<Timestamp> {
    let end = date.at(23, 59, 59, 0).to_zoned(jiff::tz::TimeZone::UTC);
    end.map(|end| end.timestamp()).map_err(|error| Failure::new(Exit::Usage, "no such day").because(&error))
}

fn failed(error: policy::PolicyError) -> Failure {
    Failure::new(Exit::Usage, "the policy cannot be previewed").because(&error)
}

fn expires(expiry: &Expiry) -> String {
    match expiry {
        Expiry::At(at) => terminal::local(at.as_millisecond()),
        Expiry::WhileNewest { points: 1, .. } => "not while it is the newest".to_owned(),
        Expiry::WhileNewest { points, .. } => format!("not while one of the newest {points}"),
        Expiry::WhileNothingNewer { .. } => "not before a newer one".to_owned(),
    }
}

fn print(preview: &Preview, entries: &[&PreviewEntry], all: bool) {
    if entries.is_empty() {
        note!("no points: the policy has no schedule");
        return;
    }
    let shown = if all { entries.len() } else { entries.len().min(LISTED) };
    let mut table = Table::new(&["POINT", "MADE", "EXPIRES", "KEPT AS"]);
    for entry in &entries[..shown] {
        let id = entry.id.map_or_else(|| "(to come)".to_owned(), |id| id.to_string()[..8].to_owned());
        table.row(vec![id, terminal::local(entry.made.as_millisecond()), expires(&entry.expiry), entry.reason()]);
    }
    table.print();
    let left = entries.len() - shown + preview.left_out;
    if left > 0 {
        note!("{left} more; --all lists them");
    }
    let at_end = entries.iter().filter(|entry| entry.exists_at(preview.until)).count();
    let at_end = terminal::counted(at_end as u64, "point", "points");
    say!("{at_end} on {}", terminal::local(preview.until.as_millisecond()));
}

fn print_json(preview: &Preview, entries: &[&PreviewEntry]) {
    let list = entries.iter().map(|entry| {
        let expires = match entry.expiry {
            Expiry::At(at) => Some(at.to_string()),
            _ => None,
        };
        serde_json::json!({
            "point": entry.id.map(|id| id.to_string()),
            "made": entry.made.to_string(),
            "expires": expires,
            "not_before": entry.expiry.not_before().to_string(),
            "reason": entry.reason(),
        })
    });
    let mut json = Json::new("policy");
    json.set("from", preview.from.to_string());
    json.set("until", preview.until.to_string());
    json.set("points", list.collect::<Vec<_>>());
    json.set("left_out", preview.left_out);
    json.print();
}
