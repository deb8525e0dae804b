//! `holdfast job …`

mod follow;
mod list;
mod report;
mod start;

use crate::cli::Global;
use crate::failure::{Exit, Outcome};
use clap::Subcommand;

/// Ask agents and the vault service for work, and see what came of it.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    List(list::Arguments),
    Show(list::ShowArguments),
    Follow(list::FollowArguments),
    Cancel(list::CancelArguments),
    Backup(start::BackupArguments),
    Restore(start::RestoreArguments),
    Retention(start::RetentionArguments),
    Collection(start::CollectionArguments),
    Scrub(start::ScrubArguments),
}

pub(crate) async fn run(global: &Global, command: Command) -> Outcome<Exit> {
    match command {
        Command::List(arguments) => list::run(global, arguments).await,
        Command::Show(arguments) => list::run_show(global, arguments).await,
        Command::Follow(arguments) => list::run_follow(global, arguments).await,
        Command::Cancel(arguments) => list::run_cancel(global, arguments).await,
        Command::Backup(arguments) => start::run_backup(global, arguments).await,
        Command::Restore(arguments) => start::run_restore(global, arguments).await,
        Command::Retention(arguments) => start::run_retention(global, arguments).await,
        Command::Collection(arguments) => start::run_collection(global, arguments).await,
        Command::Scrub(arguments) => start::run_scrub(global, arguments).await,
    }
}
