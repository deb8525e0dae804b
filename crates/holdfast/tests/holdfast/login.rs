//! Logging in to a vault service, and what the command says when it cannot.

use crate::machine::Machine;
use std::os::unix::fs::PermissionsExt;

#[test]
fn a_token_is_kept_private_and_appears_in_no_output() {
    let machine = Machine::with_service();
    let kept = crate::machine::files(&machine.path("home/config/holdfast/services"));
    assert_eq!(kept.len(), 2, "{kept:?}");
    for path in &kept {
        assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600, "{path:?}");
    }
    let token = std::fs::read_to_string(kept.iter().find(|path| path.ends_with("token")).unwrap()).unwrap();
    assert!(token.starts_with("hf_") && token != std::fs::read_to_string(machine.path("token")).unwrap(), "it was exchanged");
    let ended = machine.run(&["status"]);
    assert_eq!(ended.code, 0, "{}", ended.err);
    assert!(!ended.out.contains(&token) && !ended.err.contains(&token));
}

#[test]
fn without_a_token_the_command_says_how_to_get_one() {
    let machine = Machine::with_service();
    let stranger = machine.other("stranger");
    let refused = stranger.ends(8, &["points"]);
    assert!(refused["error"].to_string().contains("has no token") || refused.to_string().contains("has no token"), "{refused}");
    let used = machine.path("token");
    let fingerprint = std::fs::read_to_string(
        crate::machine::files(&machine.path("home/config")).into_iter().find(|path| path.ends_with("authority")).unwrap(),
    );
    let arguments = ["login", "--fingerprint", fingerprint.as_ref().unwrap().trim(), "--token-file", used.to_str().unwrap()];
    stranger.ends(8, &arguments);
    let wrong = "0".repeat(64);
    stranger.ends(8, &["login", "--fingerprint", &wrong, "--token-file", used.to_str().unwrap()]);
}

#[test]
fn a_service_holds_one_vault_and_keys_of_a_second_are_not_left_behind() {
    let machine = Machine::with_service();
    let passphrase = machine.path("passphrase");
    let machine = machine.without_secret().with("HOLDFAST_PASSPHRASE_FILE", passphrase);
    let kit = machine.text("second");
    machine.ends(7, &["init", "--name", "second", "--kit", &kit]);
    assert!(!machine.path("second").exists());
    machine.write("file", "content");
    machine.backup("item");
    machine.assert_restores("latest", &machine.path("source"));
}

#[test]
fn a_rebuild_is_done_where_the_directory_is() {
    let machine = Machine::with_service();
    machine.ends(2, &["rebuild"]);
}

#[test]
fn a_check_takes_few_sessions_however_many_points_there_are() {
    let limits = vault::Limits { domain_sessions: 3, ..vault::Limits::default() };
    let machine = Machine::with_service_of(limits);
    for number in 0..5 {
        machine.write("file", number.to_string());
        machine.backup("item");
    }
    let report = machine.ok(&["check", "--read-data"]);
    assert_eq!(report["points"], 5, "{report}");
}
