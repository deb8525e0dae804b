//! `holdfast rebuild`

use crate::cli::Global;
use crate::failure::{Exit, Outcome};
use crate::local::{open_rebuilt, what_it_lacks};
use crate::terminal::{Json, counted, say};
use clap::Args;

/// Make the vault's database and index anew from storage.
///
/// Needed when the database is damaged, or older than the storage (restored from a copy). It happens by itself when the
/// database is gone. Soft-deleted points come back, purged ones do not; running backups fail and can be started again. The
/// old database is kept beside the new one.
///
/// If entries of the journal or packs cannot be read, or a record that is set aside lacks something, points may be missing, and
/// nothing is collected until a later rebuild finds everything or what is lacking is given up. A domain whose enrolment cannot be
/// read is named, and served again once a copy of it is back (exit code 4).
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Let collections delete what only unreadable journal entries and packs keep.
    #[arg(long)]
    give_up_unreadable: bool,
}

pub(crate) async fn run(global: &Global, arguments: Arguments) -> Outcome<Exit> {
    let opened = open_rebuilt(global, arguments.give_up_unreadable).await?;
    let mut domains = Vec::new();
    let unreadable = match &opened.embedded {
        Some(embedded) => embedded.unreadable_enrolments().await?,
        None => Vec::new(),
    };
    let mut sound = unreadable.is_empty();
    for (domain, report) in opened.embedded.iter().flat_map(|vault| vault.rebuilt()) {
        sound &= report.unreadable_packs.is_empty() && report.unreadable_entries.is_empty() && report.set_aside.is_empty();
        if global.json {
            domains.push(serde_json::json!({
                "domain": domain.to_string(),
                "points": report.points,
                "packs": report.packs,
                "purged": report.purged,
                "unreadable_packs": report.unreadable_packs.iter().map(|(pack, why)| serde_json::json!({"pack": pack.to_string(), "why": why})).collect::<Vec<_>>(),
                "unreadable_entries": report.unreadable_entries.iter().map(|(number, why)| serde_json::json!({"number": number.0, "why": why})).collect::<Vec<_>>(),
                "set_aside": report.set_aside.iter().map(|aside| serde_json::json!({"number": aside.number.0, "point": aside.point.map(|point| point.to_string()), "why": aside.why})).collect::<Vec<_>>(),
            }));
            continue;
        }
        let (points, packs) = (counted(report.points, "point", "points"), counted(report.packs, "pack", "packs"));
        say!("domain {domain}: {points} in {packs}");
        for lack in what_it_lacks(report) {
            say!("  {lack}");
        }
    }
    if global.json {
        let mut json = Json::new("rebuild");
        json.set("domains", domains);
        json.set("unreadable_enrolments", unreadable.iter().map(ToString::to_string).collect::<Vec<_>>());
        json.set("sound", sound);
        json.print();
    }
    if !global.json {
        for domain in &unreadable {
            say!(
                "domain {domain}: its enrolment cannot be read, so nothing of it is served; put a copy of it back and rebuild again"
            );
        }
    }
    Ok(if sound { Exit::Clean } else { Exit::Damage })
}
