//! Items that are protected: what is in them, by which policy, and how they are doing.
//!
//! Invariant: an item gets a policy by which its points live shorter, or is protected less, only if that was meant. No way around
//! leads over having no policy for a while: without one nothing expires, so getting one is weaker for an item that has points.

use super::App;
use super::clock::timestamp;
use super::policies::{checked, has_other_slots, no_such_policy, refuse_weakenings, weakenings};
use super::retired::Retired;
use crate::db::{Change, ItemRow};
use api::limits::{ITEMS_PER_DOMAIN_MAX, SCOPE_LINE_BYTES_MAX, SCOPE_LINES_MAX};
use api::{ClockStanding, FileScope, ItemBody, ItemList, ItemRequest, JobState, LastJob, ProtectedItem, Protection};
use contract::{Error, ErrorKind, Result};
use format::{DomainId, ItemName};
use policy::{ItemRuns, ItemSeed, PointAge, Policy, PolicySettings, Running, Step};
use std::collections::HashMap;
use std::sync::Arc;

/// What is known of items beside their rows.
struct Surroundings {
    newest_ms: HashMap<(DomainId, ItemName), i64>,
    last_jobs: HashMap<(DomainId, ItemName), LastJob>,
    /// Who adds no points any more.
    retired: Retired,
}

impl App {
    /// Items, of one domain or of all.
    pub(crate) async fn items(&self, domain: Option<DomainId>) -> Result<ItemList> {
        let rows = self.database.items(domain).await?;
        let surroundings = self.surroundings(domain).await?;
        Ok(ItemList { items: rows.into_iter().map(|row| self.item_body(row, &surroundings)).collect::<Result<_>>()? })
    }

    pub(crate) async fn item(&self, domain: DomainId, name: &ItemName) -> Result<ItemBody> {
        let row = self.database.item(domain, name).await?.ok_or_else(|| no_such_item(name))?;
        let surroundings = self.surroundings(Some(domain)).await?;
        self.item_body(row, &surroundings)
    }

    /// Sets what an item is.
    pub(crate) async fn set_item(&self, domain: DomainId, name: &ItemName, request: ItemRequest) -> Result<ItemBody> {
        check_scope(&request.files)?;
        // Also proves that there is such a domain.
        self.know_points(domain).await?;
        let now_ms = self.time.wall_ms();
        let mut change = self.database.change().await?;
        let before = change.item(domain, name).await?;
        let settings = match &request.policy {
            Some(policy) => Some(change.policy(policy).await?.ok_or_else(|| no_such_policy(policy))?.settings),
            None => None,
        };
        let mut weaker = weakenings_of(&mut change, domain, name, before.as_ref(), settings.as_ref()).await?;
        weaker.extend(before.as_ref().into_iter().flat_map(|row| narrowings(&row.files, &request.files)));
        refuse_weakenings(&weaker, request.weaken)?;
        if before.is_none() && change.count_items(domain).await? >= ITEMS_PER_DOMAIN_MAX as u64 {
            let what = format!("the domain has {ITEMS_PER_DOMAIN_MAX} items, and takes no more");
            return Err(Error::new(ErrorKind::Conflict, what));
        }
        // By a wall clock that is ahead its objective would count from long after.
        let protected_ms = now_ms.min(self.clock.shown().as_millisecond());
        let row = next_row(domain, name, request, settings, before.as_ref(), Now { now_ms, protected_ms });
        if before.as_ref() != Some(&row) {
            change.put_item(&row).await?;
            change.revise(domain, now_ms).await?;
            change.commit().await?;
            self.listeners.tell(domain);
            tracing::info!(%domain, item = %name, policy = row.policy.as_ref().map(tracing::field::display), "an item was set");
        } else {
            drop(change);
        }
        self.turns.pass(domain).await;
        self.item(domain, name).await
    }

