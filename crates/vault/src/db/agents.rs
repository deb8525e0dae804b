//! Agents that have spoken to the service, in the database.

use super::{Database, exact, failed};
use crate::error::ServiceError;
use format::{AgentKey, DomainId};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

/// An agent as it was when it was heard of last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AgentRow {
    pub(crate) domain: DomainId,
    pub(crate) agent: AgentKey,
    pub(crate) host: String,
    pub(crate) program: String,
    pub(crate) seen_ms: i64,
    pub(crate) ahead_ms: i64,
}

impl Database {
    /// All agents, by domain.
    pub(crate) async fn agents(&self) -> Result<Vec<AgentRow>, ServiceError> {
        let rows = sqlx::query("SELECT * FROM agents ORDER BY domain, agent").fetch_all(&self.pool).await;
        rows.map_err(failed("list agents"))?.iter().map(agent).collect()
    }

    /// Stores what is known of agents, all in one.
    pub(crate) async fn put_agents(&self, rows: &[AgentRow]) -> Result<(), ServiceError> {
        const PUT: &str =
            "INSERT OR REPLACE INTO agents (domain, agent, host, program, seen_ms, ahead_ms) VALUES (?, ?, ?, ?, ?, ?)";
        let mut change = self.change().await?;
        for row in rows {
            let put = sqlx::query(PUT)
                .bind(row.domain.0.to_vec())
                .bind(row.agent.0.to_vec())
                .bind(&row.host)
                .bind(&row.program)
                .bind(row.seen_ms)
                .bind(row.ahead_ms);
            put.execute(&mut *change.0).await.map_err(failed("store an agent"))?;
        }
        change.commit().await
    }
}

fn agent(row: &SqliteRow) -> Result<AgentRow, ServiceError> {
    let read = || -> Result<AgentRow, sqlx::Error> {
        Ok(AgentRow {
            domain: DomainId(exact(row.try_get("domain")?)?),
            agent: AgentKey(exact(row.try_get("agent")?)?),
            host: row.try_get("host")?,
            program: row.try_get("program")?,
            seen_ms: row.try_get("seen_ms")?,
            ahead_ms: row.try_get("ahead_ms")?,
        })
    };
    read().map_err(failed("read an agent"))
}
