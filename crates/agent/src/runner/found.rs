//! What came of a backup that the agent died in: its point may have been committed before.
//!
//! A point is the job's if this agent signed it, it is newer than what was remembered when the job began, and it began no earlier than
//! the job. Items are backed up by one job at a time; a point that somebody made by hand in that time would be taken for the job's,
//! and is as good. A commit that the dead agent had sent may still be under way: the service answers when it is over, and takes none
//! for a job that has its point.

use super::Doing;
use crate::trouble::Trouble;
use api::{BackupResult, Completeness, ServiceVault};
use contract::{Domain, ErrorKind, PointFilter, PointInfo};
use engine::{PointDetails, VerifiedPoint, verify_whole_point};
use format::descriptor::Descriptor;
use format::record::SignedRecord;
use std::sync::Arc;

/// The point of a job that was under way, if it was committed.
pub(super) async fn point_of(
    doing: &Doing,
    client: &ServiceVault,
    domain: &Arc<dyn Domain>,
    descriptor: &Descriptor,
) -> Result<Option<BackupResult>, Trouble> {
    let agent = &doing.shared.agent;
    let made = match client.point_of_job(agent.domain, doing.job).await {
        // A service of before this could be asked.
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        made => made?,
    };
    let points = domain.points(PointFilter { item: Some(doing.name.clone()), deleted: true }).await?;
    let key = agent.secrets.signer.key();
    let is_own = |info: &PointInfo| SignedRecord::parse(&info.record).is_ok_and(|record| record.agent == key);
    let newer = points.iter().filter(|info| info.sequence.0 > doing.begun.sequence_before && is_own(info));
    let mut verified = newer.filter_map(|info| verify_whole_point(descriptor, agent.domain, info).ok());
    let began = |point: &VerifiedPoint| point.body.agent_time_ms >= doing.begun.report.started_ms;
    let is_made = |point: &VerifiedPoint| made.map_or_else(|| began(point), |made| point.id == made);
    let Some(point) = verified.find(is_made) else { return Ok(None) };
    let seen = engine::Remembered {
        item: doing.name.clone(),
        point: point.id,
        sequence: point.body.sequence,
        descriptor_version: descriptor.version,
    };
    super::backup::remember(doing, &seen);
    doing.record.say("the point was committed, and nobody here had heard of it");
    let details = details(doing, domain, &point).await;
    // Where this agent cannot open it, the service knows what it was told with it.
    let told = client.item_points(agent.domain, &doing.name).await?;
    let told = told.points.iter().find(|told| told.point == point.id).map(|told| told.completeness);
    let is_incomplete = details.as_ref().is_some_and(PointDetails::is_incomplete) || told == Some(Completeness::Incomplete);
    let mut result = result(doing, &point, details);
    if is_incomplete {
        doing.record.warn(b"", "missing", "a whole part of the item was missing");
        result.completeness = Completeness::Incomplete;
    }
    Ok(Some(result))
}

/// What the point says about itself, where this agent can open it.
async fn details(doing: &Doing, domain: &Arc<dyn Domain>, point: &VerifiedPoint) -> Option<PointDetails> {
    let secret = doing.shared.agent.secrets.secret.as_ref()?;
    // The key decides whether the details open; a key object that is another one does not.
    let object = domain.key_object(point.key()).await.ok()?;
    point.details(&secret.data_key(&object).ok()?).ok()
}

fn result(doing: &Doing, point: &VerifiedPoint, details: Option<PointDetails>) -> BackupResult {
    let completeness = match &details {
        Some(details) if details.warnings == 0 => Completeness::Clean,
        Some(details) => {
            doing.record.warn(b"", "warnings_lost", "what the run warned of was not kept");
            doing.record.warn_more(details.warnings.saturating_sub(1));
            Completeness::Warnings
        }
        None => {
            doing.record.warn(b"", "warnings_lost", "whether the run warned of anything is not known");
            Completeness::Warnings
        }
    };
    let details = details.unwrap_or_default();
    BackupResult {
        point: point.id,
        sequence: point.body.sequence.0,
        completeness,
        files: details.counts.files,
        directories: details.counts.directories,
        others: details.counts.symlinks + details.counts.others,
        bytes: details.bytes,
        entries_read: 0,
        entries_unchanged: 0,
        bytes_read: 0,
        bytes_stored: 0,
        left_out_count: details.left_out,
    }
}
