//! The embedded vault: one directory with objects, a SQLite database and an index, used by any number of processes of one
//! machine at once.
//!
//! ```text
//! objects/            storage: all that a restore needs, with a key
//! vault.db            the ledger; made anew from storage when it is gone
//! index/<domain>/     index segments; derived
//! sessions/           a lock file for each running session
//! making.lock         held while a process makes the vault or its database
//! in-use.lock         held by all who use the directory: programs together, or a vault service alone
//! ```
//! Invariant: a directory that lost everything but `objects/` is the same vault.

mod descriptors;
mod enrolments;
mod lock_files;
#[cfg(test)]
mod samples;
mod system;

use crate::environment::{Environment, Liveness};
use crate::ledger::{Ledger, SessionKind, SqliteLedger};
use crate::rebuild::RebuildReport;
use crate::repository::Repository;
use crate::trust::Trust;
use async_trait::async_trait;
use bytes::Bytes;
use contract::{CheckReport, Domain, Error, ErrorKind, Result, Vault};
use descriptors::Descriptors;
use enrolments::Enrolments;
use format::descriptor::{Certificate, Descriptor};
use format::enrolment::Enrolment;
use format::{DomainId, OwnerKey, SessionId};
use lock_files::LockFiles;
use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use storage::{LocalStore, ObjectStore};
use system::{SystemClock, SystemEntropy};
use tokio::sync::Mutex;

/// How to open an embedded vault.
#[derive(Debug, Clone, Default)]
pub struct EmbeddedOptions {
    /// The owner's key, where it is known: a descriptor of another owner is refused.
    pub owner: Option<OwnerKey>,
    /// Make the database anew from storage even if there is one.
    pub rebuild: bool,
    /// What journal entries keep that such a rebuild cannot read may be collected.
    pub give_up_unreadable: bool,
}

/// A vault in a directory.
pub struct EmbeddedVault {
    directory: PathBuf,
    store: Arc<dyn ObjectStore>,
    ledger: Arc<dyn Ledger>,
    environment: Environment,
    trust: Arc<Trust>,
    descriptors: Descriptors,
    enrolments: Enrolments,
    /// Held while an enrolment is looked at and stored: of two with one name, one is refused.
    enrolling: Mutex<()>,
    domains: Mutex<HashMap<DomainId, Arc<Repository>>>,
    rebuilt: Vec<(DomainId, RebuildReport)>,
    /// For a service: this process alone has the vault, and goes on with the sessions of the one before.
    is_served: bool,
    /// Kept open: it holds the lock.
    _in_use: fs::File,
}

/// The file whose lock is held while a vault, or its database, is made.
const MAKING: &str = "making.lock";

/// Who tells which sessions are alive.
type Alive = Arc<dyn Liveness>;

impl EmbeddedVault {
    /// Makes a vault in a directory that is empty or not there, with its first descriptor.
    pub async fn create(directory: &Path, descriptor: Bytes) -> Result<Self> {
        Self::create_with(directory, descriptor, None).await
    }

    /// Fails where [`EmbeddedVault::create`] would find something in its place, and makes nothing.
    pub fn refuse_taken(directory: &Path) -> Result<()> {
        refuse_network(directory)?;
        if directory.exists() { refuse_what_is_there(directory) } else { Ok(()) }
    }

    /// Makes a vault like [`EmbeddedVault::create`], for [`EmbeddedVault::serve`].
    pub async fn create_served(directory: &Path, descriptor: Bytes, liveness: Arc<dyn Liveness>) -> Result<Self> {
        Self::create_with(directory, descriptor, Some(liveness)).await
    }

    async fn create_with(directory: &Path, descriptor: Bytes, liveness: Option<Alive>) -> Result<Self> {
        let parsed = Descriptor::open(&descriptor, None).map_err(|error| Error::unreadable("the descriptor", error))?;
        refuse_network(directory)?;
        make_directory(directory)?;
        refuse_what_is_there(directory)?;
        // Held until all is made: another attempt would take what this one made for its own, and clear it.
        let making = lock_making(directory, Turn::NowOrNever)?;
        refuse_what_is_there(directory)?;
        let made = Self::make(directory, &parsed, &descriptor, liveness, making).await;
        if made.is_err() {
            // Nothing was there before and nothing was promised yet: the next attempt shall find it as this one did.
            clear_attempt(directory);
        }
        made
    }

    async fn make(
        directory: &Path,
        parsed: &Descriptor,
        descriptor: &Bytes,
        liveness: Option<Alive>,
        making: fs::File,
    ) -> Result<Self> {
        let store = open_store(directory, true).await?;
        Descriptors::new(store).put(parsed, descriptor).await?;
        let options = EmbeddedOptions { owner: Some(parsed.owner), ..EmbeddedOptions::default() };
        Self::open_with(directory, options, liveness, Some(making)).await
    }

