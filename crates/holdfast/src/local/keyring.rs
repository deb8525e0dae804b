//! Opening a vault, without keys or with those that a command needs.
//!
//! Order of trust: the owner's key is pinned on this machine, or follows from the secret that the user gives; the
//! descriptor must be signed by it and not be older than one that was seen.

use super::directories::Directories;
use super::files::{exists, read_secret};
use super::login::Login;
use super::passphrase::passphrase;
use super::protector::{LET_IN_AGAIN, enrolled_at};
use super::remembered::Remembered;
use super::vault_home::VaultHome;
use super::vault_place::VaultPlace;
use crate::cli::Global;
use crate::failure::{Exit, Failure, Outcome};
use crate::terminal::{self, note};
use api::{Address, Scope, ServiceVault};
use contract::{Domain, Vault};
use engine::ReadKeys;
use format::descriptor::{Descriptor, DomainEntry};
use format::enrolment::Enrolment;
use format::wrap::Wrap;
use format::{DomainId, VaultId};
use repository::{EmbeddedOptions, EmbeddedVault, RebuildReport};
use seal::{AgentKeys, AgentSigner, DomainSecret, DomainWriter, OwnerSeed, RecipientSecret};
use secrecy::{ExposeSecret, SecretString};
use std::sync::Arc;
use zeroize::Zeroizing;

/// Domains that a note names, at most.
const DOMAINS_NAMED: usize = 5;

/// A vault that is open, without keys.
pub(crate) struct Opened {
    pub(crate) vault: Arc<dyn Vault>,
    /// The same vault, where it is in a directory.
    pub(crate) embedded: Option<Arc<EmbeddedVault>>,
    /// The same vault, where it is behind a service.
    pub(crate) service: Option<ServiceVault>,
    pub(crate) place: VaultPlace,
    pub(crate) descriptor: Descriptor,
    pub(crate) home: VaultHome,
    pub(crate) directories: Directories,
    pub(crate) remembered: Remembered,
}

/// The keys of one domain, from the owner seed.
pub(crate) struct Keys {
    pub(crate) seed: OwnerSeed,
    pub(crate) domain: DomainId,
    pub(crate) secret: DomainSecret,
}

/// The keys that open one domain, whoever holds them.
pub(crate) struct DomainKeys {
    pub(crate) domain: DomainId,
    pub(crate) secret: DomainSecret,
}

impl From<DomainKeys> for ReadKeys {
    fn from(keys: DomainKeys) -> Self {
        Self::new(keys.secret, keys.domain)
    }
}

/// A secret that opened the vault, and what of it.
pub(crate) struct TestedSecret {
    pub(crate) seed: OwnerSeed,
    /// What it is.
    pub(crate) secret: &'static str,
    /// Of a passphrase: whether it opens this machine's wrap, if there is one.
    pub(crate) machine: Option<bool>,
    /// The same of the vault's.
    pub(crate) vault: Option<bool>,
    /// Why nobody knows whether that has one.
    pub(crate) unasked: Option<Failure>,
}

/// Keys that can add points and open nothing.
pub(crate) struct WriteOnly {
    pub(crate) writer: DomainWriter,
    pub(crate) signer: AgentSigner,
}

/// Where the vault is.
fn vault_place(global: &Global) -> Outcome<VaultPlace> {
    global.vault.clone().ok_or_else(|| {
        let failure = Failure::new(Exit::Usage, "no vault is named");
        match enrolled_at(&Directories::of_user()).as_slice() {
            [] => {
                failure.with_hint("name it with --vault or HOLDFAST_VAULT (a directory, or https://…); 'holdfast init' makes one")
            }
            [one] => failure
                .with_hint(format!("this machine is enrolled at {one}: name it with --vault {one} or HOLDFAST_VAULT={one}")),
            several => {
                let several: Vec<String> = several.iter().map(ToString::to_string).collect();
                failure.with_hint(format!(
                    "name it with --vault or HOLDFAST_VAULT; this machine is enrolled at {}",
                    several.join(", ")
                ))
            }
        }
    })
}

/// Opens the vault that the command line names.
pub(crate) async fn open_keyless(global: &Global) -> Outcome<Opened> {
    open(global, EmbeddedOptions::default()).await
}

