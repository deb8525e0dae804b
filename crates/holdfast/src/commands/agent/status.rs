//! `holdfast agent status`
//!
//! Invariant: what this machine knows of itself is shown whether the vault service answers or not.

use crate::cli::Global;
use crate::commands::at_service::span;
use crate::failure::{Exit, Failure, Outcome};
use crate::local::{Opened, Protector, VaultPlace, open_keyless};
use crate::terminal::{self, Json, error_json, note, say};
use agent::{Bounds, Glance, KeptProtection, glance, is_on_battery};
use api::ProtectedItem;
use contract::{PointFilter, Vault};
use format::{AgentKey, DomainId};
use policy::OnBattery;

pub(crate) async fn run(global: &Global) -> Outcome<Exit> {
    // As the agent itself: without a name it is the vault that the machine is enrolled in.
    let (vault, protector) = match (&global.vault, Protector::find(global)) {
        (Some(place), found) => (place.clone(), found.ok()),
        (None, found) => {
            let found = found?;
            (VaultPlace::Service(found.address.clone()), Some(found))
        }
    };
    let protector = protector.filter(|protector| protector.enrolled);
    let opened = open_keyless(&Global { vault: Some(vault), ..global.clone() }).await;
    match (opened, protector) {
        (Err(failure), None) => Err(failure),
        (Err(failure), Some(protector)) => {
            let status = Status::of(&protector);
            status.print(global, Some(&failure));
            Ok(failure.exit)
        }
        (Ok(opened), protector) => {
            let Some(keys) = opened.agent_keys()? else {
                return Err(Failure::new(Exit::Failed, "this machine is not enrolled in this vault")
                    .with_hint("'holdfast agent token NAME' where the owner's key is, then 'holdfast agent enroll' here"));
            };
            let (known, failure) = match known(&opened, keys.agent(), keys.domain).await {
                Ok(known) => (Some(known), None),
                Err(failure) => (None, Some(failure)),
            };
            let protector = protector.filter(|protector| protector.home.config == opened.home.config);
            let local = protector.and_then(|protector| look(&protector));
            let (vault, place) = (opened.descriptor.vault.to_string(), opened.place.to_string());
            let exit = match (&known, &failure) {
                (_, Some(failure)) => failure.exit,
                (Some(known), None) if known.name.is_none() || known.retired => Exit::Refused,
                _ => Exit::Clean,
            };
            let status = Status { vault, place, domain: keys.domain, agent: keys.agent(), local, known };
            status.print(global, failure.as_ref());
            Ok(exit)
        }
    }
}

/// What the vault says of the agent.
struct Known {
    /// Its domain's name, if the vault knows the domain.
    name: Option<String>,
    retired: bool,
    points: usize,
}

async fn known(opened: &Opened, agent: AgentKey, domain: DomainId) -> Outcome<Known> {
    let name = opened.descriptor.domain(domain).map(|entry| entry.name.clone());
    let retired = opened.descriptor.certificates.iter().any(|known| known.agent == agent && known.retired);
    let points = match &name {
        Some(_) => {
            let domain = Vault::domain(opened.vault.as_ref(), domain).await?;
            domain.points(PointFilter { item: None, deleted: false }).await?.len()
        }
        None => 0,
    };
    Ok(Known { name, retired, points })
}

/// What this machine knows of its agent.
struct Local {
    glance: Glance,
    /// Runs of some items wait until the machine is on mains.
    waits_for_mains: bool,
}

/// What the agent keeps on this machine, as far as it can be read.
fn look(protector: &Protector) -> Option<Local> {
    let places = protector.places(None);
    let looked = glance(&places.state);
    let glance = looked.map_err(|error| note!("warning: cannot look at '{}': {error}", places.state.display())).ok()?;
    // With a configuration that is wrong no agent runs; the doctor says so.
    let bounds = Bounds::load(&protector.bounds_path()).unwrap_or_default();
    let waits_for_mains = glance.protection.as_ref().is_some_and(may_pause) && is_on_battery(bounds.power_supplies());
    Some(Local { glance, waits_for_mains })
}

