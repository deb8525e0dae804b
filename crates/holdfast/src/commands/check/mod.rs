//! `holdfast check`

mod report;

use super::interrupt::{cancel_on_signals, unless_cancelled};
use super::point_names::{Points, verified_points};
use crate::cli::Global;
use crate::failure::{Exit, Outcome};
use crate::local::{Opened, open_keyless, open_to_read};
use crate::terminal::{EngineProgress, VaultProgress, say};
use clap::Args;
use contract::{CheckOptions, CheckReport, Domain, PointFilter};
use engine::check::{self, CheckReport as KeyedReport, CheckRequest};
use engine::{Cancel, Progress, ReadKeys};
use format::PackName;
use report::{print, print_json, verdict};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

/// Check that every recovery point can be restored.
///
/// Looks at every object's frame and walks every point through its pages; with --read-data every blob is read, opened and
/// verified as well. What has another copy is mended at once. Other damage is named with the paths that it hits and
/// remembered, so that the next backup of unchanged sources heals it; damaged frames of packs are mended by the next
/// collection. Exit code 4 if anything is damaged that was not mended.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Read and verify all data.
    #[arg(long)]
    read_data: bool,

    /// Check without keys: checksums and completeness, but not what is inside.
    #[arg(long)]
    no_keys: bool,
}

pub(crate) async fn run(global: &Global, arguments: Arguments) -> Outcome<Exit> {
    let started = Instant::now();
    let (opened, keys) = if arguments.no_keys {
        (open_keyless(global).await?, None)
    } else {
        let (opened, keys) = open_to_read(global).await?;
        (opened, Some(keys))
    };
    let domain = match &keys {
        Some(keys) => opened.vault.domain(keys.domain).await?,
        None => opened.domain(global).await?,
    };
    opened.note_domain(global, domain.id()).await?;
    let points = verified_points(&opened, domain.as_ref(), PointFilter { item: None, deleted: true }).await?;
    let gone = points.gone;
    let check = Check { global, opened: &opened, domain, read_data: arguments.read_data, cancel: cancel_on_signals() };
    let (keyless, keyed) = match keys {
        None => (Some(check.without_keys(HashMap::new()).await?), None),
        // An enrolled machine checks what it can open: the rest takes an administrator.
        Some(keys) if opened.is_agent().await? => (None, Some(check.with_keys(&keys.into(), &points).await?)),
        Some(keys) => check.both(&keys.into(), &points).await?,
    };
    let sound = keyless.as_ref().is_none_or(CheckReport::is_sound) && keyed.as_ref().is_none_or(KeyedReport::is_sound);
    if global.json {
        print_json(keyless.as_ref(), keyed.as_ref(), sound, started);
    } else {
        print(keyless.as_ref(), keyed.as_ref(), started);
        say!("{}", verdict(sound, arguments.read_data, keyless.is_some(), keyed.is_some()));
    }
    Ok(match (sound, gone) {
        (false, _) => Exit::Damage,
        (true, 0) => Exit::Clean,
        (true, _) => Exit::Warnings,
    })
}

/// What both halves of a check need.
struct Check<'a> {
    global: &'a Global,
    opened: &'a Opened,
    domain: Arc<dyn Domain>,
    read_data: bool,
    cancel: Cancel,
}

impl Check<'_> {
    /// Data is read once, by those who can open it, and the vault reads what is left: what no point needs, further copies, and
    /// packs that are partly that. If anything does not open, the vault looks at everything, puts on record what is damaged and
    /// takes off what is no more; then it is tried again, as a restore would find it.
    async fn both(&self, keys: &ReadKeys, points: &Points) -> Outcome<(Option<CheckReport>, Option<KeyedReport>)> {
        let mut keyed = match self.with_keys(keys, points).await {
            Ok(keyed) => keyed,
            Err(failure) if self.cancel.is_cancelled() => return Err(failure),
            Err(failure) => {
                // What the vault finds and mends by itself does not depend on what stopped this half.
                self.without_keys(HashMap::new()).await?;
                return Err(failure);
            }
        };
        if keyed.is_sound() && keyed.copies_damaged == 0 {
            let keyless = self.without_keys(std::mem::take(&mut keyed.opened)).await?;
            return Ok((Some(keyless), Some(keyed)));
        }
        let keyless = self.without_keys(HashMap::new()).await?;
        Ok((Some(keyless), Some(self.with_keys(keys, points).await?)))
    }

    /// The vault's own check, of itself and of the domain. Packs of which all blobs were opened are not read again.
    async fn without_keys(&self, opened: HashMap<PackName, u32>) -> Outcome<CheckReport> {
        let progress = VaultProgress::new(self.global);
        let options = CheckOptions { read_data: self.read_data, opened };
        let checked = unless_cancelled(&self.cancel, async {
            let mut report = self.opened.vault.check().await?;
            merge(&mut report, self.domain.check(options, progress.sink()).await?);
            Ok(report)
        });
        let checked = checked.await;
        progress.finish();
        checked
    }

    async fn with_keys(&self, keys: &ReadKeys, points: &Points) -> Outcome<KeyedReport> {
        // The engine says of the untrusted ones why they are bad.
        let untrusted = points.untrusted.iter().map(|(point, _)| point);
        let counters = Progress::default();
        let request = CheckRequest {
            domain: self.domain.clone(),
            descriptor: Arc::new(self.opened.descriptor.clone()),
            keys: keys.clone(),
            points: points.trusted.iter().chain(untrusted).cloned().collect(),
            read_data: self.read_data,
            workers: std::thread::available_parallelism().map_or(2, usize::from),
            progress: counters.clone(),
            cancel: self.cancel.clone(),
        };
        let progress = EngineProgress::watch(self.global, "check", counters);
        let outcome = check::run(request).await;
        progress.finish();
        Ok(outcome?)
    }
}

/// The domain's findings join those of the vault as a whole.
fn merge(all: &mut CheckReport, domain: CheckReport) {
    let (objects, mended) = (std::mem::take(&mut all.damaged_objects), std::mem::take(&mut all.mended));
    *all = domain;
    all.damaged_objects.splice(0..0, objects);
    all.mended.splice(0..0, mended);
}