/// Opens it with its database made anew from storage.
pub(crate) async fn open_rebuilt(global: &Global, give_up_unreadable: bool) -> Outcome<Opened> {
    open(global, EmbeddedOptions { owner: None, rebuild: true, give_up_unreadable }).await
}

/// What a rebuild could not read, and what it set aside.
pub(crate) fn what_it_lacks(report: &RebuildReport) -> Vec<String> {
    let packs = report.unreadable_packs.iter().map(|(pack, why)| format!("pack {pack} cannot be read: {why}"));
    let entries = report.unreadable_entries.iter().map(|(number, why)| format!("journal entry {number} cannot be read: {why}"));
    let records = report.set_aside.iter().map(|aside| format!("record {} is set aside: {}", aside.number, aside.why));
    packs.chain(entries).chain(records).collect()
}

async fn open(global: &Global, options: EmbeddedOptions) -> Outcome<Opened> {
    let rebuild = options.rebuild;
    let place = vault_place(global)?;
    let directories = Directories::of_user();
    let (vault, embedded, service): (Arc<dyn Vault>, _, _) = match &place {
        VaultPlace::Service(address) if !rebuild => {
            let client = Login::new(&directories, address).client()?;
            (Arc::new(client.clone()), None, Some(client))
        }
        place => {
            let embedded = Arc::new(EmbeddedVault::open(place.directory()?, options).await?);
            (embedded.clone(), Some(embedded), None)
        }
    };
    let looked = look(vault.as_ref(), &directories, global.accept_rollback).await;
    let Shown { descriptor, home, remembered } = looked.map_err(|failure| match &place {
        // It is no user who would log in.
        VaultPlace::Service(address) if failure.exit == Exit::Refused && enrolled_at(&directories).contains(address) => {
            failure.with_hint(LET_IN_AGAIN)
        }
        _ => failure,
    })?;
    for (domain, report) in embedded.iter().flat_map(|embedded| embedded.rebuilt()) {
        if !global.quiet && !rebuild {
            note!(
                "note: the vault's database was not there; made anew from storage for domain {domain}: {} in {}",
                terminal::counted(report.points, "point", "points"),
                terminal::counted(report.packs, "pack", "packs")
            );
            what_it_lacks(report).iter().for_each(|lack| note!("warning: {lack}"));
        }
    }
    let opened = Opened { vault, embedded, service, place, descriptor, home, directories, remembered };
    if global.accept_rollback {
        opened.accept_items(global).await?;
    }
    Ok(opened)
}

/// What a vault shows, as far as it is trusted.
struct Shown {
    descriptor: Descriptor,
    home: VaultHome,
    remembered: Remembered,
}

/// Looks at a vault: signed by the owner that is pinned, and not older than what was seen.
async fn look(vault: &dyn Vault, directories: &Directories, accept_rollback: bool) -> Outcome<Shown> {
    let mut descriptor = Descriptor::open(&vault.descriptor().await?, None)?;
    let enrolled = vault.enrolments().await?;
    // What the owner does not vouch for adds nothing.
    let enrolled: Vec<Enrolment> = enrolled.iter().filter_map(|bytes| Enrolment::open(bytes, &descriptor).ok()).collect();
    descriptor.admit(&enrolled);
    let home = VaultHome::new(directories, descriptor.vault);
    if home.owner()?.is_some_and(|owner| owner != descriptor.owner) {
        return Err(Failure::new(Exit::Damage, "the vault's descriptor is not signed by the owner that this machine knows")
            .with_hint("somebody put another vault in its place; nothing was read or written"));
    }
    descriptor.check_features(true)?;
    let mut remembered = Remembered::load(&home, accept_rollback)?;
    remembered.see_descriptor(descriptor.version)?;
    Ok(Shown { descriptor, home, remembered })
}

impl Opened {
    /// A vault behind a service that is connected already.
    pub(crate) async fn behind(service: ServiceVault, address: Address, directories: Directories) -> Outcome<Self> {
        let Shown { descriptor, home, remembered } = look(&service, &directories, false).await?;
        let (vault, place) = (Arc::new(service.clone()), VaultPlace::Service(address));
        Ok(Self { vault, embedded: None, service: Some(service), place, descriptor, home, directories, remembered })
    }
}

