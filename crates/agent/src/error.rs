//! What can keep an agent from running. What goes wrong with a job is a [`crate::Trouble`] on the job's record.

use std::io;
use std::path::PathBuf;

/// What a caller can do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The configuration is wrong.
    Invalid,
    /// Another agent of this vault runs on this machine.
    Conflict,
    /// The agent may not do what it is for.
    Denied,
    /// The disk cannot be written.
    Unavailable,
    /// A fault of this program.
    Internal,
}

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The configuration cannot be read.
    #[error("cannot read '{path}'")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The configuration is not TOML, or has fields that nobody knows.
    #[error("cannot read '{path}' as a configuration")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Box<toml::de::Error>,
    },
    /// The configuration says something that cannot be.
    #[error("'{path}' cannot be used: {what}")]
    Configuration {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// Somebody else could change what the service may ask for.
    #[error("'{path}' can be written by others")]
    Unguarded {
        /// The file.
        path: PathBuf,
    },
    /// State cannot be kept.
    #[error("cannot write '{path}'")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another agent holds the lock.
    #[error("another agent of this vault runs on this machine: it holds '{path}'")]
    Running {
        /// The lock.
        path: PathBuf,
    },
    /// The owner ended what this agent may do.
    #[error("this machine's agent is retired: it may add no points any more")]
    Retired,
    /// The connection to the service cannot be set up.
    #[error("cannot set up the connection to the vault service")]
    Client(#[source] contract::Error),
    /// The service does not let this agent in.
    #[error("the vault service does not let this agent in: {0}")]
    Denied(String),
    /// The service cannot be reached, and there is nothing to do without it.
    #[error("the vault service was not reached: {0}")]
    Away(String),
    /// The service is there and takes nothing.
    #[error("the vault service takes nothing: {0}")]
    Stuck(String),
}

/// Result of this crate's functions.
pub(crate) type Result<T, E = AgentError> = std::result::Result<T, E>;

impl AgentError {
    /// The kind.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Read { .. } | Self::Syntax { .. } | Self::Configuration { .. } | Self::Unguarded { .. } => Kind::Invalid,
            Self::Running { .. } => Kind::Conflict,
            Self::Retired | Self::Denied(_) => Kind::Denied,
            Self::Write { .. } | Self::Away(_) | Self::Stuck(_) => Kind::Unavailable,
            Self::Client(_) => Kind::Internal,
        }
    }

    /// What can be done about it.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Syntax { .. } | Self::Configuration { .. } => Some(
                "mend that file, or remove it for the defaults; docs/agent.md says what each field means; then start the agent anew",
            ),
            Self::Read { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                Some("run this as the user that the agent runs as (root, as a service), who has to be able to read it")
            }
            Self::Unguarded { .. } => Some("it bounds what the service may ask for: chmod go-w it, and let root own it"),
            Self::Denied(_) => Some("'holdfast agent doctor' says why, and how to mend it"),
            Self::Retired => Some("'holdfast agent token' where the owner's key is, then 'holdfast agent enroll --replace' here"),
            Self::Write { source, .. } if is_full(source) => Some("make room on that disk; the agent goes on by itself then"),
            _ => None,
        }
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
