//! `holdfast policy …`

mod preview;
mod set;
mod show;

use crate::cli::Global;
use crate::failure::{Exit, Outcome};
use clap::{Args, Subcommand};

pub(super) use set::read_settings;

/// Say when items are backed up and how long their points live.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Set(set::Arguments),
    /// List the policies of the vault service. Takes an administrator's token.
    List,
    Show(show::Arguments),
    Remove(RemoveArguments),
    Preview(preview::Arguments),
    /// Print a policy with every setting explained, to begin with.
    Example,
}

/// Remove a policy that no item has. Takes an administrator's token.
#[derive(Debug, Args)]
pub(crate) struct RemoveArguments {
    /// The policy.
    #[arg(value_name = "NAME")]
    name: api::PolicyName,
}

pub(crate) async fn run(global: &Global, command: Command) -> Outcome<Exit> {
    match command {
        Command::Set(arguments) => set::run(global, arguments).await,
        Command::List => show::run_list(global).await,
        Command::Show(arguments) => show::run(global, arguments).await,
        Command::Remove(arguments) => show::run_remove(global, &arguments.name).await,
        Command::Preview(arguments) => preview::run(global, arguments).await,
        Command::Example => Ok(show::run_example()),
    }
}
