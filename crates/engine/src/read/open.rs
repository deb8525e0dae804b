//! A point, verified and pinned, ready to be read.

use super::blobs::BlobReader;
use super::keys::{KeyRing, ReadKeys};
use super::pages::{PageReader, files_part};
use super::session::ReadSession;
use crate::call::Calls;
use crate::error::Result;
use crate::point::{VerifiedPoint, verify_whole_point};
use contract::PointInfo;
use format::descriptor::Descriptor;
use format::page::Part;
use std::sync::Arc;

/// A point that is being read; its read session ends when this is dropped.
pub(crate) struct OpenPoint {
    pub(crate) point: VerifiedPoint,
    pub(crate) blobs: Arc<BlobReader>,
    pub(crate) pages: Arc<PageReader>,
    _session: ReadSession,
}

impl OpenPoint {
    /// Opens a further point with the readers of this one, and what they keep: memory does not grow with the number of points.
    pub(crate) fn open_beside(&self, descriptor: &Descriptor, info: &PointInfo) -> Result<Self> {
        let calls = &self.blobs.calls;
        let point = verify_whole_point(descriptor, calls.domain.id(), info)?;
        let session = ReadSession::open(calls, point.id)?;
        Ok(Self { point, blobs: self.blobs.clone(), pages: self.pages.clone(), _session: session })
    }

    pub(crate) fn open(calls: &Calls, descriptor: &Descriptor, keys: &ReadKeys, info: &PointInfo) -> Result<Self> {
        let point = verify_whole_point(descriptor, calls.domain.id(), info)?;
        let session = ReadSession::open(calls, point.id)?;
        let ring = KeyRing::new(calls.clone(), keys.clone());
        let blobs = Arc::new(BlobReader::new(calls.clone(), session.id(), ring));
        let pages = Arc::new(PageReader::new(blobs.clone()));
        Ok(Self { point, blobs, pages, _session: session })
    }

    /// The part with the file set.
    pub(crate) fn files(&self) -> Result<Part> {
        files_part(&self.pages, self.point.root())
    }
}
