//! The claims of `docs/threat-model.md`, each with its test: the attacker writes storage, database and index as he likes.

use crate::machine::{Machine, PASSPHRASE, copy, files};
use format::descriptor::Descriptor;
use format::journal::{JournalEntry, Payload};
use format::record::{RecordBody, SignedRecord};
use format::{ItemName, PointId};
use seal::{AgentSigner, OwnerSeed};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

fn seed(machine: &Machine) -> OwnerSeed {
    seal::read_kit(&fs::read_to_string(machine.path("kit")).unwrap()).unwrap().1
}

fn lose_the_database(machine: &Machine) {
    fs::remove_file(machine.vault().join("vault.db")).unwrap();
    for name in ["vault.db-wal", "vault.db-shm"] {
        let _ = fs::remove_file(machine.vault().join(name));
    }
    let _ = fs::remove_dir_all(machine.vault().join("index"));
}

fn descriptor(machine: &Machine) -> Descriptor {
    Descriptor::open(&fs::read(&machine.objects("/descriptor/")[0]).unwrap(), None).unwrap()
}

/// Puts these bytes in the place of every copy of every descriptor.
fn replace_descriptors(machine: &Machine, bytes: &[u8]) {
    for path in machine.objects("/descriptor/") {
        fs::write(path, bytes).unwrap();
    }
}

fn last_entry(machine: &Machine) -> (PathBuf, JournalEntry) {
    let path = machine.objects("/journal/").pop().unwrap();
    let entry = JournalEntry::parse(&fs::read(&path).unwrap()).unwrap();
    (path, entry)
}

fn last_record(machine: &Machine) -> SignedRecord {
    match last_entry(machine).1.payload {
        Payload::Record { record, .. } => SignedRecord::parse(&record).unwrap(),
        other => panic!("{other:?} is no record"),
    }
}

/// The body of a point that would follow the last one.
fn next_body(machine: &Machine) -> RecordBody {
    let last = last_record(machine);
    let mut body = last.body.clone();
    body.previous = Some(last.id());
    body.sequence.0 += 1;
    body
}

/// Writes a record into storage as the next entry of the journal, and lets the database be made anew.
fn plant(machine: &Machine, record: Vec<u8>) {
    let (path, mut entry) = last_entry(machine);
    entry.number.0 += 1;
    entry.payload = Payload::Record { received_ms: entry.time_ms, record };
    fs::write(path.with_file_name(format!("{:016x}", entry.number.0)), entry.encode()).unwrap();
    lose_the_database(machine);
}

fn vault_with_a_point() -> Machine {
    let machine = Machine::with_vault();
    machine.write("file", "content");
    machine.backup("item");
    machine
}

/// The planted record is set aside, and neither listed nor restored.
fn assert_refused(machine: &Machine, planted: PointId) {
    let report = machine.ends(4, &["rebuild"]);
    assert_eq!(report["domains"][0]["set_aside"].as_array().unwrap().len(), 1, "{report}");
    let ended = machine.run(&["points", "--deleted", "--json"]);
    assert!(!ended.out.contains(&planted.to_string()), "{}", ended.out);
    let ended = machine.run(&["restore", &planted.to_string(), "--to", &machine.text("out"), "--json"]);
    assert_ne!(ended.code, 0, "{}", ended.out);
    assert!(!machine.restored("out").exists());
}

#[test]
fn a_point_signed_by_an_unknown_agent_is_refused() {
    let machine = vault_with_a_point();
    let planted = AgentSigner::generate().sign(next_body(&machine));
    plant(&machine, planted.encode());
    assert_refused(&machine, planted.id());
    // The same, signed by an agent that the owner certified, is a point: so it is the signature that was refused.
    let machine = vault_with_a_point();
    let body = next_body(&machine);
    let good = seed(&machine).agent_signer(body.domain).sign(body);
    plant(&machine, good.encode());
    assert!(machine.points().contains(&good.id().to_string()));
}

