//! `holdfast check`

use super::interrupt::cancel_on_signals;
use super::point_names::{Points, verified_points};
use crate::cli::Global;
use crate::failure::{Exit, Outcome};
use crate::local::{DomainKeys, Opened, open_keyless, open_to_read};
use crate::terminal::{self, EngineProgress, Json, VaultProgress, name_json, say};
use clap::Args;
use contract::{CheckOptions, CheckReport, Domain, PointFilter};
use engine::check::{self, CheckReport as KeyedReport, CheckRequest};
use engine::{Progress, ReadKeys};
use serde_json::{Map, Value, json};
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
    // An enrolled machine checks what it can open: the rest takes an administrator.
    let keyless = match keys.is_some() && opened.is_agent().await? {
        true => None,
        false => Some(keyless_check(global, &opened, domain.as_ref(), arguments.read_data).await?),
    };
    let gone = points.gone;
    let keyed = match keys {
        Some(keys) => Some(check_with_keys(global, &opened, keys, domain, points, arguments.read_data).await?),
        None => None,
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

/// The vault's own check, of itself and of the domain.
async fn keyless_check(global: &Global, opened: &Opened, domain: &dyn Domain, read_data: bool) -> Outcome<CheckReport> {
    let progress = VaultProgress::new(global);
    let mut report = opened.vault.check().await?;
    // With keys, data is read once: by those who can open it. Their checksums are part of that.
    let checked = domain.check(CheckOptions { read_data }, progress.sink()).await;
    progress.finish();
    merge(&mut report, checked?);
    Ok(report)
}

async fn check_with_keys(
    global: &Global,
    opened: &Opened,
    keys: DomainKeys,
    domain: Arc<dyn Domain>,
    points: Points,
    read_data: bool,
) -> Outcome<KeyedReport> {
    // The engine says of the untrusted ones why they are bad.
    let untrusted = points.untrusted.into_iter().map(|(point, _)| point);
    let points = points.trusted.into_iter().chain(untrusted).collect();
    let counters = Progress::default();
    let request = CheckRequest {
        domain,
        descriptor: Arc::new(opened.descriptor.clone()),
        keys: ReadKeys::new(keys.secret, keys.domain),
        points,
        read_data,
        workers: std::thread::available_parallelism().map_or(2, usize::from),
        progress: counters.clone(),
        cancel: cancel_on_signals(),
    };
    let progress = EngineProgress::watch(global, "check", counters);
    let outcome = check::run(request).await;
    progress.finish();
    Ok(outcome?)
}

/// The domain's findings join those of the vault as a whole.
fn merge(all: &mut CheckReport, domain: CheckReport) {
    let (objects, mended) = (std::mem::take(&mut all.damaged_objects), std::mem::take(&mut all.mended));
    *all = domain;
    all.damaged_objects.splice(0..0, objects);
    all.mended.splice(0..0, mended);
}

fn print(keyless: Option<&CheckReport>, keyed: Option<&KeyedReport>, started: Instant) {
    match keyless {
        Some(keyless) => print_keyless(keyless, started),
        None => say!("the vault's own check takes an administrator; what this machine can open was checked"),
    }
    if let Some(keyed) = keyed {
        say!(
            "{} pages and {} data blobs opened, {} verified",
            keyed.pages,
            keyed.data_blobs_opened,
            terminal::bytes(keyed.bytes_verified)
        );
    }
    if let Some(keyed) = keyed {
        for (point, why) in &keyed.bad_points {
            say!("damaged: point {}: {why}", &point.to_string()[..8]);
        }
        for affected in &keyed.affected {
            let path = terminal::printable(&affected.path);
            say!("affected: {} in point {}: /{path}: {}", affected.item, &affected.point.to_string()[..8], affected.what);
        }
        if keyed.affected_count > keyed.affected.len() as u64 {
            say!("and {} more paths", keyed.affected_count - keyed.affected.len() as u64);
        }
    }
}

fn verdict(sound: bool, read_data: bool, keyless: bool, keyed: bool) -> &'static str {
    match (sound, read_data, keyless && keyed) {
        (true, true, true) => "sound",
        (true, false, true) => "sound as far as it was looked at: everything is there; --read-data reads the contents, too",
        (true, true, false) => "what was looked at is sound; half of the check was not run",
        (true, false, false) => {
            "what was looked at is sound; half of the check was not run, and --read-data reads the contents, too"
        }
        (false, ..) => "DAMAGED: back the sources up again and collect, which heals what is unchanged, and check again",
    }
}

