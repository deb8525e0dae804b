//! What is protected: whether it is there, can be read and is allowed, and how its backups are doing.

use super::Findings;
use crate::failure::Failure;
use crate::local::Protector;
use crate::terminal;
use agent::{Bounds, Glance};
use api::{JobState, ProtectedItem, ServiceVault};
use policy::Policy;
use std::path::Path;

pub(super) async fn look(
    findings: &mut Findings,
    protector: &Protector,
    bounds: &Bounds,
    glance: &Glance,
    service: Option<&ServiceVault>,
) {
    let kept = glance.protection.as_ref().map(|kept| kept.protection.items.as_slice()).unwrap_or_default();
    let mut fresh = None;
    if let Some(service) = service {
        match service.protection(protector.domain).await {
            Ok(protection) => fresh = Some(protection.items),
            Err(error) => findings.failed("protection", &Failure::from(error)),
        }
    }
    let items = fresh.as_deref().unwrap_or(kept);
    for item in items {
        look_at(findings, bounds, item);
        if let Some(service) = service {
            look_at_backups(findings, protector, service, item).await;
        }
    }
    for name in bounds.least.keys() {
        if !items.iter().any(|item| item.item.as_str() == name) {
            let words = format!("agent.toml says what is at least in item '{name}', which the service does not protect");
            findings.look("bounds", words, "'holdfast item set' where the administrator is, or remove it from agent.toml");
        }
    }
}

/// Paths, bounds and hooks.
fn look_at(findings: &mut Findings, bounds: &Bounds, item: &ProtectedItem) {
    let name = &item.item;
    let scope = bounds.scope(name, &item.files);
    for refusal in &scope.refused {
        let words = format!("{name}: '{}': {}", refusal.path.display(), refusal.why);
        findings.look("item", words, "'allowed' of agent.toml says what may be backed up; or take the path out of the item");
    }
    for (path, why) in &scope.missing {
        let words = format!("{name}: '{}' is not there: {why}", path.display());
        findings.look("item", words, "mount or make it, or take the path out of the item: until then its points are incomplete");
    }
    let mut unreadable = scope.roots.iter().filter_map(|root| can_read(root).err().map(|error| (root, error))).peekable();
    if unreadable.peek().is_none() && !scope.roots.is_empty() {
        let paths = scope.roots.iter().map(|root| root.display().to_string()).collect::<Vec<_>>().join(", ");
        findings.well("item", format!("{name}: {paths}"));
    }
    for (root, error) in unreadable {
        let words = format!("{name}: '{}' cannot be read: {error}", root.display());
        findings.broken("item", words, "let the agent run as root, or with CAP_DAC_READ_SEARCH");
    }
    let Some(settings) = item.settings() else { return };
    if let Err(error) = Policy::new(settings.clone()) {
        findings.broken(
            "policy",
            format!("{name}: this program cannot use the policy: {error}"),
            "update Holdfast on this machine",
        );
    }
    for hook in [&settings.hooks.before, &settings.hooks.after].into_iter().flatten() {
        if let Err(trouble) = bounds.allow_hook(&hook.command) {
            let mend = trouble.hint().unwrap_or("see 'hook_commands' of agent.toml").to_owned();
            findings.look("hooks", format!("{name}: {}", trouble.message()), mend);
        }
    }
}

fn can_read(root: &Path) -> std::io::Result<()> {
    let metadata = std::fs::symlink_metadata(root)?;
    if metadata.is_dir() {
        std::fs::read_dir(root)?.next().transpose()?;
    } else if metadata.is_file() {
        std::fs::File::open(root)?;
    }
    Ok(())
}

async fn look_at_backups(findings: &mut Findings, protector: &Protector, service: &ServiceVault, item: &ProtectedItem) {
    let name = &item.item;
    let body = match service.item(protector.domain, name).await {
        Ok(body) => body,
        Err(error) => return findings.failed("backups", &Failure::from(error)),
    };
    if let Some(since_ms) = body.overdue_since_ms {
        let words = format!("{name}: overdue since {}", terminal::local(since_ms));
        findings.look("backups", words, "'holdfast job list' says what became of its last runs");
    }
    let last = body.last_job.filter(|last| matches!(last.state, JobState::Failed | JobState::Interrupted));
    if let Some(last) = last {
        let words = format!("{name}: its last job {} {}", last.job, last.state.as_str());
        findings.look("backups", words, format!("'holdfast job show {}' says why", last.job));
    } else if body.overdue_since_ms.is_none() {
        let newest = body.newest_ms.map_or_else(|| "none yet".to_owned(), terminal::local);
        let next = body.next_ms.map_or_else(|| "none by itself".to_owned(), terminal::local);
        findings.well("backups", format!("{name}: newest point {newest}, next run {next}"));
    }
}
