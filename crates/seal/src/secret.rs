//! Secret bytes: where they come from, how one follows from another, how they are compared.

use zeroize::{Zeroize, Zeroizing};

/// Thirty-two secret bytes that are wiped when dropped.
pub(crate) type Secret = Zeroizing<[u8; 32]>;

/// Random bytes from the operating system's generator.
pub(crate) fn random<const N: usize>() -> Zeroizing<[u8; N]> {
    let mut bytes = Zeroizing::new([0; N]);
    aws_lc_rs::rand::fill(bytes.as_mut_slice()).expect("the operating system gives randomness");
    bytes
}

/// Random bytes that are no secret: nonces, salts.
pub(crate) fn random_public<const N: usize>() -> [u8; N] {
    *random::<N>()
}

/// BLAKE3 key derivation: a key that says nothing about `secret`, nor about keys with another context.
pub(crate) fn derive(context: &'static str, secret: &[u8; 32]) -> Secret {
    let mut hasher = blake3::Hasher::new_derive_key(context);
    hasher.update(secret);
    let mut hash = hasher.finalize();
    hasher.zeroize();
    let key = Zeroizing::new(*hash.as_bytes());
    hash.zeroize();
    key
}

/// Comparison in constant time.
pub(crate) fn equal(left: &[u8], right: &[u8]) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(left, right).is_ok()
}

/// A `Debug` that shows the type's name and nothing else, and a promise that its secrets are wiped.
macro_rules! opaque {
    ($($name:ident),+) => {$(
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($name), "(secret)"))
            }
        }
    )+};
}
pub(crate) use opaque;
