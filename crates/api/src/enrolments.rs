//! Enrolment of agents as JSON.

use bytes::Bytes;
use format::{AgentKey, DomainId, VaultId};
use serde::{Deserialize, Serialize};

/// An enrolment as it stands in storage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct EnrolmentObject {
    /// Base64.
    #[serde(with = "crate::text::base64")]
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub bytes: Bytes,
}

/// All enrolments of the vault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EnrolmentList {
    /// The enrolments, sorted by domain.
    pub enrolments: Vec<EnrolmentObject>,
}

/// Asks for a domain to be taken in, and for a token of its agent's own making to be accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct EnrolRequest {
    /// The enrolment, base64.
    #[serde(with = "crate::text::base64")]
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub enrolment: Bytes,
    /// For people: the machine's name.
    pub name: String,
    /// Id of the token: the first part of its text.
    pub token_id: String,
    /// Hash of the token's text, 64 hexadecimal digits.
    pub token_hash: String,
    /// The agent's signature over [`token_statement`], 128 hexadecimal digits.
    pub proof: String,
}

/// An agent that is enrolled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Enrolled {
    /// Its domain.
    #[serde(with = "crate::text")]
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub domain: DomainId,
    /// Its key.
    #[serde(with = "crate::text")]
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub agent: AgentKey,
}

/// What an agent signs (after [`format::limits::SIGN_AGENT_TOKEN`]) so that a token becomes its own: whoever reads an enrolment
/// in storage cannot get one.
#[must_use]
pub fn token_statement(vault: VaultId, domain: DomainId, token_hash: &[u8; 32]) -> Vec<u8> {
    [vault.as_bytes().as_slice(), domain.as_bytes(), token_hash].concat()
}
