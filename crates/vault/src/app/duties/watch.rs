//! What the service keeps an eye on: time, leases, items that are overdue, jobs that are old.

use crate::app::App;
use crate::db::ForgottenBefore;
use api::WorkKind;
use format::{DomainId, ItemName};
use std::collections::BTreeSet;
use std::future::Future;
use std::time::Duration;

/// Leases are looked at this often.
const TICK: Duration = Duration::from_secs(1);
/// The clock steps and is stored this often, and so is what was seen of agents.
const STORED_EVERY: Duration = Duration::from_secs(30);
/// Items that are overdue are looked for this often.
const OVERDUE_EVERY: Duration = Duration::from_secs(60);
/// Jobs of agents that were retired are looked for this often.
const RETIRED_EVERY: Duration = Duration::from_secs(60);
/// Jobs that are old are forgotten this often.
const FORGOTTEN_EVERY: Duration = Duration::from_secs(3600);
/// Jobs of the service of each kind that are remembered in each domain: it makes more of them than anybody looks at.
const OWN_JOBS_KEPT: u64 = 50;
/// Jobs whose leases ran out are remembered for so many days at least: whoever does one may only be cut off.
const LAPSED_DAYS: i64 = 14;
/// Overdue items that one line of the log names.
const NAMED_MAX: usize = 10;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// Items that were overdue when that was looked at last.
pub(crate) type Overdue = BTreeSet<(DomainId, ItemName)>;

/// Keeps the time, for ever: the clock steps, leases run out, what is in memory is stored.
pub(crate) async fn keep_time(app: &App) {
    let (mut storing, mut overdue, mut retired, mut forgetting) =
        (Every::new(STORED_EVERY), Every::new(OVERDUE_EVERY), Every::new(RETIRED_EVERY), Every::new(FORGOTTEN_EVERY));
    loop {
        let running = app.time.running();
        told("jobs whose leases ran out could not be interrupted", app.lapse_jobs()).await;
        if storing.is_due(running) {
            told("the clock could not be stored", async { Ok(app.clock.stored().await.map(drop)?) }).await;
            told("when agents were seen last could not be stored", async { Ok(app.agents.store().await?) }).await;
        }
        if overdue.is_due(running) {
            told("items that are overdue could not be looked for", app.look_for_overdue()).await;
        }
        if retired.is_due(running) {
            told("jobs of retired agents could not be ended", app.end_jobs_of_retired()).await;
        }
        if forgetting.is_due(running) {
            told("old jobs could not be forgotten", app.forget_jobs()).await;
        }
        tokio::time::sleep(TICK).await;
    }
}

async fn told(what: &'static str, work: impl Future<Output = contract::Result<()>>) {
    if let Err(error) = work.await {
        let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
        tracing::warn!(%error, cause, "{what}");
    }
}

/// Something that is done now and then, for the first time at once.
struct Every {
    period: Duration,
    /// How long the process had run by then.
    done: Option<Duration>,
}

impl Every {
    fn new(period: Duration) -> Self {
        Self { period, done: None }
    }

    fn is_due(&mut self, running: Duration) -> bool {
        let is_due = self.done.is_none_or(|done| running.saturating_sub(done) >= self.period);
        if is_due {
            self.done = Some(running);
        }
        is_due
    }
}

impl App {
    /// Says so in the log when other items are overdue than before.
    pub(crate) async fn look_for_overdue(&self) -> contract::Result<()> {
        let now: Overdue = self.overdue().await?.into_iter().collect();
        let mut before = self.overdue_items.lock().expect("no panic under this lock");
        if *before != now {
            let named = now.iter().take(NAMED_MAX).map(|(domain, item)| format!("{domain}/{item}"));
            let named = named.collect::<Vec<_>>().join(" ");
            tracing::warn!(items = now.len(), before = before.len(), named, "other items are overdue than before");
            *before = now;
        }
        Ok(())
    }

    async fn forget_jobs(&self) -> contract::Result<()> {
        let kept: Vec<(WorkKind, u64)> = WorkKind::ALL
            .iter()
            .map(|(kind, _)| {
                (*kind, if kind.is_agents() { self.limits.jobs_kept } else { OWN_JOBS_KEPT.min(self.limits.jobs_kept) })
            })
            .collect();
        let days = i64::try_from(self.limits.jobs_kept_days).unwrap_or(i64::MAX);
        // By the earlier clock: one that jumped ahead forgets nothing.
        let now_ms = self.clock.shown().as_millisecond().min(self.time.wall_ms());
        let ages = ForgottenBefore {
            created_ms: now_ms.saturating_sub(days.saturating_mul(DAY_MS)),
            lapsed_ms: now_ms.saturating_sub(LAPSED_DAYS * DAY_MS),
        };
        let forgotten = self.database.forget_jobs(&kept, ages).await?;
        if forgotten > 0 {
            tracing::info!(jobs = forgotten, "old jobs were forgotten");
        }
        Ok(())
    }
}
