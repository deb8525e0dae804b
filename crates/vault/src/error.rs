//! Errors of the service itself: starting, its database, its certificates.

/// What a caller can do about an error.
pub use contract::ErrorKind as Kind;

/// Why the service cannot start or go on.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The configuration makes no sense.
    #[error("the configuration is wrong: {0}")]
    Config(String),
    /// A file or directory.
    #[error("cannot {doing} '{path}'")]
    File {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: String,
        /// Why not.
        source: std::io::Error,
    },
    /// The address to listen on.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: String,
        /// Why not.
        source: std::io::Error,
    },
    /// The service's own database.
    #[error("cannot {doing} in the service's database")]
    Database {
        /// What was being done.
        doing: &'static str,
        /// Why not.
        source: sqlx::Error,
    },
    /// A database of a newer program.
    #[error("the service's database has version {found}, this program knows version {known}")]
    Newer {
        /// Its version.
        found: i64,
        /// The newest that is known.
        known: usize,
    },
    /// A database of an older program, or none of a service.
    #[error("the service's database has version {found}, and is not of this program, whose version is {known}")]
    Older {
        /// Its version.
        found: i64,
        /// That of this program.
        known: usize,
    },
    /// A certificate or its key.
    #[error("cannot {doing}")]
    Certificate {
        /// What was being done.
        doing: &'static str,
        /// Why not.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Another service uses the directory.
    #[error("another vault service uses '{path}'")]
    InUse {
        /// The directory.
        path: String,
    },
    /// The vault.
    #[error(transparent)]
    Vault(#[from] contract::Error),
}

impl ServiceError {
    /// The kind.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Config(_) | Self::Newer { .. } | Self::Older { .. } | Self::Certificate { .. } => Kind::Invalid,
            Self::File { source, .. } if is_no_room(source) => Kind::Full,
            Self::Database { source, .. } if is_full(source) => Kind::Full,
            Self::File { .. } | Self::Listen { .. } | Self::Database { .. } | Self::InUse { .. } => Kind::Unavailable,
            Self::Vault(error) => error.kind(),
        }
    }

    /// What to do about it, where that can be said.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        use std::io::ErrorKind::{AddrInUse, AddrNotAvailable, NotFound, PermissionDenied};
        match self {
            Self::Vault(error) => error.hint(),
            Self::InUse { .. } => Some("a directory has one service: end the other one, or name another directory with --data"),
            Self::Listen { source, .. } => match source.kind() {
                AddrInUse => Some("another program listens there: end it, or choose another port with --listen"),
                AddrNotAvailable => Some("this machine has no such address: --listen 0.0.0.0:8443 takes all that it has"),
                PermissionDenied => Some("ports below 1024 take a privilege (CAP_NET_BIND_SERVICE); 8443 does not"),
                _ => None,
            },
            Self::File { source, .. } if source.kind() == PermissionDenied => Some("run it as the user that the file belongs to"),
            Self::File { source, .. } if source.kind() == NotFound => Some("see that the path is right"),
            Self::Newer { .. } => Some("a newer program used this directory: install that one again"),
            Self::Older { .. } => {
                Some("start this program's service there first, or use the 'holdfast-vault' that the running service is of")
            }
            Self::Config(_) => Some("'holdfast-vault serve --help' and docs/service.md say what there is to set"),
            _ if self.kind() == Kind::Full => Some("make room on that disk and start the service again"),
            _ => None,
        }
    }
}

/// The disk is full, or a quota used up.
fn is_no_room(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded)
}

/// SQLite says so with a code of its own.
fn is_full(error: &sqlx::Error) -> bool {
    if let sqlx::Error::Io(error) = error {
        return is_no_room(error);
    }
    const SQLITE_FULL: &str = "13";
    // The index of its log cannot be made: that takes 32 KiB at the first use after a clean end.
    const SQLITE_IOERR_SHMSIZE: &str = "4874";
    let code = error.as_database_error().and_then(|error| error.code());
    code.is_some_and(|code| [SQLITE_FULL, SQLITE_IOERR_SHMSIZE].contains(&code.as_ref()))
}

impl From<ServiceError> for contract::Error {
    fn from(error: ServiceError) -> Self {
        match error {
            ServiceError::Vault(error) => error,
            error if error.kind() == Kind::Full => Self::new(Kind::Full, "the disk that holds the service's own data is full")
                .with_hint("make room on that disk: the service goes on by itself then")
                .with_source(error),
            error => Self::new(error.kind(), "the service's own data cannot be used").with_source(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Kind, ServiceError};
    use std::io::ErrorKind::{Other, QuotaExceeded, StorageFull};

    #[test]
    fn a_quota_that_is_used_up_is_a_full_disk() {
        let file = |kind| ServiceError::File { doing: "make", path: "x".to_owned(), source: std::io::Error::from(kind) };
        let database = |kind| ServiceError::Database { doing: "open", source: sqlx::Error::Io(std::io::Error::from(kind)) };
        for kind in [StorageFull, QuotaExceeded] {
            assert!(file(kind).kind() == Kind::Full && database(kind).kind() == Kind::Full);
        }
        assert!(file(Other).kind() == Kind::Unavailable && database(Other).kind() == Kind::Unavailable);
    }
}
