//! `holdfast key …`

use crate::cli::Global;
use crate::failure::{Exit, Failure, Outcome};
use crate::local::{
    Login, Opened, TestedSecret, VaultPlace, WriteOnly, exists, new_passphrase, open_keyless, open_with_keys, secret_bytes,
    write_private,
};
use crate::terminal::{self, Json, Table, note, say};
use api::{JobState, JobsQuery, Scope};
use clap::{Args, Subcommand};
use contract::ErrorKind;
use format::descriptor::{Certificate, Descriptor, DomainEntry, Recipient};
use format::{AgentKey, DomainId, ItemName, limits};
use secrecy::{ExposeSecret, SecretString};
use std::collections::BTreeSet;
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
    /// Test that a secret opens the vault, and changes nothing.
    ///
    /// Takes the secret as every command does that needs one: --recovery-kit, --recipient-key, or the passphrase, which is tried on this
    /// machine's wrap and on the vault's. Exit code 0 if it opens the vault and every domain in it, 3 if a domain is sealed to somebody else
    /// or one of two wraps does not open, 6 if it opens nothing. Do it before you need it; then restore something.
    Test,
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

    /// Remove this machine's passphrase wrap as well, so that nothing here can open the vault any more. At a vault service the
    /// administrator's token goes too: the machine gets an agent's, which purges nothing. The recovery kit must have been put
    /// elsewhere before.
    #[arg(long)]
    only: bool,
}

/// Retire an agent's key: its points stay good, new ones are refused, and its token for the vault service is ended.
#[derive(Debug, Args)]
pub(crate) struct RetireArguments {
    /// The agents, by the beginning of their keys ('holdfast key list').
    #[arg(value_name = "AGENT", required = true)]
    agents: Vec<String>,
}

