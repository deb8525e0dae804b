//! What a check found, told.

use crate::terminal::{self, Json, name_json, say};
use contract::CheckReport;
use engine::check::{AFFECTED_MAX, CheckReport as KeyedReport};
use serde_json::{Map, Value, json};
use std::time::Instant;

pub(super) fn print(keyless: Option<&CheckReport>, keyed: Option<&KeyedReport>, started: Instant) {
    match keyless {
        Some(keyless) => print_keyless(keyless, bytes_read(Some(keyless), keyed), started),
        None => say!("the vault's own check takes an administrator; what this machine can open was checked"),
    }
    if let Some(keyed) = keyed {
        say!(
            "{} and {} opened, {} verified",
            terminal::counted(keyed.pages, "page", "pages"),
            terminal::counted(keyed.data_blobs_opened, "data blob", "data blobs"),
            terminal::bytes(keyed.bytes_verified)
        );
    }
    if let Some(keyed) = keyed {
        for (point, why) in &keyed.bad_points {
            say!("damaged: point {}: {why}", &point.to_string()[..8]);
        }
        for affected in keyed.affected.iter().take(LINES_MAX) {
            let path = terminal::printable(&affected.path);
            let what = terminal::printable(affected.what.as_bytes());
            say!("affected: {} in point {}: /{path}: {what}", affected.item, &affected.point.to_string()[..8]);
        }
        let told = keyed.affected.len().min(LINES_MAX) as u64;
        if keyed.affected_count > told {
            say!("and {} more paths: '--json' lists the first {AFFECTED_MAX}", keyed.affected_count - told);
        }
    }
}

pub(super) fn verdict(sound: bool, read_data: bool, keyless: bool, keyed: bool) -> &'static str {
    match (sound, read_data, keyless && keyed) {
        (true, true, true) => "sound",
        (true, false, true) => "sound as far as it was looked at: everything is there; --read-data reads the contents, too",
        (true, true, false) => "what was looked at is sound; half of the check was not run",
        (true, false, false) => {
            "what was looked at is sound; half of the check was not run, and --read-data reads the contents, too"
        }
        (false, ..) => {
            "DAMAGED: back the sources up again and collect, which heals what is unchanged, and check again; what has changed since \
             cannot be healed: 'holdfast expire POINT --purge' and 'holdfast collect' end the report of a point that is no use any more"
        }
    }
}

/// Most lines of a kind that are printed; JSON has all.
const LINES_MAX: usize = 100;

fn list<T>(all: &[T], what: &str, line: impl Fn(&T) -> String) {
    all.iter().take(LINES_MAX).for_each(|one| say!("{}", line(one)));
    if all.len() > LINES_MAX {
        say!("and {} more {what}: '--json' lists all", all.len() - LINES_MAX);
    }
}

/// Whoever read them.
fn bytes_read(keyless: Option<&CheckReport>, keyed: Option<&KeyedReport>) -> u64 {
    keyless.map_or(0, |report| report.bytes_read) + keyed.map_or(0, |report| report.bytes_read)
}

fn print_keyless(keyless: &CheckReport, bytes_read: u64, started: Instant) {
    say!(
        "{}, {}, {}; {} read in {}",
        terminal::counted(keyless.points, "point", "points"),
        terminal::counted(keyless.packs, "pack", "packs"),
        terminal::counted(keyless.blobs, "blob", "blobs"),
        terminal::bytes(bytes_read),
        terminal::seconds(started.elapsed())
    );
    list(&keyless.mended, "objects mended", |object| format!("mended: {object}"));
    list(&keyless.damaged_packs, "damaged packs", |pack| format!("damaged: pack {}: {}", pack.pack, pack.what));
    list(&keyless.damaged_copies, "damaged blobs", |copy| {
        let other = if copy.other_copy { " (another copy is sound)" } else { "" };
        format!("damaged: blob {} in pack {}{other}", copy.blob, copy.pack)
    });
    list(&keyless.missing, "missing blobs", |blob| format!("missing: blob {blob}"));
    list(&keyless.damaged_objects, "damaged objects", |(object, what)| format!("damaged: {object}: {what}"));
    list(&keyless.set_aside, "records set aside", |aside| {
        let point = aside.point.map_or(String::new(), |point| format!(" (point {point})"));
        format!("set aside: record {}{point}: {}", aside.number, aside.why)
    });
}

pub(super) fn print_json(keyless: Option<&CheckReport>, keyed: Option<&KeyedReport>, sound: bool, started: Instant) {
    let mut report = Json::new("check");
    report.set("sound", sound);
    report.set("seconds", terminal::json_seconds(started.elapsed()));
    report.set("keyless", keyless.is_some());
    report.set("keyed", keyed.is_some());
    report.set("bytes_read", bytes_read(keyless, keyed));
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
