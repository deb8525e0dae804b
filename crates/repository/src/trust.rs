//! The descriptor as the keyless side uses it: who may sign what.

use contract::Result;
use format::VaultId;
use format::descriptor::Descriptor;
use format::enrolment::Enrolment;
use std::sync::{Arc, RwLock};

/// The newest descriptor that this process knows.
#[derive(Debug)]
pub struct Trust {
    descriptor: RwLock<Arc<Descriptor>>,
}

impl Trust {
    /// Starts with a descriptor whose signature was verified.
    #[must_use]
    pub fn new(descriptor: Descriptor) -> Self {
        Self { descriptor: RwLock::new(Arc::new(descriptor)) }
    }

    /// The descriptor.
    #[must_use]
    pub fn descriptor(&self) -> Arc<Descriptor> {
        self.descriptor.read().expect("no panic under this lock").clone()
    }

    /// The vault.
    #[must_use]
    pub fn vault(&self) -> VaultId {
        self.descriptor().vault
    }

    /// Takes in a domain that was enrolled.
    pub fn admit(&self, enrolment: &Enrolment) {
        let mut current = self.descriptor.write().expect("no panic under this lock");
        let mut descriptor = Descriptor::clone(&current);
        descriptor.admit(std::slice::from_ref(enrolment));
        *current = Arc::new(descriptor);
    }

    /// Takes a newer version, whose signature was verified, of the same owner.
    pub fn replace(&self, descriptor: Descriptor) -> Result<()> {
        let mut current = self.descriptor.write().expect("no panic under this lock");
        if descriptor.vault == current.vault && descriptor.owner == current.owner && descriptor.version >= current.version {
            *current = Arc::new(descriptor);
        }
        Ok(())
    }
}
