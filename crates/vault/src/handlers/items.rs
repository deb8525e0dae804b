//! Items that are protected, and what becomes of their points.

use crate::app::App;
use crate::app::work::to_the_end;
use crate::http::answer::{Answer, json, nothing};
use crate::http::body::Json;
use crate::http::failure::Failure;
use crate::http::segments::Segments;
use api::{ItemRequest, ItemsQuery, ReviewBody};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use format::{DomainId, ItemName};
use std::sync::Arc;

pub(crate) async fn list(State(app): State<Arc<App>>, query: Result<Query<ItemsQuery>, QueryRejection>) -> Answer {
    let Query(query) = query.map_err(|error| Failure::invalid(error.body_text()))?;
    json(&app.items(query.domain).await?)
}

pub(crate) async fn get(State(app): State<Arc<App>>, segments: Segments) -> Answer {
    let (domain, item) = named(&segments)?;
    json(&app.item(domain, &item).await?)
}

pub(crate) async fn set(State(app): State<Arc<App>>, segments: Segments, Json(request): Json<ItemRequest>) -> Answer {
    let (domain, item) = named(&segments)?;
    json(&to_the_end(async move { app.set_item(domain, &item, request).await }).await?)
}

pub(crate) async fn remove(State(app): State<Arc<App>>, segments: Segments) -> Answer {
    let (domain, item) = named(&segments)?;
    to_the_end(async move { app.remove_item(domain, &item).await }).await?;
    nothing()
}

pub(crate) async fn points(State(app): State<Arc<App>>, segments: Segments) -> Answer {
    let (domain, item) = named(&segments)?;
    json(&app.item_points(domain, &item).await?)
}

pub(crate) async fn accept(State(app): State<Arc<App>>, segments: Segments, Json(review): Json<ReviewBody>) -> Answer {
    let (domain, item) = named(&segments)?;
    to_the_end(async move { app.accept_review(domain, &item, review).await }).await?;
    nothing()
}

pub(crate) async fn protection(State(app): State<Arc<App>>, segments: Segments) -> Answer {
    json(&app.protection(segments.parse("domain")?).await?)
}

fn named(segments: &Segments) -> Result<(DomainId, ItemName), Failure> {
    Ok((segments.parse("domain")?, segments.parse("item")?))
}
