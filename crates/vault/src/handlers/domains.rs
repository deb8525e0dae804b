//! A domain as a whole: its numbers, collections and checks.

use super::domain;
use crate::app::App;
use crate::http::answer::{Answer, json, lines};
use crate::http::body::Json;
use crate::http::failure::Failure;
use crate::http::segments::Segments;
use api::{CheckRequest, CollectRequest, CollectResult, Soundness, Standing};
use axum::extract::State;
use std::sync::Arc;

pub(crate) async fn status(State(app): State<Arc<App>>, segments: Segments) -> Answer {
    json(&Standing::from(domain(&app, &segments).await?.status().await?))
}

pub(crate) async fn collect(State(app): State<Arc<App>>, segments: Segments, Json(request): Json<CollectRequest>) -> Answer {
    if !(1..=100).contains(&request.repack_dead_percent) {
        return Err(Failure::invalid("repack_dead_percent is 1 to 100"));
    }
    let domain = domain(&app, &segments).await?;
    lines(|progress| async move { domain.collect(request.into(), progress).await.map(CollectResult::from) })
}

pub(crate) async fn check(State(app): State<Arc<App>>, segments: Segments, Json(request): Json<CheckRequest>) -> Answer {
    let domain = domain(&app, &segments).await?;
    lines(|progress| async move { domain.check(request.into(), progress).await.map(Soundness::from) })
}
