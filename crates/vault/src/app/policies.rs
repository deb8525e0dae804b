//! Policies: what the rules of protection are called and say.
//!
//! Invariant: a policy that protects less than the one before takes its place only if that was meant.

use super::App;
use crate::db::PolicyRow;
use api::limits::POLICIES_MAX;
use api::{PolicyBody, PolicyList, PolicyName, PolicyRequest};
use contract::{Error, ErrorKind, Result};
use format::DomainId;
use policy::{Policy, PolicySettings};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

/// Policies that were checked: what checks one looks at years of slots.
#[derive(Default)]
pub(crate) struct Checked(Mutex<HashMap<PolicyName, Arc<Policy>>>);

impl Checked {
    /// The policy of these settings.
    pub(crate) fn get(&self, name: &PolicyName, settings: &PolicySettings) -> Result<Arc<Policy>> {
        if let Some(known) = self.known().get(name).filter(|known| known.settings() == settings) {
            return Ok(known.clone());
        }
        let policy = Arc::new(checked(settings.clone())?);
        self.known().insert(name.clone(), policy.clone());
        Ok(policy)
    }

    fn known(&self) -> MutexGuard<'_, HashMap<PolicyName, Arc<Policy>>> {
        self.0.lock().expect("no panic under this lock")
    }
}

impl App {
    pub(crate) async fn policies(&self) -> Result<PolicyList> {
        Ok(PolicyList { policies: self.database.policies().await?.into_iter().map(body).collect() })
    }

    pub(crate) async fn policy(&self, name: &PolicyName) -> Result<PolicyBody> {
        self.database.policy(name).await?.map(body).ok_or_else(|| no_such_policy(name))
    }

    /// Sets a policy: it holds for all items that have it, at once.
    pub(crate) async fn set_policy(&self, name: &PolicyName, request: PolicyRequest) -> Result<PolicyBody> {
        let policy = checked(request.settings)?;
        let now_ms = self.time.wall_ms();
        let mut change = self.database.change().await?;
        let before = change.policy(name).await?;
        let domains = change.domains_of_policy(name).await?;
        if before.as_ref().is_some_and(|before| before.settings == *policy.settings()) {
            drop(change);
            self.pass_turns(&domains).await;
            return self.policy(name).await;
        }
        match &before {
            Some(before) => refuse_weakenings(&weakenings(&policy, &before.settings)?, request.weaken)?,
            None if change.count_policies().await? >= POLICIES_MAX as u64 => {
                return Err(Error::new(
                    ErrorKind::Conflict,
                    format!("the service has {POLICIES_MAX} policies, and takes no more"),
                ));
            }
            None => {}
        }
        change.put_policy(name, policy.settings(), now_ms).await?;
        if before.as_ref().is_some_and(|before| has_other_slots(&before.settings, policy.settings())) {
            change.restart_schedules(name, now_ms).await?;
        }
        for domain in &domains {
            change.revise(*domain, now_ms).await?;
        }
        change.commit().await?;
        domains.iter().for_each(|domain| self.listeners.tell(*domain));
        tracing::info!(policy = %name, "a policy was set");
        self.pass_turns(&domains).await;
        self.policy(name).await
    }

    /// Waits until what began by an older policy is over: it stops by itself where it would go on by that one.
    async fn pass_turns(&self, domains: &[DomainId]) {
        for domain in domains {
            self.turns.pass(*domain).await;
        }
    }

    /// Removes a policy that no item has.
    pub(crate) async fn remove_policy(&self, name: &PolicyName) -> Result<()> {
        let mut change = self.database.change().await?;
        let row = change.policy(name).await?.ok_or_else(|| no_such_policy(name))?;
        if row.items > 0 {
            return Err(Error::new(ErrorKind::Conflict, format!("policy '{name}' is that of {} items", row.items))
                .with_hint("give them another policy first"));
        }
        change.remove_policy(name).await?;
        change.commit().await?;
        self.checked.known().remove(name);
        tracing::info!(policy = %name, "a policy was removed");
        Ok(())
    }
}

/// Settings that hold, or everything that is wrong with them.
pub(crate) fn checked(settings: PolicySettings) -> Result<Policy> {
    Policy::new(settings).map_err(|error| Error::new(ErrorKind::Invalid, error.to_string()))
}

/// What would protect less.
pub(crate) fn weakenings(policy: &Policy, before: &PolicySettings) -> Result<Vec<String>> {
    let before = checked(before.clone())?;
    Ok(policy.weakenings(&before).iter().map(ToString::to_string).collect())
}

/// Whoever protects less has to mean it.
pub(crate) fn refuse_weakenings(weakenings: &[String], meant: bool) -> Result<()> {
    if meant || weakenings.is_empty() {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Denied, format!("that would protect less: {}", weakenings.join("; ")))
        .with_hint("say that it may protect less: 'weaken', which is --weaken in a command"))
}

/// Whether slots of the one are not slots of the other: what was due by the old ones was not missed by the new ones.
pub(crate) fn has_other_slots(one: &PolicySettings, other: &PolicySettings) -> bool {
    one.schedules != other.schedules || one.time_zone != other.time_zone
}

pub(crate) fn no_such_policy(name: &PolicyName) -> Error {
    Error::new(ErrorKind::NotFound, format!("there is no policy '{name}'"))
        .with_hint("'holdfast policy list' lists them; 'holdfast policy set' makes one")
}

fn body(row: PolicyRow) -> PolicyBody {
    PolicyBody { policy: row.name, settings: row.settings, changed_ms: row.changed_ms, items: row.items }
}

#[cfg(test)]
mod tests {
    use super::App;
    use crate::config::Config;
    use crate::db::ItemRow;
    use crate::time::SystemClocks;
    use api::{FileScope, PolicyName, PolicyRequest};
    use format::{DomainId, ItemName};
    use policy::PolicySettings;
    use std::sync::Arc;
    use std::time::Duration;

    #[tokio::test]
    async fn whoever_sets_another_policy_is_answered_once_nothing_goes_by_the_old_one() {
        let directory = tempfile::tempdir().unwrap();
        let config = Config { data: directory.path().to_owned(), ..Config::default() };
        let app = App::open(config, Arc::new(SystemClocks::new())).await.unwrap();
        let (domain, name): (_, PolicyName) = (DomainId([1; 16]), "nightly".parse().unwrap());
        let request = |text: &str| PolicyRequest { settings: PolicySettings::new(text, "UTC"), weaken: true };
        app.set_policy(&name, request("one")).await.unwrap();
        let row = ItemRow {
            domain,
            name: ItemName::new("item").unwrap(),
            files: FileScope { paths: vec!["/srv".to_owned()], ..FileScope::default() },
            policy: Some(name.clone()),
            settings: None,
            since_ms: 1,
            protected_ms: None,
            last_slot_ms: None,
            review: None,
            accepted: None,
        };
        let mut change = app.database.change().await.unwrap();
        change.put_item(&row).await.unwrap();
        change.commit().await.unwrap();
        let turn = app.turns.of(domain).await;
        // The same again, and an item that goes, are answered no sooner either.
        for _ in 0..2 {
            let setting = app.set_policy(&name, request("two"));
            assert!(tokio::time::timeout(Duration::from_millis(300), setting).await.is_err());
            assert_eq!(app.policy(&name).await.unwrap().settings.name, "two", "it holds all the same");
        }
        assert!(tokio::time::timeout(Duration::from_millis(300), app.remove_item(domain, &row.name)).await.is_err());
        drop(turn);
        app.set_policy(&name, request("two")).await.unwrap();
    }
}
