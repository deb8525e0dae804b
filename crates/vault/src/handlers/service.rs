//! The service itself: health, readiness, numbers, the API's document.

use crate::app::App;
use crate::http::answer::Answer;
use crate::http::document::document;
use crate::http::failure::Failure;
use crate::http::metrics::Gauges;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use bytes::Bytes;
use std::sync::{Arc, LazyLock};

/// Everybody may ask for it: it is made once.
static DOCUMENT: LazyLock<Bytes> = LazyLock::new(|| document().into());

pub(crate) async fn health() -> Answer {
    Ok("ok\n".into_response())
}

/// Ready for requests: not about to end, and the database answers. A disk that is nearly full is said: restores are served from it.
pub(crate) async fn ready(State(app): State<Arc<App>>) -> Answer {
    if app.ending.has_begun() {
        return Err(Failure::busy("the vault service is about to end"));
    }
    app.database.is_ready().await.map_err(contract::Error::from)?;
    let said = if app.reserve.is_low() { "ready, but for uploads: the disk is nearly full\n" } else { "ready\n" };
    Ok(said.into_response())
}

pub(crate) async fn metrics(State(app): State<Arc<App>>) -> Answer {
    let jobs = app.database.job_counts().await.map_err(contract::Error::from)?;
    let gauges = Gauges {
        leases: app.leases.count(),
        agents_connected: app.agents.connected(),
        listeners: app.listeners.count(),
        items_overdue: app.overdue_items.lock().expect("no panic under this lock").len(),
        jobs,
        clock: Some(app.clock.body()),
        packs_in_bytes: app.packs_in.lent() * 1024,
        packs_out_bytes: app.packs_out.lent() * 1024,
        disk_low: app.reserve.is_low(),
        disk_free_bytes: app.reserve.free_bytes(),
    };
    Ok(([(CONTENT_TYPE, "text/plain; version=0.0.4")], app.metrics.text(&gauges)).into_response())
}

pub(crate) async fn openapi() -> Answer {
    Ok(([(CONTENT_TYPE, "application/json")], DOCUMENT.clone()).into_response())
}

#[cfg(test)]
mod tests {
    use super::openapi;
    use http_body_util::BodyExt;

    #[tokio::test]
    async fn the_document_is_made_once_and_not_for_everybody_who_asks() {
        let body = async || openapi().await.unwrap().into_body().collect().await.unwrap().to_bytes();
        let (first, second) = (body().await, body().await);
        assert!(!first.is_empty() && first.as_ptr() == second.as_ptr());
    }
}
