//! The contract's `Domain`, asked of a service.

use super::connection::{Call, Connection, LONG};
use super::readers::Readers;
use crate::binary;
use crate::limits::PLACES_BYTES_MAX;
use crate::paging::PointsQuery;
use crate::points::{ItemEnd, PointIds, PointList};
use crate::reports::{CheckRequest, CollectRequest, CollectResult, Soundness, Standing};
use crate::sessions::{
    CommittedPoint, KeyStored, PackNames, PackNamesRequest, ReaderOpened, ReaderRequest, SessionRequest, SessionStarted,
};
use async_trait::async_trait;
use bytes::Bytes;
use contract::{
    CheckOptions, CheckReport, CollectOptions, CollectReport, Committed, Domain, DomainStatus, Error, ErrorKind, ItemHead,
    Location, OpenSession, PointFilter, PointInfo, ProgressSink, Result, SessionOpened,
};
use format::{BlobId, DomainId, ItemName, KeyId, PackName, PointId, SessionId, limits};
use reqwest::Method;
use std::ops::Range;
use std::sync::Arc;

/// How often a list of points is begun anew because a point in it went while it was read.
const LIST_TRIES: usize = 3;

/// A domain behind a service.
pub(super) struct ServiceDomain {
    connection: Arc<Connection>,
    domain: DomainId,
    readers: Readers,
}

impl ServiceDomain {
    pub(super) fn new(connection: Arc<Connection>, domain: DomainId) -> Self {
        Self { connection, domain, readers: Readers::default() }
    }

    fn path(&self, rest: &str) -> String {
        format!("/v1/domains/{}/{rest}", self.domain)
    }

    async fn commit_as(&self, session: SessionId, kind: &str, record: Bytes) -> Result<Committed> {
        let call = Call::post(self.path(&format!("sessions/{session}/{kind}"))).bytes(record).again().within(LONG);
        Ok(self.connection.send_json::<CommittedPoint>(call).await?.into())
    }

    async fn change(&self, change: &str, points: &[PointId]) -> Result<()> {
        let call = Call::post(self.path(&format!("points/{change}"))).json(&PointIds { points: points.to_vec() })?;
        // Purged twice would be answered as not found.
        let call = if change == "purge" { call.once().within(LONG) } else { call.again() };
        self.connection.send(call).await.map(drop)
    }

    /// All pages of a list; none if a point in it went meanwhile.
    async fn list(&self, filter: &PointFilter) -> Result<Option<Vec<PointInfo>>> {
        let mut points: Vec<PointInfo> = Vec::new();
        loop {
            let query = PointsQuery {
                item: filter.item.clone(),
                deleted: filter.deleted,
                after: points.last().map(|point| point.id),
                limit: None,
            };
            let page = self.connection.send_json::<PointList>(Call::get(self.path(&format!("points?{}", query_text(&query)))));
            let page = match page.await {
                Ok(page) => page,
                Err(error) if error.kind() == ErrorKind::Conflict && query.after.is_some() => return Ok(None),
                Err(error) => return Err(error),
            };
            let more = page.more && !page.points.is_empty();
            points.extend(page.points.into_iter().map(PointInfo::from));
            if !more {
                return Ok(Some(points));
            }
        }
    }
}

fn query_text(query: &PointsQuery) -> String {
    let item = query.item.as_ref().map(|item| format!("&item={item}")).unwrap_or_default();
    let after = query.after.map(|after| format!("&after={after}")).unwrap_or_default();
    format!("deleted={}{item}{after}", query.deleted)
}

#[async_trait]
impl Domain for ServiceDomain {
    fn id(&self) -> DomainId {
        self.domain
    }

    async fn open_session(&self, request: OpenSession) -> Result<SessionOpened> {
        let body = SessionRequest { item: request.item, agent: request.agent };
        // One whose answer got lost ends with its lease, and holds nobody up meanwhile.
        let call = Call::post(self.path("sessions")).json(&body)?.again();
        let started: SessionStarted = self.connection.send_json(call).await?;
        Ok(SessionOpened {
            session: started.session,
            head: started.head.map(ItemHead::from),
            base: started.base.map(PointInfo::from),
            damaged: started.damaged.as_chunks::<32>().0.iter().map(|id| BlobId(*id)).collect(),
        })
    }

    async fn renew_session(&self, session: SessionId) -> Result<()> {
        self.connection.send(Call::new(Method::PUT, self.path(&format!("sessions/{session}/lease")))).await.map(drop)
    }

    async fn put_key(&self, session: SessionId, key_object: Bytes) -> Result<KeyId> {
        let call = Call::new(Method::PUT, self.path(&format!("sessions/{session}/key"))).bytes(key_object);
        Ok(self.connection.send_json::<KeyStored>(call).await?.key)
    }

    async fn issue_packs(&self, session: SessionId, count: u32) -> Result<Vec<PackName>> {
        // Names that nobody hears of are never used: asking twice does no harm.
        let call = Call::post(self.path(&format!("sessions/{session}/pack-names"))).json(&PackNamesRequest { count })?.again();
        Ok(self.connection.send_json::<PackNames>(call).await?.packs)
    }

