//! What this machine keeps of a vault service: the token that proves who asks, and the authority that it trusts.
//!
//! ```text
//! <config>/services/<host_port>/token      the token
//! <config>/services/<host_port>/authority  fingerprint of the service's certificate authority, where one is pinned
//! ```

use super::directories::Directories;
use super::files::{exists, read_secret, write_private};
use crate::failure::{Exit, Failure, Outcome};
use api::{Address, Fingerprint, ServiceOptions, ServiceVault};
use secrecy::{ExposeSecret, SecretString};
use std::fs;
use std::path::PathBuf;

/// The files of one service.
pub(crate) struct Login {
    address: Address,
    directory: PathBuf,
}

impl Login {
    pub(crate) fn new(directories: &Directories, address: &Address) -> Self {
        Self { address: address.clone(), directory: directories.config.join("services").join(address.file_name()) }
    }

    /// A client with what is kept.
    pub(crate) fn client(&self) -> Outcome<ServiceVault> {
        Ok(ServiceVault::new(self.options()?)?)
    }

    /// How to reach the service with what is kept.
    pub(crate) fn options(&self) -> Outcome<ServiceOptions> {
        let token = self.token()?.ok_or_else(|| {
            Failure::new(Exit::Refused, format!("this machine has no token for {}", self.address))
                .with_hint(format!("'holdfast login {}' stores one", self.address))
        })?;
        Ok(ServiceOptions::new(self.address.clone(), self.authority()?, token))
    }

    /// Where the token is kept.
    pub(crate) fn token_path(&self) -> PathBuf {
        self.directory.join("token")
    }

    /// The token that is kept.
    pub(crate) fn token(&self) -> Outcome<Option<SecretString>> {
        let path = self.token_path();
        if !exists(&path)? {
            return Ok(None);
        }
        super::passphrase::text_of(&read_secret(&path)?, &path).map(Some)
    }

    /// A client with another token, or another authority.
    pub(crate) fn client_with(&self, token: SecretString, authority: Option<Fingerprint>) -> Outcome<ServiceVault> {
        Ok(ServiceVault::new(ServiceOptions::new(self.address.clone(), authority, token))?)
    }

    /// The authority that is pinned.
    pub(crate) fn authority(&self) -> Outcome<Option<Fingerprint>> {
        let path = self.directory.join("authority");
        if !exists(&path)? {
            return Ok(None);
        }
        let text = fs::read_to_string(&path).map_err(|error| Failure::io(format!("cannot read '{}'", path.display()), &error))?;
        let damaged = |error| Failure::new(Exit::Failed, format!("'{}' is damaged", path.display())).because(&error);
        text.trim().parse().map(Some).map_err(damaged)
    }

    /// Keeps both, for this user alone.
    pub(crate) fn store(&self, token: &SecretString, authority: Option<Fingerprint>) -> Outcome<()> {
        let path = self.directory.join("authority");
        match authority {
            Some(authority) => write_private(&path, format!("{authority}\n").as_bytes())?,
            None => {
                // It need not be there.
                let _ = fs::remove_file(&path);
            }
        }
        write_private(&self.token_path(), token.expose_secret().as_bytes())
    }
}