/// Opens the vault and the keys of the chosen domain.
pub(crate) async fn open_with_keys(global: &Global) -> Outcome<(Opened, Keys)> {
    let opened = open_keyless(global).await?;
    let seed = opened.seed(global).await?;
    let entry = opened.domain_entry(global)?;
    let secret = seed.domain_secret(entry)?;
    let keys = Keys { domain: entry.id, secret, seed };
    Ok((opened, keys))
}

/// Opens the vault and the keys of one domain: those of this machine's agent, if it has any and no other secret is given, or
/// the owner's.
pub(crate) async fn open_to_read(global: &Global) -> Outcome<(Opened, DomainKeys)> {
    let opened = open_keyless(global).await?;
    if let Some(AgentKeys { domain, secret, .. }) = opened.agent_keys_for(global)? {
        return Ok((opened, DomainKeys { domain, secret }));
    }
    let seed = opened.seed(global).await?;
    let entry = opened.domain_entry(global)?;
    let keys = DomainKeys { domain: entry.id, secret: seed.domain_secret(entry)? };
    Ok((opened, keys))
}

impl Opened {
    /// The keys of this machine's agent, if it is enrolled: they are there before the service has taken them.
    pub(crate) fn agent_keys(&self) -> Outcome<Option<AgentKeys>> {
        agent_keys_in(&self.home)
    }

    /// The same, if they are what the command line asks for: no other secret, no other domain.
    pub(crate) fn agent_keys_for(&self, global: &Global) -> Outcome<Option<AgentKeys>> {
        match self.agent_keys()? {
            Some(keys) if !Self::has_configured_secret(global) && self.means(global, keys.domain)? => Ok(Some(keys)),
            _ => Ok(None),
        }
    }

    /// The owner seed, by whichever secret the user has.
    pub(crate) async fn seed(&self, global: &Global) -> Outcome<OwnerSeed> {
        let seed = self.proven_seed(global).await?;
        if self.home.owner()?.is_none() {
            self.home.pin_owner(self.descriptor.owner)?;
        }
        for domain in seed.unopened(&self.descriptor) {
            let name = self.descriptor.domain(domain).map(|entry| terminal::printable(entry.name.as_bytes())).unwrap_or_default();
            note!(
                "warning: the enrolled domain '{name}' ({domain}) is sealed to somebody else: its secret does not open with the owner's key. \
                 Its backups cannot be restored; do not trust them, and retire its agent ('holdfast key list', 'holdfast key retire')"
            );
        }
        Ok(seed)
    }

    /// The owner seed, without anything that follows from having it.
    async fn proven_seed(&self, global: &Global) -> Outcome<OwnerSeed> {
        let seed = match self.seed_of_file(global)? {
            Some((seed, _)) => seed,
            None => self.seed_of_passphrase(global).await?,
        };
        self.is_owners(&seed)?;
        Ok(seed)
    }

    /// Tries the secret on all that it may open, and changes nothing.
    pub(crate) async fn test_secret(&self, global: &Global) -> Outcome<TestedSecret> {
        let tested = match self.seed_of_file(global)? {
            Some((seed, secret)) => TestedSecret { seed, secret, machine: None, vault: None, unasked: None },
            None => self.test_passphrase(global).await?,
        };
        self.is_owners(&tested.seed)?;
        Ok(tested)
    }

    fn is_owners(&self, seed: &OwnerSeed) -> Outcome<()> {
        match seed.commits_to(&self.descriptor) {
            true => Ok(()),
            false => Err(Failure::new(Exit::WrongKey, "the secret belongs to another vault or owner")),
        }
    }

    /// The owner seed by a file that is named, and what that is.
    fn seed_of_file(&self, global: &Global) -> Outcome<Option<(OwnerSeed, &'static str)>> {
        if let Some(path) = &global.recovery_kit {
            return Ok(Some((self.seed_of_kit(&read_secret(path)?)?, "recovery kit")));
        }
        let Some(path) = &global.recipient_key else { return Ok(None) };
        Ok(Some((self.seed_of_recipient(&read_secret(path)?)?, "recipient's key")))
    }

