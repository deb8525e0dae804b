//! `holdfast job backup`, `restore`, `retention`, `collection` and `scrub`

use super::follow::{Waiting, note_away};
use crate::cli::Global;
use crate::commands::at_service::{AtService, open_service};
use crate::commands::point_names::find_point;
use crate::commands::restore::OverwriteArgument;
use crate::failure::{Exit, Failure, Outcome};
use api::{JobRequest, Overwriting, RestoreWork, Work};
use clap::Args;
use format::{DomainId, ItemName, JobId};

/// Have an item's agent make a point now. Takes an administrator's token.
///
/// A point that somebody asked for displaces no scheduled one, and is kept for the policy's on_demand_days.
#[derive(Debug, Args)]
pub(crate) struct BackupArguments {
    /// The item.
    #[arg(value_name = "ITEM")]
    item: ItemName,

    /// Read every file again, even those that did not change.
    #[arg(long)]
    reread: bool,

    #[command(flatten)]
    waiting: Waiting,
}

/// Have an item's agent restore a point on its machine. Takes an administrator's token.
///
/// It goes into a directory of the job's own in the agent's staging directory; to others only where the agent's configuration
/// allows it. The job's receipt says what was restored, to where, and how it compares with the point.
#[derive(Debug, Args)]
pub(crate) struct RestoreArguments {
    /// The item.
    #[arg(value_name = "ITEM")]
    item: ItemName,

    /// The point: a prefix of its id, or 'latest'.
    #[arg(long, value_name = "POINT", default_value = "latest")]
    point: String,

    /// Only this path and what is below it. May be given several times.
    #[arg(long, value_name = "PATH")]
    path: Vec<String>,

    /// Take so many leading directories off every path.
    #[arg(long, value_name = "N", default_value_t = 0)]
    strip: u32,

    /// A directory on the agent's machine [default: one in its staging directory].
    #[arg(long, value_name = "DIR")]
    to: Option<String>,

    /// What to do with files that are there already.
    #[arg(long, value_enum, default_value_t = OverwriteArgument::Fail)]
    overwrite: OverwriteArgument,

    #[command(flatten)]
    waiting: Waiting,
}

/// Have the service expire what is due, and purge what was soft-deleted long enough ago. It does so by itself, too.
#[derive(Debug, Args)]
pub(crate) struct RetentionArguments {
    #[command(flatten)]
    waiting: Waiting,
}

/// Have the service free what no point needs. It does so by itself, too.
#[derive(Debug, Args)]
pub(crate) struct CollectionArguments {
    #[command(flatten)]
    waiting: Waiting,
}

/// Have the service verify its storage, and mend what has another copy. It does so by itself, too.
#[derive(Debug, Args)]
pub(crate) struct ScrubArguments {
    /// Read every pack whole; otherwise footers only.
    #[arg(long)]
    read_data: bool,

    #[command(flatten)]
    waiting: Waiting,
}

pub(super) async fn run_backup(global: &Global, arguments: BackupArguments) -> Outcome<Exit> {
    let at = open_service(global).await?;
    let item = at.item(global, &arguments.item).await?;
    let work = Work::Backup { item: item.item, reread: arguments.reread };
    begin(global, &at, item.domain, work, arguments.waiting).await
}

pub(super) async fn run_restore(global: &Global, arguments: RestoreArguments) -> Outcome<Exit> {
    let at = open_service(global).await?;
    let item = at.item(global, &arguments.item).await?;
    let domain = contract::Vault::domain(at.opened.vault.as_ref(), item.domain).await?;
    let point = find_point(&at.opened, domain.as_ref(), &arguments.point, Some(&item.item)).await?;
    let work = Work::Restore(RestoreWork {
        item: item.item,
        point: point.id,
        paths: arguments.path,
        strip: arguments.strip,
        to: arguments.to,
        overwrite: match arguments.overwrite {
            OverwriteArgument::Fail => Overwriting::Fail,
            OverwriteArgument::Never => Overwriting::Never,
            OverwriteArgument::Older => Overwriting::Older,
            OverwriteArgument::Always => Overwriting::Always,
            OverwriteArgument::InPlace => Overwriting::InPlace,
        },
    });
    begin(global, &at, item.domain, work, arguments.waiting).await
}

pub(super) async fn run_retention(global: &Global, arguments: RetentionArguments) -> Outcome<Exit> {
    of_service(global, Work::Retention, arguments.waiting).await
}

pub(super) async fn run_collection(global: &Global, arguments: CollectionArguments) -> Outcome<Exit> {
    of_service(global, Work::Collection, arguments.waiting).await
}

pub(super) async fn run_scrub(global: &Global, arguments: ScrubArguments) -> Outcome<Exit> {
    of_service(global, Work::Scrub { read_data: arguments.read_data }, arguments.waiting).await
}

/// The service's own work in one domain.
async fn of_service(global: &Global, work: Work, waiting: Waiting) -> Outcome<Exit> {
    let at = open_service(global).await?;
    let domain = at.opened.domain_entry(global)?.id;
    at.opened.note_domain(global, domain).await?;
    begin(global, &at, domain, work, waiting).await
}

async fn begin(global: &Global, at: &AtService, domain: DomainId, work: Work, waiting: Waiting) -> Outcome<Exit> {
    let is_agents = work.item().is_some();
    let agents = if is_agents { at.agents_of(domain).await? } else { Vec::new() };
    if is_agents && at.opened.descriptor.nobody_is_left(domain) {
        return Err(Failure::new(Exit::Refused, "the machine's agent is retired: nobody would do this job").with_hint(
            "'holdfast agent token' where the owner's key is, then 'holdfast agent enroll --replace' on the machine",
        ));
    }
    let request = JobRequest { job: JobId(system::random()), work };
    let job = at.service.begin_job(domain, &request).await?;
    if is_agents {
        note_away(&agents, &job);
    }
    waiting.end(global, at, job).await
}