#[test]
fn a_point_that_cannot_be_trusted_does_not_hide_the_others() {
    let machine = Machine::with_vault();
    machine.write("file", "content");
    let (good, bad) = (machine.backup("good"), machine.backup("bad"));
    forge_signature(&machine, &bad);
    let listed = machine.ends(4, &["points"]);
    assert_eq!(listed["points"].as_array().unwrap().len(), 1, "{listed}");
    assert_eq!(listed["untrusted"][0]["id"], bad.as_str(), "{listed}");
    machine.assert_restores(&good, &machine.path("source"));
    let error = machine.ends(4, &["restore", &bad, "--to", &machine.text("out")]);
    assert!(error["error"]["message"].as_str().unwrap().contains(&bad[..8]), "{error}");
    let check = machine.ends(4, &["check"]);
    assert_eq!(check["bad_points"][0]["point"], bad.as_str(), "{check}");
    machine.ok(&["expire", &bad, "--purge", "--yes"]);
    machine.ok(&["points"]);
}

#[test]
fn latest_never_stands_for_an_older_point_where_the_newest_cannot_be_trusted() {
    let machine = vault_with_a_point();
    let (good, bad) = (machine.points().remove(0), machine.backup("item"));
    forge_signature(&machine, &bad);
    let to = machine.text("out");
    for command in [&["restore", "latest", "--to", &to][..], &["expire", "latest", "--purge", "--yes"], &["ls", "latest"]] {
        let error = machine.ends(4, command);
        assert!(error["error"]["hint"].as_str().unwrap().contains(&good[..8]), "{error}");
    }
    assert!(!machine.path("out").exists());
    machine.assert_restores(&good, &machine.path("source"));
    // Nor does a backup go on as if it were there, until its owner has decided.
    machine.ends(4, &["backup", &machine.text("source"), "--item", "item"]);
    machine.ok(&["expire", &bad, "--purge", "--yes"]);
    machine.assert_restores("latest", &machine.path("source"));
    machine.backup("item");
}

#[test]
fn a_head_that_nobody_signed_does_not_hide_that_the_newest_point_is_gone() {
    let machine = vault_with_a_point();
    let newest = machine.backup("item");
    change_database(&machine, &format!("DELETE FROM points WHERE id = x'{newest}'"));
    let source = machine.text("source");
    for command in [&["points"][..], &["check"], &["backup", &source, "--item", "item"], &["backup", &source, "--item", "other"]]
    {
        let error = machine.ends(4, command);
        assert!(error["error"]["hint"].as_str().unwrap().contains("--accept-rollback"), "{error}");
    }
    machine.ok(&["points", "--accept-rollback"]);
    machine.ok(&["points"]);
    machine.backup("item");
}

#[test]
fn purging_the_newest_point_is_no_alarm_to_who_purged_it_and_a_soft_deleted_one_is_none_to_anybody() {
    let machine = vault_with_a_point();
    let newest = machine.backup("item");
    machine.ok(&["expire", &newest]);
    machine.ok(&["points"]);
    machine.ok(&["expire", &newest, "--purge", "--yes"]);
    machine.ok(&["points"]);
    machine.ok(&["check"]);
    machine.backup("other");
    let first = machine.points().remove(0);
    machine.ok(&["expire", &first, "--purge", "--yes"]);
    machine.ok(&["points"]);
    machine.backup("item");
}

#[test]
fn accepting_a_rollback_ends_the_alarm_of_items_that_are_not_backed_up_any_more() {
    let machine = vault_with_a_point();
    let (old, newer) = (machine.backup("old"), machine.path("old copy"));
    copy(machine.vault(), &newer);
    machine.backup("item");
    machine.backup("old");
    machine.backup("new");
    fs::remove_dir_all(machine.vault()).unwrap();
    copy(&newer, machine.vault());
    machine.ends(4, &["points"]);
    machine.ok(&["status", "--accept-rollback"]);
    assert!(machine.points().contains(&old));
    machine.ok(&["check"]);
    machine.backup("item");
}

/// Changes the last byte of a point's record in the database, which is of its signature.
fn forge_signature(machine: &Machine, point: &str) {
    let forged =
        format!("UPDATE points SET record = CAST(substr(record, 1, length(record) - 1) || x'5a' AS BLOB) WHERE id = x'{point}'");
    change_database(machine, &forged);
}

/// Changes one row of the vault's database.
fn change_database(machine: &Machine, change: &str) {
    change_row(&machine.vault().join("vault.db"), change);
}

