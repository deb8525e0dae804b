//! `holdfast restore`

use super::completeness;
use super::interrupt::cancel_on_signals;
use super::point_names::find_point;
use crate::cli::Global;
use crate::failure::{Exit, Failure, Outcome};
use crate::local::{Directories, Opened, VaultPlace, open_to_read};
use crate::terminal::{self, EngineProgress, Json, name_json, note, say};
use api::Completeness;
use clap::{Args, ValueEnum};
use contract::PointInfo;
use engine::restore::{self, AbsentRequest, REPORTED_MAX, RestoreOptions, RestoreReport, RestoreRequest, Troubles};
use engine::target::Overwrite;
use engine::{EngineError, ErrorKind, Progress, ReadKeys};
use format::ItemName;
use serde_json::{Map, Value};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;
use workloads::files::{RestoreOptions as TargetOptions, RestoreTarget};

/// Restore a recovery point, or paths of it, into a directory.
///
/// Below the destination, paths keep their absolute form: /etc/hosts becomes DIR/etc/hosts; --strip takes leading directories
/// off. Every blob is verified before it is written; a file appears under its name when it is whole, and one of which anything
/// is damaged is named and left out (exit code 4; with --overwrite in-place it may be changed in part). Directories that are there keep their attributes, except with
/// --overwrite always or in-place. Owners are set by name, then by number; without being root they are skipped and counted (exit code 3). File flags
/// (chattr) and access times are not restored.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The point: a prefix of its id, or 'latest'.
    #[arg(value_name = "POINT")]
    point: String,

    /// The directory to restore into; it is made where it is missing.
    #[arg(long, value_name = "DIR")]
    to: PathBuf,

    /// The item that 'latest' belongs to.
    #[arg(long, value_name = "NAME")]
    item: Option<ItemName>,

    /// Only this path and what is below it. May be given several times.
    #[arg(long, value_name = "PATH")]
    path: Vec<PathBuf>,

    /// Take so many leading directories off every path.
    #[arg(long, value_name = "N", default_value_t = 0)]
    strip: usize,

    /// What to do with files that are there already.
    #[arg(long, value_enum, default_value_t = OverwriteArgument::Fail)]
    overwrite: OverwriteArgument,

    /// Go on with a restore that was interrupted: files that it finished since this machine was started are kept, what it left
    /// unfinished is removed. Do not run two restores into one directory then.
    #[arg(long)]
    resume: bool,

    /// Set owners by number even where their names are known here.
    #[arg(long)]
    numeric_owner: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum OverwriteArgument {
    /// Name them and leave them.
    Fail,
    /// Leave them.
    Never,
    /// Replace those that are older.
    Older,
    /// Replace them.
    Always,
    /// Change them where they differ: what is the same is not written, and of large files not read from the vault. Until it is done, a file
    /// is neither the old nor the new one, and its owner's alone. Programs, libraries, files with several names and those whose owner,
    /// group, mode or ACL lets others do more than the point's are replaced, which needs room for them.
    InPlace,
}

impl From<OverwriteArgument> for Overwrite {
    fn from(argument: OverwriteArgument) -> Self {
        match argument {
            OverwriteArgument::Fail => Self::Fail,
            OverwriteArgument::Never => Self::Never,
            OverwriteArgument::Older => Self::Older,
            OverwriteArgument::Always | OverwriteArgument::InPlace => Self::Always,
        }
    }
}

/// Nothing is restored into what Holdfast itself lives in: a restored file could stand where one of its own has to. Answers what of
/// that lies below the destination.
fn refuse_own(opened: &Opened, to: &Path) -> Outcome<Vec<Vec<u8>>> {
    let Directories { config, state, cache } = &opened.directories;
    let vault = match &opened.place {
        VaultPlace::Directory(vault) => Some(vault),
        VaultPlace::Service(_) => None,
    };
    let to = resolved(to);
    let mut below = Vec::new();
    for own in [config, state, cache].into_iter().chain(vault) {
        let real = resolved(own);
        if to.starts_with(&real) {
            return Err(Failure::new(Exit::Refused, format!("'{}' belongs to Holdfast itself", own.display()))
                .with_hint("restore into another directory"));
        }
        below.extend(real.strip_prefix(&to).map(|rest| rest.as_os_str().as_bytes().to_vec()));
    }
    Ok(below)
}

