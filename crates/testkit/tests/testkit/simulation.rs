//! The simulated executor, its time and its clocks.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use testkit::{Killed, Simulation, join_all, yield_now};

type Log = Rc<RefCell<Vec<String>>>;

/// Three tasks that yield, sleep, draw and wait for each other; what happened, in order.
fn history(seed: u64) -> Vec<String> {
    let simulation = Simulation::new(seed);
    let log = Log::default();
    let mut handles = Vec::new();
    for name in ["a", "b", "c"] {
        let (log, time, clock, mut rng) = (log.clone(), simulation.time(), simulation.clock(), simulation.rng());
        let work = async move {
            for i in 0..5 {
                log.borrow_mut().push(format!("{name}{i} at {}", clock.now_ms()));
                if rng.chance(0.5) {
                    yield_now().await;
                } else {
                    time.sleep_ms(rng.below(3)).await;
                }
            }
            name
        };
        handles.push(simulation.spawn(name, work));
    }
    let ends = log.clone();
    simulation.spawn("judge", async move {
        for handle in handles {
            let name = handle.await.unwrap();
            ends.borrow_mut().push(format!("{name} ended"));
        }
    });
    simulation.run();
    log.take()
}

fn message_of(panic: Box<dyn std::any::Any + Send>) -> String {
    *panic.downcast::<String>().unwrap()
}

#[test]
fn a_seed_repeats_a_run_exactly() {
    for seed in 0..50 {
        assert_eq!(history(seed), history(seed));
    }
}

#[test]
fn seeds_reach_different_orders() {
    // Three tasks with two steps each can run in 6!/(2!·2!·2!) = 90 orders.
    let order = |seed| {
        let simulation = Simulation::new(seed);
        let log = Log::default();
        for name in ["a", "b", "c"] {
            let log = log.clone();
            simulation.spawn(name, async move {
                log.borrow_mut().push(name.to_owned());
                yield_now().await;
                log.borrow_mut().push(name.to_owned());
            });
        }
        simulation.run();
        log.take().concat()
    };
    let orders: BTreeSet<String> = (0..2_000).map(order).collect();
    assert_eq!(orders.len(), 90);
}

#[test]
fn every_task_runs_to_its_end() {
    let history = history(7);
    assert_eq!(history.iter().filter(|entry| entry.ends_with("ended")).count(), 3);
    assert_eq!(history.len(), 18);
}

#[test]
fn a_deadlock_is_named_with_seed_and_tasks() {
    let simulation = Simulation::new(0xbad);
    let (sender, receiver) = tokio::sync::oneshot::channel::<()>();
    simulation.spawn("patient", async move { receiver.await.is_ok() });
    let other = simulation.clone();
    let hung = simulation.spawn("hung", async move {
        other.yield_now().await;
        std::future::pending::<()>().await;
    });
    let message = message_of(catch_unwind(AssertUnwindSafe(|| simulation.run())).unwrap_err());
    assert!(message.contains("0xbad") && message.contains("'patient', 'hung'"), "{message}");
    // The same tasks are no deadlock once one of them is gone and the other has its answer.
    hung.kill();
    sender.send(()).unwrap();
    simulation.run();
}

#[test]
fn a_sleeping_task_is_no_deadlock_and_time_jumps_to_it() {
    let simulation = Simulation::new(1);
    let time = simulation.time();
    let slept = simulation.block_on(async move {
        time.sleep_ms(1_000_000_000).await;
        time.elapsed_micros()
    });
    assert!((1_000_000_000_000..1_000_001_000_000).contains(&slept), "{slept}");
    assert!(simulation.steps() < 10);
}

#[test]
fn who_no_longer_sleeps_is_not_waited_for() {
    let simulation = Simulation::new(9);
    let time = simulation.time();
    let sleeper = simulation.spawn("sleeper", async move { time.sleep_ms(1_000_000).await });
    simulation.spawn("stuck", std::future::pending::<()>());
    simulation.run_steps(2);
    sleeper.kill();
    assert!(catch_unwind(AssertUnwindSafe(|| simulation.run())).is_err());
    assert!(simulation.time().elapsed_micros() < 10_000);
}

#[test]
fn sleepers_wake_while_others_are_busy() {
    let simulation = Simulation::new(2);
    let (time, log) = (simulation.time(), Log::default());
    let (slept, busy) = (log.clone(), log.clone());
    simulation.spawn("sleeper", async move {
        time.sleep_ms(20).await;
        slept.borrow_mut().push("slept".into());
    });
    simulation.spawn("busy", async move {
        for _ in 0..1_000 {
            yield_now().await;
        }
        busy.borrow_mut().push("busy".into());
    });
    simulation.run();
    assert_eq!(log.take(), ["slept", "busy"]);
}

