//! Many agents of one service: none misses a slot, they come back without a stampede when the service was killed, and what the service needs
//! for them is bounded.
//!
//! 20 agents for 2 minutes; `HOLDFAST_MANY_AGENTS=1000 HOLDFAST_MANY_MINUTES=10 HOLDFAST_MANY_EVERY=5` for more. The agents are the
//! real library, in this process; the service is a process of its own.

use crate::machine::Machine;
use crate::service_process::ServiceProcess;
use agent::{Agent, Bounds, Places, Secrets, Seen, SystemClock, Trouble, TroubleKind, Trust};
use api::{EnrolRequest, FileScope, ItemRequest, Job, JobOrigin, JobsQuery, PolicyRequest, ServiceOptions, ServiceVault};
use contract::Vault;
use format::descriptor::Descriptor;
use format::enrolment::{Enrolment, Ticket};
use format::signature::Signature;
use format::{DomainId, ItemName, OwnerKey};
use policy::{Days, Policy, PolicySettings, Schedule, Times, Timestamp};
use seal::{AgentKeys, AgentSigner, EnrolmentToken, OwnerSeed};
use secrecy::{ExposeSecret, SecretString};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use testkit::Rng;
use tokio::sync::watch;

const MINUTE_MS: i64 = 60_000;

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap())
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64
}

/// Pins the owner, and remembers in memory.
struct InMemory {
    owner: OwnerKey,
    seen: Mutex<BTreeMap<ItemName, engine::Remembered>>,
}

#[async_trait::async_trait]
impl Trust for InMemory {
    async fn look(&self, service: &ServiceVault) -> Result<Arc<Descriptor>, Trouble> {
        let untrusted = |error: format::FormatError| Trouble::new(TroubleKind::Failed, "not signed by the owner").because(&error);
        let mut descriptor = Descriptor::open(&service.descriptor().await?, Some(&self.owner)).map_err(untrusted)?;
        let enrolled = service.enrolments().await?;
        let enrolled: Vec<Enrolment> = enrolled.iter().filter_map(|bytes| Enrolment::open(bytes, &descriptor).ok()).collect();
        descriptor.admit(&enrolled);
        Ok(Arc::new(descriptor))
    }

    async fn look_at(&self, service: &ServiceVault, _: DomainId, item: &ItemName) -> Result<Seen, Trouble> {
        let remembered = self.seen.lock().unwrap().get(item).cloned();
        Ok(Seen { descriptor: self.look(service).await?, remembered, warning: None })
    }

    fn sequence(&self, _: DomainId, item: &ItemName) -> u64 {
        self.seen.lock().unwrap().get(item).map_or(0, |seen| seen.sequence.0)
    }

    fn remember(&self, _: DomainId, seen: &engine::Remembered) -> Result<(), Trouble> {
        self.seen.lock().unwrap().insert(seen.item.clone(), seen.clone());
        Ok(())
    }
}

/// A service with an administrator and an owner, and a policy.
struct Site {
    service: ServiceProcess,
    owner: Machine,
    seed: OwnerSeed,
    administrator: ServiceVault,
    policy: PolicySettings,
}

impl Site {
    /// Slots at every so many minutes, from the next full minute but one on.
    fn new(minutes: u64, every: u64) -> Self {
        let machine = Machine::new();
        let service = ServiceProcess::start(&machine, "");
        let owner = service.take(machine);
        let seed = seal::read_kit(&fs::read_to_string(owner.path("kit")).unwrap()).unwrap().1;
        let token = SecretString::from(fs::read_to_string(owner.service_token()).unwrap());
        let authority = Some(service.authority().parse().unwrap());
        let administrator = ServiceVault::new(ServiceOptions::new(service.url().parse().unwrap(), authority, token)).unwrap();
        let source = owner.path("source");
        (0..5_u8).for_each(|file| fs::write(source.join(file.to_string()), [file; 3000]).unwrap());
        let slots = (0..minutes.div_ceil(every)).map(|slot| 1 + (slot * every) as i64);
        // Enrolling takes its time: the first slot is due when all are there.
        let begin_ms = now_ms() + i64::try_from(number("HOLDFAST_MANY_AGENTS", 20)).unwrap() * 100;
        let at = |minute: i64| {
            let time = Timestamp::from_millisecond(begin_ms + minute * MINUTE_MS).unwrap().to_string();
            time[11..16].parse().unwrap()
        };
        let schedules = vec![Schedule { days: Days::Daily, times: Times::At(slots.map(at).collect()) }];
        let policy = PolicySettings { schedules, spread_minutes: every as u32, ..PolicySettings::new("many", "UTC") };
        Self { service, owner, seed, administrator, policy }
    }

