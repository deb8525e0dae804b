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
    // Nobody takes what is said of one domain for all that there is.
    for command in [["points"].as_slice(), &["check"], &["collect"]] {
        assert!(
            owner.run(command).err.contains("this is about domain machine alone; --domain names another: laptop"),
            "{command:?}"
        );
        assert!(!laptop.run(command).err.contains("this is about"), "{command:?}");
    }
    laptop.ends(8, &["points", "--domain", "machine"]);
    laptop.ends(8, &["expire", &point]);
}

#[test]
fn a_passphrase_can_be_tested_where_an_agents_token_may_not_ask_for_the_vaults_wrap() {
    let owner = Machine::with_service();
    let laptop = enrolled(&owner, "laptop");
    let new = laptop.private("new", "a passphrase for the laptop").to_str().unwrap().to_owned();
    laptop.ok(&["key", "passphrase", "--recovery-kit", &owner.text("kit"), "--domain", "laptop", "--new-passphrase-file", &new]);
    let tested = laptop.ok(&["key", "test", "--passphrase-file", &new]);
    assert_eq!((&tested["opens_wrap_on_machine"], &tested["opens_wrap_in_vault"]), (&true.into(), &serde_json::Value::Null));
    let said = laptop.run(&["key", "test", "--passphrase-file", &new]);
    assert!(said.out.contains("not told to this machine's agent"), "{}{}", said.out, said.err);
}

#[test]
fn a_machine_whose_agent_was_retired_enrols_anew_in_the_place_of_the_old_enrolment() {
    let owner = Machine::with_service();
    let laptop = enrolled(&owner, "laptop");
    laptop.write("file", "of the laptop");
    laptop.backup("item");
    let agent = laptop.ok(&["agent", "status"])["agent"].as_str().unwrap().to_owned();
    owner.ok(&["key", "retire", &agent]);
    laptop.ends(8, &["backup", &laptop.text("source"), "--item", "item"]);
    let file = owner.private("second token", &token(&owner, "laptop-2"));
    let file = file.to_str().unwrap();
    laptop.ends(7, &["agent", "enroll", "--token-file", file]);
    laptop.ok(&["agent", "enroll", "--token-file", file, "--replace"]);
    assert_eq!(laptop.ok(&["agent", "status"])["domain_name"], "laptop-2");
    laptop.backup("item");
    laptop.assert_restores("latest", &owner.path("source"));
    let kept = crate::machine::files(&laptop.config());
    assert!(kept.iter().any(|path| path.to_string_lossy().contains(&format!("of-{}", &agent[..16]))), "{kept:?}");
}

#[test]
fn an_agent_is_shown_no_enrolment_but_its_own() {
    let owner = Machine::with_service();
    let (first, second) = (enrolled(&owner, "first"), enrolled(&owner, "second"));
    let shown = |machine: &Machine| {
        let all = machine.ask(async |service| contract::Vault::enrolments(&service).await);
        let name = |bytes: &bytes::Bytes| format::enrolment::Enrolment::parse(bytes).unwrap().ticket.name;
        all.iter().map(name).collect::<Vec<_>>()
    };
    assert_eq!((shown(&first), shown(&second)), (vec!["first".to_owned()], vec!["second".to_owned()]));
    assert_eq!(shown(&owner).len(), 2);
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
        EnrolmentToken { owner: seed.owner_key(), one_time, ticket: seed.sign_ticket(ticket) }
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
    // Its token is ended as well, and does not come back. Nobody is told to log in where an agent is to be enrolled.
    for command in [["points"].as_slice(), &["agent", "status"]] {
        let refused = laptop.ends(8, command);
        let hint = refused["error"]["hint"].as_str().unwrap();
        assert!(hint.contains("retired") && hint.contains("enroll --replace") && !hint.contains("login"), "{hint}");
    }
    laptop.ends(8, &["agent", "enroll", "--again"]);
    owner.ok(&["restore", "latest", "--domain", "laptop", "--to", &owner.text("out")]);
    // The descriptor has it now, with the owner's own certificate; others still enrol.
    enrolled(&owner, "desktop").backup("item");
}

