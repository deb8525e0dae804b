//! A service with agents of the real library that run in this process: many of them, or some whose clocks are wrong.

use crate::machine::Machine;
use crate::service_process::ServiceProcess;
use agent::{Agent, Bounds, Clock, Places, Secrets, Seen, Trouble, TroubleKind, Trust};
use api::{EnrolRequest, FileScope, ItemRequest, Job, JobsQuery, PolicyRequest, ServiceOptions, ServiceVault};
use contract::Vault;
use format::descriptor::Descriptor;
use format::enrolment::{Enrolment, Ticket};
use format::signature::Signature;
use format::{DomainId, ItemName, OwnerKey};
use policy::{Days, PolicySettings, Schedule, Times, Timestamp};
use seal::{AgentKeys, AgentSigner, EnrolmentToken, OwnerSeed};
use secrecy::{ExposeSecret, SecretString};
use std::collections::BTreeMap;
use std::fs;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};
use testkit::Rng;

pub(crate) fn now_ms() -> i64 {
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
pub(crate) struct Site {
    pub(crate) service: ServiceProcess,
    owner: Machine,
    seed: OwnerSeed,
    pub(crate) administrator: ServiceVault,
    pub(crate) policy: PolicySettings,
}

impl Site {
    /// Every item of it has slots in these minutes (milliseconds since 1970) of every day.
    pub(crate) fn new(slots_ms: &[i64], spread_minutes: u32) -> Self {
        let machine = Machine::new();
        let service = ServiceProcess::start(&machine, "");
        let owner = service.take(machine);
        let seed = seal::read_kit(&fs::read_to_string(owner.path("kit")).unwrap()).unwrap().1;
        let token = SecretString::from(fs::read_to_string(owner.service_token()).unwrap());
        let authority = Some(service.authority().parse().unwrap());
        let administrator = ServiceVault::new(ServiceOptions::new(service.url().parse().unwrap(), authority, token)).unwrap();
        let source = owner.path("source");
        (0..5_u8).for_each(|file| fs::write(source.join(file.to_string()), [file; 3000]).unwrap());
        let at = |ms: &i64| Timestamp::from_millisecond(*ms).unwrap().to_string()[11..16].parse().unwrap();
        let schedules = vec![Schedule { days: Days::Daily, times: Times::At(slots_ms.iter().map(at).collect()) }];
        let policy = PolicySettings { schedules, spread_minutes, ..PolicySettings::new("site", "UTC") };
        Self { service, owner, seed, administrator, policy }
    }

    pub(crate) async fn set_policy(&self) {
        let request = PolicyRequest { settings: self.policy.clone(), weaken: false };
        self.administrator.set_policy(&"site".parse().unwrap(), &request).await.unwrap();
    }

    /// Enrols a machine of this number, protects the source as its item, and answers its agent.
    pub(crate) async fn enrol(&self, number: u64, clock: Arc<dyn Clock>) -> Agent {
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
        let item = ItemRequest { files, policy: Some("site".parse().unwrap()), weaken: false };
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
            clock,
            once: false,
        }
    }

    pub(crate) async fn connected(&self) -> usize {
        let agents = self.administrator.agents().await;
        agents.map_or(0, |list| list.agents.iter().filter(|agent| agent.connected).count())
    }

    pub(crate) async fn jobs(&self) -> Vec<Job> {
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
