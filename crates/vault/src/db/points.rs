//! What the service knows of points beyond what their vault does, in the database.

use super::{Change, Database, exact, failed, parsed, signed, unsigned};
use crate::error::ServiceError;
use api::{Completeness, PointOrigin, PointTold};
use format::{AgentKey, DomainId, ItemName, JobId, PointId, Sequence, SessionId};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteExecutor};
use std::str::FromStr;

/// A point, as the service knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PointRow {
    /// Its place in the order in which the service learnt of points; 0 before it is stored.
    pub(crate) number: i64,
    pub(crate) domain: DomainId,
    pub(crate) id: PointId,
    pub(crate) item: ItemName,
    pub(crate) sequence: Sequence,
    /// The agent that signed it, where the service saw it come.
    pub(crate) agent: Option<AgentKey>,
    /// When its session was opened.
    pub(crate) place_ms: i64,
    pub(crate) received_ms: i64,
    /// What was told of it when it was committed, or what deletes nothing early.
    pub(crate) told: PointTold,
    /// When it was soft-deleted, by the clock on which points expire.
    pub(crate) deleted_ms: Option<i64>,
    /// A person brought it back: it expires only by a person's hand.
    pub(crate) held: bool,
    /// The session that is about to commit it: until the vault has it, it is no point.
    pub(crate) promised: Option<SessionId>,
}

struct OriginColumn(PointOrigin);

impl FromStr for OriginColumn {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        PointOrigin::ALL.iter().find(|(_, word)| *word == text).map(|(origin, _)| Self(*origin)).ok_or(())
    }
}

struct CompletenessColumn(Completeness);

impl FromStr for CompletenessColumn {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Completeness::ALL.iter().find(|(_, word)| *word == text).map(|(completeness, _)| Self(*completeness)).ok_or(())
    }
}

impl Database {
    /// The points of a domain that the service knows, or of one item of it, by item and sequence.
    pub(crate) async fn points(&self, domain: DomainId, item: Option<&ItemName>) -> Result<Vec<PointRow>, ServiceError> {
        const ALL: &str = "SELECT * FROM points WHERE domain = ?1 AND (?2 IS NULL OR item = ?2) AND promised IS NULL \
                           ORDER BY item, sequence";
        let rows = sqlx::query(ALL).bind(domain.0.to_vec()).bind(item.map(ItemName::as_str)).fetch_all(&self.pool).await;
        rows.map_err(failed("list points"))?.iter().map(point).collect()
    }

    /// When the newest whole point of each item was received, of one domain or of all; by a clock that was ahead none was.
    pub(crate) async fn newest_points(
        &self,
        domain: Option<DomainId>,
        latest_ms: i64,
    ) -> Result<Vec<(DomainId, ItemName, i64)>, ServiceError> {
        const NEWEST: &str = "SELECT items.domain, items.name, (SELECT received_ms FROM points WHERE points.domain = items.domain \
                              AND points.item = items.name AND promised IS NULL AND deleted_ms IS NULL AND completeness <> 'incomplete' AND received_ms <= ?2 \
                              ORDER BY sequence DESC LIMIT 1) AS newest_ms FROM items WHERE ?1 IS NULL OR items.domain = ?1";
        let rows = sqlx::query(NEWEST).bind(domain.map(|domain| domain.0.to_vec())).bind(latest_ms).fetch_all(&self.pool).await;
        let read = |row: &SqliteRow| -> Result<Option<_>, sqlx::Error> {
            let (domain, item) = (DomainId(exact(row.try_get("domain")?)?), parsed(row.try_get("name")?)?);
            Ok(row.try_get::<Option<i64>, _>("newest_ms")?.map(|newest_ms| (domain, item, newest_ms)))
        };
        let rows = rows.map_err(failed("list points"))?;
        rows.iter().filter_map(|row| read(row).transpose()).collect::<Result<_, _>>().map_err(failed("read a point"))
    }

    /// The point that the service learnt of last, by number.
    pub(crate) async fn newest_point(&self) -> Result<i64, ServiceError> {
        let newest: Result<i64, _> =
            sqlx::query_scalar("SELECT coalesce(max(number), 0) FROM points").fetch_one(&self.pool).await;
        newest.map_err(failed("look points up"))
    }

    /// Domains in which a point was promised of which the service does not know whether it came.
    pub(crate) async fn promised_domains(&self) -> Result<Vec<DomainId>, ServiceError> {
        let rows: Result<Vec<Vec<u8>>, _> =
            sqlx::query_scalar("SELECT DISTINCT domain FROM points WHERE promised IS NOT NULL").fetch_all(&self.pool).await;
        let rows = rows.map_err(failed("list promised points"))?;
        rows.into_iter().map(|bytes| exact(bytes).map(DomainId).map_err(failed("read a domain"))).collect()
    }

