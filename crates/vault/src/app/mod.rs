//! What the service decides, noun by noun.

pub(crate) mod agents;
pub(crate) mod budget;
pub(crate) mod clock;
pub(crate) mod duties;
pub(crate) mod ending;
mod enrolments;
pub(crate) mod items;
pub(crate) mod jobs;
pub(crate) mod leases;
pub(crate) mod listeners;
pub(crate) mod points;
mod policies;
pub(crate) mod reserve;
pub(crate) mod retention;
pub(crate) mod retired;
pub(crate) mod text;
pub(crate) mod tokens;
pub(crate) mod turns;
pub(crate) mod vault;
pub(crate) mod work;

use crate::config::{Config, Limits};
use crate::db::Database;
use crate::error::ServiceError;
use crate::http::metrics::Metrics;
use crate::time::Time;
use agents::Agents;
use budget::Budget;
use clock::VaultClock;
use contract::{PointFilter, Vault};
use duties::{Due, Overdue};
use ending::Ending;
use format::DomainId;
use jobs::Jobs;
use leases::{LeaseTimes, Leases};
use listeners::Listeners;
use policies::Checked;
use reserve::Reserve;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use system::Buffers;
use tokens::Tokens;
use tokio::sync::Semaphore;
use turns::Turns;
use vault::VaultPlace;

/// A pack has room in any share.
const PACK_KIB: u32 = (format::limits::PACK_BYTES_MAX >> 10) as u32;

/// Buffers of bodies are used again within this many bytes: none of a pack's, which would be held while nothing is sent as well.
const BUFFER_BYTES: usize = 2 << 20;

/// Most machines that enrol at once: nobody knows yet who they are.
const NEWCOMERS_MAX: usize = 16;

/// Everything that handlers share.
pub(crate) struct App {
    pub(crate) vault: VaultPlace,
    pub(crate) reserve: Arc<Reserve>,
    pub(crate) tokens: Tokens,
    pub(crate) leases: Arc<Leases>,
    pub(crate) metrics: Metrics,
    /// Packs and other large bodies on their way in, in memory, in KiB.
    pub(crate) packs_in: Budget,
    /// Packs and other large answers on their way out, in KiB.
    pub(crate) packs_out: Budget,
    /// What bodies of requests are read into.
    pub(crate) buffers: Arc<Buffers>,
    /// Requests at once.
    pub(crate) at_once: Budget,
    /// Requests at once of those who have no token yet.
    pub(crate) newcomers: Semaphore,
    pub(crate) limits: Limits,
    pub(crate) jobs: Jobs,
    pub(crate) agents: Arc<Agents>,
    /// Policies that were checked.
    pub(crate) checked: Checked,
    /// Streams that hear of changes.
    pub(crate) listeners: Arc<Listeners>,
    /// The clock on which points expire.
    pub(crate) clock: VaultClock,
    pub(crate) time: Arc<dyn Time>,
    pub(crate) ending: Ending,
    /// Of each domain one at a time changes which points are listed.
    pub(crate) turns: Turns<DomainId>,
    /// Items whose newest points are too old.
    pub(crate) overdue_items: Mutex<Overdue>,
    /// What the service does by itself, and when.
    pub(crate) due: Due,
    pub(crate) database: Database,
}

impl App {
    /// Opens what lies in the directory. A service that finds its disk full has to start: through it room is made.
    pub(crate) async fn open(config: Config, time: Arc<dyn Time>) -> Result<Arc<Self>, ServiceError> {
        let reserve = Reserve::open(&config.data);
        let opened = reserve.at_need(|| Self::open_with(config.clone(), time.clone(), reserve.clone()));
        Box::pin(opened).await
    }

    async fn open_with(config: Config, time: Arc<dyn Time>, reserve: Arc<Reserve>) -> Result<Arc<Self>, ServiceError> {
        let Config { data, limits, duties, .. } = config;
        let database = Database::open(&data.join("service.db")).await?;
        let times = LeaseTimes {
            lease: Duration::from_secs(limits.lease_seconds),
            age_max: Duration::from_secs(limits.session_days.saturating_mul(86_400)),
        };
        let leases = Arc::new(Leases::new(times));
        let vault = VaultPlace::open(data.join("vault"), leases.clone()).await?;
        let tokens = Tokens::load(database.clone()).await?;
        let clock = load_clock(&database, &time, &vault).await?;
        let listeners = Listeners::new(limits.listeners, limits.domain_listeners);
        let jobs = Jobs::load(database.clone(), time.clone(), listeners.clone(), &limits).await?;
        let due = Due::load(database.clone(), time.clone(), duties).await?;
        let agents = Agents::load(database.clone()).await?;
        let app = Arc::new(Self {
            vault,
            reserve,
            tokens,
            leases,
            metrics: Metrics::default(),
            packs_in: Budget::new(limits.packs_in_mib.saturating_mul(1024), PACK_KIB),
            packs_out: Budget::new(limits.packs_out_mib.saturating_mul(1024), PACK_KIB),
            at_once: Budget::new(u32::try_from(limits.requests).unwrap_or(u32::MAX), 1),
            buffers: Buffers::new(BUFFER_BYTES),
            newcomers: Semaphore::new(NEWCOMERS_MAX),
            limits,
            jobs,
            agents,
            checked: Checked::default(),
            listeners,
            clock,
            time,
            ending: Ending::new(),
            turns: Turns::default(),
            overdue_items: Mutex::default(),
            due,
            database,
        });
        app.settle_promises().await?;
        if let Err(error) = app.end_jobs_of_retired().await {
            // Seen to again while it runs.
            tracing::warn!(%error, "jobs of retired agents could not be ended");
        }
        Ok(app)
    }
}

/// A service that never stored the clock asks the vault for its newest stamp, once.
async fn load_clock(database: &Database, time: &Arc<dyn Time>, vault: &VaultPlace) -> Result<VaultClock, ServiceError> {
    let mut newest_stamp_ms = None;
    if let (Some(vault), false) = (vault.find().await, VaultClock::is_stored(database).await?) {
        for domain in vault.domains() {
            let points = vault.domain(domain).await?.points(PointFilter { item: None, deleted: true }).await?;
            newest_stamp_ms = newest_stamp_ms.max(points.iter().map(|point| point.time_ms).max());
        }
    }
    VaultClock::load(database.clone(), time.clone(), newest_stamp_ms).await
}
