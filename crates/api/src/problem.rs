//! Errors on their way: a status and a body that says what to do.

use contract::ErrorKind;
use serde::{Deserialize, Serialize};

/// Content type of a [`Problem`].
pub const PROBLEM_TYPE: &str = "application/problem+json";

/// What kind of error it is, for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// The request is wrong; the same request will fail again.
    Invalid,
    /// No token, or none that is valid.
    Unauthenticated,
    /// Not allowed with this token.
    Denied,
    /// What was asked for is not there.
    NotFound,
    /// Somebody else was faster, or the session is over.
    Conflict,
    /// A body or header is over its limit.
    TooLarge,
    /// The service has too much to do, and did nothing; the same request may work after a while.
    Busy,
    /// The service took too long. It may be done all the same, or still be under way.
    TimedOut,
    /// Storage or database cannot be used.
    Unavailable,
    /// Storage or database is full; the same request works when somebody has made room.
    Full,
    /// Stored bytes are damaged.
    Corrupt,
    /// A fault of the service.
    Internal,
}

impl Code {
    /// The status of an answer with this code.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::Invalid => 400,
            Self::Unauthenticated => 401,
            Self::Denied => 403,
            Self::NotFound => 404,
            Self::Conflict => 409,
            Self::TooLarge => 413,
            Self::Busy | Self::Unavailable => 503,
            Self::TimedOut => 504,
            Self::Full => 507,
            Self::Corrupt | Self::Internal => 500,
        }
    }

    /// The kind of error that a caller sees.
    #[must_use]
    pub fn kind(self) -> ErrorKind {
        match self {
            Self::Invalid | Self::TooLarge => ErrorKind::Invalid,
            Self::Unauthenticated | Self::Denied => ErrorKind::Denied,
            Self::NotFound => ErrorKind::NotFound,
            Self::Conflict => ErrorKind::Conflict,
            Self::Busy | Self::TimedOut | Self::Unavailable => ErrorKind::Unavailable,
            Self::Full => ErrorKind::Full,
            Self::Corrupt => ErrorKind::Corrupt,
            Self::Internal => ErrorKind::Internal,
        }
    }

    /// The code of an error that happened behind the API.
    #[must_use]
    pub fn of(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::Invalid => Self::Invalid,
            ErrorKind::NotFound => Self::NotFound,
            ErrorKind::Conflict => Self::Conflict,
            ErrorKind::Denied => Self::Denied,
            ErrorKind::Unavailable => Self::Unavailable,
            ErrorKind::Full => Self::Full,
            ErrorKind::Corrupt => Self::Corrupt,
            ErrorKind::Internal => Self::Internal,
        }
    }

    /// The best guess for an answer that something in between wrote.
    #[must_use]
    pub fn of_status(status: u16) -> Self {
        match status {
            401 => Self::Unauthenticated,
            403 | 407 => Self::Denied,
            404 | 410 => Self::NotFound,
            409 | 412 => Self::Conflict,
            413 | 414 | 431 => Self::TooLarge,
            408 | 425 | 429 => Self::Busy,
            502..=504 => Self::Unavailable,
            500..=599 => Self::Internal,
            _ => Self::Invalid,
        }
    }
}

/// The body of every answer that is an error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Problem {
    /// The status, once more.
    pub status: u16,
    /// For programs.
    pub code: Code,
    /// What was being done, to what.
    pub message: String,
    /// What can be done about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// By which the service's log knows the request.
    #[serde(default)]
    pub request_id: String,
}

impl Problem {
    /// A problem of this kind, not yet of a request.
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { status: code.status(), code, message: message.into(), hint: None, request_id: String::new() }
    }

    /// With what can be done about it.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl From<contract::Error> for Problem {
    /// Causes stay behind: they may name what is nobody's business.
    fn from(error: contract::Error) -> Self {
        Self { hint: error.hint().map(str::to_owned), ..Self::new(Code::of(error.kind()), error.to_string()) }
    }
}

impl From<Problem> for contract::Error {
    fn from(problem: Problem) -> Self {
        let mut error = Self::new(problem.code.kind(), problem.message);
        if let Some(hint) = problem.hint {
            error = error.with_hint(hint);
        }
        match problem.code {
            Code::Internal | Code::Corrupt | Code::TimedOut | Code::Unavailable if !problem.request_id.is_empty() => {
                error.with_source(format!("the vault service's log has it as request {}", problem.request_id))
            }
            _ => error,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Code, Problem};
    use contract::ErrorKind;

    #[test]
    fn every_kind_of_error_comes_out_as_it_went_in() {
        for kind in [
            ErrorKind::Invalid,
            ErrorKind::NotFound,
            ErrorKind::Conflict,
            ErrorKind::Denied,
            ErrorKind::Unavailable,
            ErrorKind::Full,
            ErrorKind::Corrupt,
            ErrorKind::Internal,
        ] {
            let problem = Problem::from(contract::Error::new(kind, "what was done").with_hint("do this"));
            let read: Problem = serde_json::from_str(&serde_json::to_string(&problem).unwrap()).unwrap();
            let error = contract::Error::from(read);
            assert_eq!((error.kind(), error.to_string().as_str(), error.hint()), (kind, "what was done", Some("do this")));
            assert_eq!(Code::of(kind).kind(), kind);
        }
    }
}
