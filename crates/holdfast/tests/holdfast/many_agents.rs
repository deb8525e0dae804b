//! Many agents of one service: none misses a slot, they come back without a stampede when the service was killed, and what the service needs
//! for them is bounded.
//!
//! 20 agents for 2 minutes; `HOLDFAST_MANY_AGENTS=1000 HOLDFAST_MANY_MINUTES=10 HOLDFAST_MANY_EVERY=5` for more. The agents are the
//! real library, in this process; the service is a process of its own.

use crate::site::{Site, now_ms};
use agent::SystemClock;
use api::JobOrigin;
use policy::{Policy, Timestamp};
use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;

const MINUTE_MS: i64 = 60_000;

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap())
}

/// What the service's process has used: resident memory now in MiB, and processor time in seconds.
fn usage(process: u32) -> (f64, f64) {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let resident = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .map_or(0.0, |text| text.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0);
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let ticks: f64 = stat
        .rsplit_once(") ")
        .map_or(0.0, |(_, rest)| rest.split(' ').skip(11).take(2).map(|ticks| ticks.parse::<f64>().unwrap()).sum());
    (resident, ticks / 100.0)
}

/// Kills the service and watches its agents come back: how long it takes, and the most of them within one second.
async fn come_back(site: &mut Site, agents: usize) -> (Duration, usize) {
    tokio::task::block_in_place(|| site.service.kill_and_start_again());
    let (killed, mut before, mut most) = (Instant::now(), 0, 0);
    let mut looked = killed;
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let now = site.connected().await;
        // A look may come late on a busy machine: what counts is how many there were for each second since the last one.
        let a_second = now.saturating_sub(before) as f64 / looked.elapsed().as_secs_f64().max(1.0);
        (most, before, looked) = (most.max(a_second.ceil() as usize), now, Instant::now());
        if now == agents {
            return (killed.elapsed(), most);
        }
        assert!(killed.elapsed() < Duration::from_secs(150), "{now} of {agents} came back");
    }
}

#[test]
fn many_agents_miss_no_slot_and_come_back_one_by_one_when_the_service_was_killed() {
    let (agents, minutes) = (number("HOLDFAST_MANY_AGENTS", 20), number("HOLDFAST_MANY_MINUTES", 2));
    let every = number("HOLDFAST_MANY_EVERY", 1);
    workloads::raise_open_files();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    // Enrolling takes its time: the first slot is due when all are there.
    let begin_ms = now_ms() + i64::try_from(agents).unwrap() * 100;
    let slots: Vec<i64> = (0..minutes.div_ceil(every)).map(|slot| begin_ms + (1 + (slot * every) as i64) * MINUTE_MS).collect();
    let mut site = Site::new(&slots, every as u32);
    runtime.block_on(async {
        site.set_policy().await;
        let (end, ended) = watch::channel(());
        let mut running = tokio::task::JoinSet::new();
        let mut domains = BTreeSet::new();
        for number in 0..agents {
            let agent = site.enrol(number, Arc::new(SystemClock)).await;
            domains.insert(agent.domain);
            let mut ended = ended.clone();
            running.spawn(async move { agent::run(agent, async move { drop(ended.changed().await) }).await });
        }
        let all = usize::try_from(agents).unwrap();
        let policy = Policy::new(site.policy.clone()).unwrap();
        let now = || Timestamp::from_millisecond(now_ms()).unwrap();
        let (from, started) = (now(), Instant::now());
        let until = Timestamp::from_millisecond(from.as_millisecond() + minutes as i64 * MINUTE_MS).unwrap();
        let (mut peak_mib, mut cpu, mut killed) = (0.0_f64, (Instant::now(), usage(site.service.process()).1), None);
        let mut cpu_share = 0.0_f64;
        while now() < until {
            tokio::time::sleep(Duration::from_secs(5)).await;
            let (resident, seconds) = usage(site.service.process());
            peak_mib = peak_mib.max(resident);
            cpu_share = cpu_share.max((seconds - cpu.1) / cpu.0.elapsed().as_secs_f64());
            cpu = (Instant::now(), seconds);
            if killed.is_none() && started.elapsed() > Duration::from_secs(minutes * 30) {
                killed = Some(come_back(&mut site, all).await);
                cpu = (Instant::now(), usage(site.service.process()).1);
            }
        }
        // A run of the last slot may start as late as the next slot would, and its report may come after it.
        let due: Vec<i64> = policy.slots_between(from, until).map(|slot| slot.due.as_millisecond()).collect();
        let patience = Instant::now() + Duration::from_secs(every * 60 + 60);
        let missed = loop {
            let jobs = site.jobs().await;
            let mut done = BTreeSet::new();
            for job in jobs.iter().filter(|job| job.state.is_done()) {
                if let JobOrigin::Schedule { slot_ms, .. } = job.origin {
                    assert!(done.insert((job.domain, slot_ms)), "a slot was run twice: {job:?}");
                }
            }
            let missed: Vec<_> =
                domains.iter().flat_map(|domain| due.iter().map(|slot| (*domain, *slot))).filter(|run| !done.contains(run)).collect();
            if missed.is_empty() || Instant::now() > patience {
                println!("{agents} agents, {} slots each: {} runs done, {} missed", due.len(), done.len(), missed.len());
                break missed;
            }
            tokio::time::sleep(Duration::from_secs(2)).await;
        };
        let (took, most) = killed.unwrap();
        println!(
            "service: {peak_mib:.0} MiB resident at most, {cpu_share:.2} processors at most within 5 s; after a kill all were back \
             in {:.0} s, at most {most} of them within a second",
            took.as_secs_f64()
        );
        assert!(!due.is_empty() && missed.is_empty(), "{missed:?}");
        // Of a few, many come back together by chance: how they are spread is a test of the agent's own.
        assert!(agents < 100 || most <= all / 2, "a stampede: {most} of {agents} within a second");
        end.send_replace(());
        while let Some(ended) = running.join_next().await {
            ended.unwrap().unwrap();
        }
    });
}
