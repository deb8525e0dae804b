//! What the vault service says of this machine: whether it can be reached and proves who it is, and whether it lets the agent in.

use super::Findings;
use crate::failure::Failure;
use crate::local::{LET_IN_AGAIN, Protector};
use crate::terminal;
use agent::Trust;
use api::{AgentHello, Scope, ServiceVault};
use contract::ErrorKind;
use std::time::Duration;

/// A clock that is off by more than this starts runs at the wrong time.
const SKEW_MS_MAX: i64 = 60_000;
/// The doctor does not wait longer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Answers the connection, if the agent is let in.
pub(super) async fn look(findings: &mut Findings, protector: &Protector) -> Option<ServiceVault> {
    let client = match connect(protector) {
        Ok(client) => client,
        Err(failure) => {
            findings.failed("service", &failure);
            return None;
        }
    };
    if let Err(error) = client.reach().await {
        let what = if error.kind() == ErrorKind::Denied { "authority" } else { "service" };
        let away = error.kind() == ErrorKind::Unavailable && error.hint().is_none();
        let mut failure = Failure::from(error);
        if away {
            failure =
                failure.with_hint("is the service running, and may this machine reach that port? until then schedules go on");
        }
        findings.failed(what, &failure);
        return None;
    }
    authority(findings, protector);
    if !token(findings, protector, &client).await {
        return None;
    }
    certificate(findings, protector, &client).await;
    clock(findings, protector, &client).await;
    Some(client)
}

fn connect(protector: &Protector) -> Result<ServiceVault, Failure> {
    let options = api::ServiceOptions { patience: PATIENCE, ..protector.login.options()? };
    Ok(ServiceVault::new(options)?)
}

fn authority(findings: &mut Findings, protector: &Protector) {
    match protector.login.authority() {
        Ok(Some(authority)) => {
            let shown: String = authority.to_string().chars().take(16).collect();
            findings.well(
                "service",
                format!("{} is there, and its certificate comes from the pinned authority {shown}…", protector.address),
            );
        }
        Ok(None) => {
            findings.well("service", format!("{} is there, with a certificate that the system trusts", protector.address))
        }
        Err(failure) => findings.failed("authority", &failure),
    }
}

async fn token(findings: &mut Findings, protector: &Protector, client: &ServiceVault) -> bool {
    match client.own_scope().await {
        Ok(Scope::Agent { domain, agent }) if domain == protector.domain && agent == protector.secrets.signer.key() => {
            findings.well("token", "good for this agent and its domain");
            true
        }
        Ok(Scope::Agent { .. }) => {
            findings.broken(
                "token",
                "it is another agent's",
                "'holdfast agent enroll --again', or 'holdfast agent enroll --replace' with a token of 'holdfast agent token'",
            );
            false
        }
        Ok(Scope::Administrator) => {
            let mend = "'holdfast key write-only --only' exchanges it for an agent's";
            findings.look("token", "it is an administrator's: whoever has this machine has the service", mend);
            true
        }
        Err(error) => {
            let denied = error.kind() == ErrorKind::Denied;
            let failure = Failure::from(error);
            findings.failed("token", &if denied { failure.with_hint(LET_IN_AGAIN) } else { failure });
            false
        }
    }
}

async fn certificate(findings: &mut Findings, protector: &Protector, client: &ServiceVault) {
    let descriptor = match protector.witness().look(client).await {
        Ok(descriptor) => descriptor,
        Err(trouble) => {
            let mend = trouble.hint().unwrap_or("compare the vault with other copies before you trust it").to_owned();
            return findings.broken("vault", trouble.message(), mend);
        }
    };
    let key = protector.secrets.signer.key();
    let own = || descriptor.certificates.iter().filter(|known| known.agent == key && known.domain == protector.domain);
    let mend = "'holdfast agent token' where the owner's key is, then 'holdfast agent enroll --replace' here";
    match own().next() {
        None => findings.broken("certificate", "the owner has not certified this agent", mend),
        Some(_) if own().all(|known| known.retired) => {
            findings.broken("certificate", "the owner retired this agent: it adds no points any more", mend);
        }
        Some(_) => findings.well("certificate", "the owner certified this agent for its domain"),
    }
}

async fn clock(findings: &mut Findings, protector: &Protector, client: &ServiceVault) {
    let hello = AgentHello {
        agent: protector.secrets.signer.key(),
        host: terminal::host_name(),
        program: concat!("holdfast ", env!("CARGO_PKG_VERSION")).to_owned(),
        time_ms: terminal::now_ms(),
    };
    let first = async { client.listen_for_commands(protector.domain, &hello).await?.next().await };
    match tokio::time::timeout(PATIENCE, first).await {
        Ok(Ok(Some(notice))) => {
            let ahead_ms = terminal::now_ms().saturating_sub(notice.time_ms);
            let off = terminal::seconds(Duration::from_millis(ahead_ms.unsigned_abs()));
            match ahead_ms.abs() <= SKEW_MS_MAX {
                true => findings.well("clock", format!("within {off} of the service's")),
                false => {
                    let side = if ahead_ms > 0 { "ahead of" } else { "behind" };
                    let mend = "let the machine set its clock by the network (timedatectl set-ntp true), here or there";
                    findings.look("clock", format!("{off} {side} the service's: runs start at the wrong time"), mend);
                }
            }
            findings.well(
                "commands",
                format!("the stream of commands works; {}", terminal::counted(notice.waiting, "job waits", "jobs wait")),
            );
        }
        Ok(Ok(None)) | Err(_) => {
            let mend = "does something between this machine and the service hold answers back, or end long ones?";
            findings.broken("commands", "the stream of commands brings nothing", mend);
        }
        Ok(Err(error)) => findings.failed("commands", &Failure::from(error)),
    }
}
