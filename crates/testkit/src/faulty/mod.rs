//! A store in which everything goes wrong that can: [`FaultyStore`].
//!
//! Invariant: what a put acknowledged is there, whole, until somebody deletes it, whatever the faults. Only what nobody
//! acknowledged may be absent, late or torn; a late delete takes even what was put again in between, hence names are not used
//! twice. (Damage by `corrupt`, `replace`, `lose` and `make_unreadable` is asked for.) Faults depend on the seed and on the order
//! of requests alone.

mod connection;
mod fault;
mod weather;

pub use fault::{Fault, FaultRates, Operation, Requests};

use crate::pause::{Pause, Yields};
use crate::process::{Process, Remains};
use async_trait::async_trait;
use bytes::Bytes;
use connection::Connection;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use storage::{Compared, ErrorKind, ObjectInfo, ObjectName, ObjectStore, PutOutcome, Result, StorageError};
use weather::Weather;

/// A process's connection to a storage with faults. Clones are the same connection; [`FaultyStore::connect`] makes another
/// process's connection to the same storage, with requests and crashes of its own.
///
/// Every request pauses before and after its effect, so that others run, and a task can be killed, in between.
#[derive(Clone)]
pub struct FaultyStore {
    compared: Arc<Compared<Connection>>,
    requests: Arc<Mutex<Requests>>,
}

impl FaultyStore {
    /// A first connection to a storage, by a process of its own, without faults as yet.
    #[must_use]
    pub fn new(inner: Arc<dyn ObjectStore>, seed: u64) -> Self {
        let weather = Arc::new(Weather::new(inner, seed));
        Self::connected(Connection { weather, process: Process::new(), pause: Arc::new(Yields) })
    }

    /// The same connection with other pauses.
    #[must_use]
    pub fn with_pause(&self, pause: Arc<dyn Pause>) -> Self {
        Self::connected(Connection { pause, ..self.connection().clone() })
    }

    /// A connection of another process to the same storage.
    #[must_use]
    pub fn connect(&self, process: &Process) -> Self {
        Self::connected(Connection { process: process.clone(), ..self.connection().clone() })
    }

    /// The process whose connection this is.
    #[must_use]
    pub fn process(&self) -> &Process {
        &self.connection().process
    }

    /// The storage itself, without faults, counting and crashes.
    #[must_use]
    pub fn inner(&self) -> &Arc<dyn ObjectStore> {
        &self.weather().inner
    }

    /// Requests through this connection.
    #[must_use]
    pub fn requests(&self) -> Requests {
        *self.counters()
    }

    /// Counts from 0 again.
    pub fn reset_requests(&self) {
        *self.counters() = Requests::default();
    }

    /// Lets requests go wrong at random from now on, for all connections.
    pub fn set_rates(&self, rates: FaultRates) {
        self.weather().set_rates(rates);
    }

    /// Lets one request go wrong, by any connection: the first one of its kind whose object or prefix contains `pattern`,
    /// behind `skip` others that match too. Comes before what is drawn at random.
    pub fn script(&self, operation: Operation, pattern: impl Into<String>, skip: u32, fault: Fault) {
        self.weather().script(operation, pattern.into(), skip, fault);
    }

    /// No more faults, random or scripted; what is late happens now.
    pub async fn calm(&self) {
        self.weather().set_rates(FaultRates::NONE);
        self.weather().clear_script();
        self.weather().settle().await;
    }

    /// Lets happen now what is late.
    pub async fn settle_late(&self) {
        self.weather().settle().await;
    }

    /// What is late never happens.
    pub fn drop_late(&self) {
        self.weather().drop_late();
    }

    /// Lets the process die in its durable step `step`, counted from 0. From then on every request is `Unavailable`.
    pub fn crash_at(&self, step: u64, remains: Remains) {
        self.process().crash_at(step, remains);
    }

    /// Starts the process again.
    pub fn revive(&self) {
        self.process().revive();
    }

    /// Flips the bits of `mask` in one byte of a stored object.
    pub async fn corrupt(&self, name: &ObjectName, byte: u64, mask: u8) -> Result<()> {
        let mut bytes = self.inner().get(name, None).await?.to_vec();
        let length = bytes.len();
        let Some(there) = usize::try_from(byte).ok().and_then(|byte| bytes.get_mut(byte)) else {
            let reason = format!("there is no byte {byte} among its {length}");
            return Err(StorageError::new(ErrorKind::Invalid, "corrupt", name.as_str()).because(reason));
        };
        *there ^= mask;
        self.replace(name, bytes.into()).await
    }

    /// Puts other bytes in the place of a stored object, as no put can.
    pub async fn replace(&self, name: &ObjectName, bytes: Bytes) -> Result<()> {
        self.inner().delete(name).await?;
        self.inner().put(name, bytes).await.map(drop)
    }

    /// Lets every read of these bytes of a stored object fail with `Damaged`, until the object is removed.
    pub fn make_unreadable(&self, name: &ObjectName, bytes: Range<u64>) {
        self.weather().set_bad(name.clone(), bytes);
    }

    /// Everything can be read again.
    pub fn make_all_readable(&self) {
        self.weather().clear_bad();
    }

    /// Loses a stored object.
    pub async fn lose(&self, name: &ObjectName) -> Result<()> {
        self.inner().delete(name).await
    }

    fn connected(connection: Connection) -> Self {
        Self { compared: Arc::new(Compared::new(connection)), requests: Arc::default() }
    }

    fn connection(&self) -> &Connection {
        self.compared.provider()
    }

    fn weather(&self) -> &Weather {
        &self.connection().weather
    }

    fn counters(&self) -> MutexGuard<'_, Requests> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl ObjectStore for FaultyStore {
    async fn put(&self, name: &ObjectName, bytes: Bytes) -> Result<PutOutcome> {
        {
            let mut requests = self.counters();
            requests.puts += 1;
            requests.bytes_put += bytes.len() as u64;
        }
        self.compared.put(name, bytes).await
    }

    async fn get(&self, name: &ObjectName, range: Option<Range<u64>>) -> Result<Bytes> {
        {
            let mut requests = self.counters();
            requests.gets += 1;
            requests.ranges += 1;
        }
        let bytes = self.compared.get(name, range).await?;
        self.counters().bytes_got += bytes.len() as u64;
        Ok(bytes)
    }

    async fn get_ranges(&self, name: &ObjectName, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        {
            let mut requests = self.counters();
            requests.gets += 1;
            requests.ranges += ranges.len() as u64;
        }
        let parts = self.compared.get_ranges(name, ranges).await?;
        self.counters().bytes_got += parts.iter().map(|part| part.len() as u64).sum::<u64>();
        Ok(parts)
    }

    async fn length(&self, name: &ObjectName) -> Result<u64> {
        self.counters().lengths += 1;
        self.compared.length(name).await
    }

    async fn list(&self, prefix: &str, after: Option<&ObjectName>, limit: usize) -> Result<Vec<ObjectInfo>> {
        self.counters().lists += 1;
        self.compared.list(prefix, after, limit).await
    }

    async fn delete(&self, name: &ObjectName) -> Result<()> {
        self.counters().deletes += 1;
        self.compared.delete(name).await
    }
}
