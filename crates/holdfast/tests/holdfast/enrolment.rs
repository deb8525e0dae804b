//! Machines that enrol: a token that works once, a domain and keys of their own, and an owner who can open them all.

use crate::machine::{Machine, copy};
use format::DomainId;
use format::enrolment::Ticket;
use format::signature::Signature;
use seal::{AgentSigner, EnrolmentToken};
use secrecy::{ExposeSecret, SecretString};
use std::fs;

fn token(owner: &Machine, name: &str) -> String {
    owner.ok(&["agent", "token", name])["token"].as_str().unwrap().to_owned()
}

/// A machine that never saw the vault, and a file with the token.
fn newcomer(owner: &Machine, name: &str, token: &str) -> (Machine, String) {
    let file = owner.private(&format!("token of {name}"), token);
    (owner.other(name).without_secret(), file.to_str().unwrap().to_owned())
}

fn enrolled(owner: &Machine, name: &str) -> Machine {
    let (machine, file) = newcomer(owner, name, &token(owner, name));
    machine.ok(&["agent", "enroll", "--token-file", &file]);
    machine
}

#[test]
fn an_enrolled_machine_needs_no_passphrase_and_its_owner_opens_what_it_makes() {
    let owner = Machine::with_service();
    owner.write("file", "content");
    let own = owner.backup("item");
    let laptop = enrolled(&owner, "laptop");
    assert_eq!(laptop.ok(&["agent", "status"])["domain_name"], "laptop");
    let point = laptop.backup("item");
    laptop.assert_restores("latest", &owner.path("source"));
    let second = laptop.ok(&["backup", &owner.text("source"), "--item", "item"]);
    assert_eq!(second["sequence"], 2, "{second}");
    laptop.ok(&["check", "--read-data"]);
    // The owner has both domains, the machine its own.
    let listed = owner.ok(&["points", "--domain", "laptop"]);
    assert!(listed["points"].to_string().contains(&point), "{listed}");
    owner.ok(&["restore", &point, "--domain", "laptop", "--to", &owner.text("out")]);
    assert_eq!(fs::read(owner.restored("out").join("file")).unwrap(), b"content");
    assert_eq!(owner.points(), [own.as_str()]);
    laptop.ends(8, &["points", "--domain", "machine"]);
    laptop.ends(8, &["expire", &point]);
}

#[test]
fn a_token_works_once_and_again_only_for_who_used_it() {
    let owner = Machine::with_service();
    let text = token(&owner, "laptop");
    let (laptop, file) = newcomer(&owner, "laptop", &text);
    laptop.ok(&["agent", "enroll", "--token-file", &file]);
    let (thief, file_of_thief) = newcomer(&owner, "thief", &text);
    thief.ends(7, &["agent", "enroll", "--token-file", &file_of_thief]);
    thief.ends(8, &["points"]);
    laptop.ends(7, &["agent", "enroll", "--token-file", &file]);
    // The answer got lost: the machine still has what it sent, and no token for the service. Until then its keys count for nothing.
    lose_the_answer(&owner, &laptop);
    laptop.ends(8, &["points"]);
    laptop.ok(&["agent", "enroll", "--token-file", &file]);
    laptop.write("file", "content");
    laptop.backup("item");
    // A name stands for one domain.
    owner.ends(7, &["agent", "token", "laptop"]);
}

/// Takes the machine back to before the service's answer arrived.
fn lose_the_answer(owner: &Machine, machine: &Machine) {
    let sent = crate::machine::files(&owner.path("service/vault/objects/enrolment")).remove(0);
    machine.keep("enrolment", &fs::read(sent).unwrap());
    let kept = machine.service_token();
    machine.keep("enrolment-token", &fs::read(&kept).unwrap());
    fs::remove_file(kept).unwrap();
}

