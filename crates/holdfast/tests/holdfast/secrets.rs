//! Keys in all their forms, what is refused, and how each end shows in the exit code.

use crate::machine::Machine;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

#[test]
fn a_new_passphrase_takes_the_place_of_the_old_one() {
    let machine = Machine::with_passphrase();
    machine.write("file", "content");
    machine.backup("item");
    let new = machine.private("new passphrase", "another passphrase altogether");
    machine.ok(&["key", "passphrase", "--new-passphrase-file", new.to_str().unwrap()]);
    machine.ends(6, &["ls", "latest"]);
    let machine = machine.without_secret().with("HOLDFAST_PASSPHRASE_FILE", new);
    machine.ok(&["ls", "latest"]);
}

#[test]
fn a_recipient_opens_the_vault_with_a_key_of_its_own() {
    let machine = Machine::with_vault();
    machine.write("file", "content");
    machine.backup("item");
    let public = machine.ok(&["key", "generate", &machine.text("secret key")])["public"].as_str().unwrap().to_owned();
    fs::write(machine.path("public key"), public).unwrap();
    machine.ok(&["key", "add-recipient", "colleague", &machine.text("public key")]);
    let secret = machine.path("secret key");
    let machine = machine.without_secret().with("HOLDFAST_RECIPIENT_KEY_FILE", secret);
    machine.assert_restores("latest", &machine.path("source"));
    machine.ok(&["key", "generate", &machine.text("stranger")]);
    let stranger = machine.path("stranger");
    machine.without_secret().with("HOLDFAST_RECIPIENT_KEY_FILE", stranger).ends(6, &["ls", "latest"]);
}

#[test]
fn the_kit_that_is_printed_opens_the_vault() {
    let machine = Machine::with_passphrase();
    machine.write("file", "content");
    machine.backup("item");
    machine.ok(&["key", "kit", "--to", &machine.text("second kit")]);
    machine.ends(7, &["key", "kit", "--to", &machine.text("second kit")]);
    let kit = machine.path("second kit");
    assert_eq!(fs::metadata(&kit).unwrap().permissions().mode() & 0o777, 0o600);
    let machine = machine.without_secret().with("HOLDFAST_RECOVERY_KIT_FILE", kit.clone());
    machine.assert_restores("latest", &machine.path("source"));
    let text = fs::read_to_string(&kit).unwrap();
    let wrong = text.replacen(|c: char| c.is_ascii_digit(), "z", 40);
    machine.private("wrong kit", &wrong);
    let ended = machine.run(&["--recovery-kit", &machine.text("wrong kit"), "ls", "latest"]);
    assert!([1, 4, 6].contains(&ended.code), "{}: {}", ended.code, ended.err);
}

#[test]
fn each_way_to_end_has_its_exit_code() {
    let machine = Machine::with_passphrase();
    machine.write("file", "content");
    machine.backup("item");
    assert_eq!(machine.run(&["no-such-command"]).code, 2);
    assert_eq!(machine.run(&["backup"]).code, 2);
    machine.private("wrong", "certainly not the passphrase");
    machine.ends(6, &["ls", "latest", "--passphrase-file", &machine.text("wrong")]);
    machine.ends(7, &["init", "--kit", &machine.text("kit")]);
    assert!(machine.ends(5, &["points", "--vault", &machine.text("nowhere")])["error"]["hint"].is_string());
    // A path that does not exist is a warning or a failure, never a clean point.
    let ended = machine.run(&["backup", &machine.text("nowhere"), "--item", "nothing", "--json"]);
    assert!([1, 2, 3].contains(&ended.code), "{}: {}", ended.code, ended.out);
    let packs = machine.objects("/pack/");
    for pack in &packs {
        let mut bytes = fs::read(pack).unwrap();
        bytes[40] ^= 1;
        fs::set_permissions(pack, Permissions::from_mode(0o600)).unwrap();
        fs::write(pack, bytes).unwrap();
    }
    machine.ends(4, &["check", "--read-data"]);
}

