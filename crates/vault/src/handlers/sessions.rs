//! Sessions that write.

use super::domain;
use crate::app::App;
use crate::app::work::{Unheard, to_the_end};
use crate::http::access::Caller;
use crate::http::answer::{Answer, json, nothing};
use crate::http::body::{Json, Octets};
use crate::http::failure::Failure;
use crate::http::segments::Segments;
use api::{Code, ItemEnd, KeyStored, Point, Problem, Scope, SessionRequest, SessionStarted, binary};
use axum::Extension;
use axum::extract::State;
use contract::OpenSession;
use format::SessionId;
use format::limits::KEY_OBJECT_BYTES_MAX;
use std::sync::Arc;

pub(crate) async fn open(
    State(app): State<Arc<App>>,
    segments: Segments,
    Extension(Caller { scope, .. }): Extension<Caller>,
    Json(request): Json<SessionRequest>,
) -> Answer {
    if matches!(scope, Scope::Agent { agent, .. } if agent != request.agent) {
        return Err(Failure::new(Problem::new(Code::Denied, "an agent's token opens sessions for that agent only")));
    }
    room(&app, &segments).await?;
    // Whoever cannot store anything is told so before he has read what there is.
    app.reserve.room_for(0)?;
    let domain = domain(&app, &segments).await?;
    let request = OpenSession { item: request.item, agent: request.agent };
    let (opened, unheard) = to_the_end(async move {
        let opened = domain.open_session(request).await?;
        let session = opened.session;
        Ok((opened, Unheard::new(async move { domain.abandon_session(session).await })))
    })
    .await?;
    let answer = json(&SessionStarted {
        session: opened.session,
        lease_seconds: app.leases.lease().as_secs(),
        head: opened.head.map(ItemEnd::from),
        base: opened.base.map(Point::from),
        damaged: binary::write_ids(&opened.damaged),
    });
    unheard.heard();
    answer
}

pub(crate) async fn renew(State(app): State<Arc<App>>, segments: Segments) -> Answer {
    let session: SessionId = segments.parse("session")?;
    domain(&app, &segments).await?.renew_session(session).await?;
    if app.leases.renew(session) { nothing() } else { Err(over()) }
}

pub(crate) async fn abandon(State(app): State<Arc<App>>, segments: Segments) -> Answer {
    let session: SessionId = segments.parse("session")?;
    let domain = domain(&app, &segments).await?;
    to_the_end(async move { domain.abandon_session(session).await }).await?;
    nothing()
}

pub(crate) async fn put_key(
    State(app): State<Arc<App>>,
    segments: Segments,
    Octets(bytes): Octets<KEY_OBJECT_BYTES_MAX>,
) -> Answer {
    let session: SessionId = segments.parse("session")?;
    app.reserve.room_for(0)?;
    let domain = domain(&app, &segments).await?;
    json(&KeyStored { key: to_the_end(async move { domain.put_key(session, bytes).await }).await? })
}

/// Whether there is room for one more session, in all and in the domain.
pub(super) async fn room(app: &App, segments: &Segments) -> Result<(), Failure> {
    if app.leases.count() >= app.limits.sessions {
        return Err(Failure::busy("too many sessions are open"));
    }
    let of_domain = app.vault.get().await?.sessions_open(segments.parse("domain")?).await?;
    if of_domain < app.limits.domain_sessions { Ok(()) } else { Err(Failure::busy("too many sessions of the domain are open")) }
}

/// The answer once a lease has run out.
pub(super) fn over() -> Failure {
    Failure::new(Problem::new(Code::Conflict, "the session is over"))
}
