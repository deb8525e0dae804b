//! Connections to the file, and what their errors mean.

use super::file::{LedgerFile, is_full};
use super::migration;
use crate::ledger::{LedgerError, LedgerResult};
use sqlx::sqlite::{SqliteConnectOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, SqliteConnection, query};
use std::io;
use std::path::Path;
use std::time::Duration;

/// How long other processes may keep the database locked before a call fails.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);

/// Bytes that one connection keeps of the database.
const WRITER_CACHE_KIB: i64 = 8192;
const READER_CACHE_KIB: i64 = 2048;

/// The log is cut back to this after a large transaction.
const LOG_BYTES_KEPT: i64 = 16 << 20;

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Writer,
    Reader,
}

/// Opens a connection; the file is there already.
pub(super) async fn connect(path: &Path, role: Role) -> sqlx::Result<SqliteConnection> {
    let cache_kib = if role == Role::Writer { WRITER_CACHE_KIB } else { READER_CACHE_KIB };
    let options = SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(BUSY_TIMEOUT)
        .foreign_keys(true)
        .synchronous(SqliteSynchronous::Full)
        .pragma("cache_size", format!("-{cache_kib}"))
        .pragma("mmap_size", "0")
        .pragma("journal_size_limit", LOG_BYTES_KEPT.to_string())
        // the file may come from an attacker
        .pragma("trusted_schema", "OFF")
        .pragma("cell_size_check", "ON")
        .pragma("query_only", if role == Role::Reader { "ON" } else { "OFF" })
        .disable_statement_logging();
    options.connect().await
}

/// Starts a transaction. After an error the connection must be closed.
pub(super) async fn begin(connection: &mut SqliteConnection, role: Role) -> sqlx::Result<()> {
    let statement = if role == Role::Writer { "BEGIN IMMEDIATE" } else { "BEGIN DEFERRED" };
    query(statement).execute(&mut *connection).await?;
    // Reading it fixes the state that a snapshot sees. Another process, of a newer program, may have raised it by now.
    let version = migration::version(connection).await?;
    if version == migration::KNOWN { Ok(()) } else { Err(sqlx::Error::Protocol(newer(version))) }
}

/// What is wrong with a database of this version.
pub(super) fn newer(version: i64) -> String {
    format!("its tables have version {version}, this program knows version {}", migration::KNOWN)
}

/// What an error of the database means, and where.
pub(super) fn failed(doing: &'static str, file: &LedgerFile, error: sqlx::Error) -> LedgerError {
    failed_at(doing, file.path(), error)
}

/// As [`failed`], for a file that may not be there.
pub(super) fn failed_at(doing: &'static str, path: &Path, error: sqlx::Error) -> LedgerError {
    match verdict(&error) {
        Verdict::Damaged => LedgerError::Corrupt(error.to_string()),
        Verdict::Full => LedgerError::Unavailable { doing, full: true, source: Box::new(error) },
        Verdict::Storage => LedgerError::Unavailable { doing, full: is_full(path), source: Box::new(error) },
        Verdict::Other => LedgerError::Unavailable { doing, full: false, source: Box::new(error) },
    }
}

/// An error of the file itself.
pub(super) fn file_failed(doing: &'static str, error: io::Error) -> LedgerError {
    LedgerError::Unavailable { doing, full: is_no_room(&error), source: Box::new(error) }
}

/// The disk is full, or a quota used up.
fn is_no_room(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// [`file_failed`] for results.
pub(super) fn on_file<T>(doing: &'static str, result: io::Result<T>) -> LedgerResult<T> {
    result.map_err(|error| file_failed(doing, error))
}

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Damaged,
    Full,
    /// The file system failed; whether for lack of room is not said.
    Storage,
    Other,
}

fn verdict(error: &sqlx::Error) -> Verdict {
    match error {
        sqlx::Error::Io(error) if is_no_room(error) => Verdict::Full,
        sqlx::Error::Database(error) => {
            error.code().and_then(|code| code.parse().ok()).map_or(Verdict::Other, |code| verdict_of_code(code, error.message()))
        }
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::RowNotFound => Verdict::Damaged,
        _ => Verdict::Other,
    }
}

/// The result codes of SQLite (<https://www.sqlite.org/rescode.html>): the low byte is the kind, the rest details it.
fn verdict_of_code(code: i32, message: &str) -> Verdict {
    const ERROR: i32 = 1;
    const IO_ERROR: i32 = 10;
    const CORRUPT: i32 = 11;
    const FULL: i32 = 13;
    const CANNOT_OPEN: i32 = 14;
    const NOT_A_DATABASE: i32 = 26;
    const IO_ERROR_SHORT_READ: i32 = 10 | 2 << 8;
    const IO_ERROR_DATA: i32 = 10 | 32 << 8;
    const IO_ERROR_CORRUPT_FILE_SYSTEM: i32 = 10 | 33 << 8;
    match (code, code & 0xff) {
        (IO_ERROR_SHORT_READ | IO_ERROR_DATA | IO_ERROR_CORRUPT_FILE_SYSTEM, _) => Verdict::Damaged,
        (_, CORRUPT | NOT_A_DATABASE) => Verdict::Damaged,
        (_, FULL) => Verdict::Full,
        (_, IO_ERROR | CANNOT_OPEN) => Verdict::Storage,
        // the tables are not those that their version promises
        (ERROR, _) if ["no such", "has no column", "malformed"].iter().any(|part| message.contains(part)) => Verdict::Damaged,
        _ => Verdict::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_sqlite_tell_damage_and_a_full_disk_from_the_rest() {
        assert_eq!(verdict_of_code(11, ""), Verdict::Damaged);
        assert_eq!(verdict_of_code(11 | 1 << 8, ""), Verdict::Damaged);
        assert_eq!(verdict_of_code(26, ""), Verdict::Damaged);
        assert_eq!(verdict_of_code(522, ""), Verdict::Damaged);
        assert_eq!(verdict_of_code(1, "no such table: packs"), Verdict::Damaged);
        assert_eq!(verdict_of_code(13, ""), Verdict::Full);
        assert_eq!(verdict_of_code(10 | 19 << 8, ""), Verdict::Storage);
        assert_eq!(verdict_of_code(14, ""), Verdict::Storage);
        assert_eq!(verdict_of_code(5, "database is locked"), Verdict::Other);
        for kind in [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded] {
            assert_eq!(verdict(&sqlx::Error::Io(kind.into())), Verdict::Full);
        }
    }
}
