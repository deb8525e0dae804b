//! `holdfast item list` and `show`

use crate::cli::Global;
use crate::commands::at_service::{AtService, open_service, span};
use crate::failure::{Exit, Outcome};
use crate::terminal::{self, Json, Table, json_times, note, say};
use api::{ItemBody, ItemsQuery, JobState};
use format::ItemName;

pub(super) async fn run(global: &Global) -> Outcome<Exit> {
    let at = open_service(global).await?;
    let query = ItemsQuery { domain: at.named_domain(global)? };
    let items = at.service.items(&query).await?.items;
    if global.json {
        let mut json = Json::new("item");
        json.set("items", items.iter().map(|item| json_of(&at, item)).collect::<Vec<_>>());
        json.print();
        return Ok(Exit::Clean);
    }
    if items.is_empty() {
        note!("nothing is protected; 'holdfast item set NAME PATH --policy POLICY --domain MACHINE' protects something");
        return Ok(Exit::Clean);
    }
    let mut table = Table::new(&["ITEM", "DOMAIN", "POLICY", "NEWEST POINT", "NEXT RUN", "LAST JOB", "STANDING"]);
    for item in &items {
        table.row(vec![
            item.item.to_string(),
            terminal::printable(at.name_of(item.domain).as_bytes()),
            item.policy.as_ref().map_or_else(|| "(on demand)".to_owned(), ToString::to_string),
            item.newest_ms.map_or_else(|| "none".to_owned(), terminal::local),
            item.next_ms.map_or_else(String::new, terminal::local),
            item.last_job.map_or_else(String::new, |last| last.state.as_str().to_owned()),
            standing(item),
        ]);
    }
    table.print();
    Ok(Exit::Clean)
}

pub(super) async fn run_show(global: &Global, name: &ItemName) -> Outcome<Exit> {
    let at = open_service(global).await?;
    let item = at.item(global, name).await?;
    if global.json {
        let mut json = Json::new("item");
        json.set("item", json_of(&at, &item));
        json.print();
        return Ok(Exit::Clean);
    }
    say!("item      {}", item.item);
    say!("domain    {}", terminal::printable(at.name_of(item.domain).as_bytes()));
    let list =
        |what: &str, lines: &[String]| lines.iter().for_each(|line| say!("{what}{}", terminal::printable(line.as_bytes())));
    list("path      ", &item.files.paths);
    list("without   ", &item.files.excludes);
    list("but with  ", &item.files.includes);
    let switches = [
        (item.files.one_file_system, "other file systems are left out"),
        (item.files.exclude_caches, "caches are left out"),
        (item.files.exclude_nodump, "what has the nodump flag is left out"),
    ];
    switches.iter().filter(|(on, _)| *on).for_each(|(_, what)| say!("          {what}"));
    match &item.policy {
        Some(policy) => say!("policy    {policy}, since {}", terminal::local(item.since_ms)),
        None => say!("policy    none: on demand only, and points never expire by themselves"),
    }
    say!("newest    {}", item.newest_ms.map_or_else(|| "no whole point yet".to_owned(), terminal::local));
    if let Some(next) = item.next_ms {
        say!("next      {}", terminal::local(next));
    }
    if let Some(last) = item.last_job {
        say!("last job  {} {}", &last.job.to_string()[..8], last.state.as_str());
    }
    say!("standing  {}", standing(&item));
    Ok(Exit::Clean)
}

fn json_of(at: &AtService, item: &ItemBody) -> serde_json::Value {
    let mut value = json_times(item);
    value["domain_name"] = at.name_of(item.domain).into();
    value
}

fn standing(item: &ItemBody) -> String {
    let overdue = item.overdue_since_ms.map(|since| format!("OVERDUE for {}", span(terminal::now_ms() - since)));
    let review = item.review.map(|review| {
        format!("{} of {} points would expire: holdfast item review {}", review.expiring, review.points, item.item)
    });
    let failed = item.last_job.filter(|last| matches!(last.state, JobState::Failed | JobState::Interrupted));
    let failed = failed.map(|last| format!("last job {}: holdfast job show {}", last.state.as_str(), &last.job.to_string()[..8]));
    let empty = (item.newest_ms.is_none() && overdue.is_none()).then(|| "no whole point yet".to_owned());
    let parts: Vec<String> = overdue.into_iter().chain(empty).chain(failed).chain(review).collect();
    if parts.is_empty() { "ok".to_owned() } else { parts.join("; ") }
}

#[cfg(test)]
mod tests {
    use super::standing;
    use api::ItemBody;
    use serde_json::{Value, json};

    fn item(more: Value) -> ItemBody {
        let files = json!({ "paths": ["/srv"] });
        let mut item = json!({ "domain": "07".repeat(16), "item": "data", "files": files, "since_ms": 1 });
        item.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(item).unwrap()
    }

    #[test]
    fn nothing_is_ok_that_has_no_point_or_whose_last_job_failed() {
        let last = |state: &str| json!({ "job": "ab".repeat(16), "state": state });
        assert_eq!(standing(&item(json!({ "newest_ms": 5, "last_job": last("warnings") }))), "ok");
        assert_eq!(standing(&item(json!({}))), "no whole point yet");
        let failed = standing(&item(json!({ "newest_ms": 5, "last_job": last("failed") })));
        assert_eq!(failed, "last job failed: holdfast job show abababab");
    }
}