    /// Protects an item no more. Its points stay, and nothing of them expires; what waits to be done for it is cancelled.
    pub(crate) async fn remove_item(&self, domain: DomainId, name: &ItemName) -> Result<()> {
        let now_ms = self.time.wall_ms();
        let mut change = self.database.change().await?;
        if !change.remove_item(domain, name).await? {
            return Err(no_such_item(name));
        }
        for mut row in change.jobs_in(domain, JobState::Waiting).await? {
            if row.job.work.item() == Some(name) && matches!(row.job.work, api::Work::Backup { .. }) {
                (row.job.state, row.job.ended_ms) = (JobState::Cancelled, Some(now_ms));
                change.update_job(&row).await?;
            }
        }
        change.revise(domain, now_ms).await?;
        change.commit().await?;
        self.listeners.tell(domain);
        self.turns.pass(domain).await;
        tracing::info!(%domain, item = %name, "an item is protected no more");
        Ok(())
    }

    /// What the agents of a domain protect.
    pub(crate) async fn protection(&self, domain: DomainId) -> Result<Protection> {
        // First: what changes in between comes with a greater revision, and is asked for again.
        let revision = self.database.revision(domain).await?;
        let items = self.database.items(Some(domain)).await?;
        let protected = |mut row: ItemRow| {
            // Beside the policy: an agent of before reads the rest.
            let impact = row.settings.as_mut().map(|settings| std::mem::take(&mut settings.impact));
            ProtectedItem {
                item: row.name,
                files: row.files,
                policy: row.settings,
                impact: impact.filter(|impact| !impact.is_default()),
                since_ms: row.since_ms,
                last_slot_ms: row.last_slot_ms,
            }
        };
        Ok(Protection { revision, items: items.into_iter().map(protected).collect() })
    }

    /// Items whose newest whole point is older than their objectives allow.
    pub(crate) async fn overdue(&self) -> Result<Vec<(DomainId, ItemName)>> {
        let surroundings = self.surroundings(None).await?;
        let mut overdue = Vec::new();
        for row in self.database.items(None).await? {
            let key = (row.domain, row.name.clone());
            if self.overdue_since(&row, surroundings.newest_ms.get(&key).copied())?.is_some() {
                overdue.push(key);
            }
        }
        Ok(overdue)
    }

    async fn surroundings(&self, domain: Option<DomainId>) -> Result<Surroundings> {
        let clock = self.clock.body();
        let newest = self.database.newest_points(domain, clock.now_ms.max(clock.wall_ms)).await?;
        let last = self.database.last_jobs(domain).await?;
        Ok(Surroundings {
            newest_ms: newest.into_iter().map(|(domain, item, newest_ms)| ((domain, item), newest_ms)).collect(),
            last_jobs: last.into_iter().map(|(domain, item, last)| ((domain, item), last)).collect(),
            retired: self.vault.retired().await,
        })
    }

    fn item_body(&self, row: ItemRow, surroundings: &Surroundings) -> Result<ItemBody> {
        let key = (row.domain, row.name.clone());
        let (newest_ms, last_job) = (surroundings.newest_ms.get(&key).copied(), surroundings.last_jobs.get(&key).copied());
        let overdue_since_ms = self.overdue_since(&row, newest_ms)?;
        let is_running = last_job.is_some_and(|last| last.state == JobState::Running);
        let agent_retired = surroundings.retired.nobody_is_left(row.domain);
        let next_ms = if agent_retired { None } else { self.next_run(&row, is_running)? };
        Ok(ItemBody {
            domain: row.domain,
            item: row.name,
            files: row.files,
            policy: row.policy,
            since_ms: row.since_ms,
            newest_ms,
            overdue_since_ms,
            next_ms,
            agent_retired,
            last_job,
            review: row.review,
        })
    }

    /// The item's policy; what is stored holds.
    pub(crate) fn policy_of(&self, row: &ItemRow) -> Result<Option<Arc<Policy>>> {
        let (Some(name), Some(settings)) = (&row.policy, &row.settings) else { return Ok(None) };
        self.checked.get(name, settings).map(Some)
    }

