//! A machine that lost everything, and a vault that lost its database.

use crate::machine::{Machine, copy};
use format::blob::BlobKind;
use format::pack;
use std::fs;
use std::path::PathBuf;

fn lose_the_database(machine: &Machine) {
    fs::remove_file(machine.vault().join("vault.db")).unwrap();
    for name in ["vault.db-wal", "vault.db-shm"] {
        let _ = fs::remove_file(machine.vault().join(name));
    }
    // The index is files of its own only once there is enough of it.
    let _ = fs::remove_dir_all(machine.vault().join("index"));
    assert!(!machine.vault().join("index").exists());
}

#[test]
fn storage_and_the_recovery_kit_restore_everything_on_a_new_machine() {
    let machine = Machine::with_vault();
    machine.write("file", "content");
    machine.write("directory/large", vec![7; 3_000_000]);
    let point = machine.backup("item");
    lose_the_database(&machine);
    let other = machine.other("new machine");
    other.assert_restores(&point, &machine.path("source"));
    other.assert_restores("latest", &machine.path("source"));
}

#[test]
fn storage_and_the_passphrase_restore_where_that_was_asked_for() {
    let machine = Machine::new().without_secret();
    let kit = machine.text("kit");
    let passphrase = machine.ok(&["init", "--passphrase-in-vault", "--kit", &kit])["passphrase"].as_str().unwrap().to_owned();
    let file = machine.private("generated", &passphrase);
    let machine = machine.with("HOLDFAST_PASSPHRASE_FILE", file);
    machine.write("file", "content");
    machine.backup("item");
    lose_the_database(&machine);
    machine.other("new machine").assert_restores("latest", &machine.path("source"));
    let again = machine.run(&["init", "--passphrase-in-vault", "--kit", &machine.text("another kit")]);
    assert_eq!((again.code, again.out.as_str()), (7, ""), "nobody is shown a passphrase of what is not made: {}", again.err);
    // Without being asked for, the wrap is not there.
    let plain = Machine::with_passphrase();
    plain.write("file", "content");
    plain.backup("item");
    let error = plain.other("new machine").ends(6, &["restore", "latest", "--to", &plain.text("out")]);
    assert!(error["error"]["hint"].as_str().unwrap().contains("--recovery-kit"), "{error}");
}

#[test]
fn a_database_that_was_removed_is_made_anew_without_being_asked() {
    let machine = Machine::with_vault();
    machine.write("file", "1");
    machine.backup("item");
    machine.write("file", "2");
    let points = (machine.backup("item"), machine.points()).1;
    lose_the_database(&machine);
    assert_eq!(machine.points(), points);
    machine.write("file", "3");
    machine.backup("item");
    machine.assert_restores("latest", &machine.path("source"));
    machine.ok(&["check", "--read-data"]);
}

#[test]
fn a_database_set_back_is_refused_until_it_is_rebuilt() {
    let machine = Machine::with_vault();
    machine.write("file", "1");
    machine.backup("item");
    for name in ["vault.db", "vault.db-wal", "index"] {
        let path = machine.vault().join(name);
        if path.exists() {
            copy(&path, &machine.path(&format!("old {name}")));
        }
    }
    machine.write("file", "2");
    machine.backup("item");
    machine.write("file", "3");
    let last = machine.backup("item");
    lose_the_database(&machine);
    for name in ["vault.db", "vault.db-wal", "index"] {
        let old = machine.path(&format!("old {name}"));
        if old.exists() {
            copy(&old, &machine.vault().join(name));
        }
    }
    let error = machine.run(&["backup", &machine.text("source"), "--item", "item", "--json"]);
    assert_ne!(error.code, 0, "{}", error.out);
    assert!(error.json()["error"]["hint"].as_str().unwrap().contains("rebuild"), "{}", error.out);
    machine.ok(&["rebuild"]);
    assert_eq!(machine.points().len(), 3);
    machine.assert_restores(&last, &machine.path("source"));
    machine.backup("item");
    machine.ok(&["check", "--read-data"]);
}

#[test]
fn soft_deleted_points_come_back_after_a_rebuild_and_purged_ones_do_not() {
    let machine = Machine::with_vault();
    let mut points = Vec::new();
    for number in 0..3 {
        machine.write("file", number.to_string());
        points.push(machine.backup("item"));
    }
    machine.ok(&["expire", &points[0]]);
    machine.ok(&["expire", &points[1], "--purge", "--yes"]);
    for collections in 0..2 {
        lose_the_database(&machine);
        let report = machine.ok(&["rebuild"]);
        assert_eq!(report["sound"], true, "{report}");
        let all = machine.ok(&["points", "--deleted"])["points"].to_string();
        assert!(all.contains(&points[0]), "the soft-deleted point was forgotten after {collections} collections: {all}");
        assert!(!all.contains(&points[1]), "the purged point came back after {collections} collections: {all}");
        assert!(all.contains(&points[2]), "{all}");
        machine.ok(&["collect"]);
    }
    machine.assert_restores("latest", &machine.path("source"));
}

