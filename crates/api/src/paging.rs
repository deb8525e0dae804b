//! Queries of lists.

use format::{ItemName, PointId};
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
