//! Published test vectors of what sealing is made of.

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, Nonce, UnboundKey};
use format::AgentKey;
use format::signature::Signature;
use hpke::aead::ChaCha20Poly1305;
use hpke::kdf::HkdfSha256;
use hpke::kem::XWing;
use hpke::rand_core::{TryCryptoRng, TryRng};
use hpke::{Deserializable, Kem, OpModeR, OpModeS, Serializable};
use std::collections::BTreeMap;
use std::convert::Infallible;

type Case = BTreeMap<String, Vec<u8>>;

/// Reads blocks of `name = hexadecimal`.
fn cases(text: &str) -> Vec<Case> {
    let parse = |block: &str| -> Case {
        let fields = block.lines().filter(|line| !line.starts_with('#'));
        fields
            .map(|line| line.split_once('=').unwrap())
            .map(|(name, value)| (name.trim().to_owned(), hex(value.trim())))
            .collect()
    };
    let cases: Vec<Case> = text.split("\n\n").map(parse).filter(|case| !case.is_empty()).collect();
    assert!(!cases.is_empty());
    cases
}

fn hex(text: &str) -> Vec<u8> {
    let digit = |place: usize| u8::from_str_radix(&text[place..place + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(digit).collect()
}

#[test]
fn aes_256_gcm_siv_does_as_rfc_8452_says() {
    let cases = cases(include_str!("vectors/aes_256_gcm_siv.txt"));
    assert_eq!(cases.len(), 26);
    for case in cases {
        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM_SIV, &case["key"]).unwrap());
        let nonce = || Nonce::try_assume_unique_for_key(&case["nonce"]).unwrap();
        let mut buffer = case["plaintext"].clone();
        key.seal_in_place_append_tag(nonce(), Aad::from(&case["associated"]), &mut buffer).unwrap();
        assert_eq!(buffer, case["result"]);
        let opened = key.open_in_place(nonce(), Aad::from(&case["associated"]), &mut buffer).unwrap();
        assert_eq!(opened, case["plaintext"]);
    }
}

#[test]
fn ed25519_does_as_rfc_8032_says() {
    // section 7.1, tests 1 to 3: seed, public key, message, signature
    let cases = [
        (
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        ),
        (
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "72",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        ),
        (
            "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
            "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
            "af82",
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
        ),
    ];
    for (seed, public, message, signature) in cases {
        let (seed, message, signature) = (hex(seed), hex(message), Signature(hex(signature).try_into().unwrap()));
        let pair = aws_lc_rs::signature::Ed25519KeyPair::from_seed_unchecked(&seed).unwrap();
        assert_eq!(pair.sign(&message).as_ref(), signature.0);
        // the crate's own keys are the same, and so is the format's verification
        let agent = seal::AgentSigner::from_bytes(seed.try_into().unwrap()).key();
        assert_eq!(agent, AgentKey(hex(public).try_into().unwrap()));
        agent.verify("message", b"", &message, &signature).unwrap();
        assert!(agent.verify("message", b"x", &message, &signature).is_err());
    }
}

#[test]
fn argon2id_does_as_rfc_9106_says() {
    // section 5.3
    let parameters = argon2::ParamsBuilder::new()
        .m_cost(32)
        .t_cost(3)
        .p_cost(4)
        .data(argon2::AssociatedData::new(&[4; 12]).unwrap())
        .output_len(32)
        .build()
        .unwrap();
    let argon2 =
        argon2::Argon2::new_with_secret(&[3; 8], argon2::Algorithm::Argon2id, argon2::Version::V0x13, parameters).unwrap();
    let mut tag = [0; 32];
    argon2.hash_password_into(&[1; 32], &[2; 16], &mut tag).unwrap();
    assert_eq!(tag.to_vec(), hex("0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659"));
}

