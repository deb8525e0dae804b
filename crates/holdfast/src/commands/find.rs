//! `holdfast find`

use super::interrupt::cancel_on_signals;
use super::ls::{kind_word, milliseconds};
use super::point_names::verified_points;
use super::restore::tree_path;
use crate::cli::Global;
use crate::failure::{Exit, Failure, Outcome};
use crate::local::{Opened, open_to_read};
use crate::terminal::{self, EngineProgress, Json, Table, name_json, note, say};
use clap::{Args, ValueEnum};
use contract::{Domain, PointFilter, PointInfo};
use engine::find::{self, FindReport, FindRequest, Version, Wanted};
use engine::{Progress, ReadKeys};
use format::page::{EntryKind, Metadata};
use format::{ItemName, PointId};
use globset::{GlobBuilder, GlobMatcher};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Find a file in all recovery points, with every version of it.
///
/// Looks at names only: no content is read, and of each point only what the one before did not have. A version is the same until
/// kind, size, modification time or content change. Ends with 1 if there is nothing of that name. To have one back: 'holdfast restore LAST --path PATH --to DIR'.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// A name such as 'report.odt', or a pattern such as '*.odt'; with a slash the whole path, such as '/home/*/notes/**'.
    #[arg(value_name = "PATTERN")]
    pattern: String,

    /// Only in this item's points.
    #[arg(long, value_name = "NAME")]
    item: Option<ItemName>,

    /// Only below this directory.
    #[arg(long, value_name = "PATH")]
    below: Option<PathBuf>,

    /// Only what is of this kind.
    #[arg(long = "type", value_name = "KIND")]
    kind: Option<Kind>,

    /// Upper and lower case are the same.
    #[arg(long, short)]
    ignore_case: bool,

    /// In soft-deleted points too; without it a note says how many were not looked through.
    #[arg(long)]
    deleted: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    File,
    Directory,
    Symlink,
}

pub(crate) async fn run(global: &Global, arguments: Arguments) -> Outcome<Exit> {
    let wanted = wanted(&arguments)?;
    let (opened, keys) = open_to_read(global).await?;
    let domain = contract::Vault::domain(opened.vault.as_ref(), keys.domain).await?;
    opened.note_domain(global, domain.id()).await?;
    let filter = PointFilter { item: arguments.item.clone(), deleted: arguments.deleted };
    let points = verified_points(&opened, domain.as_ref(), filter).await?;
    if let Some(item) = arguments.item.as_ref().filter(|_| points.has_none()) {
        return Err(points.no_point_of(item));
    }
    points.warn();
    let unlisted = points.unlisted;
    let ids = Ids { shown: points.shown, times: points.trusted.iter().map(|point| (point.id, point.time_ms)).collect() };
    let counters = Progress::default();
    counters.points_expected.set(points.trusted.len() as u64);
    let progress = EngineProgress::watch(global, "find", counters.clone());
    let found = search(&opened, domain, keys.into(), points.trusted, wanted, counters).await;
    progress.finish();
    let found = found?;
    let (is_any, is_whole) =
        (found.iter().any(|(_, report)| !report.versions.is_empty()), found.iter().all(|(_, report)| is_whole(report)));
    match global.json {
        true => print_json(&found, unlisted, &ids),
        false => found.iter().for_each(|(item, report)| print(item, report, &ids)),
    }
    if !is_any && !global.json {
        let points: u64 = found.iter().map(|(_, report)| report.points).sum();
        note!("nothing of that name in {}", terminal::counted(points, "point", "points"));
    }
    if unlisted > 0 && !global.json {
        let what = if unlisted == 1 { "point was" } else { "points were" };
        note!("{unlisted} soft-deleted {what} not looked through; '--deleted' does it");
    }
    Ok(match (is_whole, is_any) {
        (false, _) => Exit::Warnings,
        (true, true) => Exit::Clean,
        (true, false) => Exit::Failed,
    })
}

/// Looks through each item's points.
async fn search(
    opened: &Opened,
    domain: Arc<dyn Domain>,
    keys: ReadKeys,
    points: Vec<PointInfo>,
    wanted: Wanted,
    progress: Progress,
) -> Outcome<Vec<(ItemName, FindReport)>> {
    let (descriptor, cancel) = (Arc::new(opened.descriptor.clone()), cancel_on_signals());
    let mut found = Vec::new();
    for (item, points) in by_item(points) {
        let request = FindRequest {
            domain: domain.clone(),
            descriptor: descriptor.clone(),
            keys: keys.clone(),
            points,
            wanted: wanted.clone(),
            progress: progress.clone(),
            cancel: cancel.clone(),
        };
        found.push((item, find::run(request).await?));
    }
    Ok(found)
}

fn is_whole(report: &FindReport) -> bool {
    report.unread.is_empty() && report.left_out == 0
}

/// Each item's points, oldest first.
fn by_item(points: Vec<PointInfo>) -> BTreeMap<ItemName, Vec<PointInfo>> {
    let mut items: BTreeMap<ItemName, Vec<PointInfo>> = BTreeMap::new();
    for point in points {
        items.entry(point.item.clone()).or_default().push(point);
    }
    items.values_mut().for_each(|points| points.sort_by_key(|point| point.sequence));
    items
}

