//! Every constant of the format in one place: magic numbers, kinds, context strings and limits.
//!
//! A limit is checked before anything is allocated for the length or count that it bounds.

/// Version of the format that this crate writes, and the highest that it reads.
pub const FORMAT_VERSION: u8 = 1;

// ---- magic numbers: the first eight bytes of each kind of object -------------------------------------------------

/// First bytes of a pack.
pub const MAGIC_PACK: [u8; 8] = *b"HFpack\x00\x01";
/// Last bytes of a pack.
pub const MAGIC_PACK_END: [u8; 8] = *b"HFpend\x00\x01";
/// First bytes of a key object.
pub const MAGIC_KEY: [u8; 8] = *b"HFkey\x00\x00\x01";
/// First bytes of a wrap of the owner seed.
pub const MAGIC_WRAP: [u8; 8] = *b"HFwrap\x00\x01";
/// First bytes of a write-only key file; it lies at the source, never in storage.
pub const MAGIC_WRITER: [u8; 8] = *b"HFwrite\x01";
/// First bytes of an agent key file; it lies at the source, never in storage.
pub const MAGIC_AGENT: [u8; 8] = *b"HFagent\x01";
/// First bytes of a vault descriptor.
pub const MAGIC_DESCRIPTOR: [u8; 8] = *b"HFdesc\x00\x01";
/// First bytes of an enrolment.
pub const MAGIC_ENROLMENT: [u8; 8] = *b"HFenrol\x01";
/// First bytes of an authority's claim.
pub const MAGIC_CLAIM: [u8; 8] = *b"HFclaim\x01";
/// First bytes of a journal entry (record, checkpoint, tombstone, deletion list, opening).
pub const MAGIC_JOURNAL: [u8; 8] = *b"HFjour\x00\x01";
/// First bytes of an index segment.
pub const MAGIC_SEGMENT: [u8; 8] = *b"HFseg\x00\x00\x01";
/// First bytes of the list of a set of index segments.
pub const MAGIC_SEGMENT_SET: [u8; 8] = *b"HFsset\x00\x01";

// ---- context strings: each use of a key or a hash has one of its own ---------------------------------------------

/// Context of the BLAKE3 derivation of the owner's signing key from the owner seed.
pub const CONTEXT_OWNER_SIGNING: &str = "holdfast 2026 v1 owner signing key";
/// Context of the BLAKE3 derivation of the owner's key pair (X-Wing) from the owner seed.
pub const CONTEXT_OWNER_KEM: &str = "holdfast 2026 v1 owner key pair";
/// Context of the BLAKE3 derivation of the agent's signing key that the owner uses for one domain.
pub const CONTEXT_OWNER_AGENT: &str = "holdfast 2026 v1 owner's agent signing key";
/// Context of the BLAKE3 derivation of a domain's chunking key from its id key.
pub const CONTEXT_CHUNKING: &str = "holdfast 2026 v1 chunking key";
/// Context of the BLAKE3 derivation of the key that cuts trees into pages, from the id key.
pub const CONTEXT_PAGE_BOUNDARY: &str = "holdfast 2026 v1 page boundary key";
/// Context of the BLAKE3 derivation of the key that names hard-link groups, from the id key.
pub const CONTEXT_LINK_GROUP: &str = "holdfast 2026 v1 link group key";
/// HPKE `info` of a session's data key.
pub const INFO_DATA_KEY: &[u8] = b"holdfast 2026 v1 data key";
/// HPKE exporter context of a session's data key.
pub const EXPORT_DATA_KEY: &[u8] = b"holdfast 2026 v1 data key export";
/// HPKE `info` of the wrap of a domain's secret to the owner.
pub const INFO_DOMAIN_SECRET: &[u8] = b"holdfast 2026 v1 domain secret";
/// HPKE `info` of the wrap of the owner seed to a recipient.
pub const INFO_RECIPIENT: &[u8] = b"holdfast 2026 v1 recipient";
/// HPKE exporter context of the key of a wrap.
pub const EXPORT_WRAP_KEY: &[u8] = b"holdfast 2026 v1 wrap key export";
/// First bytes of the associated data of a sealed blob.
pub const AAD_BLOB: &[u8] = b"holdfast blob v1";
/// First bytes of the associated data of the sealed metadata of a record.
pub const AAD_RECORD: &[u8] = b"holdfast record v1";
/// First bytes of the associated data of a wrap.
pub const AAD_WRAP: &[u8] = b"holdfast wrap v1";
/// First bytes of the associated data of what lies in an agent's local cache.
pub const AAD_LOCAL: &[u8] = b"holdfast local v1";
/// Signed before the bytes of a vault descriptor.
pub const SIGN_DESCRIPTOR: &[u8] = b"holdfast descriptor v1\0";
/// Signed before the bytes of a certificate.
pub const SIGN_CERTIFICATE: &[u8] = b"holdfast certificate v1\0";
/// Signed before the bytes of a ticket.
pub const SIGN_TICKET: &[u8] = b"holdfast ticket v1\0";
/// Signed before the bytes of an enrolment.
pub const SIGN_ENROLMENT: &[u8] = b"holdfast enrolment v1\0";
/// Signed by an agent before the hash of a token that shall be its own at a vault service.
pub const SIGN_AGENT_TOKEN: &[u8] = b"holdfast agent token v1\0";
/// Signed before the bytes of a record's body.
pub const SIGN_RECORD: &[u8] = b"holdfast record body v1\0";
/// Context of the BLAKE3 hash that names a key object.
pub const HASH_KEY_OBJECT: &str = "holdfast 2026 v1 key object name";
/// Context of the BLAKE3 hash of a pack's footer.
pub const HASH_FOOTER: &str = "holdfast 2026 v1 pack footer";
/// Context of the BLAKE3 hash that is a point's id.
pub const HASH_POINT: &str = "holdfast 2026 v1 point id";
/// Context of the BLAKE3 checksum over a journal entry, claim, wrap or segment part.
pub const HASH_CHECKSUM: &str = "holdfast 2026 v1 checksum";

