//! A backup job: what the item has in it on this machine, its hooks, and the engine's run.

use super::hook::{self, Surroundings, When};
use super::record::BACKING_UP;
use super::{Doing, LOOK, Outcome, Task, found};
use crate::bounds::{Bounds, Scope};
use crate::changes::Following;
use crate::limits::HOOK_LINES_MAX;
use crate::trouble::{Trouble, TroubleKind};
use crate::trust::Seen;
use api::{BackupResult, ServiceVault};
use contract::{Domain, Vault};
use engine::backup::{self, BackupEvent, BackupKeys, BackupOptions, BackupReport, BackupRequest, BackupSink};
use engine::{ErrorKind, ReadKeys};
use format::ItemName;
use format::descriptor::Descriptor;
use policy::{Hook, HookFailure, HookSettings};
use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use workloads::files::FileSet;

/// What is protected, ready to be read.
struct Source {
    files: Arc<FileSet>,
    /// Whole parts of it that are missing, each with the reason.
    missing: BTreeMap<Vec<u8>, String>,
}

pub(super) async fn run(doing: &Doing, reread: bool) -> Result<Outcome, Trouble> {
    let Some(item) = &doing.item else {
        return Err(Trouble::new(TroubleKind::Failed, format!("this machine protects no item '{}'", doing.name))
            .with_hint("the item was removed meanwhile, or belongs to another machine"));
    };
    doing.until_it_may_read().await?;
    doing.record.phase("looking at the vault");
    let client = doing.connect()?;
    let agent = &doing.shared.agent;
    let seen = agent.trust.look_at(&client, agent.domain, &doing.name).await?;
    let domain = client.domain(agent.domain).await?;
    check_certificate(&seen.descriptor, doing)?;
    if doing.task != Task::Do
        && let Some(result) = found::point_of(doing, &client, &domain, &seen.descriptor).await?
    {
        return Ok(Outcome::Point(result));
    }
    doing.record.begin_anew();
    if matches!(doing.task, Task::Settle | Task::GiveUp) {
        return Ok(Outcome::Nothing(Trouble::new(TroubleKind::Stopped, "the agent died while it ran")));
    }
    if let Some(warning) = &seen.warning {
        doing.record.warn(b"", "point_gone", warning);
    }
    let hooks = item.policy.as_ref().map(|policy| policy.settings().hooks.clone()).unwrap_or_default();
    before(doing, &hooks).await?;
    let looked_at = (domain.clone(), seen.descriptor.clone());
    let read = async {
        // Only now: the hook may have made the paths, or led them somewhere else.
        doing.check()?;
        doing.record.phase("looking at the paths");
        let source = source(doing).await?;
        read(doing, &client, domain, seen, source, reread).await
    };
    let read = read.await;
    // However the reading ended, what was frozen has to thaw.
    let thawed = after(doing, &hooks).await;
    doing.reins.leave_hooks();
    let read = match read {
        Err(trouble) if may_have_point(doing, &trouble) => found::late(doing, &client, &looked_at.0, &looked_at.1, trouble).await,
        read => read,
    };
    match (read, thawed) {
        (Ok(result), Ok(())) => Ok(Outcome::Point(result)),
        (Ok(result), Err(trouble)) => Ok(Outcome::PointBut(result, trouble)),
        (Err(trouble), Ok(())) => Err(trouble),
        (Err(trouble), Err(after)) => {
            doing.record.warn(b"", "hook_failed", after.message());
            Err(trouble)
        }
    }
}

/// Whether a run that failed may have a point all the same: its commit was sent, and the answer lost; or what this agent had sent before it
/// died has come meanwhile, and of a job there is one point.
fn may_have_point(doing: &Doing, trouble: &Trouble) -> bool {
    // What somebody asked for is tried again while the service is away, and looked for first.
    let is_tried_again = trouble.kind == TroubleKind::Away && doing.begun.slot_ms().is_none();
    let was_sent_before = doing.task != Task::Do && trouble.kind == TroubleKind::Failed;
    !is_tried_again && (doing.record.commit_sent() || was_sent_before)
}

