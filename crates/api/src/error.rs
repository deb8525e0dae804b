//! Errors of this crate itself; what a service answers is a `contract::Error`.

/// What a caller can do about an error.
pub use contract::ErrorKind as Kind;

/// An error on this side of the connection.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// Not the address of a service.
    #[error("'{0}' is not the address of a vault service: it looks like https://host:port")]
    Address(String),
    /// Not a fingerprint.
    #[error("a fingerprint of a certificate authority has 64 hexadecimal digits")]
    Fingerprint,
    /// The text of a token has characters that cannot be sent.
    #[error("the token has characters that no token has")]
    Token,
    /// The client cannot be set up.
    #[error("cannot set up connections to the vault service")]
    Client(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A body that does not follow the API.
    #[error("{0} cannot be read")]
    Body(&'static str),
    /// A body over its limit.
    #[error("{what} has more than {max} {unit}")]
    TooLong {
        /// The body.
        what: &'static str,
        /// Its limit.
        max: usize,
        /// What is counted.
        unit: &'static str,
    },
}

impl ApiError {
    /// The kind.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Address(_) | Self::Fingerprint | Self::Token | Self::Body(_) | Self::TooLong { .. } => Kind::Invalid,
            Self::Client(_) => Kind::Internal,
        }
    }
}

impl From<ApiError> for contract::Error {
    fn from(error: ApiError) -> Self {
        let (kind, text) = (error.kind(), error.to_string());
        match error {
            ApiError::Client(source) => Self::new(kind, text).with_source(source),
            _ => Self::new(kind, text),
        }
    }
}