    /// Opens a vault. Where the database is gone it is made anew from storage; [`EmbeddedVault::rebuilt`] tells.
    pub async fn open(directory: &Path, options: EmbeddedOptions) -> Result<Self> {
        Self::open_with(directory, options, None, None).await
    }

    /// Opens a vault for a service: nobody else uses the directory meanwhile, and sessions live as long as `liveness` says
    /// instead of as long as their processes.
    pub async fn serve(directory: &Path, options: EmbeddedOptions, liveness: Arc<dyn Liveness>) -> Result<Self> {
        Self::open_with(directory, options, Some(liveness), None).await
    }

    async fn open_with(
        directory: &Path,
        options: EmbeddedOptions,
        liveness: Option<Alive>,
        making: Option<fs::File>,
    ) -> Result<Self> {
        if let Err(error) = fs::metadata(directory.join("objects"))
            && error.kind() == io::ErrorKind::PermissionDenied
        {
            let what = format!("the vault in '{}' cannot be entered", directory.display());
            return Err(Error::new(ErrorKind::Denied, what).with_source(error).with_hint("it belongs to another user"));
        }
        if !directory.join("objects").is_dir() {
            return Err(Error::new(ErrorKind::Unavailable, format!("there is no vault in '{}'", directory.display()))
                .with_hint("'holdfast init' makes one; --vault or HOLDFAST_VAULT names it"));
        }
        refuse_network(directory)?;
        let is_served = liveness.is_some();
        let in_use = lock_in_use(directory, is_served)?;
        let store = open_store(directory, false).await?;
        let descriptors = Descriptors::new(store.clone());
        let (mut descriptor, _) = descriptors.newest(options.owner.as_ref()).await?;
        let enrolments = Enrolments::new(store.clone());
        descriptor.admit(&enrolled(&enrolments, &descriptor).await?);
        let database = directory.join("vault.db");
        // One process makes the database, or makes it anew; the others wait until it is whole.
        let _making = making.map_or_else(|| lock_making(directory, Turn::Later), Ok)?;
        let anew = options.rebuild || !database.exists();
        if options.rebuild {
            set_database_aside(&database)?;
        }
        let ledger = if anew { SqliteLedger::create(&database).await } else { SqliteLedger::open(&database).await };
        let ledger: Arc<dyn Ledger> = Arc::new(ledger.map_err(crate::fault::Fault::from)?);
        let sessions = directory.join("sessions");
        make_directory(&sessions)?;
        let environment = Environment {
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy),
            liveness: liveness.unwrap_or_else(|| Arc::new(LockFiles::new(sessions))),
        };
        let mut vault = Self {
            directory: directory.to_owned(),
            store,
            ledger,
            environment,
            trust: Arc::new(Trust::new(descriptor)),
            descriptors,
            enrolments,
            enrolling: Mutex::default(),
            domains: Mutex::default(),
            rebuilt: Vec::new(),
            is_served,
            _in_use: in_use,
        };
        if anew {
            vault.rebuild_domains(options.give_up_unreadable).await?;
        }
        Ok(vault)
    }

    /// What was made anew from storage when this vault was opened.
    #[must_use]
    pub fn rebuilt(&self) -> &[(DomainId, RebuildReport)] {
        &self.rebuilt
    }

    /// Ends the sessions that are no longer alive, in the domains that were used.
    pub async fn end_dead_sessions(&self) -> Result<()> {
        let domains: Vec<Arc<Repository>> = self.domains.lock().await.values().cloned().collect();
        for domain in domains {
            domain.inner.end_dead_sessions().await?;
        }
        Ok(())
    }

    /// Sessions of a domain that read or write and are open.
    pub async fn sessions_open(&self, domain: DomainId) -> Result<usize> {
        Ok(self.repository(domain).await?.inner.open_sessions().await?.len())
    }

    /// The domains that this vault serves.
    #[must_use]
    pub fn domains(&self) -> Vec<DomainId> {
        self.trust.descriptor().domains.iter().map(|domain| domain.id).collect()
    }

    /// The newest descriptor that this process knows, with what was enrolled since: who may sign what.
    #[must_use]
    pub fn trusted(&self) -> Arc<Descriptor> {
        self.trust.descriptor()
    }

    /// When a session that is still known was opened, in milliseconds since 1970 by the vault's wall clock.
    pub async fn session_opened_ms(&self, domain: DomainId, session: SessionId) -> Result<Option<i64>> {
        Ok(self.repository(domain).await?.inner.opened_ms(session).await?)
    }

    /// Whether a read session of this domain is open.
    pub async fn is_reader(&self, domain: DomainId, session: SessionId) -> Result<bool> {
        Ok(self.repository(domain).await?.inner.is_session(session, SessionKind::Read).await?)
    }

    /// The owner's X-Wing key: domain secrets are wrapped to it.
    #[must_use]
    pub fn owner_public(&self) -> Vec<u8> {
        self.trust.descriptor().owner_public.clone()
    }

    /// The directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    async fn rebuild_domains(&mut self, give_up_unreadable: bool) -> Result<()> {
        let domains: Vec<DomainId> = self.trust.descriptor().domains.iter().map(|domain| domain.id).collect();
        for domain in domains {
            if self.store.list(&format!("{domain}/"), None, 1).await.map_err(crate::fault::Fault::from)?.is_empty() {
                continue; // new: nothing was ever written
            }
            let (repository, report) = Repository::rebuild(
                domain,
                self.store.clone(),
                self.ledger.clone(),
                self.environment.clone(),
                self.trust.clone(),
                self.index_directory(domain),
            )
            .await?;
            if give_up_unreadable {
                repository.inner.give_up_unread().await?;
            }
            self.domains.get_mut().insert(domain, Arc::new(repository));
            self.rebuilt.push((domain, report));
        }
        Ok(())
    }

    fn index_directory(&self, domain: DomainId) -> PathBuf {
        self.directory.join("index").join(domain.to_string())
    }

    /// Domains whose enrolments are there and cannot be read, so that this vault does not serve them.
    pub async fn unreadable_enrolments(&self) -> Result<Vec<DomainId>> {
        self.enrolments.unreadable(&self.trust.descriptor()).await
    }

    /// Stores an enrolment; the same one again is no error. `Conflict` if its domain has another one or another domain its name,
    /// `Denied` if the ticket has expired.
    pub async fn enrol(&self, bytes: Bytes) -> Result<Enrolment> {
        // Who it is comes before any look into storage: everybody may ask.
        let opened = Enrolment::open(&bytes, &self.trust.descriptor());
        let enrolment = opened.map_err(|error| Error::unreadable("the enrolment", error))?;
        let _alone = self.enrolling.lock().await;
        self.newest().await?;
        let (descriptor, domain) = (self.trust.descriptor(), enrolment.ticket.domain);
        let of_agent = |known: &&Certificate| known.agent == enrolment.agent && known.domain == domain;
        if descriptor.certificates.iter().filter(of_agent).any(|known| known.retired) {
            return Err(Error::new(ErrorKind::Denied, "the agent was retired"));
        }
        let known = descriptor.domain(domain).is_some();
        if !known && enrolment.ticket.expires_ms <= self.environment.clock.now_ms() {
            return Err(Error::new(ErrorKind::Denied, "the enrolment token has expired")
                .with_hint("'holdfast agent token' makes another one"));
        }
        if !known && descriptor.domains.iter().any(|other| other.name == enrolment.ticket.name) {
            let what = format!("the vault has a domain '{}' already", enrolment.ticket.name);
            return Err(Error::new(ErrorKind::Conflict, what)
                .with_hint("make an enrolment token with another name: 'holdfast agent token NAME'"));
        }
        self.enrolments.put(&enrolment, &bytes).await?;
        self.trust.admit(&enrolment);
        Ok(enrolment)
    }

    /// The newest descriptor as it is stored; this process trusts it from now on, with what was enrolled since.
    async fn newest(&self) -> Result<Bytes> {
        let (mut descriptor, bytes) = self.descriptors.newest(Some(&self.trust.descriptor().owner)).await?;
        descriptor.admit(&enrolled(&self.enrolments, &descriptor).await?);
        self.trust.replace(descriptor)?;
        Ok(bytes)
    }

    /// A domain as this process's repository.
    async fn repository(&self, domain: DomainId) -> Result<Arc<Repository>> {
        let mut domains = self.domains.lock().await;
        if let Some(repository) = domains.get(&domain) {
            return Ok(repository.clone());
        }
        if self.trust.descriptor().domain(domain).is_none() {
            // Perhaps another process enrolled it.
            self.newest().await?;
        }
        if self.trust.descriptor().domain(domain).is_none() {
            return Err(Error::new(ErrorKind::NotFound, format!("the vault has no domain {domain}")));
        }
        let repository = Repository::open(
            domain,
            self.store.clone(),
            self.ledger.clone(),
            self.environment.clone(),
            self.trust.clone(),
            self.index_directory(domain),
        )
        .await?;
        if self.is_served {
            repository.inner.revive_sessions().await?;
        }
        let repository = Arc::new(repository);
        domains.insert(domain, repository.clone());
        Ok(repository)
    }
}

