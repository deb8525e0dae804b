//! The clock on which points expire.

use crate::app::App;
use crate::app::work::to_the_end;
use crate::http::answer::{Answer, json};
use crate::http::body::Json;
use api::ClockAcknowledgement;
use axum::extract::State;
use std::sync::Arc;

pub(crate) async fn get(State(app): State<Arc<App>>) -> Answer {
    json(&app.clock.body())
}

pub(crate) async fn acknowledge(State(app): State<Arc<App>>, Json(request): Json<ClockAcknowledgement>) -> Answer {
    let body = to_the_end(async move { app.clock.acknowledge(request.time_ms).await }).await?;
    tracing::info!(time_ms = request.time_ms, "an administrator said what time it is");
    json(&body)
}
