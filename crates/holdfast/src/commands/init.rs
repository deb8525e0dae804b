//! `holdfast init`

use crate::cli::Global;
use crate::failure::{Exit, Failure, Outcome};
use crate::local::{Directories, Login, VaultHome, VaultPlace, new_passphrase, secret_bytes, write_private};
use crate::terminal::{self, Json, say};
use bytes::Bytes;
use clap::Args;
use contract::{ErrorKind, Vault};
use format::descriptor::{Descriptor, DomainEntry};
use format::{DomainId, VaultId, limits};
use repository::EmbeddedVault;
use seal::{DomainSecret, OwnerSeed};
use secrecy::{ExposeSecret, SecretString};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Make a vault in an empty or new directory or in a vault service, with its keys and recovery kit.
///
/// The owner seed, from which all keys follow, is made here and never leaves this machine unsealed. It is kept under a
/// passphrase in this machine's configuration directory. The recovery kit holds the seed itself: print it, put it away,
/// and delete the file; with it, storage alone restores everything, and whoever has it reads everything.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Name of the first domain: the machine that is backed up.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,

    /// Where to write the recovery kit [default: recovery-kit.txt in the vault's configuration directory].
    #[arg(long, value_name = "FILE")]
    kit: Option<PathBuf>,

    /// Keep the wrapped seed in the vault too, so that storage and passphrase alone restore. The passphrase is then
    /// generated and printed, because whoever holds the storage can try to guess it.
    #[arg(long)]
    passphrase_in_vault: bool,
}

pub(crate) async fn run(global: &Global, arguments: Arguments) -> Outcome<Exit> {
    let place = global.vault.clone().ok_or_else(|| {
        Failure::new(Exit::Usage, "no place is named for the vault").with_hint("name it with --vault DIR or HOLDFAST_VAULT")
    })?;
    if global.recovery_kit.is_some() || global.recipient_key.is_some() {
        return Err(Failure::new(
            Exit::Usage,
            "a new vault gets a new owner: neither a recovery kit nor a recipient's key applies",
        )
        .with_hint("without them 'holdfast init' makes the vault, a passphrase wrap and a recovery kit of its own"));
    }
    // all that may be refused is, before anybody thinks of a passphrase or is shown one
    refuse_taken(&place).await?;
    let name = arguments.name.clone().unwrap_or_else(terminal::host_name);
    if name.is_empty() || name.len() > limits::TEXT_BYTES_MAX || name.chars().any(char::is_control) {
        return Err(Failure::new(
            Exit::Usage,
            format!("a domain's name has 1 to {} bytes and no control characters", limits::TEXT_BYTES_MAX),
        ));
    }
    let seed = OwnerSeed::generate();
    let descriptor = first_descriptor(&seed, &name)?;
    let home = VaultHome::new(&Directories::of_user(), descriptor.vault);
    let kit = arguments.kit.clone().unwrap_or_else(|| home.config.join("recovery-kit.txt"));
    if kit.exists() {
        return Err(Failure::new(Exit::Conflict, format!("'{}' exists already", kit.display())));
    }
    let generated = arguments.passphrase_in_vault.then(seal::generate_passphrase);
    let passphrase = match &generated {
        Some(generated) => generated.clone(),
        None => new_passphrase(global)?,
    };
    if let Some(generated) = &generated {
        terminal::show_first(global.json, "init", "passphrase", generated.expose_secret());
    }
    // Keys first: a vault without keys would be lost, keys without a vault are not missed.
    store_keys(&home, &seed, &descriptor, &passphrase, &kit)?;
    let forget_keys = || {
        let _ = std::fs::remove_file(&kit);
        let _ = std::fs::remove_dir_all(&home.config);
    };
    if generated.is_some() {
        terminal::was_heard().inspect_err(|_| forget_keys())?;
    }
    let vault = match make(&place, seed.sign_descriptor(&descriptor).into()).await {
        Ok(vault) => vault,
        Err(Unmade { failure, perhaps: false }) => {
            forget_keys();
            return Err(failure);
        }
        Err(Unmade { failure, perhaps: true }) => {
            let hint =
                format!("it may be there all the same: the keys of vault {} are kept; 'holdfast status' tells", descriptor.vault);
            return Err(failure.with_hint(hint));
        }
    };
    if arguments.passphrase_in_vault {
        let wrap = seal::wrap_with_passphrase(&seed, descriptor.vault, &passphrase, seal::default_argon2())?;
        if let Err(error) = vault.set_passphrase_wrap(Some(wrap.encode().into())).await {
            // As JSON there is one object, which tells the failure.
            if !global.json {
                report(global, &place, &descriptor, &kit, true);
            }
            let hint = "the vault is made, and keeps no passphrase: 'holdfast key passphrase --in-vault' tries again";
            return Err(Failure::from(error).with_hint(hint));
        }
    }
    vault.domain(descriptor.domains[0].id).await?;
    report(global, &place, &descriptor, &kit, generated.is_some());
    Ok(Exit::Clean)
}

/// Why there is no vault, as far as is known.
struct Unmade {
    failure: Failure,
    /// It may have been made: a service did not answer.
    perhaps: bool,
}

