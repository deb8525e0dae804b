//! What came of a backup that the agent died in, or whose commit had no answer: its point may be there.
//!
//! A point is the job's if it was committed as the job's, which the service knows, this agent signed it, and it is newer than what was
//! remembered when the job began. One that somebody made by hand in that time is not: it may be of other paths. A commit that the dead
//! agent had sent may still be under way: the service answers when it is over, and takes none for a job that has its point.

use super::{Doing, LATE, Record, SETTLE_AGAIN, Task};
use crate::trouble::{Trouble, TroubleKind};
use api::{BackupResult, Completeness, ServiceVault};
use contract::{Domain, ErrorKind, PointFilter, PointInfo};
use engine::{PointDetails, VerifiedPoint, verify_whole_point};
use format::descriptor::Descriptor;
use format::record::SignedRecord;
use std::sync::Arc;
use std::time::Instant;

/// The point of a run that failed with this trouble, if it was committed all the same. A schedule's run waits a while for a service that
/// is away: another one would make the point twice.
pub(super) async fn late(
    doing: &Doing,
    client: &ServiceVault,
    domain: &Arc<dyn Domain>,
    descriptor: &Descriptor,
    trouble: Trouble,
) -> Result<BackupResult, Trouble> {
    doing.record.phase("looking whether the point was committed");
    let is_asked_for = doing.begun.slot_ms().is_none();
    let waits = doing.record.commit_sent() && !is_asked_for && !doing.shared.agent.once;
    let until = Instant::now() + LATE;
    loop {
        match point_of(doing, client, domain, descriptor).await {
            Ok(found) => {
                doing.record.set_commit_sent(false);
                return found.ok_or(trouble);
            }
            // It is tried again, and looked for first.
            Err(look) if look.kind == TroubleKind::Away && is_asked_for => return Err(look),
            Err(look) if look.kind == TroubleKind::Away && waits && Instant::now() < until => {}
            Err(look) => {
                doing.record.say(format!("whether the point was committed could not be found out: {}", look.message()));
                return Err(trouble);
            }
        }
        if doing.pause(SETTLE_AGAIN).await.is_err() {
            return Err(trouble);
        }
    }
}

