//! Collections and scrubs of storage, as duties.

use super::Tell;
use crate::app::App;
use crate::app::jobs::Outcome;
use api::limits::JOB_LOG_LINES_MAX;
use api::{CollectResult, JobResult, ScrubResult};
use contract::{CheckOptions, CheckReport, CollectOptions, DamagedCopy, ProgressSink, Result};
use format::DomainId;
use std::sync::Arc;

/// Frees what no point needs.
pub(super) async fn collect(app: &App, domain: DomainId, tell: Tell) -> Result<Outcome> {
    let repository = app.vault.domain(domain).await?;
    app.reserve.yield_if_low().await;
    let report = repository.collect(CollectOptions::default(), sink(tell)).await?;
    Ok(Outcome::Done(JobResult::Collection(CollectResult::from(report))))
}

/// Reads storage and verifies it. What is damaged and could not be mended is in the job's log.
pub(super) async fn scrub(app: &App, domain: DomainId, read_data: bool, tell: Tell) -> Result<Outcome> {
    let repository = app.vault.domain(domain).await?;
    let report = repository.check(CheckOptions { read_data, ..CheckOptions::default() }, sink(tell)).await?;
    let result = JobResult::Scrub(ScrubResult::from(&report));
    let lines = damage(&report);
    if lines.is_empty() {
        return Ok(Outcome::Done(result));
    }
    tracing::error!(%domain, findings = lines.len(), sound = report.is_sound(), "a scrub found damage");
    Ok(Outcome::Warnings(result, lines))
}

fn sink(tell: Tell) -> ProgressSink {
    Arc::new(move |progress| tell(progress.into()))
}

/// What was found, the worst first.
fn damage(report: &CheckReport) -> Vec<String> {
    let missing = report.missing.iter().map(|blob| format!("a point needs blob {blob}, and there is no sound copy"));
    let set_aside = report.set_aside.iter().map(|record| match &record.point {
        Some(point) => format!("point {point} is set aside: {}", record.why),
        None => format!("journal entry {} is set aside: {}", record.number, record.why),
    });
    let packs = report.damaged_packs.iter().map(|pack| format!("pack {}: {}", pack.pack, pack.what));
    let objects = report.damaged_objects.iter().map(|(object, what)| format!("{object}: {what}"));
    let copy = |copy: &DamagedCopy| {
        let rest = if copy.other_copy { "is damaged" } else { "is damaged, and there is no other" };
        format!("pack {}: a copy of blob {} {rest}", copy.pack, copy.blob)
    };
    let (others, only): (Vec<&DamagedCopy>, Vec<_>) = report.damaged_copies.iter().partition(|copy| copy.other_copy);
    let mended = report.mended.iter().map(|object| format!("{object} was damaged, and is mended"));
    missing
        .chain(only.into_iter().map(copy))
        .chain(set_aside)
        .chain(packs)
        .chain(objects)
        .chain(others.into_iter().map(copy))
        .chain(mended)
        .take(JOB_LOG_LINES_MAX)
        .collect()
}
