//! One value of every kind of object, the same for ever: what the golden files hold.

use crate::keys::{public_key, sign};
use holdfast_format::authority::Claim;
use holdfast_format::blob::{BlobKind, Codec, Inner};
use holdfast_format::descriptor::{Certificate, Descriptor, DomainEntry, Recipient};
use holdfast_format::enrolment::{Enrolment, Ticket};
use holdfast_format::journal::{JournalEntry, Payload};
use holdfast_format::key_object::KeyObject;
use holdfast_format::pack::{self, Footer, SealedBlob, TRAILER_BYTES, Trailer};
use holdfast_format::page::{
    Attribute, Attributes, Content, Entry, EntryKind, Extent, ImagePage, Leaf, Manifest, Metadata, Node, NodeChild, Owner, Page,
    Part, Shape, StreamChild, StreamLeaf, StreamNode, Timestamp, TreeEntry, TreeKey,
};
use holdfast_format::record::{RecordBody, RecordKind, SignedRecord};
use holdfast_format::segment::{PackEntries, Segment, SegmentListing, SegmentSet, build};
use holdfast_format::signature::Signature;
use holdfast_format::wrap::{Argon2Parameters, Method, Wrap};
use holdfast_format::{
    AgentKey, BlobId, ClaimNonce, DomainId, Incarnation, ItemName, JournalNumber, KeyId, OwnerKey, PackName, PointId, Sequence,
    VaultId, limits, names,
};
use std::sync::Arc;

/// A golden file: its name, its bytes, and how bytes are decoded and encoded again.
pub(crate) struct Golden {
    pub(crate) name: &'static str,
    pub(crate) bytes: Vec<u8>,
    pub(crate) again: fn(&[u8]) -> Option<Vec<u8>>,
}

const VAULT: VaultId = VaultId([0x11; 16]);
const DOMAIN: DomainId = DomainId([0x22; 16]);
const OWNER: u8 = 1;
const AGENT: u8 = 2;
const ONE_TIME: u8 = 3;

/// All golden files.
pub(crate) fn all() -> Vec<Golden> {
    [objects(), blobs(), pages(), segments()].into_iter().flatten().collect()
}

fn golden(name: &'static str, bytes: Vec<u8>, again: fn(&[u8]) -> Option<Vec<u8>>) -> Golden {
    Golden { name, bytes, again }
}

/// The id of the link with this number in golden pages.
pub(crate) fn link(number: u16) -> BlobId {
    let mut id = [0; 32];
    id[30..].copy_from_slice(&number.to_be_bytes());
    BlobId(id)
}

fn objects() -> Vec<Golden> {
    let journal = |number, payload| {
        let (number, incarnation) = (JournalNumber(number), Incarnation(3));
        JournalEntry { domain: DOMAIN, number, incarnation, time_ms: 1_790_000_000_123, payload }.encode()
    };
    let again: fn(&[u8]) -> Option<Vec<u8>> = |bytes| Some(JournalEntry::parse(bytes).ok()?.encode());
    let record = record().encode();
    let points = vec![PointId([0x51; 32]), PointId([0x52; 32])];
    let deleted = vec![names::pack(DOMAIN, PackName([0x61; 16])), names::key(DOMAIN, KeyId([0x62; 32]), 'a')];
    let claim = Claim { domain: DOMAIN, incarnation: Incarnation(3), nonce: ClaimNonce([0x33; 16]), time_ms: 1_790_000_000_000 };
    let key_object = KeyObject { domain: DOMAIN, sealing: 1, encapsulation: pattern(limits::KEM_ENCAPSULATION_BYTES) };
    vec![
        golden("descriptor", descriptor(), |bytes| {
            let descriptor = Descriptor::open(bytes, None).ok()?;
            Some(descriptor.encode(&sign(OWNER, limits::SIGN_DESCRIPTOR, &descriptor.encode_body())))
        }),
        golden("enrolment", enrolment().encode(), |bytes| Some(Enrolment::parse(bytes).ok()?.encode())),
        golden("claim", claim.encode(), |bytes| Some(Claim::parse(bytes).ok()?.encode())),
        golden("journal-opening", journal(1, Payload::Opening { nonce: ClaimNonce([0x33; 16]) }), again),
        golden("journal-record", journal(2, Payload::Record { received_ms: 1_790_000_000_100, record: record.clone() }), again),
        golden("journal-tombstone", journal(3, Payload::Tombstone { points }), again),
        golden("journal-deletion", journal(4, Payload::Deletion { names: deleted }), again),
        golden("record", record, |bytes| Some(SignedRecord::parse(bytes).ok()?.encode())),
        golden("wrap-passphrase", wrap_passphrase().encode(), |bytes| Some(Wrap::parse(bytes).ok()?.encode())),
        golden("wrap-recipient", wrap_recipient().encode(), |bytes| Some(Wrap::parse(bytes).ok()?.encode())),
        golden("key-object", key_object.encode(), |bytes| Some(KeyObject::parse(bytes).ok()?.encode())),
    ]
}

