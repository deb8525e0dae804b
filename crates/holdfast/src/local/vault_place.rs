//! Where a vault is: a directory, or a vault service.

use crate::failure::{Exit, Failure, Outcome};
use api::{Address, ApiError};
use std::fmt;
use std::path::PathBuf;

/// The vault that a user names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum VaultPlace {
    /// An embedded vault.
    Directory(PathBuf),
    /// A vault behind a service.
    Service(Address),
}

impl VaultPlace {
    /// What has a scheme is an address, anything else a directory.
    pub(crate) fn new(path: PathBuf) -> Result<Self, ApiError> {
        match path.to_str() {
            Some(text) if Address::is_meant(text) => text.parse().map(Self::Service),
            _ => Ok(Self::Directory(path)),
        }
    }

    /// The directory, for what a service does by itself.
    pub(crate) fn directory(&self) -> Outcome<&PathBuf> {
        match self {
            Self::Directory(path) => Ok(path),
            Self::Service(address) => Err(Failure::new(
                Exit::Usage,
                format!("{address} is a vault service, and this command needs a vault in a directory"),
            )
            .with_hint("run it where the service's directory is, while the service does not run: --vault DIR/vault")),
        }
    }
}

impl fmt::Display for VaultPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(path) => path.display().fmt(f),
            Self::Service(address) => address.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::VaultPlace;

    #[test]
    fn what_has_a_scheme_is_a_service_and_only_https_will_do() {
        assert!(matches!(VaultPlace::new("https://vault.example:8443".into()), Ok(VaultPlace::Service(_))));
        assert!(matches!(VaultPlace::new("/srv/vault".into()), Ok(VaultPlace::Directory(_))));
        assert!(matches!(VaultPlace::new("relative/path".into()), Ok(VaultPlace::Directory(_))));
        assert!(VaultPlace::new("http://vault.example".into()).is_err());
    }
}
