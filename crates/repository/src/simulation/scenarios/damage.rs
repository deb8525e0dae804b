//! Damage, and what heals it.

use super::stage::{Stage, tree};
use super::{Scenario, ensure, nothing, scenario, thorough};
use crate::ledger::{DamageRow, DamageSource, Ledger, MemoryLedger, PackState};
use crate::simulation::audit::{drive, no_progress};
use crate::simulation::identity::IDENTITY;
use crate::simulation::walker::{Walker, objects};
use contract::{CheckOptions, CheckReport, Domain};
use format::blob::BlobKind;
use format::{names, pack};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Arc, Mutex};
use storage::{ObjectName, ObjectStore};
use testkit::FaultyStore;

pub(super) const SCENARIOS: &[Scenario] = &[
    scenario(
        "a damaged blob is healed",
        |stage| Box::pin(damage_data(stage)),
        |stage| Box::pin(check_and_heal(stage)),
        |stage| Box::pin(is_whole(stage)),
    ),
    scenario(
        "a damaged footer is healed",
        |stage| Box::pin(damage_footer(stage)),
        |stage| Box::pin(check_and_collect(stage)),
        |stage| Box::pin(is_whole(stage)),
    ),
    scenario(
        "a pack is lost",
        |stage| Box::pin(lose_pack(stage)),
        |stage| Box::pin(check_and_heal(stage)),
        |stage| Box::pin(is_whole(stage)),
    ),
    scenario(
        "one copy of a key object is lost",
        |stage| Box::pin(lose_key_copy(stage)),
        |stage| Box::pin(mend_key(stage)),
        |stage| Box::pin(is_whole(stage)),
    ),
    scenario("a key object is lost", |stage| Box::pin(lose_key(stage)), |stage| Box::pin(check_and_heal(stage)), nothing),
    scenario(
        "a damaged record",
        |stage| Box::pin(damage_record(stage)),
        |stage| Box::pin(mend_record(stage)),
        |stage| Box::pin(is_whole(stage)),
    ),
    scenario(
        "a damaged footer of a session that goes on",
        nothing,
        |stage| Box::pin(collect_beside_a_damaged_pack(stage)),
        |stage| Box::pin(is_whole(stage)),
    ),
    scenario(
        "damage that is found while a collection deletes",
        |stage| Box::pin(everything_twice(stage)),
        |stage| Box::pin(collect_while_damage_is_found(stage)),
        nothing,
    ),
    scenario(
        "a report while a check takes damage back",
        |stage| Box::pin(one_point(stage)),
        |stage| Box::pin(report_while_checking(stage)),
        nothing,
    ),
];

async fn one_point(stage: &Stage) -> contract::Result<()> {
    stage.back_up(&stage.others(), 0, &sample()).await.map(drop)
}

pub(super) fn sample() -> crate::simulation::content::Tree {
    tree(&[&[&[0, 1], &[2, 3]], &[&[4, 5]]])
}

pub(super) fn name(object: &str) -> ObjectName {
    ObjectName::new(object).unwrap()
}

/// A pack of that kind, its name and its parsed frame.
pub(super) fn a_pack(stage: &Stage, kind: BlobKind) -> (String, pack::ParsedPack) {
    let packs = objects(&stage.world.memory, &names::packs(IDENTITY.domain));
    let parsed = packs.into_iter().map(|(name, bytes)| (name, pack::parse(&bytes).unwrap()));
    parsed.into_iter().find(|(_, parsed)| parsed.footer.kind == kind).unwrap()
}

/// Everything in the pack may be lost, through no fault of the repository.
pub(super) fn taint(stage: &Stage, parsed: &pack::ParsedPack) {
    let mut model = stage.world.model.borrow_mut();
    model.tainted.extend(parsed.footer.entries.iter().map(|entry| format!("blob {}", entry.id)));
    stage.has_damage.set(true);
}

async fn damage_data(stage: &Stage) -> contract::Result<()> {
    one_point(stage).await?;
    let (object, parsed) = a_pack(stage, BlobKind::Data);
    taint(stage, &parsed);
    stage.world.weather.corrupt(&name(&object), u64::from(parsed.footer.entries[0].offset) + 30, 1).await.unwrap();
    Ok(())
}

async fn damage_footer(stage: &Stage) -> contract::Result<()> {
    one_point(stage).await?;
    let (object, parsed) = a_pack(stage, BlobKind::Page);
    taint(stage, &parsed);
    stage.world.weather.corrupt(&name(&object), parsed.footer_range.start + 3, 1).await.unwrap();
    Ok(())
}

