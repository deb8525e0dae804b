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

/// What the copies of one version of the descriptor hold.
enum Version {
    /// A copy is as it must be.
    Sound(Box<Descriptor>, Bytes),
    /// There are copies, and none is.
    Refused(Error),
    /// There is none (any more).
    Absent,
}

/// Descriptors and wraps in storage.
pub(super) struct Descriptors {
    store: Arc<dyn ObjectStore>,
}

impl Descriptors {
    pub(super) fn new(store: Arc<dyn ObjectStore>) -> Self {
        Self { store }
    }

    /// The newest descriptor, which must be signed by its owner: by the one given, if one is.
    ///
    /// An older one never takes the place of one that cannot be opened: it knows fewer agents, and what theirs is would be
    /// taken for garbage.
    pub(super) async fn newest(&self, owner: Option<&OwnerKey>) -> Result<(Descriptor, Bytes)> {
        for version in self.versions(names::DESCRIPTORS).await?.into_iter().rev() {
            match self.version(version, owner).await? {
                Version::Sound(descriptor, bytes) => return Ok((*descriptor, bytes)),
                Version::Refused(error) => return Err(refused(version, error)),
                Version::Absent => {}
            }
        }
        Err(Error::new(ErrorKind::NotFound, "the vault has no descriptor"))
    }

    /// What the copies of a version hold.
    async fn version(&self, version: u64, owner: Option<&OwnerKey>) -> Result<Version> {
        let mut found = Version::Absent;
        for copy in names::COPIES {
            let bytes = match self.read(names::descriptor(version, copy)).await? {
                Stored::Whole(bytes) => bytes,
                Stored::Absent => continue,
                Stored::Unreadable => {
                    found = Version::Refused(Error::new(ErrorKind::Corrupt, "storage cannot read it"));
                    continue;
                }
            };
            found = match Descriptor::open(&bytes, owner) {
                Ok(descriptor) if descriptor.version == version => return Ok(Version::Sound(Box::new(descriptor), bytes)),
                Ok(_) => Version::Refused(Error::new(ErrorKind::Corrupt, "it is of another version")),
                Err(error) => Version::Refused(error.into()),
            };
        }
        Ok(found)
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
        for version in self.versions(names::DESCRIPTORS).await?.into_iter().rev() {
            match self.version(version, Some(owner)).await? {
                Version::Sound(_, bytes) => {
                    self.mend_copies(version, &bytes, &mut report).await?;
                    break;
                }
                Version::Refused(error) => {
                    let what = format!("no copy of it can be read and is signed by the owner: {}", cause(&error));
                    report.damaged_objects.push((names::descriptor(version, names::COPIES[0]), what));
                }
                Version::Absent => {}
            }
        }
        self.check_wraps(&mut report).await?;
        Ok(report)
    }

    async fn mend_copies(&self, version: u64, bytes: &Bytes, report: &mut CheckReport) -> Result<()> {
        for copy in names::COPIES {
            let object = names::descriptor(version, copy);
            let stored = self.read(object.clone()).await?;
            if stored.bytes() == Some(bytes) {
                continue;
            }
            let name = name(object.clone())?;
            if stored.is_there() {
                self.store.delete(&name).await.map_err(Fault::from)?;
            }
            self.store.put(&name, bytes.clone()).await.map_err(Fault::from)?;
            report.mended.push(object);
        }
        Ok(())
    }

    async fn check_wraps(&self, report: &mut CheckReport) -> Result<()> {
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
        Ok(())
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

/// The answer where the newest version cannot be opened.
fn refused(version: u64, error: Error) -> Error {
    let hint = if error.kind() == ErrorKind::Invalid {
        "a newer program wrote it: use that one".to_owned()
    } else {
        let [a, b] = names::COPIES.map(|copy| names::descriptor(version, copy));
        format!(
            "put '{a}' or '{b}' back from a copy of the vault; without one, moving both away lets the version before it count \
             again, which does not know what came with this one"
        )
    };
    let message = format!("no copy of version {version} of the vault's descriptor can be trusted");
    Error::new(error.kind(), message).with_hint(hint).with_source(error)
}

/// What is behind an error, or itself.
fn cause(error: &Error) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string)
}

fn name(name: String) -> Result<ObjectName> {
    Ok(ObjectName::new(name).map_err(Fault::from)?)
}

#[cfg(test)]
mod tests {
    use super::super::samples::signed;
    use super::*;
    use storage::MemoryStore;
    use testkit::FaultyStore;

    /// A vault that has had so many versions.
    async fn versions(count: u64) -> (FaultyStore, Descriptors) {
        let store = FaultyStore::new(Arc::new(MemoryStore::new()), 1);
        let descriptors = Descriptors::new(Arc::new(store.clone()));
        for version in 1..=count {
            let (descriptor, bytes) = signed(version);
            descriptors.put(&descriptor, &bytes).await.unwrap();
        }
        (store, descriptors)
    }

    fn copies(version: u64) -> [ObjectName; 2] {
        names::COPIES.map(|copy| name(names::descriptor(version, copy)).unwrap())
    }

    #[tokio::test]
    async fn the_second_copy_serves_where_the_first_cannot_be_read_and_mends_it() {
        let (store, descriptors) = versions(2).await;
        store.make_unreadable(&copies(2)[0], 0..1);
        assert_eq!(descriptors.newest(None).await.unwrap().0.version, 2);
        let report = descriptors.check(&signed(2).0.owner).await.unwrap();
        assert_eq!(report.mended, [names::descriptor(2, names::COPIES[0])]);
        assert!(store.get(&copies(2)[0], None).await.is_ok());
    }

    #[tokio::test]
    async fn an_older_descriptor_does_not_take_the_place_of_one_that_cannot_be_opened() {
        let (store, descriptors) = versions(2).await;
        store.corrupt(&copies(2)[0], 20, 1).await.unwrap();
        store.make_unreadable(&copies(2)[1], 0..1);
        let error = descriptors.newest(None).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        assert!(error.to_string().contains("version 2") && error.hint().unwrap().contains("put"), "{error:?}");
        let report = descriptors.check(&signed(2).0.owner).await.unwrap();
        assert_eq!(report.damaged_objects.len(), 1, "{report:?}");
        assert!(report.mended.is_empty());
        for copy in copies(2) {
            store.lose(&copy).await.unwrap();
        }
        assert_eq!(descriptors.newest(None).await.unwrap().0.version, 1, "somebody decided that it counts again");
    }

    #[tokio::test]
    async fn a_descriptor_of_a_newer_program_is_refused_as_such() {
        let (store, descriptors) = versions(1).await;
        let mut newer = signed(2).1.to_vec();
        newer[7] = 2;
        for copy in copies(2) {
            store.put(&copy, newer.clone().into()).await.unwrap();
        }
        let error = descriptors.newest(None).await.unwrap_err();
        assert!(error.hint().unwrap().contains("newer program"), "{error:?}");
    }
}