/// An agent that the owner retired need not try.
fn check_certificate(descriptor: &Descriptor, doing: &Doing) -> Result<(), Trouble> {
    let agent = &doing.shared.agent;
    let key = agent.secrets.signer.key();
    let own = || descriptor.certificates.iter().filter(|known| known.agent == key && known.domain == agent.domain);
    if own().next().is_some() && own().all(|known| known.retired) {
        return Err(Trouble::new(TroubleKind::Retired, "the owner has retired this machine's agent")
            .with_hint("'holdfast agent token' where the owner's key is, then 'holdfast agent enroll --replace' here"));
    }
    let covers = |items: &[ItemName]| items.is_empty() || items.contains(&doing.name);
    if own().any(|known| !known.retired && covers(&known.items)) {
        return Ok(());
    }
    Err(Trouble::refused(format!("the owner has not certified this machine's agent for the item '{}'", doing.name))
        .with_hint("'holdfast key list' where the owner's key is shows for what it is certified"))
}

/// What of the item is allowed and there. What is not stands on the record.
async fn source(doing: &Doing) -> Result<Source, Trouble> {
    let agent = &doing.shared.agent;
    let (bounds, name) = (agent.bounds.clone(), doing.name.clone());
    let wanted = doing.item.as_ref().map(|item| item.files.clone()).unwrap_or_default();
    let own = agent.places.own.iter().chain([&agent.places.staging]);
    let skip: Vec<PathBuf> = own.chain(&agent.bounds.never).cloned().collect();
    // Paths may lead to file systems that do not answer: no worker waits for them.
    let looked = tokio::task::spawn_blocking(move || look(&bounds, &name, &wanted, skip)).await;
    let broken = |_| Trouble::new(TroubleKind::Failed, "a fault of this program ended the look at the paths");
    let (scope, files) = looked.map_err(broken)?;
    for refusal in &scope.refused {
        doing.record.warn(refusal.path.as_os_str().as_bytes(), "not_allowed", &refusal.why);
    }
    for (path, why) in &scope.missing {
        doing.record.warn(path.as_os_str().as_bytes(), "missing", why);
        doing.record.lacks_a_part();
    }
    if scope.is_least {
        doing
            .record
            .say("this machine's own configuration says what is at least in this item; excludes of the service do not count");
    }
    if !workloads::sees_trusted_attributes() {
        doing.record.say("extended attributes 'trusted.*' are not read: that takes CAP_SYS_ADMIN, which this agent lacks");
    }
    for path in &agent.bounds.never {
        doing.record.say_path(format!("left out always, as this machine's own configuration says: '{}'", path.display()));
    }
    let missing = scope.missing.iter().map(|(path, why)| (path.as_os_str().as_bytes().to_vec(), why.to_string())).collect();
    Ok(Source { files: Arc::new(files?), missing })
}

fn look(bounds: &Bounds, name: &ItemName, wanted: &api::FileScope, skip: Vec<PathBuf>) -> (Scope, Result<FileSet, Trouble>) {
    let scope = bounds.scope(name, wanted);
    let make = || {
        scope.check()?;
        let files = FileSet::new(scope.to_options(skip, bounds.readers.unwrap_or(0)))?;
        bounds.still_allows(&scope, files.roots())?;
        Ok(files)
    };
    let files = make();
    (scope, files)
}

/// The engine's run, and what it has come to.
async fn read(
    doing: &Doing,
    client: &ServiceVault,
    domain: Arc<dyn Domain>,
    seen: Seen,
    source: Source,
    reread: bool,
) -> Result<BackupResult, Trouble> {
    doing.check()?;
    doing.record.phase(BACKING_UP);
    doing.record.begin_reading();
    let agent = &doing.shared.agent;
    let absolute = |root: &Vec<u8>| [b"/", root.as_slice()].concat();
    let mut options = BackupOptions::new(doing.name.clone());
    options.host = agent.host.clone();
    options.program = agent.program.clone();
    // What is missing belongs to the item all the same: its return is no other scope.
    options.paths = source.files.roots().iter().map(absolute).chain(source.missing.keys().cloned()).collect();
    options.paths.sort();
    options.missing = source.missing;
    options.level = agent.bounds.level;
    options.readers = agent.bounds.readers.unwrap_or(options.readers);
    options.ignore_base = reread;
    options.remembered = seen.remembered;
    let following = follow(doing, &source.files).await;
    (options.gate, options.crew) = (doing.reins.gate.clone(), doing.reins.crew.clone());
    let request = BackupRequest {
        domain,
        descriptor: seen.descriptor,
        keys: BackupKeys {
            writer: agent.secrets.writer.clone(),
            signer: agent.secrets.signer.clone(),
            read: agent.secrets.secret.clone().map(|secret| ReadKeys::new(secret, agent.domain)),
        },
        sink: sink(doing),
        source: match &following {
            Some(following) => following.files.clone(),
            None => source.files,
        },
        options,
        progress: doing.record.progress.clone(),
        cancel: doing.control.cancel.clone(),
    };
    let ran = backup::run(request).await;
    if let (Some(changes), Err(error)) = (&doing.shared.changes, &ran)
        && error.kind() != ErrorKind::Cancelled
    {
        // Whatever it was, the next run does without what is known.
        changes.forget(&doing.name);
    }
    let report = ran?;
    doing.record.set_commit_sent(false);
    if let (Some(changes), Some(following)) = (&doing.shared.changes, &following) {
        changes.note(&doing.name, following, &report);
        doing.record.say(following.words(&report));
    }
    // The engine's connections end with the job, and not before its last call.
    let _ = client;
    remember(doing, &report.remembered);
    Ok(result(doing, &report))
}

