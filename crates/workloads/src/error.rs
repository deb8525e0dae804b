//! Errors of a workload as a whole. What goes wrong with a single file is a warning or an `io::Error` of that file.

use std::io;
use std::path::PathBuf;

/// Something that keeps a workload from starting.
#[derive(Debug, thiserror::Error)]
pub enum WorkloadError {
    /// No path to back up was given.
    #[error("no paths to back up")]
    NoRoots,
    /// A path to back up cannot be used.
    #[error("cannot use the path {path:?}")]
    Root {
        /// The path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// An exclude or include pattern is malformed.
    #[error("malformed pattern {pattern:?}: {why}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        why: String,
    },
    /// The directory to restore to cannot be used.
    #[error("cannot use {path:?} to restore to")]
    Destination {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The system refused something that everything else needs.
    #[error("cannot {what}")]
    System {
        /// What was being done.
        what: &'static str,
        /// Why it failed.
        source: io::Error,
    },
}

/// What a caller can do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkloadErrorKind {
    /// The request is wrong.
    Invalid,
    /// A path is not there.
    NotFound,
    /// A path may not be used by this user.
    Denied,
    /// The machine failed.
    Internal,
}

impl WorkloadError {
    /// The kind.
    #[must_use]
    pub fn kind(&self) -> WorkloadErrorKind {
        match self {
            Self::NoRoots | Self::Pattern { .. } => WorkloadErrorKind::Invalid,
            Self::Root { source, .. } | Self::Destination { source, .. } | Self::System { source, .. } => match source.kind() {
                io::ErrorKind::NotFound => WorkloadErrorKind::NotFound,
                io::ErrorKind::PermissionDenied => WorkloadErrorKind::Denied,
                io::ErrorKind::InvalidInput | io::ErrorKind::NotADirectory => WorkloadErrorKind::Invalid,
                _ => WorkloadErrorKind::Internal,
            },
        }
    }
}
