//! `holdfast key …`

use crate::cli::Global;
use crate::failure::{Exit, Failure, Outcome};
use crate::local::{Opened, WriteOnly, new_passphrase, open_keyless, open_with_keys, secret_bytes, write_private};
use crate::terminal::{self, Json, Table, note, say};
use clap::{Args, Subcommand};
use contract::ErrorKind;
use format::descriptor::{Descriptor, Recipient};
use format::{ItemName, limits};
use secrecy::{ExposeSecret, SecretString};
use std::fs;
use std::path::PathBuf;

/// Manage keys: passphrase, recovery kit, recipients, write-only use.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Passphrase(PassphraseArguments),
    Kit(KitArguments),
    /// Make a key pair for a recipient.
    ///
    /// The secret goes into a file of mode 0600, the public key is printed: give it to 'holdfast key add-recipient'.
    Generate(GenerateArguments),
    AddRecipient(AddRecipientArguments),
    /// List who can open the vault's owner seed, and who may write.
    List,
    WriteOnly(WriteOnlyArguments),
    Retire(RetireArguments),
}

/// Set a new passphrase, or set one on a machine that has only the recovery kit.
///
/// The present secret is taken as usual; the new passphrase comes from --new-passphrase-file or is asked for twice. The
/// owner seed stays the same: whoever has an old wrap and the old passphrase can still open the vault.
#[derive(Debug, Args)]
pub(crate) struct PassphraseArguments {
    /// File that holds the new passphrase, readable by you alone.
    #[arg(long, value_name = "FILE")]
    new_passphrase_file: Option<PathBuf>,

    /// Keep the wrap in the vault too. The passphrase is then generated and printed.
    #[arg(long, conflicts_with = "new_passphrase_file")]
    in_vault: bool,

    /// Remove the wrap from the vault.
    #[arg(long, conflicts_with = "in_vault")]
    out_of_vault: bool,
}

/// Print the recovery kit, or write it into a file of mode 0600.
#[derive(Debug, Args)]
pub(crate) struct KitArguments {
    /// The file; without it the kit is printed.
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
}

/// Make a key pair for a recipient.
#[derive(Debug, Args)]
pub(crate) struct GenerateArguments {
    /// The file for the secret key.
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// Let the holder of another key open the vault too.
#[derive(Debug, Args)]
pub(crate) struct AddRecipientArguments {
    /// A name for the recipient.
    #[arg(value_name = "NAME")]
    name: ItemName,

    /// File that holds the recipient's public key, as 'holdfast key generate' printed it.
    #[arg(value_name = "FILE")]
    public: PathBuf,
}

/// Give this machine keys that can add points and open nothing.
///
/// From then on 'holdfast backup' needs no passphrase here. Whoever takes this machine can add points, confirm guesses
/// about contents, and read no old backup. Unchanged files are read again at every backup, because the last point cannot
/// be opened here.
#[derive(Debug, Args)]
pub(crate) struct WriteOnlyArguments {
    /// Items that this machine may write [default: all].
    #[arg(long, value_name = "NAME")]
    item: Vec<ItemName>,

    /// Remove this machine's passphrase wrap as well, so that nothing here can open the vault any more. The recovery kit must
    /// have been put elsewhere before.
    #[arg(long)]
    only: bool,
}

/// Retire an agent's key: its points stay good, new ones are refused.
#[derive(Debug, Args)]
pub(crate) struct RetireArguments {
    /// The agent, by the beginning of its key ('holdfast key list').
    #[arg(value_name = "AGENT")]
    agent: String,
}

pub(crate) async fn run(global: &Global, command: Command) -> Outcome<Exit> {
    match command {
        Command::Passphrase(arguments) => passphrase(global, arguments).await,
        Command::Kit(arguments) => kit(global, arguments).await,
        Command::Generate(arguments) => generate(global, &arguments),
        Command::AddRecipient(arguments) => add_recipient(global, arguments).await,
        Command::List => list(global).await,
        Command::WriteOnly(arguments) => write_only(global, arguments).await,
        Command::Retire(arguments) => retire(global, &arguments).await,
    }
}

async fn passphrase(global: &Global, arguments: PassphraseArguments) -> Outcome<Exit> {
    let (opened, keys) = open_with_keys(global).await?;
    if arguments.out_of_vault {
        opened.vault.set_passphrase_wrap(None).await?;
        return done(global, "the wrap is no longer in the vault");
    }
    let generated = arguments.in_vault.then(seal::generate_passphrase);
    let passphrase: SecretString = match (&generated, arguments.new_passphrase_file) {
        (Some(generated), _) => generated.clone(),
        (None, file) => {
            let asked = Global { passphrase_file: file.clone(), ..global.clone() };
            if file.is_none() && std::env::var_os("HOLDFAST_PASSPHRASE").is_some() {
                return Err(Failure::new(Exit::Usage, "HOLDFAST_PASSPHRASE is the present passphrase")
                    .with_hint("give the new one with --new-passphrase-file, or unset HOLDFAST_PASSPHRASE to be asked"));
            }
            new_passphrase(&asked)?
        }
    };
    let wrap = seal::wrap_with_passphrase(&keys.seed, opened.descriptor.vault, &passphrase, seal::default_argon2())?.encode();
    // The vault first: until it has the wrap, this machine keeps the passphrase that it has.
    if let Some(generated) = &generated {
        store_in_vault(&opened, &wrap, generated).await?;
        report_passphrase(global, Some(generated));
    }
    write_private(&opened.home.passphrase_wrap(), &wrap)?;
    opened.home.set_domain(keys.domain)?;
    if generated.is_none() {
        // Not everybody may ask.
        if let Ok(Some(_)) = opened.vault.passphrase_wrap().await {
            note!(
                "note: the vault still keeps a wrap under its old, generated passphrase; --in-vault or --out-of-vault changes that"
            );
        }
        report_passphrase(global, None);
    }
    Ok(Exit::Clean)
}

/// Nobody has seen the generated passphrase yet: if the vault may have taken it although it did not say so, it is told.
async fn store_in_vault(opened: &Opened, wrap: &[u8], generated: &SecretString) -> Outcome<()> {
    let stored = opened.vault.set_passphrase_wrap(Some(wrap.to_vec().into())).await;
    stored.map_err(|error| {
        let perhaps = matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Internal);
        let failure = Failure::from(error);
        if !perhaps {
            return failure;
        }
        failure.with_hint(format!("if the vault has it all the same, its passphrase is: {}", generated.expose_secret()))
    })
}