    /// For commands that need no keys: a kit or a recipient's key that is named opens this vault, and so does a passphrase that the
    /// command line itself names. One that the environment has costs a second of Argon2id, and nobody tries it with them.
    pub(crate) async fn prove_named_secret(&self, global: &Global) -> Outcome<()> {
        if global.recovery_kit.is_some() || global.recipient_key.is_some() || global.writes_passphrase_file {
            self.proven_seed(global).await?;
        }
        Ok(())
    }

    async fn seed_of_passphrase(&self, global: &Global) -> Outcome<OwnerSeed> {
        let wrap = match self.machine_wrap()? {
            Some(wrap) => Some(wrap),
            None => self.vault_wrap().await?,
        };
        self.unwrap(&wrap.ok_or_else(no_wrap)?, &passphrase(global)?)
    }

    /// Tries a passphrase on both wraps that there may be. Not everybody may ask for the vault's.
    async fn test_passphrase(&self, global: &Global) -> Outcome<TestedSecret> {
        let machine = self.machine_wrap()?;
        let (vault, unasked) = match self.vault_wrap().await {
            Err(failure) if machine.is_some() => (None, Some(failure)),
            asked => (asked?, None),
        };
        if machine.is_none() && vault.is_none() {
            return Err(no_wrap());
        }
        let passphrase = passphrase(global)?;
        let open = |wrap: Zeroizing<Vec<u8>>| {
            let seed = self.unwrap(&wrap, &passphrase)?;
            self.is_owners(&seed).map(|()| seed)
        };
        let [machine, vault] = [machine, vault].map(|wrap| wrap.map(open));
        let opens = |tried: &Option<Outcome<OwnerSeed>>| tried.as_ref().map(Result::is_ok);
        let (machine_opens, vault_opens) = (opens(&machine), opens(&vault));
        let seed = match (machine, vault) {
            (Some(Ok(seed)), _) | (_, Some(Ok(seed))) => seed,
            (Some(Err(failure)), _) | (_, Some(Err(failure))) => return Err(failure),
            (None, None) => return Err(no_wrap()),
        };
        Ok(TestedSecret { seed, secret: "passphrase", machine: machine_opens, vault: vault_opens, unasked })
    }

    fn machine_wrap(&self) -> Outcome<Option<Zeroizing<Vec<u8>>>> {
        VaultHome::read(&self.home.passphrase_wrap())
    }

    async fn vault_wrap(&self) -> Outcome<Option<Zeroizing<Vec<u8>>>> {
        Ok(self.vault.passphrase_wrap().await?.map(|wrap| Zeroizing::new(wrap.to_vec())))
    }

    fn unwrap(&self, wrap: &[u8], passphrase: &SecretString) -> Outcome<OwnerSeed> {
        let wrap = Wrap::parse(wrap)?;
        self.same_vault(wrap.vault)?;
        seal::unwrap_with_passphrase(&wrap, passphrase).map_err(|error| {
            Failure::from(error).with_hint("look for a typing error; the recovery kit opens the vault, too: --recovery-kit FILE")
        })
    }

    fn seed_of_kit(&self, text: &[u8]) -> Outcome<OwnerSeed> {
        let text = Zeroizing::new(String::from_utf8_lossy(text).into_owned());
        let (vault, seed) = seal::read_kit(&text).map_err(|error| {
            Failure::from(error).with_hint("give the file as 'holdfast init' wrote it, or its code typed again from paper")
        })?;
        self.same_vault(vault)?;
        Ok(seed)
    }

    fn seed_of_recipient(&self, text: &[u8]) -> Outcome<OwnerSeed> {
        let text = Zeroizing::new(String::from_utf8_lossy(text).into_owned());
        let secret = RecipientSecret::from_text(&text)?;
        for path in self.home.recipient_wraps() {
            let Some(bytes) = VaultHome::read(&path)? else { continue };
            let wrap = Wrap::parse(&bytes)?;
            if let Ok(seed) = seal::unwrap_as_recipient(&wrap, &secret) {
                return Ok(seed);
            }
        }
        Err(Failure::new(Exit::WrongKey, "no wrap of this vault's owner seed opens with that recipient's key")
            .with_hint(format!("wraps to recipients lie in '{}' as NAME.recipient", self.home.config.display())))
    }

