//! `holdfast policy set`

use crate::cli::Global;
use crate::commands::at_service::open_service;
use crate::failure::{Exit, Failure, Outcome};
use crate::terminal::{Json, json_times, say};
use api::{PolicyName, PolicyRequest};
use clap::Args;
use policy::{Policy, PolicySettings};
use std::io::Read;
use std::path::{Path, PathBuf};

/// Set a policy. Takes an administrator's token.
///
/// What the file may say is in docs/policies.md; 'holdfast policy example' prints one to begin with. Every item that has the
/// policy follows it from now on. A policy that protects less than the one before is refused unless --weaken is given.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// By which items name it: 1 to 128 of a-z 0-9 . _ -
    #[arg(value_name = "NAME")]
    name: PolicyName,

    #[command(flatten)]
    source: Source,

    /// It may protect less than the policy that it replaces.
    #[arg(long)]
    weaken: bool,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Source {
    /// The policy, TOML or JSON; '-' is standard input.
    #[arg(value_name = "FILE")]
    path: Option<PathBuf>,

    /// The same, by its name.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

pub(super) async fn run(global: &Global, arguments: Arguments) -> Outcome<Exit> {
    let Source { path, file } = &arguments.source;
    let file = path.as_ref().or(file.as_ref()).ok_or_else(|| Failure::new(Exit::Usage, "no file is named"))?;
    let settings = read_settings(file)?;
    let at = open_service(global).await?;
    let request = PolicyRequest { settings, weaken: arguments.weaken };
    let set = at.service.set_policy(&arguments.name, &request).await?;
    if global.json {
        let mut json = Json::new("policy");
        json.set("policy", json_times(&set));
        json.print();
        return Ok(Exit::Clean);
    }
    let items = if set.items == 1 { "1 item has it".to_owned() } else { format!("{} items have it", set.items) };
    say!("policy {} is set; {items}", set.policy);
    if set.items == 0 && !global.quiet {
        say!("Next: holdfast item set NAME PATH --policy {}", set.policy);
    }
    Ok(Exit::Clean)
}

/// A policy in a file, checked here so that what is wrong is named before anything is asked.
pub(crate) fn read_settings(path: &Path) -> Outcome<PolicySettings> {
    let max = policy::limits::POLICY_BYTES_MAX as u64;
    let read = |source: &mut dyn Read| {
        let mut text = String::new();
        source.take(max + 1).read_to_string(&mut text).map(|_| text)
    };
    let text = if path == Path::new("-") {
        read(&mut std::io::stdin().lock())
    } else {
        std::fs::File::open(path).and_then(|mut file| read(&mut file))
    };
    let text = text.map_err(|error| Failure::io(format!("cannot read '{}'", path.display()), &error))?;
    let policy = if text.trim_start().starts_with('{') { Policy::from_json(&text) } else { Policy::from_toml(&text) };
    let policy = policy.map_err(|error| {
        let failure = Failure::new(Exit::Usage, format!("'{}' is no policy", path.display())).because(&error);
        failure.with_hint("docs/policies.md has every setting; 'holdfast policy example' prints a policy to begin with")
    })?;
    Ok(policy.settings().clone())
}
