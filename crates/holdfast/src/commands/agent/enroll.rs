//! `holdfast agent enroll`

use crate::cli::Global;
use crate::failure::{Exit, Failure, Outcome};
use crate::local::{Directories, Login, VaultHome, exists, text_of, token, write_private};
use crate::terminal::{self, Json, say};
use api::{Address, ApiError, EnrolRequest, Fingerprint, ServiceVault, token_hash, token_id, token_statement, token_text};
use clap::Args;
use format::OwnerKey;
use format::enrolment::{Enrolment, Ticket};
use seal::{AgentKeys, EnrolmentToken};
use secrecy::{ExposeSecret, SecretString};
use std::fs;
use std::path::{Path, PathBuf};

/// Enrol this machine: it gets a domain of its own, and keys that open nothing else.
///
/// The token of 'holdfast agent token' is asked for, or read from standard input or a file; it may be an argument too, where
/// nobody else sees the arguments of processes. If the service does not answer, run it again with the same token. Compare the
/// owner's fingerprint that it shows with the owner's own, or give it with --owner.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The token.
    #[arg(value_name = "TOKEN", conflicts_with = "token_file", hide_env_values = true)]
    token: Option<String>,

    /// File that holds the token, readable by you alone.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,

    /// Fingerprint of the owner ('holdfast status' shows it): a token of another owner is refused.
    #[arg(long, value_name = "FINGERPRINT")]
    owner: Option<String>,

    /// Enrol again as what this machine is enrolled as, without a token: for a service that lost its database.
    #[arg(long, conflicts_with_all = ["token", "token_file", "owner"])]
    again: bool,

    /// Put a new enrolment in the place of the one that this machine has: after its keys were stolen, or its agent was retired. The
    /// old keys are set aside beside the new ones, and so is what the agent kept of its runs.
    #[arg(long, conflicts_with = "again")]
    replace: bool,
}

pub(crate) async fn run(global: &Global, arguments: Arguments) -> Outcome<Exit> {
    let directories = Directories::of_user();
    if arguments.again {
        return again(global, &directories).await;
    }
    let text = match arguments.token {
        Some(text) => SecretString::from(text),
        None => token(arguments.token_file.as_deref())?,
    };
    let token = EnrolmentToken::from_text(text.expose_secret())
        .map_err(|error| Failure::from(error).with_hint("give the whole line that 'holdfast agent token' printed"))?;
    let place = Place::new(&directories, &token.ticket)?;
    if place.home.owner()?.is_some_and(|owner| owner != token.owner) {
        return Err(Failure::new(Exit::Refused, "the token is of another owner than the one that this machine knows")
            .with_hint("nothing was sent; ask who made the token: somebody may pretend to be the vault's owner"));
    }
    if let Some(wanted) = &arguments.owner {
        refuse_other_owner(wanted.trim(), &token.owner.fingerprint())?;
    }
    if arguments.replace {
        place.set_aside()?;
    }
    let attempt = match pending(&place.home, &token)? {
        Some(attempt) => attempt,
        None => prepare(&place, &token).await?,
    };
    place.send(&attempt).await?;
    place.home.pin_owner(token.owner)?;
    place.home.set_domain(token.ticket.domain)?;
    // It was taken: from now on the keys count, and the next token is another one.
    place.home.keep_enrolment()?;
    forget(&place.home.enrolment_token())?;
    report(global, &token.ticket, &token.owner, &attempt.keys, &place.address);
    Ok(Exit::Clean)
}

/// Refuses a token of another owner than the one that the user means.
fn refuse_other_owner(wanted: &str, fingerprint: &str) -> Outcome<()> {
    if wanted.eq_ignore_ascii_case(fingerprint) {
        return Ok(());
    }
    let is_fingerprint = wanted.len() == fingerprint.len() && wanted.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    if !is_fingerprint {
        return Err(Failure::new(Exit::Usage, format!("'{}' is no fingerprint", terminal::printable(wanted.as_bytes())))
            .with_hint(format!("it looks like {fingerprint}: 'holdfast status' shows it where the owner's key is")));
    }
    Err(Failure::new(Exit::Refused, format!("the token is of another owner: {fingerprint}"))
        .with_hint("nothing was sent; compare with 'holdfast status' where the owner's key is, and have the token made there"))
}