#[test]
fn nothing_is_collected_after_a_rebuild_that_could_not_read_the_journal_until_that_is_given_up() {
    let machine = Machine::with_vault();
    machine.write("file", "1");
    machine.backup("item");
    machine.write("file", "2");
    let last = machine.backup("item");
    let record = &machine.objects("/journal/")[1];
    let bytes = fs::read(record).unwrap();
    let mut damaged = bytes.clone();
    damaged[100] ^= 1;
    fs::write(record, &damaged).unwrap();
    lose_the_database(&machine);
    let error = machine.ends(4, &["collect"]);
    assert!(error["error"]["hint"].as_str().unwrap().contains("--give-up-unreadable"), "{error}");
    machine.ends(4, &["rebuild"]);
    machine.ends(4, &["collect"]);
    // Back from a copy: everything is as it was.
    fs::write(record, &bytes).unwrap();
    machine.ok(&["rebuild"]);
    machine.ok(&["collect"]);
    assert_eq!(machine.points().len(), 2);
    // Lost for good.
    fs::write(record, &damaged).unwrap();
    machine.ends(4, &["rebuild", "--give-up-unreadable"]);
    machine.ok(&["collect"]);
    assert_eq!(machine.points(), std::slice::from_ref(&last));
    machine.assert_restores(&last, &machine.path("source"));
}

#[test]
fn a_newest_descriptor_that_cannot_be_opened_is_refused_with_a_way_out() {
    let machine = Machine::with_vault();
    machine.write("file", "1");
    machine.backup("item");
    machine.ok(&["key", "write-only"]);
    let newest = machine.objects("/descriptor/").split_off(2);
    let kept: Vec<Vec<u8>> = newest.iter().map(|path| fs::read(path).unwrap()).collect();
    newest.iter().for_each(|path| fs::write(path, "nothing of a descriptor").unwrap());
    let error = machine.ends(4, &["points"]);
    assert!(error["error"]["hint"].as_str().unwrap().contains("from a copy"), "{error}");
    fs::write(&newest[0], &kept[0]).unwrap();
    machine.points();
    let report = machine.ok(&["check"]);
    assert_eq!(report["mended"].as_array().unwrap().len(), 1, "{report}");
}

/// A pack of pages.
fn page_pack(machine: &Machine) -> PathBuf {
    let is_pages = |path: &PathBuf| pack::parse(&fs::read(path).unwrap()).unwrap().footer.kind == BlobKind::Page;
    machine.objects("/pack/").into_iter().find(is_pages).unwrap()
}

#[test]
fn nothing_is_collected_after_a_rebuild_that_could_not_read_pages_until_they_are_back_or_given_up() {
    let machine = Machine::with_vault();
    machine.write("file", "1");
    let point = machine.backup("item");
    let pages = page_pack(&machine);
    let bytes = fs::read(&pages).unwrap();
    let mut damaged = bytes.clone();
    *damaged.last_mut().unwrap() ^= 1;
    let damage = |bytes: &[u8]| {
        fs::remove_file(&pages).unwrap();
        fs::write(&pages, bytes).unwrap();
    };
    damage(&damaged);
    lose_the_database(&machine);
    let error = machine.ends(4, &["collect"]);
    assert!(error["error"]["hint"].as_str().unwrap().contains("--give-up-unreadable"), "{error}");
    // Back from a copy: everything is as it was.
    damage(&bytes);
    machine.ok(&["rebuild"]);
    machine.ok(&["collect"]);
    machine.assert_restores(&point, &machine.path("source"));
    // Lost for good.
    damage(&damaged);
    machine.ends(4, &["rebuild", "--give-up-unreadable"]);
    machine.ok(&["collect"]);
    let alarm = machine.ends(4, &["points"]);
    assert!(alarm["error"]["hint"].as_str().unwrap().contains("set aside"), "{alarm}");
    assert_eq!(machine.ok(&["points", "--accept-rollback"])["points"], serde_json::json!([]));
    let report = machine.ends(4, &["check"]);
    assert_eq!(report["set_aside"][0]["point"], point.as_str(), "{report}");
    machine.ok(&["expire", &point, "--purge", "--yes"]);
    let report = machine.run(&["check", "--json"]).json();
    assert_eq!(report["set_aside"], serde_json::json!([]), "{report}");
}