/// A machine whose token was changed on its way, as it could be when the ticket did not say to whom the secret is sealed.
fn enrolled_with_a_thief(owner: &Machine, name: &str) -> String {
    let mut token = EnrolmentToken::from_text(&token(owner, name)).unwrap();
    let keys = seal::AgentKeys::generate(token.ticket.domain);
    let seed = seal::read_kit(&fs::read_to_string(owner.path("kit")).unwrap()).unwrap().1;
    let thief = seal::OwnerSeed::generate().public();
    token.ticket.owner_public = EnrolmentToken::hash_of(&thief);
    token.ticket = seed.sign_ticket(token.ticket);
    let enrolment = token.enrol(&thief, &keys, 7).unwrap();
    for copy in format::names::COPIES {
        let object = owner.path("service/vault/objects").join(format::names::enrolment(keys.domain, copy));
        fs::create_dir_all(object.parent().unwrap()).unwrap();
        fs::write(object, enrolment.encode()).unwrap();
    }
    keys.agent().to_string()[..16].to_owned()
}

#[test]
fn machines_whose_secrets_are_sealed_to_somebody_else_are_named_and_not_adopted() {
    let owner = Machine::with_service();
    let agents = ["laptop", "desktop"].map(|name| enrolled_with_a_thief(&owner, name));
    let error = owner.ends(4, &["key", "write-only"]);
    assert!(error["error"]["message"].to_string().contains("sealed to somebody else"), "{error}");
    let not_opened = |machine: &Machine| {
        let tested = machine.ends(3, &["key", "test"]);
        (tested["domains_opened"].as_u64().unwrap(), tested["domains_not_opened"].as_array().unwrap().len())
    };
    assert_eq!(not_opened(&owner), (1, 2));
    for agent in &agents {
        assert!(error["error"]["hint"].as_str().unwrap().contains(agent), "{error}");
    }
    owner.write("file", "content");
    let ended = owner.run(&["backup", &owner.text("source"), "--item", "item"]);
    assert!(ended.code == 0 && ended.err.contains("laptop") && ended.err.contains("desktop"), "{}", ended.err);
    owner.ends(6, &["restore", "latest", "--domain", "laptop", "--to", &owner.text("out")]);
    // One alone would leave the other in the way.
    owner.ends(4, &["key", "retire", &agents[0]]);
    owner.ok(&["key", "retire", &agents[0], &agents[1]]);
    // Nobody writes there any more, and what was written opens as little as before.
    assert_eq!(not_opened(&owner), (1, 2));
    owner.ok(&["key", "write-only"]);
}

#[test]
fn a_machine_that_writes_only_keeps_no_administrators_token() {
    let owner = Machine::with_service();
    owner.write("file", "content");
    let point = owner.backup("item");
    let before = fs::read(owner.service_token()).unwrap();
    owner.ok(&["key", "write-only", "--only"]);
    assert_ne!(fs::read(owner.service_token()).unwrap(), before);
    let machine = owner.without_secret();
    machine.backup("item");
    machine.ends(8, &["expire", &point, "--purge", "--yes"]);
    machine.ends(8, &["agent", "tokens"]);
    // Whoever finds the old one somewhere on that machine has nothing of it.
    fs::write(machine.service_token(), before).unwrap();
    machine.ends(8, &["points"]);
}

