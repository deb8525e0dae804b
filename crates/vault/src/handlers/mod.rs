//! Requests to calls and back, noun by noun. Nothing is decided here.

pub(crate) mod agents;
pub(crate) mod clock;
pub(crate) mod domains;
pub(crate) mod enrolments;
pub(crate) mod items;
pub(crate) mod jobs;
pub(crate) mod packs;
pub(crate) mod points;
pub(crate) mod policies;
pub(crate) mod readers;
pub(crate) mod service;
pub(crate) mod sessions;
pub(crate) mod tokens;
pub(crate) mod vault;

use crate::app::App;
use crate::http::access::Caller;
use crate::http::failure::Failure;
use crate::http::segments::Segments;
use api::{Code, Problem, Scope};
use contract::Domain;
use format::AgentKey;
use std::sync::Arc;

/// The domain that the path names.
async fn domain(app: &App, segments: &Segments) -> Result<Arc<dyn Domain>, Failure> {
    Ok(app.vault.domain(segments.parse("domain")?).await?)
}

/// An agent speaks for itself and for no other.
fn as_own_agent(caller: &Caller, agent: AgentKey) -> Result<(), Failure> {
    match caller.scope {
        Scope::Agent { agent: own, .. } if own != agent => {
            Err(Failure::new(Problem::new(Code::Denied, "an agent's token speaks for that agent only")))
        }
        _ => Ok(()),
    }
}