async fn lose_pack(stage: &Stage) -> contract::Result<()> {
    one_point(stage).await?;
    let (object, parsed) = a_pack(stage, BlobKind::Page);
    taint(stage, &parsed);
    stage.world.weather.lose(&name(&object)).await.unwrap();
    Ok(())
}

async fn lose_key_copy(stage: &Stage) -> contract::Result<()> {
    one_point(stage).await?;
    let (object, _) = objects(&stage.world.memory, &names::keys(IDENTITY.domain)).remove(0);
    stage.world.weather.lose(&name(&object)).await.unwrap();
    Ok(())
}

async fn lose_key(stage: &Stage) -> contract::Result<()> {
    one_point(stage).await?;
    for (object, _) in objects(&stage.world.memory, &names::keys(IDENTITY.domain)) {
        let key = names::parse_key(&object)?;
        stage.world.model.borrow_mut().tainted.insert(format!("key {key}"));
        stage.world.weather.lose(&name(&object)).await.unwrap();
    }
    for (_, bytes) in objects(&stage.world.memory, &names::packs(IDENTITY.domain)) {
        taint(stage, &pack::parse(&bytes)?);
    }
    Ok(())
}

async fn damage_record(stage: &Stage) -> contract::Result<()> {
    one_point(stage).await?;
    let entries = objects(&stage.world.memory, &names::journal_entries(IDENTITY.domain));
    let (object, _) = entries.last().unwrap();
    let point = stage.points(&stage.others()).await?.remove(0).id;
    stage.world.model.borrow_mut().tainted.insert(format!("record {point}"));
    stage.has_damage.set(true);
    stage.world.weather.corrupt(&name(object), 60, 1).await.unwrap();
    Ok(())
}

async fn check(stage: &Stage) -> contract::Result<CheckReport> {
    stage.own().check(CheckOptions::all_data(), no_progress()).await
}

async fn check_and_heal(stage: &Stage) -> contract::Result<()> {
    let own = stage.own();
    let report = check(stage).await?;
    ensure(!report.is_sound(), "check finds the damage")?;
    stage.back_up(&own, 0, &sample()).await?;
    let report = check(stage).await?;
    let healed = report.damaged_copies.iter().all(|copy| copy.other_copy) && report.missing.is_empty();
    ensure(healed, format!("the next backup heals it: {report:?}"))?;
    stage.collect(&own).await?;
    stage.collect(&own).await?;
    let report = check(stage).await?;
    ensure(
        report.damaged_copies.is_empty() && report.damaged_packs.is_empty(),
        format!("and what was damaged is freed: {report:?}"),
    )
}

async fn check_and_collect(stage: &Stage) -> contract::Result<()> {
    let own = stage.own();
    let report = check(stage).await?;
    ensure(report.damaged_packs.len() == 1, format!("check finds the damaged pack: {report:?}"))?;
    stage.collect(&own).await?;
    let report = check(stage).await?;
    ensure(report.is_sound(), format!("the pack is written anew: {report:?}"))
}

async fn mend_key(stage: &Stage) -> contract::Result<()> {
    let report = check(stage).await?;
    ensure(report.is_sound() && report.mended.len() == 1, format!("the copy is put back: {report:?}"))?;
    stage.collect(&stage.own()).await.map(drop)
}

async fn mend_record(stage: &Stage) -> contract::Result<()> {
    let report = check(stage).await?;
    ensure(report.is_sound() && report.mended.len() == 1, format!("the record is written anew: {report:?}"))
}

/// No excuse any more.
pub(super) async fn is_whole(stage: &Stage) -> contract::Result<()> {
    stage.world.model.borrow_mut().tainted.clear();
    stage.has_damage.set(false);
    let walker = Walker::new(&stage.world.memory);
    for record in walker.records.values() {
        let lacks = walker.lacks(record);
        ensure(lacks.is_empty(), format!("everything is whole again: {lacks:?}"))?;
    }
    Ok(())
}

/// The frame of a running session's pack is damaged; the session must find the pack under its name all the same.
async fn collect_beside_a_damaged_pack(stage: &Stage) -> contract::Result<()> {
    let own = stage.own();
    let mut session = stage.session(&own, 0).await?;
    session.send_missing(&stage.graph(&sample())).await?;
    let (object, parsed) = a_pack(stage, BlobKind::Data);
    taint(stage, &parsed);
    stage.world.weather.corrupt(&name(&object), parsed.footer_range.start + 3, 1).await.unwrap();
    let report = check(stage).await?;
    ensure(report.damaged_packs.len() == 1, format!("check finds the damaged pack: {report:?}"))?;
    stage.collect(&own).await?;
    stage.finish(&mut session, &sample()).await?;
    stage.collect(&own).await?;
    let report = check(stage).await?;
    ensure(report.is_sound(), format!("it is written anew once its session is over: {report:?}"))
}

