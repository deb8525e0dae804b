//! The client: a vault behind a service.
//!
//! Invariant: a request is sent again only if a second time does no harm, and never once the service
//! answered what it asked for. A pack goes over the wire again only after its connection broke before the answer.

mod connection;
mod domain;
mod jobs;
mod listening;
mod pace;
mod pinned;
mod progress;
mod protection;
mod readers;
mod retry;
mod tokens;
mod vault;

use crate::address::{Address, Fingerprint};
use crate::points::PointTold;
use connection::{Call, Connection};
use secrecy::SecretString;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub use listening::Listening;
pub use pace::Pace;

/// Answers what is told of a point that is committed now.
pub type Told = Arc<dyn Fn() -> PointTold + Send + Sync>;

/// How to reach a service.
#[derive(Clone)]
pub struct ServiceOptions {
    /// Where it is.
    pub address: Address,
    /// The certificate authority that is trusted, alone; without it those that the system trusts.
    pub authority: Option<Fingerprint>,
    /// Who asks.
    pub token: SecretString,
    /// How long a request that does no harm twice is tried again, once the service was reached: from its first failure on, and
    /// from the next one if much went over the wire meanwhile.
    pub patience: Duration,
    /// How fast packs may be sent.
    pub pace: Pace,
    /// Asked whenever a point is committed, and not at checkpoints. None: nothing is told of it.
    pub told: Option<Told>,
}

impl ServiceOptions {
    /// With the usual patience: five minutes.
    #[must_use]
    pub fn new(address: Address, authority: Option<Fingerprint>, token: SecretString) -> Self {
        Self { address, authority, token, patience: Duration::from_secs(300), pace: Pace::default(), told: None }
    }
}

impl fmt::Debug for ServiceOptions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, authority, token, patience, pace, told } = self;
        formatter
            .debug_struct("ServiceOptions")
            .field("address", address)
            .field("authority", authority)
            .field("token", token)
            .field("patience", patience)
            .field("pace", pace)
            .field("told", &told.is_some())
            .finish()
    }
}

/// A vault behind a service. Needs a running tokio runtime.
#[derive(Clone)]
pub struct ServiceVault {
    connection: Arc<Connection>,
}

impl ServiceVault {
    /// Sets the client up; nothing is sent yet.
    pub fn new(options: ServiceOptions) -> contract::Result<Self> {
        Ok(Self { connection: Arc::new(Connection::new(options)?) })
    }

    /// What is told of points that are committed from now on, unless it was settled before.
    pub fn tell(&self, told: Told) {
        self.connection.tell(told);
    }

    /// Fails if the service cannot be reached or cannot prove who it is; whose the token is does not matter.
    pub async fn reach(&self) -> contract::Result<()> {
        self.connection.send(Call::get("/healthz")).await.map(drop)
    }
}
