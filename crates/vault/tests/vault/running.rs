//! A service that runs in this process, with a vault in it and everything that a test asks of it.

use api::{Address, Fingerprint, PointTold, Scope, ServiceOptions, ServiceVault};
use contract::{Domain, Vault};
use engine::backup::{self, BackupKeys, BackupOptions, BackupReport, BackupRequest};
use engine::restore::{self, RestoreOptions, RestoreReport, RestoreRequest};
use engine::{Cancel, Progress, ReadKeys};
use format::descriptor::{Descriptor, DomainEntry};
use format::{DomainId, ItemName, VaultId, limits};
use seal::{AgentSigner, DomainSecret, OwnerSeed};
use secrecy::SecretString;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use vault::{Config, Limits, Service, Time};
use workloads::files::{self, FileSet, FileSetOptions, RestoreTarget};

pub(crate) const DOMAIN: DomainId = DomainId([2; 16]);
pub(crate) const OTHER_DOMAIN: DomainId = DomainId([3; 16]);
const VAULT: VaultId = VaultId([1; 16]);

/// A running service.
pub(crate) struct Running {
    pub(crate) directory: Arc<TempDir>,
    pub(crate) address: SocketAddr,
    pub(crate) authority: Fingerprint,
    pub(crate) one_time: Option<String>,
    end: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Running {
    /// The first start in a directory of its own.
    pub(crate) async fn new(limits: Limits) -> Self {
        Self::start(Arc::new(tempfile::tempdir().unwrap()), limits).await
    }

    /// Starts in a directory, perhaps again.
    pub(crate) async fn start(directory: Arc<TempDir>, limits: Limits) -> Self {
        Self::start_at(directory, Config { limits, ..Config::default() }, Arc::new(Hands::default())).await
    }

    /// Starts with this configuration, at the time that somebody sets.
    pub(crate) async fn start_at(directory: Arc<TempDir>, config: Config, time: Arc<Hands>) -> Self {
        let data = directory.path().join("data");
        let config = Config { data, listen: "127.0.0.1:0".parse().unwrap(), ..config };
        let service = Service::start_with(config, time).await.unwrap();
        let (address, authority) = (service.address(), service.authority().unwrap());
        let one_time = service.one_time().map(str::to_owned);
        let (end, ended) = oneshot::channel();
        let task = tokio::spawn(service.run(async move {
            let _ = ended.await;
        }));
        Self { directory, address, authority, one_time, end: Some(end), task }
    }

    /// Ends as after SIGTERM.
    pub(crate) async fn stop(mut self) -> Arc<TempDir> {
        self.end.take().unwrap().send(()).unwrap();
        tokio::time::timeout(Duration::from_secs(20), &mut self.task).await.unwrap().unwrap();
        self.directory.clone()
    }

    pub(crate) fn url(&self) -> Address {
        format!("https://{}", self.address).parse().unwrap()
    }

    /// A client with this token.
    pub(crate) fn client(&self, token: &str) -> ServiceVault {
        ServiceVault::new(self.options(token)).unwrap()
    }

    /// A client that tells this of the points that it commits.
    pub(crate) fn client_telling(&self, token: &str, told: PointTold) -> ServiceVault {
        ServiceVault::new(ServiceOptions { told: Some(Arc::new(move || told)), ..self.options(token) }).unwrap()
    }

    fn options(&self, token: &str) -> ServiceOptions {
        ServiceOptions::new(self.url(), Some(self.authority), SecretString::from(token))
    }
}

/// The system's time, with hands that a test moves.
#[derive(Default)]
pub(crate) struct Hands {
    wall_ms: AtomicI64,
    running_ms: AtomicU64,
}

impl Hands {
    /// Time passes.
    pub(crate) fn pass(&self, time: Duration) {
        self.set_ahead(time.as_millis() as i64);
        self.running_ms.fetch_add(time.as_millis() as u64, Ordering::Relaxed);
    }

    /// The wall clock jumps, and no time passes.
    pub(crate) fn set_ahead(&self, ms: i64) {
        self.wall_ms.fetch_add(ms, Ordering::Relaxed);
    }
}

impl Time for Hands {
    fn wall_ms(&self) -> i64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
        now + self.wall_ms.load(Ordering::Relaxed)
    }

    fn running(&self) -> Duration {
        static STARTED: LazyLock<Instant> = LazyLock::new(Instant::now);
        STARTED.elapsed() + Duration::from_millis(self.running_ms.load(Ordering::Relaxed))
    }
}

/// A vault of two domains behind a service, with the keys of its owner.
#[derive(Clone)]
pub(crate) struct Keyed {
    pub(crate) vault: ServiceVault,
    pub(crate) owner: Arc<OwnerSeed>,
    pub(crate) descriptor: Arc<Descriptor>,
}

/// The same, with the service that runs in this process.
pub(crate) struct Protected {
    pub(crate) running: Running,
    pub(crate) admin_token: String,
    pub(crate) keyed: Keyed,
}

