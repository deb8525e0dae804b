//! Agents: as the service sees them, what they are told, and what they tell of jobs.

use crate::jobs::{JobOrigin, JobProblem, JobResult, JobState, JobWarning, LogLine, Work};
use crate::watch::ProgressBody;
use format::{AgentKey, DomainId, ItemName, JobId};
use serde::{Deserialize, Serialize};

/// An agent that has spoken to the service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AgentBody {
    /// Its domain.
    #[serde(with = "crate::text")]
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub domain: DomainId,
    /// Its key.
    #[serde(with = "crate::text")]
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub agent: AgentKey,
    /// The machine's name.
    pub host: String,
    /// Program and version.
    pub program: String,
    /// Whether it listens for commands now.
    pub connected: bool,
    /// When it was heard of last, in milliseconds since 1970.
    pub seen_ms: i64,
    /// How far its clock was ahead of the service's when it said hello, in milliseconds.
    pub ahead_ms: i64,
    /// The owner has retired it: it adds no points any more, and takes no jobs.
    #[serde(default)]
    pub retired: bool,
}

/// All agents, sorted by domain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AgentList {
    /// The agents.
    pub agents: Vec<AgentBody>,
}

/// What an agent says of itself when it begins to listen for commands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct AgentHello {
    /// Its key.
    #[serde(with = "crate::text")]
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub agent: AgentKey,
    /// The machine's name.
    pub host: String,
    /// Program and version.
    pub program: String,
    /// What its clock shows, in milliseconds since 1970.
    pub time_ms: i64,
}

/// What an agent is told, whole, whenever something of it changes and every few seconds: one that was missed does no harm.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Notice {
    /// Revision of what it protects: another one than it has means to ask for it.
    pub revision: u64,
    /// Jobs that wait for it.
    pub waiting: u64,
    /// Jobs of it that are to stop.
    #[serde(with = "crate::text::list")]
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub cancel: Vec<JobId>,
    /// What the service's clock shows, in milliseconds since 1970.
    pub time_ms: i64,
}

/// Takes the next job that waits for the agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct JobClaim {
    /// The agent.
    #[serde(with = "crate::text")]
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub agent: AgentKey,
    /// Items that it works on now: none of their jobs is given.
    #[serde(default, with = "crate::text::list")]
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub busy: Vec<ItemName>,
    /// A job that it has taken before and does not do: it was interrupted. Given again, with a new fence; null if it is over, or
    /// was to stop meanwhile.
    #[serde(default, with = "crate::text::optional", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub again: Option<JobId>,
}

/// What an agent tells of a job, whole each time: of one that it was given, or of a run that it began by its schedule, perhaps
/// while the service was away. The same report again is no error. What it tells of a point is for people: what the point is was told
/// when it was committed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct JobReport {
    /// The agent.
    #[serde(with = "crate::text")]
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub agent: AgentKey,
    /// The job's fence, or 0 for a run that the agent began itself.
    pub fence: u64,
    /// What it does.
    pub work: Work,
    /// By what it was begun.
    pub origin: JobOrigin,
    /// Which try of its slot it is, from 1.
    pub attempt: u32,
    /// How far it is; not `waiting`.
    pub state: JobState,
    /// When it began, by the agent's clock, in milliseconds since 1970.
    pub started_ms: i64,
    /// When it ended, by the agent's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_ms: Option<i64>,
    /// How far its work is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<ProgressBody>,
    /// What came of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<JobResult>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<JobProblem>,
    /// All its warnings so far, the first of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<JobWarning>,
    /// How many there were.
    #[serde(default)]
    pub warnings_count: u64,
    /// All its log so far, the first lines of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub log: Vec<LogLine>,
}

/// What an agent is told about a job that it reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct JobOrders {
    /// It is to stop.
    pub cancel: bool,
    /// The job counts as interrupted unless the next report comes within so many seconds.
    pub lease_seconds: u64,
}

impl JobReport {
    /// A job that has begun, and of which there is nothing else to tell yet.
    #[must_use]
    pub fn begun(agent: AgentKey, fence: u64, work: Work, origin: JobOrigin, attempt: u32, started_ms: i64) -> Self {
        Self {
            agent,
            fence,
            work,
            origin,
            attempt,
            state: JobState::Running,
            started_ms,
            ended_ms: None,
            progress: None,
            result: None,
            problem: None,
            warnings: Vec::new(),
            warnings_count: 0,
            log: Vec::new(),
        }
    }
}
