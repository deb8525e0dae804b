//! What the service hears of jobs: now and then while they run, and once for certain when they are over.
//!
//! Invariant: a report of a job that runs never follows one that it is over, because its teller has ended by then.

use crate::agent::Shared;
use crate::limits::{FINAL_REPORT, LIVE_REPORT, REPORT_EVERY};
use crate::runner::{Cause, Control, Record};
use api::JobReport;
use contract::ErrorKind;
use format::JobId;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// A report is sent so often within a lease.
const REPORTS_PER_LEASE: u32 = 3;

/// A job whose service hears of it while it runs.
pub(crate) struct Telling {
    pub(crate) job: JobId,
    pub(crate) record: Arc<Record>,
    pub(crate) control: Control,
    /// Told when the service has heard of the job, or does not want to.
    pub(crate) heard: oneshot::Sender<()>,
}

/// Tells until it is told to stop. A service that is away hears nothing; one whose job somebody else has taken stops this one.
pub(crate) async fn tell(shared: Arc<Shared>, telling: Telling, mut stopped: oneshot::Receiver<()>) {
    let Telling { job, record, control, heard } = telling;
    let mut heard = Some(heard);
    let mut every = REPORT_EVERY;
    loop {
        let report = record.live();
        let sent = shared.control.report_job(shared.agent.domain, job, &report);
        let sent = tokio::time::timeout(LIVE_REPORT, sent).await;
        if sent.as_ref().is_ok_and(|sent| sent.as_ref().err().is_none_or(|error| !error.kind().is_passing())) {
            // Who waits for it may have given up.
            heard.take().map(|heard| heard.send(()));
        }
        match sent {
            Ok(Ok(orders)) => {
                if orders.cancel {
                    control.stop(Cause::Asked);
                }
                let lease = Duration::from_secs(orders.lease_seconds.max(u64::from(REPORTS_PER_LEASE)));
                every = REPORT_EVERY.min(lease / REPORTS_PER_LEASE);
            }
            Ok(Err(error)) if error.kind() == ErrorKind::Conflict => control.stop(Cause::Taken),
            Ok(Err(error)) => tracing::debug!(%job, %error, "the service did not hear of a job that runs"),
            Err(_) => tracing::debug!(%job, "the service did not hear of a job that runs in time"),
        }
        tokio::select! {
            _ = &mut stopped => return,
            () = tokio::time::sleep(every) => {}
        }
    }
}

/// What became of a report.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// The service has it.
    Taken,
    /// The service does not want it, now or ever.
    Unwanted(String),
    /// It has to be sent again.
    Later(String),
}

/// Sends the report of a job that is over.
pub(crate) async fn deliver(shared: Arc<Shared>, job: JobId, report: JobReport) -> Delivery {
    let sent = shared.control.report_job(shared.agent.domain, job, &report);
    match tokio::time::timeout(FINAL_REPORT, sent).await {
        Ok(Ok(_)) => Delivery::Taken,
        Ok(Err(error)) => match error.kind() {
            ErrorKind::Conflict | ErrorKind::Invalid | ErrorKind::NotFound => Delivery::Unwanted(error.to_string()),
            // Of an agent that this machine was before it was enrolled anew: it will never be let in.
            ErrorKind::Denied if report.agent != shared.agent.secrets.signer.key() => Delivery::Unwanted(error.to_string()),
            _ => Delivery::Later(error.to_string()),
        },
        Err(_) => Delivery::Later("the vault service took too long".to_owned()),
    }
}
