//! `holdfast agent tokens` and `holdfast agent revoke`

use crate::cli::Global;
use crate::commands::at_service::open_service;
use crate::failure::{Exit, Outcome};
use crate::terminal::{self, Json, Table, say};
use api::Scope;
use clap::Args;

/// End a token for the vault service, at once. Takes an administrator's token.
///
/// The agent stays certified: 'holdfast key retire' ends that, and its tokens with it.
#[derive(Debug, Args)]
pub(crate) struct RevokeArguments {
    /// The token's id ('holdfast agent tokens').
    #[arg(value_name = "ID")]
    id: String,
}

pub(super) async fn run(global: &Global) -> Outcome<Exit> {
    let at = open_service(global).await?;
    let tokens = at.service.tokens().await?.tokens;
    let name_of = |id| at.opened.descriptor.domain(id).map(|entry| entry.name.clone());
    if global.json {
        let list = tokens.iter().map(|token| {
            let (role, domain, agent) = match token.scope {
                Scope::Administrator => ("administrator", None, None),
                Scope::Agent { domain, agent } => ("agent", name_of(domain), Some(agent.to_string())),
            };
            serde_json::json!({
                "id": token.id, "name": token.name, "role": role, "domain": domain, "agent": agent,
                "created": terminal::utc(token.created_ms),
            })
        });
        let mut json = Json::new("agent");
        json.set("tokens", list.collect::<Vec<_>>());
        json.print();
        return Ok(Exit::Clean);
    }
    let mut table = Table::new(&["TOKEN", "NAME", "GOOD FOR", "AGENT", "MADE"]);
    for token in &tokens {
        let (good_for, agent) = match token.scope {
            Scope::Administrator => ("everything".to_owned(), String::new()),
            Scope::Agent { domain, agent } => {
                (name_of(domain).unwrap_or_else(|| "?".to_owned()), agent.to_string()[..16].to_owned())
            }
        };
        table.row(vec![token.id.clone(), token.name.clone(), good_for, agent, terminal::local(token.created_ms)]);
    }
    table.print();
    Ok(Exit::Clean)
}

pub(super) async fn run_revoke(global: &Global, arguments: RevokeArguments) -> Outcome<Exit> {
    open_service(global).await?.service.revoke_token(&arguments.id).await?;
    if global.json {
        let mut json = Json::new("agent");
        json.set("ended", arguments.id);
        json.print();
    } else {
        say!("the token is ended");
    }
    Ok(Exit::Clean)
}