    /// Points of a domain that are promised.
    pub(crate) async fn promised_points(&self, domain: DomainId) -> Result<Vec<PointRow>, ServiceError> {
        let rows = sqlx::query("SELECT * FROM points WHERE promised IS NOT NULL AND domain = ?").bind(domain.0.to_vec());
        let rows = rows.fetch_all(&self.pool).await;
        rows.map_err(failed("list promised points"))?.iter().map(point).collect()
    }

    /// The points that a job was promised to make and of which the service does not know whether they came.
    pub(crate) async fn promises_of_job(&self, domain: DomainId, job: JobId) -> Result<Vec<PointRow>, ServiceError> {
        const PROMISED: &str = "SELECT * FROM points WHERE domain = ? AND job = ? AND promised IS NOT NULL";
        let rows = sqlx::query(PROMISED).bind(domain.0.to_vec()).bind(job.0.to_vec()).fetch_all(&self.pool).await;
        rows.map_err(failed("list promised points"))?.iter().map(point).collect()
    }

    /// Whether the points that a domain had before the service kept book of them are known.
    pub(crate) async fn points_known(&self, domain: DomainId) -> Result<bool, ServiceError> {
        let known = sqlx::query_scalar("SELECT points_known FROM domains WHERE domain = ?").bind(domain.0.to_vec());
        let known: Option<bool> = known.fetch_optional(&self.pool).await.map_err(failed("look a domain up"))?;
        Ok(known.unwrap_or(false))
    }

    /// Those of these points that are soft-deleted are about to be brought back by a person.
    pub(crate) async fn hold_points(&self, domain: DomainId, ids: &[PointId]) -> Result<(), ServiceError> {
        const HOLD: &str = "UPDATE points SET held = 1 WHERE domain = ? AND id = ? AND deleted_ms IS NOT NULL";
        let mut change = self.change().await?;
        for id in ids {
            let held = sqlx::query(HOLD).bind(domain.0.to_vec()).bind(id.0.to_vec()).execute(&mut *change.0).await;
            held.map_err(failed("store a point"))?;
        }
        change.commit().await
    }

    /// Points of a domain are soft-deleted since this time, those that were already since theirs; or were brought back.
    pub(crate) async fn set_points_deleted(
        &self,
        domain: DomainId,
        ids: &[PointId],
        at: Option<i64>,
    ) -> Result<(), ServiceError> {
        const DELETED: &str = "UPDATE points SET deleted_ms = coalesce(deleted_ms, ?), held = 0 WHERE domain = ? AND id = ?";
        const LISTED: &str = "UPDATE points SET deleted_ms = ? WHERE domain = ? AND id = ?";
        let mut change = self.change().await?;
        for id in ids {
            let set = sqlx::query(if at.is_some() { DELETED } else { LISTED });
            let set = set.bind(at).bind(domain.0.to_vec()).bind(id.0.to_vec()).execute(&mut *change.0).await;
            set.map_err(failed("store a point"))?;
        }
        change.commit().await
    }

    pub(crate) async fn remove_points(&self, domain: DomainId, ids: &[PointId]) -> Result<(), ServiceError> {
        let mut change = self.change().await?;
        for id in ids {
            change.remove_point(domain, *id).await?;
        }
        change.commit().await
    }
}

impl Change {
    pub(crate) async fn point(&mut self, domain: DomainId, id: PointId) -> Result<Option<PointRow>, ServiceError> {
        let found = sqlx::query("SELECT * FROM points WHERE domain = ? AND id = ?").bind(domain.0.to_vec()).bind(id.0.to_vec());
        let found = found.fetch_optional(&mut *self.0).await.map_err(failed("look a point up"))?;
        found.as_ref().map(point).transpose()
    }

    /// The point that a job made; what is promised only is none.
    pub(crate) async fn point_of_job(&mut self, domain: DomainId, job: JobId) -> Result<Option<PointRow>, ServiceError> {
        const MADE: &str = "SELECT * FROM points WHERE domain = ? AND job = ? AND promised IS NULL ORDER BY number LIMIT 1";
        let found = sqlx::query(MADE).bind(domain.0.to_vec()).bind(job.0.to_vec()).fetch_optional(&mut *self.0);
        found.await.map_err(failed("look a point up"))?.as_ref().map(point).transpose()
    }

    /// Stores a point, or a promise of one. False, and nothing, if it is known already.
    pub(crate) async fn insert_point(&mut self, row: &PointRow) -> Result<bool, ServiceError> {
        const INSERT: &str = "INSERT OR IGNORE INTO points (domain, id, item, sequence, agent, place_ms, received_ms, job, origin, \
                              completeness, deleted_ms, held, promised) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
        let inserted = sqlx::query(INSERT)
            .bind(row.domain.0.to_vec())
            .bind(row.id.0.to_vec())
            .bind(row.item.as_str())
            .bind(signed(row.sequence.0))
            .bind(row.agent.map(|agent| agent.0.to_vec()))
            .bind(row.place_ms)
            .bind(row.received_ms)
            .bind(row.told.job.map(|job| job.0.to_vec()))
            .bind(row.told.origin.as_str())
            .bind(row.told.completeness.as_str())
            .bind(row.deleted_ms)
            .bind(row.held)
            .bind(row.promised.map(|session| session.0.to_vec()));
        let inserted = inserted.execute(&mut *self.0).await.map_err(failed("store a point"))?;
        Ok(inserted.rows_affected() > 0)
    }