fn may_pause(kept: &KeptProtection) -> bool {
    let mut policies = kept.protection.items.iter().filter_map(ProtectedItem::settings);
    policies.any(|settings| settings.impact.on_battery == OnBattery::Pause)
}

/// An agent, as far as is known.
struct Status {
    vault: String,
    place: String,
    domain: DomainId,
    agent: AgentKey,
    local: Option<Local>,
    known: Option<Known>,
}

impl Status {
    /// What this machine knows.
    fn of(protector: &Protector) -> Self {
        Self {
            vault: protector.home.config.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            place: protector.address.to_string(),
            domain: protector.domain,
            agent: protector.secrets.signer.key(),
            local: look(protector),
            known: None,
        }
    }

    fn print(&self, global: &Global, failure: Option<&Failure>) {
        if global.json {
            return self.print_json(failure);
        }
        say!("vault    {} at {}", self.vault, self.place);
        match &self.known {
            Some(known) => say!(
                "domain   {}",
                known.name.as_ref().map_or("the vault does not know it".into(), |name| terminal::printable(name.as_bytes()))
            ),
            None => say!("domain   {}", self.domain),
        }
        let retired = self.known.as_ref().is_some_and(|known| known.retired);
        say!("agent    {}{}", &self.agent.to_string()[..16], if retired { " (retired: it may add nothing)" } else { "" });
        if let Some(local) = &self.local {
            print_local(&local.glance);
            if local.waits_for_mains {
                say!("power    paused: on battery; backups whose policy says so go on when the machine is on mains");
            }
        }
        match &self.known {
            Some(known) => say!("points   {}", known.points),
            None if failure.is_some_and(|failure| failure.exit == Exit::Unavailable) => {
                say!("points   not known: the vault service does not answer this machine");
            }
            None => say!("points   not known, for the reason below"),
        }
        if let Some(failure) = failure {
            note!("{failure}");
        }
    }

    fn print_json(&self, failure: Option<&Failure>) {
        let mut json = Json::new("agent");
        json.set("vault", self.vault.clone());
        json.set("place", self.place.clone());
        json.set("domain", self.domain.to_string());
        json.set("agent", self.agent.to_string());
        let (known, local) = (self.known.as_ref(), self.local.as_ref().map(|local| &local.glance));
        json.set("domain_name", known.and_then(|known| known.name.clone()));
        json.set("retired", known.map(|known| known.retired));
        json.set("points", known.map(|known| known.points));
        json.set("running", local.map(|local| local.running));
        json.set("jobs_under_way", local.map(|local| local.jobs.len()));
        json.set("waits_for_mains", self.local.as_ref().map(|local| local.waits_for_mains));
        json.set("reports_waiting", local.map(|local| local.reports));
        let kept = local.and_then(|local| local.protection.as_ref());
        json.set("items_protected", kept.map(|kept| kept.protection.items.len()));
        json.set("protection_received", kept.map(|kept| terminal::utc(kept.received_ms)));
        if let Some(failure) = failure {
            json.set("error", error_json(failure));
        }
        json.print();
    }
}

/// What the agent keeps on this machine.
fn print_local(local: &Glance) {
    match local.running {
        true => say!("runs     yes, with {} under way", terminal::counted(local.jobs.len() as u64, "job", "jobs")),
        false => say!("runs     no: nothing is backed up by itself; 'holdfast agent doctor' says why"),
    }
    match &local.protection {
        Some(kept) => {
            let items = terminal::counted(kept.protection.items.len() as u64, "item", "items");
            let ago = terminal::now_ms() - kept.received_ms;
            match ago < 0 {
                true => say!(
                    "items    {items} protected, as the service said at {}: this machine's clock was set back since",
                    terminal::utc(kept.received_ms)
                ),
                false => say!("items    {items} protected, as the service said {} ago", span(ago)),
            }
        }
        None => say!("items    not known yet: the agent asks the service when it runs"),
    }
    if local.reports > 0 {
        let reports = terminal::counted(local.reports as u64, "report of a job waits", "reports of jobs wait");
        say!("reports  {reports} for the service");
    }
    for damaged in &local.damaged {
        note!("warning: damaged: {damaged}");
    }
}
