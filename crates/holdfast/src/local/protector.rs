//! What this machine's agent is: which vault, which domain, which keys, without asking the service.
//!
//! Also what it trusts of the vault and remembers of it, as every command does: [`Witness`].

use super::chains::Finding;
use super::directories::Directories;
use super::keyring::{Opened, agent_keys_in, write_only_in};
use super::login::Login;
use super::remembered::Remembered;
use super::vault_home::VaultHome;
use super::vault_place::VaultPlace;
use crate::cli::Global;
use crate::failure::{Exit, Failure, Outcome};
use agent::{Places, Secrets, Seen, Trouble, TroubleKind, Trust};
use api::{Address, ServiceVault};
use async_trait::async_trait;
use contract::Vault;
use format::descriptor::Descriptor;
use format::enrolment::Enrolment;
use format::{DomainId, ItemName};
use seal::AgentKeys;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// File of the agent's own configuration, in the configuration directory.
const BOUNDS: &str = "agent.toml";
/// Directory of restores, in the state directory.
const STAGING: &str = "restores";

/// The agent of this machine in one vault.
pub(crate) struct Protector {
    pub(crate) address: Address,
    pub(crate) home: VaultHome,
    pub(crate) directories: Directories,
    pub(crate) login: Login,
    pub(crate) domain: DomainId,
    pub(crate) secrets: Secrets,
    /// Whether the machine enrolled, and has keys of its own that open what it makes.
    pub(crate) enrolled: bool,
}

/// Keys of one vault, and the service that they were made for, where that is known.
struct Candidate {
    home: VaultHome,
    service: Option<Address>,
    enrolled: bool,
    domain: DomainId,
    secrets: Secrets,
}

impl Protector {
    /// The one of the vault that the command line names, or the only one.
    pub(crate) fn find(global: &Global) -> Outcome<Self> {
        let directories = Directories::of_user();
        let wanted = match &global.vault {
            Some(VaultPlace::Service(address)) => Some(address.clone()),
            Some(VaultPlace::Directory(_)) => {
                let what = "an agent protects a machine with a vault service, and the vault is in a directory";
                return Err(Failure::new(Exit::Usage, what).with_hint("name the service: HOLDFAST_VAULT=https://HOST:PORT"));
            }
            None => None,
        };
        let mut candidates = Vec::new();
        for home in VaultHome::all(&directories) {
            candidates.extend(Candidate::of(home)?);
        }
        let fits = |candidate: &Candidate| match (&candidate.service, &wanted) {
            (Some(service), Some(wanted)) => service.as_str() == wanted.as_str(),
            _ => true,
        };
        candidates.retain(fits);
        // One that is known to be of this service comes before those of which that is not known.
        if wanted.is_some() && candidates.iter().any(|candidate| candidate.service.is_some()) {
            candidates.retain(|candidate| candidate.service.is_some());
        }
        let mut candidates = candidates.into_iter();
        let Some(Candidate { home, service, enrolled, domain, secrets }) = candidates.next() else {
            return Err(Failure::new(Exit::Failed, "this machine is enrolled in no such vault").with_hint(not_enrolled()));
        };
        if candidates.next().is_some() {
            return Err(Failure::new(Exit::Usage, "this machine has keys of several vaults")
                .with_hint("name the vault service with HOLDFAST_VAULT=https://…"));
        }
        let address = wanted.or(service).ok_or_else(|| {
            Failure::new(Exit::Usage, "no vault service is named").with_hint("name it with --vault or HOLDFAST_VAULT (https://…)")
        })?;
        let login = Login::new(&directories, &address);
        Ok(Self { address, home, directories, login, domain, secrets, enrolled })
    }

    /// The agent's own configuration.
    pub(crate) fn bounds_path(&self) -> PathBuf {
        self.directories.config.join(BOUNDS)
    }

    /// Where it keeps what.
    pub(crate) fn places(&self, staging: Option<&PathBuf>) -> Places {
        let Directories { config, state, cache } = self.directories.clone();
        Places {
            state: self.home.state.join("agent"),
            staging: staging.cloned().unwrap_or_else(|| state.join(STAGING)),
            own: vec![config, state, cache],
        }
    }

    /// What it trusts of the vault.
    pub(crate) fn witness(&self) -> Witness {
        Witness { address: self.address.clone(), home: self.home.clone(), directories: self.directories.clone() }
    }
}

/// What to do where nothing is found of an enrolment: make one, or look as the user that has it.
fn not_enrolled() -> &'static str {
    let is_roots = !rustix::process::geteuid().is_root() && Path::new("/etc/holdfast").exists();
    match is_roots {
        true => "root's agent is enrolled in '/etc/holdfast': run this as root (sudo) for that one",
        false => "'holdfast agent token NAME' where the owner's key is, then 'holdfast agent enroll' here",
    }
}

