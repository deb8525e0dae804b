//! `holdfast agent doctor`
//!
//! Invariant: it changes nothing, and one thing that is broken keeps no other from being looked at.

mod items;
mod machine;
mod service;

use crate::cli::Global;
use crate::failure::{Exit, Failure, Outcome};
use crate::local::{Directories, Protector};
use crate::terminal::{Json, say};
use agent::{Bounds, glance};
use serde_json::{Value, json};

/// How something is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Standing {
    /// Well.
    Well,
    /// Somebody should look at it.
    Look,
    /// It does not work.
    Broken,
}

impl Standing {
    fn as_str(self) -> &'static str {
        match self {
            Self::Well => "ok",
            Self::Look => "look",
            Self::Broken => "broken",
        }
    }
}

/// What was looked at, how it is doing, and how to mend it.
#[derive(Debug)]
struct Finding {
    what: &'static str,
    standing: Standing,
    words: String,
    mend: Option<String>,
}

/// All that was found, in the order in which one mends it.
#[derive(Debug, Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn well(&mut self, what: &'static str, words: impl Into<String>) {
        self.0.push(Finding { what, standing: Standing::Well, words: words.into(), mend: None });
    }

    fn look(&mut self, what: &'static str, words: impl Into<String>, mend: impl Into<String>) {
        self.0.push(Finding { what, standing: Standing::Look, words: words.into(), mend: Some(mend.into()) });
    }

    fn broken(&mut self, what: &'static str, words: impl Into<String>, mend: impl Into<String>) {
        self.0.push(Finding { what, standing: Standing::Broken, words: words.into(), mend: Some(mend.into()) });
    }

    /// What a command would fail of.
    fn failed(&mut self, what: &'static str, failure: &Failure) {
        let words = [failure.heading()].into_iter().chain(failure.causes().iter().map(String::as_str)).collect::<Vec<_>>();
        let mend = failure.hint().map(str::to_owned);
        self.0.push(Finding { what, standing: Standing::Broken, words: words.join(": "), mend });
    }

    fn worst(&self) -> Standing {
        self.0.iter().map(|finding| finding.standing).max().unwrap_or(Standing::Well)
    }
}

pub(super) async fn run(global: &Global) -> Outcome<Exit> {
    let mut findings = Findings::default();
    let directories = Directories::of_user();
    machine::configuration(&mut findings, &directories);
    match Protector::find(global) {
        Ok(protector) => look(&mut findings, &protector).await,
        Err(failure) => findings.failed("enrolment", &failure),
    }
    print(global, &findings);
    Ok(match findings.worst() {
        Standing::Well => Exit::Clean,
        Standing::Look => Exit::Warnings,
        Standing::Broken => Exit::Failed,
    })
}

async fn look(findings: &mut Findings, protector: &Protector) {
    let keys = if protector.enrolled { "its own keys" } else { "keys that write only, and restore nothing" };
    findings.well("enrolment", format!("domain {} at {}, with {keys}", protector.domain, protector.address));
    let bounds = match Bounds::load(&protector.bounds_path()) {
        Ok(bounds) => Some(bounds),
        Err(error) => {
            findings.failed("bounds", &Failure::from(error));
            None
        }
    };
    let reached = service::look(findings, protector).await;
    let glance = match glance(&protector.places(None).state) {
        Ok(glance) => glance,
        Err(error) => return findings.failed("state", &Failure::from(error)),
    };
    machine::state(findings, &glance);
    machine::supervisor(findings, glance.running);
    machine::rights(findings);
    if let Some(bounds) = &bounds {
        let staging = protector.places(bounds.staging.as_ref()).staging;
        machine::staging(findings, &staging);
        machine::journal(findings, bounds.journal);
        machine::sandbox(findings, &staging, &bounds.restore_to);
        items::look(findings, protector, bounds, &glance, reached.as_ref()).await;
    }
}

fn print(global: &Global, findings: &Findings) {
    if global.json {
        let list = findings.0.iter().map(|finding| {
            json!({
                "what": finding.what, "standing": finding.standing.as_str(), "words": finding.words, "mend": finding.mend,
            })
        });
        let mut json = Json::new("agent");
        json.set("standing", findings.worst().as_str());
        json.set("findings", list.collect::<Vec<Value>>());
        json.print();
        return;
    }
    for finding in &findings.0 {
        if global.quiet && finding.standing == Standing::Well {
            continue;
        }
        say!("{:6}  {:13}  {}", finding.standing.as_str(), finding.what, finding.words);
        if let Some(mend) = &finding.mend {
            say!("{:23}{mend}", "");
        }
    }
}