/// Follows what changes from now on, where the agent is to.
async fn follow(doing: &Doing, files: &Arc<FileSet>) -> Option<Following> {
    let (shared, item, files) = (doing.shared.clone(), doing.name.clone(), files.clone());
    shared.changes.as_ref()?;
    let look = move || shared.changes.as_ref().map(|changes| changes.follow(&item, files)).transpose();
    let mut looking = tokio::task::spawn_blocking(look);
    // It may have to wait for processes that do not answer; whoever stops the run does not.
    let looked = loop {
        match tokio::time::timeout(LOOK, &mut looking).await {
            Ok(looked) => break looked,
            Err(_) if doing.check().is_err() => return None,
            Err(_) => {}
        }
    };
    match looked {
        Ok(Ok(following)) => following,
        Ok(Err(error)) => {
            doing.record.say(format!("everything is walked: changes cannot be followed: {error}"));
            None
        }
        Err(_) => None,
    }
}

/// Remembers a point that is there whatever this machine's disk says.
pub(super) fn remember(doing: &Doing, seen: &engine::Remembered) {
    let agent = &doing.shared.agent;
    if let Err(trouble) = agent.trust.remember(agent.domain, seen) {
        doing.record.warn(b"", "not_remembered", trouble.message());
    }
}

/// Warnings go to the record as they happen.
fn sink(doing: &Doing) -> BackupSink {
    let record = doing.record.clone();
    Arc::new(move |event| match event {
        BackupEvent::Warning(warning) => {
            record.warn(&warning.path, warning.kind.as_str(), &warning.detail);
        }
        BackupEvent::Checkpoint { entries } => record.say(format!("checkpoint: {entries} entries are safe")),
        // What the service is told of the point is asked for when it is committed.
        BackupEvent::Committing { incomplete, .. } => {
            if *incomplete {
                record.lacks_a_part();
            }
            record.set_commit_sent(true);
        }
        BackupEvent::Anew => record.read_anew(),
        BackupEvent::LeftOut(_) => {}
    })
}

fn result(doing: &Doing, report: &BackupReport) -> BackupResult {
    let counts = report.details.counts;
    doing.record.say(format!(
        "point {} (number {}): {} entries read, {} unchanged",
        report.point.point, report.sequence, report.entries_read, report.entries_unchanged
    ));
    BackupResult {
        point: report.point.point,
        sequence: report.sequence.0,
        completeness: doing.record.completeness(),
        files: counts.files,
        directories: counts.directories,
        others: counts.symlinks + counts.others,
        bytes: report.details.bytes,
        entries_read: report.entries_read,
        entries_unchanged: report.entries_unchanged,
        bytes_read: report.bytes_read,
        bytes_stored: report.bytes_stored,
        left_out_count: report.findings.left_out_count,
    }
}

