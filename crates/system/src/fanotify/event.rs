//! Events as they stand in the kernel's buffer (`struct fanotify_event_metadata` and what follows it).

use std::io;

/// Bytes of an event's head.
const HEAD_BYTES: usize = 24;
/// The version of that head.
const VERSION: u8 = 3;
/// Most bytes of a handle (`MAX_HANDLE_SZ`).
pub(super) const HANDLE_BYTES_MAX: usize = 128;

/// A file system's id. Copies of a file system may have the same one.
pub type FileSystemId = [u8; 8];

/// Names a file or directory as long as its file system exists, whatever it is called.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Handle {
    /// The file system's id.
    pub file_system: FileSystemId,
    pub(super) kind: i32,
    pub(super) bytes: Box<[u8]>,
}

/// Something happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    mask: u64,
    /// The directory in which it happened.
    pub directory: Option<Handle>,
    /// The name there.
    pub name: Option<Vec<u8>>,
    /// What it happened to.
    pub object: Option<Handle>,
}

impl Event {
    /// Whether events were lost.
    #[must_use]
    pub fn is_overflow(&self) -> bool {
        self.mask & libc::FAN_Q_OVERFLOW != 0
    }

    /// Whether a directory came to this name.
    #[must_use]
    pub fn brings_directory(&self) -> bool {
        self.mask & libc::FAN_ONDIR != 0 && self.mask & (libc::FAN_CREATE | libc::FAN_MOVED_TO) != 0
    }
}

/// Events of a buffer. What is not understood is an error: something may have happened.
#[derive(Debug)]
pub struct Events<'a> {
    rest: &'a [u8],
}

impl<'a> Events<'a> {
    pub(super) fn new(rest: &'a [u8]) -> Self {
        Self { rest }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }
}

impl Iterator for Events<'_> {
    type Item = io::Result<Event>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let event = parse(&mut self.rest).ok_or_else(|| io::Error::other("an event of the kernel is not understood"));
        if event.is_err() {
            self.rest = &[];
        }
        Some(event)
    }
}

fn parse(rest: &mut &[u8]) -> Option<Event> {
    let head = rest.get(..HEAD_BYTES)?;
    let length = u32::from_ne_bytes(*head.first_chunk()?) as usize;
    let (version, head_length) = (head[4], u16::from_ne_bytes([head[6], head[7]]) as usize);
    let mask = u64::from_ne_bytes(*head[8..].first_chunk()?);
    if version != VERSION || head_length < HEAD_BYTES {
        return None;
    }
    let mut records = rest.get(head_length..length)?;
    *rest = &rest[length..];
    let mut event = Event { mask, directory: None, name: None, object: None };
    while !records.is_empty() {
        let [kind, _, low, high] = *records.first_chunk()?;
        let length = usize::from(u16::from_ne_bytes([low, high]));
        let record = records.get(4..length)?;
        match kind {
            libc::FAN_EVENT_INFO_TYPE_FID => event.object = Some(handle(record)?.0),
            libc::FAN_EVENT_INFO_TYPE_DFID => event.directory = Some(handle(record)?.0),
            libc::FAN_EVENT_INFO_TYPE_DFID_NAME => {
                let (directory, behind) = handle(record)?;
                let name = behind.split(|byte| *byte == 0).next().unwrap_or_default();
                (event.directory, event.name) = (Some(directory), Some(name.to_vec()));
            }
            _ => {}
        }
        records = &records[length..];
    }
    Some(event)
}

/// A handle and what stands behind it.
fn handle(record: &[u8]) -> Option<(Handle, &[u8])> {
    let (file_system, record) = record.split_first_chunk::<8>()?;
    let (length, record) = record.split_first_chunk::<4>()?;
    let (kind, record) = record.split_first_chunk::<4>()?;
    let length = u32::from_ne_bytes(*length) as usize;
    let bytes = record.get(..length).filter(|bytes| bytes.len() <= HANDLE_BYTES_MAX)?;
    Some((Handle { file_system: *file_system, kind: i32::from_ne_bytes(*kind), bytes: bytes.into() }, &record[length..]))
}

/// Events for tests of those who take them.
#[cfg(feature = "testing")]
pub mod testing {
    use super::{Event, Handle};

    /// A handle.
    #[must_use]
    pub fn handle(number: u8) -> Handle {
        Handle { file_system: [1; 8], kind: 1, bytes: [number].into() }
    }

    /// An event.
    #[must_use]
    pub fn event(directory: Handle, name: &[u8], object: Option<Handle>, brings_directory: bool) -> Event {
        let mask = if brings_directory { libc::FAN_CREATE | libc::FAN_ONDIR } else { libc::FAN_MODIFY };
        Event { mask, directory: Some(directory), name: Some(name.to_vec()), object }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: u8, handle: &[u8], name: &[u8]) -> Vec<u8> {
        let mut body =
            [&7_u64.to_ne_bytes()[..], &(handle.len() as u32).to_ne_bytes(), &1_i32.to_ne_bytes(), handle, name].concat();
        body.resize(body.len().next_multiple_of(4), 0);
        [&[kind, 0][..], &(body.len() as u16 + 4).to_ne_bytes(), &body].concat()
    }

    fn event(mask: u64, records: &[u8]) -> Vec<u8> {
        let length = (HEAD_BYTES + records.len()) as u32;
        let head =
            [&length.to_ne_bytes()[..], &[VERSION, 0], &(HEAD_BYTES as u16).to_ne_bytes(), &mask.to_ne_bytes(), &[0xff; 8]]
                .concat();
        [&head[..], records].concat()
    }

    fn named(bytes: &[u8]) -> Handle {
        Handle { file_system: 7_u64.to_ne_bytes(), kind: 1, bytes: bytes.into() }
    }

    #[test]
    fn events_are_read_with_directory_name_and_object() {
        let records =
            [record(libc::FAN_EVENT_INFO_TYPE_DFID_NAME, b"dir!", b"name\0"), record(libc::FAN_EVENT_INFO_TYPE_FID, b"obj", b"")]
                .concat();
        let bytes = [event(libc::FAN_MODIFY, &records), event(libc::FAN_Q_OVERFLOW, b"")].concat();
        let events: Vec<Event> = Events::new(&bytes).collect::<io::Result<_>>().unwrap();
        assert_eq!((events[0].directory.clone(), events[0].object.clone()), (Some(named(b"dir!")), Some(named(b"obj"))));
        assert_eq!((events[0].name.as_deref(), events[0].is_overflow()), (Some(&b"name"[..]), false));
        assert!(events[1].is_overflow() && events[1].directory.is_none());
    }

    #[test]
    fn an_event_that_is_cut_off_or_of_another_version_is_an_error_and_the_last_one() {
        let whole = event(libc::FAN_MODIFY, &record(libc::FAN_EVENT_INFO_TYPE_DFID_NAME, b"dir!", b"name\0"));
        for length in 1..whole.len() {
            let mut events = Events::new(&whole[..length]);
            assert!(events.next().unwrap().is_err() && events.next().is_none(), "{length}");
        }
        let mut other = whole.clone();
        other[4] = 4;
        assert!(Events::new(&other).next().unwrap().is_err());
        let mut long = whole;
        long[HEAD_BYTES + 12] = 0xff;
        assert!(Events::new(&long).next().unwrap().is_err());
    }
}
