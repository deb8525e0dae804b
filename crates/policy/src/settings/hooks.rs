//! Commands that make an item consistent while it is read.
//!
//! Data only. Whether a hook runs at all is for the agent's local configuration to say: the service cannot command it.

use serde::{Deserialize, Serialize};

/// Commands around a run.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HookSettings {
    /// Before the item is read: freeze, flush, snapshot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Hook>,
    /// After it was read, whether that went well or not, once `before` was started: thaw.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Hook>,
}

/// A command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hook {
    /// The program and its arguments, one word each; no shell reads them.
    pub command: Vec<String>,
    /// Seconds after which it counts as failed and is ended.
    pub timeout_seconds: u32,
    /// What its failure means for the run.
    #[serde(default)]
    pub on_failure: HookFailure,
}

/// What a hook's failure means for the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HookFailure {
    /// The run fails.
    #[default]
    Fail,
    /// The run goes on, and its point has a warning.
    Warn,
}
