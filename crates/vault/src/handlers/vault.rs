//! The vault as a whole.

use crate::app::App;
use crate::app::work::to_the_end;
use crate::http::answer::{Answer, json, nothing, octets};
use crate::http::body::Octets;
use crate::http::failure::Failure;
use api::{Code, Problem, Soundness};
use axum::extract::State;
use contract::Vault;
use format::limits::{DESCRIPTOR_BYTES_MAX, WRAP_BYTES_MAX};
use format::wrap::Wrap;
use std::sync::Arc;

pub(crate) async fn descriptor(State(app): State<Arc<App>>) -> Answer {
    octets(app.vault.get().await?.descriptor().await?)
}

pub(crate) async fn publish(State(app): State<Arc<App>>, Octets(bytes): Octets<DESCRIPTOR_BYTES_MAX>) -> Answer {
    to_the_end(async move { app.publish(bytes).await }).await?;
    nothing()
}

pub(crate) async fn wrap(State(app): State<Arc<App>>) -> Answer {
    let wrap = app.vault.get().await?.passphrase_wrap().await?;
    octets(wrap.ok_or_else(|| Failure::new(Problem::new(Code::NotFound, "the vault keeps no passphrase wrap")))?)
}

pub(crate) async fn set_wrap(State(app): State<Arc<App>>, Octets(bytes): Octets<WRAP_BYTES_MAX>) -> Answer {
    Wrap::parse(&bytes).map_err(|error| Failure::invalid(format!("the wrap cannot be read: {error}")))?;
    let vault = app.vault.get().await?;
    to_the_end(async move { vault.set_passphrase_wrap(Some(bytes)).await }).await?;
    nothing()
}

pub(crate) async fn remove_wrap(State(app): State<Arc<App>>) -> Answer {
    let vault = app.vault.get().await?;
    to_the_end(async move { vault.set_passphrase_wrap(None).await }).await?;
    nothing()
}

pub(crate) async fn check(State(app): State<Arc<App>>) -> Answer {
    let vault = app.vault.get().await?;
    json(&Soundness::from(to_the_end(async move { vault.check().await }).await?))
}
