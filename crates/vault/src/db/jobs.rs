//! Jobs in the database.

use super::{Change, Database, damaged, exact, failed, from_json, parsed, signed, to_json, unsigned};
use crate::error::ServiceError;
use api::{Job, JobLog, JobState, JobsQuery, LastJob, WorkKind};
use format::{AgentKey, DomainId, ItemName, JobId};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteExecutor};
use std::str::FromStr;

/// A job, with what only the service has to know of it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct JobRow {
    /// Its place in the order in which the service learnt of jobs; 0 before it is stored.
    pub(crate) number: i64,
    pub(crate) job: Job,
    /// The agent that took it or began it.
    pub(crate) agent: Option<AgentKey>,
    /// Whoever took it last has been heard of since.
    pub(crate) heard: bool,
    /// What its doer said of its end was not heard: its lease ran out, or its point came and no report. A later one knows better.
    pub(crate) lapsed: bool,
}

/// A kind of work as a column.
pub(crate) struct KindColumn(pub(crate) WorkKind);

impl FromStr for KindColumn {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        WorkKind::ALL.iter().find(|(_, word)| *word == text).map(|(kind, _)| Self(*kind)).ok_or(())
    }
}

/// A state as a column.
struct StateColumn(JobState);

impl FromStr for StateColumn {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        JobState::ALL.iter().find(|(_, word)| *word == text).map(|(state, _)| Self(*state)).ok_or(())
    }
}

impl Database {
    pub(crate) async fn job(&self, domain: DomainId, job: JobId) -> Result<Option<JobRow>, ServiceError> {
        find(&self.pool, domain, job).await
    }

    /// Jobs, newest first; those behind `after`, which has to be there.
    pub(crate) async fn jobs(&self, query: &JobsQuery, after: Option<i64>, limit: usize) -> Result<Vec<JobRow>, ServiceError> {
        const ALL: &str = "SELECT * FROM jobs WHERE (?1 IS NULL OR item = ?1) AND (?2 IS NULL OR kind = ?2) \
                           AND (?3 IS NULL OR state = ?3) AND number < ?4 ORDER BY number DESC LIMIT ?5";
        const OF_DOMAIN: &str = "SELECT * FROM jobs WHERE (?1 IS NULL OR item = ?1) AND (?2 IS NULL OR kind = ?2) \
                                 AND (?3 IS NULL OR state = ?3) AND number < ?4 AND domain = ?6 ORDER BY number DESC LIMIT ?5";
        let statement = if query.domain.is_some() { OF_DOMAIN } else { ALL };
        let mut asked = sqlx::query(statement)
            .bind(query.item.as_ref().map(ItemName::as_str))
            .bind(query.kind.map(WorkKind::as_str))
            .bind(query.state.map(JobState::as_str))
            .bind(after.unwrap_or(i64::MAX))
            .bind(signed(limit as u64));
        if let Some(domain) = query.domain {
            asked = asked.bind(domain.0.to_vec());
        }
        let rows = asked.fetch_all(&self.pool).await.map_err(failed("list jobs"))?;
        rows.iter().map(row).collect()
    }

    /// A job's place in the order of all; where no domain is named its id has to be enough.
    pub(crate) async fn job_number(&self, domain: Option<DomainId>, job: JobId) -> Result<Option<i64>, ServiceError> {
        const FIND: &str = "SELECT max(number) FROM jobs WHERE id = ?1 AND (?2 IS NULL OR domain = ?2)";
        let found = sqlx::query_scalar(FIND).bind(job.0.to_vec()).bind(domain.map(|domain| domain.0.to_vec()));
        found.fetch_one(&self.pool).await.map_err(failed("look a job up"))
    }

    /// Jobs in this state, oldest first; of one domain or of all.
    pub(crate) async fn jobs_in(&self, domain: Option<DomainId>, state: JobState) -> Result<Vec<JobRow>, ServiceError> {
        list_in(&self.pool, domain, state).await
    }

    /// What a job said.
    pub(crate) async fn job_log(&self, number: i64) -> Result<JobLog, ServiceError> {
        log_of(&self.pool, number).await
    }

