//! A restore job: a point, or part of it, becomes files again where this machine allows it, with a receipt.

use super::{Doing, Outcome, Task};
use crate::bounds::Destination;
use crate::trouble::{Trouble, TroubleKind};
use api::limits::{SCOPE_LINE_BYTES_MAX, SCOPE_LINES_MAX};
use api::{Overwriting, RestoreReceipt, RestoreWork};
use contract::{Domain, PointFilter, PointInfo, Vault};
use engine::ReadKeys;
use engine::restore::{self, AbsentRequest, RestoreOptions, RestoreReport, RestoreRequest, Troubles};
use engine::target::Overwrite;
use format::PointId;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;
use workloads::WorkloadError;
use workloads::files::{RestoreOptions as TargetOptions, RestoreTarget};

const NOT_IN_THE_POINT: &str = "not_in_the_point";
const NO_SUCH_PATH: &str = "the point has no such path";
const HINT_AT_LISTS: &str = "'holdfast ls' lists what is in a point, 'holdfast find' finds a name in all of them";

pub(super) async fn run(doing: &Doing, work: &RestoreWork) -> Result<Outcome, Trouble> {
    let started = Instant::now();
    let agent = &doing.shared.agent;
    let Some(secret) = agent.secrets.secret.clone() else {
        return Err(Trouble::refused("this machine has keys that write only: it opens no point")
            .with_hint("restore where the owner's key is"));
    };
    let is_long = work.paths.iter().any(|path| path.len() > SCOPE_LINE_BYTES_MAX);
    if work.paths.len() > SCOPE_LINES_MAX || is_long {
        return Err(Trouble::refused(format!(
            "a restore names up to {SCOPE_LINES_MAX} paths of up to {SCOPE_LINE_BYTES_MAX} bytes"
        )));
    }
    doing.record.begin_anew();
    doing.record.phase("looking at the vault");
    let client = doing.connect()?;
    let descriptor = agent.trust.look(&client).await?;
    let domain = client.domain(agent.domain).await?;
    let point = find(domain.as_ref(), work).await?;
    doing.check()?;
    let keys = ReadKeys::new(secret, agent.domain);
    let paths: Vec<Vec<u8>> = work.paths.iter().map(|path| tree_path(path)).collect();
    let looked_for = AbsentRequest {
        domain: domain.clone(),
        descriptor: descriptor.clone(),
        keys: keys.clone(),
        point: point.clone(),
        paths: paths.clone(),
        cancel: doing.control.cancel.clone(),
    };
    refuse_restore_of_nothing(doing, looked_for).await?;
    let destination = destination(doing, work)?;
    doing.record.say(format!("restoring point {} to '{}'", point.id, destination.name.display()));
    let target = target(doing, work, &destination).await?;
    let request = RestoreRequest {
        domain,
        descriptor,
        keys,
        point,
        target: Arc::new(target),
        options: RestoreOptions {
            paths,
            strip: work.strip as usize,
            resume: doing.task == Task::GoOn,
            ..RestoreOptions::default()
        },
        progress: doing.record.progress.clone(),
        cancel: doing.control.cancel.clone(),
    };
    doing.record.phase("restoring");
    let report = restore::run(request).await?;
    let receipt = receipt(work.point, &destination.name, &report, started);
    Ok(tell(doing, &report, receipt))
}

/// Refuses a restore of paths none of which the point has, before anything is made for it.
async fn refuse_restore_of_nothing(doing: &Doing, request: AbsentRequest) -> Result<(), Trouble> {
    let wanted = request.paths.len();
    if wanted == 0 {
        return Ok(());
    }
    let absent = restore::absent(request).await?;
    if absent.len() < wanted {
        return Ok(());
    }
    absent.iter().for_each(|path| doing.record.warn(path, NOT_IN_THE_POINT, NO_SUCH_PATH));
    Err(Trouble::new(TroubleKind::Failed, "the point has none of the paths that are wanted").with_hint(HINT_AT_LISTS))
}

async fn find(domain: &dyn Domain, work: &RestoreWork) -> Result<PointInfo, Trouble> {
    let points = domain.points(PointFilter { item: Some(work.item.clone()), deleted: true }).await?;
    points.into_iter().find(|info| info.id == work.point).ok_or_else(|| {
        let message = format!("the item '{}' has no point {}", work.item, work.point);
        Trouble::new(TroubleKind::Failed, message)
            .with_hint("it may have been purged; 'holdfast points' lists those that are there")
    })
}

fn destination(doing: &Doing, work: &RestoreWork) -> Result<Destination, Trouble> {
    let agent = &doing.shared.agent;
    match &work.to {
        None => agent.bounds.stage(&agent.places.staging, doing.job),
        Some(to) => agent.bounds.open_destination(Path::new(to), &agent.places.own),
    }
}