/// Bytes that do not repeat soon.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|place| (place * 7 + place / 256) as u8).collect()
}

fn descriptor() -> Vec<u8> {
    let items = vec![ItemName::new("db").unwrap(), ItemName::new("web.root").unwrap()];
    let (agent, retired) = (AgentKey(public_key(AGENT)), false);
    let signature = sign(OWNER, limits::SIGN_CERTIFICATE, &Certificate::signed_bytes(VAULT, agent, DOMAIN, &items));
    let domain = DomainEntry {
        id: DOMAIN,
        name: "mühle.example".to_owned(),
        created_ms: 1_790_000_000_000,
        public: pattern(limits::KEM_PUBLIC_BYTES),
        wrapped_secret: pattern(200),
    };
    let descriptor = Descriptor {
        vault: VAULT,
        version: 4,
        created_ms: 1_780_000_000_000,
        owner: OwnerKey(public_key(OWNER)),
        owner_public: pattern(limits::KEM_PUBLIC_BYTES),
        chunker: limits::CHUNKER_KEYED_GEAR,
        features_to_read: vec!["shamir".to_owned()],
        features_to_write: vec!["locks".to_owned()],
        recipients: vec![Recipient { name: "safe".to_owned(), public: pattern(limits::KEM_PUBLIC_BYTES) }],
        domains: vec![domain],
        certificates: vec![Certificate { agent, domain: DOMAIN, items, retired, signature }],
    };
    descriptor.encode(&sign(OWNER, limits::SIGN_DESCRIPTOR, &descriptor.encode_body()))
}

fn enrolment() -> Enrolment {
    let mut ticket = Ticket {
        vault: VAULT,
        one_time: AgentKey(public_key(ONE_TIME)),
        domain: DOMAIN,
        name: "mühle.example".to_owned(),
        items: vec![ItemName::new("db").unwrap()],
        expires_ms: 1_790_000_086_400,
        service: "https://vault.example:8443".to_owned(),
        authority: Some([0x60; 32]),
        owner_public: [0x61; 32],
        signature: Signature([0; 64]),
    };
    ticket.signature = sign(OWNER, limits::SIGN_TICKET, &ticket.signed_bytes());
    let mut enrolment = Enrolment {
        ticket,
        created_ms: 1_790_000_000_000,
        public: pattern(limits::KEM_PUBLIC_BYTES),
        wrapped_secret: pattern(200),
        agent: AgentKey(public_key(AGENT)),
        signature: Signature([0; 64]),
    };
    enrolment.signature = sign(ONE_TIME, limits::SIGN_ENROLMENT, &enrolment.signed_bytes());
    enrolment
}

fn record() -> SignedRecord {
    let body = RecordBody {
        vault: VAULT,
        domain: DOMAIN,
        item: ItemName::new("web.root").unwrap(),
        kind: RecordKind::Point,
        sequence: Sequence(2),
        previous: Some(PointId([0x50; 32])),
        root: BlobId([0x44; 32]),
        key: KeyId([0x45; 32]),
        agent_time_ms: 1_790_000_000_000,
        metadata_nonce: [0x46; 12],
        metadata: pattern(70),
    };
    let signature = sign(AGENT, limits::SIGN_RECORD, &body.encode());
    SignedRecord { body, agent: AgentKey(public_key(AGENT)), signature }
}

fn wrap_passphrase() -> Wrap {
    let argon2 = Argon2Parameters { memory_kib: 64 << 10, passes: 3, lanes: 1 };
    Wrap { vault: VAULT, method: Method::Passphrase { salt: [0x71; 16], argon2 }, nonce: [0x72; 12], sealed: [0x73; 48] }
}

fn wrap_recipient() -> Wrap {
    let (public, encapsulation) = (pattern(limits::KEM_PUBLIC_BYTES), pattern(limits::KEM_ENCAPSULATION_BYTES));
    Wrap { vault: VAULT, method: Method::Recipient { public, encapsulation }, nonce: [0x72; 12], sealed: [0x73; 48] }
}

fn pack_bytes(kind: BlobKind) -> Vec<u8> {
    let blob = |seed: u8| SealedBlob {
        id: BlobId([seed; 32]),
        key: KeyId([0x80 + seed % 2; 32]),
        links: if kind == BlobKind::Page { (0..u16::from(seed % 4)).map(link).collect() } else { vec![] },
        bytes: pattern(60 + usize::from(seed)),
    };
    pack::assemble(DOMAIN, PackName([0x90 + kind as u8; 16]), kind, (1..8).map(blob).collect()).unwrap()
}

