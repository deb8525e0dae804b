//! Queries of lists.

use crate::jobs::{JobState, WorkKind};
use format::{DomainId, ItemName, JobId, PointId};
use serde::{Deserialize, Serialize};

/// Which points to list.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PointsQuery {
    /// Only this item's.
    #[serde(default, with = "crate::text::optional", skip_serializing_if = "Option::is_none")]
    pub item: Option<ItemName>,
    /// Soft-deleted ones too.
    #[serde(default)]
    pub deleted: bool,
    /// Those behind this point, in the order of the list.
    #[serde(default, with = "crate::text::optional", skip_serializing_if = "Option::is_none")]
    pub after: Option<PointId>,
    /// At most so many; the service may answer fewer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
}

/// Which items to list.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ItemsQuery {
    /// Only this domain's.
    #[serde(default, with = "crate::text::optional", skip_serializing_if = "Option::is_none")]
    pub domain: Option<DomainId>,
}

/// Which jobs to list.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobsQuery {
    /// Only this domain's.
    #[serde(default, with = "crate::text::optional", skip_serializing_if = "Option::is_none")]
    pub domain: Option<DomainId>,
    /// Only this item's.
    #[serde(default, with = "crate::text::optional", skip_serializing_if = "Option::is_none")]
    pub item: Option<ItemName>,
    /// Only of this kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<WorkKind>,
    /// Only in this state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<JobState>,
    /// Those behind this job, in the order of the list.
    #[serde(default, with = "crate::text::optional", skip_serializing_if = "Option::is_none")]
    pub after: Option<JobId>,
    /// At most so many; the service may answer fewer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
}

impl JobsQuery {
    /// As it stands behind the question mark of an address.
    #[must_use]
    pub fn to_text(&self) -> String {
        let parts = [
            self.domain.map(|domain| format!("domain={domain}")),
            self.item.as_ref().map(|item| format!("item={item}")),
            self.kind.map(|kind| format!("kind={}", kind.as_str())),
            self.state.map(|state| format!("state={}", state.as_str())),
            self.after.map(|after| format!("after={after}")),
            self.limit.map(|limit| format!("limit={limit}")),
        ];
        parts.into_iter().flatten().collect::<Vec<_>>().join("&")
    }
}
