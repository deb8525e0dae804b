//! The vault's own objects: descriptors and passphrase wraps, by version.

use crate::fault::Fault;
use crate::stored::{Stored, read_stored};
use bytes::Bytes;
use contract::{CheckReport, Error, ErrorKind, Result};
use format::descriptor::Descriptor;
use format::wrap::Wrap;
use format::{OwnerKey, names};
use std::collections::BTreeSet;
use std::sync::Arc;
use storage::{ObjectName, ObjectStore};

/// Objects listed at once.
const PAGE: usize = 1000;

/// Descriptors and wraps in storage.
pub(super) struct Descriptors {
    store: Arc<dyn ObjectStore>,
}

impl Descriptors {
    pub(super) fn new(store: Arc<dyn ObjectStore>) -> Self {
        Self { store }
    }

    /// The newest descriptor that is signed by its owner, who must be the one given, if one is.
    pub(super) async fn newest(&self, owner: Option<&OwnerKey>) -> Result<(Descriptor, Bytes)> {
        let mut refused = None;
        for version in self.versions(names::DESCRIPTORS).await?.into_iter().rev() {
            for copy in names::COPIES {
                let stored = self.read(names::descriptor(version, copy)).await?;
                if stored.is_unreadable() {
                    refused = Some(Error::new(ErrorKind::Corrupt, "storage cannot read it"));
                }
                let Some(bytes) = stored.into_bytes() else { continue };
                match Descriptor::open(&bytes, owner) {
                    Ok(descriptor) if descriptor.version == version => return Ok((descriptor, bytes)),
                    Ok(_) => {}
                    Err(error) => refused = Some(error.into()),
                }
            }
        }
        Err(match refused {
            Some(error) => Error::new(ErrorKind::Corrupt, "no copy of the vault's descriptor can be trusted").with_source(error),
            None => Error::new(ErrorKind::NotFound, "the vault has no descriptor"),
        })
    }

    /// Stores a version in two copies.
    pub(super) async fn put(&self, descriptor: &Descriptor, bytes: &Bytes) -> Result<()> {
        for copy in names::COPIES {
            let name = name(names::descriptor(descriptor.version, copy))?;
            self.store.put(&name, bytes.clone()).await.map_err(Fault::from)?;
        }
        Ok(())
    }

    /// The newest passphrase wrap that can be read.
    pub(super) async fn newest_wrap(&self) -> Result<Option<Bytes>> {
        for version in self.versions(names::PASSPHRASE_WRAPS).await?.into_iter().rev() {
            let stored = self.read(names::passphrase_wrap(version)).await?;
            if let Some(bytes) = stored.into_bytes().filter(|bytes| Wrap::parse(bytes).is_ok()) {
                return Ok(Some(bytes));
            }
        }
        Ok(None)
    }

    /// The new wrap is durable before the old ones go.
    pub(super) async fn replace_wrap(&self, wrap: Option<Bytes>) -> Result<()> {
        let old = self.versions(names::PASSPHRASE_WRAPS).await?;
        if let Some(wrap) = wrap {
            let next = old.last().map_or(1, |version| version + 1);
            self.store.put(&name(names::passphrase_wrap(next))?, wrap).await.map_err(Fault::from)?;
        }
        for version in old {
            self.store.delete(&name(names::passphrase_wrap(version))?).await.map_err(Fault::from)?;
        }
        Ok(())
    }

    /// Both copies of the newest descriptor must be sound; one is mended from the other.
    pub(super) async fn check(&self, owner: &OwnerKey) -> Result<CheckReport> {
        let mut report = CheckReport::default();
        let (descriptor, bytes) = self.newest(Some(owner)).await?;
        for version in self.versions(names::DESCRIPTORS).await? {
            if version > descriptor.version {
                let what = "it cannot be read, or is not signed by the owner".to_owned();
                report.damaged_objects.push((names::descriptor(version, names::COPIES[0]), what));
            }
        }
        for copy in names::COPIES {
            let object = names::descriptor(descriptor.version, copy);
            let stored = self.read(object.clone()).await?;
            if stored.bytes() == Some(&bytes) {
                continue;
            }
            let name = name(object.clone())?;
            if stored.is_there() {
                self.store.delete(&name).await.map_err(Fault::from)?;
            }
            self.store.put(&name, bytes.clone()).await.map_err(Fault::from)?;
            report.mended.push(object);
        }
        for version in self.versions(names::PASSPHRASE_WRAPS).await? {
            let object = names::passphrase_wrap(version);
            let stored = self.read(object.clone()).await?;
            let what = match stored {
                Stored::Absent => None,
                Stored::Unreadable => Some("storage cannot read it".to_owned()),
                Stored::Whole(bytes) => Wrap::parse(&bytes).err().map(|error| error.to_string()),
            };
            if let Some(what) = what {
                report.damaged_objects.push((object, format!("{what}; 'holdfast key passphrase' stores it anew")));
            }
        }
        Ok(report)
    }

    /// Numbers of the objects with this prefix, ascending.
    async fn versions(&self, prefix: &str) -> Result<Vec<u64>> {
        let mut versions = BTreeSet::new();
        let mut after: Option<ObjectName> = None;
        loop {
            let page = self.store.list(prefix, after.as_ref(), PAGE).await.map_err(Fault::from)?;
            versions.extend(page.iter().filter_map(|object| names::parse_descriptor(object.name.as_str()).ok()));
            match page.into_iter().next_back() {
                Some(last) => after = Some(last.name),
                None => return Ok(versions.into_iter().collect()),
            }
        }
    }

    async fn read(&self, object: String) -> Result<Stored> {
        Ok(read_stored(self.store.as_ref(), &name(object)?).await?)
    }
}

fn name(name: String) -> Result<ObjectName> {
    Ok(ObjectName::new(name).map_err(Fault::from)?)
}
