//! Errors of object stores.

/// What a caller can do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// No such object.
    NotFound,
    /// An object with other bytes is there.
    Exists,
    /// Not allowed to.
    Denied,
    /// No room left. Nothing of the object is there.
    Full,
    /// The store cannot be reached or failed; whether the effect took place is not known.
    Unavailable,
    /// The request makes no sense (a bad name, a range outside the object).
    Invalid,
}

/// An error of an object store: what was being done, to which object.
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing} '{object}'{}", describe(*kind))]
pub struct StorageError {
    /// What the caller can do about it.
    pub kind: ErrorKind,
    /// What was being done: `read`, `write`, `list`, `delete`.
    pub doing: &'static str,
    /// The object or prefix.
    pub object: String,
    /// What caused it.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

fn describe(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::NotFound => ": no such object",
        ErrorKind::Exists => ": an object with other bytes is there",
        ErrorKind::Denied => ": access is denied",
        ErrorKind::Full => ": no space left",
        ErrorKind::Unavailable | ErrorKind::Invalid => "",
    }
}

/// Result of a store's methods.
pub type Result<T, E = StorageError> = std::result::Result<T, E>;

impl StorageError {
    /// An error without a cause.
    #[must_use]
    pub fn new(kind: ErrorKind, doing: &'static str, object: impl Into<String>) -> Self {
        Self { kind, doing, object: object.into(), source: None }
    }

    /// The kind.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}