    /// The newest job of each item of a domain, or of all, that an agent does.
    pub(crate) async fn last_jobs(&self, domain: Option<DomainId>) -> Result<Vec<(DomainId, ItemName, LastJob)>, ServiceError> {
        const LAST: &str = "SELECT domain, item, id, state FROM jobs WHERE number IN \
                            (SELECT max(jobs.number) FROM items JOIN jobs ON jobs.domain = items.domain AND jobs.item = items.name \
                             WHERE ?1 IS NULL OR items.domain = ?1 GROUP BY jobs.domain, jobs.item)";
        let rows = sqlx::query(LAST).bind(domain.map(|domain| domain.0.to_vec())).fetch_all(&self.pool).await;
        let read = |row: &SqliteRow| -> Result<_, sqlx::Error> {
            let state: StateColumn = parsed(row.try_get("state")?)?;
            let last = LastJob { job: JobId(exact(row.try_get("id")?)?), state: state.0 };
            Ok((DomainId(exact(row.try_get("domain")?)?), parsed(row.try_get("item")?)?, last))
        };
        rows.map_err(failed("list jobs"))?.iter().map(read).collect::<Result<_, _>>().map_err(failed("read a job"))
    }

    /// How many jobs of each kind are in each state.
    pub(crate) async fn job_counts(&self) -> Result<Vec<(WorkKind, JobState, u64)>, ServiceError> {
        let rows = sqlx::query("SELECT kind, state, count(*) AS jobs FROM jobs GROUP BY kind, state").fetch_all(&self.pool).await;
        let read = |row: &SqliteRow| -> Result<_, sqlx::Error> {
            let (kind, state): (KindColumn, StateColumn) = (parsed(row.try_get("kind")?)?, parsed(row.try_get("state")?)?);
            Ok((kind.0, state.0, unsigned(row.try_get("jobs")?)))
        };
        rows.map_err(failed("count jobs"))?.iter().map(read).collect::<Result<_, _>>().map_err(failed("count jobs"))
    }

    /// Forgets jobs that are over: of each domain and kind all but the newest ones, and those that are old.
    pub(crate) async fn forget_jobs(&self, kept: &[(WorkKind, u64)], before: ForgottenBefore) -> Result<u64, ServiceError> {
        const OLD: &str = "DELETE FROM jobs WHERE state NOT IN ('waiting', 'running') AND created_ms < ? \
                           AND NOT (lapsed AND ended_ms >= ?)";
        const MANY: &str = "DELETE FROM jobs WHERE NOT (lapsed AND ended_ms >= ?) AND number IN (SELECT number FROM (SELECT number, \
                            row_number() OVER (PARTITION BY domain ORDER BY number DESC) AS place FROM jobs \
                            WHERE kind = ? AND state NOT IN ('waiting', 'running')) WHERE place > ?)";
        let mut change = self.change().await?;
        let old = sqlx::query(OLD).bind(before.created_ms).bind(before.lapsed_ms).execute(&mut *change.0).await;
        let mut forgotten = old.map_err(failed("forget jobs"))?.rows_affected();
        for (kind, count) in kept {
            let many = sqlx::query(MANY).bind(before.lapsed_ms).bind(kind.as_str()).bind(signed(*count));
            forgotten += many.execute(&mut *change.0).await.map_err(failed("forget jobs"))?.rows_affected();
        }
        change.commit().await?;
        Ok(forgotten)
    }
}

/// From which times on jobs are remembered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ForgottenBefore {
    /// When the service learnt of them.
    pub(crate) created_ms: i64,
    /// When their leases ran out, where nothing else ended them.
    pub(crate) lapsed_ms: i64,
}

impl Change {
    pub(crate) async fn job(&mut self, domain: DomainId, job: JobId) -> Result<Option<JobRow>, ServiceError> {
        find(&mut *self.0, domain, job).await
    }

    /// Jobs of a domain in this state, oldest first.
    pub(crate) async fn jobs_in(&mut self, domain: DomainId, state: JobState) -> Result<Vec<JobRow>, ServiceError> {
        list_in(&mut *self.0, Some(domain), state).await
    }

    /// Jobs of all domains in this state, oldest first.
    pub(crate) async fn all_jobs_in(&mut self, state: JobState) -> Result<Vec<JobRow>, ServiceError> {
        list_in(&mut *self.0, None, state).await
    }