pub(crate) async fn run(global: &Global, command: Command) -> Outcome<Exit> {
    match command {
        Command::Passphrase(arguments) => passphrase(global, arguments).await,
        Command::Kit(arguments) => kit(global, arguments).await,
        Command::Generate(arguments) => generate(global, &arguments),
        Command::AddRecipient(arguments) => add_recipient(global, arguments).await,
        Command::List => list(global).await,
        Command::Test => test(global).await,
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
    // Shown first: a passphrase that nobody has seen must not take the place of one that somebody knows.
    if let Some(generated) = &generated {
        terminal::show_first(global.json, "key", "passphrase", generated.expose_secret());
    }
    let wrap = seal::wrap_with_passphrase(&keys.seed, opened.descriptor.vault, &passphrase, seal::default_argon2())?.encode();
    // Then the vault: until it has the wrap, this machine keeps the passphrase that it has.
    if generated.is_some() {
        terminal::was_heard()?;
        store_in_vault(&opened, &wrap).await?;
    }
    write_private(&opened.home.passphrase_wrap(), &wrap)?;
    if opened.home.domain()?.is_none() {
        opened.home.set_domain(keys.domain)?;
    }
    if generated.is_none() {
        // Not everybody may ask.
        if let Ok(Some(_)) = opened.vault.passphrase_wrap().await {
            note!(
                "note: the vault still keeps a wrap under its old, generated passphrase; --in-vault or --out-of-vault changes that"
            );
        }
    }
    done(global, "the passphrase is set")
}

/// The generated passphrase was shown before: what it is good for is said if the vault did not take it.
async fn store_in_vault(opened: &Opened, wrap: &[u8]) -> Outcome<()> {
    let stored = opened.vault.set_passphrase_wrap(Some(wrap.to_vec().into())).await;
    stored.map_err(|error| {
        let perhaps = error.kind().is_passing() || error.kind() == ErrorKind::Internal;
        let failure = Failure::from(error);
        failure.with_hint(match perhaps {
            true => "keep the passphrase that was shown: the vault may have it all the same; here the old one counts",
            false => "the passphrase that was shown is good for nothing: the old one counts",
        })
    })
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

async fn test(global: &Global) -> Outcome<Exit> {
    let opened = open_keyless(global).await?;
    let tested = opened.test_secret(global).await?;
    let opens = |entry: &&DomainEntry| tested.seed.domain_secret(entry).is_ok();
    let (opened_domains, sealed): (Vec<_>, Vec<_>) = opened.descriptor.domains.iter().partition(opens);
    if global.json {
        let mut json = Json::new("key");
        json.set("secret", tested.secret);
        json.set("vault", opened.descriptor.vault.to_string());
        json.set("owner_fingerprint", opened.descriptor.owner.fingerprint());
        json.set("domains_opened", opened_domains.len());
        json.set("domains_not_opened", sealed.iter().map(|entry| entry.id.to_string()).collect::<Vec<_>>());
        json.set("opens_wrap_on_machine", tested.machine);
        json.set("opens_wrap_in_vault", tested.vault);
        json.print();
    } else {
        let domains = terminal::counted(opened_domains.len() as u64, "domain", "domains");
        say!("the {} opens vault {}: {domains}", tested.secret, opened.descriptor.vault);
        for DomainEntry { id, .. } in &sealed {
            note!("warning: the domain {id} is sealed to somebody else: 'holdfast key list' lists who may write there");
        }
        tell_of_wraps(&tested);
    }
    // Whose token may not ask, an agent's, has no use for the vault's wrap.
    let is_known = tested.unasked.as_ref().is_none_or(is_not_allowed);
    let is_whole = sealed.is_empty() && tested.machine != Some(false) && tested.vault != Some(false) && is_known;
    Ok(if is_whole { Exit::Clean } else { Exit::Warnings })
}

/// What a passphrase opens decides from where it opens the vault.
fn tell_of_wraps(tested: &TestedSecret) {
    match (tested.machine, tested.vault, &tested.unasked) {
        (Some(true), _, Some(failure)) if is_not_allowed(failure) => {
            say!("it opens the wrap on this machine; whether the vault keeps one is not told to this machine's agent");
        }
        (_, _, Some(failure)) => note!("warning: whether it opens the vault's own wrap is not known: {}", failure.heading()),
        (Some(true), None, None) => {
            say!(
                "it does so on this machine alone, whose wrap it opens: elsewhere a recovery kit or a recipient's key is needed"
            );
        }
        (Some(true), Some(false), None) => {
            note!("warning: it opens the wrap on this machine, but not the vault's: elsewhere it opens nothing");
        }
        (Some(false), Some(true), None) => {
            note!("warning: it opens the vault's wrap, but not the one on this machine, which comes first here");
        }
        _ => {}
    }
}

fn is_not_allowed(failure: &Failure) -> bool {
    failure.exit == Exit::Refused
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
    if arguments.only && exists(&kit)? {
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
    let mut only = String::new();
    if arguments.only {
        only = "; its passphrase wrap is gone, only the recovery kit or a recipient opens the vault now".to_owned();
        give_up_owners_access(&opened, keys.domain, agent, &mut only).await?;
    }
    done(global, &format!("this machine writes as agent {} and can open nothing with that{only}", &agent.to_string()[..16]))
}

/// Leaves this machine what its agent needs: no wrap, and at a service a token that adds points and purges none.
///
/// Whatever comes in between, the owner gets in again: until the new token is here the old one is, and the recovery kit, which is
/// elsewhere, runs the command again. The old token ends last, with itself.
async fn give_up_owners_access(opened: &Opened, domain: DomainId, agent: AgentKey, said: &mut String) -> Outcome<()> {
    let wrap = opened.home.passphrase_wrap();
    let remove_wrap = || match fs::remove_file(&wrap) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Failure::io(format!("cannot remove '{}'", wrap.display()), &error))
        }
        _ => Ok(()),
    };
    let (VaultPlace::Service(address), Some(service)) = (&opened.place, &opened.service) else { return remove_wrap() };
    let login = Login::new(&opened.directories, address);
    let old = login.token()?;
    let issued = service.issue_token(&terminal::host_name(), Scope::Agent { domain, agent }).await?;
    remove_wrap()?;
    login.store(&SecretString::from(issued.secret), login.authority()?)?;
    said.push_str(
        "; at the service it is an agent, no administrator: another machine, or 'holdfast-vault admin-token', administrates now",
    );
    let Some(id) = old.as_ref().and_then(|old| api::token_id(old.expose_secret())) else { return Ok(()) };
    match service.revoke_token(id).await {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            let heading = format!("the administrator's token {id} is no longer on this machine, and is still good");
            Err(Failure::from(error)
                .under(heading)
                .with_hint(format!("end it from where an administrator is logged in: holdfast agent revoke {id}")))
        }
        _ => Ok(()),
    }
}

async fn retire(global: &Global, arguments: &RetireArguments) -> Outcome<Exit> {
    let (opened, keys) = open_with_keys(global).await?;
    let mut retired = Vec::new();
    publish(&opened, &keys.seed, |descriptor| {
        for name in &arguments.agents {
            retired.push(retire_one(descriptor, name)?);
        }
        Ok(())
    })
    .await?;
    let ended = end_tokens(&opened, &retired).await?;
    let agents = if arguments.agents.len() == 1 { "the agent is retired" } else { "the agents are retired" };
    let tokens = match ended {
        0 => String::new(),
        1 => "; 1 token for the service is ended".to_owned(),
        many => format!("; {many} tokens for the service are ended"),
    };
    let jobs = match end_jobs(&opened, &retired).await? {
        0 => String::new(),
        1 => "; 1 job that waited for it is cancelled".to_owned(),
        many => format!("; {many} jobs that waited for them are cancelled"),
    };
    done(global, &format!("{agents}{tokens}{jobs}"))
}