    /// By the vault's clock, and by the wall clock too while nobody has said which of them is wrong: a false alarm is better than
    /// none.
    fn overdue_since(&self, row: &ItemRow, newest_ms: Option<i64>) -> Result<Option<i64>> {
        let Some(policy) = self.policy_of(row)? else { return Ok(None) };
        let clock = self.clock.body();
        let by = |now_ms: i64| {
            let since_ms = row.protected_ms.unwrap_or(row.since_ms).min(now_ms);
            match policy.point_age(newest_ms.map(timestamp), timestamp(since_ms), timestamp(now_ms)) {
                PointAge::Overdue { since } => Some(since.as_millisecond()),
                PointAge::Met { .. } | PointAge::NoObjective => None,
            }
        };
        let waits = clock.standing == ClockStanding::Waiting;
        Ok(by(clock.now_ms).or_else(|| by(clock.wall_ms).filter(|_| waits)))
    }

    /// When the next scheduled run is due, as far as the service knows what its agent has done.
    fn next_run(&self, row: &ItemRow, is_running: bool) -> Result<Option<i64>> {
        let Some(policy) = self.policy_of(row)? else { return Ok(None) };
        let (seed, now) = (ItemSeed::of(row.domain, &row.name), timestamp(self.time.wall_ms()));
        let runs = ItemRuns {
            protected_since: timestamp(row.since_ms),
            ready_since: timestamp(row.since_ms),
            running: is_running.then_some(Running { slot: None }),
            last_completed: row.last_slot_ms.map(timestamp),
            failed: None,
        };
        Ok(match policy.next_step(&seed, &runs, now) {
            Step::Start { slot, .. } => Some(slot.due.as_millisecond()),
            Step::Wait { until, .. } => Some(until.as_millisecond()),
            Step::GoOn { .. } | Step::Stop => {
                policy.next_slot(now).map(|slot| policy.planned_start(&seed, slot).as_millisecond())
            }
            Step::Nothing => None,
        })
    }
}

pub(crate) fn no_such_item(name: &ItemName) -> Error {
    Error::new(ErrorKind::NotFound, format!("no item '{name}' is protected in the domain"))
}

/// What an item's next policy protects less than what it has now.
async fn weakenings_of(
    change: &mut Change,
    domain: DomainId,
    name: &ItemName,
    before: Option<&ItemRow>,
    settings: Option<&PolicySettings>,
) -> Result<Vec<String>> {
    let was = before.and_then(|row| row.settings.as_ref());
    Ok(match (was, settings) {
        (Some(was), Some(is)) => weakenings(&checked(is.clone())?, was)?,
        // Nothing expires any more; but nothing is made any more either, and nobody is told.
        (Some(was), None) => {
            let schedules = (!was.schedules.is_empty()).then(|| format!("schedules: none instead of {}", was.schedules.len()));
            let objective = was.objective_minutes.map(|minutes| format!("objective_minutes: none instead of {minutes}"));
            schedules.into_iter().chain(objective).collect()
        }
        (None, Some(_)) if change.count_points(domain, name).await? > 0 => {
            vec!["retention: points expire by the policy instead of never".to_owned()]
        }
        (None, _) => Vec::new(),
    })
}

/// The time when an item is set.
struct Now {
    /// By the wall clock, which schedules go by.
    now_ms: i64,
    /// From when on an objective counts.
    protected_ms: i64,
}

fn next_row(
    domain: DomainId,
    name: &ItemName,
    request: ItemRequest,
    settings: Option<PolicySettings>,
    before: Option<&ItemRow>,
    now: Now,
) -> ItemRow {
    let Now { now_ms, protected_ms } = now;
    let was = before.and_then(|row| row.settings.as_ref());
    let same_slots = match (was, settings.as_ref()) {
        (Some(was), Some(is)) => !has_other_slots(was, is),
        (None, None) => true,
        _ => false,
    };
    let since_ms = before.filter(|_| same_slots).map_or(now_ms, |row| row.since_ms);
    let protected_ms = settings.as_ref().map(|_| before.and_then(|row| row.protected_ms).unwrap_or(protected_ms));
    ItemRow {
        domain,
        name: name.clone(),
        files: request.files,
        policy: request.policy,
        since_ms,
        protected_ms,
        last_slot_ms: before.and_then(|row| row.last_slot_ms),
        // Of another policy nothing is known yet.
        review: before.filter(|_| was == settings.as_ref()).and_then(|row| row.review),
        accepted: before.and_then(|row| row.accepted),
        settings,
    }
}