    /// Forgets what a session promised beside this point: it commits one.
    pub(crate) async fn remove_promises(
        &mut self,
        domain: DomainId,
        session: SessionId,
        except: Option<PointId>,
    ) -> Result<(), ServiceError> {
        let removed = sqlx::query("DELETE FROM points WHERE promised = ?1 AND domain = ?2 AND (?3 IS NULL OR id <> ?3)")
            .bind(session.0.to_vec())
            .bind(domain.0.to_vec())
            .bind(except.map(|id| id.0.to_vec()));
        removed.execute(&mut *self.0).await.map(drop).map_err(failed("forget a promised point"))
    }

    pub(crate) async fn set_point_deleted(&mut self, number: i64, at: Option<i64>) -> Result<(), ServiceError> {
        let set = sqlx::query("UPDATE points SET deleted_ms = ? WHERE number = ?").bind(at).bind(number);
        set.execute(&mut *self.0).await.map(drop).map_err(failed("store a point"))
    }

    pub(crate) async fn remove_point(&mut self, domain: DomainId, id: PointId) -> Result<(), ServiceError> {
        let removed = sqlx::query("DELETE FROM points WHERE domain = ? AND id = ?").bind(domain.0.to_vec()).bind(id.0.to_vec());
        removed.execute(&mut *self.0).await.map(drop).map_err(failed("forget a point"))
    }

    /// How many points of an item are known.
    pub(crate) async fn count_points(&mut self, domain: DomainId, item: &ItemName) -> Result<u64, ServiceError> {
        let count = sqlx::query_scalar("SELECT count(*) FROM points WHERE domain = ? AND item = ? AND promised IS NULL");
        let count: Result<i64, _> = count.bind(domain.0.to_vec()).bind(item.as_str()).fetch_one(&mut *self.0).await;
        count.map(unsigned).map_err(failed("count points"))
    }

    /// The points that a domain had before are known from now on.
    pub(crate) async fn set_points_known(&mut self, domain: DomainId) -> Result<(), ServiceError> {
        const SET: &str = "INSERT INTO domains (domain, revision, points_known) VALUES (?, 0, 1) \
                           ON CONFLICT (domain) DO UPDATE SET points_known = 1";
        let set = sqlx::query(SET).bind(domain.0.to_vec()).execute(&mut *self.0);
        set.await.map(drop).map_err(failed("store a domain"))
    }

    /// All points of a domain that are known, and those that are promised.
    pub(crate) async fn points(&mut self, domain: DomainId) -> Result<Vec<PointRow>, ServiceError> {
        list(&mut *self.0, domain).await
    }
}

async fn list<'e>(executor: impl SqliteExecutor<'e>, domain: DomainId) -> Result<Vec<PointRow>, ServiceError> {
    let rows = sqlx::query("SELECT * FROM points WHERE domain = ?").bind(domain.0.to_vec()).fetch_all(executor).await;
    rows.map_err(failed("list points"))?.iter().map(point).collect()
}

fn point(row: &SqliteRow) -> Result<PointRow, ServiceError> {
    let read = || -> Result<PointRow, sqlx::Error> {
        let origin: OriginColumn = parsed(row.try_get("origin")?)?;
        let completeness: CompletenessColumn = parsed(row.try_get("completeness")?)?;
        let job = row.try_get::<Option<Vec<u8>>, _>("job")?.map(exact).transpose()?.map(JobId);
        Ok(PointRow {
            number: row.try_get("number")?,
            domain: DomainId(exact(row.try_get("domain")?)?),
            id: PointId(exact(row.try_get("id")?)?),
            item: parsed(row.try_get("item")?)?,
            sequence: Sequence(unsigned(row.try_get("sequence")?)),
            agent: row.try_get::<Option<Vec<u8>>, _>("agent")?.map(exact).transpose()?.map(AgentKey),
            place_ms: row.try_get("place_ms")?,
            received_ms: row.try_get("received_ms")?,
            told: PointTold { job, origin: origin.0, completeness: completeness.0 },
            deleted_ms: row.try_get("deleted_ms")?,
            held: row.try_get("held")?,
            promised: row.try_get::<Option<Vec<u8>>, _>("promised")?.map(exact).transpose()?.map(SessionId),
        })
    };
    read().map_err(failed("read a point"))
}