    fn same_vault(&self, vault: VaultId) -> Outcome<()> {
        if vault == self.descriptor.vault {
            return Ok(());
        }
        Err(Failure::new(Exit::WrongKey, format!("the secret is for vault {vault}, this is vault {}", self.descriptor.vault))
            .with_hint("give the secret of this vault, or name the other vault with --vault"))
    }

    /// The domain that the command line, this machine's configuration, or the lack of others names.
    pub(crate) fn domain_entry(&self, global: &Global) -> Outcome<&DomainEntry> {
        let domains = &self.descriptor.domains;
        if let Some(wanted) = &global.domain {
            return named(domains, wanted);
        }
        let own = self.home.domain()?;
        match (own.and_then(|own| self.descriptor.domain(own)), domains.as_slice()) {
            (Some(own), _) => Ok(own),
            (None, [only]) => Ok(only),
            (None, several) => {
                let names: Vec<&str> = several.iter().map(|entry| entry.name.as_str()).collect();
                Err(Failure::new(Exit::Usage, "the vault has several domains")
                    .with_hint(format!("name one with --domain: {}", names.join(", "))))
            }
        }
    }

    /// Says which domain alone is meant where nobody named one and there are others: what is found in it holds for none of those.
    pub(crate) async fn note_domain(&self, global: &Global, meant: DomainId) -> Outcome<()> {
        if global.domain.is_some() || self.descriptor.domains.len() < 2 || self.is_agent().await? {
            return Ok(());
        }
        let (of_it, others): (Vec<_>, Vec<_>) = self.descriptor.domains.iter().partition(|entry| entry.id == meant);
        let names = |entries: Vec<&DomainEntry>| {
            let names = entries.into_iter().take(DOMAINS_NAMED).map(|entry| terminal::printable(entry.name.as_bytes()));
            names.collect::<Vec<_>>().join(", ")
        };
        note!("this is about domain {} alone; --domain names another: {}", names(of_it), names(others));
        Ok(())
    }

    /// Whether the command line leaves the domain open, or names this one.
    fn means(&self, global: &Global, domain: DomainId) -> Outcome<bool> {
        Ok(global.domain.is_none() || self.domain_entry(global)?.id == domain)
    }

    /// The chosen domain's repository.
    pub(crate) async fn domain(&self, global: &Global) -> Outcome<Arc<dyn Domain>> {
        Ok(self.vault.domain(self.domain_entry(global)?.id).await?)
    }

    /// Whether this machine asks a service as an enrolled agent, which neither purges nor checks the whole.
    pub(crate) async fn is_agent(&self) -> Outcome<bool> {
        match &self.service {
            Some(service) => Ok(matches!(service.own_scope().await?, Scope::Agent { .. })),
            None => Ok(false),
        }
    }

    /// Write-only keys of this machine, if it has them and the command line asks for no other secret and no other domain.
    pub(crate) fn write_only_for(&self, global: &Global) -> Outcome<Option<WriteOnly>> {
        match self.write_only()? {
            Some(keys) if !Self::has_configured_secret(global) && self.means(global, keys.writer.domain())? => Ok(Some(keys)),
            _ => Ok(None),
        }
    }

    fn write_only(&self) -> Outcome<Option<WriteOnly>> {
        write_only_in(&self.home)
    }

    /// Stores write-only keys.
    pub(crate) fn store_write_only(&self, keys: &WriteOnly) -> Outcome<()> {
        let mut bytes = Zeroizing::new(Vec::new());
        bytes.extend_from_slice(&keys.signer.to_bytes()[..]);
        bytes.extend_from_slice(&keys.writer.to_bytes());
        super::files::write_private(&self.home.write_only(), &bytes)
    }

    /// Whether a secret is at hand without asking a person.
    pub(crate) fn has_configured_secret(global: &Global) -> bool {
        let named = global.passphrase_file.is_some() || global.recovery_kit.is_some() || global.recipient_key.is_some();
        named || std::env::var_os("HOLDFAST_PASSPHRASE").is_some()
    }

