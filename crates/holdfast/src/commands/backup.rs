//! `holdfast backup`

use super::completeness;
use super::interrupt::cancel_on_signals;
use crate::cli::Global;
use crate::failure::{Exit, Failure, Outcome};
use crate::local::{Incomplete, Keys, Opened, open_keyless};
use crate::terminal::{self, EngineProgress, Json, name_json, note, say};
use api::{Completeness, PointTold, ServiceVault};
use clap::{Args, ValueEnum};
use engine::backup::{self, BackupEvent, BackupKeys, BackupOptions, BackupReport, BackupRequest, BackupSink};
use engine::source::{LeftOut, Warning, WarningKind};
use engine::{Progress, ReadKeys};
use format::{DomainId, ItemName};
use seal::AgentKeys;
use serde_json::Map;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use system::{Priorities, Priority};
use workloads::files::{FileSet, FileSetOptions};

/// Back paths up: one recovery point of one item.
///
/// Files, directories, symlinks, hard links, fifos and devices are kept with modes, owners, times (nanoseconds), extended
/// attributes, ACLs, capabilities and holes. Sockets, file flags (chattr) and access times are not kept. Pseudo file systems
/// (/proc, /sys, …), the vault itself and Holdfast's own state are always left out. What could not be read, or changed while
/// it was read, is named, and the exit code is 3: such a backup is done, with warnings. Where nothing of one of the paths could
/// be read, the point is marked as incomplete; where none of the paths could be read at all, no point is made (exit code 1).
/// A path that is not there is taken for a mistake: nothing is backed up then (exit code 1). The agent goes on without it.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// What to back up.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,

    /// The item that gets the point [default: the host's name and the path].
    #[arg(long, value_name = "NAME")]
    item: Option<ItemName>,

    /// Leave out what matches: a line with the meaning of a .gitignore file in '/'. May be given several times.
    #[arg(long, short, value_name = "PATTERN")]
    exclude: Vec<String>,

    /// Bring back what an exclude leaves out. May be given several times.
    #[arg(long, short, value_name = "PATTERN")]
    include: Vec<String>,

    /// File with exclude patterns, one a line.
    #[arg(long, value_name = "FILE")]
    exclude_from: Vec<PathBuf>,

    /// Do not cross into other mounted file systems.
    #[arg(long)]
    one_file_system: bool,

    /// Leave out directories with a CACHEDIR.TAG.
    #[arg(long)]
    exclude_caches: bool,

    /// Leave out what has the nodump flag.
    #[arg(long)]
    exclude_nodump: bool,

    /// Read every file again, even those that did not change since the last point.
    #[arg(long)]
    reread: bool,

    /// Level of compression (zstd). Without it 1 for small files, 3 for large ones.
    #[arg(long, value_name = "LEVEL", value_parser = clap::value_parser!(i32).range(1..=19))]
    level: Option<i32>,

    /// Where it stands among those who want the processor and the disk.
    #[arg(long, value_enum, value_name = "IMPACT", default_value_t)]
    impact: Impact,

    /// Read no more often from what is backed up; a mebibyte of a file is one read.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32)
        .range(i64::from(policy::limits::READS_PER_SECOND_MIN)..=i64::from(policy::limits::READS_PER_SECOND_MAX)))]
    reads_per_second: Option<u32>,
}

/// How much a backup takes of its machine.
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum Impact {
    /// As the command was started.
    #[default]
    Normal,
    /// Behind others.
    Low,
    /// What nobody else wants.
    Idle,
}

impl Impact {
    fn priorities(self) -> Priorities {
        let priority = match self {
            Self::Normal => Priority::Normal,
            Self::Low => Priority::Low,
            Self::Idle => Priority::Idle,
        };
        Priorities { processor: priority, disk: priority }
    }
}

pub(crate) async fn run(global: &Global, arguments: Arguments) -> Outcome<Exit> {
    let started = Instant::now();
    let mut opened = open_keyless(global).await?;
    let (keys, domain_id) = backup_keys(&opened, global).await?;
    let item = match &arguments.item {
        Some(item) => item.clone(),
        None => default_item(&arguments.paths)?,
    };
    let domain = contract::Vault::domain(opened.vault.as_ref(), domain_id).await?;
    let findings = opened.check_items(domain.as_ref()).await?;
    if let Some(failure) = findings.untrusted {
        return Err(failure);
    }
    let source = Arc::new(file_set(&opened, &arguments)?);
    let absolute = |root: &Vec<u8>| [b"/", root.as_slice()].concat();
    let mut options = BackupOptions::new(item.clone());
    options.host = terminal::host_name();
    options.paths = source.roots().iter().map(absolute).collect();
    options.level = arguments.level;
    options.ignore_base = arguments.reread;
    options.remembered = opened.remembered.item(domain_id, &item)?;
    options.gate.limit(arguments.reads_per_second);
    // Nobody has joined yet: it is where its threads will be.
    let _ = options.crew.set(arguments.impact.priorities());
    let counters = Progress::default();
    let request = BackupRequest {
        domain,
        descriptor: Arc::new(opened.descriptor.clone()),
        keys,
        source,
        options,
        sink: event_sink(global, opened.service.as_ref()),
        progress: counters.clone(),
        cancel: cancel_on_signals(),
    };
    let progress = EngineProgress::watch(global, "backup", counters);
    let outcome = backup::run(request).await;
    progress.finish();
    let report = outcome?;
    opened.remembered.remember_item(domain_id, &report.remembered);
    opened.remember()?;
    print(global, &item, &report, started);
    if report.findings.is_incomplete()
        && let Err(failure) = Incomplete::note(&opened.home, report.point.point)
    {
        // The point is there, and says it itself: only lists lack the mark.
        note!("warning: {failure}");
    }
    Ok(if report.findings.warnings_count() > 0 || findings.gone > 0 { Exit::Warnings } else { Exit::Clean })
}

