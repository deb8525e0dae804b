//! `holdfast collect`

use crate::cli::Global;
use crate::failure::{Exit, Outcome};
use crate::local::open_keyless;
use crate::terminal::{self, Json, VaultProgress, say};
use clap::Args;
use contract::CollectOptions;

/// Free what no recovery point needs any more.
///
/// May run beside backups and restores. What an interrupted backup left may take two collections.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Rewrite a pack when at least this share of it, in percent, is no longer needed.
    #[arg(long, value_name = "PERCENT", default_value_t = CollectOptions::default().repack_dead_percent, value_parser = clap::value_parser!(u8).range(1..=100))]
    repack: u8,
}

pub(crate) async fn run(global: &Global, arguments: Arguments) -> Outcome<Exit> {
    let opened = open_keyless(global).await?;
    let domain = opened.domain(global).await?;
    opened.note_domain(global, domain.id()).await?;
    let progress = VaultProgress::new(global);
    let report = domain.collect(CollectOptions { repack_dead_percent: arguments.repack }, progress.sink()).await;
    progress.finish();
    let report = report?;
    if global.json {
        let mut json = Json::new("collect");
        json.set("bytes_freed", report.bytes_deleted.saturating_sub(report.bytes_rewritten));
        json.set("bytes_deleted", report.bytes_deleted);
        json.set("bytes_rewritten", report.bytes_rewritten);
        json.set("packs_deleted", report.packs_deleted);
        json.set("packs_rewritten", report.packs_rewritten);
        json.set("copies_condemned", report.copies_condemned);
        json.set("waiting_for_sessions", report.waiting_for_sessions);
        json.print();
        return Ok(Exit::Clean);
    }
    say!(
        "freed {} ({} packs deleted, {} rewritten)",
        terminal::bytes(report.bytes_deleted.saturating_sub(report.bytes_rewritten)),
        report.packs_deleted,
        report.packs_rewritten
    );
    if report.waiting_for_sessions > 0 {
        say!("{} running backups are older than this collection: run it again when they have ended", report.waiting_for_sessions);
    }
    Ok(Exit::Clean)
}