#[test]
fn giving_up_the_administrators_token_can_be_interrupted_anywhere() {
    let owner = Machine::with_service();
    owner.write("file", "content");
    // Before the service was asked for anything: the certificate is there, the keys are, the wrap is gone.
    owner.ok(&["key", "write-only"]);
    fs::remove_file(owner.config().join("passphrase.wrap")).unwrap();
    owner.ok(&["agent", "tokens"]);
    // After it, and before the old token ended: another administrator ends it, and the machine works with its own.
    let other = owner.other("other machine");
    other.log_in();
    let old = fs::read_to_string(owner.service_token()).unwrap();
    owner.ok(&["key", "write-only", "--only"]);
    let listed = other.ok(&["agent", "tokens"]);
    let roles: Vec<_> = listed["tokens"].as_array().unwrap().iter().map(|token| token["role"].as_str().unwrap()).collect();
    assert_eq!(roles.iter().filter(|role| **role == "administrator").count(), 1, "{listed}");
    assert!(!listed.to_string().contains(api::token_id(&old).unwrap()), "{listed}");
    let machine = owner.without_secret();
    machine.backup("item");
    // The owner gets in again from anywhere, with the recovery kit.
    other.assert_restores("latest", &other.path("source"));
}

#[test]
fn of_two_tokens_of_one_name_one_enrols() {
    let owner = Machine::with_service();
    let (one, other) = (token(&owner, "web-1"), token(&owner, "web-1"));
    let (first, file) = newcomer(&owner, "first", &one);
    first.ok(&["agent", "enroll", "--token-file", &file]);
    let (second, file) = newcomer(&owner, "second", &other);
    let error = second.ends(7, &["agent", "enroll", "--token-file", &file]);
    assert!(error["error"]["hint"].as_str().unwrap().contains("another name"), "{error}");
    owner.ok(&["points", "--domain", "web-1"]);
    // The one that was refused enrols under another name.
    let file = owner.private("third", &token(&owner, "web-2"));
    second.ok(&["agent", "enroll", "--token-file", file.to_str().unwrap()]);
}

#[test]
fn a_service_that_lost_its_database_takes_its_machines_in_again() {
    let owner = Machine::with_service();
    let laptop = enrolled(&owner, "laptop");
    laptop.write("file", "content");
    laptop.backup("item");
    owner.lose_the_services_database();
    laptop.ends(8, &["points"]);
    laptop.ok(&["agent", "enroll", "--again"]);
    assert_eq!(laptop.points().len(), 1);
    laptop.backup("item");
    // Also if the machine lost its token with it.
    fs::remove_file(laptop.service_token()).unwrap();
    owner.lose_the_services_database();
    laptop.ok(&["agent", "enroll", "--again"]);
    // Again and again is no harm; a token that was ended stays ended as long as the database says so.
    laptop.ok(&["agent", "enroll", "--again"]);
    owner.log_in();
    let tokens = owner.ok(&["agent", "tokens"]);
    let its = tokens["tokens"].as_array().unwrap().iter().find(|token| token["domain"] == "laptop").unwrap();
    owner.ok(&["agent", "revoke", its["id"].as_str().unwrap()]);
    laptop.ends(8, &["points"]);
    laptop.ends(8, &["agent", "enroll", "--again"]);
}

#[test]
fn an_attempt_to_enrol_that_cannot_go_on_takes_nothing_away() {
    let owner = Machine::with_service();
    let text = token(&owner, "laptop");
    let (laptop, file) = newcomer(&owner, "laptop", &text);
    laptop.ok(&["agent", "enroll", "--token-file", &file]);
    lose_the_answer(&owner, &laptop);
    // Somebody logged in meanwhile, and tries another token.
    let keys = fs::read(laptop.config().join("agent")).unwrap();
    let token_path = owner.service_token();
    let relative = token_path.strip_prefix(owner.path("home")).unwrap();
    let theirs = owner.path("laptop").join(relative);
    fs::copy(&token_path, &theirs).unwrap();
    let other = owner.private("other token", &token(&owner, "other"));
    laptop.ends(7, &["agent", "enroll", "--token-file", other.to_str().unwrap()]);
    assert_eq!(fs::read(laptop.config().join("agent")).unwrap(), keys);
    fs::remove_file(theirs).unwrap();
    laptop.ok(&["agent", "enroll", "--token-file", &file]);
    laptop.ok(&["points"]);
}

