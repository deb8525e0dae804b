//! The ids in a path.

use super::failure::Failure;
use api::{Code, Problem};
use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::request::Parts;
use std::fmt::Display;
use std::str::FromStr;

/// Values of the names in an endpoint's path.
pub(crate) struct Segments(Vec<(String, String)>);

impl Segments {
    /// The value of a name that the path has.
    pub(crate) fn text(&self, name: &str) -> Result<&str, Failure> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str()).ok_or_else(|| {
            Failure::new(Problem::new(Code::Internal, format!("an endpoint expects '{name}' in a path that does not have it")))
        })
    }

    /// The id that stands there.
    pub(crate) fn parse<T: FromStr<Err: Display>>(&self, name: &str) -> Result<T, Failure> {
        let text = self.text(name)?;
        text.parse().map_err(|error| Failure::new(Problem::new(Code::Invalid, format!("the path has no {name} there: {error}"))))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Segments {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let params = RawPathParams::from_request_parts(parts, state).await;
        let params = params.map_err(|_| Failure::new(Problem::new(Code::Invalid, "the path cannot be read")))?;
        Ok(Self(params.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()))
    }
}