// ---- kinds ---------------------------------------------------------------------------------------------------------

/// Blob kind: a data chunk.
pub const KIND_DATA: u8 = 1;
/// Blob kind: a page.
pub const KIND_PAGE: u8 = 2;
/// Codec of a blob's payload: stored as it is.
pub const CODEC_STORED: u8 = 0;
/// Codec of a blob's payload: one zstd frame.
pub const CODEC_ZSTD: u8 = 1;
/// Sealing version: AES-256-GCM-SIV, 12 random bytes of nonce before, 16 bytes of tag behind.
pub const SEALING_AES256_GCM_SIV: u8 = 1;
/// Chunker: keyed gear, normalised level 2.
pub const CHUNKER_KEYED_GEAR: u8 = 1;

// ---- sizes -----------------------------------------------------------------------------------------------------------

/// Most plaintext bytes in a blob.
pub const BLOB_PLAINTEXT_MAX: usize = 16 << 20;
/// Bytes of nonce and tag around a sealed blob.
pub const SEAL_OVERHEAD: usize = 12 + 16;
/// Bytes before the payload inside a sealed blob: codec, plaintext length, payload length.
pub const INNER_HEADER: usize = 1 + 4 + 4;
/// Most sealed bytes of a blob: header, stored payload, Padmé (at most 12 %) and overhead, rounded up.
pub const BLOB_SEALED_MAX: usize = BLOB_PLAINTEXT_MAX + BLOB_PLAINTEXT_MAX / 8 + 4096;
/// Most links of a page.
pub const PAGE_LINKS_MAX: usize = 4096;
/// Most plaintext bytes of a page (its content without its links).
pub const PAGE_PLAINTEXT_MAX: usize = 4 << 20;
/// Most blobs in a pack.
pub const PACK_ENTRIES_MAX: usize = 65_536;
/// Most keys in a pack's key table.
pub const PACK_KEYS_MAX: usize = 4096;
/// Most bytes of a pack: one that is nearly full and gets one more blob of the greatest size.
pub const PACK_BYTES_MAX: usize = 64 << 20;
/// Most bytes of a pack's footer.
pub const FOOTER_BYTES_MAX: usize = 24 << 20;
/// Most bytes of a vault descriptor.
pub const DESCRIPTOR_BYTES_MAX: usize = 16 << 20;
/// Most bytes of an enrolment.
pub const ENROLMENT_BYTES_MAX: usize = 64 << 10;
/// Most domains in a descriptor.
pub const DOMAINS_MAX: usize = 65_536;
/// Most certificates in a descriptor.
pub const CERTIFICATES_MAX: usize = 65_536;
/// Most recipients in a descriptor.
pub const RECIPIENTS_MAX: usize = 64;
/// Most items that a certificate names.
pub const CERTIFICATE_ITEMS_MAX: usize = 256;
/// Most features in a descriptor's lists.
pub const FEATURES_MAX: usize = 64;
/// Most bytes of a short text: a feature, a domain's or recipient's name.
pub const TEXT_BYTES_MAX: usize = 256;
/// Most bytes of an item name.
pub const ITEM_NAME_BYTES_MAX: usize = 128;
/// Most bytes of the sealed metadata of a record.
pub const RECORD_METADATA_BYTES_MAX: usize = 256 << 10;
/// Most bytes of a journal entry.
pub const JOURNAL_BYTES_MAX: usize = 8 << 20;
/// Most object names in one deletion list, most points in one tombstone: even the longest names fit a journal entry.
pub const DELETION_NAMES_MAX: usize = 40_000;
/// Most bytes of an object's name.
pub const OBJECT_NAME_BYTES_MAX: usize = 200;
/// Most bytes of a wrap.
pub const WRAP_BYTES_MAX: usize = 16 << 10;
/// Most bytes of a key object.
pub const KEY_OBJECT_BYTES_MAX: usize = 16 << 10;
/// Most bytes of an authority's claim.
pub const CLAIM_BYTES_MAX: usize = 4 << 10;
/// Bytes of an X-Wing public key.
pub const KEM_PUBLIC_BYTES: usize = 1216;
/// Bytes of an X-Wing encapsulation.
pub const KEM_ENCAPSULATION_BYTES: usize = 1120;

