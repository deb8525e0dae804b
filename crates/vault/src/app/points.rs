//! Points: lists of them, and what the service keeps book of beside the vault.
//!
//! Invariant: what a point is comes with its commit, and the first word counts for ever: nobody tells of a point that is there. What
//! is told is stored before the vault has the point, as a promise, so that nothing that comes in between loses it. A promise is no
//! point: nobody but this module sees one.

use super::App;
use super::jobs::point_came;
use crate::db::{Change, JobRow, PointRow};
use crate::error::ServiceError;
use api::limits::POINTS_PAGE_MAX;
use api::{JobState, Point, PointList, PointTold, PointsQuery, Work};
use bytes::Bytes;
use contract::{Committed, Domain, Error, ErrorKind, PointFilter, PointInfo, PointState, Result};
use format::record::{RecordKind, SignedRecord};
use format::{DomainId, JobId, PointId, SessionId};
use std::collections::{HashMap, HashSet};

/// Most bytes of records in a page; it has one point at least.
pub(crate) const PAGE_BYTES: usize = 32 << 20;

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
    /// Commits a point, and keeps book of it and of what is told of it.
    pub(crate) async fn commit_point(
        &self,
        domain: DomainId,
        session: SessionId,
        bytes: Bytes,
        told: PointTold,
    ) -> Result<Committed> {
        self.know_points(domain).await?;
        let repository = self.vault.domain(domain).await?;
        let _turn = match told.job {
            Some(job) => Some(self.turn_of_job(domain, job).await?),
            None => None,
        };
        let promise = self.promise_of(domain, session, &bytes, told).await?;
        let is_new = self.promise(promise.as_ref()).await?;
        let committed = match repository.commit(session, bytes).await {
            Ok(committed) => committed,
            Err(error) => {
                if let Some(promise) = promise.filter(|_| is_new && is_final(error.kind())) {
                    self.take_back(&promise).await;
                }
                return Err(error);
            }
        };
        if let Some(promise) = promise
            && let Err(error) = self.note_point(promise, committed).await
        {
            // It is there, and what was promised of it too: the next look at the domain's points puts them together.
            tracing::warn!(%error, point = %committed.point, "a point is committed, and the service's own book does not have it yet");
        }
        self.listeners.tell(domain);
        Ok(committed)
    }

    /// What will be known of the point if it comes. None of what is no point, or can only be one that is known.
    async fn promise_of(&self, domain: DomainId, session: SessionId, bytes: &Bytes, told: PointTold) -> Result<Option<PointRow>> {
        let Ok(record) = SignedRecord::parse_unverified(bytes) else { return Ok(None) };
        let opened_ms = self.vault.get().await?.session_opened_ms(domain, session).await?;
        let Some(place_ms) = opened_ms.filter(|_| record.body.kind == RecordKind::Point) else { return Ok(None) };
        Ok(Some(PointRow {
            number: 0,
            domain,
            id: record.id(),
            item: record.body.item,
            sequence: record.body.sequence,
            agent: Some(record.agent),
            place_ms,
            received_ms: place_ms,
            told,
            deleted_ms: None,
            held: false,
            promised: Some(session),
        }))
    }

    /// Stores a promise, before the vault has the point: whatever comes in between, what was told of it is not lost. Whether nothing
    /// was known of the point before.
    async fn promise(&self, promise: Option<&PointRow>) -> Result<bool> {
        let Some(promise) = promise else { return Ok(false) };
        let Some(session) = promise.promised else { return Ok(false) };
        let mut change = self.database.change().await?;
        refuse_further_point(&mut change, promise).await?;
        change.remove_promises(promise.domain, session, Some(promise.id)).await?;
        let is_new = change.insert_point(promise).await?;
        change.commit().await?;
        Ok(is_new)
    }

    /// The point that a job has made. While one is being committed the answer waits: whoever has it knows what there will be.
    pub(crate) async fn point_of_job(&self, domain: DomainId, job: JobId) -> Result<Option<PointId>> {
        let _turn = self.turn_of_job(domain, job).await?;
        let mut change = self.database.change().await?;
        Ok(change.point_of_job(domain, job).await?.map(|row| row.id))
    }

    /// Forgets a promise of which nothing comes. Where that fails it goes when its session is forgotten.
    async fn take_back(&self, promise: &PointRow) {
        let taken_back = async {
            let mut change = self.database.change().await?;
            if let Some(session) = promise.promised {
                change.remove_promises(promise.domain, session, None).await?;
            }
            change.commit().await
        };
        if let Err(error) = taken_back.await {
            tracing::warn!(%error, point = %promise.id, "a point was not committed, and is promised still");
        }
    }

    /// A promised point is there.
    async fn note_point(&self, promise: PointRow, committed: Committed) -> Result<()> {
        let mut change = self.database.change().await?;
        let known = change.point(promise.domain, committed.point).await?;
        if known.as_ref().is_some_and(|row| row.promised.is_none()) {
            return Ok(());
        }
        let row = known.unwrap_or(promise);
        let made = keep_promise(&mut change, row, committed.time_ms, committed.time_ms).await?;
        point_came(&mut change, &made, self.time.wall_ms()).await?;
        Ok(change.commit().await?)
    }

    /// Sees to it that the points which a domain had before the service kept book of them are in it. Nothing was told of them.
    pub(crate) async fn know_points(&self, domain: DomainId) -> Result<()> {
        let repository = self.vault.domain(domain).await?;
        if !self.database.points_known(domain).await? {
            self.reconcile(repository.as_ref()).await?;
        }
        Ok(())
    }

    /// Looks for what came of points that were promised when an earlier process ended.
    pub(crate) async fn settle_promises(&self) -> Result<(), ServiceError> {
        for domain in self.database.promised_domains().await? {
            let settled = async { self.reconcile(self.vault.domain(domain).await?.as_ref()).await };
            if let Err(error) = settled.await {
                // Seen to by the domain's next round of retention.
                tracing::warn!(%error, %domain, "what came of points that were promised could not be looked for");
            }
        }
        Ok(())
    }

    /// Makes the book say what the vault says, and answers both. What is soft-deleted and was not seen so before is since now.
    pub(crate) async fn reconcile(&self, repository: &dyn Domain) -> Result<(Vec<PointInfo>, HashMap<PointId, PointRow>)> {
        let domain = repository.id();
        let now_ms = self.clock.stored().await?.as_millisecond();
        // What is committed from here on may be in the book before it is seen in the list.
        let newest = self.database.newest_point().await?;
        let broken = self.broken_promises(domain).await?;
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
                Some(row) if row.promised.is_some() => {
                    row.deleted_ms = deleted.then(|| row.deleted_ms.unwrap_or(now_ms));
                    *row = keep_promise(&mut change, row.clone(), info.time_ms, info.received_ms).await?;
                    point_came(&mut change, row, self.time.wall_ms()).await?;
                }
                Some(row) if deleted != row.deleted_ms.is_some() => {
                    row.deleted_ms = deleted.then_some(now_ms);
                    change.set_point_deleted(row.number, row.deleted_ms).await?;
                }
                Some(_) => {}
            }
        }
        let there: HashSet<PointId> = points.iter().map(|info| info.id).collect();
        let is_gone = |row: &PointRow| match row.promised {
            Some(_) => broken.contains(&row.id),
            None => row.number <= newest,
        };
        for (id, _) in known.iter().filter(|(id, row)| !there.contains(id) && is_gone(row)) {
            change.remove_point(domain, *id).await?;
        }
        known.retain(|id, _| there.contains(id));
        change.set_points_known(domain).await?;
        change.commit().await?;
        Ok((points, known))
    }

    /// Points that were promised by sessions of which the vault knows no more: those that it does not list by now never come.
    async fn broken_promises(&self, domain: DomainId) -> Result<HashSet<PointId>> {
        let vault = self.vault.get().await?;
        let mut broken = HashSet::new();
        for row in self.database.promised_points(domain).await? {
            let Some(session) = row.promised else { continue };
            if vault.session_opened_ms(domain, session).await?.is_none() {
                broken.insert(row.id);
            }
        }
        Ok(broken)
    }
}

