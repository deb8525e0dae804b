//! The doctor names what is wrong with an agent, and how to mend it.

use crate::machine::Machine;
use crate::protected::{Protected, due_before};
use policy::{Hook, HookFailure, HookSettings, PolicySettings};
use serde_json::Value;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

/// What the doctor says of one thing: standing and words of all that it found about it.
fn said(report: &Value, what: &str) -> String {
    let findings = report["findings"].as_array().unwrap().iter();
    findings.filter(|finding| finding["what"] == what).map(Value::to_string).collect()
}

fn examine(protected: &Protected, code: i32) -> Value {
    protected.laptop.ends(code, &["agent", "doctor"])
}

#[test]
fn a_machine_that_is_not_enrolled_is_told_how_to() {
    let machine = Machine::new().at("https://127.0.0.1:1".into());
    let report = machine.ends(1, &["agent", "doctor"]);
    assert!(said(&report, "enrolment").contains("agent enroll"), "{report}");
}

#[test]
fn a_healthy_agent_is_well_and_each_fault_is_named() {
    let protected = Protected::new();
    protected.owner.write("file", "content");
    let report = examine(&protected, 1);
    assert!(said(&report, "agent").contains("no agent runs"), "{report}");
    assert!(said(&report, "protection").contains("not known yet"), "{report}");
    protected.protect("files", Some(due_before()));
    let agent = protected.agent();
    protected.end_of(protected.ask_for_backup("files"));
    let report = examine(&protected, 0);
    for what in ["configuration", "enrolment", "service", "token", "certificate", "clock", "commands", "agent", "item", "backups"]
    {
        assert!(said(&report, what).contains("\"ok\""), "{what}: {report}");
    }
    // What is asked for and not there, or not allowed.
    let hook = Some(Hook { command: vec!["/bin/true".to_owned()], timeout_seconds: 1, on_failure: HookFailure::Fail });
    let settings = PolicySettings { hooks: HookSettings { before: hook, after: None }, ..due_before() };
    let paths = vec![protected.owner.text("source"), protected.owner.text("gone"), "/etc".to_owned()];
    protected.protect_paths("files", Some(settings), paths);
    protected.laptop.bound(&format!(
        "allowed = ['{}']\n[least.other]\npaths = ['/etc']\n",
        protected.owner.path("source").parent().unwrap().display()
    ));
    let report = examine(&protected, 3);
    let items = said(&report, "item");
    assert!(items.contains("gone") && items.contains("is not there") && items.contains("allowed"), "{report}");
    assert!(said(&report, "hooks").contains("runs no hooks"), "{report}");
    assert!(said(&report, "bounds").contains("other"), "{report}");
    drop(agent);
}

#[test]
fn faults_of_the_configuration_the_token_and_the_service_are_told_apart() {
    let protected = Protected::new();
    let token = protected.laptop.service_token();
    protected.laptop.bound("jobs = 0");
    assert!(said(&examine(&protected, 1), "bounds").contains("jobs"));
    protected.laptop.bound("jobs = 1");
    let kept = fs::read(&token).unwrap();
    fs::write(&token, api::token_text([7; 8], &[7; 32])).unwrap();
    let report = examine(&protected, 1);
    assert!(said(&report, "token").contains("--again") && said(&report, "service").contains("\"ok\""), "{report}");
    fs::write(&token, kept).unwrap();
    fs::set_permissions(&token, Permissions::from_mode(0o644)).unwrap();
    assert!(said(&examine(&protected, 1), "service").contains("chmod 600"));
    fs::set_permissions(&token, Permissions::from_mode(0o600)).unwrap();
    protected.owner.service().go_away();
    let report = examine(&protected, 1);
    assert!(said(&report, "service").contains("cannot reach"), "{report}");
    protected.owner.service().come_back();
}