fn blobs() -> Vec<Golden> {
    let again: fn(&[u8]) -> Option<Vec<u8>> = |bytes| {
        let parsed = pack::parse(bytes).ok()?;
        let mut again = bytes[..parsed.footer_range.start as usize].to_vec();
        pack::close(&mut again, &parsed.footer);
        parsed.footer.damaged_entries(bytes).is_empty().then_some(again)
    };
    let page_pack = pack_bytes(BlobKind::Page);
    let footer = pack::parse(&page_pack).unwrap().footer.encode();
    let trailer = page_pack[page_pack.len() - TRAILER_BYTES..].to_vec();
    let inner: fn(&[u8]) -> Option<Vec<u8>> = |bytes| Some(Inner::parse(bytes).ok()?.encode());
    let payload = pattern(1000);
    vec![
        golden("pack-data", pack_bytes(BlobKind::Data), again),
        golden("pack-page", page_pack, again),
        golden("footer", footer, |bytes| Some(Footer::parse(bytes).ok()?.encode())),
        golden("trailer", trailer, |bytes| Some(Trailer::parse(bytes).ok()?.encode())),
        golden("inner-stored", Inner { codec: Codec::Stored, plaintext_length: 1000, payload: &payload }.encode(), inner),
        golden("inner-zstd", Inner { codec: Codec::Zstd, plaintext_length: 5000, payload: &payload }.encode(), inner),
    ]
}

/// The file of a page: how many links it has (u16, little-endian), then its content. The links are 0, 1, 2 … as ids.
fn page_file(page: &Page) -> Vec<u8> {
    assert_eq!(page.links, (0..page.links.len() as u16).map(link).collect::<Vec<_>>(), "golden pages use the first ids");
    [&(page.links.len() as u16).to_le_bytes(), page.content.as_slice()].concat()
}

fn split_page(bytes: &[u8]) -> Option<(Vec<BlobId>, &[u8])> {
    let (count, content) = bytes.split_first_chunk::<2>()?;
    Some(((0..u16::from_le_bytes(*count)).map(link).collect(), content))
}

macro_rules! page {
    ($name:literal, $value:expr, $type:ty) => {
        golden($name, page_file(&$value.encode().unwrap()), |bytes| {
            let (links, content) = split_page(bytes)?;
            Some(page_file(&<$type>::decode(&links, content).ok()?.encode().ok()?))
        })
    };
}

fn pages() -> Vec<Golden> {
    let data = |blob, offset, length| Extent::Data { blob: link(blob), offset, length };
    let child = |page, bytes| StreamChild { page: link(page), bytes };
    let slots = vec![None, Some(link(1)), None, Some(link(0)), Some(link(1))];
    vec![
        page!("manifest", manifest(), Manifest),
        page!("tree-leaf", leaf(), Leaf),
        page!("tree-node", node(), Node),
        page!(
            "stream-leaf",
            StreamLeaf { extents: vec![data(1, 0, 9), data(1, 9, 1), Extent::Hole { length: 7 }, data(0, 5, 6)] },
            StreamLeaf
        ),
        page!("stream-node", StreamNode { level: 1, children: vec![child(1, 10), child(0, 1 << 40), child(1, 10)] }, StreamNode),
        page!("image-page", ImagePage { level: 0, block_bytes: 256 << 10, slots }, ImagePage),
        golden("attributes", Attributes::encode_list(&attributes()), |bytes| {
            Some(Attributes::encode_list(&Attributes::decode_list(bytes).ok()?))
        }),
    ]
}

fn manifest() -> Manifest {
    let part = |name: &str, shape, root: Option<u16>, entries, bytes| Part {
        name: name.to_owned(),
        shape,
        root: root.map(link),
        entries,
        bytes,
    };
    Manifest {
        parts: vec![
            part("disk 0", Shape::Image, Some(1), 4, 1 << 30),
            part("empty", Shape::Stream, None, 0, 0),
            part("files", Shape::Tree, Some(0), 79_000, 1_300_000_000),
        ],
    }
}

fn attributes() -> Vec<Attribute> {
    let attribute = |name: &[u8], value: &[u8]| Attribute { name: name.to_vec(), value: value.to_vec() };
    vec![attribute(b"security.capability", &[1, 0, 0, 2]), attribute(b"user.comment", b""), attribute(b"user.origin", b"here")]
}