/// The hook before the run. That the other one has to run is on disk before this one starts.
async fn before(doing: &Doing, hooks: &HookSettings) -> Result<(), Trouble> {
    // Both are looked at first: nothing is frozen that may not be thawed.
    for (hook, when) in [(&hooks.before, When::Before), (&hooks.after, When::After)] {
        if let Some(hook) = hook
            && let Err(trouble) = doing.shared.agent.bounds.allow_hook(&hook.command)
        {
            weigh(doing, hook, when, trouble)?;
        }
    }
    let Some(hook) = &hooks.before else { return Ok(()) };
    if !is_allowed(doing, hook) || hooks.after.as_ref().is_some_and(|after| !is_allowed(doing, after)) {
        return Ok(());
    }
    while !doing.reins.enter_hooks() {
        doing.until_it_may_read().await?;
    }
    doing.check()?;
    doing.record.phase("running the hook before the run");
    if hooks.after.is_some() {
        doing.note_thaw(hooks.after.clone()).await?;
    }
    let cancel = Some(&doing.control.cancel);
    let around = Surroundings { when: When::Before, item: &doing.name, job: doing.job, cancel };
    let failed = match hook::run(hook, around).await {
        Ok(output) => {
            say(doing, When::Before, &output);
            return Ok(());
        }
        Err(trouble) if trouble.kind == TroubleKind::Stopped => Err(trouble),
        Err(trouble) => weigh(doing, hook, When::Before, trouble),
    };
    if let Err(trouble) = failed {
        // It was started: perhaps it has frozen something before it failed.
        if let Err(after) = after(doing, hooks).await {
            doing.record.warn(b"", "hook_failed", after.message());
        }
        return Err(trouble);
    }
    Ok(())
}

/// The hook after the run, whatever became of that.
async fn after(doing: &Doing, hooks: &HookSettings) -> Result<(), Trouble> {
    let Some(hook) = hooks.after.as_ref().filter(|hook| is_allowed(doing, hook)) else { return Ok(()) };
    doing.record.phase("running the hook after the run");
    let around = Surroundings { when: When::After, item: &doing.name, job: doing.job, cancel: None };
    let ended = match hook::run(hook, around).await {
        Ok(output) => {
            say(doing, When::After, &output);
            Ok(())
        }
        Err(trouble) => weigh(doing, hook, When::After, trouble),
    };
    if hooks.before.is_some() {
        doing.note_thaw(None).await?;
    }
    ended
}

/// Runs what a run that the agent died in would have run at its end.
pub(super) async fn thaw(doing: &Doing) {
    let Some(hook) = &doing.begun.thaw else { return };
    doing.record.say("the agent died between the hooks of this run: the one after it runs now");
    tracing::warn!(job = %doing.job, item = %doing.name, "the agent died between the hooks of a run: the one after it runs now");
    let around = Surroundings { when: When::After, item: &doing.name, job: doing.job, cancel: None };
    let ran = match doing.shared.agent.bounds.allow_hook(&hook.command) {
        Ok(()) => hook::run(hook, around).await,
        Err(trouble) => Err(trouble),
    };
    let kept = doing.note_thaw(None).await;
    match ran.and_then(|output| kept.map(|()| output)) {
        Ok(output) => say(doing, When::After, &output),
        Err(trouble) => {
            tracing::error!(job = %doing.job, "{}", trouble.message());
            doing.record.warn(b"", "hook_failed", trouble.message());
        }
    }
}

fn is_allowed(doing: &Doing, hook: &Hook) -> bool {
    doing.shared.agent.bounds.allow_hook(&hook.command).is_ok()
}

/// A hook's failure is a warning, or the run's.
fn weigh(doing: &Doing, hook: &Hook, when: When, trouble: Trouble) -> Result<(), Trouble> {
    match hook.on_failure {
        HookFailure::Fail => Err(trouble),
        HookFailure::Warn => {
            let path = hook.command.first().map_or(Path::new(""), Path::new);
            doing.record.warn(path.as_os_str().as_bytes(), "hook_failed", &format!("{}: {}", when.as_str(), trouble.message()));
            Ok(())
        }
    }
}

/// A line of the log for each line of the hook.
fn say(doing: &Doing, when: When, output: &str) {
    let when = when.as_str();
    let mut lines = hook::lines_of(output);
    for line in lines.by_ref().take(HOOK_LINES_MAX) {
        doing.record.say(format!("the hook {when} the run: {line}"));
    }
    match lines.count() {
        0 if hook::lines_of(output).next().is_none() => doing.record.say(format!("the hook {when} the run: it printed nothing")),
        0 => {}
        more => doing.record.say(format!("the hook {when} the run: and {more} more lines")),
    }
}
