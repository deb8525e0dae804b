//! Scripted scenarios, each run with a crash before and after the effect of every durable step that its process takes.

mod authorities;
mod collections;
mod collectors;
mod damage;
mod hidden;
mod journal;
mod keys;
mod revival;
mod stage;
mod unreadable;
mod writing;

pub(super) use super::audit::thorough;
use super::world::World;
use contract::{Error, Result};
use stage::Stage;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use testkit::Remains;

/// More durable steps than any scenario takes.
const STEPS_MAX: u64 = 400;

/// A part of a scenario.
type Part = for<'a> fn(&'a Stage) -> Pin<Box<dyn Future<Output = Result<()>> + 'a>>;

/// A scenario.
#[derive(Clone, Copy)]
struct Scenario {
    name: &'static str,
    /// Comes first, without crashes.
    before: Part,
    /// What the process does that may die.
    act: Part,
    /// What must be so when nobody died.
    after: Part,
    /// Nobody opened the repository before.
    is_new: bool,
}

const fn scenario(name: &'static str, before: Part, act: Part, after: Part) -> Scenario {
    Scenario { name, before, act, after, is_new: false }
}

/// A part that does nothing.
fn nothing(_: &Stage) -> Pin<Box<dyn Future<Output = Result<()>> + '_>> {
    Box::pin(async { Ok(()) })
}

/// Runs a scenario once; the process dies in its durable step `crash`, if it takes that many. Answers whether it died.
fn play(scenario: Scenario, crash: Option<(u64, Remains)>) -> std::result::Result<bool, String> {
    let world = World::new(1);
    let stage = Rc::new(Stage::new(&world));
    let died = world.simulation.block_on({
        let stage = stage.clone();
        async move {
            if !scenario.is_new {
                stage.must("begin", stage.open_both().await);
            }
            stage.must("prepare", (scenario.before)(&stage).await);
            if let Some((step, remains)) = crash {
                stage.actor.process.crash_at(stage.actor.process.durable_steps() + step, remains);
            }
            let outcome = stage.actor.process.run((scenario.act)(&stage)).await;
            let died = stage.actor.process.is_dead() || outcome.is_err();
            stage.world.audit("after the act");
            if !died {
                stage.must("act", outcome.unwrap_or(Ok(())));
                stage.must("end", (scenario.after)(&stage).await);
            }
            stage.curtain().await;
            died
        }
    });
    world.verdict().map(|()| died)
}

/// Runs a scenario with a crash at every durable step, in each way.
fn play_all(scenario: Scenario) -> std::result::Result<u64, String> {
    play(scenario, None).map_err(|what| format!("{}, without a crash: {what}", scenario.name))?;
    let mut crashes = 0;
    for remains in [Remains::Nothing, Remains::Whole, Remains::Late { steps: 7 }] {
        for step in 0..=STEPS_MAX {
            assert!(step < STEPS_MAX, "{} takes more steps than any scenario", scenario.name);
            let died = play(scenario, Some((step, remains)));
            if !died.map_err(|what| format!("{}, crash at step {step} ({remains:?}): {what}", scenario.name))? {
                break;
            }
            crashes += 1;
        }
    }
    Ok(crashes)
}

fn all() -> Vec<Scenario> {
    [
        writing::SCENARIOS,
        collections::SCENARIOS,
        collectors::SCENARIOS,
        authorities::SCENARIOS,
        damage::SCENARIOS,
        unreadable::SCENARIOS,
        journal::SCENARIOS,
        revival::SCENARIOS,
        keys::SCENARIOS,
        hidden::SCENARIOS,
    ]
    .concat()
}

macro_rules! scenario_tests {
    ($($test:ident: $scenarios:expr;)*) => {
        $(
            #[test]
            fn $test() {
                for scenario in $scenarios {
                    match play_all(*scenario) {
                        Ok(crashes) => println!("{}: {crashes} crashes", scenario.name),
                        Err(what) => panic!("{what}"),
                    }
                }
            }
        )*
    };
}

scenario_tests! {
    backups_survive_a_crash_at_every_step: writing::SCENARIOS;
    collections_survive_a_crash_at_every_step: collections::SCENARIOS;
    a_second_collection_survives_a_crash_at_every_step: collectors::SCENARIOS;
    changes_of_authority_survive_a_crash_at_every_step: authorities::SCENARIOS;
    damage_and_healing_survive_a_crash_at_every_step: damage::SCENARIOS;
    what_cannot_be_read_survives_a_crash_at_every_step: unreadable::SCENARIOS;
    what_two_tell_differently_survives_a_crash_at_every_step: journal::SCENARIOS;
    sessions_taken_over_survive_a_crash_at_every_step: revival::SCENARIOS;
    keys_that_come_back_survive_a_crash_at_every_step: keys::SCENARIOS;
    what_is_hidden_survives_a_crash_at_every_step: hidden::SCENARIOS;
}

#[test]
fn there_are_twenty_scenarios_at_least() {
    assert!(all().len() >= 20, "{}", all().len());
}

/// The scenario that catches what is broken now, without a crash, and what it finds.
pub(super) fn caught() -> Option<(&'static str, String)> {
    all().into_iter().find_map(|scenario| Some((scenario.name, play(scenario, None).err()?)))
}

/// The error of something that ought to have failed.
fn expect_error<T>(outcome: Result<T>, what: &str) -> Result<()> {
    match outcome {
        Err(_) => Ok(()),
        Ok(_) => Err(Error::new(contract::ErrorKind::Internal, format!("{what} ought to have failed"))),
    }
}

/// Something that must hold.
fn ensure(holds: bool, what: impl Into<String>) -> Result<()> {
    if holds { Ok(()) } else { Err(Error::new(contract::ErrorKind::Internal, what)) }
}
