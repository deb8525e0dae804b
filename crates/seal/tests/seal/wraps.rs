//! Wraps of the owner seed.

use crate::fixture::{VAULT, flips, owner};
use format::wrap::{Argon2Parameters, Method, Wrap};
use format::{OwnerKey, VaultId, limits};
use seal::{
    Kind, OwnerSeed, RecipientSecret, default_argon2, generate_passphrase, unwrap_as_recipient, unwrap_with_passphrase,
    wrap_to_recipient, wrap_with_passphrase,
};
use secrecy::{ExposeSecret, SecretString};
use std::collections::BTreeSet;

/// The cheapest that is allowed.
const CHEAP: Argon2Parameters =
    Argon2Parameters { memory_kib: limits::ARGON2_MEMORY_KIB_MIN, passes: limits::ARGON2_PASSES_MIN, lanes: 1 };

fn passphrase(text: &str) -> SecretString {
    SecretString::from(text)
}

fn key(seed: seal::Result<OwnerSeed>) -> Option<OwnerKey> {
    seed.ok().map(|seed| seed.owner_key())
}

/// The wrap as it comes back after an attacker changed its bytes and mended the checksum.
fn mended(bytes: &[u8]) -> Result<Wrap, format::FormatError> {
    let body = &bytes[..bytes.len() - 32];
    Wrap::parse(&[body, &format::codec::checksum(body)].concat())
}

#[test]
fn a_passphrase_opens_its_wrap_and_another_does_not() {
    let wrap = wrap_with_passphrase(&owner(), VAULT, &passphrase("correct horse"), default_argon2()).unwrap();
    let wrap = Wrap::parse(&wrap.encode()).unwrap();
    assert_eq!(key(unwrap_with_passphrase(&wrap, &passphrase("correct horse"))), Some(owner().owner_key()));
    for wrong in ["correct horsf", "Correct horse", "correct horse ", "x"] {
        assert_eq!(unwrap_with_passphrase(&wrap, &passphrase(wrong)).unwrap_err().kind(), Kind::WrongKey);
    }
    assert_eq!(unwrap_with_passphrase(&wrap, &passphrase("")).unwrap_err().kind(), Kind::Invalid);
}

#[test]
fn a_passphrase_wrap_is_refused_with_any_bit_changed() {
    let wrap = wrap_with_passphrase(&owner(), VAULT, &passphrase("correct horse"), CHEAP).unwrap().encode();
    for flipped in flips(&wrap) {
        assert!(Wrap::parse(&flipped).is_err());
    }
    for flipped in flips(&wrap[..wrap.len() - 32]).step_by(3) {
        let flipped = [&flipped[..], &wrap[wrap.len() - 32..]].concat();
        if let Ok(wrap) = mended(&flipped) {
            let opened = unwrap_with_passphrase(&wrap, &passphrase("correct horse"));
            assert_eq!(opened.unwrap_err().kind(), Kind::WrongKey);
        }
    }
}

#[test]
fn parameters_out_of_bounds_are_refused_before_they_cost_anything() {
    let parameters = |memory_kib, passes, lanes| Argon2Parameters { memory_kib, passes, lanes };
    let out = [
        parameters(limits::ARGON2_MEMORY_KIB_MIN - 1, 3, 1),
        parameters(limits::ARGON2_MEMORY_KIB_MAX + 1, 3, 1),
        parameters(64 << 10, limits::ARGON2_PASSES_MIN - 1, 1),
        parameters(64 << 10, limits::ARGON2_PASSES_MAX + 1, 1),
        parameters(64 << 10, 3, 0),
        parameters(64 << 10, 3, limits::ARGON2_LANES_MAX + 1),
        parameters(u32::MAX, u32::MAX, u32::MAX),
    ];
    for argon2 in out {
        let refused = wrap_with_passphrase(&owner(), VAULT, &passphrase("x"), argon2);
        assert_eq!(refused.unwrap_err().kind(), Kind::Invalid);
        // and when a wrap that was not parsed says so
        let mut wrap = wrap_with_passphrase(&owner(), VAULT, &passphrase("x"), CHEAP).unwrap();
        wrap.method = Method::Passphrase { salt: [0; 16], argon2 };
        assert_eq!(unwrap_with_passphrase(&wrap, &passphrase("x")).unwrap_err().kind(), Kind::Invalid);
        assert!(Wrap::parse(&wrap.encode()).is_err());
    }
}

