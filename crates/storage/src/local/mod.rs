//! Objects as files in a directory: [`LocalStore`].
//!
//! An object's name is its path below the store's directory. Beside the objects there is `.tmp`, where they are written first.
//! What is no object of ours (names that none can have, symbolic links, devices) is neither listed nor read. Several
//! processes may use one store at once.

mod direct;
mod directories;
mod disk;
mod file_system;
mod list;
mod read;
mod root;
mod temporary;
#[cfg(test)]
mod tests;
mod write;

pub use file_system::is_network_file_system;

use crate::error::{ErrorKind, Result, StorageError};
use crate::name::ObjectName;
use crate::store::{ObjectInfo, ObjectStore, PutOutcome};
use async_trait::async_trait;
use bytes::Bytes;
use direct::Seen;
use disk::Disk;
use root::Root;
use std::fs::{self, DirBuilder};
use std::io;
use std::ops::Range;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use system::Buffers;
use write::Writer;

/// Buffers of what is read are used again within this many bytes.
const BUFFER_BYTES: usize = 24 << 20;

/// A store in a directory of a local file system. Its methods, opening included, need a tokio runtime: they block in threads of
/// their own.
///
/// What a process killed within a put left behind is neither an object nor in the way, and is removed when the next one opens
/// the store.
pub struct LocalStore {
    inner: Arc<Inner>,
}

struct Inner {
    root: Root,
    writer: Writer,
    buffers: Arc<Buffers>,
    seen: Seen,
}

impl LocalStore {
    /// Opens the store in a directory that is there. Reading needs no permission to write.
    pub async fn open(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        let shown = path.display().to_string();
        blocking("open", &shown, move || open(&path, Writer::default())).await
    }

    /// Opens the store in a directory, making it, for its owner only, and those above it, if they are not there.
    pub async fn create(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        let shown = path.display().to_string();
        blocking("create", &shown, move || {
            let writer = Writer::default();
            make_root(&writer.disk, &path).map_err(|error| StorageError::from_io("create", path.to_string_lossy(), error))?;
            open(&path, writer)
        })
        .await
    }

    /// The directory, as an absolute path.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.inner.root.path()
    }

    async fn run<T, W>(&self, doing: &'static str, object: &str, work: W) -> Result<T>
    where
        T: Send + 'static,
        W: FnOnce(&Inner) -> Result<T> + Send + 'static,
    {
        let inner = Arc::clone(&self.inner);
        blocking(doing, object, move || work(&inner)).await
    }
}

#[async_trait]
impl ObjectStore for LocalStore {
    async fn put(&self, name: &ObjectName, bytes: Bytes) -> Result<PutOutcome> {
        let owned = name.clone();
        self.run("write", name.as_str(), move |inner| inner.writer.put(&inner.root, &owned, &bytes)).await
    }

    async fn get(&self, name: &ObjectName, range: Option<Range<u64>>) -> Result<Bytes> {
        let owned = name.clone();
        self.run("read", name.as_str(), move |inner| read::get(inner, &owned, range)).await
    }

    async fn get_ranges(&self, name: &ObjectName, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let (owned, ranges) = (name.clone(), ranges.to_vec());
        self.run("read", name.as_str(), move |inner| read::get_ranges(inner, &owned, &ranges)).await
    }

    async fn length(&self, name: &ObjectName) -> Result<u64> {
        let owned = name.clone();
        self.run("read", name.as_str(), move |inner| read::length(&inner.root, &owned)).await
    }

    async fn list(&self, prefix: &str, after: Option<&ObjectName>, limit: usize) -> Result<Vec<ObjectInfo>> {
        let (owned, after) = (prefix.to_owned(), after.cloned());
        self.run("list", prefix, move |inner| list::list(&inner.root, &owned, after.as_ref(), limit)).await
    }

    async fn delete(&self, name: &ObjectName) -> Result<()> {
        let owned = name.clone();
        self.run("delete", name.as_str(), move |inner| inner.writer.delete(&inner.root, &owned)).await
    }
}

fn open(path: &Path, writer: Writer) -> Result<LocalStore> {
    let root = Root::open(path).map_err(|error| StorageError::from_io("open", path.to_string_lossy(), error))?;
    // Fails on media that cannot be written and for users who may only read; what is left over is in nobody's way.
    let _ = temporary::clear_leftovers(&writer.disk, &root);
    Ok(LocalStore { inner: Arc::new(Inner { root, writer, buffers: Buffers::new(BUFFER_BYTES), seen: Seen::default() }) })
}

/// Makes a directory and those above it, durably.
fn make_root(disk: &Disk, path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    let path = fs::canonicalize(path)?;
    let device = fs::metadata(&path)?.dev();
    // Those that were there too: an earlier try may have died before this.
    for above in path.ancestors().skip(1) {
        if fs::metadata(above)?.dev() != device {
            break;
        }
        match disk.sync_directory(above) {
            // Not ours to read, so not ours to have made.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
            other => other?,
        }
    }
    Ok(())
}

/// Runs what blocks where it may.
async fn blocking<T: Send + 'static>(
    doing: &'static str,
    object: &str,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(answer) => answer,
        // The runtime shuts down, or the work panicked.
        Err(error) => Err(StorageError::new(ErrorKind::Unavailable, doing, object).because(error)),
    }
}
