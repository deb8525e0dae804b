//! `holdfast ls`

use super::completeness;
use super::interrupt::cancel_on_signals;
use super::point_names::find_point;
use super::restore::tree_path;
use crate::cli::Global;
use crate::failure::{Exit, Outcome};
use crate::local::open_to_read;
use crate::terminal::{self, Json, name_json, say};
use api::Completeness;
use clap::Args;
use engine::ReadKeys;
use engine::list::{self, ListRequest, Listed};
use format::ItemName;
use format::page::{EntryKind, Owner, Timestamp};
use serde_json::{Map, Value};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

/// List what a recovery point holds.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The point: a prefix of its id, or 'latest'.
    #[arg(value_name = "POINT")]
    point: String,

    /// The directory to list [default: /].
    #[arg(value_name = "PATH", default_value = "/", hide_default_value = true)]
    path: PathBuf,

    /// The item that 'latest' belongs to.
    #[arg(long, value_name = "NAME")]
    item: Option<ItemName>,

    /// List what is below directories too.
    #[arg(long, short)]
    recursive: bool,

    /// Show mode, owner, size and time.
    #[arg(long, short)]
    long: bool,
}

pub(crate) async fn run(global: &Global, arguments: Arguments) -> Outcome<Exit> {
    let (opened, keys) = open_to_read(global).await?;
    let domain = contract::Vault::domain(opened.vault.as_ref(), keys.domain).await?;
    let point = find_point(&opened, domain.as_ref(), &arguments.point, arguments.item.as_ref()).await?;
    let keys: ReadKeys = keys.into();
    let completeness = completeness::tell(&opened, &domain, &keys, &point).await;
    let request = ListRequest {
        domain,
        descriptor: Arc::new(opened.descriptor.clone()),
        keys,
        point: point.clone(),
        path: tree_path(&arguments.path),
        recursive: arguments.recursive,
        cancel: cancel_on_signals(),
    };
    let cancel = request.cancel.clone();
    if global.json {
        let entries = Arc::new(Mutex::new(Vec::new()));
        let sink = entries.clone();
        list::run(request, move |listed| sink.lock().expect("no panic under this lock").push(entry_json(&listed))).await?;
        let mut json = Json::new("ls");
        json.set("point", point.id.to_string());
        json.set("item", point.item.as_str());
        json.set("completeness", completeness.map(Completeness::as_str));
        json.set("entries", std::mem::take(&mut *entries.lock().expect("no panic under this lock")));
        json.print();
        return Ok(Exit::Clean);
    }
    let long = arguments.long;
    let listed = list::run(request, move |listed| {
        say!("{}", if long { long_line(&listed) } else { short_line(&listed) });
        if terminal::nobody_reads() {
            cancel.cancel();
        }
    });
    match listed.await {
        Err(_) if terminal::nobody_reads() => Ok(Exit::Clean),
        listed => Ok(listed.map(|_| Exit::Clean)?),
    }
}

fn short_line(listed: &Listed) -> String {
    let slash = if listed.entry.metadata.kind == EntryKind::Directory { "/" } else { "" };
    format!("/{}{slash}", terminal::printable(&listed.path))
}

fn long_line(listed: &Listed) -> String {
    let (entry, metadata) = (&listed.entry, &listed.entry.metadata);
    let target = if entry.target.is_empty() { String::new() } else { format!(" -> {}", terminal::printable(&entry.target)) };
    format!(
        "{}{:04o} {:>8} {:>8} {:>12} {} /{}{target}",
        kind_letter(metadata.kind),
        metadata.mode,
        owner_text(&metadata.user),
        owner_text(&metadata.group),
        metadata.size,
        terminal::local(milliseconds(metadata.modified)),
        terminal::printable(&listed.path)
    )
}

fn kind_letter(kind: EntryKind) -> char {
    match kind {
        EntryKind::File => '-',
        EntryKind::Directory => 'd',
        EntryKind::Symlink => 'l',
        EntryKind::Fifo => 'p',
        EntryKind::CharacterDevice => 'c',
        EntryKind::BlockDevice => 'b',
    }
}

fn owner_text(owner: &Owner) -> String {
    owner.name.as_ref().map_or_else(|| owner.id.to_string(), |name| terminal::printable(name))
}

/// A kind's word in JSON.
pub(super) fn kind_word(kind: EntryKind) -> &'static str {
    match kind {
        EntryKind::File => "file",
        EntryKind::Directory => "directory",
        EntryKind::Symlink => "symlink",
        EntryKind::Fifo => "fifo",
        EntryKind::CharacterDevice => "character_device",
        EntryKind::BlockDevice => "block_device",
    }
}

pub(super) fn milliseconds(time: Timestamp) -> i64 {
    time.seconds.saturating_mul(1000).saturating_add(i64::from(time.nanoseconds) / 1_000_000)
}

fn entry_json(listed: &Listed) -> Value {
    let (entry, metadata) = (&listed.entry, &listed.entry.metadata);
    let mut object = Map::new();
    name_json(&mut object, "path", &listed.path);
    object.insert("kind".to_owned(), kind_word(metadata.kind).into());
    object.insert("mode".to_owned(), metadata.mode.into());
    object.insert("uid".to_owned(), metadata.user.id.into());
    object.insert("gid".to_owned(), metadata.group.id.into());
    object.insert("size".to_owned(), metadata.size.into());
    object.insert(
        "modified".to_owned(),
        terminal::utc_nanoseconds(metadata.modified.seconds, metadata.modified.nanoseconds).into(),
    );
    if !entry.target.is_empty() {
        name_json(&mut object, "target", &entry.target);
    }
    object.into()
}
