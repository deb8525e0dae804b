//! The vault behind the service: there once its first descriptor was published.

use super::leases::Leases;
use bytes::Bytes;
use contract::{Domain, Error, ErrorKind, Result, Vault};
use format::DomainId;
use repository::{EmbeddedOptions, EmbeddedVault};
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::RwLock;

/// A place for one vault.
pub(crate) struct VaultPlace {
    directory: PathBuf,
    leases: Arc<Leases>,
    vault: RwLock<Option<Arc<EmbeddedVault>>>,
}

impl VaultPlace {
    /// Opens the vault if it is there.
    pub(crate) async fn open(directory: PathBuf, leases: Arc<Leases>) -> Result<Self> {
        let vault = if directory.join("objects").is_dir() {
            let vault = EmbeddedVault::serve(&directory, EmbeddedOptions::default(), leases.clone()).await?;
            for (domain, report) in vault.rebuilt() {
                tracing::warn!(%domain, points = report.points, packs = report.packs, "the ledger was made anew from storage");
                let (packs, entries) = (report.unreadable_packs.len(), report.unreadable_entries.len());
                if packs + entries + report.set_aside.len() > 0 {
                    tracing::warn!(
                        %domain, packs = ?report.unreadable_packs, entries = ?report.unreadable_entries, set_aside = ?report.set_aside,
                        "parts of the storage could not be read; nothing is collected until a rebuild can read them"
                    );
                }
            }
            Some(Arc::new(vault))
        } else {
            None
        };
        Ok(Self { directory, leases, vault: RwLock::new(vault) })
    }

    /// The vault.
    pub(crate) async fn get(&self) -> Result<Arc<EmbeddedVault>> {
        self.vault.read().await.clone().ok_or_else(|| {
            Error::new(ErrorKind::NotFound, "this service holds no vault yet")
                .with_hint("'holdfast init' makes one: keys are made where it runs, and stay there")
        })
    }

    /// The vault, if there is one.
    pub(crate) async fn find(&self) -> Option<Arc<EmbeddedVault>> {
        self.vault.read().await.clone()
    }

    /// A domain of it.
    pub(crate) async fn domain(&self, domain: DomainId) -> Result<Arc<dyn Domain>> {
        self.get().await?.domain(domain).await
    }

    /// Fails if there is no such domain. Does not open it: a thousand agents that come back at once ask for nothing yet.
    pub(crate) async fn prove_domain(&self, domain: DomainId) -> Result<()> {
        if self.get().await?.domains().contains(&domain) {
            return Ok(());
        }
        // Perhaps it was enrolled since.
        self.domain(domain).await.map(drop)
    }

    /// The first descriptor makes the vault, later ones go to it.
    pub(crate) async fn publish(&self, descriptor: Bytes) -> Result<()> {
        if let Some(vault) = self.find().await {
            return vault.publish_descriptor(descriptor).await;
        }
        let mut place = self.vault.write().await;
        if let Some(vault) = place.as_ref() {
            return vault.publish_descriptor(descriptor).await;
        }
        let vault = EmbeddedVault::create_served(&self.directory, descriptor, self.leases.clone()).await?;
        *place = Some(Arc::new(vault));
        Ok(())
    }
}
