//! What this machine keeps of one vault.
//!
//! ```text
//! <config>/vaults/<vault id>/owner            the owner's public key, pinned
//! <config>/vaults/<vault id>/domain           the domain that this machine writes
//! <config>/vaults/<vault id>/passphrase.wrap  the owner seed under the passphrase
//! <config>/vaults/<vault id>/NAME.recipient   the owner seed to a recipient
//! <config>/vaults/<vault id>/write-only       keys that can add points and open nothing
//! <config>/vaults/<vault id>/agent            the keys of an enrolled machine: they open and write its own domain
//! <config>/vaults/<vault id>/enrolment        what was sent to enrol, until the service has taken it
//! <config>/vaults/<vault id>/enrolled         the same from then on: a service that lost its database takes it again
//! <config>/vaults/<vault id>/enrolment-token  the token for the service that it was sent with
//! <state>/vaults/<vault id>/seen.json         what was seen last: less than that is an alarm
//! <state>/vaults/<vault id>/incomplete        points that lack a whole part of their item, for lists
//! ```

use super::directories::Directories;
use super::files::{exists, read_secret, write_private};
use crate::failure::{Exit, Failure, Outcome};
use format::{DomainId, OwnerKey, VaultId};
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use zeroize::Zeroizing;

/// The directories of one vault.
#[derive(Debug, Clone)]
pub(crate) struct VaultHome {
    pub(crate) config: PathBuf,
    pub(crate) state: PathBuf,
}

impl VaultHome {
    pub(crate) fn new(directories: &Directories, vault: VaultId) -> Self {
        let below = |directory: &Path| directory.join("vaults").join(vault.to_string());
        Self { config: below(&directories.config), state: below(&directories.state) }
    }

    /// The owner's key that this machine trusts, if it knows the vault.
    pub(crate) fn owner(&self) -> Outcome<Option<OwnerKey>> {
        self.read_id("owner")
    }

    pub(crate) fn pin_owner(&self, owner: OwnerKey) -> Outcome<()> {
        write_private(&self.config.join("owner"), format!("{owner}\n").as_bytes())
    }

    /// The domain that this machine writes.
    pub(crate) fn domain(&self) -> Outcome<Option<DomainId>> {
        self.read_id("domain")
    }

    pub(crate) fn set_domain(&self, domain: DomainId) -> Outcome<()> {
        write_private(&self.config.join("domain"), format!("{domain}\n").as_bytes())
    }

    pub(crate) fn passphrase_wrap(&self) -> PathBuf {
        self.config.join("passphrase.wrap")
    }

    pub(crate) fn recipient_wrap(&self, name: &str) -> PathBuf {
        self.config.join(format!("{name}.recipient"))
    }

    /// Wraps to recipients that lie here.
    pub(crate) fn recipient_wraps(&self) -> Vec<PathBuf> {
        let Ok(files) = fs::read_dir(&self.config) else { return Vec::new() };
        let paths = files.flatten().map(|file| file.path());
        paths.filter(|path| path.extension().is_some_and(|extension| extension == "recipient")).collect()
    }

    pub(crate) fn write_only(&self) -> PathBuf {
        self.config.join("write-only")
    }

    pub(crate) fn agent(&self) -> PathBuf {
        self.config.join("agent")
    }

    pub(crate) fn enrolment(&self) -> PathBuf {
        self.config.join("enrolment")
    }

    pub(crate) fn enrolled(&self) -> PathBuf {
        self.config.join("enrolled")
    }

    /// The enrolment was taken: the keys count from now on.
    pub(crate) fn keep_enrolment(&self) -> Outcome<()> {
        let (from, to) = (self.enrolment(), self.enrolled());
        fs::rename(&from, &to).map_err(|error| Failure::io(format!("cannot rename '{}'", from.display()), &error))
    }

    /// The vaults of which this machine keeps anything.
    pub(crate) fn all(directories: &Directories) -> Vec<Self> {
        let Ok(entries) = fs::read_dir(directories.config.join("vaults")) else { return Vec::new() };
        let ids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        ids.map(|vault| Self::new(directories, vault)).collect()
    }

    pub(crate) fn enrolment_token(&self) -> PathBuf {
        self.config.join("enrolment-token")
    }

    pub(crate) fn seen(&self) -> PathBuf {
        self.state.join("seen.json")
    }

    /// A private file, if it is there.
    pub(crate) fn read(path: &Path) -> Outcome<Option<Zeroizing<Vec<u8>>>> {
        if exists(path)? { read_secret(path).map(Some) } else { Ok(None) }
    }

    fn read_id<T: FromStr>(&self, name: &str) -> Outcome<Option<T>> {
        let path = self.config.join(name);
        let Some(bytes) = Self::read(&path)? else { return Ok(None) };
        let text = String::from_utf8_lossy(&bytes);
        let damaged = || Failure::new(Exit::Failed, format!("'{}' is damaged", path.display()));
        text.trim().parse().map(Some).map_err(|_| damaged())
    }
}