#[test]
fn output_that_is_piped_is_quiet() {
    let machine = Machine::with_vault();
    machine.write("file", "content");
    let ended = machine.run(&["backup", &machine.text("source"), "--item", "item"]);
    assert_eq!((ended.code, ended.err.as_str()), (0, ""), "{}", ended.out);
    assert!(!ended.out.contains('\u{1b}') && !ended.out.contains('\r'), "{:?}", ended.out);
    let ended = machine.run(&["--quiet", "restore", "latest", "--to", &machine.text("out")]);
    assert_eq!((ended.code, ended.err.as_str()), (0, ""));
}

#[test]
fn a_passphrase_that_the_vault_does_not_take_changes_nothing_here() {
    let machine = Machine::with_passphrase();
    machine.write("file", "content");
    machine.backup("item");
    // Where wraps would go stands a file.
    fs::create_dir_all(machine.vault().join("objects/wrap")).unwrap();
    fs::write(machine.vault().join("objects/wrap/passphrase"), "").unwrap();
    let ended = machine.run(&["key", "passphrase", "--in-vault", "--json"]);
    assert_ne!(ended.code, 0, "{}", ended.out);
    machine.ok(&["ls", "latest"]);
}

#[test]
fn what_is_said_may_go_unheard_and_is_done_all_the_same() {
    use std::process::{Command, Stdio};
    let machine = Machine::with_vault();
    for number in 0..20_000 {
        machine.write(&format!("{number}"), "");
    }
    // A socket is a warning, and the warning goes nowhere.
    let _socket = std::os::unix::net::UnixListener::bind(machine.path("source/socket")).unwrap();
    let full = || fs::File::options().write(true).open("/dev/full").unwrap();
    let command = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_holdfast"));
        machine.surround(&mut command);
        command.args(arguments);
        command
    };
    let source = machine.text("source");
    let mut backup = command(&["backup", &source, "--item", "item"]);
    assert_eq!(backup.stdout(Stdio::null()).stderr(full()).status().unwrap().code(), Some(3));
    assert_eq!(command(&["points"]).stdout(full()).stderr(Stdio::null()).status().unwrap().code(), Some(1));
    let mut list = command(&["ls", "latest", "-r"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(list.stdout.take());
    let ended = list.wait_with_output().unwrap();
    assert_eq!((ended.status.code(), String::from_utf8_lossy(&ended.stderr).as_ref()), (Some(0), ""));
}

#[test]
fn the_recovery_kit_is_never_removed_for_its_owner() {
    let machine = Machine::with_passphrase();
    let kit = machine.config().join("recovery-kit.txt");
    fs::copy(machine.path("kit"), &kit).unwrap();
    let error = machine.ends(8, &["key", "write-only", "--only"]);
    assert!(error["error"]["hint"].is_string() && kit.exists(), "{error}");
    fs::remove_file(&kit).unwrap();
    machine.ok(&["key", "write-only", "--only"]);
    assert!(!machine.config().join("passphrase.wrap").exists());
}

#[test]
fn secrets_go_into_files_with_bare_names_too_and_a_new_vault_takes_no_old_kit() {
    let machine = Machine::with_vault();
    machine.ok(&["key", "kit", "--to", "second-kit"]);
    assert!(machine.path("second-kit").exists());
    assert!(machine.ok(&["key", "generate", "recipient"])["public"].is_string());
    machine.ends(2, &["init", "--vault", &machine.text("another"), "--kit", "third-kit"]);
    assert!(!machine.path("another").exists() && !machine.path("third-kit").exists());
}

#[test]
fn a_passphrase_that_could_not_be_shown_is_not_set() {
    use std::process::{Command, Stdio};
    let machine = Machine::with_passphrase();
    machine.write("file", "content");
    machine.backup("item");
    let full = || Stdio::from(fs::File::options().write(true).open("/dev/full").unwrap());
    let command = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_holdfast"));
        machine.surround(&mut command);
        command.args(arguments).stdout(full()).stderr(Stdio::null());
        command
    };
    let unheard = |command: &mut Command| {
        let mut running = command.stdout(Stdio::piped()).spawn().unwrap();
        drop(running.stdout.take());
        running.wait().unwrap()
    };
    for json in [&[][..], &["--json"]] {
        let set = [&["key", "passphrase", "--in-vault"], json].concat();
        assert_eq!(command(&set).status().unwrap().code(), Some(1), "nothing could be written");
        assert_eq!(unheard(&mut command(&set)).code(), Some(1), "nobody read");
        let other = machine.text("another");
        let make = [&["init", "--vault", &other, "--passphrase-in-vault"], json].concat();
        assert_eq!(command(&make).status().unwrap().code(), Some(1));
        assert!(!machine.path("another").exists());
    }
    machine.ok(&["ls", "latest"]);
    assert_eq!(machine.ok(&["key", "list"])["passphrase_in_vault"], false);
    let shown = machine.ok(&["key", "passphrase", "--in-vault"])["passphrase"].as_str().unwrap().to_owned();
    let new = machine.private("shown", &shown);
    machine.without_secret().with("HOLDFAST_PASSPHRASE_FILE", new).ok(&["ls", "latest"]);
}

