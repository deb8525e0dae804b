//! `holdfast agent enroll`

use crate::cli::Global;
use crate::failure::{Exit, Failure, Outcome};
use crate::local::{Directories, Login, VaultHome, text_of, token, write_private};
use crate::terminal::{self, Json, say};
use api::{Address, ApiError, EnrolRequest, Fingerprint, token_hash, token_id, token_statement, token_text};
use clap::Args;
use format::enrolment::Enrolment;
use seal::{AgentKeys, EnrolmentToken};
use secrecy::{ExposeSecret, SecretString};
use std::fs;
use std::path::{Path, PathBuf};

/// Enrol this machine: it gets a domain of its own, and keys that open nothing else.
///
/// The token of 'holdfast agent token' is asked for, or read from standard input or a file; it may be an argument too, where
/// nobody else sees the arguments of processes. If the service does not answer, run it again with the same token.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The token.
    #[arg(value_name = "TOKEN", conflicts_with = "token_file", hide_env_values = true)]
    token: Option<String>,

    /// File that holds the token, readable by you alone.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

pub(crate) async fn run(global: &Global, arguments: Arguments) -> Outcome<Exit> {
    let text = match arguments.token {
        Some(text) => SecretString::from(text),
        None => token(arguments.token_file.as_deref())?,
    };
    let token = EnrolmentToken::from_text(text.expose_secret())?;
    let unusable =
        |error: ApiError| Failure::new(Exit::Failed, "the token's address of the service cannot be used").because(&error);
    let address: Address = token.service.parse().map_err(unusable)?;
    let directories = Directories::of_user();
    let home = VaultHome::new(&directories, token.ticket.vault);
    if home.owner()?.is_some_and(|owner| owner != token.owner) {
        return Err(Failure::new(Exit::Damage, "the token is of another owner than the one that this machine knows"));
    }
    let login = Login::new(&directories, &address);
    let authority = token.authority.map(Fingerprint::from_bytes);
    let Attempt { keys, enrolment, service_token } = match pending(&home, &token)? {
        Some(attempt) => attempt,
        None => prepare(&home, &token, &login).await?,
    };
    spare(&login, &service_token)?;
    let client = login.client_with(service_token.clone(), authority)?;
    let hash = token_hash(service_token.expose_secret());
    let statement = token_statement(token.ticket.vault, token.ticket.domain, &hash);
    let request = EnrolRequest {
        enrolment: enrolment.encode().into(),
        name: terminal::host_name(),
        token_id: token_id(service_token.expose_secret()).unwrap_or_default().to_owned(),
        token_hash: digits(&hash),
        proof: digits(&keys.signer.prove(&statement).0),
    };
    client.enrol(&request).await?;
    login.store(&service_token, authority)?;
    home.pin_owner(token.owner)?;
    home.set_domain(token.ticket.domain)?;
    // It was taken: the next token is another one.
    forget(&home.enrolment())?;
    forget(&home.enrolment_token())?;
    report(global, &token, &keys, &address);
    Ok(Exit::Clean)
}

/// What is sent, and what stays here. The service gives an enrolment one token: it has to be the same one when it is sent again.
struct Attempt {
    keys: AgentKeys,
    enrolment: Enrolment,
    service_token: SecretString,
}

/// Makes one, and keeps it before anything is sent: an answer may get lost.
async fn prepare(home: &VaultHome, token: &EnrolmentToken, login: &Login) -> Outcome<Attempt> {
    if home.agent().exists() {
        return Err(Failure::new(Exit::Conflict, "this machine is enrolled in this vault already")
            .with_hint(format!("'holdfast agent status' tells; its keys are in '{}'", home.agent().display())));
    }
    let service_token = secret_of_service();
    spare(login, &service_token)?;
    let client = login.client_with(service_token.clone(), token.authority.map(Fingerprint::from_bytes))?;
    let owner_public = client.owner_key().await?;
    let keys = AgentKeys::generate(token.ticket.domain);
    let enrolment = token.enrol(&owner_public, &keys, terminal::now_ms())?;
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
    forget(&home.agent())?;
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
    let secret = zeroize::Zeroizing::new(terminal::random::<32>());
    SecretString::from(token_text(terminal::random(), &secret))
}

fn digits(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn report(global: &Global, token: &EnrolmentToken, keys: &AgentKeys, address: &Address) {
    if global.json {
        let mut json = Json::new("agent");
        json.set("vault", token.ticket.vault.to_string());
        json.set("domain", token.ticket.domain.to_string());
        json.set("domain_name", token.ticket.name.clone());
        json.set("agent", keys.agent().to_string());
        json.set("service", address.as_str());
        json.set("owner_fingerprint", token.owner.fingerprint());
        json.print();
        return;
    }
    say!("enrolled in vault {} as '{}'", token.ticket.vault, token.ticket.name);
    say!("owner fingerprint  {}", token.owner.fingerprint());
    if !global.quiet {
        say!("Next: export HOLDFAST_VAULT={address}; holdfast backup PATH");
    }
}
