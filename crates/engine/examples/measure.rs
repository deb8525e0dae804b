//! Measures the engine on real trees with an embedded vault: `measure init|backup|restore|check VAULT [PATH]`.
//! A step a process, so that time and peak memory are its own. The seed lies beside the vault: for measuring only.

use contract::{PointFilter, Vault};
use format::descriptor::{Descriptor, DomainEntry};
use format::{DomainId, ItemName, VaultId, limits};
use holdfast_engine::backup::{self, BackupKeys, BackupOptions, BackupRequest};
use holdfast_engine::restore::{self, RestoreOptions, RestoreRequest};
use holdfast_engine::{Cancel, Progress, ReadKeys};
use repository::{EmbeddedOptions, EmbeddedVault};
use seal::{DomainSecret, OwnerSeed};
use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;
use workloads::files::{self, FileSet, FileSetOptions, RestoreTarget};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Outcome<T> = Result<T, Box<dyn Error>>;

const DOMAIN: DomainId = DomainId([2; 16]);

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let started = Instant::now();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["init", vault] => runtime.block_on(init(Path::new(vault)))?,
        ["backup", vault, path] => runtime.block_on(backup(Path::new(vault), path))?,
        ["restore", vault, path] => runtime.block_on(restore(Path::new(vault), path))?,
        _ => return Err("measure init|backup|restore VAULT [PATH]".into()),
    }
    let seconds = started.elapsed().as_secs_f64();
    println!("{}: {seconds:.2} s, peak {} MiB", words[0], peak_mib()?);
    Ok(())
}

fn peak_mib() -> Outcome<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? / 1024)
}

fn seed_path(vault: &Path) -> PathBuf {
    vault.with_extension("seed")
}

fn seed(vault: &Path) -> Outcome<OwnerSeed> {
    let bytes = std::fs::read(seed_path(vault))?;
    Ok(OwnerSeed::from_bytes(bytes.try_into().map_err(|_| "the seed has 32 bytes")?))
}

async fn init(vault: &Path) -> Outcome<()> {
    let mut bytes = [0; 32];
    std::io::Read::read_exact(&mut std::fs::File::open("/dev/urandom")?, &mut bytes)?;
    std::fs::write(seed_path(vault), bytes)?;
    let owner = OwnerSeed::from_bytes(bytes);
    let secret = DomainSecret::generate();
    let id = VaultId([1; 16]);
    let descriptor = Descriptor {
        vault: id,
        version: 1,
        created_ms: 0,
        owner: owner.owner_key(),
        owner_public: owner.public(),
        chunker: limits::CHUNKER_KEYED_GEAR,
        features_to_read: vec![],
        features_to_write: vec![],
        recipients: vec![],
        domains: vec![DomainEntry {
            id: DOMAIN,
            name: "measured".into(),
            created_ms: 0,
            public: secret.public(),
            wrapped_secret: secret.wrap_to_owner(&owner.public(), DOMAIN)?,
        }],
        certificates: vec![owner.certify(id, owner.agent_signer(DOMAIN).key(), DOMAIN, &[])],
    };
    EmbeddedVault::create(vault, owner.sign_descriptor(&descriptor).into()).await?;
    Ok(())
}

struct Opened {
    domain: Arc<dyn contract::Domain>,
    descriptor: Arc<Descriptor>,
    keys: ReadKeys,
    owner: OwnerSeed,
}

async fn open(path: &Path) -> Outcome<Opened> {
    let owner = seed(path)?;
    let vault =
        EmbeddedVault::open(path, EmbeddedOptions { owner: Some(owner.owner_key()), ..EmbeddedOptions::default() }).await?;
    let descriptor = Descriptor::open(&vault.descriptor().await?, Some(&owner.owner_key()))?;
    let secret = owner.domain_secret(&descriptor.domains[0])?;
    let keys = ReadKeys::new(secret, DOMAIN);
    Ok(Opened { domain: vault.domain(DOMAIN).await?, descriptor: Arc::new(descriptor), keys, owner })
}

async fn backup(vault: &Path, path: &str) -> Outcome<()> {
    let Opened { domain, descriptor, keys, owner } = open(vault).await?;
    let signer = Arc::new(owner.agent_signer(DOMAIN));
    let files = FileSet::new(FileSetOptions { roots: vec![path.into()], ..FileSetOptions::default() })?;
    let mut options = BackupOptions::new(ItemName::new("measured")?);
    options.paths = vec![path.as_bytes().to_vec()];
    if let Ok(level) = std::env::var("LEVEL") {
        options.level = Some(level.parse()?);
    }
    if let Ok(readers) = std::env::var("READERS") {
        options.readers = readers.parse()?;
    }
    if let Ok(pack) = std::env::var("PACK_MIB") {
        options.pack_bytes = pack.parse::<usize>()? << 20;
    }
    if let Ok(room) = std::env::var("ROOM_MIB") {
        options.room_bytes = room.parse::<usize>()? << 20;
    }
    let request = BackupRequest {
        domain,
        descriptor,
        keys: BackupKeys { writer: keys.writer().clone(), signer, read: Some(keys) },
        source: Arc::new(files),
        options,
        sink: Arc::new(|_| ()),
        progress: Progress::default(),
        cancel: Cancel::new(),
    };
    let report = backup::run(request).await?;
    println!(
        "unchanged {} read {} ({} MiB), stored {} MiB, warnings {:?}",
        report.entries_unchanged,
        report.entries_read,
        report.bytes_read >> 20,
        report.bytes_stored >> 20,
        report.findings.warnings_by_kind
    );
    Ok(())
}

async fn restore(vault: &Path, destination: &str) -> Outcome<()> {
    let Opened { domain, descriptor, keys, .. } = open(vault).await?;
    let point = domain.points(PointFilter::default()).await?.pop().ok_or("no points")?;
    let target = RestoreTarget::new(files::RestoreOptions::new(destination))?;
    let request = RestoreRequest {
        domain,
        descriptor,
        keys,
        point,
        target: Arc::new(target),
        options: RestoreOptions::default(),
        progress: Progress::default(),
        cancel: Cancel::new(),
    };
    let report = restore::run(request).await?;
    println!(
        "files {} directories {} others {}, written {} MiB, verified {} blobs, damaged {} failed {:?} shortfalls {:?}",
        report.files,
        report.directories,
        report.others,
        report.bytes_written >> 20,
        report.blobs_verified,
        report.damaged.count,
        report.failed,
        report.shortfalls_by_kind
    );
    Ok(())
}
