//! `holdfast login`

use crate::cli::Global;
use crate::failure::{Exit, Failure, Outcome};
use crate::local::{Directories, Login, VaultPlace, token};
use crate::terminal::{self, Json, say};
use api::{Address, Fingerprint, Scope};
use clap::Args;
use contract::ErrorKind;
use secrecy::SecretString;
use std::path::PathBuf;

/// Store the token with which this machine asks a vault service.
///
/// The token is asked for, or read from standard input or a file; a one-time token is exchanged for one that lasts. It is
/// kept in this machine's configuration directory, for you alone. --fingerprint pins the service's certificate authority
/// ('holdfast-vault serve' prints it); without it, and without one that was pinned before, the system's authorities count.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Address of the service [default: the vault that is named].
    #[arg(value_name = "URL")]
    address: Option<Address>,

    /// SHA-256 of the service's certificate authority, 64 hexadecimal digits.
    #[arg(long, value_name = "HEX")]
    fingerprint: Option<Fingerprint>,

    /// File that holds the token, readable by you alone.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

pub(crate) async fn run(global: &Global, arguments: Arguments) -> Outcome<Exit> {
    let address = match (arguments.address, &global.vault) {
        (Some(address), _) => address,
        (None, Some(VaultPlace::Service(address))) => address.clone(),
        _ => return Err(Failure::new(Exit::Usage, "no vault service is named").with_hint("holdfast login https://host:port")),
    };
    let login = Login::new(&Directories::of_user(), &address);
    let authority = match arguments.fingerprint {
        Some(fingerprint) => Some(fingerprint),
        None => login.authority()?,
    };
    let mut secret = token(arguments.token_file.as_deref())?;
    let client = login.client_with(secret.clone(), authority)?;
    client.reach().await?;
    let scope = match client.own_scope().await {
        Ok(scope) => scope,
        // Perhaps it is one to be exchanged.
        Err(denied) if denied.kind() == ErrorKind::Denied => match client.redeem(&terminal::host_name()).await {
            Ok(issued) => {
                secret = SecretString::from(issued.secret);
                issued.token.scope
            }
            Err(error) if error.kind() == ErrorKind::Denied => {
                let failure = Failure::new(Exit::Refused, format!("{address} does not accept the token")).because(&error);
                return Err(
                    failure.with_hint("a one-time token works once, within a day; 'holdfast-vault admin-token' makes another")
                );
            }
            Err(error) => return Err(error.into()),
        },
        Err(error) => return Err(error.into()),
    };
    login.store(&secret, authority)?;
    report(global, &address, scope);
    Ok(Exit::Clean)
}

fn report(global: &Global, address: &Address, scope: Scope) {
    let (role, domain) = match scope {
        Scope::Administrator => ("administrator", None),
        Scope::Agent { domain, .. } => ("agent", Some(domain.to_string())),
    };
    if global.json {
        let mut json = Json::new("login");
        json.set("service", address.as_str());
        json.set("role", role);
        json.set("domain", domain);
        json.print();
        return;
    }
    say!("logged in to {address} as {role}");
    if !global.quiet {
        say!("Next: export HOLDFAST_VAULT={address}");
    }
}