    /// Enrols a machine of this number, protects the source as its item, and answers its agent.
    async fn enrol(&self, number: u64) -> Agent {
        let mut rng = Rng::new(number);
        let (domain, one_time) = (DomainId(rng.bytes()), AgentSigner::generate());
        let descriptor = Descriptor::open(&self.administrator.descriptor().await.unwrap(), None).unwrap();
        let ticket = self.seed.sign_ticket(Ticket {
            vault: descriptor.vault,
            one_time: one_time.key(),
            domain,
            name: format!("machine-{number}"),
            items: Vec::new(),
            expires_ms: i64::MAX,
            service: self.service.url(),
            authority: None,
            owner_public: EnrolmentToken::hash_of(&descriptor.owner_public),
            signature: Signature([0; 64]),
        });
        let (token, keys) = (EnrolmentToken { owner: descriptor.owner, one_time, ticket }, AgentKeys::generate(domain));
        let enrolment = token.enrol(&descriptor.owner_public, &keys, now_ms()).unwrap();
        let secret = SecretString::from(api::token_text(rng.bytes(), &rng.bytes()));
        let hash = api::token_hash(secret.expose_secret());
        let digits = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let request = EnrolRequest {
            enrolment: enrolment.encode().into(),
            name: format!("machine-{number}"),
            token_id: api::token_id(secret.expose_secret()).unwrap().to_owned(),
            token_hash: digits(&hash),
            proof: digits(&keys.signer.prove(&api::token_statement(descriptor.vault, domain, &hash)).0),
        };
        self.administrator.enrol(&request).await.unwrap();
        let paths = vec![self.owner.text("source")];
        let files = FileScope { paths, ..FileScope::default() };
        let item = ItemRequest { files, policy: Some("many".parse().unwrap()), weaken: false };
        self.administrator.set_item(domain, &ItemName::new("files").unwrap(), &item).await.unwrap();
        let authority = Some(self.service.authority().parse().unwrap());
        let state = self.owner.path(&format!("state/{number}"));
        Agent {
            service: ServiceOptions::new(self.service.url().parse().unwrap(), authority, secret),
            domain,
            secrets: Secrets { writer: keys.secret.writer(domain), signer: Arc::new(keys.signer), secret: Some(keys.secret) },
            trust: Arc::new(InMemory { owner: descriptor.owner, seen: Mutex::default() }),
            bounds: Bounds::default(),
            places: Places { staging: state.join("restores"), state, own: Vec::new() },
            host: format!("machine-{number}"),
            program: "test".to_owned(),
            clock: Arc::new(SystemClock),
            once: false,
        }
    }

    async fn connected(&self) -> usize {
        let agents = self.administrator.agents().await;
        agents.map_or(0, |list| list.agents.iter().filter(|agent| agent.connected).count())
    }

    async fn jobs(&self) -> Vec<Job> {
        let mut jobs: Vec<Job> = Vec::new();
        loop {
            let query = JobsQuery { after: jobs.last().map(|job| job.job), ..JobsQuery::default() };
            let page = self.administrator.jobs(&query).await.unwrap();
            jobs.extend(page.jobs);
            if !page.more {
                return jobs;
            }
        }
    }
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
    let mut site = Site::new(minutes, every);
    runtime.block_on(async {
        let request = PolicyRequest { settings: site.policy.clone(), weaken: false };
        site.administrator.set_policy(&"many".parse().unwrap(), &request).await.unwrap();
        let (end, ended) = watch::channel(());
        let mut running = tokio::task::JoinSet::new();
        let mut domains = BTreeSet::new();
        for number in 0..agents {
            let agent = site.enrol(number).await;
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
