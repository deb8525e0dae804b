//! Read sessions.

use super::domain;
use super::sessions::{over, room};
use crate::app::App;
use crate::app::work::{Unheard, to_the_end};
use crate::http::access::Caller;
use crate::http::answer::{Answer, json, nothing};
use crate::http::body::Json;
use crate::http::segments::Segments;
use api::{ReaderOpened, ReaderRequest, Scope};
use axum::Extension;
use axum::extract::State;
use format::SessionId;
use std::sync::Arc;

pub(crate) async fn open(
    State(app): State<Arc<App>>,
    segments: Segments,
    Extension(Caller { scope, .. }): Extension<Caller>,
    Json(request): Json<ReaderRequest>,
) -> Answer {
    room(&app, &segments).await?;
    let (domain, lease_seconds) = (domain(&app, &segments).await?, app.leases.lease().as_secs());
    let (session, unheard) = to_the_end(async move {
        let session = match scope {
            // What is there can be had, also from a disk that is full.
            Scope::Administrator => app.reserve.at_need(|| domain.open_reader(request.point)).await?,
            // Many agents have a token each, and any of them would burn the reserve.
            Scope::Agent { .. } => domain.open_reader(request.point).await?,
        };
        Ok((session, Unheard::new(async move { domain.close_reader(session).await })))
    })
    .await?;
    unheard.heard();
    json(&ReaderOpened { session, lease_seconds })
}

pub(crate) async fn renew(State(app): State<Arc<App>>, segments: Segments) -> Answer {
    let session: SessionId = segments.parse("session")?;
    let is_reader = app.vault.get().await?.is_reader(segments.parse("domain")?, session).await?;
    if is_reader && app.leases.renew(session) { nothing() } else { Err(over()) }
}

pub(crate) async fn close(State(app): State<Arc<App>>, segments: Segments) -> Answer {
    let session: SessionId = segments.parse("session")?;
    let domain = domain(&app, &segments).await?;
    to_the_end(async move { domain.close_reader(session).await }).await?;
    nothing()
}