pub(crate) fn item(name: &str) -> ItemName {
    ItemName::new(name).unwrap()
}

/// Bytes that neither compress nor repeat.
pub(crate) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

impl Protected {
    pub(crate) async fn new() -> Self {
        Self::with(Limits::default()).await
    }

    pub(crate) async fn with(limits: Limits) -> Self {
        Self::at(Config { limits, ..Config::default() }, Arc::new(Hands::default())).await
    }

    /// At the time that somebody sets.
    pub(crate) async fn at(config: Config, time: Arc<Hands>) -> Self {
        Self::in_directory(Arc::new(tempfile::tempdir().unwrap()), config, time).await
    }

    /// With its data in this directory.
    pub(crate) async fn in_directory(directory: Arc<TempDir>, config: Config, time: Arc<Hands>) -> Self {
        let running = Running::start_at(directory, config, time).await;
        let one_time = running.one_time.clone().unwrap();
        let admin_token = running.client(&one_time).redeem("administrator").await.unwrap().secret;
        let keyed = Self::keys_for(running.client(&admin_token), VAULT).await;
        Self { running, admin_token, keyed }
    }

    /// Makes a vault behind a service that has none.
    pub(crate) async fn keys_for(vault: ServiceVault, id: VaultId) -> Keyed {
        let owner = OwnerSeed::generate();
        let entry = |domain: DomainId, name: &str| {
            let secret = DomainSecret::generate();
            DomainEntry {
                id: domain,
                name: name.to_owned(),
                created_ms: 0,
                public: secret.public(),
                wrapped_secret: secret.wrap_to_owner(&owner.public(), domain).unwrap(),
            }
        };
        let certify = |domain| owner.certify(id, owner.agent_signer(domain).key(), domain, &[]);
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
            domains: vec![entry(DOMAIN, "one"), entry(OTHER_DOMAIN, "two")],
            certificates: vec![certify(DOMAIN), certify(OTHER_DOMAIN)],
        };
        vault.publish_descriptor(owner.sign_descriptor(&descriptor).into()).await.unwrap();
        Keyed { vault, owner: Arc::new(owner), descriptor: Arc::new(descriptor) }
    }

    /// The same vault behind a service that was ended and started again.
    pub(crate) async fn restart(self, config: Config, time: Arc<Hands>) -> Self {
        let Self { running, admin_token, keyed } = self;
        let running = Running::start_at(running.stop().await, config, time).await;
        let keyed = Keyed { vault: running.client(&admin_token), ..keyed };
        Self { running, admin_token, keyed }
    }

    /// The administrator's client.
    pub(crate) fn admin(&self) -> &ServiceVault {
        &self.keyed.vault
    }

    /// A token of the agent of the first domain.
    pub(crate) async fn agent_token(&self) -> String {
        let scope = Scope::Agent { domain: DOMAIN, agent: self.keyed.signer().key() };
        self.admin().issue_token("agent", scope).await.unwrap().secret
    }

    pub(crate) async fn domain(&self) -> Arc<dyn Domain> {
        self.admin().domain(DOMAIN).await.unwrap()
    }
}

impl Keyed {
    pub(crate) fn signer(&self) -> AgentSigner {
        self.owner.agent_signer(DOMAIN)
    }

    fn keys(&self) -> ReadKeys {
        ReadKeys::new(self.owner.domain_secret(&self.descriptor.domains[0]).unwrap(), DOMAIN)
    }

    /// Backs a directory up through this domain.
    pub(crate) async fn backup(&self, domain: Arc<dyn Domain>, path: &Path) -> engine::Result<BackupReport> {
        let keys = self.keys();
        let files = FileSet::new(FileSetOptions { roots: vec![path.to_owned()], ..FileSetOptions::default() }).unwrap();
        let mut options = BackupOptions::new(item("item"));
        options.paths = vec![b"/source".to_vec()];
        options.host = "host".into();
        backup::run(BackupRequest {
            domain,
            descriptor: self.descriptor.clone(),
            keys: BackupKeys { writer: keys.writer().clone(), signer: Arc::new(self.signer()), read: Some(keys) },
            source: Arc::new(files),
            options,
            sink: Arc::new(|_| ()),
            progress: Progress::default(),
            cancel: Cancel::new(),
        })
        .await
    }

    /// Restores the newest point through this domain.
    pub(crate) async fn restore(&self, domain: Arc<dyn Domain>, to: &Path) -> RestoreReport {
        let point = domain.points(contract::PointFilter::default()).await.unwrap().pop().unwrap();
        restore::run(RestoreRequest {
            domain,
            descriptor: self.descriptor.clone(),
            keys: self.keys(),
            point,
            target: Arc::new(RestoreTarget::new(files::RestoreOptions::new(to)).unwrap()),
            options: RestoreOptions::default(),
            progress: Progress::default(),
            cancel: Cancel::new(),
        })
        .await
        .unwrap()
    }
}
