//! Packs and the blobs in them.

use super::domain;
use crate::app::App;
use crate::app::budget;
use crate::app::work::to_the_end;
use crate::http::access::Caller;
use crate::http::answer::{Answer, json, nothing, octets, pieces};
use crate::http::body::{Json, Octets, PackBody};
use crate::http::failure::Failure;
use crate::http::segments::Segments;
use api::limits::{IDS_MAX, RANGES_MAX};
use api::{PackNames, PackNamesRequest, binary};
use axum::Extension;
use axum::extract::State;
use format::limits::PACK_BYTES_MAX;
use std::sync::Arc;

const IDS_BYTES: usize = IDS_MAX * 32;
const RANGES_BYTES: usize = RANGES_MAX * 16;
const COPIES_BYTES: usize = IDS_MAX * 48;

pub(crate) async fn issue(State(app): State<Arc<App>>, segments: Segments, Json(request): Json<PackNamesRequest>) -> Answer {
    app.reserve.room_for(0)?;
    let domain = domain(&app, &segments).await?;
    json(&PackNames { packs: domain.issue_packs(segments.parse("session")?, request.count).await? })
}

pub(crate) async fn put(State(app): State<Arc<App>>, segments: Segments, PackBody(bytes, room): PackBody) -> Answer {
    let (session, pack) = (segments.parse("session")?, segments.parse("pack")?);
    let domain = domain(&app, &segments).await?;
    to_the_end(async move {
        let _room = room;
        domain.put_pack(session, pack, bytes).await
    })
    .await?;
    nothing()
}

pub(crate) async fn missing(State(app): State<Arc<App>>, segments: Segments, Octets(ids): Octets<IDS_BYTES>) -> Answer {
    let domain = domain(&app, &segments).await?;
    let missing = domain.missing(segments.parse("session")?, &binary::read_ids(&ids)?).await?;
    octets(binary::write_bits(&missing))
}

pub(crate) async fn locate(State(app): State<Arc<App>>, segments: Segments, Octets(ids): Octets<IDS_BYTES>) -> Answer {
    let domain = domain(&app, &segments).await?;
    let places = domain.locate(segments.parse("session")?, &binary::read_ids(&ids)?).await?;
    octets(binary::write_places(&places))
}

pub(crate) async fn read(
    State(app): State<Arc<App>>,
    segments: Segments,
    Extension(Caller { scope, .. }): Extension<Caller>,
    Octets(body): Octets<RANGES_BYTES>,
) -> Answer {
    let ranges = binary::read_ranges(&body)?;
    let bytes = ranges.iter().try_fold(0_u64, |sum, range| sum.checked_add(range.end - range.start));
    let bytes = bytes.filter(|bytes| *bytes <= PACK_BYTES_MAX as u64);
    let bytes = bytes.ok_or_else(|| Failure::invalid(format!("at most {PACK_BYTES_MAX} bytes are read at once")))?;
    let pack = segments.parse("pack")?;
    let domain = domain(&app, &segments).await?;
    let lent = app.packs_out.lend(scope.into(), bytes.div_ceil(1024), budget::PATIENCE).await;
    let lent = lent.ok_or_else(|| Failure::busy("too many packs are under way"))?;
    let parts = domain.read_pack(pack, &ranges).await?;
    app.metrics.packs_out(bytes);
    pieces(parts, lent)
}

pub(crate) async fn footer(State(app): State<Arc<App>>, segments: Segments) -> Answer {
    octets(domain(&app, &segments).await?.read_footer(segments.parse("pack")?).await?)
}

pub(crate) async fn key(State(app): State<Arc<App>>, segments: Segments) -> Answer {
    octets(domain(&app, &segments).await?.key_object(segments.parse("key")?).await?)
}

pub(crate) async fn report_unreadable(
    State(app): State<Arc<App>>,
    segments: Segments,
    Octets(body): Octets<COPIES_BYTES>,
) -> Answer {
    let copies = binary::read_copies(&body)?;
    app.reserve.room_for(0)?;
    domain(&app, &segments).await?.report_unreadable(&copies).await?;
    nothing()
}