#[async_trait]
impl Vault for EmbeddedVault {
    async fn descriptor(&self) -> Result<Bytes> {
        self.newest().await
    }

    async fn enrolments(&self) -> Result<Vec<Bytes>> {
        let all = self.enrolments.all(&self.trust.descriptor()).await?;
        Ok(all.into_values().map(|(_, bytes)| bytes).collect())
    }

    async fn publish_descriptor(&self, bytes: Bytes) -> Result<()> {
        let (current, _) = self.descriptors.newest(Some(&self.trust.descriptor().owner)).await?;
        let next = Descriptor::open(&bytes, None).map_err(|error| Error::unreadable("the descriptor", error))?;
        if next.owner != current.owner || next.vault != current.vault {
            return Err(Error::new(ErrorKind::Denied, "the descriptor is of another vault or signed by another owner"));
        }
        if next.version != current.version + 1 {
            return Err(Error::new(ErrorKind::Conflict, "the vault's descriptor was changed meanwhile")
                .with_hint("run the command again"));
        }
        self.descriptors.put(&next, &bytes).await?;
        self.newest().await.map(drop)
    }

    async fn passphrase_wrap(&self) -> Result<Option<Bytes>> {
        self.descriptors.newest_wrap().await
    }

    async fn set_passphrase_wrap(&self, wrap: Option<Bytes>) -> Result<()> {
        self.descriptors.replace_wrap(wrap).await
    }

