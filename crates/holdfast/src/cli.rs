//! The command line.

use crate::commands;
use crate::local::VaultPlace;
use clap::builder::{PathBufValueParser, TypedValueParser};
use clap::error::{ContextKind, ContextValue};
use clap::parser::ValueSource;
use clap::{ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use std::path::PathBuf;

/// Back machines up into a vault that only you can read, and get everything back.
///
/// A vault is a directory with sealed objects, here or behind a vault service; whoever holds it learns neither names nor contents. Each backup makes a
/// recovery point of an item (a set of paths); 'latest' names an item's newest point wherever a POINT is expected, and any
/// unique prefix of a point's id of at least 4 characters will do.
///
/// Exit codes: 0 clean, 1 failed, 2 usage, 3 done with warnings, 4 damage found, 5 vault unavailable, 6 wrong key,
/// 7 conflict, 8 refused, 130 interrupted.
#[derive(Debug, Parser)]
#[command(name = "holdfast", version, max_term_width = 110, propagate_version = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,

    #[command(subcommand)]
    pub(crate) command: Command,
}

impl Cli {
    /// What the user wrote. Ends the process where that makes no sense.
    pub(crate) fn of_user() -> Self {
        let parsed = Self::command().try_get_matches().and_then(|matches| {
            let mut cli = Self::from_arg_matches(&matches)?;
            cli.global.writes_passphrase_file = is_written(&matches, "passphrase_file");
            Ok(cli)
        });
        parsed.unwrap_or_else(|error| with_usage_of_command(error).exit())
    }
}

/// Whether an option of all commands stands on the command line, wherever.
fn is_written(matches: &ArgMatches, option: &str) -> bool {
    let here = matches.value_source(option) == Some(ValueSource::CommandLine);
    here || matches.subcommand().is_some_and(|(_, below)| is_written(below, option))
}

/// The error's usage line is that of the command: left alone, it names as required what the environment says.
fn with_usage_of_command(mut error: clap::Error) -> clap::Error {
    let Some(ContextValue::StyledStr(usage)) = error.get(ContextKind::Usage) else { return error };
    let usage = usage.to_string();
    let mut root = Cli::command();
    root.build();
    let mut command = &mut root;
    // "Usage: holdfast", the words of the command, and what it takes.
    for word in usage.split_whitespace().skip(2) {
        if command.find_subcommand(word).is_none() {
            break;
        }
        command = command.find_subcommand_mut(word).expect("it was found just now");
    }
    error.insert(ContextKind::Usage, ContextValue::StyledStr(command.render_usage()));
    error
}

/// Options of all commands.
#[derive(Debug, Clone, Args)]
pub(crate) struct Global {
    /// The vault: a directory, or the address of a vault service (https://host:port) that 'holdfast login' knows.
    #[arg(long, global = true, env = "HOLDFAST_VAULT", value_name = "DIR|URL", value_parser = PathBufValueParser::new().try_map(VaultPlace::new))]
    pub(crate) vault: Option<VaultPlace>,

    /// File that holds the passphrase, readable by you alone. Without it HOLDFAST_PASSPHRASE is used, then you are asked.
    #[arg(long, global = true, env = "HOLDFAST_PASSPHRASE_FILE", value_name = "FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,

    /// File that holds the recovery kit, instead of a passphrase.
    #[arg(long, global = true, env = "HOLDFAST_RECOVERY_KIT_FILE", value_name = "FILE")]
    pub(crate) recovery_kit: Option<PathBuf>,

    /// File that holds a recipient's secret key, instead of a passphrase.
    #[arg(long, global = true, env = "HOLDFAST_RECIPIENT_KEY_FILE", value_name = "FILE")]
    pub(crate) recipient_key: Option<PathBuf>,

    /// Whether the command line itself names that file of a passphrase, and not the environment.
    #[arg(skip)]
    pub(crate) writes_passphrase_file: bool,

    /// The domain, by name or id, where the vault has several.
    #[arg(long, global = true, env = "HOLDFAST_DOMAIN", value_name = "NAME")]
    pub(crate) domain: Option<String>,

    /// Go on although the vault shows an older state than this machine has seen.
    #[arg(long, global = true)]
    pub(crate) accept_rollback: bool,

    /// Print one JSON object on standard output, and progress as JSON lines on standard error.
    #[arg(long, global = true)]
    pub(crate) json: bool,

    /// Print no progress, and nothing but results and warnings.
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Init(commands::init::Arguments),
    Login(commands::login::Arguments),
    Backup(commands::backup::Arguments),
    Points(commands::points::Arguments),
    Ls(commands::ls::Arguments),
    Find(commands::find::Arguments),
    Restore(commands::restore::Arguments),
    Diff(commands::diff::Arguments),
    Check(commands::check::Arguments),
    Expire(commands::expire::Arguments),
    Undelete(commands::expire::UndeleteArguments),
    Collect(commands::collect::Arguments),
    Status(commands::status::Arguments),
    Rebuild(commands::rebuild::Arguments),
    #[command(subcommand)]
    Agent(commands::agent::Command),
    #[command(subcommand)]
    Item(commands::item::Command),
    #[command(subcommand)]
    Policy(commands::policy::Command),
    #[command(subcommand)]
    Job(commands::job::Command),
    #[command(subcommand)]
    Clock(commands::clock::Command),
    #[command(subcommand)]
    Key(commands::key::Command),
    #[command(hide = true)]
    Docs,
}

impl Command {
    /// The name that stands in JSON output.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Init(_) => "init",
            Self::Login(_) => "login",
            Self::Backup(_) => "backup",
            Self::Points(_) => "points",
            Self::Ls(_) => "ls",
            Self::Find(_) => "find",
            Self::Restore(_) => "restore",
            Self::Diff(_) => "diff",
            Self::Check(_) => "check",
            Self::Expire(_) => "expire",
            Self::Undelete(_) => "undelete",
            Self::Collect(_) => "collect",
            Self::Status(_) => "status",
            Self::Rebuild(_) => "rebuild",
            Self::Agent(_) => "agent",
            Self::Item(_) => "item",
            Self::Policy(_) => "policy",
            Self::Job(_) => "job",
            Self::Clock(_) => "clock",
            Self::Key(_) => "key",
            Self::Docs => "docs",
        }
    }
}
