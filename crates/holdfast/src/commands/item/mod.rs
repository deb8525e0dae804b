//! `holdfast item …`

mod list;
mod points;
mod set;

use crate::cli::Global;
use crate::failure::{Exit, Outcome};
use clap::{Args, Subcommand};
use format::ItemName;

/// Say what agents protect, and see how it is doing.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Set(set::Arguments),
    /// List what is protected, with what is overdue. Takes an administrator's token.
    List,
    Show(NameArguments),
    Points(points::Arguments),
    Review(points::ReviewArguments),
    Remove(RemoveArguments),
}

/// Show an item: what is in it, its policy, its newest job.
#[derive(Debug, Args)]
pub(crate) struct NameArguments {
    /// The item.
    #[arg(value_name = "ITEM")]
    item: ItemName,
}

/// Protect an item no more. Takes an administrator's token.
///
/// Its points stay, and expire no more by themselves.
#[derive(Debug, Args)]
pub(crate) struct RemoveArguments {
    /// The item.
    #[arg(value_name = "ITEM")]
    item: ItemName,
}

pub(crate) async fn run(global: &Global, command: Command) -> Outcome<Exit> {
    match command {
        Command::Set(arguments) => set::run(global, arguments).await,
        Command::List => list::run(global).await,
        Command::Show(arguments) => list::run_show(global, &arguments.item).await,
        Command::Points(arguments) => points::run(global, arguments).await,
        Command::Review(arguments) => points::run_review(global, arguments).await,
        Command::Remove(arguments) => set::run_remove(global, &arguments.item).await,
    }
}