/// Two sessions send the same without knowing of each other.
async fn everything_twice(stage: &Stage) -> contract::Result<()> {
    let others = stage.others();
    let much = tree(&[&[&[0, 1, 2, 3, 4, 5, 6, 7]], &[&[8, 9, 10, 11, 12, 13, 14, 15]]]);
    let mut second = stage.session(&others, 1).await?;
    let missing = second.missing(&stage.graph(&much)).await?;
    stage.back_up(&others, 0, &much).await?;
    second.send(missing.into_values().collect()).await?;
    stage.finish(&mut second, &much).await.map(drop)
}

/// Once the first of the second session's packs are deleted, the copies that the others duplicate turn out to be damaged.
async fn collect_while_damage_is_found(stage: &Stage) -> contract::Result<()> {
    stage.has_damage.set(true);
    let (ledger, weather) = (stage.world.current().ledger, stage.world.weather.clone());
    let is_done = Mutex::new(false);
    let progress: contract::ProgressSink = Arc::new(move |progress| {
        if progress.phase == "deleting" && !std::mem::replace(&mut *is_done.lock().unwrap(), true) {
            drive(damage_first_copies(&ledger, &weather));
        }
    });
    let report = stage.own().collect(thorough(), progress).await?;
    stage.world.audit("after a collection");
    ensure(report.packs_deleted > 0, format!("something is deleted: {report:?}"))?;
    let report = stage.collect(&stage.own()).await?;
    ensure(report.packs_deleted > 0, format!("the damaged copies go instead: {report:?}"))
}

/// Damages every copy of a data blob that has a copy in a later pack, and puts that on record.
async fn damage_first_copies(ledger: &MemoryLedger, weather: &FaultyStore) {
    let mut transaction = ledger.begin().await.unwrap();
    let mut first = BTreeMap::new();
    let rows = transaction.packs(IDENTITY.domain).await.unwrap();
    for row in rows.iter().filter(|row| row.kind == Some(BlobKind::Data) && row.state == PackState::Proven) {
        let object = name(&names::pack(IDENTITY.domain, row.name));
        let parsed = pack::parse(&weather.get(&object, None).await.unwrap()).unwrap();
        for (place, entry) in (0..).zip(parsed.footer.entries) {
            match first.entry(entry.id) {
                Entry::Vacant(vacant) => drop(vacant.insert((row.name, place, entry.offset))),
                Entry::Occupied(occupied) => {
                    let (pack, place, offset) = *occupied.get();
                    let (domain, blob, source) = (IDENTITY.domain, entry.id, DamageSource::Verified);
                    transaction.put_damage(&DamageRow { domain, pack, place, blob, source }).await.unwrap();
                    let object = name(&names::pack(IDENTITY.domain, pack));
                    weather.corrupt(&object, u64::from(offset) + 30, 1).await.unwrap();
                }
            }
        }
    }
    transaction.commit().await.unwrap();
}

/// Puts damage of this place on record in all packs that have it. Answers how many they are.
async fn note_damage(ledger: &MemoryLedger, place: u32, source: DamageSource) -> usize {
    let mut transaction = ledger.begin().await.unwrap();
    let mut rows = transaction.packs(IDENTITY.domain).await.unwrap();
    rows.retain(|row| row.entries > place);
    for row in &rows {
        let (domain, pack, blob) = (IDENTITY.domain, row.name, format::BlobId([0; 32]));
        transaction.put_damage(&DamageRow { domain, pack, place, blob, source }).await.unwrap();
    }
    transaction.commit().await.unwrap();
    rows.len()
}

/// A check takes damage back that is none; what an agent reports of the same packs meanwhile stays.
async fn report_while_checking(stage: &Stage) -> contract::Result<()> {
    stage.has_damage.set(true);
    let ledger = stage.world.current().ledger;
    note_damage(&ledger, 0, DamageSource::Verified).await;
    let reported = Arc::new(Mutex::new(0));
    let progress: contract::ProgressSink = Arc::new({
        let (ledger, reported) = (ledger.clone(), reported.clone());
        move |progress| {
            if progress.phase == "reading packs" && progress.done == 1 {
                *reported.lock().unwrap() = drive(note_damage(&ledger, 1, DamageSource::Reported));
            }
        }
    });
    stage.own().check(CheckOptions::all_data(), progress).await?;
    let rows = ledger.snapshot().await.unwrap().damage(IDENTITY.domain).await.unwrap();
    let reported = *reported.lock().unwrap();
    let stays = reported > 1 && rows.len() == reported && rows.iter().all(|row| row.source == DamageSource::Reported);
    ensure(stays, format!("{reported} reports: {rows:?}"))
}
