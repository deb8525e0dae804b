//! `holdfast collect`

use crate::cli::Global;
use crate::failure::{Exit, Outcome};
use crate::local::open_keyless;
use crate::terminal::{self, Json, VaultProgress, say};
use clap::Args;
use contract::CollectOptions;

/// Free what no recovery point needs any more.
///
/// May run beside backups and restores. What an interrupted backup left is spared once, so that the backup can go on where it was: the
/// second collection frees it. Soft-deleted points keep what they need until they are purged. What is kept for later is said.
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
    // What a collection does not free shall not look as if it were forgotten.
    let soft_deleted = domain.status().await.ok().map(|status| status.points_deleted);
    if global.json {
        let mut json = Json::new("collect");
        json.set("bytes_freed", report.bytes_deleted.saturating_sub(report.bytes_rewritten));
        json.set("bytes_deleted", report.bytes_deleted);
        json.set("bytes_rewritten", report.bytes_rewritten);
        json.set("packs_deleted", report.packs_deleted);
        json.set("packs_rewritten", report.packs_rewritten);
        json.set("copies_condemned", report.copies_condemned);
        json.set("waiting_for_sessions", report.waiting_for_sessions);
        json.set("bytes_spared", report.bytes_spared);
        json.set("points_soft_deleted", soft_deleted);
        json.print();
        return Ok(Exit::Clean);
    }
    say!(
        "freed {} ({} deleted, {} rewritten)",
        terminal::bytes(report.bytes_deleted.saturating_sub(report.bytes_rewritten)),
        terminal::counted(report.packs_deleted, "pack", "packs"),
        report.packs_rewritten
    );
    if report.waiting_for_sessions > 0 {
        let backups = terminal::counted(report.waiting_for_sessions, "running backup is", "running backups are");
        say!("{backups} older than this collection: run it again when that has ended, to free the rest");
    }
    if report.bytes_spared > 0 {
        say!(
            "up to {} that interrupted backups left is spared this once, so that they can go on: a later 'holdfast collect' frees it",
            terminal::bytes(report.bytes_spared)
        );
    }
    if let Some(soft_deleted) = soft_deleted.filter(|count| *count > 0 && !global.quiet) {
        let points =
            terminal::counted(soft_deleted, "soft-deleted point keeps what it needs", "soft-deleted points keep what they need");
        say!("{points}: 'holdfast points --deleted' lists them, 'holdfast expire --purge POINT' gives one up for ever");
    }
    Ok(Exit::Clean)
}
