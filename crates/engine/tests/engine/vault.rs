//! A vault in a temporary directory, with everything that a test does to it.

use crate::memory_target::MemoryTarget;
use contract::{Domain, PointFilter, PointInfo, Vault};
use format::descriptor::{Descriptor, DomainEntry};
use format::{DomainId, ItemName, VaultId, limits};
use holdfast_engine::backup::{self, BackupKeys, BackupOptions, BackupReport, BackupRequest};
use holdfast_engine::check::{self, CheckReport, CheckRequest};
use holdfast_engine::restore::{self, RestoreOptions, RestoreReport, RestoreRequest};
use holdfast_engine::source::TreeSource;
use holdfast_engine::target::TreeTarget;
use holdfast_engine::{Cancel, Progress, ReadKeys, Result};
use repository::EmbeddedVault;
use seal::{DomainSecret, OwnerSeed};
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use tempfile::TempDir;

pub const DOMAIN: DomainId = DomainId([2; 16]);
const VAULT: VaultId = VaultId([1; 16]);

pub struct TestVault {
    pub directory: TempDir,
    pub owner: OwnerSeed,
    pub descriptor: Arc<Descriptor>,
    pub domain: Arc<dyn Domain>,
    pub keys: ReadKeys,
}

pub fn item(name: &str) -> ItemName {
    ItemName::new(name).unwrap()
}

pub fn quick(name: &str) -> BackupOptions {
    let mut options = BackupOptions::new(item(name));
    options.paths = vec![b"/source".to_vec()];
    options.host = "host".into();
    options
}

impl TestVault {
    pub async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let owner = OwnerSeed::generate();
        let secret = DomainSecret::generate();
        let entry = DomainEntry {
            id: DOMAIN,
            name: "test".into(),
            created_ms: 0,
            public: secret.public(),
            wrapped_secret: secret.wrap_to_owner(&owner.public(), DOMAIN).unwrap(),
        };
        let descriptor = Descriptor {
            vault: VAULT,
            version: 1,
            created_ms: 0,
            owner: owner.owner_key(),
            owner_public: owner.public(),
            chunker: limits::CHUNKER_KEYED_GEAR,
            features_to_read: vec![],
            features_to_write: vec![],
            recipients: vec![],
            domains: vec![entry],
            certificates: vec![owner.certify(VAULT, owner.agent_signer(DOMAIN).key(), DOMAIN, &[])],
        };
        let signed = owner.sign_descriptor(&descriptor);
        let vault = EmbeddedVault::create(&directory.path().join("vault"), signed.into()).await.unwrap();
        let domain = vault.domain(DOMAIN).await.unwrap();
        let keys = ReadKeys::new(secret, DOMAIN);
        Self { directory, owner, descriptor: Arc::new(descriptor), domain, keys }
    }

    pub fn request(&self, source: Arc<dyn TreeSource>, options: BackupOptions) -> BackupRequest {
        BackupRequest {
            domain: self.domain.clone(),
            descriptor: self.descriptor.clone(),
            keys: BackupKeys {
                writer: self.keys.writer().clone(),
                signer: Arc::new(self.owner.agent_signer(DOMAIN)),
                read: Some(self.keys.clone()),
            },
            source,
            options,
            sink: Arc::new(|_| ()),
            progress: Progress::default(),
            cancel: Cancel::new(),
        }
    }

    pub async fn try_backup(&self, source: Arc<dyn TreeSource>) -> Result<BackupReport> {
        backup::run(self.request(source, quick("item"))).await
    }

    pub async fn backup(&self, source: Arc<dyn TreeSource>) -> BackupReport {
        self.try_backup(source).await.unwrap()
    }

    pub async fn points(&self) -> Vec<PointInfo> {
        self.domain.points(PointFilter::default()).await.unwrap()
    }

    pub async fn latest(&self) -> PointInfo {
        self.points().await.pop().unwrap()
    }

    pub async fn try_restore(
        &self,
        point: PointInfo,
        target: Arc<dyn TreeTarget>,
        options: RestoreOptions,
    ) -> Result<RestoreReport> {
        restore::run(RestoreRequest {
            domain: self.domain.clone(),
            descriptor: self.descriptor.clone(),
            keys: self.keys.clone(),
            point,
            target,
            options,
            progress: Progress::default(),
            cancel: Cancel::new(),
        })
        .await
    }

    pub async fn restore(&self, point: PointInfo) -> (MemoryTarget, RestoreReport) {
        let target = MemoryTarget::default();
        let report = self.try_restore(point, Arc::new(target.clone()), RestoreOptions::default()).await.unwrap();
        (target, report)
    }

    pub async fn check(&self, read_data: bool) -> CheckReport {
        check::run(CheckRequest {
            domain: self.domain.clone(),
            descriptor: self.descriptor.clone(),
            keys: self.keys.clone(),
            points: self.points().await,
            read_data,
            workers: 2,
            progress: Progress::default(),
            cancel: Cancel::new(),
        })
        .await
        .unwrap()
    }

    /// Packs of a kind (1 data, 2 pages), the largest first.
    pub fn packs(&self, kind: u8) -> Vec<PathBuf> {
        let mut packs = Vec::new();
        let root = self.directory.path().join("vault/objects").join(DOMAIN.to_string()).join("pack");
        for folder in fs::read_dir(root).into_iter().flatten() {
            for pack in fs::read_dir(folder.unwrap().path()).unwrap() {
                let path = pack.unwrap().path();
                if fs::read(&path).unwrap()[24] == kind {
                    packs.push(path);
                }
            }
        }
        packs.sort_by_key(|path| std::cmp::Reverse(fs::metadata(path).unwrap().len()));
        packs
    }

    /// Flips a bit of a file in storage.
    pub fn flip(&self, path: &PathBuf, offset: u64) {
        let mut permissions = fs::metadata(path).unwrap().permissions();
        #[allow(clippy::permissions_set_readonly_false)]
        permissions.set_readonly(false);
        fs::set_permissions(path, permissions).unwrap();
        let mut bytes = fs::read(path).unwrap();
        bytes[offset as usize] ^= 1;
        fs::write(path, bytes).unwrap();
    }
}

/// Bytes that neither compress nor repeat.
pub fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}
