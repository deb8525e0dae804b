//! The recovery kit: vault and owner seed as text that survives paper, and the code that it is written in.
//!
//! ```text
//! code  = base 32 (alphabet of Crockford: no I, L, O, U) of kind (1) ‖ payload ‖ check, in groups of four
//! check = the first bytes of the format's checksum over kind ‖ payload: at least 6, filled up to a multiple of 5 in all
//! kit   = kind 1, payload = vault (16) ‖ seed (32)
//! ```
//! Case, white space and hyphens don't count; `o` reads as zero, `i` and `l` as one; lines that start with `#` are skipped.

use crate::error::{Result, SealError};
use crate::owner::OwnerSeed;
use crate::secret::equal;
use format::VaultId;
use format::codec::checksum;
use secrecy::SecretString;
use zeroize::Zeroizing;

/// Kind of a code: recovery kit.
pub(crate) const CODE_KIT: u8 = 1;
/// Kind of a code: a recipient's secret.
pub(crate) const CODE_RECIPIENT_SECRET: u8 = 2;
/// Kind of a code: a recipient's public key.
pub(crate) const CODE_RECIPIENT: u8 = 3;

const ALPHABET: [u8; 32] = *b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const GROUPS_A_LINE: usize = 6;

/// The kit as text.
#[must_use]
pub fn print_kit(seed: &OwnerSeed, vault: VaultId) -> SecretString {
    let mut payload = Zeroizing::new([0; 48]);
    payload[..16].copy_from_slice(vault.as_bytes());
    payload[16..].copy_from_slice(seed.as_bytes());
    print_code(CODE_KIT, payload.as_slice())
}

/// Reads a kit, however it was typed. What it says must still be compared with the descriptor: `OwnerSeed::check`.
pub fn read_kit(text: &str) -> Result<(VaultId, OwnerSeed)> {
    let payload = read_code("recovery kit", CODE_KIT, text, 48)?;
    let (vault, seed) = payload.split_first_chunk::<16>().expect("read_code answers as many bytes as asked");
    let seed = Zeroizing::new(*seed.first_chunk::<32>().expect("read_code answers as many bytes as asked"));
    Ok((VaultId(*vault), OwnerSeed::from_bytes(*seed)))
}

/// Writes a code.
pub(crate) fn print_code(kind: u8, payload: &[u8]) -> SecretString {
    let total = code_bytes(payload.len());
    let mut bytes = Zeroizing::new(Vec::with_capacity(total));
    bytes.push(kind);
    bytes.extend_from_slice(payload);
    let check = checksum(&bytes);
    bytes.extend_from_slice(&check[..total - 1 - payload.len()]);
    let digits = total / 5 * 8;
    let mut text = String::with_capacity(digits + digits / 4);
    for (place, digit) in digits_of(&bytes).enumerate() {
        if place > 0 && place % 4 == 0 {
            text.push(if place % (4 * GROUPS_A_LINE) == 0 { '\n' } else { ' ' });
        }
        text.push(char::from(ALPHABET[usize::from(digit)]));
    }
    SecretString::from(text)
}

/// Reads a code of this kind with a payload of `length` bytes; `what` is for errors.
pub(crate) fn read_code(what: &'static str, kind: u8, text: &str, length: usize) -> Result<Zeroizing<Vec<u8>>> {
    let wrong = || SealError::Invalid(explain(what));
    let total = code_bytes(length);
    let mut bytes = Zeroizing::new(Vec::with_capacity(total + 5));
    let (mut bits, mut held) = (0u32, 0u32);
    let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    for character in lines.flat_map(str::chars).filter(|c| !c.is_whitespace() && *c != '-') {
        bits = (bits << 5 | u32::from(digit(character).ok_or_else(wrong)?)) & 0xfff;
        held += 5;
        if held >= 8 {
            held -= 8;
            if bytes.len() == total {
                return Err(wrong());
            }
            bytes.push((bits >> held) as u8);
        }
    }
    let whole = bytes.len() == total && held == 0;
    if !whole || bytes[0] != kind || !equal(&checksum(&bytes[..=length])[..total - 1 - length], &bytes[1 + length..]) {
        return Err(wrong());
    }
    bytes.truncate(1 + length);
    bytes.remove(0);
    Ok(bytes)
}

fn explain(what: &'static str) -> &'static str {
    match what {
        "recovery kit" => "this is no recovery kit, or a character of it is wrong",
        "recipient's secret" => "this is no recipient's secret, or a character of it is wrong",
        _ => "this is no recipient, or a character of it is wrong",
    }
}

/// Bytes of a code with its kind and check.
fn code_bytes(payload: usize) -> usize {
    (1 + payload + 6).next_multiple_of(5)
}

fn digits_of(bytes: &[u8]) -> impl Iterator<Item = u8> {
    bytes.chunks_exact(5).flat_map(|five| {
        let bits = five.iter().fold(0u64, |bits, byte| bits << 8 | u64::from(*byte));
        (0..8).map(move |place| (bits >> (35 - 5 * place) & 31) as u8)
    })
}

fn digit(character: char) -> Option<u8> {
    let character = match character.to_ascii_uppercase() {
        'O' => '0',
        'I' | 'L' => '1',
        other => other,
    };
    ALPHABET.iter().position(|digit| char::from(*digit) == character).map(|place| place as u8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;

    #[test]
    fn a_code_of_another_kind_is_refused_though_it_has_the_same_length() {
        let code = print_code(CODE_KIT, &[7; 48]);
        assert_eq!(read_code("recovery kit", CODE_KIT, code.expose_secret(), 48).unwrap().as_slice(), [7; 48]);
        assert!(read_code("recovery kit", CODE_RECIPIENT, code.expose_secret(), 48).is_err());
    }
}
