//! Points after their commit: listed, soft-deleted, purged.

use crate::fault::{Fault, Outcome};
use crate::ledger::{JournalRow, PointRow, PointRowState};
use crate::repository::Inner;
use crate::sessions::point_info;
use crate::{Sabotage, sabotaged};
use contract::{ErrorKind, PointFilter, PointInfo, PointState};
use format::PointId;
use format::journal::Payload;
use format::limits::DELETION_NAMES_MAX;
use format::record::RecordKind;

impl Inner {
    pub(crate) async fn points(&self, filter: &PointFilter) -> Outcome<Vec<PointInfo>> {
        let mut transaction = self.ledger.snapshot().await?;
        let rows = match &filter.item {
            Some(item) => transaction.points_of_item(self.domain, item).await?,
            None => transaction.points(self.domain).await?,
        };
        let listed = rows.iter().filter(|row| row.kind == RecordKind::Point).filter_map(|row| match row.state {
            PointRowState::Committed => Some(point_info(row, PointState::Committed)),
            PointRowState::SoftDeleted if filter.deleted => Some(point_info(row, PointState::SoftDeleted)),
            _ => None,
        });
        Ok(listed.collect())
    }

    /// Moves points between the listed and the soft-deleted state.
    pub(crate) async fn set_deleted(&self, points: &[PointId], deleted: bool) -> Outcome<()> {
        let mut transaction = self.ledger.begin().await?;
        let domain = self.domain_row(transaction.as_mut()).await?;
        for id in points {
            let row = transaction.point(self.domain, *id).await?;
            let mut row = existing_point(row, *id)?;
            row.state = if deleted { PointRowState::SoftDeleted } else { PointRowState::Committed };
            transaction.put_point(&row).await?;
        }
        transaction.commit().await?;
        self.fence(domain.incarnation).await
    }

    /// Purges points: the tombstone is durable first.
    pub(crate) async fn purge(&self, points: &[PointId]) -> Outcome<()> {
        if points.is_empty() {
            return Ok(());
        }
        if points.len() > DELETION_NAMES_MAX {
            return Err(Fault::answer(ErrorKind::Invalid, format!("at most {DELETION_NAMES_MAX} points are purged at once")));
        }
        let mut transaction = self.ledger.begin().await?;
        let mut domain = self.domain_row(transaction.as_mut()).await?;
        for id in points {
            let row = transaction.point(self.domain, *id).await?;
            // What was set aside can be given up too.
            if row.as_ref().is_none_or(|row| row.state != PointRowState::SetAside) {
                existing_point(row, *id)?;
            }
        }
        let payload = Payload::Tombstone { points: points.to_vec() };
        let entry = self.enter(transaction.as_mut(), &mut domain, self.environment.clock.now_ms(), payload).await?;
        transaction.commit().await?;
        if !sabotaged(Sabotage::PurgeWithoutTombstone) {
            self.make_durable(&entry).await?;
        }
        self.conclude(&entry).await
    }

    /// The tombstone is durable: the points are purged.
    pub(crate) async fn conclude_tombstone(&self, entry: &JournalRow, points: &[PointId]) -> Outcome<()> {
        let mut transaction = self.ledger.begin().await?;
        if self.finish_entry(transaction.as_mut(), entry.number).await? {
            let domain = self.domain_row(transaction.as_mut()).await?;
            for id in points {
                let Some(row) = transaction.point(self.domain, *id).await? else { continue };
                // Purged by somebody else before: what it held may be swept already, so it must not count as a root of now.
                if row.state == PointRowState::Purged && !sabotaged(Sabotage::SecondPurgeRevives) {
                    continue;
                }
                let row = PointRow { state: PointRowState::Purged, purged_at: Some(domain.marking), ..row };
                transaction.put_point(&row).await?;
            }
        }
        transaction.commit().await?;
        Ok(())
    }
}

fn existing_point(row: Option<PointRow>, id: PointId) -> Outcome<PointRow> {
    row.filter(|row| row.kind == RecordKind::Point && matches!(row.state, PointRowState::Committed | PointRowState::SoftDeleted))
        .ok_or_else(|| Fault::answer(ErrorKind::NotFound, format!("there is no point {id}")))
}