/// What to do where the service does not let an enrolled machine in any more. It says no more than that: whoever has the token of
/// somebody else learns nothing.
pub(crate) const LET_IN_AGAIN: &str = "the owner retired this machine's agent, or an administrator ended its token: 'holdfast agent token NAME' where the owner's key is, \
     then 'holdfast agent enroll --replace' here; if the service lost its database: 'holdfast agent enroll --again'";

/// The vault services that this machine is enrolled at, as far as that can be read.
pub(super) fn enrolled_at(directories: &Directories) -> Vec<Address> {
    let service = |home: VaultHome| {
        let enrolled = VaultHome::read(&home.enrolled()).ok()??;
        Enrolment::parse(&enrolled).ok()?.ticket.service.parse().ok()
    };
    VaultHome::all(directories).into_iter().filter_map(service).collect()
}

impl Candidate {
    fn of(home: VaultHome) -> Outcome<Option<Self>> {
        if let Some(AgentKeys { signer, domain, secret }) = agent_keys_in(&home)? {
            let ticket = VaultHome::read(&home.enrolled())?.map(|bytes| Enrolment::parse(&bytes)).transpose()?;
            let service = ticket.and_then(|enrolment| enrolment.ticket.service.parse().ok());
            let secrets = Secrets { writer: secret.writer(domain), signer: Arc::new(signer), secret: Some(secret) };
            return Ok(Some(Self { home, service, enrolled: true, domain, secrets }));
        }
        Ok(write_only_in(&home)?.map(|keys| {
            let secrets = Secrets { writer: keys.writer, signer: Arc::new(keys.signer), secret: None };
            let domain = secrets.writer.domain();
            Self { home, service: None, enrolled: false, domain, secrets }
        }))
    }
}

/// What this machine has seen of a vault, for its agent: the same files and the same alarms as for every command.
pub(crate) struct Witness {
    address: Address,
    home: VaultHome,
    directories: Directories,
}

impl Witness {
    async fn open(&self, service: &ServiceVault) -> Outcome<Opened> {
        let opened = Opened::behind(service.clone(), self.address.clone(), self.directories.clone()).await?;
        if opened.home.config != self.home.config {
            return Err(Failure::new(
                Exit::Damage,
                "another vault is at the service's address than the one that this machine knows",
            )
            .with_hint("nothing was read or written"));
        }
        if opened.home.owner()?.is_none() {
            return Err(Failure::new(Exit::Damage, "this machine has pinned no owner of the vault")
                .with_hint("enrol it again, or open the vault once with the owner's secret"));
        }
        Ok(opened)
    }

    async fn check(&self, service: &ServiceVault, domain: DomainId, item: &ItemName) -> Outcome<Seen> {
        let opened = self.open(service).await?;
        let chain = Vault::domain(service, domain).await?;
        let warning = match opened.check_item(chain.as_ref(), item).await? {
            Finding::Held => None,
            Finding::Untrusted(failure) => return Err(failure),
            Finding::Gone(words) => Some(words),
        };
        let remembered = opened.remembered.item(domain, item)?;
        Ok(Seen { descriptor: Arc::new(opened.descriptor), remembered, warning })
    }
}

#[async_trait]
impl Trust for Witness {
    async fn look(&self, service: &ServiceVault) -> Result<Arc<Descriptor>, Trouble> {
        let opened = self.open(service).await.map_err(|failure| trouble(&failure))?;
        opened.remember().map_err(|failure| trouble(&failure))?;
        Ok(Arc::new(opened.descriptor))
    }

    async fn look_at(&self, service: &ServiceVault, domain: DomainId, item: &ItemName) -> Result<Seen, Trouble> {
        self.check(service, domain, item).await.map_err(|failure| trouble(&failure))
    }

    fn sequence(&self, domain: DomainId, item: &ItemName) -> u64 {
        let seen = Remembered::load(&self.home, false).and_then(|remembered| remembered.item(domain, item));
        seen.ok().flatten().map_or(0, |seen| seen.sequence.0)
    }

    fn remember(&self, domain: DomainId, seen: &engine::Remembered) -> Result<(), Trouble> {
        let remember = || {
            let mut remembered = Remembered::load(&self.home, false)?;
            remembered.remember_item(domain, seen);
            remembered.store(&self.home)
        };
        remember().map_err(|failure| trouble(&failure))
    }
}

/// A failure as it stands on a job's record.
fn trouble(failure: &Failure) -> Trouble {
    let kind = match failure.exit {
        Exit::Unavailable => TroubleKind::Away,
        Exit::Refused => TroubleKind::Denied,
        _ => TroubleKind::Failed,
    };
    let message = [failure.heading()].into_iter().chain(failure.causes().iter().map(String::as_str)).collect::<Vec<_>>();
    let trouble = Trouble::new(kind, message.join(": "));
    match failure.hint() {
        Some(hint) => trouble.with_hint(hint),
        None => trouble,
    }
}
