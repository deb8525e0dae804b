//! Calls from the engine's threads to the async vault.

use crate::error::{EngineError, Result};
use contract::Domain;
use std::future::Future;
use std::sync::Arc;
use tokio::runtime::Handle;

/// A domain that threads outside the runtime can call. Never used on a thread of the runtime itself.
#[derive(Clone)]
pub(crate) struct Calls {
    pub(crate) domain: Arc<dyn Domain>,
    pub(crate) runtime: Handle,
}

impl Calls {
    pub(crate) fn new(domain: Arc<dyn Domain>, runtime: Handle) -> Self {
        Self { domain, runtime }
    }

    /// Waits for the answer of a call.
    pub(crate) fn wait<T>(&self, doing: &'static str, call: impl Future<Output = contract::Result<T>>) -> Result<T> {
        self.runtime.block_on(call).map_err(EngineError::vault(doing))
    }
}

/// Runs blocking work on a thread of its own, off the runtime's workers.
pub(crate) async fn on_thread<T: Send + 'static>(work: impl FnOnce(Handle) -> Result<T> + Send + 'static) -> Result<T> {
    let runtime = Handle::current();
    match tokio::task::spawn_blocking(move || work(runtime)).await {
        Ok(result) => result,
        Err(_) => Err(EngineError::Internal("a thread of the engine ended in a panic")),
    }
}
