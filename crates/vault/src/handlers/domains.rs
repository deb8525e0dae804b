//! A domain as a whole: its numbers, collections and checks.

use super::domain;
use crate::app::App;
use crate::http::answer::{Answer, json, lines};
use crate::http::body::Json;
use crate::http::failure::Failure;
use crate::http::segments::Segments;
use api::limits::CHECK_BYTES_MAX;
use api::{CheckRequest, CollectRequest, CollectResult, Soundness, Standing};
use axum::extract::State;
use contract::{CheckOptions, CollectOptions};
use std::sync::Arc;

pub(crate) async fn status(State(app): State<Arc<App>>, segments: Segments) -> Answer {
    json(&Standing::from(domain(&app, &segments).await?.status().await?))
}

pub(crate) async fn collect(State(app): State<Arc<App>>, segments: Segments, Json(request): Json<CollectRequest>) -> Answer {
    if !(1..=100).contains(&request.repack_dead_percent) {
        return Err(Failure::invalid("repack_dead_percent is 1 to 100"));
    }
    let (domain, options) = (domain(&app, &segments).await?, CollectOptions::from(request));
    lines(|progress| async move {
        app.reserve.yield_if_low().await;
        domain.collect(options, progress).await.map(CollectResult::from)
    })
}

pub(crate) async fn check(
    State(app): State<Arc<App>>,
    segments: Segments,
    Json(request): Json<CheckRequest, CHECK_BYTES_MAX>,
) -> Answer {
    if request.opened.len() > CheckOptions::OPENED_MAX {
        return Err(Failure::invalid(format!("opened holds at most {} packs", CheckOptions::OPENED_MAX)));
    }
    let domain = domain(&app, &segments).await?;
    lines(|progress| async move { domain.check(request.into(), progress).await.map(Soundness::from) })
}