fn retire_one(descriptor: &mut Descriptor, name: &str) -> Outcome<AgentKey> {
    let fits = descriptor.certificates.iter().map(|known| known.agent).filter(|agent| agent.to_string().starts_with(name));
    let fits: Vec<AgentKey> = fits.collect::<BTreeSet<_>>().into_iter().collect();
    match fits[..] {
        [agent] if !name.is_empty() => {
            // One key may have several certificates: none of them is good any more.
            descriptor.certificates.iter_mut().filter(|known| known.agent == agent).for_each(|known| known.retired = true);
            Ok(agent)
        }
        [] => Err(Failure::new(Exit::Failed, format!("there is no agent '{name}'"))),
        _ => Err(Failure::new(Exit::Usage, format!("'{name}' is the beginning of several agents"))),
    }
}

/// Cancels the jobs that wait for agents of which nobody is left in their domains; how many there were.
async fn end_jobs(opened: &Opened, retired: &[AgentKey]) -> Outcome<usize> {
    let Some(service) = &opened.service else { return Ok(0) };
    let failed = |error: contract::Error| {
        let what = "jobs that wait for the retired agents may wait for ever";
        Failure::from(error).under(what).with_hint("'holdfast job list' lists jobs, 'holdfast job cancel ID' cancels one")
    };
    let theirs = opened.descriptor.certificates.iter().filter(|known| retired.contains(&known.agent));
    // The descriptor that was opened is the one of before.
    let is_left = |domain: DomainId| {
        let of_domain = |known: &&Certificate| known.domain == domain && !known.retired && !retired.contains(&known.agent);
        opened.descriptor.certificates.iter().any(|known| of_domain(&known))
    };
    let domains: BTreeSet<DomainId> = theirs.map(|known| known.domain).filter(|domain| !is_left(*domain)).collect();
    let mut ended = 0;
    for domain in domains {
        let mut query = JobsQuery { domain: Some(domain), state: Some(JobState::Waiting), ..JobsQuery::default() };
        loop {
            let page = service.jobs(&query).await.map_err(failed)?;
            for job in page.jobs.iter().filter(|job| job.work.item().is_some()) {
                match service.cancel_job(domain, job.job).await {
                    // It is over meanwhile.
                    Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Conflict) => {}
                    Err(error) => return Err(failed(error)),
                    Ok(()) => ended += 1,
                }
            }
            query.after = page.jobs.last().map(|job| job.job);
            if !page.more || query.after.is_none() {
                break;
            }
        }
    }
    Ok(ended)
}

/// Ends the tokens of agents for the service; how many there were. One that cannot be ended keeps none of the others from it.
async fn end_tokens(opened: &Opened, agents: &[AgentKey]) -> Outcome<usize> {
    let Some(service) = &opened.service else { return Ok(0) };
    let failed = |error: contract::Error, what: String| {
        Failure::from(error).under(what).with_hint("'holdfast agent tokens' lists tokens, 'holdfast agent revoke ID' ends one")
    };
    let unknown = "retired agents may still have tokens for the service that are good";
    let tokens = service.tokens().await.map_err(|error| failed(error, unknown.to_owned()))?.tokens;
    let is_theirs = |token: &&api::Token| matches!(token.scope, Scope::Agent { agent, .. } if agents.contains(&agent));
    let (mut ended, mut still_good, mut first) = (0, Vec::new(), None);
    for token in tokens.iter().filter(is_theirs) {
        match service.revoke_token(&token.id).await {
            // Somebody else was faster.
            Err(error) if error.kind() != ErrorKind::NotFound => {
                still_good.push(token.id.as_str());
                first = first.or(Some(error));
            }
            _ => ended += 1,
        }
    }
    match first {
        Some(error) => {
            let what = format!("the agents are retired, and tokens for the service may still be good: {}", still_good.join(" "));
            Err(failed(error, what))
        }
        None => Ok(ended),
    }
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
    let shown = |id| terminal::printable(domain(id).as_bytes());
    let mut table = Table::new(&["AGENT", "DOMAIN", "ITEMS", "STATE"]);
    for certificate in &descriptor.certificates {
        let items: Vec<&str> = certificate.items.iter().map(|item| item.as_str()).collect();
        let items = if items.is_empty() { "all".to_owned() } else { items.join(", ") };
        let state = if certificate.retired { "retired" } else { "may write" };
        table.row(vec![certificate.agent.to_string()[..16].to_owned(), shown(certificate.domain), items, state.to_owned()]);
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
    change(&mut descriptor)?;
    let unopened = seed.unopened(&descriptor);
    if let Some(domain) = unopened.first() {
        let agents = descriptor.certificates.iter().filter(|known| unopened.contains(&known.domain) && !known.retired);
        let agents: Vec<String> = agents.map(|known| known.agent.to_string()[..16].to_owned()).collect();
        let name = descriptor.domain(*domain).map_or_else(|| domain.to_string(), |entry| entry.name.clone());
        let what = format!("the enrolled domain '{name}' ({domain}) is sealed to somebody else: its secret does not open");
        return Err(Failure::new(Exit::Damage, what).with_hint(format!(
            "somebody came between its machine and the vault; 'holdfast key retire {}' ends its right to add points, then enrol it anew",
            agents.join(" ")
        )));
    }
    seed.adopt(&mut descriptor)?;
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