#[test]
fn a_token_goes_into_a_file_that_enrolling_takes() {
    use std::os::unix::fs::PermissionsExt;
    let owner = Machine::with_service();
    let file = owner.text("token of the laptop");
    let made = owner.ok(&["agent", "token", "laptop", "--to", &file]);
    assert!(made["token"].is_null(), "{made}");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    owner.ends(7, &["agent", "token", "desktop", "--to", &file]);
    let laptop = owner.other("laptop").without_secret();
    let other = laptop.ends(8, &["agent", "enroll", "--token-file", &file, "--owner", "0000-0000-0000-0000-0000-0000-0000-0000"]);
    assert!(other["error"]["hint"].as_str().unwrap().contains("nothing was sent; compare with 'holdfast status'"), "{other}");
    let none = laptop.ends(2, &["agent", "enroll", "--token-file", &file, "--owner", "laptop"]);
    assert!(none["error"]["message"].as_str().unwrap().contains("'laptop' is no fingerprint"), "{none}");
    let owners = made["owner_fingerprint"].as_str().unwrap();
    laptop.ok(&["agent", "enroll", "--token-file", &file, "--owner", owners]);
}

#[test]
fn a_rebuild_names_a_machine_whose_enrolment_cannot_be_read() {
    let owner = Machine::with_service();
    let laptop = enrolled(&owner, "laptop");
    laptop.write("file", "content");
    laptop.backup("item");
    fs::create_dir(owner.path("copy")).unwrap();
    copy(&owner.path("service/vault/objects"), &owner.path("copy/objects"));
    let mut kept = Vec::new();
    for path in crate::machine::files(&owner.path("copy/objects/enrolment")) {
        kept = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        fs::write(&path, "no enrolment").unwrap();
    }
    let copied = owner.other("new machine").at(owner.path("copy"));
    let report = copied.ends(4, &["rebuild"]);
    assert_eq!(report["unreadable_enrolments"].as_array().unwrap().len(), 1, "{report}");
    let domain = report["unreadable_enrolments"][0].as_str().unwrap().to_owned();
    fs::write(owner.path("copy/objects").join(format::names::enrolment(domain.parse().unwrap(), 'a')), kept).unwrap();
    copied.ok(&["rebuild"]);
    assert_eq!(copied.ok(&["points", "--domain", "laptop"])["points"].as_array().unwrap().len(), 1);
}

#[test]
fn an_agent_whose_newest_point_was_purged_says_so_and_goes_on() {
    let owner = Machine::with_service();
    let laptop = enrolled(&owner, "laptop");
    laptop.write("file", "content");
    let point = laptop.backup("item");
    owner.ok(&["expire", &point, "--purge", "--yes", "--domain", "laptop"]);
    let ended = laptop.run(&["points"]);
    assert!(ended.code == 0 && ended.err.contains(&point[..8]), "{}", ended.err);
    laptop.ends(3, &["backup", &owner.text("source"), "--item", "item"]);
    laptop.ok(&["backup", &owner.text("source"), "--item", "item"]);
    let whole = laptop.run(&["check"]);
    assert!(whole.code == 0 && whole.out.contains("half of the check"), "{}", whole.out);
    laptop.ends(8, &["check", "--no-keys"]);
}

/// All bytes of all files below a directory that hold any of these words.
fn files_with(directory: &std::path::Path, words: &[&str]) -> Vec<std::path::PathBuf> {
    let has = |path: &std::path::PathBuf| {
        let bytes = fs::read(path).unwrap_or_default();
        let name = path.to_string_lossy().into_owned();
        words.iter().any(|word| name.contains(word) || bytes.windows(word.len()).any(|some| some == word.as_bytes()))
    };
    crate::machine::files(directory).into_iter().filter(has).collect()
}

