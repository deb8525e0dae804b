//! Entries of the journal, in storage and in the database: neither is believed without a look.

use super::damage::name;
use super::stage::{Stage, tree};
use super::{Scenario, ensure, nothing, scenario};
use crate::ledger::{JournalRow, Ledger};
use crate::simulation::audit::no_progress;
use crate::simulation::identity::IDENTITY;
use crate::simulation::walker::objects;
use bytes::Bytes;
use contract::{CheckOptions, CheckReport, Domain, Result};
use format::journal::JournalEntry;
use format::{JournalNumber, names};

pub(super) const SCENARIOS: &[Scenario] = &[
    scenario("a damaged row", |stage| Box::pin(damage_row(stage)), |stage| Box::pin(mend_row(stage)), nothing),
    scenario(
        "a damaged row and a damaged object",
        |stage| Box::pin(damage_both(stage)),
        |stage| Box::pin(delete_neither(stage)),
        nothing,
    ),
    scenario("a row of another entry", |stage| Box::pin(change_row(stage)), |stage| Box::pin(delete_neither(stage)), nothing),
];

/// The record of the point that each scenario begins with.
const RECORD: JournalNumber = JournalNumber(2);

async fn row(stage: &Stage) -> JournalRow {
    let mut snapshot = stage.world.current().ledger.snapshot().await.unwrap();
    snapshot.journal(IDENTITY.domain, RECORD).await.unwrap().unwrap()
}

fn object(stage: &Stage) -> Option<Bytes> {
    let entries = objects(&stage.world.memory, &names::journal_entries(IDENTITY.domain));
    entries.into_iter().find(|(name, _)| *name == names::journal(IDENTITY.domain, RECORD)).map(|(_, bytes)| bytes)
}

async fn replace_row(stage: &Stage, bytes: Bytes) {
    let mut transaction = stage.world.current().ledger.begin().await.unwrap();
    transaction.put_journal(&JournalRow { bytes, ..row(stage).await }).await.unwrap();
    transaction.commit().await.unwrap();
}

async fn check(stage: &Stage) -> Result<CheckReport> {
    stage.own().check(CheckOptions::footers(), no_progress()).await
}

async fn damage_row(stage: &Stage) -> Result<()> {
    stage.back_up(&stage.others(), 0, &tree(&[&[&[0, 1]]])).await?;
    let mut bytes = row(stage).await.bytes.to_vec();
    bytes[60] ^= 1;
    replace_row(stage, bytes.into()).await;
    Ok(())
}

async fn mend_row(stage: &Stage) -> Result<()> {
    let before = object(stage);
    let report = check(stage).await?;
    ensure(report.is_sound() && report.mended.len() == 1, format!("the row is mended: {report:?}"))?;
    let as_it_was = object(stage) == before && Some(row(stage).await.bytes) == before;
    ensure(as_it_was, "from the object, which stays as it is")
}

async fn damage_both(stage: &Stage) -> Result<()> {
    damage_row(stage).await?;
    let point = stage.points(&stage.others()).await?.remove(0).id;
    stage.world.model.borrow_mut().tainted.insert(format!("record {point}"));
    stage.has_damage.set(true);
    stage.world.weather.corrupt(&name(&names::journal(IDENTITY.domain, RECORD)), 70, 1).await.unwrap();
    Ok(())
}

/// The same decision at another time, as a database that went a way of its own may hold it.
async fn change_row(stage: &Stage) -> Result<()> {
    stage.back_up(&stage.others(), 0, &tree(&[&[&[0, 1]]])).await?;
    let mut entry = JournalEntry::parse(&row(stage).await.bytes)?;
    entry.time_ms += 1;
    replace_row(stage, entry.encode().into()).await;
    Ok(())
}

async fn delete_neither(stage: &Stage) -> Result<()> {
    let before = (object(stage), row(stage).await);
    let report = check(stage).await?;
    ensure(report.damaged_objects.len() == 1 && report.mended.is_empty(), format!("it is reported: {report:?}"))?;
    ensure((object(stage), row(stage).await) == before, "and both stay as they are")
}