/// Fails where there is something already.
async fn refuse_taken(place: &VaultPlace) -> Outcome<()> {
    let address = match place {
        VaultPlace::Directory(path) => return Ok(EmbeddedVault::refuse_taken(path)?),
        VaultPlace::Service(address) => address,
    };
    match Login::new(&Directories::of_user(), address).client()?.descriptor().await {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error.into()),
        Ok(_) => Err(Failure::new(Exit::Conflict, format!("{address} holds a vault already"))
            .with_hint("a service holds one vault: 'holdfast status' shows it")),
    }
}

/// Makes the vault, where it shall be.
async fn make(place: &VaultPlace, descriptor: Bytes) -> Result<Arc<dyn Vault>, Unmade> {
    let surely = |failure: Failure| Unmade { failure, perhaps: false };
    let address = match place {
        VaultPlace::Directory(path) => {
            let made = EmbeddedVault::create(path, descriptor).await;
            return made.map(|vault| Arc::new(vault) as Arc<dyn Vault>).map_err(|error| surely(error.into()));
        }
        VaultPlace::Service(address) => address,
    };
    let client = Login::new(&Directories::of_user(), address).client().map_err(surely)?;
    match client.publish_descriptor(descriptor.clone()).await {
        Ok(()) => Ok(Arc::new(client)),
        Err(error) if error.kind().is_passing() || error.kind() == ErrorKind::Internal => match client.descriptor().await {
            Ok(there) if there == descriptor => Ok(Arc::new(client)),
            Err(now) if now.kind() == ErrorKind::NotFound => Err(surely(error.into())),
            _ => Err(Unmade { failure: error.into(), perhaps: true }),
        },
        Err(error) => Err(surely(error.into())),
    }
}

/// The first version of a descriptor, with one domain and the owner's own agent for it.
fn first_descriptor(seed: &OwnerSeed, name: &str) -> Outcome<Descriptor> {
    let vault = VaultId(system::random());
    let domain = DomainId(system::random());
    let secret = DomainSecret::generate();
    let owner_public = seed.public();
    let now = terminal::now_ms();
    let wrapped_secret = secret.wrap_to_owner(&owner_public, domain)?;
    Ok(Descriptor {
        vault,
        version: 1,
        created_ms: now,
        owner: seed.owner_key(),
        owner_public,
        chunker: limits::CHUNKER_KEYED_GEAR,
        features_to_read: Vec::new(),
        features_to_write: Vec::new(),
        recipients: Vec::new(),
        domains: vec![DomainEntry {
            id: domain,
            name: name.to_owned(),
            created_ms: now,
            public: secret.public(),
            wrapped_secret,
        }],
        certificates: vec![seed.certify(vault, seed.agent_signer(domain).key(), domain, &[])],
    })
}

fn store_keys(home: &VaultHome, seed: &OwnerSeed, descriptor: &Descriptor, passphrase: &SecretString, kit: &Path) -> Outcome<()> {
    let wrap = seal::wrap_with_passphrase(seed, descriptor.vault, passphrase, seal::default_argon2())?;
    write_private(&home.passphrase_wrap(), &wrap.encode())?;
    home.pin_owner(descriptor.owner)?;
    home.set_domain(descriptor.domains[0].id)?;
    write_private(kit, &secret_bytes(&seal::print_kit(seed, descriptor.vault)))
}

fn report(global: &Global, place: &VaultPlace, descriptor: &Descriptor, kit: &Path, has_shown: bool) {
    if global.json {
        let mut json = Json::new("init");
        json.set("vault", descriptor.vault.to_string());
        match place {
            VaultPlace::Directory(path) => json.set("directory", path.display().to_string()),
            VaultPlace::Service(address) => json.set("service", address.as_str()),
        };
        json.set("owner_fingerprint", descriptor.owner.fingerprint());
        json.set("domain", descriptor.domains[0].id.to_string());
        json.set("domain_name", descriptor.domains[0].name.clone());
        json.set("recovery_kit", kit.display().to_string());
        json.print();
        return;
    }
    say!("made vault {} in {place}", descriptor.vault);
    say!("owner fingerprint  {}", descriptor.owner.fingerprint());
    say!("domain             {}", descriptor.domains[0].name);
    say!("recovery kit       {}", kit.display());
    if has_shown {
        say!("Write the passphrase above down: it is shown this once.");
    }
    if !global.quiet {
        let passphrase =
            if has_shown { "the passphrase opens it anywhere, too" } else { "the passphrase opens it on this machine" };
        say!("Print the recovery kit, put it in a safe place and delete the file: it opens the vault anywhere, {passphrase},");
        say!("and without either nothing in it can ever be read again.");
        let named = if std::env::var_os("HOLDFAST_VAULT").is_some() { String::new() } else { format!("--vault '{place}' ") };
        say!("Next: holdfast {named}backup PATH makes the first point");
        if let VaultPlace::Service(_) = place {
            say!("To protect another machine: holdfast {named}agent token NAME");
        }
        if !named.is_empty() {
            say!("With HOLDFAST_VAULT='{place}' in the environment, --vault need not be given.");
        }
    }
}