/// Sends once more what the service took before. It takes it again if it does not know any more that it did.
async fn again(global: &Global, directories: &Directories) -> Outcome<Exit> {
    let (home, enrolment) = enrolled(global, directories)?;
    let place = Place { home, ..Place::new(directories, &enrolment.ticket)? };
    let damaged = || Failure::new(Exit::Failed, format!("'{}' is not whole", place.home.config.display()));
    let keys = VaultHome::read(&place.home.agent())?.ok_or_else(damaged)?;
    let owner = place.home.owner()?.ok_or_else(damaged)?;
    let service_token = match place.login.token()? {
        Some(token) => token,
        None => place.token_to_send()?,
    };
    let attempt = Attempt { keys: AgentKeys::from_bytes(&keys)?, enrolment, service_token };
    place.send(&attempt).await?;
    forget(&place.home.enrolment_token())?;
    report(global, &attempt.enrolment.ticket, &owner, &attempt.keys, &place.address);
    Ok(Exit::Clean)
}

/// The vault that this machine is enrolled in: the only one, or the one that the command line names.
fn enrolled(global: &Global, directories: &Directories) -> Outcome<(VaultHome, Enrolment)> {
    let mut found = Vec::new();
    for home in VaultHome::all(directories) {
        if let Some(bytes) = VaultHome::read(&home.enrolled())? {
            found.push((home, Enrolment::parse(&bytes)?));
        }
    }
    if found.len() > 1 {
        found.retain(|(_, enrolment)| global.vault.as_ref().is_some_and(|place| place.to_string() == enrolment.ticket.service));
    }
    match (found.pop(), found.is_empty()) {
        (Some(one), true) => Ok(one),
        (None, _) => Err(Failure::new(Exit::Failed, "this machine is enrolled in no such vault")
            .with_hint("'holdfast agent token NAME' where the owner's key is, then 'holdfast agent enroll' here")),
        (Some(_), false) => Err(Failure::new(Exit::Usage, "this machine is enrolled in several vaults of that address")),
    }
}

/// Where this machine enrols, and what it keeps of it.
struct Place {
    home: VaultHome,
    login: Login,
    address: Address,
    authority: Option<Fingerprint>,
}

impl Place {
    /// As the owner's ticket says.
    fn new(directories: &Directories, ticket: &Ticket) -> Outcome<Self> {
        let unusable =
            |error: ApiError| Failure::new(Exit::Failed, "the token's address of the service cannot be used").because(&error);
        let address: Address = ticket.service.parse().map_err(unusable)?;
        let (home, login) = (VaultHome::new(directories, ticket.vault), Login::new(directories, &address));
        Ok(Self { home, login, address, authority: ticket.authority.map(Fingerprint::from_bytes) })
    }

    /// Sets aside what this machine is enrolled as. Interrupted and run again, it goes on; the keys go last.
    fn set_aside(&self) -> Outcome<()> {
        let (keys, state) = (self.home.agent(), self.home.state.join("agent"));
        let Some(bytes) = VaultHome::read(&keys)?.filter(|_| !matches!(exists(&self.home.enrolment()), Ok(true))) else {
            return Ok(());
        };
        if exists(&state)? && agent::glance(&state)?.running {
            return Err(Failure::new(Exit::Conflict, "the agent of this machine runs")
                .with_hint("stop it first: systemctl stop holdfast-agent"));
        }
        let old = AgentKeys::from_bytes(&bytes)?.agent().to_string()[..16].to_owned();
        for path in [state, self.login.token_path(), self.home.enrolled(), keys] {
            if exists(&path)? {
                let aside = path.with_extension(format!("of-{old}"));
                fs::rename(&path, &aside).map_err(|error| Failure::io(format!("cannot rename '{}'", path.display()), &error))?;
            }
        }
        Ok(())
    }

    fn client(&self, service_token: &SecretString) -> Outcome<ServiceVault> {
        self.login.client_with(service_token.clone(), self.authority)
    }

    /// A token that was sent before, or a new one, which is kept before it is sent: an answer may get lost.
    fn token_to_send(&self) -> Outcome<SecretString> {
        let path = self.home.enrolment_token();
        if let Some(kept) = VaultHome::read(&path)? {
            return text_of(&kept, &path);
        }
        let made = secret_of_service();
        write_private(&path, made.expose_secret().as_bytes())?;
        Ok(made)
    }

