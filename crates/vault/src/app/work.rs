//! Work that goes on to its end even if who asked for it goes away.

use contract::{Error, ErrorKind, Result};
use std::future::Future;

/// Runs to the end on a task of its own. What is durable is right after any interruption; this saves doing it twice.
pub(crate) async fn to_the_end<T: Send + 'static>(work: impl Future<Output = Result<T>> + Send + 'static) -> Result<T> {
    match tokio::spawn(work).await {
        Ok(outcome) => outcome,
        Err(error) => Err(Error::new(ErrorKind::Internal, "a fault of the vault service ended the request").with_source(error)),
    }
}
