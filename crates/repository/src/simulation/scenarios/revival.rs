//! Sessions that another process takes over, as a service does with those of the one before it.

use super::stage::{Stage, tree};
use super::{Scenario, ensure, nothing, scenario};
use crate::Repository;
use crate::fault::Fault;
use contract::{Error, Result};
use format::blob::BlobKind;

pub(super) const SCENARIOS: &[Scenario] =
    &[scenario("a session that is revived", nothing, |stage| Box::pin(take_sessions_over(stage)), nothing)];

/// Its packs lie in a segment with those of another session; some came after that.
async fn take_sessions_over(stage: &Stage) -> Result<()> {
    let (own, others) = (stage.own(), stage.others());
    let part = tree(&[&[&[0, 1], &[2], &[3], &[4], &[5]]]);
    let whole = tree(&[&[&[0, 1], &[2], &[3], &[4], &[5]], &[&[6]]]);
    let beside = tree(&[&[&[20], &[21]]]);
    let mut session = stage.session(&others, 0).await?;
    session.send_missing(&stage.graph(&part)).await?;
    let mut another = stage.session(&others, 1).await?;
    another.send_missing(&stage.graph(&beside)).await?;
    others.inner.merge_for_marking().await.map_err(Error::from)?;
    // One pack at a time, so that some are left that no merge took.
    let more = session.missing(&stage.graph(&tree(&[&[&[6, 7]]]))).await?;
    for blob in more.into_values().filter(|blob| blob.kind == BlobKind::Data) {
        if unmerged(&others).await? == 0 {
            session.send(vec![blob]).await?;
        }
    }

    own.inner.revive_sessions().await.map_err(Error::from)?;
    let (before, after) = (others.inner.view(session.session)?, own.inner.view(session.session)?);
    ensure(before.own_tables().packs() == after.own_tables().packs(), "it has all its packs")?;
    let page = stage.graph(&beside).root;
    ensure(!after.visible(&[page])[0], "and sees no page of the other session that shares the segment")?;
    let tails = after.own_tails().len();
    let unmerged = unmerged(&own).await?;
    ensure(tails <= unmerged && unmerged > 0, format!("what lies in the segment is looked up there: {tails}, {unmerged}"))?;

    session.repository = &own;
    another.repository = &own;
    stage.finish(&mut session, &whole).await?;
    stage.finish(&mut another, &beside).await.map(drop)
}

/// Packs that lie in no segment yet.
async fn unmerged(repository: &Repository) -> Result<usize> {
    let inner = &repository.inner;
    let tails = inner.ledger.snapshot().await.map_err(Fault::from)?.tails(inner.domain).await;
    Ok(tails.map_err(Fault::from)?.len())
}