    /// Writes down what was seen, once a command has come to a good end.
    pub(crate) fn remember(&self) -> Outcome<()> {
        self.remembered.store(&self.home)
    }
}

/// The keys of an enrolled machine: they are there before the service has taken them, and count once it has.
pub(crate) fn agent_keys_in(home: &VaultHome) -> Outcome<Option<AgentKeys>> {
    match VaultHome::read(&home.agent())? {
        Some(bytes) if !exists(&home.enrolment())? => Ok(Some(AgentKeys::from_bytes(&bytes)?)),
        _ => Ok(None),
    }
}

/// The write-only keys of a machine.
pub(crate) fn write_only_in(home: &VaultHome) -> Outcome<Option<WriteOnly>> {
    let Some(bytes) = VaultHome::read(&home.write_only())? else { return Ok(None) };
    let damaged = || Failure::new(Exit::Failed, format!("'{}' is damaged", home.write_only().display()));
    let (signer, writer) = bytes.split_first_chunk::<32>().ok_or_else(damaged)?;
    let signer = AgentSigner::from_bytes(*signer);
    Ok(Some(WriteOnly { writer: DomainWriter::from_bytes(writer)?, signer }))
}

/// The one domain with this id or name.
fn named<'a>(domains: &'a [DomainEntry], wanted: &str) -> Outcome<&'a DomainEntry> {
    if let Some(entry) = domains.iter().find(|entry| entry.id.to_string() == wanted) {
        return Ok(entry);
    }
    let fits: Vec<&DomainEntry> = domains.iter().filter(|entry| entry.name == wanted).collect();
    match fits.as_slice() {
        [one] => Ok(one),
        [] => Err(Failure::new(Exit::Usage, format!("the vault has no domain '{wanted}'")).with_hint(names_of(domains))),
        several => {
            let ids: Vec<String> = several.iter().map(|entry| entry.id.to_string()).collect();
            Err(Failure::new(Exit::Usage, format!("{} domains have the name '{wanted}'", several.len()))
                .with_hint(format!("name one by its id: {}", ids.join(", "))))
        }
    }
}

/// Most domains that a hint names.
const NAMED_MAX: usize = 12;

fn names_of(domains: &[DomainEntry]) -> String {
    let names = domains.iter().take(NAMED_MAX).map(|entry| terminal::printable(entry.name.as_bytes()));
    let more = match domains.len().saturating_sub(NAMED_MAX) {
        0 => String::new(),
        more => format!(", and {more} more"),
    };
    format!("it has: {}{more}", names.collect::<Vec<_>>().join(", "))
}

/// A secret as bytes on its way to a file.
pub(crate) fn secret_bytes(secret: &SecretString) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(secret.expose_secret().as_bytes().to_vec())
}

fn no_wrap() -> Failure {
    Failure::new(Exit::WrongKey, "this machine has no passphrase wrap of the vault, and the vault keeps none").with_hint(
        "give the recovery kit with --recovery-kit FILE; 'holdfast key passphrase' then sets a passphrase for this machine",
    )
}

#[cfg(test)]
mod tests {
    use super::{DomainEntry, DomainId, named};

    fn entry(id: u8, name: &str) -> DomainEntry {
        let (public, wrapped_secret) = (Vec::new(), Vec::new());
        DomainEntry { id: DomainId([id; 16]), name: name.to_owned(), created_ms: 0, public, wrapped_secret }
    }

    #[test]
    fn a_name_that_two_domains_have_stands_for_neither_and_their_ids_do() {
        let domains = [entry(1, "web-1"), entry(2, "web-1"), entry(3, "web-2")];
        assert_eq!(named(&domains, "web-2").unwrap().id, domains[2].id);
        let hint = named(&domains, "web-1").unwrap_err();
        let hint = hint.hint().unwrap();
        assert!(hint.contains(&domains[0].id.to_string()) && hint.contains(&domains[1].id.to_string()), "{hint}");
        assert_eq!(named(&domains, &domains[1].id.to_string()).unwrap().id, domains[1].id);
        assert!(named(&domains, "web-3").is_err());
    }
}
