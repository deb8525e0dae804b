//! Key objects that come back after a deletion list.

use super::damage::taint;
use super::stage::{Stage, tree};
use super::{Scenario, ensure, nothing, scenario};
use crate::fault::Fault;
use crate::simulation::identity::{IDENTITY, item};
use crate::simulation::walker::objects;
use bytes::Bytes;
use contract::{Domain, Error, ErrorKind, OpenSession, Result};
use format::journal::Payload;
use format::{names, pack};

pub(super) const SCENARIOS: &[Scenario] = &[
    scenario(
        "a key that was deleted is refused",
        |stage| Box::pin(one_point(stage)),
        |stage| Box::pin(use_deleted_key(stage)),
        nothing,
    ),
    scenario(
        "a key that came back is kept by a rebuild",
        |stage| Box::pin(list_key_in_use(stage)),
        |stage| Box::pin(rebuild_with_it(stage)),
        nothing,
    ),
];

async fn one_point(stage: &Stage) -> Result<()> {
    stage.back_up(&stage.others(), 0, &tree(&[&[&[0, 1], &[2]]])).await.map(drop)
}

fn keys(stage: &Stage) -> Vec<(String, Bytes)> {
    objects(&stage.world.memory, &names::keys(IDENTITY.domain))
}

async fn use_deleted_key(stage: &Stage) -> Result<()> {
    let own = stage.own();
    let before: Vec<String> = keys(stage).into_iter().map(|(name, _)| name).collect();
    let session = stage.session(&own, 0).await?.session;
    let object = keys(stage).into_iter().find(|(name, _)| !before.contains(name)).map(|(_, object)| object);
    let object = object.ok_or_else(|| Error::new(ErrorKind::Internal, "the session has a key"))?;
    own.abandon_session(session).await?;
    stage.collect(&own).await?;
    ensure(keys(stage).len() == before.len(), "nothing needs it any more")?;
    let opened = own.open_session(OpenSession { item: item(0), agent: IDENTITY.agent.key() }).await?;
    let again = own.put_key(opened.session, object).await;
    let refused = again.as_ref().is_err_and(|error| error.kind() == ErrorKind::Conflict && error.hint().is_some());
    ensure(refused, format!("whoever carries the list out late would delete it: {again:?}"))?;
    own.abandon_session(opened.session).await
}

/// The audits go by the rule that what a list names is gone.
fn excuse_what_is_sealed(stage: &Stage) -> Result<()> {
    for (_, bytes) in objects(&stage.world.memory, &names::packs(IDENTITY.domain)) {
        taint(stage, &pack::parse(&bytes)?);
    }
    let mut model = stage.world.model.borrow_mut();
    model.tainted.extend(keys(stage).iter().filter_map(|(name, _)| names::parse_key(name).ok()).map(|key| format!("key {key}")));
    Ok(())
}

/// As if the key had been on a list before its session used it.
async fn list_key_in_use(stage: &Stage) -> Result<()> {
    one_point(stage).await?;
    excuse_what_is_sealed(stage)?;
    let (others, names) = (stage.others(), keys(stage).into_iter().map(|(name, _)| name).collect());
    let inner = &others.inner;
    let mut transaction = inner.ledger.begin().await.map_err(Fault::from)?;
    let mut domain = inner.domain_row(transaction.as_mut()).await?;
    let entry = inner.enter(transaction.as_mut(), &mut domain, 0, Payload::Deletion { names }).await?;
    inner.finish_entry(transaction.as_mut(), entry.number).await?;
    transaction.commit().await.map_err(Fault::from)?;
    Ok(inner.make_durable(&entry).await?)
}

async fn rebuild_with_it(stage: &Stage) -> Result<()> {
    let repository = stage.take_over(&stage.actor, &stage.world.new_database()).await?;
    ensure(stage.points(&repository).await?.len() == 1, "the point that it seals is whole")?;
    ensure(keys(stage).len() == names::COPIES.len(), "both copies of the key are there")?;
    stage.collect(&repository).await.map(drop)
}
