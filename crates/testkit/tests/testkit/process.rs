//! Simulated processes and their crashes.

use testkit::{Crashed, DurableStep, Process, Remains, Simulation, yield_now};

#[test]
fn a_process_dies_in_the_step_that_was_chosen() {
    let process = Process::new();
    process.crash_at(2, Remains::Whole);
    let life = process.life().unwrap();
    assert_eq!(process.durable_step(life), Ok(DurableStep::Goes));
    assert_eq!(process.durable_step(life), Ok(DurableStep::Goes));
    assert!(!process.is_dead());
    assert_eq!(process.durable_step(life), Ok(DurableStep::Dies(Remains::Whole)));
    assert!(process.is_dead());
    assert_eq!(process.durable_step(life), Err(Crashed));
    assert_eq!(process.durable_steps(), 3);
}

#[test]
fn an_earlier_life_stays_dead_after_a_revival() {
    let process = Process::new();
    let first = process.life().unwrap();
    process.revive();
    assert_eq!(process.check(first), Ok(()), "reviving the living changes nothing");
    process.kill();
    assert_eq!(process.life(), Err(Crashed));
    process.revive();
    assert_eq!(process.check(first), Err(Crashed));
    assert_eq!(process.durable_step(first), Err(Crashed));
    let second = process.life().unwrap();
    assert_eq!(process.durable_step(second), Ok(DurableStep::Goes));
    assert_eq!(process.durable_steps(), 1, "what the dead attempt does not count");
}

#[test]
fn death_ends_what_runs_in_the_process_and_nothing_else() {
    let simulation = Simulation::new(1);
    let (process, other) = (Process::new(), Process::new());
    let running = process.clone();
    let waits_for_ever = simulation.spawn("waits", async move { running.run(std::future::pending::<()>()).await });
    let (running, observed) = (process.clone(), process.clone());
    let busy = simulation.spawn("busy", async move {
        let first = running.life().unwrap();
        let forever = async {
            for _ in 0..100_000 {
                assert_eq!(observed.check(first), Ok(()), "ran on after its death");
                yield_now().await;
            }
        };
        running.run(forever).await
    });
    let survivor = simulation.spawn("survivor", async move { other.run(async { 5 }).await });
    simulation.run_steps(10);
    process.kill();
    process.revive();
    simulation.run();
    assert_eq!(waits_for_ever.take(), Some(Err(Crashed)));
    assert_eq!(busy.take(), Some(Err(Crashed)));
    assert_eq!(survivor.take(), Some(Ok(5)));
}

#[test]
fn an_answer_given_in_the_moment_of_death_is_lost() {
    let simulation = Simulation::new(2);
    let process = Process::new();
    let dying = process.clone();
    let answer = simulation.block_on(async move {
        let last_breath = async { dying.kill() };
        process.run(last_breath).await
    });
    assert_eq!(answer, Err(Crashed));
}