fn print_keyless(keyless: &CheckReport, started: Instant) {
    say!(
        "{} points, {} packs, {} blobs; {} read in {}",
        keyless.points,
        keyless.packs,
        keyless.blobs,
        terminal::bytes(keyless.bytes_read),
        terminal::seconds(started.elapsed())
    );
    keyless.mended.iter().for_each(|object| say!("mended: {object}"));
    for pack in &keyless.damaged_packs {
        say!("damaged: pack {}: {}", pack.pack, pack.what);
    }
    for copy in &keyless.damaged_copies {
        let other = if copy.other_copy { " (another copy is sound)" } else { "" };
        say!("damaged: blob {} in pack {}{other}", copy.blob, copy.pack);
    }
    keyless.missing.iter().for_each(|blob| say!("missing: blob {blob}"));
    for (object, what) in &keyless.damaged_objects {
        say!("damaged: {object}: {what}");
    }
    for aside in &keyless.set_aside {
        let point = aside.point.map_or(String::new(), |point| format!(" (point {point})"));
        say!("set aside: record {}{point}: {}", aside.number, aside.why);
    }
}

fn print_json(keyless: Option<&CheckReport>, keyed: Option<&KeyedReport>, sound: bool, started: Instant) {
    let mut report = Json::new("check");
    report.set("sound", sound);
    report.set("seconds", started.elapsed().as_secs_f64());
    report.set("keyless", keyless.is_some());
    report.set("keyed", keyed.is_some());
    if let Some(keyless) = keyless {
        set_keyless(&mut report, keyless);
    }
    if let Some(keyed) = keyed {
        set_keyed(&mut report, keyed);
    }
    report.print();
}

fn set_keyless(report: &mut Json, keyless: &CheckReport) {
    report.set("points", keyless.points);
    report.set("packs", keyless.packs);
    report.set("blobs", keyless.blobs);
    report.set("bytes_read", keyless.bytes_read);
    report.set("mended", keyless.mended.clone());
    let packs = keyless.damaged_packs.iter().map(|pack| json!({"pack": pack.pack.to_string(), "what": pack.what}));
    report.set("damaged_packs", packs.collect::<Vec<_>>());
    let copies = keyless.damaged_copies.iter();
    let copies =
        copies.map(|copy| json!({"pack": copy.pack.to_string(), "blob": copy.blob.to_string(), "other_copy": copy.other_copy}));
    report.set("damaged_copies", copies.collect::<Vec<_>>());
    report.set("missing", keyless.missing.iter().map(ToString::to_string).collect::<Vec<_>>());
    let objects = keyless.damaged_objects.iter().map(|(object, what)| json!({"object": object, "what": what}));
    report.set("damaged_objects", objects.collect::<Vec<_>>());
    let aside = keyless
        .set_aside
        .iter()
        .map(|aside| json!({"number": aside.number.0, "point": aside.point.map(|point| point.to_string()), "why": aside.why}));
    report.set("set_aside", aside.collect::<Vec<_>>());
}

fn set_keyed(report: &mut Json, keyed: &KeyedReport) {
    report.set("pages_opened", keyed.pages);
    report.set("data_blobs_opened", keyed.data_blobs_opened);
    report.set("bytes_verified", keyed.bytes_verified);
    let bad = keyed.bad_points.iter().map(|(point, why)| json!({"point": point.to_string(), "why": why}));
    report.set("bad_points", bad.collect::<Vec<_>>());
    report.set("affected_count", keyed.affected_count);
    let affected = keyed.affected.iter().map(|affected| {
        let mut object = Map::new();
        object.insert("item".to_owned(), affected.item.as_str().into());
        object.insert("point".to_owned(), affected.point.to_string().into());
        name_json(&mut object, "path", &affected.path);
        object.insert("what".to_owned(), affected.what.clone().into());
        Value::from(object)
    });
    report.set("affected", affected.collect::<Vec<_>>());
}
