//! Tokens in the database.

use super::{Database, exact, failed};
use crate::error::ServiceError;
use api::Scope;
use format::{AgentKey, DomainId};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

/// A token, without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TokenRow {
    /// First part of its text.
    pub(crate) id: String,
    /// Of the whole text.
    pub(crate) hash: [u8; 32],
    /// For people.
    pub(crate) name: String,
    /// What it is good for.
    pub(crate) scope: Scope,
    /// Only good for being exchanged, once.
    pub(crate) one_time: bool,
    /// Milliseconds since 1970.
    pub(crate) created_ms: i64,
    /// Milliseconds since 1970.
    pub(crate) expires_ms: Option<i64>,
}

/// What became of an enrolled agent's token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Accepted {
    /// It is good from now on.
    Now,
    /// It was good already.
    Before,
    /// It was, and was ended.
    Ended,
    /// The enrolment gave another one.
    Another,
}

impl Database {
    /// All tokens, oldest first.
    pub(crate) async fn tokens(&self) -> Result<Vec<TokenRow>, ServiceError> {
        const ALL: &str =
            "SELECT id, hash, name, role, domain, agent, one_time, created_ms, expires_ms FROM tokens ORDER BY created_ms, id";
        let rows = sqlx::query(ALL).fetch_all(&self.pool).await.map_err(failed("list tokens"))?;
        rows.iter().map(token).collect()
    }

    /// The token with this id.
    pub(crate) async fn token(&self, id: &str) -> Result<Option<TokenRow>, ServiceError> {
        const ONE: &str = "SELECT id, hash, name, role, domain, agent, one_time, created_ms, expires_ms FROM tokens WHERE id = ?";
        let row = sqlx::query(ONE).bind(id).fetch_optional(&self.pool).await.map_err(failed("look a token up"))?;
        row.as_ref().map(token).transpose()
    }

    pub(crate) async fn insert_token(&self, row: &TokenRow) -> Result<(), ServiceError> {
        let mut transaction = self.begin().await?;
        insert(&mut transaction, row).await?;
        transaction.commit().await.map_err(failed("store a token"))
    }

    /// Stores the token of an enrolled agent, if it is the one that its enrolment gives.
    pub(crate) async fn accept_token(&self, domain: DomainId, row: &TokenRow) -> Result<Accepted, ServiceError> {
        let mut transaction = self.begin().await?;
        let first = sqlx::query("INSERT OR IGNORE INTO enrolled (domain, token_hash) VALUES (?, ?)")
            .bind(domain.0.to_vec())
            .bind(row.hash.to_vec())
            .execute(&mut *transaction);
        if first.await.map_err(failed("accept a token"))?.rows_affected() > 0 {
            insert(&mut transaction, row).await?;
            transaction.commit().await.map_err(failed("accept a token"))?;
            return Ok(Accepted::Now);
        }
        let known = sqlx::query_scalar("SELECT token_hash FROM enrolled WHERE domain = ?").bind(domain.0.to_vec());
        let known: Vec<u8> = known.fetch_one(&mut *transaction).await.map_err(failed("look an enrolment up"))?;
        let there = sqlx::query_scalar("SELECT count(*) FROM tokens WHERE hash = ?").bind(row.hash.to_vec());
        let there: i64 = there.fetch_one(&mut *transaction).await.map_err(failed("look a token up"))?;
        Ok(match (known == row.hash, there > 0) {
            (true, true) => Accepted::Before,
            (true, false) => Accepted::Ended,
            (false, _) => Accepted::Another,
        })
    }

    /// Puts a lasting token in a one-time token's place; whether that was still there.
    pub(crate) async fn exchange_token(&self, one_time: &str, row: &TokenRow) -> Result<bool, ServiceError> {
        let mut transaction = self.begin().await?;
        let removed = sqlx::query("DELETE FROM tokens WHERE id = ? AND one_time = 1").bind(one_time).execute(&mut *transaction);
        if removed.await.map_err(failed("exchange a token"))?.rows_affected() == 0 {
            return Ok(false);
        }
        insert(&mut transaction, row).await?;
        transaction.commit().await.map_err(failed("exchange a token"))?;
        Ok(true)
    }

    /// Whether it was there.
    pub(crate) async fn remove_token(&self, id: &str) -> Result<bool, ServiceError> {
        let removed = sqlx::query("DELETE FROM tokens WHERE id = ?").bind(id).execute(&self.pool).await;
        Ok(removed.map_err(failed("remove a token"))?.rows_affected() > 0)
    }
}

async fn insert(transaction: &mut sqlx::Transaction<'static, sqlx::Sqlite>, row: &TokenRow) -> Result<(), ServiceError> {
    let (role, domain, agent) = match row.scope {
        Scope::Administrator => ("administrator", None, None),
        Scope::Agent { domain, agent } => ("agent", Some(domain.0.to_vec()), Some(agent.0.to_vec())),
    };
    const INSERT: &str = "INSERT INTO tokens (id, hash, name, role, domain, agent, one_time, created_ms, expires_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)";
    let inserted = sqlx::query(INSERT)
        .bind(&row.id)
        .bind(row.hash.to_vec())
        .bind(&row.name)
        .bind(role)
        .bind(domain)
        .bind(agent)
        .bind(row.one_time)
        .bind(row.created_ms)
        .bind(row.expires_ms)
        .execute(&mut **transaction);
    inserted.await.map(drop).map_err(failed("store a token"))
}

fn token(row: &SqliteRow) -> Result<TokenRow, ServiceError> {
    let read = || -> Result<TokenRow, sqlx::Error> {
        let bytes = |column: &str| row.try_get::<Vec<u8>, _>(column);
        let scope = match row.try_get::<String, _>("role")?.as_str() {
            "administrator" => Scope::Administrator,
            "agent" => Scope::Agent { domain: DomainId(exact(bytes("domain")?)?), agent: AgentKey(exact(bytes("agent")?)?) },
            _ => return Err(sqlx::Error::Protocol("a token has a role that this program does not know".to_owned())),
        };
        Ok(TokenRow {
            id: row.try_get("id")?,
            hash: exact(bytes("hash")?)?,
            name: row.try_get("name")?,
            scope,
            one_time: row.try_get("one_time")?,
            created_ms: row.try_get("created_ms")?,
            expires_ms: row.try_get("expires_ms")?,
        })
    };
    read().map_err(failed("read a token"))
}
