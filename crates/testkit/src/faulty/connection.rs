//! One process's way to the storage.

use super::fault::{Fault, Operation};
use super::weather::{Effect, Weather};
use crate::pause::Pause;
use crate::process::{DurableStep, Life, Process, Remains};
use async_trait::async_trait;
use bytes::Bytes;
use std::ops::Range;
use std::sync::Arc;
use storage::{Creation, ErrorKind, ObjectInfo, ObjectName, Provider, PutOutcome, Result, StorageError};

/// A provider as one process sees it.
#[derive(Clone)]
pub(super) struct Connection {
    pub(super) weather: Arc<Weather>,
    pub(super) process: Process,
    pub(super) pause: Arc<dyn Pause>,
}

/// A request under way.
struct Request<'a> {
    connection: &'a Connection,
    life: Life,
    doing: &'static str,
    object: &'a str,
    fault: Option<Fault>,
    delay_steps: u32,
}

impl Connection {
    /// Starts a request: everything up to its effect. Faults that come before any effect end it here.
    async fn begin<'a>(&'a self, operation: Operation, object: &'a str) -> Result<Request<'a>> {
        let doing = match operation {
            Operation::Put => "write",
            Operation::Get | Operation::Length => "read",
            Operation::List => "list",
            Operation::Delete => "delete",
        };
        let unavailable = || StorageError::new(ErrorKind::Unavailable, doing, object);
        let life = self.process.life().map_err(|crashed| unavailable().because(crashed))?;
        let drawn = self.weather.draw(operation, object);
        let request = Request { connection: self, life, doing, object, fault: drawn.fault, delay_steps: drawn.delay_steps };
        self.pause.pause(1 + drawn.delay_steps).await;
        self.weather.step().await;
        Ok(request)
    }
}

impl Request<'_> {
    fn error(&self, kind: ErrorKind) -> StorageError {
        StorageError::new(kind, self.doing, self.object)
    }

    /// Other requests of the process, or somebody else, may have ended its life.
    fn check_alive(&self) -> Result<()> {
        self.connection.process.check(self.life).map_err(|crashed| self.error(ErrorKind::Unavailable).because(crashed))
    }

    /// The answer is on its way. A process that dies meanwhile never gets it.
    async fn end<T>(&self, answer: Result<T>) -> Result<T> {
        self.connection.pause.pause(1 + self.delay_steps).await;
        self.check_alive()?;
        answer
    }

    async fn read<T>(&self, effect: impl Future<Output = Result<T>>) -> Result<T> {
        match self.fault {
            Some(Fault::ErrorBefore | Fault::ErrorAfter | Fault::Torn | Fault::Late { .. }) => {
                self.end(Err(self.error(ErrorKind::Unavailable).because("injected: the answer was lost"))).await
            }
            Some(Fault::AlreadyThere | Fault::Full | Fault::Delay { .. }) | None => self.end(effect.await).await,
        }
    }

    /// Does something durable, or as much of it as faults and crashes let happen.
    async fn change(&self, effect: Effect) -> Result<Creation> {
        let step = self.connection.process.durable_step(self.life);
        let step = step.map_err(|crashed| self.error(ErrorKind::Unavailable).because(crashed))?;
        if let DurableStep::Dies(remains) = step {
            self.leave(remains, effect).await;
            return self.end(Err(self.error(ErrorKind::Unavailable).because("injected: crash"))).await;
        }
        let is_put = matches!(effect, Effect::Put(..));
        let remains = match self.fault {
            Some(Fault::ErrorBefore) => Remains::Nothing,
            Some(Fault::ErrorAfter) => Remains::Whole,
            Some(Fault::Torn) => Remains::Torn,
            Some(Fault::Late { steps }) => Remains::Late { steps },
            Some(Fault::Full) if is_put => return self.end(Err(self.error(ErrorKind::Full).because("injected"))).await,
            Some(Fault::AlreadyThere) if is_put => {
                let answer = self.apply(effect).await.map(|_| Creation::AlreadyThere);
                return self.end(answer).await;
            }
            Some(Fault::Full | Fault::AlreadyThere | Fault::Delay { .. }) | None => {
                return self.end(self.apply(effect).await).await;
            }
        };
        self.leave(remains, effect).await;
        self.end(Err(self.error(ErrorKind::Unavailable).because("injected: the answer was lost"))).await
    }

    async fn leave(&self, remains: Remains, effect: Effect) {
        let weather = &self.connection.weather;
        match (remains, effect) {
            (Remains::Nothing, _) | (Remains::Torn, Effect::Delete(_)) => {}
            (Remains::Late { steps }, effect) => weather.delay_effect(steps, effect),
            // Whether it worked is what the caller must not learn.
            (Remains::Whole, effect) => drop(self.apply(effect).await),
            (Remains::Torn, Effect::Put(name, bytes)) => {
                if let Some(bytes) = weather.cut(&bytes) {
                    drop(self.apply(Effect::Put(name, bytes)).await);
                }
            }
        }
    }

    async fn apply(&self, effect: Effect) -> Result<Creation> {
        let weather = &self.connection.weather;
        match effect {
            Effect::Put(name, bytes) => match weather.inner.put(&name, bytes).await {
                Ok(PutOutcome::Created) => Ok(Creation::Created),
                Ok(PutOutcome::Identical) => Ok(Creation::AlreadyThere),
                Err(error) if error.kind() == ErrorKind::Exists => Ok(Creation::AlreadyThere),
                Err(error) => Err(error),
            },
            Effect::Delete(name) => weather.remove(&name).await.map(|()| Creation::Created),
        }
    }
}

#[async_trait]
impl Provider for Connection {
    async fn create(&self, name: &ObjectName, bytes: Bytes) -> Result<Creation> {
        let request = self.begin(Operation::Put, name.as_str()).await?;
        request.change(Effect::Put(name.clone(), bytes)).await
    }

    async fn get(&self, name: &ObjectName, range: Option<Range<u64>>) -> Result<Bytes> {
        let request = self.begin(Operation::Get, name.as_str()).await?;
        if self.weather.is_bad(name, range.as_ref()) {
            return request.end(Err(request.error(ErrorKind::Damaged).because("injected"))).await;
        }
        request.read(self.weather.inner.get(name, range)).await
    }

    async fn get_ranges(&self, name: &ObjectName, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let request = self.begin(Operation::Get, name.as_str()).await?;
        if ranges.iter().any(|range| self.weather.is_bad(name, Some(range))) {
            return request.end(Err(request.error(ErrorKind::Damaged).because("injected"))).await;
        }
        request.read(self.weather.inner.get_ranges(name, ranges)).await
    }

    async fn length(&self, name: &ObjectName) -> Result<u64> {
        let request = self.begin(Operation::Length, name.as_str()).await?;
        request.read(self.weather.inner.length(name)).await
    }

    async fn list(&self, prefix: &str, after: Option<&ObjectName>, limit: usize) -> Result<Vec<ObjectInfo>> {
        let request = self.begin(Operation::List, prefix).await?;
        request.read(self.weather.inner.list(prefix, after, limit)).await
    }

    async fn delete(&self, name: &ObjectName) -> Result<()> {
        let request = self.begin(Operation::Delete, name.as_str()).await?;
        request.change(Effect::Delete(name.clone())).await.map(drop)
    }
}