/// A file with everything that is usual.
fn file(name: &[u8], extents: Vec<Extent>) -> Entry {
    let content = Content::Extents(extents);
    let time = |seconds, nanoseconds| Timestamp { seconds, nanoseconds };
    let metadata = Metadata {
        kind: EntryKind::File,
        mode: 0o644,
        user: Owner { id: 0, name: Some(Arc::from(&b"root"[..])) },
        group: Owner { id: 1000, name: None },
        modified: time(1_790_000_000, 0),
        changed: time(1_790_000_100, 123_456_789),
        inode: 4711,
        names: 1,
        size: content.length().unwrap_or(0),
        device: (0, 0),
    };
    Entry {
        name: name.to_vec(),
        metadata,
        attributes: Attributes::none(),
        target: vec![],
        content,
        link_group: None,
        unsettled: false,
    }
}

/// An entry that is no regular file.
fn special(name: &[u8], kind: EntryKind) -> Entry {
    let mut entry = file(name, vec![]);
    entry.metadata.kind = kind;
    entry.metadata.mode = 0o1777;
    entry
}

fn leaf() -> Leaf {
    let data = |blob, offset, length| Extent::Data { blob: link(blob), offset, length };
    let mut device = special(b"sda", EntryKind::BlockDevice);
    device.metadata.device = (8, 0);
    let mut terminal = special(b"tty", EntryKind::CharacterDevice);
    terminal.metadata.device = (5, 0);
    let mut symlink = special(b"link", EntryKind::Symlink);
    symlink.target = b"../target".to_vec();
    symlink.metadata.size = 9;
    let mut directory = special(b"etc", EntryKind::Directory);
    directory.metadata.size = 4096;
    directory.metadata.modified.seconds = -1;
    let mut attributed = file(b"attributed", vec![data(0, 0, 100)]);
    attributed.attributes = Attributes::Inline(attributes());
    let mut settled = file(b"file-1", vec![data(0, 100, 50)]);
    settled.metadata.changed = settled.metadata.modified;
    let mut linked = file(b"file-2", vec![data(1, 7, 3), Extent::Hole { length: 1 << 33 }, data(1, 10, 4)]);
    linked.link_group = Some([0xab; 16]);
    linked.metadata.names = 2;
    let mut large = file(b"large", vec![]);
    large.content = Content::Stream { root: link(2) };
    large.metadata.size = 1 << 40;
    large.attributes = Attributes::Stream { root: link(3), length: 20_000 };
    large.unsettled = true;
    let mut again = file(b"\xff\xfe", vec![data(1, 14, 2)]);
    again.attributes = Attributes::Inline(attributes());
    let root = [device, directory, special(b"fifo", EntryKind::Fifo), symlink, terminal];
    let mut root = root.to_vec();
    root.sort_by(|left, right| left.name.cmp(&right.name));
    let sections =
        [(&b""[..], root), (b"etc", vec![attributed, settled, linked]), (b"etc/deep", vec![large]), (b"etc.d", vec![again])];
    let entries = sections.into_iter().flat_map(|(path, entries)| {
        let directory: Arc<[u8]> = path.into();
        entries.into_iter().map(move |entry| TreeEntry { directory: directory.clone(), entry })
    });
    Leaf { entries: entries.collect() }
}

fn node() -> Node {
    let child = |directory: &[u8], name: &[u8], page, entries, bytes| {
        let first = TreeKey { directory: directory.into(), name: name.to_vec() };
        NodeChild { first, page: link(page), entries, bytes }
    };
    let children = vec![
        child(b"", b"bin", 2, 512, 1 << 20),
        child(b"usr/lib", b"libc.so", 0, 300, 1 << 33),
        child(b"usr/lib", b"libz.so", 1, 1, 0),
        child(b"usr/share/doc", b"a", 3, 1024, 7),
    ];
    Node { level: 1, children }
}

fn segments() -> Vec<Golden> {
    let footer = |kind| pack::parse(&pack_bytes(kind)).unwrap().footer;
    let segment = build(&[(5, 1000, footer(BlobKind::Data)), (9, 2000, footer(BlobKind::Page))]).unwrap();
    let packs = |names: &[u8]| names.iter().map(|name| PackEntries { pack: PackName([*name; 16]), entries: 7 }).collect();
    let listing = |name, list: &[u8]| SegmentListing { name, packs: packs(list) };
    let set = SegmentSet { domain: DOMAIN, segments: vec![listing(1, &[0x91, 0x92]), listing(300, &[0x93])] };
    vec![
        golden("segment", segment, |bytes| {
            let segment = Segment::open(bytes).ok()?;
            let pack = |(place, pack): (usize, &holdfast_format::segment::SegmentPack)| {
                Some((pack.number, pack.length, segment.verified_footer(place as u32, DOMAIN).ok()?))
            };
            build(&segment.packs().iter().enumerate().map(pack).collect::<Option<Vec<_>>>()?).ok()
        }),
        golden("segment-set", set.encode(), |bytes| Some(SegmentSet::parse(bytes).ok()?.encode())),
    ]
}