/// Keys of this machine, write-only ones or those of its agent, if they are what is asked for; otherwise those of the owner.
async fn backup_keys(opened: &Opened, global: &Global) -> Outcome<(BackupKeys, DomainId)> {
    if let Some(keys) = opened.write_only_for(global)? {
        let domain = keys.writer.domain();
        return Ok((BackupKeys { writer: keys.writer, signer: Arc::new(keys.signer), read: None }, domain));
    }
    if let Some(AgentKeys { signer, domain, secret }) = opened.agent_keys_for(global)? {
        let writer = secret.writer(domain);
        return Ok((BackupKeys { writer, signer: Arc::new(signer), read: Some(ReadKeys::new(secret, domain)) }, domain));
    }
    let seed = opened.seed(global).await?;
    let entry = opened.domain_entry(global)?;
    let Keys { seed, domain, secret } = Keys { domain: entry.id, secret: seed.domain_secret(entry)?, seed };
    let keys = BackupKeys {
        writer: secret.writer(domain),
        signer: Arc::new(seed.agent_signer(domain)),
        read: Some(ReadKeys::new(secret, domain)),
    };
    Ok((keys, domain))
}

/// The host's name and the path, as far as a name can show them.
fn default_item(paths: &[PathBuf]) -> Outcome<ItemName> {
    let mut name = terminal::host_name();
    if let [path] = paths {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
        for part in path.components().filter_map(|part| match part {
            std::path::Component::Normal(part) => Some(part.to_string_lossy().to_lowercase()),
            _ => None,
        }) {
            name.push('-');
            name.extend(part.chars().map(|c| if matches!(c, 'a'..='z' | '0'..='9' | '.' | '_' | '-') { c } else { '-' }));
        }
    }
    name.truncate(format::limits::ITEM_NAME_BYTES_MAX);
    Ok(ItemName::new(&name)?)
}

fn file_set(opened: &Opened, arguments: &Arguments) -> Outcome<FileSet> {
    let mut excludes = arguments.exclude.clone();
    for path in &arguments.exclude_from {
        let text =
            std::fs::read_to_string(path).map_err(|error| Failure::io(format!("cannot read '{}'", path.display()), &error))?;
        excludes.extend(text.lines().map(str::to_owned));
    }
    let directories = &opened.directories;
    let own = [&directories.config, &directories.state, &directories.cache].into_iter();
    let skip = own.chain(opened.place.directory().ok()).filter_map(|path| std::fs::canonicalize(path).ok()).collect();
    let options = FileSetOptions {
        roots: arguments.paths.clone(),
        excludes,
        includes: arguments.include.clone(),
        one_file_system: arguments.one_file_system,
        exclude_caches: arguments.exclude_caches,
        exclude_nodump: arguments.exclude_nodump,
        skip,
        readers: 0,
    };
    compiled(options)
}

/// What these options say, if their patterns are what they should be.
pub(super) fn compiled(options: FileSetOptions) -> Outcome<FileSet> {
    FileSet::new(options).map_err(|error| {
        let exit = if error.kind() == workloads::WorkloadErrorKind::Invalid { Exit::Usage } else { Exit::Failed };
        let failure = Failure::new(exit, error.to_string());
        match std::error::Error::source(&error) {
            Some(source) => failure.because(source),
            None => failure,
        }
    })
}

/// Warnings are told as they happen; and the service, when the point is committed, how much of the item is in it.
fn event_sink(global: &Global, service: Option<&ServiceVault>) -> BackupSink {
    let (json, quiet) = (global.json, global.quiet);
    let completeness = Arc::new(Mutex::new(Completeness::Unknown));
    let lock = |completeness: &Mutex<Completeness>| *completeness.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(service) = service {
        let completeness = completeness.clone();
        service.tell(Arc::new(move || PointTold { completeness: lock(&completeness), ..PointTold::default() }));
    }
    Arc::new(move |event| match event {
        BackupEvent::Committing { incomplete, warnings } => {
            *completeness.lock().unwrap_or_else(PoisonError::into_inner) = completeness::of(*incomplete, *warnings);
        }
        BackupEvent::Warning(warning) if !json => note!("warning: {}", sentence(warning)),
        BackupEvent::Checkpoint { entries } if !json && !quiet => note!("checkpoint: {entries} entries are safe"),
        _ => {}
    })
}

