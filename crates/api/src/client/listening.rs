//! A stream that a service goes on with: lines, one whenever it has something to say, and one now and then all the same.

use super::ServiceVault;
use super::connection::{Call, unreadable};
use crate::limits::NOTICE_BYTES_MAX;
use bytes::{Bytes, BytesMut};
use contract::{Error, ErrorKind, Result};
use reqwest::Response;
use serde::de::DeserializeOwned;
use std::marker::PhantomData;
use std::time::Duration;

/// A service that has nothing to say says so at least this often, with much to spare: after longer silence it is gone, or
/// something in between is, or this machine slept.
const SILENCE: Duration = Duration::from_secs(45);
/// What stands before each event in a stream of server-sent events.
const DATA: &[u8] = b"data:";

/// A stream of values. It ends when the service ends it; a stream that breaks or falls silent is an error.
pub struct Listening<T> {
    response: Response,
    buffer: BytesMut,
    values: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> Listening<T> {
    /// The next value; none at the end.
    pub async fn next(&mut self) -> Result<Option<T>> {
        loop {
            while let Some(line) = self.line() {
                let line = line.strip_prefix(DATA).unwrap_or(&line).trim_ascii();
                // Empty lines and comments only show that the connection is alive.
                if !line.is_empty() && !line.starts_with(b":") {
                    return serde_json::from_slice(line).map(Some).map_err(|error| unreadable().with_source(error));
                }
            }
            if self.buffer.len() > NOTICE_BYTES_MAX {
                return Err(unreadable());
            }
            let chunk = tokio::time::timeout(SILENCE, self.response.chunk()).await;
            let chunk = chunk.map_err(|_| Error::new(ErrorKind::Unavailable, "the vault service fell silent"))?;
            let broke = |error: reqwest::Error| {
                Error::new(ErrorKind::Unavailable, "the connection to the vault service broke").with_source(error.without_url())
            };
            match chunk.map_err(broke)? {
                Some(chunk) => self.buffer.extend_from_slice(&chunk),
                None => return Ok(None),
            }
        }
    }

    fn line(&mut self) -> Option<Bytes> {
        let end = self.buffer.iter().position(|byte| *byte == b'\n')?;
        Some(self.buffer.split_to(end + 1).freeze())
    }
}

impl ServiceVault {
    /// Opens a stream; never again by itself.
    pub(super) async fn listen<T: DeserializeOwned>(&self, call: Call) -> Result<Listening<T>> {
        let response = tokio::time::timeout(SILENCE, self.connection.begin(&call)).await;
        let response = response.map_err(|_| Error::new(ErrorKind::Unavailable, "the vault service did not answer"))??;
        Ok(Listening { response, buffer: BytesMut::new(), values: PhantomData })
    }
}
