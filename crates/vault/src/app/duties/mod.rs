//! Duties: what the service does by itself.

use super::App;
use std::time::Duration;

/// Leases of jobs are looked at this often.
const TICK: Duration = Duration::from_secs(1);
/// The clock and what was seen of agents are stored this often.
const STORED_EVERY: Duration = Duration::from_secs(30);

/// Keeps the time: the clock steps, leases run out, what is in memory is stored.
pub(crate) async fn keep_time(app: &App) {
    let mut stored = tokio::time::Instant::now();
    loop {
        tokio::time::sleep(TICK).await;
        if let Err(error) = app.jobs.lapse().await {
            tracing::warn!(%error, "jobs whose leases ran out could not be interrupted");
        }
        if stored.elapsed() < STORED_EVERY {
            continue;
        }
        stored = tokio::time::Instant::now();
        if let Err(error) = app.clock.stored().await {
            tracing::warn!(%error, "the clock could not be stored");
        }
        if let Err(error) = app.agents.store().await {
            tracing::warn!(%error, "when agents were seen last could not be stored");
        }
    }
}
