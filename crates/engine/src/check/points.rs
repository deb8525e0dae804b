//! The points of a check, opened one after the other.

use super::CheckRequest;
use crate::call::Calls;
use crate::error::{EngineError, ErrorKind, Result, chain};
use crate::read::OpenPoint;
use format::PointId;

/// Points that are checked.
pub(super) struct Points<'a> {
    request: &'a CheckRequest,
    /// Pinned until the check ends; the others are read with its readers, and what they keep.
    keeper: OpenPoint,
}

/// Points that cannot be trusted or not be read at all, with the reason.
pub(super) type Bad = Vec<(PointId, String)>;

impl<'a> Points<'a> {
    /// Fails with what is bad if there is none that can be opened.
    pub(super) fn open(request: &'a CheckRequest, calls: &Calls) -> Result<Result<Self, Bad>> {
        let mut bad = Bad::new();
        for info in &request.points {
            let opened = OpenPoint::open(calls, &request.descriptor, &request.keys, info);
            if let Some(keeper) = opened_or_bad(opened, info.id, &mut bad)? {
                return Ok(Ok(Self { request, keeper }));
            }
        }
        Ok(Err(bad))
    }

    pub(super) fn request(&self) -> &CheckRequest {
        self.request
    }

    /// One of them, open.
    pub(super) fn any(&self) -> &OpenPoint {
        &self.keeper
    }

    /// Opens each and gives it away: none is pinned for longer than it is looked at, however many there are. Answers how many
    /// were opened; purged ones are not.
    pub(super) fn each(&self, bad: &mut Bad, mut look: impl FnMut(&OpenPoint, &mut Bad) -> Result<()>) -> Result<u64> {
        let mut count = 0;
        for info in &self.request.points {
            self.request.cancel.check()?;
            let opened = self.keeper.open_beside(&self.request.descriptor, info);
            if let Some(point) = opened_or_bad(opened, info.id, bad)? {
                count += 1;
                look(&point, bad)?;
            }
        }
        Ok(count)
    }
}

/// Nothing for a point that was purged since it was listed.
fn opened_or_bad(opened: Result<OpenPoint>, id: PointId, bad: &mut Bad) -> Result<Option<OpenPoint>> {
    match opened {
        Ok(point) => Ok(Some(point)),
        Err(EngineError::Vault { source, .. }) if source.kind() == contract::ErrorKind::NotFound => Ok(None),
        Err(error) if error.kind() == ErrorKind::Corrupt => {
            bad.push((id, chain(&error)));
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
