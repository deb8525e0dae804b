//! An object of which there is a second copy, as it was found: what storage cannot read is looked for there.

use crate::fault::{Fault, Outcome};
use crate::repository::Inner;
use bytes::Bytes;
use format::pack::{Checksum, FooterEntry};
use storage::{ErrorKind, ObjectName, ObjectStore};

/// What storage answers for an object.
pub(crate) enum Stored {
    /// There is none.
    Absent,
    /// It is there, and its bytes cannot be read. They may be again some day.
    Unreadable,
    /// Its bytes.
    Whole(Bytes),
}

impl Stored {
    /// The bytes, if there are any.
    pub(crate) fn bytes(&self) -> Option<&Bytes> {
        match self {
            Self::Whole(bytes) => Some(bytes),
            Self::Absent | Self::Unreadable => None,
        }
    }

    pub(crate) fn into_bytes(self) -> Option<Bytes> {
        match self {
            Self::Whole(bytes) => Some(bytes),
            Self::Absent | Self::Unreadable => None,
        }
    }

    pub(crate) fn is_there(&self) -> bool {
        !matches!(self, Self::Absent)
    }

    pub(crate) fn is_unreadable(&self) -> bool {
        matches!(self, Self::Unreadable)
    }
}

/// Reads an object. Only that storage as a whole fails is an error.
pub(crate) async fn read_stored(store: &dyn ObjectStore, name: &ObjectName) -> Outcome<Stored> {
    match store.get(name, None).await {
        Ok(bytes) => Ok(Stored::Whole(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Stored::Absent),
        Err(error) if error.kind() == ErrorKind::Damaged => Ok(Stored::Unreadable),
        Err(error) => Err(error.into()),
    }
}

/// A copy of a blob, as it was found in its pack.
pub(crate) enum StoredCopy {
    /// As its checksum says.
    Sound(Bytes),
    /// Other bytes, or none.
    Wrong,
    /// Its bytes cannot be read.
    Unreadable,
}

impl Inner {
    pub(crate) async fn read_stored(&self, name: &str) -> Outcome<Stored> {
        read_stored(self.store.as_ref(), &self.object(name.to_owned())?).await
    }

    /// A pack at once; none if storage cannot read all of it, so that its blobs must be read one by one.
    pub(crate) async fn read_whole(&self, pack: &ObjectName) -> Outcome<Option<Bytes>> {
        match self.store.get(pack, None).await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == ErrorKind::Damaged => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// One copy: from the whole pack where there is that.
    pub(crate) async fn read_copy(&self, pack: &ObjectName, whole: Option<&Bytes>, entry: &FooterEntry) -> Outcome<StoredCopy> {
        let range = entry.range();
        let sealed = match whole {
            Some(bytes) => (range.end <= bytes.len() as u64).then(|| bytes.slice(range.start as usize..range.end as usize)),
            None => match self.store.get(pack, Some(range)).await {
                Ok(sealed) => Some(sealed),
                Err(error) if error.kind() == ErrorKind::Damaged => return Ok(StoredCopy::Unreadable),
                // The pack ends before.
                Err(error) if error.kind() == ErrorKind::Invalid => None,
                Err(error) => return Err(Fault::from(error)),
            },
        };
        let sound = sealed.filter(|sealed| Checksum::of(sealed) == entry.checksum);
        Ok(sound.map_or(StoredCopy::Wrong, StoredCopy::Sound))
    }
}
