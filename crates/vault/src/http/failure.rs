//! Errors as answers. The body is written where the request's id is known: see `admission`.

use api::{Code, Problem};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use std::error::Error as _;

/// A client that was answered as busy comes again after so many seconds.
const BUSY_SECONDS: u64 = 1;

/// An answer that is an error.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    pub(crate) problem: Problem,
    /// For the log only.
    pub(crate) causes: Vec<String>,
    /// In so many seconds the same request may work.
    pub(crate) retry_after: Option<u64>,
}

impl Failure {
    pub(crate) fn new(problem: Problem) -> Self {
        let retry_after = (problem.code == Code::Busy).then_some(BUSY_SECONDS);
        Self { problem, causes: Vec::new(), retry_after }
    }

    /// Too much to do.
    pub(crate) fn busy(message: &str) -> Self {
        Self::new(Problem::new(Code::Busy, message))
    }

    /// A request that makes no sense.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(Problem::new(Code::Invalid, message))
    }
}

impl From<contract::Error> for Failure {
    fn from(error: contract::Error) -> Self {
        let mut causes = Vec::new();
        let mut cause = error.source();
        while let Some(error) = cause {
            causes.push(error.to_string());
            cause = error.source();
        }
        Self { problem: error.into(), causes, retry_after: None }
    }
}

impl From<api::ApiError> for Failure {
    fn from(error: api::ApiError) -> Self {
        let code = if matches!(error, api::ApiError::TooLong { .. }) { Code::TooLarge } else { Code::Invalid };
        Self::new(Problem::new(code, error.to_string()))
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}
