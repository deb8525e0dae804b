//! What can go wrong inside, and what of it the caller is told.

use crate::ledger::LedgerError;
use contract::{Error, ErrorKind};
use format::FormatError;
use storage::StorageError;

/// An error inside the repository.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// An answer for the caller.
    #[error(transparent)]
    Answer(#[from] Error),
    /// The database.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The storage.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// Bytes that were read.
    #[error(transparent)]
    Format(#[from] FormatError),
}

/// Result inside the repository.
pub(crate) type Outcome<T> = Result<T, Fault>;

impl Fault {
    /// An answer of this kind.
    pub(crate) fn answer(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self::Answer(Error::new(kind, message))
    }

    /// Whether the storage has the object and cannot read it.
    pub(crate) fn is_unreadable(&self) -> bool {
        matches!(self, Self::Storage(error) if error.kind() == storage::ErrorKind::Damaged)
    }

    /// Whether the storage said that there is no such object.
    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, Self::Storage(error) if error.kind() == storage::ErrorKind::NotFound)
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Answer(error) => error,
            Fault::Ledger(error) => from_ledger(error),
            Fault::Storage(error) => from_storage(error),
            Fault::Format(error) => error.into(),
        }
    }
}

fn from_ledger(error: LedgerError) -> Error {
    match &error {
        LedgerError::Unavailable { full: true, .. } => {
            Error::new(ErrorKind::Full, "the disk that holds the vault's database is full")
                .with_hint("make room on that disk and run the command again; nothing that was committed is lost")
        }
        LedgerError::Unavailable { .. } => Error::new(ErrorKind::Unavailable, "the vault's database cannot be used"),
        LedgerError::Corrupt(_) => Error::new(ErrorKind::Corrupt, "the vault's database is damaged")
            .with_hint("run 'holdfast rebuild': it makes the database anew from storage"),
    }
    .with_source(error)
}

fn from_storage(error: StorageError) -> Error {
    use storage::ErrorKind as Kind;
    match error.kind() {
        Kind::NotFound => Error::new(ErrorKind::NotFound, "an object is not in storage"),
        Kind::Exists => Error::new(ErrorKind::Conflict, "an object is in storage with other bytes"),
        Kind::Denied => Error::new(ErrorKind::Denied, "storage denies access"),
        Kind::Full => Error::new(ErrorKind::Full, "storage is full")
            .with_hint("make room and run the command again; nothing that was committed is lost. 'holdfast collect' frees what no point needs, and what an interrupted backup left at its second run"),
        Kind::Damaged => Error::new(ErrorKind::Corrupt, "storage cannot read an object")
            .with_hint("the disk may be failing; 'holdfast check --read-data' finds all that cannot be read"),
        Kind::Unavailable => Error::new(ErrorKind::Unavailable, "storage cannot be used"),
        Kind::Invalid => Error::new(ErrorKind::Internal, "a request to storage makes no sense"),
    }
    .with_source(error)
}
