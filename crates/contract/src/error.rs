//! Errors of a vault, by what the caller can do about them.

/// What a caller can do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The request is wrong; the same request will fail again.
    Invalid,
    /// What was asked for is not there (any more).
    NotFound,
    /// Somebody else was faster, or the session is over; look again and retry.
    Conflict,
    /// Not allowed.
    Denied,
    /// Storage, database or service cannot be reached; the same request may work later.
    Unavailable,
    /// Storage or database is full; the same request works when somebody has made room.
    Full,
    /// Stored bytes are damaged.
    Corrupt,
    /// A fault of this program.
    Internal,
}

impl ErrorKind {
    /// Whether it says nothing about the request itself: the same one may work later, and may have been done all the same.
    #[must_use]
    pub fn is_passing(self) -> bool {
        matches!(self, Self::Unavailable | Self::Full)
    }
}

/// An error of a vault.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    kind: ErrorKind,
    message: String,
    hint: Option<String>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// Result of a vault's methods.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of this kind: what was being done, to what; lower case, no full stop.
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hint: None, source: None }
    }

    /// With what the user can do about it.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// With the error that caused it.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The kind.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

impl Error {
    /// What somebody sent cannot be read, or is not signed as it should be: what is stored is another matter.
    #[must_use]
    pub fn unreadable(what: &str, error: format::FormatError) -> Self {
        let kind = if matches!(error, format::FormatError::Signature(_)) { ErrorKind::Denied } else { ErrorKind::Invalid };
        Self::new(kind, format!("{what} cannot be taken")).with_source(error)
    }
}

impl From<format::FormatError> for Error {
    fn from(error: format::FormatError) -> Self {
        let kind = match error {
            format::FormatError::Version { .. } | format::FormatError::Feature(_) => ErrorKind::Invalid,
            _ => ErrorKind::Corrupt,
        };
        Self::new(kind, "cannot read stored bytes").with_source(error)
    }
}