fn wanted(arguments: &Arguments) -> Outcome<Wanted> {
    let whole = arguments.pattern.contains('/');
    let glob: GlobMatcher = GlobBuilder::new(arguments.pattern.trim_start_matches('/'))
        .literal_separator(true)
        .case_insensitive(arguments.ignore_case)
        .build()
        .map_err(|error| {
            Failure::new(Exit::Usage, format!("'{}' is no pattern", arguments.pattern))
                .because(&error)
                .with_hint("a backslash in front of *, ?, [ or { takes its meaning away")
        })?
        .compile_matcher();
    let below = arguments.below.as_ref().map(|path| tree_path(path)).filter(|path| !path.is_empty());
    let kind = arguments.kind;
    Ok(Arc::new(move |path: &[u8], metadata: &Metadata| {
        let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or(path);
        let is_below = |below: &Vec<u8>| path.strip_prefix(below.as_slice()).is_some_and(|rest| rest.first() == Some(&b'/'));
        kind.is_none_or(|kind| kind.fits(metadata.kind))
            && below.as_ref().is_none_or(is_below)
            && glob.is_match(Path::new(OsStr::from_bytes(if whole { path } else { name })))
    }))
}

impl Kind {
    fn fits(self, kind: EntryKind) -> bool {
        match self {
            Self::File => kind == EntryKind::File,
            Self::Directory => kind == EntryKind::Directory,
            Self::Symlink => kind == EntryKind::Symlink,
        }
    }
}

/// How points are shown.
struct Ids {
    shown: usize,
    times: HashMap<PointId, i64>,
}

impl Ids {
    fn short(&self, point: PointId) -> String {
        point.to_string()[..self.shown].to_owned()
    }

    fn time_ms(&self, point: PointId) -> i64 {
        self.times.get(&point).copied().unwrap_or_default()
    }
}

fn print(item: &ItemName, report: &FindReport, ids: &Ids) {
    for versions in report.versions.chunk_by(|one, other| one.path == other.path) {
        let gone = if versions.last().is_some_and(|version| version.is_newest) { "" } else { " (not in the newest point)" };
        say!("{item}: /{}{gone}", terminal::printable(&versions[0].path));
        let mut table = Table::new(&["  FIRST", "LAST", "POINTS", "FROM", "TO", "SIZE", "MODIFIED"]);
        for version in versions {
            let size = match version.metadata.kind {
                EntryKind::File => terminal::bytes(version.metadata.size),
                kind => kind_word(kind).to_owned(),
            };
            table.row(vec![
                format!("  {}", ids.short(version.first)),
                ids.short(version.last),
                version.points.to_string(),
                terminal::local(ids.time_ms(version.first)),
                terminal::local(ids.time_ms(version.last)),
                size,
                terminal::local(milliseconds(version.metadata.modified)),
            ]);
        }
        table.print();
    }
    if report.left_out > 0 {
        note!(
            "warning: {} more versions of {item} are not shown: narrow the pattern, or the place with --below",
            report.left_out
        );
    }
    for (point, why) in &report.unread {
        note!("warning: point {} of {item} could not be looked through: {why}", ids.short(*point));
    }
}

fn print_json(found: &[(ItemName, FindReport)], unlisted: usize, ids: &Ids) {
    let mut json = Json::new("find");
    let versions = found.iter().flat_map(|(item, report)| report.versions.iter().map(|version| version_json(item, version, ids)));
    json.set("versions", versions.collect::<Vec<_>>());
    json.set("points", found.iter().map(|(_, report)| report.points).sum::<u64>());
    json.set("deleted_points_left_out", unlisted);
    json.set("left_out", found.iter().map(|(_, report)| report.left_out).sum::<u64>());
    let unread = found.iter().flat_map(|(item, report)| report.unread.iter().map(move |(point, why)| (item, point, why)));
    let unread =
        unread.map(|(item, point, why)| serde_json::json!({"item": item.as_str(), "point": point.to_string(), "why": why}));
    json.set("unread", unread.collect::<Vec<_>>());
    json.print();
}

fn version_json(item: &ItemName, version: &Version, ids: &Ids) -> Value {
    let mut object = Map::new();
    object.insert("item".to_owned(), item.as_str().into());
    name_json(&mut object, "path", &version.path);
    object.insert("kind".to_owned(), kind_word(version.metadata.kind).into());
    object.insert("size".to_owned(), version.metadata.size.into());
    let modified = version.metadata.modified;
    object.insert("modified".to_owned(), terminal::utc_nanoseconds(modified.seconds, modified.nanoseconds).into());
    object.insert("first_point".to_owned(), version.first.to_string().into());
    object.insert("first_time".to_owned(), terminal::utc(ids.time_ms(version.first)).into());
    object.insert("last_point".to_owned(), version.last.to_string().into());
    object.insert("last_time".to_owned(), terminal::utc(ids.time_ms(version.last)).into());
    object.insert("points".to_owned(), version.points.into());
    object.insert("in_newest".to_owned(), version.is_newest.into());
    object.into()
}
