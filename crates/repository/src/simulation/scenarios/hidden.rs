//! Pages that some see and others must not: where a page is there although what it names may go.

use super::stage::{Stage, tree};
use super::{Scenario, ensure, nothing, scenario};
use contract::Domain;
use format::record::RecordKind;

pub(super) const SCENARIOS: &[Scenario] = &[
    scenario("a page kept by a point that is purged meanwhile", nothing, |stage| Box::pin(purged_meanwhile(stage)), nothing),
    scenario("a page of a checkpoint that was dropped", nothing, |stage| Box::pin(dropped_checkpoint(stage)), nothing),
    scenario("a page that its point does not reach", nothing, |stage| Box::pin(unreached_page(stage)), nothing),
];

/// What many points share is not what is asked about here.
const OLD: u64 = 30;

/// A leaf's page outlives what it names, unless the second mark remembers points that were purged since the first.
async fn purged_meanwhile(stage: &Stage) -> contract::Result<()> {
    let (own, others) = (stage.own(), stage.others());
    let old = stage.back_up(&others, 0, &tree(&[&[&[OLD]]])).await?;
    let mut writer = stage.session(&others, 1).await?;
    stage.purge(&own, old).await?;
    stage.collect(&own).await?;
    // Its leaf is new, the old chunk is condemned by now; nobody but this session sees it.
    let kept = tree(&[&[&[OLD, 31]]]);
    let point = stage.finish(&mut writer, &kept).await?;
    stage.condemn_only(&own).await?;
    stage.purge(&own, point).await?;
    let mut later = stage.session(&others, 0).await?;
    stage.collect(&own).await?;
    stage.finish(&mut later, &tree(&[&[&[OLD, 31]], &[&[32]]])).await?;
    stage.collect(&own).await.map(drop)
}

/// A checkpoint's page names an old chunk. The checkpoint is dropped by another session's point, and its own session ends.
async fn dropped_checkpoint(stage: &Stage) -> contract::Result<()> {
    let (own, others) = (stage.own(), stage.others());
    let old = stage.back_up(&others, 1, &tree(&[&[&[OLD]]])).await?;
    let mut long = stage.session(&others, 0).await?;
    let part = stage.graph(&tree(&[&[&[OLD, 33]]]));
    long.send_missing(&part).await?;
    long.commit(part.root, RecordKind::Checkpoint).await?;
    stage.back_up(&others, 0, &tree(&[&[&[34]]])).await?;
    stage.purge(&own, old).await?;
    others.abandon_session(long.session).await?;
    stage.collect(&own).await?;
    stage.back_up(&others, 1, &tree(&[&[&[OLD, 33]], &[&[35]]])).await?;
    stage.collect(&own).await?;
    stage.collect(&own).await.map(drop)
}

/// A session sends a page that names an old chunk, and in the end its point does not need that page.
async fn unreached_page(stage: &Stage) -> contract::Result<()> {
    let (own, others) = (stage.own(), stage.others());
    let old = stage.back_up(&others, 1, &tree(&[&[&[OLD]]])).await?;
    let mut session = stage.session(&others, 0).await?;
    stage.purge(&own, old).await?;
    stage.collect(&own).await?;
    session.send_missing(&stage.graph(&tree(&[&[&[OLD, 36]]]))).await?;
    stage.finish(&mut session, &tree(&[&[&[37]]])).await?;
    let mut later = stage.session(&others, 1).await?;
    stage.collect(&own).await?;
    let wanted = tree(&[&[&[OLD, 36]], &[&[38]]]);
    ensure(later.missing(&stage.graph(&wanted)).await?.len() >= 4, "nobody sees the page that no point needed")?;
    stage.finish(&mut later, &wanted).await?;
    stage.collect(&own).await?;
    stage.collect(&own).await.map(drop)
}
