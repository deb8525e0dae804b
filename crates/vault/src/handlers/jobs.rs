//! Jobs: asked for, taken, reported, looked at, stopped.

use super::as_own_agent;
use crate::app::App;
use crate::app::work::to_the_end;
use crate::http::access::Caller;
use crate::http::answer::{Answer, json, nothing};
use crate::http::body::Json;
use crate::http::failure::Failure;
use crate::http::segments::Segments;
use crate::http::streams;
use api::limits::JOB_REPORT_BYTES_MAX;
use api::{JobClaim, JobReport, JobRequest, JobsQuery, PointMade};
use axum::Extension;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use format::{DomainId, JobId};
use std::sync::Arc;

pub(crate) async fn list(State(app): State<Arc<App>>, query: Result<Query<JobsQuery>, QueryRejection>) -> Answer {
    let Query(query) = query.map_err(|error| Failure::invalid(error.body_text()))?;
    json(&app.jobs.list(&query).await?)
}

pub(crate) async fn begin(State(app): State<Arc<App>>, segments: Segments, Json(request): Json<JobRequest>) -> Answer {
    let domain: DomainId = segments.parse("domain")?;
    json(&to_the_end(async move { app.begin_job(domain, request).await }).await?)
}

pub(crate) async fn get(State(app): State<Arc<App>>, segments: Segments) -> Answer {
    let (domain, job) = named(&segments)?;
    json(&app.jobs.find(domain, job).await?)
}

/// The point that a job has made, once none is being committed.
pub(crate) async fn point(State(app): State<Arc<App>>, segments: Segments) -> Answer {
    let (domain, job) = named(&segments)?;
    json(&app.point_of_job(domain, job).await?.map(|point| PointMade { point }))
}

pub(crate) async fn log(State(app): State<Arc<App>>, segments: Segments) -> Answer {
    let (domain, job) = named(&segments)?;
    json(&app.jobs.log(domain, job).await?)
}

pub(crate) async fn cancel(State(app): State<Arc<App>>, segments: Segments) -> Answer {
    let (domain, job) = named(&segments)?;
    to_the_end(async move { app.cancel_job(domain, job).await }).await?;
    nothing()
}

/// The job as it goes on, until it is over.
pub(crate) async fn events(State(app): State<Arc<App>>, segments: Segments, Extension(caller): Extension<Caller>) -> Answer {
    let (domain, job) = named(&segments)?;
    streams::events(app, caller, domain, job).await
}

pub(crate) async fn claim(
    State(app): State<Arc<App>>,
    segments: Segments,
    Extension(caller): Extension<Caller>,
    Json(claim): Json<JobClaim>,
) -> Answer {
    let domain: DomainId = segments.parse("domain")?;
    as_own_agent(&caller, claim.agent)?;
    app.vault.refuse_retired(domain, claim.agent).await?;
    app.agents.seen(domain, claim.agent, app.time.wall_ms());
    json(&to_the_end(async move { app.claim_job(domain, &claim).await }).await?)
}

pub(crate) async fn report(
    State(app): State<Arc<App>>,
    segments: Segments,
    Extension(caller): Extension<Caller>,
    Json(report): Json<JobReport, JOB_REPORT_BYTES_MAX>,
) -> Answer {
    let (domain, job) = named(&segments)?;
    as_own_agent(&caller, report.agent)?;
    app.agents.seen(domain, report.agent, app.time.wall_ms());
    json(&to_the_end(async move { app.report_job(domain, job, report).await }).await?)
}

fn named(segments: &Segments) -> Result<(DomainId, JobId), Failure> {
    Ok((segments.parse("domain")?, segments.parse("job")?))
}
