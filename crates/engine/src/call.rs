//! Calls from the engine's threads to the async vault.

use crate::error::{EngineError, Result};
use crate::stop::Stop;
use contract::Domain;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::thread::Builder;
use std::time::Duration;
use system::Crew;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::timeout;

/// While it waits for an answer that may take long, a thread looks so often whether it is still wanted.
const STOP_IS_LOOKED_FOR: Duration = Duration::from_millis(200);

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

    /// Waits for the answer of a call that takes as long as bandwidth lets it, or gives it up when everything stops.
    pub(crate) fn wait_unless_stopped<T>(
        &self,
        doing: &'static str,
        stop: &Stop,
        call: impl Future<Output = contract::Result<T>>,
    ) -> Result<T> {
        self.runtime.block_on(async {
            let mut call = pin!(call);
            loop {
                match timeout(STOP_IS_LOOKED_FOR, &mut call).await {
                    Ok(answer) => return answer.map_err(EngineError::vault(doing)),
                    Err(_) => stop.check()?,
                }
            }
        })
    }
}

/// Runs blocking work that belongs to a crew, on a thread that nobody else will have: what its priority was lowered to is gone with it.
pub(crate) async fn on_thread_of<T: Send + 'static>(
    crew: Crew,
    name: &str,
    work: impl FnOnce(Handle) -> Result<T> + Send + 'static,
) -> Result<T> {
    let runtime = Handle::current();
    let (done, result) = oneshot::channel();
    let body = move || {
        let membership = crew.join();
        let worked = work(runtime);
        drop(membership);
        // Whoever waited for it may be gone.
        let _ = done.send(worked);
    };
    Builder::new().name(name.to_owned()).spawn(body).map_err(EngineError::source("start a thread"))?;
    result.await.unwrap_or(Err(EngineError::Internal("a thread of the engine ended in a panic")))
}

/// Runs blocking work on a thread of its own, off the runtime's workers.
pub(crate) async fn on_thread<T: Send + 'static>(work: impl FnOnce(Handle) -> Result<T> + Send + 'static) -> Result<T> {
    let runtime = Handle::current();
    match tokio::task::spawn_blocking(move || work(runtime)).await {
        Ok(result) => result,
        Err(_) => Err(EngineError::Internal("a thread of the engine ended in a panic")),
    }
}