#[test]
fn a_check_of_which_half_was_refused_fails_and_half_a_check_does_not_say_that_all_is_there() {
    use std::process::Command;
    let machine = Machine::with_vault();
    machine.write("file", testkit::Rng::new(5).vec(500_000));
    machine.backup("item");
    let half = machine.run(&["check", "--no-keys"]);
    assert!(half.code == 0 && !half.out.contains("everything is there"), "{}", half.out);
    let whole = machine.run(&["check"]);
    assert!(whole.code == 0 && whole.out.contains("everything is there"), "{}", whole.out);
    // The key opens everything; what the file system refuses is not for the machine to pass over.
    let pack = machine.objects("/pack/").into_iter().max_by_key(|path| fs::metadata(path).unwrap().len()).unwrap();
    fs::set_permissions(&pack, Permissions::from_mode(0o000)).unwrap();
    let mut command = Command::new("setpriv");
    machine.surround(&mut command);
    command.env("PATH", std::env::var_os("PATH").unwrap()).args(["--bounding-set=-dac_override,-dac_read_search", "--"]);
    let ended = command.args([env!("CARGO_BIN_EXE_holdfast"), "check"]).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
    assert!(ended.status.code() != Some(0) && !out.contains("everything is there"), "{out} {err}");
}

#[test]
fn setting_a_passphrase_leaves_the_domain_that_this_machine_writes() {
    let machine = Machine::with_service();
    let token = machine.ok(&["agent", "token", "laptop"])["token"].as_str().unwrap().to_owned();
    let file = machine.private("laptop's", &token);
    machine.other("laptop").without_secret().ok(&["agent", "enroll", "--token-file", file.to_str().unwrap()]);
    let new = machine.private("new passphrase", "another passphrase altogether");
    machine.ok(&["key", "passphrase", "--domain", "laptop", "--new-passphrase-file", new.to_str().unwrap()]);
    assert_eq!(machine.ok(&["status"])["domain_name"], "machine");
}

#[test]
fn a_passphrase_is_tested_on_this_machines_wrap_and_on_the_vaults() {
    let machine = Machine::with_passphrase();
    let both = machine.ok(&["key", "passphrase", "--in-vault"])["passphrase"].as_str().unwrap().to_owned();
    let both = machine.private("of both", &both).to_str().unwrap().to_owned();
    let opens = |code: i32, file: &str| {
        let arguments = ["key", "test", "--passphrase-file", file];
        let tested = if code == 0 { machine.ok(&arguments) } else { machine.ends(code, &arguments) };
        (tested["opens_wrap_on_machine"].as_bool(), tested["opens_wrap_in_vault"].as_bool())
    };
    assert_eq!(opens(0, &both), (Some(true), Some(true)));
    let new = machine.private("of this machine", "another passphrase altogether").to_str().unwrap().to_owned();
    machine.ok(&["key", "passphrase", "--passphrase-file", &both, "--new-passphrase-file", &new]);
    assert_eq!(opens(3, &new), (Some(true), Some(false)));
    assert_eq!(opens(3, &both), (Some(false), Some(true)));
    let said = machine.run(&["key", "test", "--passphrase-file", &new]);
    assert!(said.err.contains("elsewhere it opens nothing"), "{}", said.err);
    machine.ok(&["key", "passphrase", "--passphrase-file", &new, "--out-of-vault"]);
    assert_eq!(opens(0, &new), (Some(true), None));
}