#[test]
fn a_stolen_agents_token_without_the_machines_keys_reads_changes_and_deletes_nothing() {
    let owner = Machine::with_service();
    let (laptop, other) = (enrolled(&owner, "laptop"), enrolled(&owner, "other"));
    laptop.write("plans for the summer", "of the laptop");
    let point = laptop.backup("item");
    other.backup("item");
    let thief = owner.other("thief").without_secret();
    let services = owner.path("thief/config/holdfast");
    fs::create_dir_all(&services).unwrap();
    let stolen = laptop.service_token();
    copy(stolen.parent().unwrap().parent().unwrap(), &services.join("services"));
    // It sees that there are points, as the design says, and gets no further.
    let listed = thief.ok(&["points", "--domain", "laptop"]);
    assert!(listed["points"].to_string().contains(&point), "{listed}");
    for arguments in [
        &["restore", point.as_str(), "--domain", "laptop", "--to", "stolen"][..],
        &["ls", point.as_str(), "--domain", "laptop"],
        &["expire", point.as_str(), "--domain", "laptop", "--purge", "--yes"],
        &["expire", point.as_str(), "--domain", "laptop"],
        &["collect", "--domain", "laptop"],
        &["points", "--domain", "other"],
        &["item", "set", "item", "/etc", "--domain", "laptop"],
        &["policy", "list"],
        &["job", "list"],
        &["job", "retention", "--domain", "laptop"],
        &["clock", "show"],
        &["agent", "tokens"],
    ] {
        let ended = thief.run(arguments);
        assert!([2, 6, 8].contains(&ended.code), "{arguments:?}: {} {}\n{}", ended.code, ended.out, ended.err);
    }
    assert_eq!(files_with(&owner.path("thief"), &["plans for the summer", "of the laptop"]), Vec::<std::path::PathBuf>::new());
    laptop.assert_restores(&point, &owner.path("source"));
}

#[test]
fn an_administrator_of_the_service_without_the_owners_key_reads_nothing() {
    let owner = Machine::with_service();
    let laptop = enrolled(&owner, "laptop");
    laptop.write("plans for the summer", "of the laptop");
    let point = laptop.backup("item");
    let administrator = owner.other("administrator").without_secret();
    administrator.log_in();
    administrator.ok(&["points", "--domain", "laptop"]);
    for arguments in [
        &["restore", point.as_str(), "--domain", "laptop", "--to", "read"][..],
        &["ls", point.as_str(), "--domain", "laptop"],
        &["diff", point.as_str(), point.as_str(), "--domain", "laptop"],
        &["check", "--read-data", "--domain", "laptop"],
    ] {
        let ended = administrator.run(arguments);
        assert_eq!(ended.code, 6, "{arguments:?}: {}\n{}", ended.out, ended.err);
    }
    // With the whole of the service's disk there is no more to find.
    assert!(!crate::machine::files(&owner.path("service")).is_empty());
    let found = files_with(&owner.path("service"), &["plans for the summer", "of the laptop"]);
    assert_eq!(found, Vec::<std::path::PathBuf>::new());
}

#[test]
fn a_token_that_cannot_be_ended_keeps_no_other_one_of_retired_agents_good() {
    let owner = Machine::with_service();
    let (first, second) = (enrolled(&owner, "first"), enrolled(&owner, "second"));
    let agent = |machine: &Machine| machine.ok(&["agent", "status"])["agent"].as_str().unwrap().to_owned();
    let tokens = owner.ok(&["agent", "tokens"]);
    let its = tokens["tokens"].as_array().unwrap().iter().find(|token| token["domain"] == "first").unwrap();
    let stays = its["id"].as_str().unwrap();
    owner.in_the_services_database(&format!(
        "CREATE TRIGGER stays BEFORE DELETE ON tokens WHEN OLD.id = '{stays}' BEGIN SELECT RAISE(ABORT, 'no'); END"
    ));
    let said = owner.run(&["key", "retire", &agent(&first), &agent(&second)]);
    assert!(said.code != 0 && said.err.contains(&format!("may still be good: {stays}")), "{}", said.err);
    second.ends(8, &["points"]);
    owner.in_the_services_database("DROP TRIGGER stays");
    owner.ok(&["agent", "revoke", stays]);
    first.ends(8, &["points"]);
}
