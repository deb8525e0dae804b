//! Errors as answers. The body is written where the request's id is known: see `admission`.

use api::{Code, Problem};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use std::error::Error as _;

/// A client that was answered as busy comes again after so many seconds.
const BUSY_SECONDS: u64 = 1;

/// Storage, the database, or the number of runs in a minute: that is not over so soon.
const UNAVAILABLE_SECONDS: u64 = 30;

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
        let retry_after = match problem.code {
            Code::Busy => Some(BUSY_SECONDS),
            Code::Unavailable => Some(UNAVAILABLE_SECONDS),
            _ => None,
        };
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
        Self { causes, ..Self::new(error.into()) }
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

#[cfg(test)]
mod tests {
    use super::Failure;
    use contract::{Error, ErrorKind};

    #[test]
    fn what_may_work_later_says_when() {
        let after = |kind| Failure::from(Error::new(kind, "x")).retry_after;
        assert!(after(ErrorKind::Unavailable).is_some() && Failure::busy("x").retry_after.is_some());
        assert!(after(ErrorKind::Full).is_none() && after(ErrorKind::NotFound).is_none());
    }
}