    /// Stores a new job, with its place in the order of all.
    pub(crate) async fn insert_job(&mut self, row: &mut JobRow) -> Result<(), ServiceError> {
        const INSERT: &str = "INSERT INTO jobs (domain, id, kind, item, work, origin, agent, state, fence, attempt, cancelling, heard, \
                              lapsed, created_ms, started_ms, ended_ms, warnings_count, result, problem) VALUES \
                              (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING number";
        let job = &row.job;
        let inserted = sqlx::query(INSERT)
            .bind(job.domain.0.to_vec())
            .bind(job.job.0.to_vec())
            .bind(job.work.kind().as_str())
            .bind(job.work.item().map(ItemName::as_str))
            .bind(to_json(&job.work)?)
            .bind(to_json(&job.origin)?)
            .bind(row.agent.map(|agent| agent.0.to_vec()))
            .bind(job.state.as_str())
            .bind(signed(job.fence))
            .bind(i64::from(job.attempt))
            .bind(job.cancelling)
            .bind(row.heard)
            .bind(row.lapsed)
            .bind(job.created_ms)
            .bind(job.started_ms)
            .bind(job.ended_ms)
            .bind(signed(job.warnings_count))
            .bind(job.result.as_ref().map(to_json).transpose()?)
            .bind(job.problem.as_ref().map(to_json).transpose()?)
            .fetch_one(&mut *self.0)
            .await
            .map_err(failed("store a job"))?;
        row.number = inserted.try_get("number").map_err(failed("store a job"))?;
        Ok(())
    }

    /// Forgets jobs of a domain of this kind that are over, all but the newest ones and those whose leases alone interrupted them.
    pub(crate) async fn forget_jobs_of(&mut self, domain: DomainId, kind: WorkKind, kept: u64) -> Result<(), ServiceError> {
        const MANY: &str = "DELETE FROM jobs WHERE number IN (SELECT number FROM jobs WHERE domain = ? AND kind = ? \
                            AND state NOT IN ('waiting', 'running') ORDER BY number DESC LIMIT -1 OFFSET ?) \
                            AND NOT (lapsed AND state = 'interrupted')";
        let many = sqlx::query(MANY).bind(domain.0.to_vec()).bind(kind.as_str()).bind(signed(kept));
        many.execute(&mut *self.0).await.map(drop).map_err(failed("forget jobs"))
    }

    /// Forgets runs of a domain that agents began themselves and whose leases alone ended them, all but the newest ones.
    pub(crate) async fn forget_lapsed_runs(&mut self, domain: DomainId, kept: u64) -> Result<(), ServiceError> {
        const MANY: &str = "DELETE FROM jobs WHERE number IN (SELECT number FROM jobs WHERE domain = ? AND state = 'interrupted' \
                            AND lapsed AND json_extract(origin, '$.by') = 'schedule' ORDER BY number DESC LIMIT -1 OFFSET ?)";
        let many = sqlx::query(MANY).bind(domain.0.to_vec()).bind(signed(kept)).execute(&mut *self.0);
        many.await.map(drop).map_err(failed("forget jobs"))
    }

    /// Stores what became of a job.
    pub(crate) async fn update_job(&mut self, row: &JobRow) -> Result<(), ServiceError> {
        const UPDATE: &str = "UPDATE jobs SET agent = ?, state = ?, fence = ?, attempt = ?, cancelling = ?, heard = ?, lapsed = ?, \
                              started_ms = ?, ended_ms = ?, warnings_count = ?, result = ?, problem = ? WHERE number = ?";
        let job = &row.job;
        let updated = sqlx::query(UPDATE)
            .bind(row.agent.map(|agent| agent.0.to_vec()))
            .bind(job.state.as_str())
            .bind(signed(job.fence))
            .bind(i64::from(job.attempt))
            .bind(job.cancelling)
            .bind(row.heard)
            .bind(row.lapsed)
            .bind(job.started_ms)
            .bind(job.ended_ms)
            .bind(signed(job.warnings_count))
            .bind(job.result.as_ref().map(to_json).transpose()?)
            .bind(job.problem.as_ref().map(to_json).transpose()?)
            .bind(row.number);
        updated.execute(&mut *self.0).await.map(drop).map_err(failed("store a job"))
    }

    /// Forgets what a job said.
    pub(crate) async fn remove_job_log(&mut self, number: i64) -> Result<(), ServiceError> {
        let removed = sqlx::query("DELETE FROM job_logs WHERE job = ?").bind(number).execute(&mut *self.0).await;
        removed.map(drop).map_err(failed("forget a job's log"))
    }