    /// Sends an attempt, and keeps its token for the service once that has taken it.
    async fn send(&self, attempt: &Attempt) -> Outcome<()> {
        let Attempt { keys, enrolment, service_token } = attempt;
        spare(&self.login, service_token)?;
        let hash = token_hash(service_token.expose_secret());
        let statement = token_statement(enrolment.ticket.vault, enrolment.ticket.domain, &hash);
        let request = EnrolRequest {
            enrolment: enrolment.encode().into(),
            name: terminal::host_name(),
            token_id: token_id(service_token.expose_secret()).unwrap_or_default().to_owned(),
            token_hash: digits(&hash),
            proof: digits(&keys.signer.prove(&statement).0),
        };
        self.client(service_token)?.enrol(&request).await?;
        self.login.store(service_token, self.authority)
    }
}

/// What is sent, and what stays here. The service gives an enrolment one token: it has to be the same one when it is sent again.
struct Attempt {
    keys: AgentKeys,
    enrolment: Enrolment,
    service_token: SecretString,
}

/// Makes one, and keeps it before anything is sent: an answer may get lost. What an attempt left that the service never took goes
/// only when there is something to put in its place.
async fn prepare(place: &Place, token: &EnrolmentToken) -> Outcome<Attempt> {
    let home = &place.home;
    if exists(&home.agent())? && !exists(&home.enrolment())? {
        return Err(Failure::new(Exit::Conflict, "this machine is enrolled in this vault already")
            .with_hint("'holdfast agent status' tells; --replace puts the new enrolment in the place of the old one"));
    }
    let service_token = secret_of_service();
    spare(&place.login, &service_token)?;
    let owner_public = place.client(&service_token)?.owner_key().await?;
    let keys = AgentKeys::generate(token.ticket.domain);
    let enrolment = token.enrol(&owner_public, &keys, terminal::now_ms())?;
    forget(&home.agent())?;
    // The keys last: without the enrolment beside them they count as taken.
    write_private(&home.enrolment_token(), service_token.expose_secret().as_bytes())?;
    write_private(&home.enrolment(), &enrolment.encode())?;
    write_private(&home.agent(), &keys.to_bytes())?;
    Ok(Attempt { keys, enrolment, service_token })
}

/// What an attempt with the same token left.
fn pending(home: &VaultHome, token: &EnrolmentToken) -> Outcome<Option<Attempt>> {
    let Some(enrolment) = VaultHome::read(&home.enrolment())? else { return Ok(None) };
    let enrolment = Enrolment::parse(&enrolment)?;
    let path = home.enrolment_token();
    if enrolment.ticket == token.ticket
        && let (Some(keys), Some(service_token)) = (VaultHome::read(&home.agent())?, VaultHome::read(&path)?)
    {
        let service_token = text_of(&service_token, &path)?;
        return Ok(Some(Attempt { keys: AgentKeys::from_bytes(&keys)?, enrolment, service_token }));
    }
    // Another token, or an attempt that was not even sent: nothing was ever written with those keys.
    Ok(None)
}

/// Refuses to put a token in another one's place: that may be an administrator's.
fn spare(login: &Login, service_token: &SecretString) -> Outcome<()> {
    match login.token()? {
        Some(kept) if token_hash(kept.expose_secret()) != token_hash(service_token.expose_secret()) => {
            let heading = "this machine has a token for this vault service already, which enrolling would replace";
            Err(Failure::new(Exit::Conflict, heading)
                .with_hint(format!("remove '{}' if nobody needs it any more", login.token_path().display())))
        }
        _ => Ok(()),
    }
}

/// Removes a file that is there.
fn forget(path: &Path) -> Outcome<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Failure::io(format!("cannot remove '{}'", path.display()), &error))
        }
        _ => Ok(()),
    }
}

/// A token for the service of this machine's own making: only its hash goes there.
fn secret_of_service() -> SecretString {
    let secret = zeroize::Zeroizing::new(system::random::<32>());
    SecretString::from(token_text(system::random(), &secret))
}

fn digits(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn report(global: &Global, ticket: &Ticket, owner: &OwnerKey, keys: &AgentKeys, address: &Address) {
    if global.json {
        let mut json = Json::new("agent");
        json.set("vault", ticket.vault.to_string());
        json.set("domain", ticket.domain.to_string());
        json.set("domain_name", ticket.name.clone());
        json.set("agent", keys.agent().to_string());
        json.set("service", address.as_str());
        json.set("owner_fingerprint", owner.fingerprint());
        json.print();
        return;
    }
    say!("enrolled in vault {} as '{}'", ticket.vault, ticket.name);
    say!("owner fingerprint  {}", owner.fingerprint());
    if !global.quiet {
        say!("Next: holdfast agent run, which protects this machine by itself (docs/agent.md has a unit for systemd),");
        say!("or by hand: HOLDFAST_VAULT={address} holdfast backup PATH");
    }
}
