//! `holdfast agent …`

mod enroll;
mod list;
mod status;
mod token;
mod tokens;

use crate::cli::Global;
use crate::failure::{Exit, Outcome};
use clap::Subcommand;

/// Enrol machines, each with a domain and keys of its own.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Token(token::Arguments),
    Enroll(enroll::Arguments),
    /// Show what this machine is enrolled as, and whether the vault service knows it.
    Status,
    /// List the agents that the vault service knows. Takes an administrator's token.
    List,
    /// List the tokens for the vault service. Takes an administrator's token.
    Tokens,
    Revoke(tokens::RevokeArguments),
}

pub(crate) async fn run(global: &Global, command: Command) -> Outcome<Exit> {
    match command {
        Command::Token(arguments) => token::run(global, arguments).await,
        Command::Enroll(arguments) => enroll::run(global, arguments).await,
        Command::Status => status::run(global).await,
        Command::List => list::run(global).await,
        Command::Tokens => tokens::run(global).await,
        Command::Revoke(arguments) => tokens::run_revoke(global, arguments).await,
    }
}
