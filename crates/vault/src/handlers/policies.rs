//! Policies.

use crate::app::App;
use crate::app::work::to_the_end;
use crate::http::answer::{Answer, json, nothing};
use crate::http::body::Json;
use crate::http::segments::Segments;
use api::{PolicyName, PolicyRequest};
use axum::extract::State;
use std::sync::Arc;

pub(crate) async fn list(State(app): State<Arc<App>>) -> Answer {
    json(&app.policies().await?)
}

pub(crate) async fn get(State(app): State<Arc<App>>, segments: Segments) -> Answer {
    json(&app.policy(&segments.parse("policy")?).await?)
}

pub(crate) async fn set(State(app): State<Arc<App>>, segments: Segments, Json(request): Json<PolicyRequest>) -> Answer {
    let name: PolicyName = segments.parse("policy")?;
    json(&to_the_end(async move { app.set_policy(&name, request).await }).await?)
}

pub(crate) async fn remove(State(app): State<Arc<App>>, segments: Segments) -> Answer {
    let name: PolicyName = segments.parse("policy")?;
    to_the_end(async move { app.remove_policy(&name).await }).await?;
    nothing()
}