async fn target(doing: &Doing, work: &RestoreWork, destination: &Destination) -> Result<RestoreTarget, Trouble> {
    let mut options = TargetOptions::new(destination.path());
    options.resume = doing.task == Task::GoOn;
    options.overwrite = overwrite(doing.task, work);
    options.in_place = work.overwrite == Overwriting::InPlace && work.to.is_some();
    let name = destination.name.clone();
    let opened = tokio::task::spawn_blocking(move || RestoreTarget::new(options)).await;
    let failed = |error: WorkloadError| {
        let trouble = Trouble::new(TroubleKind::Failed, format!("cannot use '{}' to restore to", name.display()));
        match std::error::Error::source(&error) {
            Some(source) => trouble.because(source),
            None => trouble,
        }
    };
    let broken = |_| Trouble::new(TroubleKind::Failed, "a fault of this program ended the look at the destination");
    opened.map_err(broken)?.map_err(failed)
}

/// What may be replaced. In the job's own directory is nothing but what the job left there when the agent died, and what a machine that died
/// with it has left of that is not to be trusted.
fn overwrite(task: Task, work: &RestoreWork) -> Overwrite {
    match work.overwrite {
        _ if work.to.is_none() && task == Task::GoOn => Overwrite::Always,
        Overwriting::Fail => Overwrite::Fail,
        Overwriting::Never => Overwrite::Never,
        Overwriting::Older => Overwrite::Older,
        Overwriting::Always | Overwriting::InPlace => Overwrite::Always,
    }
}

/// A path as a tree has it: components joined by '/', without one at the start.
fn tree_path(path: &str) -> Vec<u8> {
    path.split('/').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/").into_bytes()
}

fn receipt(point: PointId, to: &Path, report: &RestoreReport, started: Instant) -> RestoreReceipt {
    let troubles = [&report.damaged, &report.in_the_way, &report.failed, &report.shortfalls];
    let differences = troubles.iter().map(|troubles| troubles.count).sum::<u64>() + report.not_found.len() as u64;
    RestoreReceipt {
        point,
        to: to.to_string_lossy().into_owned(),
        files: report.files,
        directories: report.directories,
        others: report.others,
        skipped: report.skipped,
        bytes_written: report.bytes_written,
        blobs_verified: report.blobs_verified,
        bytes_verified: report.bytes_verified,
        differences_count: differences,
        milliseconds: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
    }
}

/// Every difference is a warning. Where some of the paths that are wanted are not there, it is a failure with a receipt.
fn tell(doing: &Doing, report: &RestoreReport, receipt: RestoreReceipt) -> Outcome {
    let kinds: [(&str, &Troubles); 4] = [
        ("damaged", &report.damaged),
        ("in_the_way", &report.in_the_way),
        ("not_written", &report.failed),
        ("attributes_missing", &report.shortfalls),
    ];
    for (kind, troubles) in kinds {
        troubles.first.iter().for_each(|trouble| doing.record.warn(&trouble.path, kind, &trouble.what));
        doing.record.warn_more(troubles.count.saturating_sub(troubles.first.len() as u64));
    }
    for path in &report.not_found {
        doing.record.warn(path, NOT_IN_THE_POINT, NO_SUCH_PATH);
    }
    if report.resumed > 0 {
        doing.record.say(format!("{} entries were finished before the agent was interrupted", report.resumed));
    }
    let lost = report.damaged.count + report.failed.count + report.not_found.len() as u64;
    if lost == 0 {
        return Outcome::Files(receipt);
    }
    let message = format!("{lost} paths are not restored: the warnings name them");
    let hint = hint(report);
    Outcome::FilesBut(receipt, Trouble::new(TroubleKind::Failed, message).with_hint(hint))
}

/// What helps against the worst of it.
fn hint(report: &RestoreReport) -> &'static str {
    if report.damaged.count > 0 {
        "what is damaged in the vault: 'holdfast check'"
    } else if report.failed.count > 0 {
        "what cannot be written: look at the agent's rights and the room there"
    } else {
        HINT_AT_LISTS
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use format::ItemName;

    #[test]
    fn a_restore_that_goes_on_writes_anew_what_is_not_certain_in_its_own_directory_and_nobody_elses() {
        let to_staging = RestoreWork {
            item: ItemName::new("files").unwrap(),
            point: PointId([1; 32]),
            paths: Vec::new(),
            strip: 0,
            to: None,
            overwrite: Overwriting::Fail,
        };
        let named = RestoreWork { to: Some("/srv/restored".to_owned()), ..to_staging.clone() };
        assert_eq!(overwrite(Task::GoOn, &to_staging), Overwrite::Always);
        assert_eq!(overwrite(Task::Do, &to_staging), Overwrite::Fail);
        assert_eq!(overwrite(Task::GoOn, &named), Overwrite::Fail);
    }

    #[test]
    fn paths_are_as_trees_have_them() {
        assert_eq!(tree_path("/etc//hosts/"), b"etc/hosts");
        assert_eq!(tree_path("/"), b"");
    }
}
