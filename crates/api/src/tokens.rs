//! Tokens as JSON: who may do what.

use format::{AgentKey, DomainId};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Context of the hash by which a service knows a token.
const CONTEXT: &str = "holdfast 2026 v1 service token";

/// The text of a token with this id and secret: `hf_<id, 16 digits>_<secret, 64 digits>`.
#[must_use]
pub fn token_text(id: [u8; 8], secret: &[u8; 32]) -> String {
    let digits = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    format!("hf_{}_{}", digits(&id), digits(secret))
}

/// The id in a token's text, if it has the form of one. It is not secret.
#[must_use]
pub fn token_id(text: &str) -> Option<&str> {
    let (id, secret) = text.strip_prefix("hf_")?.split_once('_')?;
    (id.len() == 16 && secret.len() == 64).then_some(id)
}

/// The hash by which a service knows a token.
#[must_use]
pub fn token_hash(text: &str) -> [u8; 32] {
    *blake3::Hasher::new_derive_key(CONTEXT).update(text.as_bytes()).finalize().as_bytes()
}

/// What a token is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "role", rename_all = "snake_case", deny_unknown_fields)]
pub enum Scope {
    /// Everything that the service does.
    Administrator,
    /// An agent's own domain: it adds points of the items that it is certified for, and reads.
    Agent {
        /// The domain.
        #[serde(with = "crate::text")]
        #[cfg_attr(feature = "openapi", schema(value_type = String))]
        domain: DomainId,
        /// Public key of the agent: it opens sessions for no other.
        #[serde(with = "crate::text")]
        #[cfg_attr(feature = "openapi", schema(value_type = String))]
        agent: AgentKey,
    },
}

/// Asks for a new token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct TokenRequest {
    /// For people: who has it.
    pub name: String,
    /// What it is good for.
    pub scope: Scope,
}

/// Exchanges a one-time token for one that lasts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Redeem {
    /// For people: who has it.
    pub name: String,
}

/// A token as it is shown, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Token {
    /// Its id: the first part of its text, not secret.
    pub id: String,
    /// For people.
    pub name: String,
    /// What it is good for.
    pub scope: Scope,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: i64,
}

/// All tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TokenList {
    /// The tokens, oldest first.
    pub tokens: Vec<Token>,
}

/// A token with its secret, which is shown this once.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TokenIssued {
    /// Its text: what stands behind `Bearer` in a request.
    pub secret: String,
    /// The rest of it.
    #[serde(flatten)]
    pub token: Token,
}

impl fmt::Debug for TokenIssued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenIssued").field("token", &self.token).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::{Scope, Token, TokenIssued};

    #[test]
    fn a_secret_is_not_shown_for_debugging() {
        let token = Token { id: "ab".into(), name: "n".into(), scope: Scope::Administrator, created_ms: 1 };
        assert!(!format!("{:?}", TokenIssued { secret: "hidden".into(), token }).contains("hidden"));
    }

    #[test]
    fn a_scope_names_its_role() {
        let scope = Scope::Agent { domain: format::DomainId([1; 16]), agent: format::AgentKey([2; 32]) };
        let text = serde_json::to_string(&scope).unwrap();
        assert!(text.contains("\"role\":\"agent\""), "{text}");
        assert_eq!(serde_json::from_str::<Scope>(&text).unwrap(), scope);
        assert!(serde_json::from_str::<Scope>("{\"role\":\"owner\"}").is_err());
    }
}