#[test]
fn a_killed_task_never_runs_again_and_drops_what_it_holds() {
    struct Held(Log);
    impl Drop for Held {
        fn drop(&mut self) {
            self.0.borrow_mut().push("dropped".into());
        }
    }
    let simulation = Simulation::new(3);
    let log = Log::default();
    let (held, entries) = (Held(log.clone()), log.clone());
    let victim = simulation.spawn("victim", async move {
        let _held = held;
        loop {
            entries.borrow_mut().push("ran".into());
            yield_now().await;
        }
        #[allow(unreachable_code)]
        ()
    });
    assert!(simulation.run_steps(3));
    victim.kill();
    let waiting = simulation.spawn("waiting", victim);
    simulation.run();
    assert_eq!(log.take(), ["ran", "ran", "ran", "dropped"]);
    assert_eq!(waiting.take(), Some(Err(Killed)));
}

#[test]
fn tasks_spawn_and_kill_tasks_and_themselves() {
    let simulation = Simulation::new(4);
    let inner = simulation.clone();
    let outcome = simulation.block_on(async move {
        let never = inner.spawn("never", std::future::pending::<u32>());
        let child = inner.spawn("child", async { 7 });
        never.kill();
        let own: Rc<RefCell<Option<testkit::TaskHandle<()>>>> = Rc::default();
        let handle = own.clone();
        let suicide = inner.spawn("suicide", async move {
            handle.borrow().as_ref().unwrap().kill();
            yield_now().await;
            panic!("ran on after its death");
        });
        *own.borrow_mut() = Some(suicide);
        yield_now().await;
        (child.await, never.await)
    });
    simulation.run();
    assert_eq!(outcome, (Ok(7), Err(Killed)));
}

#[test]
fn block_on_leaves_other_tasks_for_later() {
    let simulation = Simulation::new(5);
    let time = simulation.time();
    let later = simulation.spawn("later", async move { time.sleep_ms(1_000).await });
    assert_eq!(simulation.block_on(async { 1 }), 1);
    assert!(!later.is_finished());
    simulation.run();
    assert!(later.is_finished());
}

#[test]
fn clocks_jump_apart_but_time_does_not() {
    let simulation = Simulation::new(6);
    let (one, other) = (simulation.clock(), simulation.clock());
    assert_eq!(one.now_ms(), other.now_ms());
    let start = other.now_ms();
    one.jump_ms(-5_000);
    assert_eq!(one.now_ms(), start - 5_000);
    assert_eq!(other.now_ms(), start);
    for far in [i64::MIN, i64::MAX, i64::MAX, i64::MAX] {
        one.jump_ms(far);
    }
    assert_eq!(one.now_ms(), i64::MAX);
    assert_eq!(simulation.time().elapsed_micros(), 0);
    let sleeper = one.clone();
    simulation.block_on(async move { sleeper.sleep_ms(300).await });
    assert!((300_000..310_000).contains(&simulation.time().elapsed_micros()));
}

#[test]
fn who_waits_for_a_time_of_day_follows_the_jumps_of_the_clock() {
    for (jump_ms, expected_ms) in [(0, 10_000), (4_000, 6_000), (60_000, 0), (-5_000, 15_000)] {
        let simulation = Simulation::new(7);
        let clock = simulation.clock();
        let (waiting, until) = (clock.clone(), clock.now_ms() + 10_000);
        let time = simulation.time();
        let woke = simulation.spawn("waiting", async move {
            waiting.sleep_until_ms(until).await;
            time.elapsed_micros() / 1_000
        });
        simulation.run_steps(1);
        clock.jump_ms(jump_ms);
        simulation.run();
        let woke_ms = woke.take().unwrap();
        assert!((expected_ms..expected_ms + 10).contains(&woke_ms), "after a jump of {jump_ms} it woke at {woke_ms}");
    }
}

#[test]
fn joined_futures_run_interleaved_and_answer_in_order() {
    let simulation = Simulation::new(8);
    let log = Log::default();
    let inner = log.clone();
    let answers = simulation.block_on(join_all((0..3).map(move |i| {
        let log = inner.clone();
        async move {
            for _ in 0..=(2 - i) {
                log.borrow_mut().push(format!("{i}"));
                yield_now().await;
            }
            i
        }
    })));
    assert_eq!(answers, [0, 1, 2]);
    assert_eq!(log.take(), ["0", "1", "2", "0", "1", "0"]);
}
