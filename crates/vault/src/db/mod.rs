//! The service's own database: what is neither in the vault nor in its ledger.

mod tokens;

use crate::error::ServiceError;
use sqlx::SqlitePool;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;
pub(crate) use tokens::{Accepted, TokenRow};

/// What makes each version of the one before, the first of nothing.
const MIGRATIONS: [&str; 2] =
    [include_str!("../../migrations/0001_service.sql"), include_str!("../../migrations/0002_enrolled.sql")];
/// How long another process may keep the database locked.
const BUSY: Duration = Duration::from_secs(30);
/// One writes at a time anyway, and what is read often is kept in memory.
const CONNECTIONS: u32 = 2;

/// The database.
#[derive(Clone)]
pub(crate) struct Database {
    pool: SqlitePool,
}

impl Database {
    /// Opens it, and makes it where it is missing.
    pub(crate) async fn open(path: &Path) -> Result<Self, ServiceError> {
        let made = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path);
        made.map_err(|source| ServiceError::File { doing: "open", path: path.display().to_string(), source })?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .busy_timeout(BUSY)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .pragma("trusted_schema", "OFF");
        let pool = SqlitePoolOptions::new().max_connections(CONNECTIONS).connect_with(options).await;
        let database = Self { pool: pool.map_err(failed("open a connection"))? };
        database.migrate().await?;
        Ok(database)
    }

    async fn migrate(&self) -> Result<(), ServiceError> {
        let mut transaction = self.begin().await?;
        let version: i64 =
            sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut *transaction).await.map_err(failed("read the version"))?;
        let done = usize::try_from(version).ok().and_then(|version| MIGRATIONS.get(version..));
        for migration in done.ok_or(ServiceError::Newer { found: version, known: MIGRATIONS.len() })? {
            sqlx::raw_sql(*migration).execute(&mut *transaction).await.map_err(failed("make tables"))?;
        }
        transaction.commit().await.map_err(failed("make tables"))
    }

    async fn begin(&self) -> Result<sqlx::Transaction<'static, sqlx::Sqlite>, ServiceError> {
        self.pool.begin_with("BEGIN IMMEDIATE").await.map_err(failed("begin"))
    }

    /// Whether it answers.
    pub(crate) async fn is_ready(&self) -> Result<(), ServiceError> {
        let one: Result<i64, _> = sqlx::query_scalar("SELECT 1").fetch_one(&self.pool).await;
        one.map(drop).map_err(failed("read"))
    }

    pub(crate) async fn close(&self) {
        self.pool.close().await;
    }
}

fn failed(doing: &'static str) -> impl Fn(sqlx::Error) -> ServiceError {
    move |source| ServiceError::Database { doing, source }
}
