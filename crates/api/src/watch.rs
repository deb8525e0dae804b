//! Answers of long work: lines of JSON, progress first, the report or a problem last.

use crate::problem::Problem;
use contract::Progress;
use serde::{Deserialize, Serialize};

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Line<R> {
    /// How far it is. Comes now and then, also when nothing changed: the connection is alive.
    Progress(ProgressBody),
    /// It is done.
    Report(R),
    /// It failed.
    Problem(Problem),
}

/// How far work is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ProgressBody {
    /// What is being done, for people.
    pub phase: String,
    /// Packs, pages or objects done.
    pub done: u64,
    /// How many there are, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
    /// Bytes read or written in this phase.
    pub bytes: u64,
}

impl From<Progress> for ProgressBody {
    fn from(progress: Progress) -> Self {
        Self { phase: progress.phase.to_owned(), done: progress.done, total: progress.total, bytes: progress.bytes }
    }
}

impl From<ProgressBody> for Progress {
    /// A phase that this program does not know is work all the same.
    fn from(body: ProgressBody) -> Self {
        const PHASES: [&str; 6] = ["deleting", "marking", "rewriting", "journal", "walking points", "reading packs"];
        let phase = PHASES.into_iter().find(|phase| *phase == body.phase).unwrap_or("working");
        Self { phase, done: body.done, total: body.total, bytes: body.bytes }
    }
}