    /// What a job said.
    pub(crate) async fn job_log(&mut self, number: i64) -> Result<JobLog, ServiceError> {
        log_of(&mut *self.0, number).await
    }

    /// Stores what a job said.
    pub(crate) async fn put_job_log(&mut self, number: i64, log: &JobLog) -> Result<(), ServiceError> {
        let put = sqlx::query("INSERT OR REPLACE INTO job_logs (job, lines, warnings) VALUES (?, ?, ?)")
            .bind(number)
            .bind(to_json(&log.lines)?)
            .bind(to_json(&log.warnings)?);
        put.execute(&mut *self.0).await.map(drop).map_err(failed("store a job's log"))
    }
}

async fn log_of<'e>(executor: impl SqliteExecutor<'e>, number: i64) -> Result<JobLog, ServiceError> {
    let found = sqlx::query("SELECT lines, warnings FROM job_logs WHERE job = ?").bind(number).fetch_optional(executor).await;
    let found = found.map_err(failed("read a job's log"))?;
    let Some(found) = found else { return Ok(JobLog { lines: Vec::new(), warnings: Vec::new(), warnings_count: 0 }) };
    let read = || -> Result<JobLog, sqlx::Error> {
        let (lines, warnings) = (from_json(found.try_get("lines")?)?, from_json(found.try_get("warnings")?)?);
        Ok(JobLog { lines, warnings, warnings_count: 0 })
    };
    read().map_err(failed("read a job's log"))
}

async fn find<'e>(executor: impl SqliteExecutor<'e>, domain: DomainId, job: JobId) -> Result<Option<JobRow>, ServiceError> {
    let found = sqlx::query("SELECT * FROM jobs WHERE domain = ? AND id = ?").bind(domain.0.to_vec()).bind(job.0.to_vec());
    let found = found.fetch_optional(executor).await.map_err(failed("look a job up"))?;
    found.as_ref().map(row).transpose()
}

async fn list_in<'e>(
    executor: impl SqliteExecutor<'e>,
    domain: Option<DomainId>,
    state: JobState,
) -> Result<Vec<JobRow>, ServiceError> {
    let query = match domain {
        Some(domain) => {
            const OF_DOMAIN: &str = "SELECT * FROM jobs WHERE state = ? AND domain = ? ORDER BY number";
            sqlx::query(OF_DOMAIN).bind(state.as_str()).bind(domain.0.to_vec())
        }
        None => sqlx::query("SELECT * FROM jobs WHERE state = ? ORDER BY number").bind(state.as_str()),
    };
    query.fetch_all(executor).await.map_err(failed("list jobs"))?.iter().map(row).collect()
}

fn row(row: &SqliteRow) -> Result<JobRow, ServiceError> {
    let read = || -> Result<JobRow, sqlx::Error> {
        let state: StateColumn = parsed(row.try_get("state")?)?;
        let job = Job {
            job: JobId(exact(row.try_get("id")?)?),
            domain: DomainId(exact(row.try_get("domain")?)?),
            work: from_json(row.try_get("work")?)?,
            origin: from_json(row.try_get("origin")?)?,
            state: state.0,
            fence: unsigned(row.try_get("fence")?),
            attempt: u32::try_from(row.try_get::<i64, _>("attempt")?).map_err(|_| damaged())?,
            cancelling: row.try_get("cancelling")?,
            created_ms: row.try_get("created_ms")?,
            started_ms: row.try_get("started_ms")?,
            ended_ms: row.try_get("ended_ms")?,
            progress: None,
            warnings_count: unsigned(row.try_get("warnings_count")?),
            result: row.try_get::<Option<&str>, _>("result")?.map(from_json).transpose()?,
            problem: row.try_get::<Option<&str>, _>("problem")?.map(from_json).transpose()?,
        };
        Ok(JobRow {
            number: row.try_get("number")?,
            job,
            agent: row.try_get::<Option<Vec<u8>>, _>("agent")?.map(exact).transpose()?.map(AgentKey),
            heard: row.try_get("heard")?,
            lapsed: row.try_get("lapsed")?,
        })
    };
    read().map_err(failed("read a job"))
}
