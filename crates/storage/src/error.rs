//! Errors of object stores.

use rustix::io::Errno;
use std::io;

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
    /// The object is there and what was asked for of it cannot be read: a bad place on the medium. Others can.
    Damaged,
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
        ErrorKind::Damaged => ": its bytes cannot be read",
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

    /// The same error with its cause: another error or a reason in words.
    #[must_use]
    pub fn because(mut self, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(cause.into());
        self
    }

    /// An error of the operating system. What its kind does not tell apart is `Unavailable`: the effect is not known.
    #[must_use]
    pub fn from_io(doing: &'static str, object: impl Into<String>, error: io::Error) -> Self {
        let kind = match error.kind() {
            io::ErrorKind::NotFound => ErrorKind::NotFound,
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => ErrorKind::Denied,
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ErrorKind::Full,
            io::ErrorKind::InvalidFilename | io::ErrorKind::FileTooLarge => ErrorKind::Invalid,
            _ => ErrorKind::Unavailable,
        };
        Self::new(kind, doing, object).because(error)
    }

    /// An error of the operating system while one object was read. A bad place on the medium is that object's damage: the
    /// store goes on with the others.
    #[must_use]
    pub fn from_read(object: impl Into<String>, error: io::Error) -> Self {
        match Errno::from_io_error(&error) {
            Some(Errno::IO | Errno::UCLEAN | Errno::BADMSG) => Self::new(ErrorKind::Damaged, "read", object).because(error),
            _ => Self::from_io("read", object, error),
        }
    }

    /// The kind.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_place_on_the_medium_is_damage_of_the_object_that_is_read_and_of_nothing_else() {
        let bad = |errno: Errno| io::Error::from_raw_os_error(errno.raw_os_error());
        for errno in [Errno::IO, Errno::UCLEAN, Errno::BADMSG] {
            assert_eq!(StorageError::from_read("a", bad(errno)).kind(), ErrorKind::Damaged, "{errno:?}");
            assert_eq!(StorageError::from_io("write", "a", bad(errno)).kind(), ErrorKind::Unavailable, "{errno:?}");
        }
        assert_eq!(StorageError::from_read("a", bad(Errno::NOENT)).kind(), ErrorKind::NotFound);
        assert_eq!(StorageError::from_read("a", bad(Errno::NODEV)).kind(), ErrorKind::Unavailable);
    }
}
