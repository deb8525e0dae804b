//! `holdfast agent token`

use crate::cli::Global;
use crate::failure::{Exit, Failure, Outcome};
use crate::local::{Directories, Login, VaultPlace, exists, open_with_keys, secret_bytes, write_private};
use crate::terminal::{self, Json, note, say};
use clap::Args;
use format::enrolment::Ticket;
use format::signature::Signature;
use format::{DomainId, ItemName, limits};
use seal::{AgentSigner, EnrolmentToken};
use secrecy::ExposeSecret;
use std::path::PathBuf;

/// Most hours that a token may be good for.
const HOURS_MAX: u32 = 24 * 30;

/// Make a token with which one machine enrols, once.
///
/// Run it where the owner's key is. The token names the vault service, the owner, and a new domain for the machine, which
/// makes the domain's keys itself: they never leave it but wrapped to the owner. Treat the token as a secret until it is used.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The name of the machine's domain.
    #[arg(value_name = "NAME")]
    name: String,

    /// Write the token into a new file of mode 0600 instead of printing it.
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,

    /// Items that the machine may write [default: all].
    #[arg(long, value_name = "NAME")]
    item: Vec<ItemName>,

    /// Hours that the token is good for.
    #[arg(long, value_name = "HOURS", default_value_t = 24, value_parser = clap::value_parser!(u32).range(1..=i64::from(HOURS_MAX)))]
    hours: u32,
}

pub(crate) async fn run(global: &Global, arguments: Arguments) -> Outcome<Exit> {
    let (opened, keys) = open_with_keys(global).await?;
    let VaultPlace::Service(address) = &opened.place else {
        return Err(Failure::new(Exit::Usage, "machines enrol at a vault service, and the vault is in a directory")
            .with_hint("'holdfast-vault serve' keeps a vault as a service; name it with HOLDFAST_VAULT=https://…"));
    };
    if let Some(path) = &arguments.to
        && exists(path)?
    {
        return Err(Failure::new(Exit::Conflict, format!("'{}' exists already", path.display())));
    }
    let name = arguments.name.trim();
    if name.is_empty() || name.len() > limits::TEXT_BYTES_MAX || name.chars().any(char::is_control) {
        let what = format!("a domain's name has 1 to {} bytes and no control characters", limits::TEXT_BYTES_MAX);
        return Err(Failure::new(Exit::Usage, what));
    }
    if opened.descriptor.domains.iter().any(|domain| domain.name == name) {
        return Err(Failure::new(Exit::Conflict, format!("the vault has a domain '{name}' already")));
    }
    if address.as_str().len() > limits::TEXT_BYTES_MAX {
        return Err(Failure::new(Exit::Usage, format!("the service's address has more than {} bytes", limits::TEXT_BYTES_MAX)));
    }
    let one_time = AgentSigner::generate();
    let expires_ms = terminal::now_ms().saturating_add(i64::from(arguments.hours) * 3_600_000);
    let ticket = keys.seed.sign_ticket(Ticket {
        vault: opened.descriptor.vault,
        one_time: one_time.key(),
        domain: DomainId(system::random()),
        name: name.to_owned(),
        items: arguments.item,
        expires_ms,
        service: address.as_str().to_owned(),
        authority: Login::new(&Directories::of_user(), address).authority()?.map(|authority| authority.to_bytes()),
        owner_public: EnrolmentToken::hash_of(&opened.descriptor.owner_public),
        signature: Signature([0; 64]),
    });
    let token = EnrolmentToken { owner: opened.descriptor.owner, one_time, ticket };
    let text = token.to_text();
    if let Some(path) = &arguments.to {
        write_private(path, &secret_bytes(&text))?;
    }
    if global.json {
        let mut json = Json::new("agent");
        match &arguments.to {
            Some(path) => json.set("file", path.display().to_string()),
            None => json.set("token", text.expose_secret()),
        }
        json.set("owner_fingerprint", token.owner.fingerprint());
        json.set("domain", token.ticket.domain.to_string());
        json.set("expires", terminal::utc(expires_ms));
        json.print();
        return Ok(Exit::Clean);
    }
    match &arguments.to {
        Some(path) => say!("the token is in '{}'", path.display()),
        None => say!("{}", text.expose_secret()),
    }
    if !global.quiet {
        note!("owner fingerprint  {}: 'holdfast agent enroll' shows it again", token.owner.fingerprint());
        note!("good once, until {}", terminal::local(expires_ms));
        match &arguments.to {
            Some(path) => {
                let file = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
                note!("Next: take the file to the machine, in secret, as mode 0600 (scp -p '{}' MACHINE:)", path.display());
                note!("there, as root: holdfast agent enroll --token-file '{file}', then delete the file, here too");
            }
            None => note!("Next, on the machine, as root: holdfast agent enroll, which asks for the token"),
        }
    }
    Ok(Exit::Clean)
}
