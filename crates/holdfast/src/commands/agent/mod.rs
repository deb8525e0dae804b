//! `holdfast agent …`

mod doctor;
mod enroll;
mod list;
mod run;
mod status;
mod token;
mod tokens;

use crate::cli::Global;
use crate::failure::{Exit, Outcome};
use clap::Subcommand;

/// Enrol machines, each with a domain and keys of its own, and protect them.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Token(token::Arguments),
    Enroll(enroll::Arguments),
    Run(run::Arguments),
    /// Say what is wrong with this machine's agent, and how to mend it.
    ///
    /// Looks at the configuration and its rights, the enrolment, the vault service, the clock, the agent that runs and what it protects.
    /// Exit codes: 0 all is well, 3 something should be looked at, 1 something is broken.
    Doctor,
    /// Show what this machine is enrolled as, and whether the vault service knows it. Without --vault it is the vault that it is enrolled in.
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
        Command::Run(arguments) => run::run(global, &arguments).await,
        Command::Doctor => doctor::run(global).await,
        Command::Status => status::run(global).await,
        Command::List => list::run(global).await,
        Command::Tokens => tokens::run(global).await,
        Command::Revoke(arguments) => tokens::run_revoke(global, arguments).await,
    }
}
