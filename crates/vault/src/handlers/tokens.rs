//! Tokens.

use crate::app::App;
use crate::app::work::to_the_end;
use crate::http::access::{Bearer, Caller, unauthenticated};
use crate::http::answer::{Answer, json, nothing};
use crate::http::body::Json;
use crate::http::segments::Segments;
use api::limits::LOGIN_BYTES_MAX;
use api::{Redeem, TokenList, TokenRequest};
use axum::Extension;
use axum::extract::State;
use std::sync::Arc;

pub(crate) async fn own_scope(Extension(Caller { scope, .. }): Extension<Caller>) -> Answer {
    json(&scope)
}

pub(crate) async fn redeem(
    State(app): State<Arc<App>>,
    Extension(Bearer(token)): Extension<Bearer>,
    Json(request): Json<Redeem, LOGIN_BYTES_MAX>,
) -> Answer {
    let issued = app.tokens.redeem(&token, &request.name).await?.ok_or_else(unauthenticated)?;
    tracing::info!(id = issued.token.id, "a one-time token was exchanged");
    json(&issued)
}

pub(crate) async fn list(State(app): State<Arc<App>>) -> Answer {
    json(&TokenList { tokens: app.tokens.list().await? })
}

pub(crate) async fn issue(State(app): State<Arc<App>>, Json(request): Json<TokenRequest>) -> Answer {
    let issued = app.tokens.issue(&request.name, request.scope).await?;
    tracing::info!(id = issued.token.id, scope = ?issued.token.scope, "a token was made");
    json(&issued)
}

pub(crate) async fn revoke(State(app): State<Arc<App>>, segments: Segments) -> Answer {
    let id = segments.text("token")?.to_owned();
    to_the_end(async move {
        app.tokens.revoke(&id).await?;
        tracing::info!(id, "a token was ended");
        Ok(())
    })
    .await?;
    nothing()
}
