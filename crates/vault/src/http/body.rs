//! Bodies of requests, each read up to its limit and no further.

use super::access::{Caller, Hasty, unauthenticated};
use super::failure::Failure;
use crate::app::App;
use crate::app::budget;
use crate::app::reserve::Room;
use crate::app::work::Loans;
use api::limits::JSON_BYTES_MAX;
use api::{Code, Problem};
use axum::extract::{FromRequest, Request};
use axum::http::header::CONTENT_LENGTH;
use bytes::Bytes;
use http_body_util::BodyExt;
use serde::de::DeserializeOwned;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// A body that comes slower than this is given up: so many bytes a second, and the seconds of silence in the beginning.
const LEAST_BYTES_PER_SECOND: u64 = 16 << 10;

/// A body and what is made of it while it is read take about so many times its length.
const TIMES_READ: u64 = 3;

/// The few places of newcomers are not held by those who send nothing.
const SILENCE_OF_NEWCOMERS: Duration = Duration::from_secs(5);

/// A body of JSON, of at most `MAX` bytes.
pub(crate) struct Json<T, const MAX: usize = JSON_BYTES_MAX>(pub(crate) T);

/// A body of at most `MAX` bytes.
pub(crate) struct Octets<const MAX: usize>(pub(crate) Bytes);

/// A pack, for which memory was lent, and its room on the disk.
pub(crate) struct PackBody(pub(crate) Bytes, pub(crate) Room);

impl<T: DeserializeOwned, const MAX: usize> FromRequest<Arc<App>> for Json<T, MAX> {
    type Rejection = Failure;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, Failure> {
        let bytes = borrow_and_read(request, MAX, app).await?;
        let value = serde_json::from_slice(&bytes);
        value.map(Self).map_err(|error| Failure::invalid(format!("the body is not what the endpoint expects: {error}")))
    }
}

impl<const MAX: usize> FromRequest<Arc<App>> for Octets<MAX> {
    type Rejection = Failure;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, Failure> {
        borrow_and_read(request, MAX, app).await.map(Self)
    }
}

impl FromRequest<Arc<App>> for PackBody {
    type Rejection = Failure;

    /// Memory is lent for the length that the request says, before any of it is read.
    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, Failure> {
        const MAX: usize = format::limits::PACK_BYTES_MAX;
        let length = length(&request)?.ok_or_else(|| Failure::invalid("a pack comes with its length"))?;
        if length > MAX as u64 {
            return Err(too_large(MAX));
        }
        let scope = request.extensions().get::<Caller>().ok_or_else(unauthenticated)?.scope;
        // Whoever cannot store it is told so before he waits.
        app.reserve.room_for(0)?;
        let lent = app.packs_in.lend(scope.into(), length.div_ceil(1024), budget::PATIENCE).await;
        let lent = lent.ok_or_else(|| Failure::busy("too many packs are under way"))?;
        Loans::keep(lent);
        // Only now: room that is kept for those who wait is nobody's.
        let room = app.reserve.room_for(length)?;
        let bytes = read(request, length as usize, app).await?;
        app.metrics.packs_in(bytes.len() as u64);
        Ok(Self(bytes, room))
    }
}

fn length(request: &Request) -> Result<Option<u64>, Failure> {
    let Some(value) = request.headers().get(CONTENT_LENGTH) else { return Ok(None) };
    let length = value.to_str().ok().and_then(|value| value.parse().ok());
    length.map(Some).ok_or_else(|| Failure::invalid("the length of the body is no number"))
}

/// Memory is lent for a large body before any of it is read. Those who are not known yet send none.
async fn borrow_and_read(request: Request, max: usize, app: &App) -> Result<Bytes, Failure> {
    let length = length(&request)?.unwrap_or(max as u64);
    if length > max as u64 {
        return Err(too_large(max));
    }
    let caller = request.extensions().get::<Caller>().filter(|_| length > budget::FREE_BYTES);
    if let Some(Caller { scope, .. }) = caller {
        let units = (length * TIMES_READ).div_ceil(1024);
        let lent = app.packs_in.lend((*scope).into(), units, budget::SHORT_PATIENCE).await;
        Loans::keep(lent.ok_or_else(|| Failure::busy("too many large bodies are under way"))?);
    }
    read(request, max, app).await
}

async fn read(request: Request, max: usize, app: &App) -> Result<Bytes, Failure> {
    let expected = length(&request)?.unwrap_or(0);
    if expected > max as u64 {
        return Err(too_large(max));
    }
    let mut silence = Duration::from_secs(app.limits.silence_seconds);
    if request.extensions().get::<Hasty>().is_some() {
        silence = silence.min(SILENCE_OF_NEWCOMERS);
    }
    let started = Instant::now();
    let mut body = request.into_body();
    let mut bytes = app.buffers.take(expected as usize);
    loop {
        // What has come buys the time for what is to come: a trickle holds memory for no longer than silence does.
        let bought = Duration::from_millis(bytes.len() as u64 * 1000 / LEAST_BYTES_PER_SECOND);
        let deadline = (Instant::now() + silence).min(started + silence + bought);
        let frame = tokio::time::timeout_at(deadline, body.frame()).await;
        let frame = frame.map_err(|_| Failure::busy("the body of the request came too slowly"))?;
        let Some(frame) = frame else { return Ok(Bytes::from_owner(bytes)) };
        let frame = frame.map_err(|_| Failure::invalid("the body of the request broke off"))?;
        let Ok(data) = frame.into_data() else { continue };
        if bytes.len() + data.len() > max {
            return Err(too_large(max));
        }
        bytes.extend(&data);
    }
}

fn too_large(max: usize) -> Failure {
    Failure::new(Problem::new(Code::TooLarge, format!("the body of this request has at most {max} bytes")))
}
