//! The commands, one file each: arguments with their help, and what they do.

pub(crate) mod agent;
mod at_service;
pub(crate) mod backup;
pub(crate) mod check;
pub(crate) mod clock;
pub(crate) mod collect;
mod completeness;
pub(crate) mod diff;
mod docs;
pub(crate) mod expire;
pub(crate) mod find;
pub(crate) mod init;
mod interrupt;
pub(crate) mod item;
pub(crate) mod job;
pub(crate) mod key;
pub(crate) mod login;
pub(crate) mod ls;
mod point_names;
pub(crate) mod points;
pub(crate) mod policy;
pub(crate) mod rebuild;
pub(crate) mod restore;
pub(crate) mod status;

use crate::cli::{Cli, Command};
use crate::failure::{Exit, Outcome};

/// Runs the command.
pub(crate) async fn run(cli: Cli) -> Outcome<Exit> {
    let global = &cli.global;
    match cli.command {
        Command::Init(arguments) => init::run(global, arguments).await,
        Command::Login(arguments) => login::run(global, arguments).await,
        Command::Backup(arguments) => backup::run(global, arguments).await,
        Command::Points(arguments) => points::run(global, arguments).await,
        Command::Ls(arguments) => ls::run(global, arguments).await,
        Command::Find(arguments) => find::run(global, arguments).await,
        Command::Restore(arguments) => restore::run(global, arguments).await,
        Command::Diff(arguments) => diff::run(global, arguments).await,
        Command::Check(arguments) => check::run(global, arguments).await,
        Command::Expire(arguments) => expire::run(global, arguments).await,
        Command::Undelete(arguments) => expire::run_undelete(global, arguments).await,
        Command::Collect(arguments) => collect::run(global, arguments).await,
        Command::Status(arguments) => status::run(global, arguments).await,
        Command::Rebuild(arguments) => rebuild::run(global, arguments).await,
        Command::Agent(command) => agent::run(global, command).await,
        Command::Key(command) => key::run(global, command).await,
        Command::Item(command) => item::run(global, command).await,
        Command::Policy(command) => policy::run(global, command).await,
        Command::Job(command) => job::run(global, command).await,
        Command::Clock(command) => clock::run(global, command).await,
        Command::Docs => docs::run(),
    }
}