/// Changes one row of a database that nobody else has open.
pub(crate) fn change_row(database: &Path, change: &str) {
    use sqlx::{Connection, Executor, SqliteConnection};
    let path = format!("sqlite://{}", database.display());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let done = runtime.block_on(async {
        let mut connection = SqliteConnection::connect(&path).await.unwrap();
        let done = connection.execute(sqlx::AssertSqlSafe(change.to_owned())).await.unwrap();
        connection.close().await.unwrap();
        done
    });
    assert_eq!(done.rows_affected(), 1);
}

#[test]
fn an_agent_cannot_write_an_item_that_it_is_not_certified_for() {
    let machine = vault_with_a_point();
    machine.ok(&["key", "write-only", "--item", "allowed"]);
    let keys = fs::read(machine.config().join("write-only")).unwrap();
    let signer = AgentSigner::from_bytes(keys[..32].try_into().unwrap());
    let planted = signer.sign(next_body(&machine));
    plant(&machine, planted.encode());
    assert_refused(&machine, planted.id());
}

#[test]
fn a_record_of_one_item_is_not_served_as_a_point_of_another() {
    let machine = vault_with_a_point();
    let mut moved = last_record(&machine);
    moved.body.item = ItemName::new("elsewhere").unwrap();
    plant(&machine, moved.encode());
    assert_refused(&machine, moved.id());
}

#[test]
fn a_record_with_a_changed_byte_is_not_served_as_a_point() {
    let machine = vault_with_a_point();
    let mut changed = last_record(&machine);
    changed.body.agent_time_ms ^= 1;
    plant(&machine, changed.encode());
    assert_refused(&machine, changed.id());
}

#[test]
fn a_certificate_that_the_owner_did_not_sign_is_refused() {
    let machine = vault_with_a_point();
    let mut forged = descriptor(&machine);
    let agent = AgentSigner::generate().key();
    let domain = forged.domains[0].id;
    forged.certificates.push(seed(&machine).certify(forged.vault, agent, domain, &[]));
    assert!(Descriptor::open(&seed(&machine).sign_descriptor(&forged), None).is_ok(), "the owner's own is accepted");
    forged.certificates.pop();
    forged.certificates.push(OwnerSeed::generate().certify(forged.vault, agent, domain, &[]));
    let bytes = seed(&machine).sign_descriptor(&forged);
    assert!(Descriptor::open(&bytes, None).is_err());
    replace_descriptors(&machine, &bytes);
    assert_ne!(machine.run(&["points"]).code, 0);
}

#[test]
fn a_descriptor_of_another_owner_is_refused() {
    let machine = vault_with_a_point();
    let thief = OwnerSeed::generate();
    let mut forged = descriptor(&machine);
    let domain = forged.domains[0].id;
    forged.owner = thief.owner_key();
    forged.owner_public = thief.public();
    forged.certificates = vec![thief.certify(forged.vault, thief.agent_signer(domain).key(), domain, &[])];
    let bytes = thief.sign_descriptor(&forged);
    assert!(Descriptor::open(&bytes, None).is_ok(), "it is a good descriptor, of somebody else");
    replace_descriptors(&machine, &bytes);
    let ended = machine.run(&["backup", &machine.text("source"), "--item", "item"]);
    assert_eq!(ended.code, 4, "{}", ended.err);
}

#[test]
fn a_hidden_newest_point_raises_an_alarm_at_its_agent() {
    let machine = vault_with_a_point();
    machine.backup("item");
    fs::remove_file(last_entry(&machine).0).unwrap();
    lose_the_database(&machine);
    let error = machine.ends(4, &["backup", &machine.text("source"), "--item", "item"]);
    assert!(error["error"]["hint"].as_str().unwrap().contains("--accept-rollback"), "{error}");
}

