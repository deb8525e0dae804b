//! Requests to calls and back, noun by noun. Nothing is decided here.

pub(crate) mod domains;
pub(crate) mod enrolments;
pub(crate) mod packs;
pub(crate) mod points;
pub(crate) mod readers;
pub(crate) mod service;
pub(crate) mod sessions;
pub(crate) mod tokens;
pub(crate) mod vault;

use crate::app::App;
use crate::http::failure::Failure;
use crate::http::segments::Segments;
use contract::Domain;
use std::sync::Arc;

/// The domain that the path names.
async fn domain(app: &App, segments: &Segments) -> Result<Arc<dyn Domain>, Failure> {
    Ok(app.vault.domain(segments.parse("domain")?).await?)
}
