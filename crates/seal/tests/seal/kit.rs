//! The recovery kit and the other codes that people copy by hand.

use crate::fixture::{VAULT, owner};
use proptest::prelude::*;
use seal::{Kind, OwnerSeed, RecipientSecret, print_kit, print_recipient, read_kit, read_recipient};
use secrecy::ExposeSecret;

const ALPHABET: &str = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

fn kit() -> String {
    print_kit(&owner(), VAULT).expose_secret().to_owned()
}

fn reads(text: &str) -> bool {
    read_kit(text).is_ok_and(|(vault, seed)| vault == VAULT && seed.owner_key() == owner().owner_key())
}

#[test]
fn a_kit_comes_back_however_it_is_typed() {
    let kit = kit();
    assert!(reads(&kit));
    assert!(reads(&kit.to_lowercase()));
    assert!(reads(&kit.replace([' ', '\n'], "")));
    assert!(reads(&kit.replace([' ', '\n'], "-")));
    assert!(reads(&kit.replace(' ', "\t \r\n")));
    assert!(reads(&format!("# kit of a vault\n  # made today\n{kit}\n\n")));
    assert!(reads(&kit.replace('0', "O").replace('1', "l")));
    assert!(reads(&kit.replace('0', "o").replace('1', "I")));
}

#[test]
fn a_kit_detects_any_single_changed_character() {
    let kit = kit();
    for (place, character) in kit.char_indices().filter(|(_, c)| !c.is_whitespace()) {
        for other in ALPHABET.chars().filter(|other| *other != character) {
            let mut changed = kit.clone();
            changed.replace_range(place..=place, &other.to_string());
            assert_eq!(read_kit(&changed).unwrap_err().kind(), Kind::Invalid, "{other} at {place}");
        }
    }
}

#[test]
fn a_kit_detects_swapped_lost_and_doubled_characters() {
    let kit: Vec<char> = kit().chars().filter(|c| !c.is_whitespace()).collect();
    for place in 0..kit.len() {
        let mut lost = kit.clone();
        lost.remove(place);
        assert!(read_kit(&lost.iter().collect::<String>()).is_err());
        let mut doubled = kit.clone();
        doubled.insert(place, kit[place]);
        assert!(read_kit(&doubled.iter().collect::<String>()).is_err());
        let mut swapped = kit.clone();
        swapped.swap(place, (place + 1) % kit.len());
        assert!(swapped == kit || read_kit(&swapped.iter().collect::<String>()).is_err());
    }
}

#[test]
fn a_kit_is_short_enough_to_copy_by_hand() {
    let kit = kit();
    assert_eq!(kit.chars().filter(|c| !c.is_whitespace()).count(), 88);
    assert!(kit.lines().all(|line| line.len() <= 30 && line.split(' ').all(|group| group.len() == 4)));
}

#[test]
fn one_code_is_not_taken_for_another() {
    let secret = RecipientSecret::generate();
    let text = secret.to_text();
    assert!(read_kit(text.expose_secret()).is_err());
    assert!(RecipientSecret::from_text(&kit()).is_err());
    assert!(RecipientSecret::from_text(&print_recipient(&secret.public())).is_err());
    assert!(read_recipient(text.expose_secret()).is_err());
}

#[test]
fn a_recipient_comes_back_from_its_text() {
    let secret = RecipientSecret::generate();
    let again = RecipientSecret::from_text(&secret.to_text().expose_secret().to_lowercase()).unwrap();
    assert_eq!(again.public(), secret.public());
    assert_eq!(read_recipient(&print_recipient(&secret.public())).unwrap(), secret.public());
}

proptest! {
    #[test]
    fn any_seed_comes_back_from_its_kit(seed: [u8; 32], vault: [u8; 16]) {
        let vault = format::VaultId(vault);
        let kit = print_kit(&OwnerSeed::from_bytes(seed), vault);
        let (read, again) = read_kit(kit.expose_secret()).unwrap();
        prop_assert_eq!(read, vault);
        prop_assert_eq!(again.owner_key(), OwnerSeed::from_bytes(seed).owner_key());
    }

    #[test]
    fn any_text_is_read_or_refused(text: String, digits in "[0-9A-Za-z \n-]{0,120}") {
        prop_assert!(read_kit(&text).is_err() && read_kit(&digits).is_err());
    }
}