    async fn check(&self) -> Result<CheckReport> {
        let descriptor = self.trust.descriptor();
        let mut report = self.descriptors.check(&descriptor.owner).await?;
        self.enrolments.check(&descriptor, &mut report).await?;
        Ok(report)
    }

    async fn domain(&self, domain: DomainId) -> Result<Arc<dyn Domain>> {
        Ok(self.repository(domain).await?)
    }
}

/// Domains that were enrolled, perhaps since the descriptor was signed.
async fn enrolled(enrolments: &Enrolments, descriptor: &Descriptor) -> Result<Vec<Enrolment>> {
    Ok(enrolments.all(descriptor).await?.into_values().map(|(enrolment, _)| enrolment).collect())
}

async fn open_store(directory: &Path, create: bool) -> Result<Arc<dyn ObjectStore>> {
    let objects = directory.join("objects");
    let store = if create { LocalStore::create(objects).await } else { LocalStore::open(objects).await };
    Ok(Arc::new(store.map_err(crate::fault::Fault::from)?))
}

/// The lock of an attempt that left nothing else does not count.
fn refuse_what_is_there(directory: &Path) -> Result<()> {
    let entries = fs::read_dir(directory).map_err(|error| {
        Error::new(ErrorKind::Unavailable, format!("cannot look into '{}'", directory.display())).with_source(error)
    });
    if directory.join("vault.db").exists() {
        return Err(Error::new(ErrorKind::Conflict, format!("a vault is in '{}' already", directory.display())).with_hint(
            "'holdfast status' shows it, if it was made to its end; another one is made in an empty or new directory",
        ));
    }
    let is_lock = |entry: &io::Result<fs::DirEntry>| entry.as_ref().is_ok_and(|entry| entry.file_name() == MAKING);
    if entries?.all(|entry| is_lock(&entry)) {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Conflict, format!("'{}' is not empty", directory.display()))
        .with_hint("a vault is made in an empty or new directory"))
}

fn cannot_lock(directory: &Path, error: io::Error) -> Error {
    Error::new(ErrorKind::Unavailable, format!("cannot lock the vault in '{}'", directory.display())).with_source(error)
}

/// Whether to wait for a lock that somebody has.
#[derive(Clone, Copy)]
enum Turn {
    Later,
    NowOrNever,
}

/// Held while a vault is made, or its database is looked for and made.
fn lock_making(directory: &Path, turn: Turn) -> Result<fs::File> {
    use rustix::fs::FlockOperation::{LockExclusive, NonBlockingLockExclusive};
    let open = || fs::OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(directory.join(MAKING));
    let file = open().map_err(|error| cannot_lock(directory, error))?;
    let operation = match turn {
        Turn::Later => LockExclusive,
        Turn::NowOrNever => NonBlockingLockExclusive,
    };
    match rustix::fs::flock(&file, operation) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => {
            Err(Error::new(ErrorKind::Conflict, format!("another program is making the vault in '{}'", directory.display())))
        }
        Err(error) => Err(cannot_lock(directory, error.into())),
    }
}