#[test]
fn blake3_does_as_its_vectors_say() {
    let key = b"whats the Elvish word for friend";
    let context = "BLAKE3 2019-12-27 16:29:52 test vectors context";
    for case in cases(include_str!("vectors/blake3.txt")) {
        let length = u32::from_be_bytes(case["length"].clone().try_into().unwrap()) as usize;
        let input: Vec<u8> = (0..=250).cycle().take(length).collect();
        let extended = |mut hasher: blake3::Hasher| {
            let mut output = vec![0; 131];
            hasher.update(&input).finalize_xof().fill(&mut output);
            output
        };
        assert_eq!(extended(blake3::Hasher::new_keyed(key)), case["keyed"]);
        assert_eq!(extended(blake3::Hasher::new_derive_key(context)), case["derived"]);
        assert_eq!(blake3::keyed_hash(key, &input).as_bytes()[..], case["keyed"][..32]);
    }
}

/// Gives out fixed bytes.
struct Fixed(Vec<u8>);

impl TryRng for Fixed {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        unreachable!("an encapsulation takes bytes")
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        unreachable!("an encapsulation takes bytes")
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        bytes.copy_from_slice(&self.0.drain(..bytes.len()).collect::<Vec<u8>>());
        Ok(())
    }
}

impl TryCryptoRng for Fixed {}

#[test]
fn x_wing_does_as_its_draft_says() {
    for case in cases(include_str!("vectors/x_wing.txt")) {
        let secret = <XWing as Kem>::PrivateKey::from_bytes(&case["secret"]).unwrap();
        let public = XWing::sk_to_pk(&secret);
        assert_eq!(public.to_bytes().to_vec(), case["public"]);
        let (shared, encapsulation) = XWing::encap_with_rng(&public, None, &mut Fixed(case["randomness"].clone())).unwrap();
        assert_eq!(shared.0.to_vec(), case["shared"]);
        assert_eq!(encapsulation.to_bytes().to_vec(), case["encapsulation"]);
        assert_eq!(XWing::decap(&secret, None, &encapsulation).unwrap().0.to_vec(), case["shared"]);
    }
}

#[test]
fn hpke_exports_as_its_vectors_say() {
    let cases = cases(include_str!("vectors/hpke_x_wing.txt"));
    let setup = &cases[0];
    let secret = <XWing as Kem>::PrivateKey::from_bytes(&setup["secret"]).unwrap();
    let public = <XWing as Kem>::PublicKey::from_bytes(&setup["public"]).unwrap();
    let (encapsulation, sender) = hpke::setup_sender_with_rng::<ChaCha20Poly1305, HkdfSha256, XWing>(
        &OpModeS::Base,
        &public,
        &setup["info"],
        &mut Fixed(setup["randomness"].clone()),
    )
    .unwrap();
    assert_eq!(encapsulation.to_bytes().to_vec(), setup["encapsulation"]);
    let receiver =
        hpke::setup_receiver::<ChaCha20Poly1305, HkdfSha256, XWing>(&OpModeR::Base, &secret, &encapsulation, &setup["info"])
            .unwrap();
    for case in &cases {
        let (mut sent, mut received) = ([0; 32], [0; 32]);
        sender.export(&case["context"], &mut sent).unwrap();
        receiver.export(&case["context"], &mut received).unwrap();
        assert_eq!(sent.to_vec(), case["exported"]);
        assert_eq!(received.to_vec(), case["exported"]);
    }
}

#[test]
fn zstd_reads_a_frame_that_others_wrote() {
    // RFC 8878: magic, single segment with content size 11, one last block stored as it is; then one block of a repeated byte
    let stored = hex("28b52ffd200b590000").into_iter().chain(*b"hello world").collect::<Vec<u8>>();
    assert_eq!(zstd::bulk::decompress(&stored, 11).unwrap(), b"hello world");
    assert!(zstd::bulk::decompress(&stored, 10).is_err());
    let repeated = hex("28b52ffd200b5b000061");
    assert_eq!(zstd::bulk::decompress(&repeated, 11).unwrap(), b"aaaaaaaaaaa");
}