/// The point of a job that was under way, if it was committed.
pub(super) async fn point_of(
    doing: &Doing,
    client: &ServiceVault,
    domain: &Arc<dyn Domain>,
    descriptor: &Descriptor,
) -> Result<Option<BackupResult>, Trouble> {
    let agent = &doing.shared.agent;
    let made = match client.point_of_job(agent.domain, doing.job).await {
        Ok(Some(made)) => made,
        Ok(None) => return Ok(None),
        // Nobody there knows the job.
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let points = domain.points(PointFilter { item: Some(doing.name.clone()), deleted: true }).await?;
    let key = agent.secrets.signer.key();
    let is_own = |info: &PointInfo| SignedRecord::parse(&info.record).is_ok_and(|record| record.agent == key);
    let is_newer = |info: &PointInfo| info.sequence.0 > doing.begun.sequence_before;
    let found = points.iter().find(|info| info.id == made && is_newer(info) && is_own(info));
    let Some(point) = found.and_then(|info| verify_whole_point(descriptor, agent.domain, info).ok()) else { return Ok(None) };
    let seen = engine::Remembered {
        item: doing.name.clone(),
        point: point.id,
        sequence: point.body.sequence,
        descriptor_version: descriptor.version,
    };
    super::backup::remember(doing, &seen);
    doing.record.say("the point was committed, and nobody here had heard of it");
    let details = details(doing, domain, &point).await;
    // What was told with it. The item may be gone.
    let told = match client.item_points(agent.domain, &doing.name).await {
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        told => told?.points.iter().find(|told| told.point == point.id).map(|told| told.completeness),
    };
    let told = told.filter(|told| *told != Completeness::Unknown);
    let completeness = if doing.record.is_of(point.body.agent_time_ms) {
        // All that the run warned of stands on the record.
        told.unwrap_or_else(|| doing.record.completeness())
    } else {
        if matches!(doing.task, Task::Settle | Task::GiveUp)
            && let Ok(log) = client.job_log(agent.domain, doing.job).await
        {
            doing.record.take_over(log);
        }
        completeness_of(&doing.record, details.as_ref(), told)
    };
    Ok(Some(result(&point, completeness, details)))
}

/// How much of the item is in a point of a run that the agent died in. What it warned of is on the record as far as it was told by then;
/// what was not is said to be missing there.
fn completeness_of(record: &Record, details: Option<&PointDetails>, told: Option<Completeness>) -> Completeness {
    let lost = details.map_or(0, |details| details.warnings).saturating_sub(record.warnings_count());
    if lost > 0 {
        record.warn(b"", "warnings_lost", "what the run warned of was not kept");
        record.warn_more(lost - 1);
    }
    match (told, details) {
        (told, details) if told == Some(Completeness::Incomplete) || details.is_some_and(PointDetails::is_incomplete) => {
            record.warn(b"", "missing", "a whole part of the item was missing");
            Completeness::Incomplete
        }
        (Some(Completeness::Warnings), _) if record.warnings_count() == 0 => {
            record.warn(b"", "warnings_lost", "what the run warned of was not kept");
            Completeness::Warnings
        }
        (Some(Completeness::Warnings), _) => Completeness::Warnings,
        (_, Some(details)) if details.warnings > 0 => Completeness::Warnings,
        (Some(Completeness::Clean), _) | (_, Some(_)) => Completeness::Clean,
        _ => {
            record.warn(b"", "warnings_lost", "whether the run warned of anything is not known");
            Completeness::Unknown
        }
    }
}

/// What the point says about itself, where this agent can open it.
async fn details(doing: &Doing, domain: &Arc<dyn Domain>, point: &VerifiedPoint) -> Option<PointDetails> {
    let secret = doing.shared.agent.secrets.secret.as_ref()?;
    // The key decides whether the details open; a key object that is another one does not.
    let object = domain.key_object(point.key()).await.ok()?;
    point.details(&secret.data_key(&object).ok()?).ok()
}

fn result(point: &VerifiedPoint, completeness: Completeness, details: Option<PointDetails>) -> BackupResult {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;
    use api::{JobLog, JobOrigin, JobReport, JobState, JobWarning, LogLine, Work};
    use format::{AgentKey, ItemName};

    fn record() -> Record {
        let work = Work::Backup { item: ItemName::new("files").unwrap(), reread: false };
        let begun = JobReport::begun(AgentKey([1; 32]), 0, work, JobOrigin::Schedule { slot_ms: 1, missed: 0 }, 1, 7);
        Record::new(begun, Arc::new(SystemClock), true)
    }

    fn details(warnings: u64, paths_unread: u64) -> PointDetails {
        PointDetails { warnings, paths_unread, ..PointDetails::default() }
    }

    #[test]
    fn of_a_point_of_a_run_that_died_nothing_is_claimed_that_nobody_knows() {
        use Completeness::{Clean, Incomplete, Unknown, Warnings};
        let cases = [
            (None, None, Unknown, 1),
            (None, Some(Clean), Clean, 0),
            (None, Some(Warnings), Warnings, 1),
            (None, Some(Incomplete), Incomplete, 1),
            (Some(details(0, 0)), None, Clean, 0),
            // The point does not know what its hooks, or this machine's bounds, warned of.
            (Some(details(0, 0)), Some(Warnings), Warnings, 1),
            (Some(details(3, 0)), Some(Clean), Warnings, 3),
            (Some(details(0, 1)), Some(Clean), Incomplete, 1),
            (Some(details(2, 1)), None, Incomplete, 3),
        ];
        for (details, told, expected, warnings) in cases {
            let record = record();
            assert_eq!(completeness_of(&record, details.as_ref(), told), expected, "{details:?} {told:?}");
            assert_eq!(record.warnings_count(), warnings, "{details:?} {told:?}");
        }
    }

    #[test]
    fn what_the_service_had_heard_of_a_run_that_died_is_not_lost() {
        let record = record();
        let warning = JobWarning { path: "/a".to_owned(), path_b64: None, kind: "changed".to_owned(), detail: String::new() };
        let lines = vec![LogLine { time_ms: 1, text: "said before".to_owned() }];
        record.take_over(JobLog { lines, warnings: vec![warning.clone()], warnings_count: 2 });
        assert_eq!(completeness_of(&record, Some(&details(5, 0)), None), Completeness::Warnings);
        let report = record.ended(JobState::Warnings, None, None);
        assert_eq!((report.warnings_count, report.log.len()), (5, 1));
        assert_eq!(report.warnings[0], warning);
        assert_eq!(report.warnings[1].kind, "warnings_lost");
        // And nothing is said to be lost of what is all there.
        let record = self::record();
        record.take_over(JobLog { lines: Vec::new(), warnings: vec![warning], warnings_count: 5 });
        completeness_of(&record, Some(&details(5, 0)), Some(Completeness::Warnings));
        assert_eq!((record.warnings_count(), record.ended(JobState::Warnings, None, None).warnings.len()), (5, 1));
    }

    #[test]
    fn what_a_run_warned_of_is_its_own_where_the_point_began_with_it_or_after() {
        let record = record();
        assert!(!record.is_of(i64::MAX), "nothing was read here");
        record.begin_reading();
        assert!(record.is_of(i64::MAX) && !record.is_of(7));
        record.set_commit_sent(true);
        assert!(record.commit_sent());
        record.begin_reading();
        assert!(!record.commit_sent());
    }
}