// ---- index segments --------------------------------------------------------------------------------------------------

/// Most ids that one filter of a segment is built of.
pub const SHARD_KEYS_MAX: usize = 1 << 20;
/// Most segments in a set.
pub const SEGMENTS_MAX: usize = 4096;
/// Most bytes of the list of a set of segments.
pub const SEGMENT_SET_BYTES_MAX: usize = 256 << 20;

// ---- trees -----------------------------------------------------------------------------------------------------------

/// Most bytes of a name in a directory.
pub const NAME_BYTES_MAX: usize = 4096;
/// Most bytes of a directory's path.
pub const PATH_BYTES_MAX: usize = 1 << 20;
/// Most extents that a tree leaf holds itself; longer content goes into a stream.
pub const INLINE_EXTENTS_MAX: usize = 256;
/// Most bytes of extended attributes that a tree leaf holds itself; more go into a stream.
pub const INLINE_ATTRIBUTES_MAX: usize = 16 << 10;
/// Most extended attributes of one entry.
pub const ATTRIBUTES_MAX: usize = 65_536;
/// Most bytes of the name of an extended attribute.
pub const ATTRIBUTE_NAME_BYTES_MAX: usize = 1024;
/// Most bytes of all extended attributes of one entry, names and lengths included.
pub const ATTRIBUTES_BYTES_MAX: usize = 64 << 20;
/// Most bytes of the name of an owner or group.
pub const OWNER_NAME_BYTES_MAX: usize = 1024;
/// Most bytes of a symlink's target.
pub const SYMLINK_BYTES_MAX: usize = 65_536;
/// Most entries in a tree leaf.
pub const LEAF_ENTRIES_MAX: usize = 1024;
/// Most extents in a leaf of a stream.
pub const STREAM_EXTENTS_MAX: usize = 8192;
/// Least bytes of an image's block.
pub const IMAGE_BLOCK_BYTES_MIN: usize = 4096;
/// Fan-out of an image page.
pub const IMAGE_FANOUT: usize = 256;
/// Most named parts of a point.
pub const PARTS_MAX: usize = 4096;
/// Most levels of pages under a part's root.
pub const LEVELS_MAX: u8 = 16;

// ---- passphrases -----------------------------------------------------------------------------------------------------

/// Least memory of Argon2id, in KiB: what reads a wrap refuses less.
pub const ARGON2_MEMORY_KIB_MIN: u32 = 19 << 10;
/// Most memory of Argon2id, in KiB: what reads a wrap refuses more.
pub const ARGON2_MEMORY_KIB_MAX: u32 = 1 << 20;
/// Least passes of Argon2id.
pub const ARGON2_PASSES_MIN: u32 = 2;
/// Most passes of Argon2id.
pub const ARGON2_PASSES_MAX: u32 = 16;
/// Most lanes of Argon2id.
pub const ARGON2_LANES_MAX: u32 = 8;
