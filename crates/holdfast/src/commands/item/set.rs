//! `holdfast item set` and `remove`

use crate::cli::Global;
use crate::commands::at_service::open_service;
use crate::commands::backup::compiled;
use crate::failure::{Exit, Failure, Outcome};
use crate::terminal::{self, Json, json_times, note, say};
use api::{FileScope, ItemRequest, PolicyName};
use clap::Args;
use format::ItemName;
use std::path::{Component, Path, PathBuf};
use workloads::files::FileSetOptions;

/// Protect paths of a machine as an item. Takes an administrator's token.
///
/// The agent of the machine's domain backs it up by the policy's schedule, as far as its own configuration allows. Set again, an
/// item is what was said last. A change by which less is backed up, or less long kept, is refused unless --weaken is given.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The item.
    #[arg(value_name = "ITEM")]
    item: ItemName,

    /// Absolute paths on the machine.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,

    /// The policy. Without one the item is backed up on demand only, and its points never expire by themselves.
    #[arg(long, value_name = "NAME")]
    policy: Option<PolicyName>,

    /// Leave out what matches: a line with the meaning of a .gitignore file in '/'. May be given several times.
    #[arg(long, short, value_name = "PATTERN")]
    exclude: Vec<String>,

    /// Bring back what an exclude leaves out. May be given several times.
    #[arg(long, short, value_name = "PATTERN")]
    include: Vec<String>,

    /// Do not cross into other mounted file systems.
    #[arg(long)]
    one_file_system: bool,

    /// Leave out directories with a CACHEDIR.TAG.
    #[arg(long)]
    exclude_caches: bool,

    /// Leave out what has the nodump flag.
    #[arg(long)]
    exclude_nodump: bool,

    /// It may protect less than before: fewer paths, more that is left out, another policy, or none.
    #[arg(long)]
    weaken: bool,
}

pub(super) async fn run(global: &Global, arguments: Arguments) -> Outcome<Exit> {
    let files = FileScope {
        paths: arguments.paths.iter().map(|path| plain(path)).collect::<Outcome<_>>()?,
        excludes: arguments.exclude,
        includes: arguments.include,
        one_file_system: arguments.one_file_system,
        exclude_caches: arguments.exclude_caches,
        exclude_nodump: arguments.exclude_nodump,
    };
    // The service does not know what they mean, and the agent would fail with them.
    let (excludes, includes) = (files.excludes.clone(), files.includes.clone());
    compiled(FileSetOptions { roots: vec!["/".into()], excludes, includes, ..FileSetOptions::default() })?;
    let at = open_service(global).await?;
    let domain = at.opened.domain_entry(global)?.id;
    let request = ItemRequest { files, policy: arguments.policy, weaken: arguments.weaken };
    let set = at.service.set_item(domain, &arguments.item, &request).await?;
    if global.json {
        let mut json = Json::new("item");
        json.set("item", json_times(&set));
        json.print();
        return Ok(Exit::Clean);
    }
    let name = terminal::printable(at.name_of(domain).as_bytes());
    match &set.policy {
        Some(policy) => say!("item {} of {name} follows policy {policy}", set.item),
        None => say!("item {} of {name} is backed up on demand", set.item),
    }
    // It is set, whatever becomes of this question.
    if at.service.agents().await.is_ok_and(|list| list.agents.iter().all(|agent| agent.domain != domain)) {
        note!("no agent of {name} was ever heard of: 'holdfast agent run' there, or --domain for another machine");
    }
    if !global.quiet {
        say!("Next: holdfast job backup {} --follow", set.item);
    }
    Ok(Exit::Clean)
}

/// The path as the agent will take it: it is on another machine, so nothing of this one completes it.
fn plain(path: &Path) -> Outcome<String> {
    let wrong = |what: &str| Err(Failure::new(Exit::Usage, format!("'{}' {what}", path.display())));
    let Some(text) = path.to_str() else { return wrong("is not UTF-8; name the directory above it") };
    if !path.is_absolute() {
        return wrong("is not absolute: the item's machine knows no current directory");
    }
    if path.components().any(|part| matches!(part, Component::ParentDir)) {
        return wrong("has a '..' in it");
    }
    Ok(text.to_owned())
}

pub(super) async fn run_remove(global: &Global, item: &ItemName) -> Outcome<Exit> {
    let at = open_service(global).await?;
    let known = at.item(global, item).await?;
    at.service.remove_item(known.domain, item).await?;
    if global.json {
        let mut json = Json::new("item");
        json.set("removed", item.as_str());
        json.print();
    } else {
        say!("item {item} is protected no more; its points stay");
    }
    Ok(Exit::Clean)
}
