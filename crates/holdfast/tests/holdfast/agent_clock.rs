//! Agents whose clocks are an hour off: their own runs move, and nothing else does.

use crate::site::{Site, now_ms};
use agent::Clock;
use api::{Job, JobOrigin, JobRequest, JobState, Work};
use format::{DomainId, ItemName, JobId};
use policy::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::watch;

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;

/// A clock that is wrong until it is set.
struct Wrong(AtomicI64);

impl Clock for Wrong {
    fn now(&self) -> Timestamp {
        Timestamp::from_millisecond(now_ms() + self.0.load(Ordering::Relaxed)).unwrap()
    }
}

/// Slots that a domain's jobs ran for, each with how often.
fn slots(jobs: &[Job], domain: DomainId) -> BTreeMap<i64, usize> {
    let mut slots = BTreeMap::new();
    for job in jobs.iter().filter(|job| job.domain == domain) {
        if let JobOrigin::Schedule { slot_ms, .. } = job.origin {
            assert!(!job.state.is_over() || job.state == JobState::Succeeded, "{job:?}");
            *slots.entry(slot_ms).or_default() += 1;
        }
    }
    slots
}

async fn until_jobs(site: &Site, what: &str, enough: impl Fn(&[Job]) -> bool) -> Vec<Job> {
    let started = Instant::now();
    loop {
        let jobs = site.jobs().await;
        if enough(&jobs) && jobs.iter().all(|job| job.state.is_over()) {
            return jobs;
        }
        assert!(started.elapsed() < Duration::from_secs(200), "waited too long until {what}: {jobs:#?}");
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

#[test]
fn an_agent_an_hour_off_runs_each_slot_once_and_nothing_of_it_expires_early_or_late() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    // A minute that leaves time to enrol, however busy the machine is; one of these slots is due then for each of the clocks.
    let slot_ms = (now_ms() + MINUTE_MS) / MINUTE_MS * MINUTE_MS + MINUTE_MS;
    let site = Site::new(&[slot_ms, slot_ms + HOUR_MS], 1);
    runtime.block_on(async {
        site.set_policy().await;
        let item = ItemName::new("files").unwrap();
        let (end, ended) = watch::channel(());
        let mut running = tokio::task::JoinSet::new();
        let mut start = async |number, ahead_ms| {
            let clock = Arc::new(Wrong(AtomicI64::new(ahead_ms)));
            let agent = site.enrol(number, clock.clone()).await;
            let (domain, mut ended) = (agent.domain, ended.clone());
            running.spawn(async move { agent::run(agent, async move { drop(ended.changed().await) }).await });
            (domain, clock)
        };
        let ((ahead, fast), (behind, slow)) = (start(1, HOUR_MS).await, start(2, -HOUR_MS).await);
        // The clock of the third is ahead when it starts, and set before anything of it is due.
        let (corrected, clock) = start(3, 12 * HOUR_MS).await;
        let started = Instant::now();
        while site.connected().await < 3 {
            assert!(started.elapsed() < Duration::from_secs(60), "not all agents came");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        clock.0.store(0, Ordering::Relaxed);

        // To the one an hour passed since it was asked to protect: it makes up for one slot and has the next in time.
        let jobs = until_jobs(&site, "the agent that is ahead ran", |jobs| slots(jobs, ahead).len() == 2).await;
        assert!(now_ms() >= slot_ms, "the second slot is due an hour later by its clock");
        assert_eq!(slots(&jobs, ahead), BTreeMap::from([(slot_ms, 1), (slot_ms + HOUR_MS, 1)]));
        // To the one that is behind it is asked to protect since an hour that is yet to come. Whether yesterday's slot was before that it
        // cannot know, and rather makes a point too many.
        let yesterday = slot_ms + HOUR_MS - 24 * HOUR_MS;
        assert_eq!(slots(&jobs, behind), BTreeMap::from([(yesterday, 1)]));
        for agent in site.administrator.agents().await.unwrap().agents {
            let expected_ms = BTreeMap::from([(ahead, HOUR_MS), (behind, -HOUR_MS)]).get(&agent.domain).copied();
            let Some(expected_ms) = expected_ms else { continue };
            assert!((agent.ahead_ms - expected_ms).abs() < MINUTE_MS, "{agent:?}");
        }

        until_jobs(&site, "the agent whose clock was set ran", |jobs| slots(jobs, corrected).contains_key(&slot_ms)).await;

        // Both clocks are set: what ran does not run again, and what was not run is made up for.
        fast.0.store(0, Ordering::Relaxed);
        slow.0.store(0, Ordering::Relaxed);
        until_jobs(&site, "the agent that was behind ran", |jobs| slots(jobs, behind).contains_key(&slot_ms)).await;
        tokio::time::sleep(Duration::from_secs(5)).await;
        let jobs = site.jobs().await;
        assert_eq!(slots(&jobs, ahead), BTreeMap::from([(slot_ms, 1), (slot_ms + HOUR_MS, 1)]));
        assert_eq!(slots(&jobs, behind), BTreeMap::from([(yesterday, 1), (slot_ms, 1)]));

        // Where a point stands in the calendar, and how long it lives, says the service's clock.
        for (domain, count) in [(ahead, 2), (behind, 2)] {
            let request = JobRequest { job: JobId(domain.0), work: Work::Retention };
            site.administrator.begin_job(domain, &request).await.unwrap();
            until_jobs(&site, "retention ran", |jobs| jobs.iter().any(|job| job.job == request.job)).await;
            let list = site.administrator.item_points(domain, &item).await.unwrap();
            assert_eq!(list.points.len(), count);
            for point in list.points {
                assert!((list.now_ms - point.place_ms).abs() < 5 * MINUTE_MS, "{point:?}");
                assert_eq!(point.deleted_ms, None, "{point:?}");
            }
        }
        end.send_replace(());
        while let Some(ended) = running.join_next().await {
            ended.unwrap().unwrap();
        }
    });
}
