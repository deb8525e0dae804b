//! Errors of the engine, by what the caller can do about them.

use std::io;

/// What a caller can do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The request is wrong; the same request will fail again.
    Invalid,
    /// What was asked for is not there.
    NotFound,
    /// Somebody else was faster, or something is in the way.
    Conflict,
    /// Not allowed.
    Denied,
    /// Vault, source or target cannot be reached or is full; the same request may work later.
    Unavailable,
    /// Stored bytes are damaged, or not what their keys and signatures say.
    Corrupt,
    /// The key does not open what it was used for.
    WrongKey,
    /// The caller asked to stop.
    Cancelled,
    /// A fault of this program.
    Internal,
}

/// An error of the engine.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// A call to the vault failed.
    #[error("cannot {doing}")]
    Vault {
        /// What was being done.
        doing: &'static str,
        /// The vault's words.
        #[source]
        source: contract::Error,
    },
    /// Sealing, opening or signing failed.
    #[error("cannot {doing}")]
    Seal {
        /// What was being done.
        doing: &'static str,
        /// The cause.
        #[source]
        source: seal::SealError,
    },
    /// Bytes could not be encoded or decoded.
    #[error("cannot {doing}")]
    Format {
        /// What was being done.
        doing: &'static str,
        /// The cause.
        #[source]
        source: format::FormatError,
    },
    /// The source as a whole could not be read.
    #[error("cannot {doing}")]
    Source {
        /// What was being done.
        doing: &'static str,
        /// The system's words.
        #[source]
        source: io::Error,
    },
    /// Of none of the source's paths anything could be read.
    #[error("cannot read any of the paths, so no point is made")]
    NothingRead(#[source] io::Error),
    /// What the source says of its changes contradicts the last point, or the last point cannot be read whole.
    #[error("what has changed is not known: {0}")]
    ChangesUnknown(&'static str),
    /// The target could not be written.
    #[error("cannot restore '{path}'")]
    Target {
        /// Path below the destination, made printable.
        path: String,
        /// The system's words.
        #[source]
        source: io::Error,
    },
    /// A temporary file could not be used.
    #[error("cannot keep working data in a temporary file")]
    Spill(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A blob of which no copy could be opened.
    #[error("{what} {id} is missing or damaged")]
    Damaged {
        /// What it is: a page or a data blob.
        what: &'static str,
        /// The blob.
        id: format::BlobId,
    },
    /// Something that is signed is not what it claims to be.
    #[error("the vault shows a point that cannot be trusted: {0}")]
    Untrusted(&'static str),
    /// The vault shows less than it showed before.
    #[error("the vault shows an older state than was seen before")]
    SetBack(#[source] crate::point::Alarm),
    /// Nothing of that name.
    #[error("{0}")]
    NotFound(String),
    /// The same item got another point meanwhile, more than once.
    #[error("other backups of the same item keep being faster")]
    HeadMoved,
    /// The caller asked to stop.
    #[error("stopped on request")]
    Cancelled,
    /// A fault of this program.
    #[error("{0}")]
    Internal(&'static str),
}

/// Result of the engine's functions.
pub type Result<T, E = EngineError> = std::result::Result<T, E>;

/// An error with its causes.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

impl EngineError {
    /// The kind.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Vault { source, .. } => vault_kind(source.kind()),
            Self::Seal { source, .. } => seal_kind(source),
            Self::Format { source: format::FormatError::Version { .. } | format::FormatError::Feature(_), .. } => {
                ErrorKind::Invalid
            }
            Self::Format { .. } | Self::Damaged { .. } | Self::Untrusted(_) | Self::SetBack(_) => ErrorKind::Corrupt,
            Self::Source { source, .. } | Self::Target { source, .. } => io_kind(source),
            Self::Spill(_) | Self::NothingRead(_) => ErrorKind::Unavailable,
            Self::NotFound(_) => ErrorKind::NotFound,
            Self::HeadMoved => ErrorKind::Conflict,
            Self::Cancelled => ErrorKind::Cancelled,
            Self::ChangesUnknown(_) | Self::Internal(_) => ErrorKind::Internal,
        }
    }

    /// What the user can do about it, where that is known.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::Vault { source, .. } => source.hint(),
            Self::NothingRead(_) => Some("the warnings name them; the user that backs them up has to be able to read them"),
            _ => None,
        }
    }

    pub(crate) fn vault(doing: &'static str) -> impl FnOnce(contract::Error) -> Self {
        move |source| Self::Vault { doing, source }
    }

    pub(crate) fn seal(doing: &'static str) -> impl FnOnce(seal::SealError) -> Self {
        move |source| Self::Seal { doing, source }
    }

    pub(crate) fn format(doing: &'static str) -> impl FnOnce(format::FormatError) -> Self {
        move |source| Self::Format { doing, source }
    }

    pub(crate) fn source(doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Source { doing, source }
    }

    pub(crate) fn target(path: &[u8]) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = printable(path);
        move |source| Self::Target { path, source }
    }

    pub(crate) fn spill(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Spill(error.into())
    }
}

/// A path for people: what is not UTF-8 replaced, control characters escaped.
#[must_use]
pub fn printable(path: &[u8]) -> String {
    let text = String::from_utf8_lossy(path);
    text.chars().flat_map(|c| if c.is_control() { c.escape_default().collect::<Vec<_>>() } else { vec![c] }).collect()
}

fn vault_kind(kind: contract::ErrorKind) -> ErrorKind {
    match kind {
        contract::ErrorKind::Invalid => ErrorKind::Invalid,
        contract::ErrorKind::NotFound => ErrorKind::NotFound,
        contract::ErrorKind::Conflict => ErrorKind::Conflict,
        contract::ErrorKind::Denied => ErrorKind::Denied,
        contract::ErrorKind::Unavailable | contract::ErrorKind::Full => ErrorKind::Unavailable,
        contract::ErrorKind::Corrupt => ErrorKind::Corrupt,
        contract::ErrorKind::Internal => ErrorKind::Internal,
    }
}

fn seal_kind(error: &seal::SealError) -> ErrorKind {
    match error.kind() {
        seal::Kind::Invalid => ErrorKind::Invalid,
        seal::Kind::WrongKey => ErrorKind::WrongKey,
        seal::Kind::Corrupt => ErrorKind::Corrupt,
        seal::Kind::Internal => ErrorKind::Internal,
    }
}

fn io_kind(error: &io::Error) -> ErrorKind {
    match error.kind() {
        io::ErrorKind::NotFound => ErrorKind::NotFound,
        io::ErrorKind::PermissionDenied => ErrorKind::Denied,
        io::ErrorKind::AlreadyExists => ErrorKind::Conflict,
        io::ErrorKind::InvalidInput => ErrorKind::Invalid,
        _ => ErrorKind::Unavailable,
    }
}
