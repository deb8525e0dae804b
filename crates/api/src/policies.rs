//! Policies as JSON: what `docs/policies.md` describes, under a name of its own.

use format::ItemName;
use policy::PolicySettings;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Name of a policy in paths and commands: 1 to 128 bytes of `[a-z0-9._-]`, like an item's.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PolicyName(ItemName);

impl PolicyName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Display for PolicyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for PolicyName {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = "a policy's name is 1 to 128 of a-z 0-9 . _ - and does not start with a full stop";
        ItemName::new(text).map(Self).map_err(|_| wrong)
    }
}

/// Sets a policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct PolicyRequest {
    /// What it says: `docs/policies.md`.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub settings: PolicySettings,
    /// It may protect less than the policy that it replaces.
    #[serde(default)]
    pub weaken: bool,
}

/// A policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PolicyBody {
    /// By which items name it.
    #[serde(with = "crate::text")]
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub policy: PolicyName,
    /// What it says.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub settings: PolicySettings,
    /// When it was set last, in milliseconds since 1970.
    pub changed_ms: i64,
    /// How many items have it.
    pub items: u64,
}

/// All policies, sorted by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PolicyList {
    /// The policies.
    pub policies: Vec<PolicyBody>,
}