fn report_passphrase(global: &Global, generated: Option<&SecretString>) {
    if global.json {
        let mut json = Json::new("key");
        json.set("done", "the passphrase is set");
        if let Some(generated) = generated {
            json.set("passphrase", generated.expose_secret());
        }
        json.print();
        return;
    }
    if let Some(generated) = generated {
        say!("passphrase  {}", generated.expose_secret());
    }
    say!("the passphrase is set");
}

async fn kit(global: &Global, arguments: KitArguments) -> Outcome<Exit> {
    let (opened, keys) = open_with_keys(global).await?;
    let kit = seal::print_kit(&keys.seed, opened.descriptor.vault);
    match arguments.to {
        Some(path) if path.exists() => Err(Failure::new(Exit::Conflict, format!("'{}' exists already", path.display()))),
        Some(path) => {
            write_private(&path, &secret_bytes(&kit))?;
            done(global, &format!("the recovery kit is in '{}'", path.display()))
        }
        None => {
            terminal::say_text(format_args!("{}", kit.expose_secret()));
            Ok(Exit::Clean)
        }
    }
}

fn generate(global: &Global, arguments: &GenerateArguments) -> Outcome<Exit> {
    if arguments.file.exists() {
        return Err(Failure::new(Exit::Conflict, format!("'{}' exists already", arguments.file.display())));
    }
    let secret = seal::RecipientSecret::generate();
    write_private(&arguments.file, &secret_bytes(&secret.to_text()))?;
    let public = seal::print_recipient(&secret.public());
    if global.json {
        let mut json = Json::new("key");
        json.set("public", public);
        json.print();
    } else {
        say!("{public}");
    }
    Ok(Exit::Clean)
}

async fn add_recipient(global: &Global, arguments: AddRecipientArguments) -> Outcome<Exit> {
    let (opened, keys) = open_with_keys(global).await?;
    let text = fs::read_to_string(&arguments.public)
        .map_err(|error| Failure::io(format!("cannot read '{}'", arguments.public.display()), &error))?;
    let public = seal::read_recipient(&text)?;
    let wrap = seal::wrap_to_recipient(&keys.seed, opened.descriptor.vault, &public)?;
    let path = opened.home.recipient_wrap(arguments.name.as_str());
    write_private(&path, &wrap.encode())?;
    let recipient = Recipient { name: arguments.name.to_string(), public };
    publish(&opened, &keys.seed, |descriptor| {
        descriptor.recipients.retain(|known| known.name != recipient.name);
        if descriptor.recipients.len() >= limits::RECIPIENTS_MAX {
            return Err(Failure::new(Exit::Refused, format!("a vault has at most {} recipients", limits::RECIPIENTS_MAX)));
        }
        descriptor.recipients.push(recipient);
        Ok(())
    })
    .await?;
    done(global, &format!("the wrap to '{}' is in '{}'; give it to the recipient", arguments.name, path.display()))
}