    async fn put_pack(&self, session: SessionId, name: PackName, pack: Bytes) -> Result<()> {
        let call = Call::new(Method::PUT, self.path(&format!("sessions/{session}/packs/{name}"))).bytes(pack).heavy();
        self.connection.send(call).await.map(drop)
    }

    async fn missing(&self, session: SessionId, ids: &[BlobId]) -> Result<Vec<bool>> {
        let call = Call::post(self.path(&format!("sessions/{session}/missing"))).bytes(binary::write_ids(ids)).again();
        Ok(binary::read_bits(&self.connection.send(call).await?, ids.len())?)
    }

    async fn commit(&self, session: SessionId, record: Bytes) -> Result<Committed> {
        self.commit_as(session, &format!("point?{}", self.connection.told().to_text()), record).await
    }

    async fn head(&self, item: &ItemName) -> Result<Option<ItemHead>> {
        let call = Call::get(self.path(&format!("items/{item}/head")));
        let end: Option<ItemEnd> = self.connection.send_json(call).await?;
        Ok(end.map(ItemHead::from))
    }

    async fn checkpoint(&self, session: SessionId, record: Bytes) -> Result<Committed> {
        self.commit_as(session, "checkpoint", record).await
    }

    async fn abandon_session(&self, session: SessionId) -> Result<()> {
        self.connection.send(Call::new(Method::DELETE, self.path(&format!("sessions/{session}")))).await.map(drop)
    }

    async fn points(&self, filter: PointFilter) -> Result<Vec<PointInfo>> {
        for _ in 0..LIST_TRIES {
            if let Some(points) = self.list(&filter).await? {
                return Ok(points);
            }
        }
        Err(Error::new(ErrorKind::Conflict, "points went while they were listed").with_hint("run the command again"))
    }

    async fn open_reader(&self, point: PointId) -> Result<SessionId> {
        let call = Call::post(self.path("readers")).json(&ReaderRequest { point })?.again();
        let opened: ReaderOpened = self.connection.send_json(call).await?;
        self.readers.keep(&self.connection, self.path(&format!("readers/{}/lease", opened.session)), opened);
        Ok(opened.session)
    }

    async fn close_reader(&self, session: SessionId) -> Result<()> {
        self.readers.stop(session);
        self.connection.send(Call::new(Method::DELETE, self.path(&format!("readers/{session}")))).await.map(drop)
    }

    async fn locate(&self, session: SessionId, ids: &[BlobId]) -> Result<Vec<Vec<Location>>> {
        let call = Call::post(self.path(&format!("sessions/{session}/places"))).bytes(binary::write_ids(ids)).again();
        let bytes = self.connection.send(call.answer_max(PLACES_BYTES_MAX)).await?;
        Ok(binary::read_places(&bytes, ids.len())?)
    }

    async fn read_pack(&self, pack: PackName, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let expected: u64 = ranges.iter().map(|range| range.end.saturating_sub(range.start)).sum();
        let call = Call::post(self.path(&format!("packs/{pack}/ranges"))).bytes(binary::write_ranges(ranges)).again().heavy();
        let mut bytes = self.connection.send(call.answer_max(limits::PACK_BYTES_MAX)).await?;
        if bytes.len() as u64 != expected {
            return Err(Error::new(ErrorKind::Internal, "the vault service answered another number of bytes"));
        }
        Ok(ranges.iter().map(|range| bytes.split_to(range.end.saturating_sub(range.start) as usize)).collect())
    }

    async fn read_footer(&self, pack: PackName) -> Result<Bytes> {
        let call = Call::get(self.path(&format!("packs/{pack}/footer"))).heavy();
        self.connection.send(call.answer_max(limits::FOOTER_BYTES_MAX)).await
    }

    async fn key_object(&self, key: KeyId) -> Result<Bytes> {
        let call = Call::get(self.path(&format!("keys/{key}")));
        self.connection.send(call.answer_max(limits::KEY_OBJECT_BYTES_MAX)).await
    }

    async fn report_unreadable(&self, copies: &[(PackName, BlobId)]) -> Result<()> {
        let call = Call::post(self.path("unreadable")).bytes(binary::write_copies(copies)).again();
        self.connection.send(call).await.map(drop)
    }

    async fn expire(&self, points: &[PointId]) -> Result<()> {
        self.change("expire", points).await
    }

    async fn undelete(&self, points: &[PointId]) -> Result<()> {
        self.change("undelete", points).await
    }

    async fn purge(&self, points: &[PointId]) -> Result<()> {
        self.change("purge", points).await
    }

    async fn collect(&self, options: CollectOptions, progress: ProgressSink) -> Result<CollectReport> {
        let body = CollectRequest { repack_dead_percent: options.repack_dead_percent };
        let call = Call::post(self.path("collections")).json(&body)?;
        Ok(self.connection.follow::<CollectResult>(call, &progress).await?.into())
    }

    async fn check(&self, options: CheckOptions, progress: ProgressSink) -> Result<CheckReport> {
        let call = Call::post(self.path("checks")).json(&CheckRequest::from(options))?;
        Ok(self.connection.follow::<Soundness>(call, &progress).await?.into())
    }

    async fn status(&self) -> Result<DomainStatus> {
        Ok(self.connection.send_json::<Standing>(Call::get(self.path("status"))).await?.into())
    }
}
