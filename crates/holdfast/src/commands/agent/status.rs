//! `holdfast agent status`

use crate::cli::Global;
use crate::failure::{Exit, Failure, Outcome};
use crate::local::{Protector, VaultPlace, open_keyless};
use crate::terminal::{Json, say};
use contract::{PointFilter, Vault};

pub(crate) async fn run(global: &Global) -> Outcome<Exit> {
    // As the agent itself: without a name it is the vault that the machine is enrolled in.
    let vault = match &global.vault {
        Some(place) => place.clone(),
        None => VaultPlace::Service(Protector::find(global)?.address),
    };
    let opened = open_keyless(&Global { vault: Some(vault), ..global.clone() }).await?;
    let Some(keys) = opened.agent_keys()? else {
        return Err(Failure::new(Exit::Failed, "this machine is not enrolled in this vault")
            .with_hint("'holdfast agent token NAME' where the owner's key is, then 'holdfast agent enroll' here"));
    };
    let agent = keys.agent();
    let name = opened.descriptor.domain(keys.domain).map(|entry| entry.name.clone());
    let retired = opened.descriptor.certificates.iter().any(|known| known.agent == agent && known.retired);
    let points = match &name {
        Some(_) => {
            let domain = Vault::domain(opened.vault.as_ref(), keys.domain).await?;
            domain.points(PointFilter { item: None, deleted: false }).await?.len()
        }
        None => 0,
    };
    let known = name.is_some() && !retired;
    if global.json {
        let mut json = Json::new("agent");
        json.set("vault", opened.descriptor.vault.to_string());
        json.set("place", opened.place.to_string());
        json.set("domain", keys.domain.to_string());
        json.set("domain_name", name);
        json.set("agent", agent.to_string());
        json.set("retired", retired);
        json.set("points", points);
        json.print();
    } else {
        say!("vault   {} at {}", opened.descriptor.vault, opened.place);
        say!("domain  {}", name.as_deref().unwrap_or("the vault does not know it"));
        say!("agent   {}{}", &agent.to_string()[..16], if retired { " (retired: it may add nothing)" } else { "" });
        say!("points  {points}");
    }
    Ok(if known { Exit::Clean } else { Exit::Refused })
}
