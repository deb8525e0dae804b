//! Passphrases and tokens: from a file, the environment, or the terminal; never from arguments.

use super::files::read_secret;
use crate::cli::Global;
use crate::failure::{Exit, Failure, Outcome};
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use secrecy::{ExposeSecret, SecretString};
use std::env;
use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, IsTerminal, Read, Write};
use std::path::Path;
use zeroize::Zeroizing;

/// Least characters of a passphrase that a person chooses.
const CHARACTERS_MIN: usize = 8;
/// Most bytes of a token that are read.
const TOKEN_BYTES_MAX: u64 = 4096;

/// The passphrase as it is configured, or asked for.
pub(crate) fn passphrase(global: &Global) -> Outcome<SecretString> {
    match configured(global)? {
        Some(passphrase) => Ok(passphrase),
        None => ask("Passphrase: "),
    }
}

/// A new passphrase: as it is configured, or asked for twice.
pub(crate) fn new_passphrase(global: &Global) -> Outcome<SecretString> {
    let passphrase = match configured(global)? {
        Some(passphrase) => passphrase,
        None => {
            let first = ask("New passphrase: ")?;
            if ask("The same again: ")?.expose_secret() != first.expose_secret() {
                return Err(Failure::new(Exit::Usage, "the two passphrases differ"));
            }
            first
        }
    };
    if passphrase.expose_secret().chars().count() < CHARACTERS_MIN {
        let hint = "four random words are easy to keep in mind and hard to guess";
        return Err(Failure::new(Exit::Usage, format!("a passphrase has at least {CHARACTERS_MIN} characters")).with_hint(hint));
    }
    Ok(passphrase)
}

fn configured(global: &Global) -> Outcome<Option<SecretString>> {
    if let Some(path) = &global.passphrase_file {
        return text_of(&read_secret(path)?, path).map(Some);
    }
    match env::var("HOLDFAST_PASSPHRASE") {
        Ok(text) => Ok(Some(SecretString::from(Zeroizing::new(text).as_str()))),
        Err(env::VarError::NotPresent) => Ok(None),
        Err(env::VarError::NotUnicode(_)) => Err(Failure::new(Exit::Failed, "HOLDFAST_PASSPHRASE is not UTF-8")),
    }
}

/// The secret in a file as text, without the end of its line.
pub(crate) fn text_of(bytes: &[u8], path: &Path) -> Outcome<SecretString> {
    let text = std::str::from_utf8(bytes)
        .map_err(|_| Failure::new(Exit::Failed, format!("the secret in '{}' is not UTF-8", path.display())))?;
    Ok(SecretString::from(text.trim_end_matches(['\n', '\r'])))
}

/// A token: from a file, from standard input, or asked for.
pub(crate) fn token(file: Option<&Path>) -> Outcome<SecretString> {
    if let Some(path) = file {
        return text_of(&read_secret(path)?, path);
    }
    if std::io::stdin().is_terminal() {
        return ask("Token: ");
    }
    let mut line = Zeroizing::new(String::new());
    let failed = |error: std::io::Error| Failure::io("cannot read the token from standard input", &error);
    std::io::stdin().lock().take(TOKEN_BYTES_MAX).read_line(&mut line).map_err(failed)?;
    if line.trim().is_empty() {
        return Err(Failure::new(Exit::Usage, "there is no token on standard input")
            .with_hint("give it there, or name a file that holds it with --token-file"));
    }
    Ok(SecretString::from(line.trim()))
}

/// Asks on the terminal, without echo.
fn ask(prompt: &str) -> Outcome<SecretString> {
    let none = || {
        Failure::new(Exit::Usage, "a passphrase is needed, and there is no terminal to ask for it")
            .with_hint("set HOLDFAST_PASSPHRASE_FILE (or HOLDFAST_PASSPHRASE), or name the recovery kit with --recovery-kit")
    };
    let mut terminal = OpenOptions::new().read(true).write(true).open("/dev/tty").map_err(|_| none())?;
    let before = tcgetattr(&terminal).map_err(|_| none())?;
    let mut silent = before.clone();
    silent.local_modes.remove(LocalModes::ECHO);
    let failed = |error: std::io::Error| Failure::io("cannot ask for the passphrase", &error);
    terminal.write_all(prompt.as_bytes()).map_err(failed)?;
    tcsetattr(&terminal, OptionalActions::Flush, &silent).map_err(|error| failed(error.into()))?;
    let mut line = Zeroizing::new(String::new());
    let read = BufReader::new(&terminal).read_line(&mut line);
    let restored = tcsetattr(&terminal, OptionalActions::Flush, &before);
    let _ = terminal.write_all(b"\n");
    read.map_err(failed)?;
    restored.map_err(|error| failed(error.into()))?;
    if line.is_empty() {
        return Err(none());
    }
    Ok(SecretString::from(line.trim_end_matches(['\n', '\r'])))
}
