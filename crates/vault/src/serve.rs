//! The service from its start to its end.

use crate::app::reserve::{self, Reserve};
use crate::app::{App, duties};
use crate::config::Config;
use crate::db::Database;
use crate::error::{Kind, ServiceError};
use crate::http::accept;
use crate::router::router;
use crate::time::{SystemClocks, Time};
use crate::tls::ServerTls;
use api::{Fingerprint, Scope};
use std::fs::{DirBuilder, File, TryLockError};
use std::future::Future;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;

/// Sessions whose leases ran out are ended at least this often.
const SWEEP_EVERY_MAX: Duration = Duration::from_secs(30);

/// A service that listens, and serves once it runs.
pub struct Service {
    listener: TcpListener,
    address: SocketAddr,
    tls: ServerTls,
    app: Arc<App>,
    url: String,
    one_time: Option<String>,
    lock: File,
}

impl Service {
    /// Opens everything and listens. At the first start the certificate authority and a one-time token are made.
    pub async fn start(config: Config) -> Result<Self, ServiceError> {
        Self::start_with(config, Arc::new(SystemClocks::new())).await
    }

    /// As `start`, with another time than the system's.
    pub async fn start_with(config: Config, time: Arc<dyn Time>) -> Result<Self, ServiceError> {
        config.check()?;
        make_directory(&config.data)?;
        let lock = lock(&config.data)?;
        let tls = ServerTls::open(&config)?;
        let app = App::open(config.clone(), time).await?;
        let one_time = if app.tokens.nobody_administrates().await? {
            Some(app.tokens.issue_one_time(Scope::Administrator).await?)
        } else {
            None
        };
        let failed = |source| ServiceError::Listen { address: config.listen.to_string(), source };
        let listener = TcpListener::bind(config.listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let url = url(address, config.names.first());
        Ok(Self { listener, address, tls, app, url, one_time, lock })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// An address by which clients reach it.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Fingerprint of its own certificate authority, if it uses that.
    #[must_use]
    pub fn authority(&self) -> Option<Fingerprint> {
        self.tls.authority
    }

    /// The token that makes its holder the first administrator, at the first start. It is shown nowhere else.
    #[must_use]
    pub fn one_time(&self) -> Option<&str> {
        self.one_time.as_deref()
    }

    /// Serves until `end`.
    pub async fn run(self, end: impl Future<Output = ()>) {
        let Self { listener, tls, app, lock, .. } = self;
        let ending = app.clone();
        let end = async move {
            end.await;
            ending.ending.begin();
        };
        tokio::select! {
            () = accept::serve(listener, tls.config.clone(), router(app.clone()), app.clone(), end) => {}
            () = sweep(&app) => {}
            () = reserve::keep(&app) => {}
            () = duties::keep_time(&app) => {}
            () = duties::work(&app) => {}
            () = tls.keep_young() => {}
        }
        if let Err(error) = app.clock.stored().await {
            tracing::warn!(%error, "the time that passed since the clock was stored last is lost");
        }
        if let Err(error) = app.agents.store().await {
            tracing::warn!(%error, "when agents were seen last is not stored");
        }
        app.database.close().await;
        drop(lock);
    }
}

/// A new one-time token for whoever administrates the machine: works while the service runs, too. Where no service of this version was
/// it makes nothing.
pub async fn one_time_token(data: &Path) -> Result<String, ServiceError> {
    let issue = async || {
        let database = Database::open_existing(&data.join("service.db")).await?;
        let tokens = crate::app::tokens::Tokens::load(database).await?;
        tokens.issue_one_time(Scope::Administrator).await
    };
    match issue().await {
        // Whoever makes room may have to log in first.
        Err(error) if error.kind() == Kind::Full => Reserve::open(data).at_need(issue).await,
        outcome => outcome,
    }
}

/// Ends sessions whose leases ran out, for ever.
async fn sweep(app: &App) {
    let every = (app.leases.lease() / 4).clamp(Duration::from_millis(100), SWEEP_EVERY_MAX);
    loop {
        tokio::time::sleep(every).await;
        let Some(vault) = app.vault.find().await else { continue };
        if let Err(error) = vault.end_dead_sessions().await {
            tracing::warn!(%error, "sessions whose leases ran out could not be ended");
        }
    }
}

/// A configured name comes first; one that listens everywhere has at least its machine's name.
fn url(address: SocketAddr, name: Option<&String>) -> String {
    match name {
        Some(name) => format!("https://{name}:{}", address.port()),
        None if address.ip().is_unspecified() => {
            format!("https://{}:{}", rustix::system::uname().nodename().to_string_lossy(), address.port())
        }
        None => format!("https://{address}"),
    }
}

fn make_directory(data: &Path) -> Result<(), ServiceError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(data);
    made.map_err(|source| ServiceError::File { doing: "make", path: data.display().to_string(), source })
}

/// Held as long as the service lives: two would each hold half of the truth about leases, jobs and clocks.
fn lock(data: &Path) -> Result<File, ServiceError> {
    let path = data.join("service.lock");
    let failed = |source| ServiceError::File { doing: "lock", path: path.display().to_string(), source };
    let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(ServiceError::InUse { path: data.display().to_string() }),
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}