/// What was in an item and may be in it no more.
fn narrowings(was: &FileScope, is: &FileScope) -> Vec<String> {
    // Another mounted file system is not reached from above where only one is read.
    let is_in =
        |path: &String| is.paths.iter().any(|other| is_same_or_below(path, other) && (path == other || !is.one_file_system));
    let lines = |what: &str, lines: Vec<&String>| (!lines.is_empty()).then(|| format!("files.{what}: {lines:?}"));
    let gone = was.paths.iter().filter(|path| !is_in(path)).collect();
    let included = was.includes.iter().filter(|line| !is.includes.contains(line)).collect();
    let flags = [
        ("one_file_system", was.one_file_system, is.one_file_system),
        ("exclude_caches", was.exclude_caches, is.exclude_caches),
        ("exclude_nodump", was.exclude_nodump, is.exclude_nodump),
    ];
    let flags =
        flags.into_iter().filter(|(_, was, is)| !was && *is).map(|(flag, ..)| format!("files.{flag}: true instead of false"));
    let excluded = excludings(&was.excludes, &is.excludes);
    let lists = [lines("paths without", gone), excluded, lines("includes without", included)];
    lists.into_iter().flatten().chain(flags).collect()
}

/// How other excludes may leave more out. The last line that fits decides, so a line that came or moved may be one that decides now, and
/// one that went may have brought something back; only without a line that leaves out there is never less.
fn excludings(was: &[String], is: &[String]) -> Option<String> {
    let (mut left, mut gone) = (is.iter().peekable(), Vec::new());
    for line in was {
        if left.next_if_eq(&line).is_none() {
            gone.push(line);
        }
    }
    let come: Vec<_> = left.collect();
    if !come.is_empty() {
        return Some(format!("files.excludes with: {come:?}"));
    }
    gone.retain(|line| line.trim_start().starts_with('!'));
    (!gone.is_empty()).then(|| format!("files.excludes without: {gone:?}"))
}

fn is_same_or_below(path: &str, other: &str) -> bool {
    let (path, other) = (path.trim_end_matches('/'), other.trim_end_matches('/'));
    path.strip_prefix(other).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn check_scope(files: &FileScope) -> Result<()> {
    let invalid = |what: String| Err(Error::new(ErrorKind::Invalid, what));
    if files.paths.is_empty() {
        return invalid("an item has at least one path".to_owned());
    }
    for (what, lines) in [("paths", &files.paths), ("excludes", &files.excludes), ("includes", &files.includes)] {
        if lines.len() > SCOPE_LINES_MAX {
            return invalid(format!("an item has at most {SCOPE_LINES_MAX} {what}"));
        }
        // A path may have the end of a line in it; a pattern is a line.
        let refused: &[char] = if what == "paths" { &['\0'] } else { &['\0', '\n'] };
        if lines.iter().any(|line| line.is_empty() || line.len() > SCOPE_LINE_BYTES_MAX || line.contains(refused)) {
            return invalid(format!("one of the {what} is empty, longer than {SCOPE_LINE_BYTES_MAX} bytes, or has a zero byte"));
        }
    }
    if let Some(path) = files.paths.iter().find(|path| !is_plain(path)) {
        return invalid(format!("the path {path:?} is not absolute, or has '.' or '..' in it"));
    }
    // Every run of the item would fail of it.
    files.check_patterns().or_else(invalid)
}

/// Absolute, and it means the same wherever one stands.
pub(crate) fn is_plain(path: &str) -> bool {
    path.starts_with('/') && !path.split('/').any(|part| part == "." || part == "..")
}
