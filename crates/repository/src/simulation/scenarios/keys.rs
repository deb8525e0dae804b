//! Key objects that come back after a deletion list.

use super::stage::{Stage, tree};
use super::{Scenario, ensure, nothing, scenario};
use crate::simulation::identity::{IDENTITY, item};
use crate::simulation::walker::objects;
use bytes::Bytes;
use contract::{Domain, Error, ErrorKind, OpenSession, Result};
use format::names;

pub(super) const SCENARIOS: &[Scenario] = &[scenario(
    "a key that was deleted is refused, also after a rebuild",
    |stage| Box::pin(one_point(stage)),
    |stage| Box::pin(use_deleted_key(stage)),
    nothing,
)];

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
    refused(&own, object.clone()).await?;
    let rebuilt = stage.take_over(&stage.actor, &stage.world.new_database()).await?;
    refused(&rebuilt, object).await
}

async fn refused(domain: &impl Domain, object: Bytes) -> Result<()> {
    let opened = domain.open_session(OpenSession { item: item(0), agent: IDENTITY.agent.key() }).await?;
    let again = domain.put_key(opened.session, object).await;
    let refused = again.as_ref().is_err_and(|error| error.kind() == ErrorKind::Conflict && error.hint().is_some());
    ensure(refused, format!("whoever carries the list out late would delete it: {again:?}"))?;
    domain.abandon_session(opened.session).await
}
