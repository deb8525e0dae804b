//! Data keys of the sessions that sealed what is being read.

use crate::call::Calls;
use crate::error::{EngineError, Result};
use format::key_object::KeyObject;
use format::{DomainId, KeyId};
use seal::{DataKey, DomainSecret, DomainWriter};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// What opens a domain's blobs.
#[derive(Clone)]
pub struct ReadKeys {
    secret: Arc<DomainSecret>,
    writer: DomainWriter,
}

impl ReadKeys {
    /// Of this domain.
    #[must_use]
    pub fn new(secret: DomainSecret, domain: DomainId) -> Self {
        let writer = secret.writer(domain);
        Self { secret: Arc::new(secret), writer }
    }

    /// The domain.
    #[must_use]
    pub fn domain(&self) -> DomainId {
        self.writer.domain()
    }

    /// What adds to the domain.
    #[must_use]
    pub fn writer(&self) -> &DomainWriter {
        &self.writer
    }
}

/// Data keys, each derived once. There is one a session that still has blobs.
pub(crate) struct KeyRing {
    calls: Calls,
    keys: ReadKeys,
    derived: Mutex<HashMap<KeyId, DataKey>>,
}

impl KeyRing {
    pub(crate) fn new(calls: Calls, keys: ReadKeys) -> Self {
        Self { calls, keys, derived: Mutex::default() }
    }

    pub(crate) fn writer(&self) -> &DomainWriter {
        &self.keys.writer
    }

    /// The key with this id.
    pub(crate) fn get(&self, id: KeyId) -> Result<DataKey> {
        let lock = || self.derived.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(key) = lock().get(&id) {
            return Ok(key.clone());
        }
        let object = self.calls.wait("read a key object", self.calls.domain.key_object(id))?;
        if KeyObject::id(&object) != id {
            return Err(EngineError::Untrusted("a key object is not the one that was asked for"));
        }
        let key = self.keys.secret.data_key(&object).map_err(EngineError::seal("derive a data key"))?;
        lock().insert(id, key.clone());
        Ok(key)
    }
}