/// Where a path leads: what is there of it resolved, and the rest, which has no symlinks, as it is written.
fn resolved(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let there = path.ancestors().find_map(|above| Some((path.strip_prefix(above).ok()?, above.canonicalize().ok()?)));
    let Some((rest, mut real)) = there else { return path };
    for part in rest.components() {
        match part {
            Component::ParentDir => drop(real.pop()),
            part => real.push(part),
        }
    }
    real
}

pub(crate) async fn run(global: &Global, arguments: Arguments) -> Outcome<Exit> {
    let started = Instant::now();
    let (opened, keys) = open_to_read(global).await?;
    let domain = contract::Vault::domain(opened.vault.as_ref(), keys.domain).await?;
    opened.note_domain(global, keys.domain).await?;
    let point = find_point(&opened, domain.as_ref(), &arguments.point, arguments.item.as_ref()).await?;
    let own = refuse_own(&opened, &arguments.to)?;
    let keys: ReadKeys = keys.into();
    let cancel = cancel_on_signals();
    let paths: Vec<Vec<u8>> = arguments.path.iter().map(|path| tree_path(path)).collect();
    if !paths.is_empty() {
        let looked = AbsentRequest {
            domain: domain.clone(),
            descriptor: Arc::new(opened.descriptor.clone()),
            keys: keys.clone(),
            point: point.clone(),
            paths: paths.clone(),
            cancel: cancel.clone(),
        };
        let absent = restore::absent(looked).await?;
        if absent.len() == paths.len() {
            // Nothing is to be restored: nothing is made.
            return Ok(tell(global, &point, None, &RestoreReport { not_found: absent, ..RestoreReport::default() }, started));
        }
    }
    let mut target = TargetOptions::new(&arguments.to);
    target.keep_off = own;
    target.overwrite = arguments.overwrite.into();
    let in_place = matches!(arguments.overwrite, OverwriteArgument::InPlace);
    target.in_place = in_place;
    target.resume = arguments.resume;
    target.numeric_owner = arguments.numeric_owner;
    let target = RestoreTarget::new(target).map_err(|error| {
        let failure = Failure::new(Exit::Failed, error.to_string());
        match std::error::Error::source(&error) {
            Some(source) => failure.because(source),
            None => failure,
        }
    })?;
    let completeness = completeness::tell(&opened, &domain, &keys, &point).await;
    let options = RestoreOptions { paths, strip: arguments.strip, resume: arguments.resume, ..RestoreOptions::default() };
    let counters = Progress::default();
    let request = RestoreRequest {
        domain,
        descriptor: Arc::new(opened.descriptor.clone()),
        keys,
        point: point.clone(),
        target: Arc::new(target),
        options,
        progress: counters.clone(),
        cancel,
    };
    let progress = EngineProgress::watch(global, "restore", counters);
    let outcome = restore::run(request).await;
    progress.finish();
    Ok(tell(global, &point, completeness, &outcome.map_err(|error| failed(error, in_place))?, started))
}

/// Why a restore ended early, with how it goes on.
fn failed(error: EngineError, in_place: bool) -> Failure {
    let is_stopped = error.kind() == ErrorKind::Cancelled;
    let mut failure = Failure::from(error);
    if is_stopped {
        failure = failure.with_hint("what is restored stays; the same command with --resume goes on");
    }
    if in_place {
        let said = failure.hint().map_or_else(String::new, |hint| format!("{hint}; "));
        let half_done = "files that were being changed in place are neither old nor new until then, and their owner's alone";
        failure = failure.with_hint(format!("{said}{half_done}"));
    }
    failure
}

fn tell(
    global: &Global,
    point: &PointInfo,
    completeness: Option<Completeness>,
    report: &RestoreReport,
    started: Instant,
) -> Exit {
    if global.json {
        print_json(point, completeness, report, started);
    } else {
        print(global, point, report, started);
    }
    exit_of(report)
}

/// A path as a tree has it: components joined by '/', without one at the start.
pub(super) fn tree_path(path: &Path) -> Vec<u8> {
    let parts: Vec<&[u8]> = path.as_os_str().as_bytes().split(|byte| *byte == b'/').filter(|part| !part.is_empty()).collect();
    parts.join(&b'/')
}

fn exit_of(report: &RestoreReport) -> Exit {
    match report {
        report if report.damaged.count > 0 => Exit::Damage,
        report if report.failed.count > 0 || !report.not_found.is_empty() => Exit::Failed,
        report if report.in_the_way.count > 0 => Exit::Conflict,
        report if report.shortfalls.count > 0 => Exit::Warnings,
        _ => Exit::Clean,
    }
}