#[test]
fn the_bounds_themselves_are_allowed() {
    for lanes in [1, limits::ARGON2_LANES_MAX] {
        let argon2 = Argon2Parameters { lanes, ..CHEAP };
        let wrap = wrap_with_passphrase(&owner(), VAULT, &passphrase("x"), argon2).unwrap();
        assert_eq!(key(unwrap_with_passphrase(&wrap, &passphrase("x"))), Some(owner().owner_key()));
    }
}

#[test]
fn a_recipient_opens_its_wrap_and_another_does_not() {
    let recipient = RecipientSecret::generate();
    let wrap = wrap_to_recipient(&owner(), VAULT, &recipient.public()).unwrap();
    let wrap = Wrap::parse(&wrap.encode()).unwrap();
    assert_eq!(key(unwrap_as_recipient(&wrap, &recipient)), Some(owner().owner_key()));
    assert_eq!(unwrap_as_recipient(&wrap, &RecipientSecret::generate()).unwrap_err().kind(), Kind::WrongKey);
    assert_eq!(wrap_to_recipient(&owner(), VAULT, &[0; 5]).unwrap_err().kind(), Kind::Invalid);
}

#[test]
fn a_recipients_wrap_is_refused_with_any_bit_changed() {
    let recipient = RecipientSecret::generate();
    let wrap = wrap_to_recipient(&owner(), VAULT, &recipient.public()).unwrap().encode();
    for flipped in flips(&wrap[..wrap.len() - 32]).step_by(5) {
        let flipped = [&flipped[..], &wrap[wrap.len() - 32..]].concat();
        assert!(Wrap::parse(&flipped).is_err());
        if let Ok(wrap) = mended(&flipped) {
            assert!(unwrap_as_recipient(&wrap, &recipient).is_err());
        }
    }
}

#[test]
fn a_wrap_of_one_vault_is_not_taken_for_anothers() {
    let recipient = RecipientSecret::generate();
    let mut wrap = wrap_to_recipient(&owner(), VAULT, &recipient.public()).unwrap();
    wrap.vault = VaultId([0xab; 16]);
    assert_eq!(unwrap_as_recipient(&wrap, &recipient).unwrap_err().kind(), Kind::WrongKey);
    let mut wrap = wrap_with_passphrase(&owner(), VAULT, &passphrase("x"), CHEAP).unwrap();
    wrap.vault = VaultId([0xab; 16]);
    assert_eq!(unwrap_with_passphrase(&wrap, &passphrase("x")).unwrap_err().kind(), Kind::WrongKey);
}

#[test]
fn a_wrap_is_opened_by_its_own_method_only() {
    let recipient = RecipientSecret::generate();
    let to_recipient = wrap_to_recipient(&owner(), VAULT, &recipient.public()).unwrap();
    assert_eq!(unwrap_with_passphrase(&to_recipient, &passphrase("x")).unwrap_err().kind(), Kind::Invalid);
    let under_passphrase = wrap_with_passphrase(&owner(), VAULT, &passphrase("x"), CHEAP).unwrap();
    assert_eq!(unwrap_as_recipient(&under_passphrase, &recipient).unwrap_err().kind(), Kind::Invalid);
}

#[test]
fn two_wraps_of_one_seed_have_nothing_in_common() {
    let wrap = || wrap_with_passphrase(&owner(), VAULT, &passphrase("x"), CHEAP).unwrap();
    let (one, two) = (wrap(), wrap());
    assert_ne!(one.method, two.method);
    assert_ne!(one.nonce, two.nonce);
    assert_ne!(one.sealed, two.sealed);
}

#[test]
fn generated_passphrases_have_six_words_and_do_not_repeat() {
    let passphrases: BTreeSet<String> = (0..100).map(|_| generate_passphrase().expose_secret().to_owned()).collect();
    assert_eq!(passphrases.len(), 100);
    for passphrase in &passphrases {
        let words: Vec<&str> = passphrase.split('-').collect();
        assert_eq!(words.len(), 6);
        assert!(words.iter().all(|word| word.len() == 5 && word.bytes().all(|c| c.is_ascii_lowercase())));
    }
    // 16 bits a word: of 600 words hardly any two are equal
    let words: BTreeSet<&str> = passphrases.iter().flat_map(|passphrase| passphrase.split('-')).collect();
    assert!(words.len() > 570, "{} different words", words.len());
}