#[test]
fn a_vault_set_back_to_an_earlier_copy_raises_an_alarm_at_its_agent() {
    let machine = vault_with_a_point();
    copy(machine.vault(), &machine.path("old"));
    let source = machine.text("source");
    machine.backup("item");
    fs::remove_dir_all(machine.vault()).unwrap();
    copy(&machine.path("old"), machine.vault());
    machine.ends(4, &["backup", &source, "--item", "item"]);
    machine.ends(4, &["backup", &source, "--item", "other"]);
    for command in [&["points"][..], &["check"], &["restore", "latest", "--to", &machine.text("out")]] {
        let error = machine.ends(4, command);
        assert!(error["error"]["hint"].as_str().unwrap().contains("--accept-rollback"), "{error}");
    }
    machine.ok(&["points", "--accept-rollback"]);
    machine.ok(&["backup", &source, "--item", "item", "--accept-rollback"]);
    machine.ok(&["points"]);
}

#[test]
fn a_descriptor_older_than_one_that_was_seen_is_refused() {
    let machine = vault_with_a_point();
    copy(machine.vault(), &machine.path("old"));
    machine.ok(&["key", "write-only"]);
    machine.backup("another-item");
    fs::remove_dir_all(machine.vault()).unwrap();
    copy(&machine.path("old"), machine.vault());
    machine.ends(4, &["points"]);
}

#[test]
fn a_key_object_put_in_the_place_of_another_opens_nothing() {
    let machine = vault_with_a_point();
    machine.write("file", "other content");
    machine.backup("item");
    let keys = machine.objects("/key/");
    assert_eq!(keys.len(), 4, "two sessions, two copies");
    let (first, second) = (fs::read(&keys[0]).unwrap(), fs::read(&keys[2]).unwrap());
    assert_ne!(first, second);
    for (path, bytes) in keys.iter().zip([&second, &second, &first, &first]) {
        fs::write(path, bytes).unwrap();
    }
    machine.ends(4, &["restore", "latest", "--to", &machine.text("out")]);
    assert!(files(&machine.path("out")).is_empty());
}

#[test]
fn a_destroyed_blob_fails_the_restore_by_path_and_writes_no_other_bytes() {
    let machine = Machine::with_vault();
    machine.write("victim", testkit::Rng::new(3).vec(2_000_000));
    machine.backup("item");
    let pack = machine.objects("/pack/").into_iter().max_by_key(|path| fs::metadata(path).unwrap().len()).unwrap();
    let mut bytes = fs::read(&pack).unwrap();
    let length = bytes.len();
    bytes[length / 4..length / 2].fill(0);
    fs::write(&pack, bytes).unwrap();
    let report = machine.ends(4, &["restore", "latest", "--to", &machine.text("out")]);
    assert!(report["damaged"][0]["path"].as_str().unwrap().ends_with("source/victim"), "{report}");
    assert!(!machine.restored("out").join("victim").exists());
}

#[test]
fn no_name_and_no_content_stands_in_storage_or_database() {
    let machine = Machine::with_vault();
    let planted = ["planted-name-of-a-file", "planted-name-of-a-directory", "planted content of a file", "planted-target"];
    machine.write(&format!("{}/{}", planted[1], planted[0]), planted[2]);
    std::os::unix::fs::symlink(planted[3], machine.path("source/link")).unwrap();
    machine.backup("visible-item");
    machine.ok(&["collect"]);
    let stands = |text: &str| {
        let found = |path: &PathBuf| fs::read(path).unwrap().windows(text.len()).any(|window| window == text.as_bytes());
        files(machine.vault()).iter().any(found)
    };
    for text in planted {
        assert!(!stands(text), "{text}");
    }
    assert!(stands("visible-item"), "what is there is found");
}

#[test]
fn the_same_file_has_other_ids_in_another_domain() {
    let id = |machine: &Machine| {
        let descriptor = descriptor(machine);
        let entry = &descriptor.domains[0];
        let writer = seed(machine).domain_secret(entry).unwrap().writer(entry.id);
        writer.blob_id(format::blob::BlobKind::Data, &[], b"the same file")
    };
    let (one, other) = (Machine::with_vault(), Machine::with_vault());
    assert_eq!(id(&one), id(&one));
    assert_ne!(id(&one), id(&other));
}

#[test]
fn no_wrap_of_the_seed_lies_with_the_vault_unless_asked_for() {
    let machine = vault_with_a_point();
    let holds_wrap = |machine: &Machine| {
        let magic = format::limits::MAGIC_WRAP;
        files(machine.vault()).iter().any(|path| fs::read(path).unwrap().windows(8).any(|window| window == magic))
    };
    assert!(!holds_wrap(&machine));
    assert_eq!(machine.ok(&["key", "list"])["passphrase_in_vault"], false);
    machine.ok(&["key", "passphrase", "--in-vault"]);
    assert!(holds_wrap(&machine));
}