/// A service tells by leases which sessions are alive, programs by lock files: they would end each other's.
fn lock_in_use(directory: &Path, alone: bool) -> Result<fs::File> {
    use rustix::fs::FlockOperation::{NonBlockingLockExclusive, NonBlockingLockShared};
    let path = directory.join("in-use.lock");
    let open = || fs::OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
    let file = open().map_err(|error| cannot_lock(directory, error))?;
    let operation = if alone { NonBlockingLockExclusive } else { NonBlockingLockShared };
    rustix::fs::flock(&file, operation).map_err(|_| {
        let (who, hint) = if alone {
            ("programs or another vault service use", "wait until they have ended")
        } else {
            ("a vault service uses", "use it through the service: HOLDFAST_VAULT=https://…")
        };
        Error::new(ErrorKind::Unavailable, format!("{who} the vault in '{}'", directory.display())).with_hint(hint)
    })?;
    Ok(file)
}

fn make_directory(directory: &Path) -> Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(|error| {
        let kind = if error.kind() == io::ErrorKind::PermissionDenied { ErrorKind::Denied } else { ErrorKind::Unavailable };
        Error::new(kind, format!("cannot make the directory '{}'", directory.display())).with_source(error)
    })
}

/// Removes what an attempt to make a vault left in a directory that was empty.
fn clear_attempt(directory: &Path) {
    // Whoever opened it meanwhile has a vault there.
    let Ok(_alone) = lock_in_use(directory, true) else { return };
    for made in ["objects", "index", "sessions"] {
        // What cannot be removed stays in sight: the next attempt names the directory.
        let _ = fs::remove_dir_all(directory.join(made));
    }
    // Not the lock: whoever waits for it must not get one that nobody sees.
    for made in ["vault.db", "vault.db-wal", "vault.db-shm", "in-use.lock"] {
        let _ = fs::remove_file(directory.join(made));
    }
}

/// SQLite's locks do not hold on network file systems.
fn refuse_network(directory: &Path) -> Result<()> {
    let there = directory.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
    match storage::is_network_file_system(there) {
        Ok(true) => Err(Error::new(ErrorKind::Denied, format!("'{}' is on a network file system", directory.display()))
            .with_hint("an embedded vault needs a local disk: its database's locks do not hold over a network")),
        _ => Ok(()),
    }
}

/// A database that is not to be trusted is kept, under another name.
fn set_database_aside(database: &Path) -> Result<()> {
    if !database.exists() {
        return Ok(());
    }
    let free = (1..).map(|n| database.with_extension(format!("db.set-aside-{n}"))).find(|path| !path.exists());
    let free = free.expect("there is a number without end");
    let moved = fs::rename(database, &free);
    for suffix in ["-wal", "-shm"] {
        let mut name = database.as_os_str().to_owned();
        name.push(suffix);
        let mut to = free.as_os_str().to_owned();
        to.push(suffix);
        // They need not be there.
        let _ = fs::rename(name, to);
    }
    moved.map_err(|error| Error::new(ErrorKind::Unavailable, "cannot set the old database aside").with_source(error))
}

#[cfg(test)]
mod tests {
    use super::samples::signed;
    use super::*;

    #[tokio::test]
    async fn of_two_who_make_a_vault_in_one_directory_one_does_and_the_other_leaves_it_alone() {
        let place = tempfile::tempdir().unwrap();
        let directory = place.path().join("vault");
        let (owner, other) = (signed(1).1, signed(2).1);
        let (one, two) = tokio::join!(EmbeddedVault::create(&directory, owner.clone()), EmbeddedVault::create(&directory, other));
        let refused = two.err().map(|error| error.kind());
        assert_eq!((one.is_ok(), refused), (true, Some(ErrorKind::Conflict)));
        drop(one);
        let vault = EmbeddedVault::open(&directory, EmbeddedOptions::default()).await.unwrap();
        assert_eq!(vault.descriptor().await.unwrap(), owner);
    }

    #[tokio::test]
    async fn a_failed_attempt_clears_what_it_made_unless_somebody_uses_it() {
        let place = tempfile::tempdir().unwrap();
        let vault = EmbeddedVault::create(place.path(), signed(1).1).await.unwrap();
        clear_attempt(place.path());
        assert!(place.path().join("objects").is_dir(), "it is in use");
        drop(vault);
        clear_attempt(place.path());
        refuse_what_is_there(place.path()).unwrap();
    }

    #[test]
    fn what_cannot_be_looked_into_does_not_count_as_empty() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(refuse_what_is_there(file.path()).is_err());
    }
}
