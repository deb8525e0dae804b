//! Agents, and the stream on which they hear what is wanted of them.

use super::as_own_agent;
use crate::app::App;
use crate::http::access::Caller;
use crate::http::answer::{Answer, json};
use crate::http::body::Json;
use crate::http::segments::Segments;
use crate::http::streams;
use api::AgentHello;
use axum::Extension;
use axum::extract::State;
use format::DomainId;
use std::sync::Arc;

pub(crate) async fn list(State(app): State<Arc<App>>) -> Answer {
    let retired = app.vault.retired().await;
    json(&app.agents.list(app.time.wall_ms(), &retired))
}

pub(crate) async fn listen(
    State(app): State<Arc<App>>,
    segments: Segments,
    Extension(caller): Extension<Caller>,
    Json(hello): Json<AgentHello>,
) -> Answer {
    let domain: DomainId = segments.parse("domain")?;
    as_own_agent(&caller, hello.agent)?;
    streams::commands(app, caller, domain, hello).await
}
