//! `holdfast policy list`, `show`, `remove`, `example`

use crate::cli::Global;
use crate::commands::at_service::open_service;
use crate::failure::{Exit, Failure, Outcome};
use crate::terminal::{self, Json, Table, json_times, note, say, say_text};
use api::PolicyName;
use clap::Args;

const EXAMPLE: &str = include_str!("example.toml");

/// Show a policy as the file that sets it. Takes an administrator's token.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The policy.
    #[arg(value_name = "NAME")]
    name: PolicyName,
}

pub(super) async fn run(global: &Global, arguments: Arguments) -> Outcome<Exit> {
    let at = open_service(global).await?;
    let body = at.service.policy(&arguments.name).await?;
    if global.json {
        let mut json = Json::new("policy");
        json.set("policy", json_times(&body));
        json.print();
        return Ok(Exit::Clean);
    }
    let text = toml::to_string_pretty(&body.settings)
        .map_err(|error| Failure::new(Exit::Failed, "cannot write the policy as TOML").because(&error))?;
    say_text(format_args!("{text}"));
    Ok(Exit::Clean)
}

pub(super) async fn run_list(global: &Global) -> Outcome<Exit> {
    let at = open_service(global).await?;
    let list = at.service.policies().await?;
    if global.json {
        let mut json = Json::new("policy");
        json.set("policies", json_times(&list.policies));
        json.print();
        return Ok(Exit::Clean);
    }
    if list.policies.is_empty() {
        note!("no policies; 'holdfast policy example > FILE' prints one to begin with, 'holdfast policy set NAME FILE' sets it");
        return Ok(Exit::Clean);
    }
    let mut table = Table::new(&["POLICY", "NAME", "ZONE", "ITEMS", "CHANGED"]);
    for body in &list.policies {
        table.row(vec![
            body.policy.to_string(),
            terminal::printable(body.settings.name.as_bytes()),
            body.settings.time_zone.clone(),
            body.items.to_string(),
            terminal::local(body.changed_ms),
        ]);
    }
    table.print();
    Ok(Exit::Clean)
}

pub(super) async fn run_remove(global: &Global, name: &PolicyName) -> Outcome<Exit> {
    let at = open_service(global).await?;
    at.service.remove_policy(name).await?;
    if global.json {
        let mut json = Json::new("policy");
        json.set("removed", name.as_str());
        json.print();
    } else {
        say!("policy {name} is removed");
    }
    Ok(Exit::Clean)
}

pub(super) fn run_example() -> Exit {
    say_text(format_args!("{EXAMPLE}"));
    Exit::Clean
}

#[cfg(test)]
mod tests {
    use super::EXAMPLE;
    use policy::Policy;

    #[test]
    fn the_example_is_a_policy_and_comes_out_of_the_service_as_a_file_that_sets_the_same() {
        let policy = Policy::from_toml(EXAMPLE).unwrap();
        let shown = toml::to_string_pretty(policy.settings()).unwrap();
        assert_eq!(Policy::from_toml(&shown).unwrap(), policy, "{shown}");
    }
}
