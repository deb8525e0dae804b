//! Points: lists of them, and what the service keeps book of beside the vault.
//!
//! Invariant: what is known of a point never shortens its life unless it is sure. A point counts as scheduled and whole until a job
//! tells otherwise that the service knew of before the point was there; of two that tell, the one counts that keeps it longer.

use super::App;
use crate::db::{Change, Description, JobRow, PointRow};
use crate::error::ServiceError;
use api::limits::POINTS_PAGE_MAX;
use api::{BackupResult, Completeness, JobOrigin, Point, PointList, PointOrigin, PointTold, PointsQuery};
use bytes::Bytes;
use contract::{Committed, Domain, Error, ErrorKind, PointFilter, PointInfo, PointState, Result};
use format::record::SignedRecord;
use format::{AgentKey, DomainId, PointId, SessionId};
use std::collections::{HashMap, HashSet};

/// Most bytes of records in a page; it has one point at least.
const PAGE_BYTES: usize = 32 << 20;

/// The page behind `after`. `Conflict` if that point is no longer in the list.
pub(crate) async fn page(domain: &dyn Domain, query: PointsQuery) -> Result<PointList> {
    let limit = query.limit.unwrap_or(POINTS_PAGE_MAX);
    if !(1..=POINTS_PAGE_MAX).contains(&limit) {
        return Err(Error::new(ErrorKind::Invalid, format!("limit is 1 to {POINTS_PAGE_MAX}")));
    }
    let all = domain.points(PointFilter { item: query.item, deleted: query.deleted }).await?;
    let start = match query.after {
        None => 0,
        Some(after) => {
            let place = all.iter().position(|point| point.id == after);
            1 + place.ok_or_else(|| Error::new(ErrorKind::Conflict, "the point that the list should go on from is not in it"))?
        }
    };
    let left = all.len().saturating_sub(start);
    let mut bytes = 0;
    let fits = |point: &PointInfo| {
        let first = bytes == 0;
        bytes += point.record.len() + 1;
        first || bytes <= PAGE_BYTES
    };
    let points: Vec<Point> = all.into_iter().skip(start).take(limit).take_while(fits).map(Point::from).collect();
    Ok(PointList { more: points.len() < left, points })
}

impl App {
    /// Commits a point, and keeps book of it.
    pub(crate) async fn commit_point(
        &self,
        domain: DomainId,
        session: SessionId,
        bytes: Bytes,
        _told: PointTold,
    ) -> Result<Committed> {
        self.know_points(domain).await?;
        let vault = self.vault.get().await?;
        let opened_ms = vault.session_opened_ms(domain, session).await?;
        let committed = self.vault.domain(domain).await?.commit(session, bytes.clone()).await?;
        if let Err(error) = self.note_point(domain, &committed, &bytes, opened_ms).await {
            // It is there; of what nobody has book of the first look after it will.
            tracing::warn!(%error, point = %committed.point, "a point is committed, and the service's own book does not have it yet");
        }
        self.listeners.tell(domain);
        Ok(committed)
    }

    async fn note_point(&self, domain: DomainId, committed: &Committed, bytes: &Bytes, opened_ms: Option<i64>) -> Result<()> {
        let record = SignedRecord::parse_unverified(bytes)?;
        let place_ms = opened_ms.map_or(committed.time_ms, |opened_ms| opened_ms.min(committed.time_ms));
        let row = PointRow {
            number: 0,
            domain,
            id: committed.point,
            item: record.body.item,
            sequence: record.body.sequence,
            agent: Some(record.agent),
            place_ms,
            received_ms: committed.time_ms,
            description: Description::UNKNOWN,
            described: false,
            deleted_ms: None,
            held: false,
        };
        let mut change = self.database.change().await?;
        change.insert_point(&row).await?;
        Ok(change.commit().await?)
    }

    /// Sees to it that the points which a domain had before the service kept book of them are in it. They were made by jobs that
    /// nobody knows: no job tells any more what they are.
    pub(crate) async fn know_points(&self, domain: DomainId) -> Result<()> {
        let repository = self.vault.domain(domain).await?;
        if !self.database.points_known(domain).await? {
            self.reconcile(repository.as_ref()).await?;
        }
        Ok(())
    }

    /// Makes the book say what the vault says, and answers both. What is soft-deleted and was not seen so before is since now.
    pub(crate) async fn reconcile(&self, repository: &dyn Domain) -> Result<(Vec<PointInfo>, HashMap<PointId, PointRow>)> {
        let domain = repository.id();
        let now_ms = self.clock.stored().await?.as_millisecond();
        // What is committed from here on may be in the book before it is seen in the list.
        let newest = self.database.newest_point().await?;
        let points = repository.points(PointFilter { item: None, deleted: true }).await?;
        let mut change = self.database.change().await?;
        let mut known: HashMap<PointId, PointRow> = change.points(domain).await?.into_iter().map(|row| (row.id, row)).collect();
        for info in &points {
            let deleted = info.state == PointState::SoftDeleted;
            match known.get_mut(&info.id) {
                None => {
                    let row = unknown_point(domain, info, deleted.then_some(now_ms));
                    change.insert_point(&row).await?;
                    known.insert(info.id, row);
                }
                Some(row) if deleted != row.deleted_ms.is_some() => {
                    row.deleted_ms = deleted.then_some(now_ms);
                    change.set_point_deleted(row.number, row.deleted_ms).await?;
                }
                Some(_) => {}
            }
        }
        let there: HashSet<PointId> = points.iter().map(|info| info.id).collect();
        for (id, _) in known.iter().filter(|(id, row)| !there.contains(id) && row.number <= newest) {
            change.remove_point(domain, *id).await?;
        }
        known.retain(|id, _| there.contains(id));
        change.set_points_known(domain).await?;
        change.commit().await?;
        Ok((points, known))
    }
}

/// A job that is done tells what its point is. Only one that was known before the point was there, by the agent that signed it.
pub(crate) async fn describe(
    change: &mut Change,
    row: &JobRow,
    agent: AgentKey,
    result: &BackupResult,
) -> Result<(), ServiceError> {
    let Some(point) = change.point(row.job.domain, result.point).await? else { return Ok(()) };
    let is_its = point.number > row.points_before && point.agent == Some(agent) && row.job.work.item() == Some(&point.item);
    if !is_its {
        return Ok(());
    }
    let origin = if row.job.origin == JobOrigin::Person { PointOrigin::OnDemand } else { PointOrigin::Scheduled };
    let told = Description { origin, completeness: result.completeness };
    change.describe_point(point.number, if point.described { longer(told, point.description) } else { told }).await
}

/// Of both the one that keeps a point longer.
fn longer(one: Description, other: Description) -> Description {
    let scheduled = [one.origin, other.origin].contains(&PointOrigin::Scheduled);
    let rank = |completeness| match completeness {
        Completeness::Clean => 0,
        Completeness::Warnings => 1,
        Completeness::Incomplete => 2,
    };
    Description {
        origin: if scheduled { PointOrigin::Scheduled } else { PointOrigin::OnDemand },
        completeness: if rank(one.completeness) <= rank(other.completeness) { one.completeness } else { other.completeness },
    }
}

fn unknown_point(domain: DomainId, info: &PointInfo, deleted_ms: Option<i64>) -> PointRow {
    PointRow {
        number: 0,
        domain,
        id: info.id,
        item: info.item.clone(),
        sequence: info.sequence,
        agent: None,
        place_ms: info.time_ms.min(info.received_ms),
        received_ms: info.received_ms,
        description: Description::UNKNOWN,
        described: false,
        deleted_ms,
        held: false,
    }
}