#[test]
fn an_enrolment_gives_one_token_and_none_once_that_was_ended() {
    let owner = Machine::with_service();
    let text = token(&owner, "laptop");
    let (laptop, file) = newcomer(&owner, "laptop", &text);
    laptop.ok(&["agent", "enroll", "--token-file", &file]);
    let good = fs::read(laptop.service_token()).unwrap();
    lose_the_answer(&owner, &laptop);
    // Whoever has the machine's keys has not got two tokens of them.
    let other = SecretString::from(api::token_text([7; 8], &[7; 32]));
    laptop.keep("enrolment-token", other.expose_secret().as_bytes());
    laptop.ends(7, &["agent", "enroll", "--token-file", &file]);
    owner.end_token(api::token_id(std::str::from_utf8(&good).unwrap()).unwrap());
    laptop.keep("enrolment-token", &good);
    laptop.ends(8, &["agent", "enroll", "--token-file", &file]);
    laptop.ends(8, &["points"]);
}

#[test]
fn enrolling_spares_the_token_of_who_is_logged_in() {
    let owner = Machine::with_service();
    let before = fs::read(owner.service_token()).unwrap();
    let file = owner.private("token", &token(&owner, "laptop"));
    let error = owner.ends(7, &["agent", "enroll", "--token-file", file.to_str().unwrap()]);
    assert!(error["error"]["hint"].as_str().unwrap().contains("remove"), "{error}");
    assert_eq!(fs::read(owner.service_token()).unwrap(), before);
    owner.ok(&["points"]);
}

#[test]
fn a_token_that_expired_or_that_somebody_else_signed_enrols_nobody() {
    let owner = Machine::with_service();
    let good = EnrolmentToken::from_text(&token(&owner, "laptop")).unwrap();
    let seed = seal::read_kit(&fs::read_to_string(owner.path("kit")).unwrap()).unwrap().1;
    let forge = |seed: &seal::OwnerSeed, expires_ms| {
        let one_time = AgentSigner::generate();
        let ticket = Ticket {
            one_time: one_time.key(),
            domain: DomainId([9; 16]),
            expires_ms,
            signature: Signature([0; 64]),
            ..good.ticket.clone()
        };
        let (service, authority, owner) = (good.service.clone(), good.authority, seed.owner_key());
        let ticket = seed.sign_ticket(ticket);
        EnrolmentToken { service, authority, owner, owner_public: good.owner_public, one_time, ticket }
    };
    let expired = forge(&seed, 1_000).to_text();
    let (late, file) = newcomer(&owner, "late", expired.expose_secret());
    let error = late.ends(8, &["agent", "enroll", "--token-file", &file]);
    assert!(error["error"]["hint"].as_str().unwrap().contains("agent token"), "{error}");
    let stranger = forge(&seal::OwnerSeed::generate(), i64::MAX).to_text();
    let (stranger, file) = newcomer(&owner, "stranger", stranger.expose_secret());
    assert_ne!(stranger.run(&["agent", "enroll", "--token-file", &file]).code, 0);
    assert!(!owner.path("service/vault/objects/enrolment").exists(), "nothing was taken in");
}

#[test]
fn storage_and_the_recovery_kit_restore_an_enrolled_machine() {
    let owner = Machine::with_service();
    let laptop = enrolled(&owner, "laptop");
    laptop.write("file", "of the laptop");
    laptop.backup("item");
    fs::create_dir(owner.path("copy")).unwrap();
    copy(&owner.path("service/vault/objects"), &owner.path("copy/objects"));
    let saved = owner.other("new machine").at(owner.path("copy"));
    saved.ok(&["restore", "latest", "--domain", "laptop", "--to", &owner.text("out")]);
    assert_eq!(fs::read(owner.restored("out").join("file")).unwrap(), b"of the laptop");
    saved.ok(&["check", "--read-data", "--domain", "laptop"]);
}

#[test]
fn an_enrolled_machine_that_is_retired_adds_nothing_more() {
    let owner = Machine::with_service();
    let laptop = enrolled(&owner, "laptop");
    laptop.write("file", "content");
    laptop.backup("item");
    let agent = laptop.ok(&["agent", "status"])["agent"].as_str().unwrap().to_owned();
    owner.ok(&["key", "retire", &agent[..12]]);
    laptop.ends(8, &["backup", &owner.text("source"), "--item", "item"]);
    assert_eq!(laptop.ends(8, &["agent", "status"])["retired"], true);
    laptop.assert_restores("latest", &owner.path("source"));
    // The descriptor has it now, with the owner's own certificate; others still enrol.
    enrolled(&owner, "desktop").backup("item");
}