fn sentence(warning: &Warning) -> String {
    // What is about the item as a whole has no path.
    let path = match warning.path.as_slice() {
        [] if warning.kind == WarningKind::ScopeChanged => String::new(),
        path => format!("/{}: ", terminal::printable(path)),
    };
    let detail = if warning.detail.is_empty() { String::new() } else { format!(": {}", warning.detail) };
    format!("{path}{}{detail}", kind_words(warning.kind))
}

fn kind_words(kind: WarningKind) -> &'static str {
    match kind {
        WarningKind::Unreadable => "cannot be read and is not in the point",
        WarningKind::PartlyListed => "cannot be listed whole; part of it is not in the point",
        WarningKind::Vanished => "vanished before it was read",
        WarningKind::Changed => "changed while it was read",
        WarningKind::AttributesUnreadable => "some of its attributes cannot be read",
        WarningKind::NotKept => "is a socket, which is not kept",
        WarningKind::PathTooLong => "has a path that is too long",
        WarningKind::ScopeChanged => "the paths are not those of the item's last point",
        WarningKind::BaseUnreadable => "was read anew, because the last point cannot be read there",
    }
}

fn print(global: &Global, item: &ItemName, report: &BackupReport, started: Instant) {
    let findings = &report.findings;
    if global.json {
        print_json(item, report, started);
        return;
    }
    let counts = &report.details.counts;
    say!("point {} of {item}", &report.point.point.to_string()[..8]);
    say!(
        "{}, {}, {}, {}; {} in all",
        terminal::counted(counts.files, "file", "files"),
        terminal::counted(counts.directories, "directory", "directories"),
        terminal::counted(counts.symlinks, "link", "links"),
        terminal::counted(counts.others, "other", "others"),
        terminal::bytes(report.details.bytes)
    );
    say!(
        "{} read ({}), {} unchanged; {} stored in {} ({})",
        terminal::counted(report.entries_read, "entry", "entries"),
        terminal::bytes(report.bytes_read),
        report.entries_unchanged,
        terminal::bytes(report.bytes_stored),
        terminal::seconds(started.elapsed()),
        terminal::rate(report.details.bytes, started.elapsed())
    );
    if findings.left_out_count > 0 && !global.quiet {
        say!("{} left out on purpose:", findings.left_out_count);
        for left_out in findings.left_out.iter().take(10) {
            say!("  /{}: {}", terminal::printable(&left_out.path), left_out.why);
        }
    }
    if findings.warnings_count() > 0 {
        say!("{}", terminal::counted(findings.warnings_count(), "warning", "warnings"));
    }
    for path in findings.unread_paths.keys() {
        let what = if findings.partly_read.contains(path) { "not all" } else { "nothing" };
        say!("INCOMPLETE: {what} of '/{}' is in this point", terminal::printable(path));
    }
}

fn print_json(item: &ItemName, report: &BackupReport, started: Instant) {
    let (findings, counts) = (&report.findings, &report.details.counts);
    let mut json = Json::new("backup");
    json.set("point", report.point.point.to_string());
    json.set("item", item.as_str());
    json.set("sequence", report.sequence.0);
    json.set("time", terminal::utc(report.point.time_ms));
    json.set("seconds", terminal::json_seconds(started.elapsed()));
    json.set("files", counts.files);
    json.set("directories", counts.directories);
    json.set("symlinks", counts.symlinks);
    json.set("others", counts.others);
    json.set("bytes", report.details.bytes);
    json.set("entries_read", report.entries_read);
    json.set("entries_unchanged", report.entries_unchanged);
    json.set("bytes_read", report.bytes_read);
    json.set("bytes_stored", report.bytes_stored);
    json.set("completeness", completeness::of_findings(findings).as_str());
    json.set("warnings_count", findings.warnings_count());
    let by_kind: Map<_, _> =
        findings.warnings_by_kind.iter().map(|(kind, count)| (kind.as_str().to_owned(), (*count).into())).collect();
    json.set("warnings_by_kind", by_kind);
    json.set("warnings", findings.warnings.iter().map(warning_json).collect::<Vec<_>>());
    json.set("unread_paths", findings.unread_paths.iter().map(unread_json).collect::<Vec<_>>());
    json.set("left_out_count", findings.left_out_count);
    json.set("left_out", findings.left_out.iter().map(left_out_json).collect::<Vec<_>>());
    json.print();
}

fn warning_json(warning: &Warning) -> serde_json::Value {
    let mut object = Map::new();
    name_json(&mut object, "path", &warning.path);
    object.insert("kind".to_owned(), warning.kind.as_str().into());
    object.insert("detail".to_owned(), warning.detail.clone().into());
    object.into()
}

fn unread_json((path, why): (&Vec<u8>, &String)) -> serde_json::Value {
    let mut object = Map::new();
    name_json(&mut object, "path", path);
    object.insert("why".to_owned(), why.clone().into());
    object.into()
}

fn left_out_json(left_out: &LeftOut) -> serde_json::Value {
    let mut object = Map::new();
    name_json(&mut object, "path", &left_out.path);
    object.insert("why".to_owned(), left_out.why.clone().into());
    object.into()
}