#[test]
fn a_passphrase_kept_with_the_vault_is_generated() {
    let machine = Machine::new();
    let made = machine.ok(&["init", "--passphrase-in-vault", "--kit", &machine.text("kit")]);
    let passphrase = made["passphrase"].as_str().unwrap();
    assert_ne!(passphrase, PASSPHRASE);
    assert!(passphrase.len() >= 20, "{passphrase}");
}

#[test]
fn a_wrap_of_another_seed_is_refused() {
    let machine = Machine::with_passphrase();
    machine.ok(&["check"]);
    let vault = descriptor(&machine).vault;
    let wrap = seal::wrap_with_passphrase(&OwnerSeed::generate(), vault, &PASSPHRASE.into(), seal::default_argon2()).unwrap();
    fs::write(machine.config().join("passphrase.wrap"), wrap.encode()).unwrap();
    machine.ends(6, &["check"]);
}

#[test]
fn a_secret_file_that_others_can_read_is_refused() {
    let machine = vault_with_a_point();
    machine.ok(&["check"]);
    for path in [machine.path("kit")].into_iter().chain(files(&machine.config())) {
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{}", path.display());
    }
    fs::set_permissions(machine.path("kit"), Permissions::from_mode(0o640)).unwrap();
    machine.ends(8, &["check"]);
}

#[test]
fn control_characters_in_names_do_not_reach_the_terminal() {
    let machine = Machine::with_vault();
    machine.write("red \u{1b}[31m and\rback", "content");
    machine.backup("item");
    let ended = machine.run(&["ls", "latest", "--recursive"]);
    assert!(ended.code == 0 && ended.out.contains("[31m and"), "{} {}", ended.out, ended.err);
    assert!(!ended.out.contains(['\u{1b}', '\r']), "{:?}", ended.out);
}

#[test]
fn a_write_only_key_opens_no_blob() {
    let machine = Machine::with_vault();
    machine.write("file", "content");
    machine.ok(&["key", "write-only", "--item", "allowed", "--only"]);
    let machine = machine.without_secret();
    let source = machine.text("source");
    machine.ok(&["backup", &source, "--item", "allowed"]);
    machine.ok(&["backup", &source, "--item", "allowed"]);
    machine.ends(8, &["backup", &source, "--item", "other"]);
    machine.ends(6, &["restore", "latest", "--to", &machine.text("out")]);
    assert!(!machine.path("out").exists());
    let machine = machine.with_kit();
    machine.assert_restores("latest", &machine.path("source"));
}

#[test]
fn no_secret_stands_in_output_or_vault() {
    let machine = Machine::with_passphrase();
    machine.write("file", "content");
    let kit = fs::read_to_string(machine.path("kit")).unwrap();
    let secret_lines: Vec<&str> =
        kit.lines().filter(|line| line.split_whitespace().count() > 4 && !line.contains(". ")).collect();
    for arguments in [
        &["backup", &machine.text("source"), "--item", "item"][..],
        &["points"],
        &["status"],
        &["key", "list"],
        &["check", "--read-data"],
        &["collect"],
        &["rebuild"],
        &["restore", "latest", "--to", &machine.text("out")],
    ] {
        for more in [&[][..], &["--json"]] {
            let ended = machine.run(&[arguments, more].concat());
            let all = format!("{}{}", ended.out, ended.err);
            assert!(!all.contains(PASSPHRASE), "{all}");
            assert!(!secret_lines.iter().any(|line| all.contains(line.trim())), "{all}");
        }
    }
    let known = format!("{}{}", machine.text("kit"), machine.text("passphrase"));
    for file in files(machine.vault()).into_iter().filter(|path| !known.contains(path.to_str().unwrap())) {
        let bytes = fs::read(&file).unwrap();
        assert!(!bytes.windows(PASSPHRASE.len()).any(|window| window == PASSPHRASE.as_bytes()), "{}", file.display());
    }
}
