//! Random runs: several processes, up to five crashes, storms, clocks that jump, authorities that take over, a database that
//! is brought back to an older state. A seed repeats a run exactly.

use super::audit::{no_progress, thorough};
use super::backup::Habits;
use super::life::{Actor, Mix, incarnation};
use super::walker::Walker;
use super::world::World;
use contract::{Domain, Error};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use testkit::{FaultRates, Remains, Rng};

const NAMES: [&str; 3] = ["first", "second", "third"];
const HOUR_MS: i64 = 3_600_000;
const YEAR_MS: i64 = 365 * 24 * HOUR_MS;

/// Longer than any run takes.
const STRIKES_MAX: u32 = 2_000;

/// What a run is made of.
struct Plan {
    processes: usize,
    hands: usize,
    jobs: u32,
    mix: Mix,
    rates: FaultRates,
    crashes: usize,
    reverts: bool,
}

impl Plan {
    fn draw(rng: &mut Rng) -> Self {
        let weather = [
            FaultRates::NONE,
            FaultRates { delay: 0.2, delay_steps_max: 8, ..FaultRates::NONE },
            FaultRates { late: 0.05, late_steps_max: 40, delay: 0.15, delay_steps_max: 60, ..FaultRates::NONE },
            FaultRates::STORMY,
        ];
        let takes_over = rng.chance(0.3);
        let mut mix = Mix {
            backup: 10,
            collect: 6,
            keep: 4,
            restore: 2,
            check: 1,
            takeover: if takes_over { 2 } else { 0 },
            cut_short: 0.3,
            purge: 0.5,
            habits: if rng.chance(0.8) { Habits::LIVELY } else { Habits::PLAIN },
        };
        if rng.chance(0.4) {
            // Much comes and goes: long sessions over short-lived points.
            mix = Mix { collect: 10, keep: 12, restore: 5, purge: 0.9, cut_short: 0.4, habits: Habits::WASTEFUL, ..mix };
        }
        Self {
            processes: 1 + rng.index(3),
            hands: 1 + rng.index(4),
            jobs: 5 + rng.below(26) as u32,
            mix,
            rates: *rng.pick(&weather),
            crashes: rng.index(6),
            reverts: rng.chance(0.15),
        }
    }
}

/// Runs a seed. The error says what was violated.
pub(super) fn run(seed: u64) -> Result<(), String> {
    let world = World::new(seed);
    let mut rng = world.simulation.rng();
    let plan = Plan::draw(&mut rng);
    world.weather.set_rates(plan.rates);
    let mut actors = Vec::new();
    let mut crashes = plan_crashes(&plan, &mut rng);
    for name in NAMES.iter().take(plan.processes) {
        actors.push(Rc::new(Actor {
            world: world.clone(),
            node: world.node(name),
            database: RefCell::new(world.current()),
            jobs: Cell::new(plan.jobs),
            mix: plan.mix,
            crashes: RefCell::new(crashes.pop().unwrap_or_default()),
            rng: RefCell::new(rng.fork()),
            hands: plan.hands,
        }));
    }
    let tasks: Vec<_> = actors
        .iter()
        .map(|actor| {
            let actor = actor.clone();
            world.simulation.spawn(actor.node.name, async move { actor.live().await })
        })
        .collect();
    let fate = Fate { world: world.clone(), actors, reverts: plan.reverts, rng: RefCell::new(rng.fork()) };
    let director = world.simulation.spawn("fate", async move { fate.strike().await });
    let all = world.clone();
    world.simulation.block_on(async move {
        for task in tasks {
            let _ = task.await;
        }
        director.kill();
        finish(&all).await;
    });
    world.verdict()
}

/// For each process, after how many steps of each life it dies.
fn plan_crashes(plan: &Plan, rng: &mut Rng) -> Vec<VecDeque<(u64, Remains)>> {
    let mut crashes = vec![VecDeque::new(); plan.processes];
    for _ in 0..plan.crashes {
        let remains = match rng.below(5) {
            0 | 1 => Remains::Nothing,
            2 | 3 => Remains::Whole,
            _ => Remains::Late { steps: 1 + rng.below(60) as u32 },
        };
        let process = rng.index(plan.processes);
        let steps = if rng.chance(0.3) { rng.below(12) } else { rng.below(120) };
        crashes[process].push_back((steps, remains));
    }
    crashes
}

/// What happens to everybody.
struct Fate {
    world: Rc<World>,
    actors: Vec<Rc<Actor>>,
    reverts: bool,
    rng: RefCell<Rng>,
}

impl Fate {
    async fn strike(&self) {
        let mut rng = self.rng.borrow_mut().fork();
        let mut saved = None;
        // It ends, so that an actor who waits for ever is found to do so.
        for _ in 0..STRIKES_MAX {
            self.world.simulation.time().sleep_ms(5 + rng.below(80)).await;
            let actor = rng.pick(&self.actors).clone();
            match rng.below(4) {
                0 | 1 => {
                    let far = *rng.pick(&[HOUR_MS, 24 * HOUR_MS, 10 * 24 * HOUR_MS, YEAR_MS, 3 * YEAR_MS]);
                    actor.node.clock.jump_ms(if rng.chance(0.6) { far } else { -far });
                }
                2 if self.reverts && saved.is_none() => {
                    let database = self.world.current();
                    let files = database.files.lock().unwrap().clone();
                    saved = Some((database.ledger.save(), database, files));
                }
                3 if self.reverts && rng.chance(0.3) => {
                    if let Some((state, database, files)) = saved.take() {
                        self.world.note(|| format!("database {} is brought back", database.number));
                        self.actors.iter().for_each(|actor| actor.node.process.kill());
                        database.ledger.restore(state);
                        self.world.is_reverted.set(self.world.current().number == database.number);
                        *database.files.lock().unwrap() = files;
                        self.world.foreign_packs.set(true);
                    }
                }
                _ => {}
            }
        }
    }
}

/// Everybody goes home, the weather calms down, and what is left is looked at closely.
async fn finish(world: &Rc<World>) {
    if world.failed() {
        return;
    }
    world.weather.calm().await;
    let node = world.node("last");
    let database = world.current();
    let mut repository = node.assemble(&database);
    world.is_reverted.set(false);
    if let Err(fault) = repository.start().await {
        // Whoever claimed it last died before it could go on: the operator makes it anew.
        let error = Error::from(fault);
        world.note(|| format!("the last process cannot open: {error}"));
        repository = node.assemble(&database);
        if let Err(fault) = repository.inner.rebuild().await {
            return world.violation(format!("6 at the end: the rebuild fails: {fault}"));
        }
        world.foreign_packs.set(true);
    }
    world.note(|| format!("the end, incarnation {}", incarnation(&database.ledger)));
    world.audit("at the end");
    world.audit_equality("at the end");
    world.audit_rebuild("at the end");
    for _ in 0..2 {
        if let Err(error) = repository.collect(thorough(), no_progress()).await {
            return world.violation(format!("the last collections fail: {error}"));
        }
    }
    world.audit("after the last collections");
    if world.model.borrow().tainted.is_empty() && !world.failed() {
        let walker = Walker::new(&world.memory);
        world.audit_garbage(&walker, &database, &world.memory, world.foreign_packs.get(), "after the last collections");
    }
    world.audit_equality("after the last collections");
}