async fn write_only(global: &Global, arguments: WriteOnlyArguments) -> Outcome<Exit> {
    let (opened, keys) = open_with_keys(global).await?;
    let kit = opened.home.config.join("recovery-kit.txt");
    if arguments.only && kit.exists() {
        return Err(Failure::new(Exit::Refused, format!("the recovery kit is still here: '{}'", kit.display())).with_hint(
            "put it where it is safe, away from this machine, and remove it here: soon nothing else can open the vault",
        ));
    }
    let signer = seal::AgentSigner::generate();
    let certificate = keys.seed.certify(opened.descriptor.vault, signer.key(), keys.domain, &arguments.item);
    let agent = signer.key();
    // The certificate first: keys that are not certified must not take the place of those that are.
    publish(&opened, &keys.seed, |descriptor| {
        descriptor.certificates.push(certificate);
        Ok(())
    })
    .await?;
    opened.store_write_only(&WriteOnly { writer: keys.secret.writer(keys.domain), signer })?;
    opened.home.set_domain(keys.domain)?;
    if arguments.only {
        let path = opened.home.passphrase_wrap();
        if path.exists() {
            fs::remove_file(&path).map_err(|error| Failure::io(format!("cannot remove '{}'", path.display()), &error))?;
        }
    }
    let only = if arguments.only {
        "; its passphrase wrap is gone, only the recovery kit or a recipient opens the vault now"
    } else {
        ""
    };
    done(global, &format!("this machine writes as agent {} and can open nothing with that{only}", &agent.to_string()[..16]))
}

async fn retire(global: &Global, arguments: &RetireArguments) -> Outcome<Exit> {
    let (opened, keys) = open_with_keys(global).await?;
    publish(&opened, &keys.seed, |descriptor| {
        let mut fits: Vec<_> =
            descriptor.certificates.iter_mut().filter(|known| known.agent.to_string().starts_with(&arguments.agent)).collect();
        match fits.as_mut_slice() {
            [one] => {
                one.retired = true;
                Ok(())
            }
            [] => Err(Failure::new(Exit::Failed, format!("there is no agent '{}'", arguments.agent))),
            _ => Err(Failure::new(Exit::Usage, format!("'{}' is the beginning of several agents", arguments.agent))),
        }
    })
    .await?;
    done(global, "the agent is retired")
}

async fn list(global: &Global) -> Outcome<Exit> {
    let opened = open_keyless(global).await?;
    let descriptor = &opened.descriptor;
    let domain = |id| descriptor.domain(id).map_or_else(|| "?".to_owned(), |entry| entry.name.clone());
    if global.json {
        let mut json = Json::new("key");
        let agents = descriptor.certificates.iter().map(|certificate| {
            serde_json::json!({
                "agent": certificate.agent.to_string(),
                "domain": domain(certificate.domain),
                "items": certificate.items.iter().map(|item| item.as_str()).collect::<Vec<_>>(),
                "retired": certificate.retired,
            })
        });
        json.set("agents", agents.collect::<Vec<_>>());
        json.set("recipients", descriptor.recipients.iter().map(|recipient| recipient.name.clone()).collect::<Vec<_>>());
        json.set("passphrase_here", opened.home.passphrase_wrap().exists());
        json.set("passphrase_in_vault", opened.vault.passphrase_wrap().await?.is_some());
        json.print();
        return Ok(Exit::Clean);
    }
    let mut table = Table::new(&["AGENT", "DOMAIN", "ITEMS", "STATE"]);
    for certificate in &descriptor.certificates {
        let items: Vec<&str> = certificate.items.iter().map(|item| item.as_str()).collect();
        let items = if items.is_empty() { "all".to_owned() } else { items.join(", ") };
        let state = if certificate.retired { "retired" } else { "may write" };
        table.row(vec![certificate.agent.to_string()[..16].to_owned(), domain(certificate.domain), items, state.to_owned()]);
    }
    table.print();
    for recipient in &descriptor.recipients {
        say!("recipient {}", terminal::printable(recipient.name.as_bytes()));
    }
    say!("passphrase wrap on this machine: {}", yes(opened.home.passphrase_wrap().exists()));
    say!("passphrase wrap in the vault: {}", yes(opened.vault.passphrase_wrap().await?.is_some()));
    Ok(Exit::Clean)
}

fn yes(is: bool) -> &'static str {
    if is { "yes" } else { "no" }
}

/// Signs and stores the next version of the descriptor.
async fn publish(opened: &Opened, seed: &seal::OwnerSeed, change: impl FnOnce(&mut Descriptor) -> Outcome<()>) -> Outcome<()> {
    let mut descriptor = opened.descriptor.clone();
    descriptor.version += 1;
    seed.adopt(&mut descriptor);
    change(&mut descriptor)?;
    opened.vault.publish_descriptor(seed.sign_descriptor(&descriptor).into()).await?;
    let mut remembered = opened.remembered.clone();
    remembered.see_descriptor(descriptor.version)?;
    remembered.store(&opened.home)
}

fn done(global: &Global, what: &str) -> Outcome<Exit> {
    if global.json {
        let mut json = Json::new("key");
        json.set("done", what);
        json.print();
    } else {
        say!("{what}");
    }
    Ok(Exit::Clean)
}
