//! The service's own database: what is neither in the vault nor in its ledger.

mod agents;
mod clock;
mod items;
mod jobs;
mod points;
mod policies;
mod tokens;

use crate::error::ServiceError;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Connection, SqlitePool};
use std::cmp::Ordering;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, OwnedMutexGuard};

pub(crate) use agents::AgentRow;
pub(crate) use items::ItemRow;
pub(crate) use jobs::{ForgottenBefore, JobRow};
pub(crate) use points::PointRow;
pub(crate) use policies::PolicyRow;
pub(crate) use tokens::{Accepted, TokenRow};

/// What makes each version of the one before, the first of nothing.
const MIGRATIONS: [&str; 6] = [
    include_str!("../../migrations/0001_service.sql"),
    include_str!("../../migrations/0002_enrolled.sql"),
    include_str!("../../migrations/0003_protection.sql"),
    include_str!("../../migrations/0004_told.sql"),
    include_str!("../../migrations/0005_unknown.sql"),
    include_str!("../../migrations/0006_made.sql"),
];
/// How long another process may keep the database locked.
const BUSY: Duration = Duration::from_secs(30);
/// One writes at a time anyway, and what is read often is kept in memory.
const CONNECTIONS: u32 = 4;

/// A change that is made whole or not at all; nobody else writes meanwhile.
pub(crate) struct Change(sqlx::Transaction<'static, sqlx::Sqlite>, OwnedMutexGuard<()>);

impl Change {
    /// Makes it durable.
    pub(crate) async fn commit(self) -> Result<(), ServiceError> {
        let Self(transaction, _alone) = self;
        transaction.commit().await.map_err(failed("commit"))
    }
}

/// The database.
#[derive(Clone)]
pub(crate) struct Database {
    pool: SqlitePool,
    /// Held by who changes something: changes wait here for their turn, and not in the database, where they would sleep.
    changing: Arc<Mutex<()>>,
}

impl Database {
    /// Opens it, and makes it where it is missing.
    pub(crate) async fn open(path: &Path) -> Result<Self, ServiceError> {
        let made = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path);
        made.map_err(|source| ServiceError::File { doing: "open", path: path.display().to_string(), source })?;
        let database = Self::connect(options(path).journal_mode(SqliteJournalMode::Wal)).await?;
        database.migrate().await?;
        Ok(database)
    }

    /// Opens one that is there and that this program's version has made what it is: whoever does so changes nothing of it, also if a
    /// service of another version uses it.
    pub(crate) async fn open_existing(path: &Path) -> Result<Self, ServiceError> {
        let there = std::fs::metadata(path);
        there.map_err(|source| ServiceError::File { doing: "open", path: path.display().to_string(), source })?;
        let database = Self::connect(options(path)).await?;
        let found: i64 =
            sqlx::query_scalar("PRAGMA user_version").fetch_one(&database.pool).await.map_err(failed("read the version"))?;
        match found.cmp(&(MIGRATIONS.len() as i64)) {
            Ordering::Less => Err(ServiceError::Older { found, known: MIGRATIONS.len() }),
            Ordering::Equal => Ok(database),
            Ordering::Greater => Err(ServiceError::Newer { found, known: MIGRATIONS.len() }),
        }
    }

    async fn connect(options: SqliteConnectOptions) -> Result<Self, ServiceError> {
        // A commit that a full disk refused ends the transaction in SQLite and not in its driver, which would begin no other one.
        let pool = SqlitePoolOptions::new()
            .max_connections(CONNECTIONS)
            .before_acquire(|connection, _| Box::pin(async move { Ok(!connection.is_in_transaction()) }))
            .connect_with(options)
            .await;
        Ok(Self { pool: pool.map_err(failed("open a connection"))?, changing: Arc::default() })
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

    /// Begins a change.
    pub(crate) async fn change(&self) -> Result<Change, ServiceError> {
        let alone = self.changing.clone().lock_owned().await;
        Ok(Change(self.begin().await?, alone))
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

fn options(path: &Path) -> SqliteConnectOptions {
    let options = SqliteConnectOptions::new().filename(path).busy_timeout(BUSY);
    options.synchronous(SqliteSynchronous::Full).pragma("trusted_schema", "OFF")
}

fn failed(doing: &'static str) -> impl Fn(sqlx::Error) -> ServiceError {
    move |source| ServiceError::Database { doing, source }
}

/// Bytes of a column that have to be so many.
fn exact<const N: usize>(bytes: Vec<u8>) -> Result<[u8; N], sqlx::Error> {
    bytes.try_into().map_err(|_| damaged())
}

/// A text of a column that is parsed.
fn parsed<T: std::str::FromStr>(text: &str) -> Result<T, sqlx::Error> {
    text.parse().map_err(|_| damaged())
}

/// A column of JSON.
fn from_json<T: DeserializeOwned>(text: &str) -> Result<T, sqlx::Error> {
    serde_json::from_str(text).map_err(|error| sqlx::Error::Decode(Box::new(error)))
}

/// JSON for a column.
fn to_json(value: &impl Serialize) -> Result<String, ServiceError> {
    serde_json::to_string(value).map_err(|error| failed("write a value")(sqlx::Error::Encode(Box::new(error))))
}

/// A count for a column.
fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// A count of a column.
fn unsigned(count: i64) -> u64 {
    u64::try_from(count).unwrap_or(0)
}

fn damaged() -> sqlx::Error {
    sqlx::Error::Protocol("a row is damaged".to_owned())
}
