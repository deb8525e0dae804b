//! What the service decides, noun by noun.

pub(crate) mod budget;
mod enrolments;
pub(crate) mod leases;
pub(crate) mod points;
pub(crate) mod tokens;
pub(crate) mod vault;
pub(crate) mod work;

use crate::config::Limits;
use crate::db::Database;
use crate::http::metrics::Metrics;
use budget::Budget;
use leases::{LeaseTimes, Leases};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use tokens::Tokens;
use tokio::sync::Semaphore;
use vault::VaultPlace;

/// A pack has room in any share.
const PACK_KIB: u32 = (format::limits::PACK_BYTES_MAX >> 10) as u32;

/// Most machines that enrol at once: nobody knows yet who they are.
const NEWCOMERS_MAX: usize = 16;

/// Everything that handlers share.
pub(crate) struct App {
    pub(crate) vault: VaultPlace,
    pub(crate) tokens: Tokens,
    pub(crate) leases: Arc<Leases>,
    pub(crate) metrics: Metrics,
    /// Packs on their way in, in memory, in KiB.
    pub(crate) packs_in: Budget,
    /// Packs on their way out, in KiB.
    pub(crate) packs_out: Budget,
    /// Requests at once.
    pub(crate) at_once: Budget,
    /// Requests at once of those who have no token yet.
    pub(crate) newcomers: Semaphore,
    pub(crate) limits: Limits,
    /// The service is about to end: it is not ready for more.
    pub(crate) ending: AtomicBool,
    pub(crate) database: Database,
}

impl App {
    /// Opens what lies in the directory.
    pub(crate) async fn open(data: PathBuf, limits: Limits) -> Result<Arc<Self>, crate::error::ServiceError> {
        let database = Database::open(&data.join("service.db")).await?;
        let times = LeaseTimes {
            lease: Duration::from_secs(limits.lease_seconds),
            age_max: Duration::from_secs(limits.session_days.saturating_mul(86_400)),
        };
        let leases = Arc::new(Leases::new(times));
        let vault = VaultPlace::open(data.join("vault"), leases.clone()).await?;
        let tokens = Tokens::load(database.clone()).await?;
        Ok(Arc::new(Self {
            vault,
            tokens,
            leases,
            metrics: Metrics::default(),
            packs_in: Budget::new(limits.packs_in_mib.saturating_mul(1024), PACK_KIB),
            packs_out: Budget::new(limits.packs_out_mib.saturating_mul(1024), PACK_KIB),
            at_once: Budget::new(u32::try_from(limits.requests).unwrap_or(u32::MAX), 1),
            newcomers: Semaphore::new(NEWCOMERS_MAX),
            limits,
            ending: AtomicBool::new(false),
            database,
        }))
    }
}