fn print(global: &Global, point: &PointInfo, report: &RestoreReport, started: Instant) {
    if !is_nothing(report) {
        print_done(global, point, report, started);
    }
    list("damaged in the vault, not restored", &report.damaged);
    list("there already, left as they are (--overwrite says what else to do)", &report.in_the_way);
    list("cannot be written", &report.failed);
    list("without all attributes", &report.shortfalls);
    for path in &report.not_found {
        note!("error: the point has no '/{}'", terminal::printable(path));
    }
    if !report.not_found.is_empty() {
        note!("hint: paths begin at the root, and 'holdfast ls POINT PATH' lists what the point holds");
    }
}

/// Whether there was nothing to restore.
fn is_nothing(report: &RestoreReport) -> bool {
    *report == RestoreReport { not_found: report.not_found.clone(), ..RestoreReport::default() } && !report.not_found.is_empty()
}

fn print_done(global: &Global, point: &PointInfo, report: &RestoreReport, started: Instant) {
    say!(
        "restored {}, {}, {} of point {}: {} in {} ({})",
        terminal::counted(report.files, "file", "files"),
        terminal::counted(report.directories, "directory", "directories"),
        terminal::counted(report.others, "other", "others"),
        &point.id.to_string()[..8],
        terminal::bytes(report.bytes_written),
        terminal::seconds(started.elapsed()),
        terminal::rate(report.bytes_written, started.elapsed())
    );
    if !global.quiet {
        let blobs = terminal::counted(report.blobs_verified, "blob", "blobs");
        say!("verified {blobs}, {}", terminal::bytes(report.bytes_verified));
    }
    if report.bytes_kept > 0 {
        say!("{} were there already and stayed", terminal::bytes(report.bytes_kept));
    }
    if report.skipped + report.resumed > 0 {
        say!("{} left as they were, {} finished before", report.skipped, report.resumed);
    }
}

/// Most lines of a kind that are printed, as of a check.
const LINES_MAX: usize = 100;

fn list(what: &str, troubles: &Troubles) {
    if troubles.count > 0 {
        note!("{} {what}:", troubles.count);
        for trouble in troubles.first.iter().take(LINES_MAX) {
            note!("  /{}: {}", terminal::printable(&trouble.path), trouble.what);
        }
        let told = troubles.first.len().min(LINES_MAX) as u64;
        if troubles.count > told {
            note!("  and {} more: '--json' lists the first {REPORTED_MAX}", troubles.count - told);
        }
    }
}

fn print_json(point: &PointInfo, completeness: Option<Completeness>, report: &RestoreReport, started: Instant) {
    let mut json = Json::new("restore");
    json.set("point", point.id.to_string());
    json.set("item", point.item.as_str());
    json.set("completeness", completeness.map(Completeness::as_str));
    json.set("seconds", terminal::json_seconds(started.elapsed()));
    json.set("files", report.files);
    json.set("directories", report.directories);
    json.set("others", report.others);
    json.set("skipped", report.skipped);
    json.set("resumed", report.resumed);
    json.set("bytes_written", report.bytes_written);
    json.set("bytes_kept", report.bytes_kept);
    json.set("blobs_verified", report.blobs_verified);
    json.set("bytes_verified", report.bytes_verified);
    for (name, troubles) in [
        ("damaged", &report.damaged),
        ("in_the_way", &report.in_the_way),
        ("failed", &report.failed),
        ("shortfalls", &report.shortfalls),
    ] {
        json.set(&format!("{name}_count"), troubles.count);
        json.set(name, troubles_json(troubles));
    }
    let not_found = report.not_found.iter().map(|path| {
        let mut object = Map::new();
        name_json(&mut object, "path", path);
        Value::from(object)
    });
    json.set("not_found", not_found.collect::<Vec<_>>());
    json.print();
}

/// Paths and what is wrong with them.
fn troubles_json(troubles: &Troubles) -> Vec<Value> {
    let one = |trouble: &restore::Trouble| {
        let mut object = Map::new();
        name_json(&mut object, "path", &trouble.path);
        object.insert("what".to_owned(), trouble.what.clone().into());
        Value::from(object)
    };
    troubles.first.iter().map(one).collect()
}
