//! `holdfast agent list`

use crate::cli::Global;
use crate::commands::at_service::{open_service, span};
use crate::failure::{Exit, Outcome};
use crate::terminal::{self, Json, Table, json_times, note};

/// A clock that is further from the service's is worth a word, in milliseconds.
const SKEW_MS: i64 = 60_000;

pub(super) async fn run(global: &Global) -> Outcome<Exit> {
    let at = open_service(global).await?;
    let agents = at.service.agents().await?.agents;
    if global.json {
        let list = agents.iter().map(|agent| {
            let mut value = json_times(agent);
            value["domain_name"] = at.name_of(agent.domain).into();
            value
        });
        let mut json = Json::new("agent");
        json.set("agents", list.collect::<Vec<_>>());
        json.print();
        return Ok(Exit::Clean);
    }
    if agents.is_empty() {
        note!("no agent has spoken to the service yet; on an enrolled machine: holdfast agent run");
        return Ok(Exit::Clean);
    }
    let mut table = Table::new(&["DOMAIN", "HOST", "AGENT", "PROGRAM", "STANDING"]);
    for agent in &agents {
        let standing = if agent.retired {
            "retired".to_owned()
        } else if agent.connected {
            "connected".to_owned()
        } else {
            format!("away for {}", span(terminal::now_ms() - agent.seen_ms))
        };
        let skew = if agent.ahead_ms.abs() > SKEW_MS {
            format!("; its clock is {} {}", span(agent.ahead_ms), if agent.ahead_ms > 0 { "ahead" } else { "behind" })
        } else {
            String::new()
        };
        table.row(vec![
            terminal::printable(at.name_of(agent.domain).as_bytes()),
            terminal::printable(agent.host.as_bytes()),
            agent.agent.to_string()[..16].to_owned(),
            terminal::printable(agent.program.as_bytes()),
            format!("{standing}{skew}"),
        ]);
    }
    table.print();
    Ok(Exit::Clean)
}