/// Of a job there is one point, and none once it is over: what comes later was sent by an agent that died, or whose job was taken up
/// again meanwhile. One that its lease alone interrupted may still be at work.
async fn refuse_further_point(change: &mut Change, promise: &PointRow) -> Result<()> {
    let Some(job) = promise.told.job else { return Ok(()) };
    let row = change.job(promise.domain, job).await?;
    if let Some(row) = &row {
        let is_its_work = matches!(&row.job.work, Work::Backup { item, .. } if *item == promise.item);
        if !is_its_work || row.agent.is_some_and(|agent| Some(agent) != promise.agent) {
            return Err(Error::new(ErrorKind::Denied, "the point is not what the job makes, or not its agent's"));
        }
    }
    let may_go_on = |row: &JobRow| !row.job.state.is_over() || (row.lapsed && row.job.state == JobState::Interrupted);
    let refused = match change.point_of_job(promise.domain, job).await? {
        Some(made) if made.id == promise.id => return Ok(()),
        Some(_) => "the job has made its point",
        None if row.as_ref().is_some_and(|row| !may_go_on(row)) => "the job is over, and makes no point any more",
        None => return Ok(()),
    };
    Err(Error::new(ErrorKind::Conflict, refused))
}

/// Makes a promised point one that is there, with a number of its own: it is newer than what was looked for before.
async fn keep_promise(change: &mut Change, promise: PointRow, time_ms: i64, received_ms: i64) -> Result<PointRow> {
    let place_ms = promise.place_ms.min(time_ms);
    let row = PointRow { place_ms, received_ms, promised: None, ..promise };
    change.remove_point(row.domain, row.id).await?;
    change.insert_point(&row).await?;
    Ok(row)
}

/// Whether a commit that failed like this has not made a point, for certain.
fn is_final(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Invalid | ErrorKind::Denied | ErrorKind::NotFound)
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
        told: PointTold::default(),
        deleted_ms,
        held: false,
        promised: None,
    }
}
