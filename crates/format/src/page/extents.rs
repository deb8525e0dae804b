//! Extents in columns, as tree leaves and stream leaves hold them.
//!
//! ```text
//! tags    (varints): 0 hole, 1 goes on where the last data extent ended, 2 + 2·link blob from its start,
//!                    3 + 2·link blob from an offset
//! offsets (varints): one for each tag of the last form, not 0
//! lengths (varints): one for each extent, not 0
//! ```
//! Small files that lie one after the other in a blob cost one tag and their length.

use super::Extent;
use super::links::{LinkTable, Links};
use crate::codec::{FormatError, Reader, Result, Writer, within};
use crate::id::BlobId;
use crate::limits;

/// Most bytes of content that extents may add up to.
pub(super) const CONTENT_BYTES_MAX: u64 = i64::MAX as u64;

/// Checks one extent.
pub(super) fn check(extent: &Extent) -> Result<()> {
    let sound = match extent {
        Extent::Data { offset, length, .. } => {
            *length >= 1 && u64::from(*offset) + u64::from(*length) <= limits::BLOB_PLAINTEXT_MAX as u64
        }
        Extent::Hole { length } => (1..=CONTENT_BYTES_MAX).contains(length),
    };
    if sound { Ok(()) } else { Err(FormatError::Invalid("an extent is empty or reaches past the end of a blob")) }
}

/// Adds up the bytes of content; over [`CONTENT_BYTES_MAX`] is an error.
pub(super) fn total(lengths: impl Iterator<Item = u64>) -> Result<u64> {
    let mut sum = 0u64;
    for length in lengths {
        sum = sum.checked_add(length).filter(|sum| *sum <= CONTENT_BYTES_MAX).ok_or(TOO_LONG)?;
    }
    Ok(sum)
}

const TOO_LONG: FormatError = FormatError::Invalid("content is over 2^63 - 1 bytes");

/// Where the last data extent ended: an extent that goes on there names neither blob nor offset.
#[derive(Default)]
pub(super) struct Course {
    end: Option<(BlobId, u32)>,
}

impl Course {
    fn goes_on(&self, blob: &BlobId, offset: u32) -> bool {
        self.end.as_ref().is_some_and(|(last, end)| *end == offset && last == blob)
    }

    fn pass(&mut self, extent: &Extent) {
        if let Extent::Data { blob, offset, length } = extent {
            self.end = Some((*blob, offset + length));
        }
    }
}

/// Writes the columns.
#[derive(Default)]
pub(super) struct ExtentsWriter {
    course: Course,
    tags: Writer,
    offsets: Writer,
    lengths: Writer,
}

impl ExtentsWriter {
    /// Appends an extent that goes on where the last one ended without a tag and answers true, if it does.
    pub(super) fn push_if_it_goes_on(&mut self, extent: &Extent) -> bool {
        let Extent::Data { blob, offset, length } = extent else { return false };
        if !self.course.goes_on(blob, *offset) {
            return false;
        }
        self.lengths.varint(u64::from(*length));
        self.course.pass(extent);
        true
    }

    /// Appends an extent with its tag.
    pub(super) fn push(&mut self, extent: &Extent, links: &LinkTable) {
        match extent {
            Extent::Hole { .. } => {
                self.tags.varint(0);
            }
            Extent::Data { blob, offset, .. } if self.course.goes_on(blob, *offset) => {
                self.tags.varint(1);
            }
            Extent::Data { blob, offset: 0, .. } => {
                self.tags.varint(2 + 2 * links.position(blob));
            }
            Extent::Data { blob, offset, .. } => {
                self.tags.varint(3 + 2 * links.position(blob));
                self.offsets.varint(u64::from(*offset));
            }
        }
        self.lengths.varint(extent.length());
        self.course.pass(extent);
    }

    /// Appends the columns.
    pub(super) fn finish(self, writer: &mut Writer) {
        for column in [self.tags, self.offsets, self.lengths] {
            writer.raw(&column.finish());
        }
    }
}

enum Tag {
    Hole,
    GoesOn,
    Blob { blob: BlobId, offset: u32 },
}

/// Reads the columns: tags and offsets at once, then length by length.
pub(super) struct ExtentsReader {
    course: Course,
    tags: std::vec::IntoIter<Tag>,
}

impl ExtentsReader {
    /// Reads tags and offsets of `count` extents; the caller has compared `count` with its limit.
    pub(super) fn open(reader: &mut Reader<'_>, count: usize, links: &mut Links<'_>) -> Result<Self> {
        within("extents", count, reader.remaining())?;
        let mut tags = Vec::with_capacity(count);
        let mut shifted = Vec::new();
        for _ in 0..count {
            tags.push(match reader.varint()? {
                0 => Tag::Hole,
                1 => Tag::GoesOn,
                tag => {
                    if tag % 2 == 1 {
                        shifted.push(tags.len());
                    }
                    Tag::Blob { blob: links.at((tag - 2) / 2)?, offset: 0 }
                }
            });
        }
        for place in shifted {
            let found = reader.varint_u32()?;
            if found == 0 {
                return Err(FormatError::Invalid("an offset of 0 is written down"));
            }
            if let Tag::Blob { offset, .. } = &mut tags[place] {
                *offset = found;
            }
        }
        Ok(Self { course: Course::default(), tags: tags.into_iter() })
    }

    /// The next extent that has no tag: it goes on where the last one ended.
    pub(super) fn next_that_goes_on(&mut self, reader: &mut Reader<'_>) -> Result<Extent> {
        let Some((blob, offset)) = self.course.end else {
            return Err(FormatError::Invalid("an extent goes on where there is none before it"));
        };
        self.pass(Extent::Data { blob, offset, length: reader.varint_u32()? })
    }

    /// Whether the next extent that has a tag goes on where the last one ended.
    pub(super) fn next_goes_on(&self) -> bool {
        matches!(self.tags.as_slice().first(), Some(Tag::GoesOn))
    }

    /// The next extent that has a tag.
    pub(super) fn next(&mut self, reader: &mut Reader<'_>) -> Result<Extent> {
        match self.tags.next().ok_or(FormatError::Invalid("extents are missing"))? {
            Tag::Hole => self.pass(Extent::Hole { length: reader.varint()? }),
            Tag::GoesOn => self.next_that_goes_on(reader),
            Tag::Blob { blob, offset } if self.course.goes_on(&blob, offset) => {
                Err(FormatError::Invalid("an extent that goes on where the last one ended is written in full"))
            }
            Tag::Blob { blob, offset } => self.pass(Extent::Data { blob, offset, length: reader.varint_u32()? }),
        }
    }

    fn pass(&mut self, extent: Extent) -> Result<Extent> {
        check(&extent)?;
        self.course.pass(&extent);
        Ok(extent)
    }
}
