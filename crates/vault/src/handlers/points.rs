//! Points: committed, listed, expired.

use super::domain;
use crate::app::App;
use crate::app::points;
use crate::app::work::to_the_end;
use crate::http::answer::{Answer, json, nothing};
use crate::http::body::{Json, Octets};
use crate::http::failure::Failure;
use crate::http::segments::Segments;
use api::limits::POINTS_CHANGED_MAX;
use api::{Code, CommittedPoint, ItemEnd, PointIds, PointTold, PointsQuery, Problem};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use format::limits::JOURNAL_BYTES_MAX;
use format::{DomainId, ItemName, PointId, SessionId};
use std::sync::Arc;

pub(crate) async fn commit(
    State(app): State<Arc<App>>,
    segments: Segments,
    told: Result<Query<PointTold>, QueryRejection>,
    Octets(record): Octets<JOURNAL_BYTES_MAX>,
) -> Answer {
    let Query(told) = told.map_err(|error| Failure::invalid(error.body_text()))?;
    let (domain, session): (DomainId, SessionId) = (segments.parse("domain")?, segments.parse("session")?);
    json(&CommittedPoint::from(to_the_end(async move { app.commit_point(domain, session, record, told).await }).await?))
}

pub(crate) async fn checkpoint(
    State(app): State<Arc<App>>,
    segments: Segments,
    Octets(record): Octets<JOURNAL_BYTES_MAX>,
) -> Answer {
    let session: SessionId = segments.parse("session")?;
    app.reserve.room_for(0)?;
    let domain = domain(&app, &segments).await?;
    json(&CommittedPoint::from(to_the_end(async move { domain.checkpoint(session, record).await }).await?))
}

pub(crate) async fn head(State(app): State<Arc<App>>, segments: Segments) -> Answer {
    let item: ItemName = segments.parse("item")?;
    json(&domain(&app, &segments).await?.head(&item).await?.map(ItemEnd::from))
}

pub(crate) async fn list(
    State(app): State<Arc<App>>,
    segments: Segments,
    query: Result<Query<PointsQuery>, QueryRejection>,
) -> Answer {
    let Query(query) = query.map_err(|error| Failure::invalid(error.body_text()))?;
    json(&points::page(domain(&app, &segments).await?.as_ref(), query).await?)
}

pub(crate) async fn expire(State(app): State<Arc<App>>, segments: Segments, Json(request): Json<PointIds>) -> Answer {
    let (domain, points): (DomainId, _) = (segments.parse("domain")?, bounded(request)?);
    to_the_end(async move { app.reserve.at_need(|| app.expire_points(domain, &points)).await }).await?;
    nothing()
}

pub(crate) async fn undelete(State(app): State<Arc<App>>, segments: Segments, Json(request): Json<PointIds>) -> Answer {
    let (domain, points): (DomainId, _) = (segments.parse("domain")?, bounded(request)?);
    to_the_end(async move { app.undelete_points(domain, &points).await }).await?;
    nothing()
}

pub(crate) async fn purge(State(app): State<Arc<App>>, segments: Segments, Json(request): Json<PointIds>) -> Answer {
    let (domain, points): (DomainId, _) = (segments.parse("domain")?, bounded(request)?);
    tracing::info!(%domain, points = points.len(), "purging points");
    to_the_end(async move { app.purge_points(domain, &points).await }).await?;
    nothing()
}

fn bounded(request: PointIds) -> Result<Vec<PointId>, Failure> {
    if request.points.len() > POINTS_CHANGED_MAX {
        return Err(Failure::new(Problem::new(
            Code::TooLarge,
            format!("at most {POINTS_CHANGED_MAX} points are changed at once"),
        )));
    }
    Ok(request.points)
}
