//! The clock on which points expire, and when the service did its duties last, in the database.

use super::{Database, exact, failed, from_json, parsed, to_json};
use crate::error::ServiceError;
use api::WorkKind;
use format::DomainId;
use policy::HighWaterClock;
use sqlx::Row;

impl Database {
    /// The clock as it was stored last.
    pub(crate) async fn clock(&self) -> Result<Option<HighWaterClock>, ServiceError> {
        let state: Result<Option<String>, _> = sqlx::query_scalar("SELECT state FROM clock").fetch_optional(&self.pool).await;
        let state = state.map_err(failed("read the clock"))?;
        state.map(|state| from_json(&state).map_err(failed("read the clock"))).transpose()
    }

    /// Durable when this answers.
    pub(crate) async fn put_clock(&self, clock: &HighWaterClock) -> Result<(), ServiceError> {
        let put = sqlx::query("INSERT OR REPLACE INTO clock (one, state) VALUES (1, ?)").bind(to_json(clock)?);
        put.execute(&self.pool).await.map(drop).map_err(failed("store the clock"))
    }

    /// When each domain's duties were begun last.
    pub(crate) async fn duties(&self) -> Result<Vec<(DomainId, WorkKind, i64)>, ServiceError> {
        let rows = sqlx::query("SELECT domain, kind, begun_ms FROM duties").fetch_all(&self.pool).await;
        let rows = rows.map_err(failed("list duties"))?;
        let read = |row: &sqlx::sqlite::SqliteRow| -> Result<_, sqlx::Error> {
            let kind: super::jobs::KindColumn = parsed(row.try_get("kind")?)?;
            Ok((DomainId(exact(row.try_get("domain")?)?), kind.0, row.try_get("begun_ms")?))
        };
        rows.iter().map(read).collect::<Result<_, _>>().map_err(failed("read a duty"))
    }

    pub(crate) async fn put_duty(&self, domain: DomainId, kind: WorkKind, begun_ms: i64) -> Result<(), ServiceError> {
        let put = sqlx::query("INSERT OR REPLACE INTO duties (domain, kind, begun_ms) VALUES (?, ?, ?)")
            .bind(domain.0.to_vec())
            .bind(kind.as_str())
            .bind(begun_ms);
        put.execute(&self.pool).await.map(drop).map_err(failed("store a duty"))
    }
}
