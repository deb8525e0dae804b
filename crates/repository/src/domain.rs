//! The contract's `Domain`, answered by this repository.

use crate::repository::Repository;
use async_trait::async_trait;
use bytes::Bytes;
use contract::{
    CheckOptions, CheckReport, CollectOptions, CollectReport, Committed, Domain, DomainStatus, ItemHead, Location, OpenSession,
    PointFilter, PointInfo, ProgressSink, Result, SessionOpened,
};
use format::record::RecordKind;
use format::{BlobId, DomainId, ItemName, KeyId, PackName, PointId, SessionId};
use std::ops::Range;

#[async_trait]
impl Domain for Repository {
    fn id(&self) -> DomainId {
        self.inner.domain
    }

    async fn open_session(&self, request: OpenSession) -> Result<SessionOpened> {
        Ok(self.inner.open_session(request).await?)
    }

    async fn renew_session(&self, session: SessionId) -> Result<()> {
        Ok(self.inner.renew_session(session).await?)
    }

    async fn put_key(&self, session: SessionId, key_object: Bytes) -> Result<KeyId> {
        Ok(self.inner.put_key(session, key_object).await?)
    }

    async fn issue_packs(&self, session: SessionId, count: u32) -> Result<Vec<PackName>> {
        Ok(self.inner.issue_packs(session, count).await?)
    }

    async fn put_pack(&self, session: SessionId, name: PackName, pack: Bytes) -> Result<()> {
        Ok(self.inner.put_pack(session, name, pack).await?)
    }

    async fn missing(&self, session: SessionId, ids: &[BlobId]) -> Result<Vec<bool>> {
        Ok(self.inner.missing(session, ids)?)
    }

    async fn commit(&self, session: SessionId, record: Bytes) -> Result<Committed> {
        Ok(self.inner.commit(session, record, RecordKind::Point).await?)
    }

    async fn head(&self, item: &ItemName) -> Result<Option<ItemHead>> {
        Ok(self.inner.head(item).await?)
    }

    async fn checkpoint(&self, session: SessionId, record: Bytes) -> Result<Committed> {
        Ok(self.inner.commit(session, record, RecordKind::Checkpoint).await?)
    }

    async fn abandon_session(&self, session: SessionId) -> Result<()> {
        Ok(self.inner.abandon_session(session).await?)
    }

    async fn points(&self, filter: PointFilter) -> Result<Vec<PointInfo>> {
        Ok(self.inner.points(&filter).await?)
    }

    async fn open_reader(&self, point: PointId) -> Result<SessionId> {
        Ok(self.inner.open_reader(point).await?)
    }

    async fn close_reader(&self, session: SessionId) -> Result<()> {
        Ok(self.inner.close_reader(session).await?)
    }

    async fn locate(&self, session: SessionId, ids: &[BlobId]) -> Result<Vec<Vec<Location>>> {
        Ok(self.inner.locate(session, ids).await?)
    }

    async fn read_pack(&self, pack: PackName, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        Ok(self.inner.read_pack(pack, ranges).await?)
    }

    async fn read_footer(&self, pack: PackName) -> Result<Bytes> {
        Ok(self.inner.read_footer(pack).await?)
    }

    async fn key_object(&self, key: KeyId) -> Result<Bytes> {
        Ok(self.inner.key_object(key).await?)
    }

    async fn report_unreadable(&self, copies: &[(PackName, BlobId)]) -> Result<()> {
        Ok(self.inner.report_unreadable(copies).await?)
    }

    async fn expire(&self, points: &[PointId]) -> Result<()> {
        Ok(self.inner.set_deleted(points, true).await?)
    }

    async fn undelete(&self, points: &[PointId]) -> Result<()> {
        Ok(self.inner.set_deleted(points, false).await?)
    }

    async fn purge(&self, points: &[PointId]) -> Result<()> {
        Ok(self.inner.purge(points).await?)
    }

    async fn collect(&self, options: CollectOptions, progress: ProgressSink) -> Result<CollectReport> {
        Ok(self.inner.collect(&options, &progress).await?)
    }

    async fn check(&self, options: CheckOptions, progress: ProgressSink) -> Result<CheckReport> {
        Ok(self.inner.check(&options, &progress).await?)
    }

    async fn status(&self) -> Result<DomainStatus> {
        Ok(self.inner.status().await?)
    }
}
