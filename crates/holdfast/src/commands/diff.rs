//! `holdfast diff`

use super::interrupt::cancel_on_signals;
use super::point_names::find_point;
use crate::cli::Global;
use crate::failure::{Exit, Outcome};
use crate::local::open_to_read;
use crate::terminal::{self, Json, name_json, say};
use clap::Args;
use engine::diff::{self, Change, DiffRequest, Differences};
use format::ItemName;
use serde_json::{Map, Value};
use std::sync::{Arc, Mutex};

/// Show what differs between two recovery points.
///
/// '+' was added, '-' was removed, 'M' differs, in what stands behind it. Takes time in proportion to the difference.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The earlier point: a prefix of its id, or 'latest'.
    #[arg(value_name = "A")]
    before: String,

    /// The later point.
    #[arg(value_name = "B")]
    after: String,

    /// The item that 'latest' belongs to.
    #[arg(long, value_name = "NAME")]
    item: Option<ItemName>,
}

pub(crate) async fn run(global: &Global, arguments: Arguments) -> Outcome<Exit> {
    let (opened, keys) = open_to_read(global).await?;
    let domain = contract::Vault::domain(opened.vault.as_ref(), keys.domain).await?;
    let before = find_point(&opened, domain.as_ref(), &arguments.before, arguments.item.as_ref()).await?;
    let after = find_point(&opened, domain.as_ref(), &arguments.after, arguments.item.as_ref()).await?;
    let mut json = Json::new("diff");
    json.set("before", before.id.to_string());
    json.set("after", after.id.to_string());
    let request = DiffRequest {
        domain,
        descriptor: Arc::new(opened.descriptor.clone()),
        keys: keys.into(),
        before,
        after,
        cancel: cancel_on_signals(),
    };
    if !global.json {
        let cancel = request.cancel.clone();
        let compared = diff::run(request, move |change| {
            say!("{}", line(&change));
            if terminal::nobody_reads() {
                cancel.cancel();
            }
        });
        let report = match compared.await {
            Err(_) if terminal::nobody_reads() => return Ok(Exit::Clean),
            compared => compared?,
        };
        if !global.quiet {
            say!("{} added, {} removed, {} changed", report.added, report.removed, report.changed);
        }
        return Ok(Exit::Clean);
    }
    let changes = Arc::new(Mutex::new(Vec::new()));
    let sink = changes.clone();
    let report =
        diff::run(request, move |change| sink.lock().expect("no panic under this lock").push(change_json(&change))).await?;
    json.set("added", report.added);
    json.set("removed", report.removed);
    json.set("changed", report.changed);
    json.set("changes", std::mem::take(&mut *changes.lock().expect("no panic under this lock")));
    json.print();
    Ok(Exit::Clean)
}

fn line(change: &Change) -> String {
    match change {
        Change::Added(path, _) => format!("+ /{}", terminal::printable(path)),
        Change::Removed(path, _) => format!("- /{}", terminal::printable(path)),
        Change::Changed(path, differences) => format!("M /{} ({})", terminal::printable(path), words(*differences).join(", ")),
    }
}

fn words(differences: Differences) -> Vec<&'static str> {
    let all = [
        (differences.kind, "kind"),
        (differences.content, "content"),
        (differences.mode, "mode"),
        (differences.owner, "owner"),
        (differences.modified, "time"),
        (differences.attributes, "attributes"),
    ];
    all.into_iter().filter(|(differs, _)| *differs).map(|(_, word)| word).collect()
}

fn change_json(change: &Change) -> Value {
    let mut object = Map::new();
    let (what, path, differences) = match change {
        Change::Added(path, _) => ("added", path, Vec::new()),
        Change::Removed(path, _) => ("removed", path, Vec::new()),
        Change::Changed(path, differences) => ("changed", path, words(*differences)),
    };
    object.insert("change".to_owned(), what.into());
    name_json(&mut object, "path", path);
    if !differences.is_empty() {
        object.insert("differs".to_owned(), differences.into());
    }
    object.into()
}
