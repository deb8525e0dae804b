//! The ledger in a SQLite file that several processes use at once.
//!
//! One connection writes, in turn; snapshots have connections of their own. The log is a write-ahead log, synchronised
//! at every commit. Whatever goes wrong or is cancelled in a transaction closes its connection: SQLite may have rolled
//! back by itself, and the next statement would then be a transaction of its own.

mod columns;
mod connection;
mod file;
mod migration;
mod statements;
mod transaction;

#[cfg(test)]
mod tests;

use super::{Ledger, LedgerError, LedgerResult, Transaction};
use async_trait::async_trait;
use connection::{Role, connect, failed, failed_at, on_file};
use file::{LedgerFile, NewFile};
use sqlx::{Connection, SqliteConnection, query_scalar};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Mutex as AsyncMutex;
use transaction::{Home, SqliteTransaction};

/// Marks the file as a ledger: `PRAGMA application_id`.
const APPLICATION_ID: i64 = 0x4846_6C64;

/// Connections of snapshots that are kept for the next ones.
const IDLE_READERS_MAX: usize = 4;

/// Problems that a check names before it stops.
const CHECK: &str = "PRAGMA quick_check(100)";

/// A ledger in a file. Clones share its connections.
#[derive(Clone)]
pub struct SqliteLedger {
    shared: Arc<Shared>,
}

struct Shared {
    file: LedgerFile,
    /// The turn to write, and the connection for it unless it has to be opened.
    writer: Arc<AsyncMutex<Option<SqliteConnection>>>,
    readers: Mutex<Vec<SqliteConnection>>,
}

impl SqliteLedger {
    /// Makes an empty ledger at `path`, whole or not at all, readable by its owner only. Fails if anything is there.
    pub async fn create(path: &Path) -> LedgerResult<Self> {
        const DOING: &str = "be created";
        let path = on_file(DOING, std::path::absolute(path))?;
        if path.symlink_metadata().is_ok() {
            return on_file(DOING, Err(std::io::ErrorKind::AlreadyExists.into()));
        }
        let new = on_file(DOING, NewFile::beside(&path))?;
        let made = async {
            let mut connection = connect(new.path(), Role::Writer).await?;
            use_log(&mut connection).await?;
            migration::migrate(&mut connection).await?;
            // folds the log into the file
            connection.close().await
        };
        made.await.map_err(|error| failed_at(DOING, new.path(), error))?;
        on_file(DOING, new.publish(&path))?;
        Self::open(&path).await
    }

    /// Opens the ledger at `path`, with its tables brought to the version of this program.
    pub async fn open(path: &Path) -> LedgerResult<Self> {
        const DOING: &str = "be opened";
        let file = on_file(DOING, std::path::absolute(path).and_then(|path| LedgerFile::at(&path)))?;
        let wrong = |error| failed(DOING, &file, error);
        let mut connection = connect(file.path(), Role::Writer).await.map_err(wrong)?;
        let application: i64 = query_scalar("PRAGMA application_id").fetch_one(&mut connection).await.map_err(wrong)?;
        let version = migration::version(&mut connection).await.map_err(wrong)?;
        if application != APPLICATION_ID || version < 1 {
            return Err(LedgerError::Corrupt("the file is not a ledger of Holdfast".to_owned()));
        }
        let version = migration::migrate(&mut connection).await.map_err(wrong)?;
        if version > migration::KNOWN {
            return Err(LedgerError::Unavailable { doing: DOING, full: false, source: connection::newer(version).into() });
        }
        use_log(&mut connection).await.map_err(wrong)?;
        let writer = Arc::new(AsyncMutex::new(Some(connection)));
        Ok(Self { shared: Arc::new(Shared { file, writer, readers: Mutex::default() }) })
    }

    /// Looks the whole file through and names what is wrong with it; nothing, if it is sound.
    pub async fn quick_check(&self) -> LedgerResult<Vec<String>> {
        let mut connection = self.shared.connect(Role::Reader).await?;
        match query_scalar::<_, String>(CHECK).fetch_all(&mut connection).await {
            Ok(lines) => Ok(lines.into_iter().filter(|line| line != "ok").collect()),
            Err(error) => match failed("be checked", &self.shared.file, error) {
                LedgerError::Corrupt(problem) => Ok(vec![problem]),
                other => Err(other),
            },
        }
    }

    /// Waits for the running write transaction, then closes the idle connections; the last process to do so folds the log
    /// into the file. The ledger opens them again when it is used.
    pub async fn close(&self) {
        let mut writer = self.shared.writer.lock().await;
        let readers = std::mem::take(&mut *self.shared.idle_readers());
        for connection in readers.into_iter().chain(writer.take()) {
            // what was committed is durable without it
            let _ = connection.close().await;
        }
    }
}

/// Write-ahead log, from now on and for everybody.
async fn use_log(connection: &mut SqliteConnection) -> sqlx::Result<()> {
    let mode: String = query_scalar("PRAGMA journal_mode = WAL").fetch_one(connection).await?;
    if mode == "wal" { Ok(()) } else { Err(sqlx::Error::Protocol(format!("its journal mode stays {mode}"))) }
}

impl Shared {
    fn idle_readers(&self) -> MutexGuard<'_, Vec<SqliteConnection>> {
        self.readers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn connect(&self, role: Role) -> LedgerResult<SqliteConnection> {
        connect(self.file.path(), role).await.map_err(|error| failed("be opened", &self.file, error))
    }

    /// A connection in a transaction that just began.
    async fn begin(&self, role: Role, idle: Option<SqliteConnection>) -> LedgerResult<SqliteConnection> {
        on_file("begin a transaction", self.file.check_in_place())?;
        if let Some(mut connection) = idle {
            match connection::begin(&mut connection, role).await {
                Ok(()) => return Ok(connection),
                Err(error) if is_of_the_connection(&error) => {}
                Err(error) => return Err(failed("begin a transaction", &self.file, error)),
            }
        }
        let mut connection = self.connect(role).await?;
        connection::begin(&mut connection, role).await.map_err(|error| failed("begin a transaction", &self.file, error))?;
        Ok(connection)
    }
}

/// Whether a new connection would do better: this one was left in a transaction, or its thread is gone.
fn is_of_the_connection(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::WorkerCrashed => true,
        sqlx::Error::Database(error) => error.message().contains("within a transaction"),
        _ => false,
    }
}

#[async_trait]
impl Ledger for SqliteLedger {
    async fn begin(&self) -> LedgerResult<Box<dyn Transaction>> {
        let mut turn = Arc::clone(&self.shared.writer).lock_owned().await;
        let idle = turn.take();
        let connection = self.shared.begin(Role::Writer, idle).await?;
        Ok(Box::new(SqliteTransaction::new(connection, Arc::clone(&self.shared), Home::Writer(turn))))
    }

    async fn snapshot(&self) -> LedgerResult<Box<dyn Transaction>> {
        let idle = self.shared.idle_readers().pop();
        let connection = self.shared.begin(Role::Reader, idle).await?;
        Ok(Box::new(SqliteTransaction::new(connection, Arc::clone(&self.shared), Home::Readers)))
    }
}
