//! Frozen values: what follows from fixed keys. If one changes, existing vaults can no longer be read.

use crate::fixture::{DOMAIN, VAULT, links, owner};
use format::blob::BlobKind;
use seal::{DomainWriter, print_kit};
use secrecy::ExposeSecret;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn what_follows_from_an_owner_seed_stays_the_same() {
    let seed = owner();
    assert_eq!(hex(&seed.owner_key().0), "1547461258244b8f067347cf2db30f8519c5210f6366fd2e024764211fc9bf1a");
    assert_eq!(hex(&seed.agent_signer(DOMAIN).key().0), "1329102c72ee8edf800e7fd1c8e5bdc29b3eedb998a9043d24bd440203bf39d6");
    assert_eq!(
        blake3::hash(&seed.public()).to_hex().as_str(),
        "e885684edc8a6adb2f7925052c8f4dc782f8a72a84a785cdabc9a75c362452b6"
    );
    assert_eq!(
        print_kit(&seed, VAULT).expose_secret(),
        "06NA NANA NANA NANA NANA NANA\nNAN0 0082 0C20 A1G7 104G M2RC\n1M70 Y40H 289H 858P 2WC1 J6GV\n3GEH W7Y0 1K22 MJDE"
    );
}

#[test]
fn what_follows_from_an_id_key_stays_the_same() {
    let writer = DomainWriter::new(DOMAIN, [0x1d; 32], vec![]);
    assert_eq!(hex(&writer.chunking_key()), "852abc8961e493ac392a52b2030b29a76c3d617d8fd03c9f21f2729dd6af4b06");
    assert_eq!(hex(&writer.page_boundary_key()), "57a17db4b3ed6fe97d774845ed7b21517782673c001632ef94221ca12635f6e6");
    assert_eq!(hex(&writer.link_group(0x0801, 12345)), "6782db536da8aa7db22dcb998b5f9b9d");
    assert_eq!(
        writer.blob_id(BlobKind::Data, &[], b"hello").to_string(),
        "c9a025aa415607e01ddbfb8f1d0a1e5846e317a98de8038ac1caaac84dd63618"
    );
    assert_eq!(
        writer.blob_id(BlobKind::Page, &links(2), b"hello").to_string(),
        "7dbfe1bb7e018e5c5f9143e6f01531f3cd3db671b22c6ffb3ccad60a701c005d"
    );
}
