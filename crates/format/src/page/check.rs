//! What an entry, a name and a path must be, to be written and to be believed when read.

use super::extents;
use super::{Attributes, Content, Entry, EntryKind, Extent, Timestamp};
use crate::codec::{FormatError, Result, within};
use crate::id::BlobId;
use crate::limits;

impl Content {
    /// No content.
    #[must_use]
    pub fn none() -> Self {
        Self::Extents(Vec::new())
    }

    /// Bytes of content, holes included; unknown where they stand in a stream.
    #[must_use]
    pub fn length(&self) -> Option<u64> {
        match self {
            Self::Extents(extents) => Some(extents.iter().map(Extent::length).fold(0, u64::saturating_add)),
            Self::Stream { .. } => None,
        }
    }
}

impl Entry {
    /// Checks everything that a leaf demands of an entry, so that one that cannot be kept becomes a warning, not an error.
    pub fn check(&self) -> Result<()> {
        check_name(&self.name)?;
        let metadata = &self.metadata;
        if metadata.mode > 0o7777 {
            return Err(FormatError::Invalid("the mode of an entry has more than 12 bits"));
        }
        if [metadata.modified, metadata.changed].iter().any(|time| time.nanoseconds > Timestamp::NANOSECONDS_MAX) {
            return Err(FormatError::Invalid("a time has a second's nanoseconds or more"));
        }
        for name in [&metadata.user.name, &metadata.group.name].into_iter().flatten() {
            check_owner_name(name)?;
        }
        self.check_kind()?;
        self.check_content()?;
        match &self.attributes {
            Attributes::Inline(list) => {
                Attributes::check_list(list)?;
                within("extended attributes in a leaf", Attributes::encode_list(list).len(), limits::INLINE_ATTRIBUTES_MAX)
            }
            Attributes::Stream { length, .. } => check_attributes_length(*length),
        }
    }

    fn check_kind(&self) -> Result<()> {
        let (kind, device) = (self.metadata.kind, self.metadata.device);
        let is_device = matches!(kind, EntryKind::CharacterDevice | EntryKind::BlockDevice);
        if kind != EntryKind::File && self.content != Content::none() {
            return Err(FormatError::Invalid("something that is no file has content"));
        }
        if kind == EntryKind::Symlink {
            check_target(&self.target)?
        }
        if kind != EntryKind::Symlink && !self.target.is_empty() {
            return Err(FormatError::Invalid("something that is no symlink has a target"));
        }
        if !is_device && device != (0, 0) {
            return Err(FormatError::Invalid("something that is no device has device numbers"));
        }
        if kind == EntryKind::Directory && self.link_group.is_some() {
            return Err(FormatError::Invalid("a directory has a link group"));
        }
        Ok(())
    }

    fn check_content(&self) -> Result<()> {
        let Content::Extents(extents) = &self.content else { return Ok(()) };
        within("extents of an entry", extents.len(), limits::INLINE_EXTENTS_MAX)?;
        extents.iter().try_for_each(extents::check)?;
        extents::total(extents.iter().map(Extent::length)).map(|_| ())
    }

    /// The blobs that the entry names, in the order of its content, with repetitions.
    pub fn links(&self) -> impl Iterator<Item = BlobId> + '_ {
        let (extents, stream) = match &self.content {
            Content::Extents(extents) => (extents.as_slice(), None),
            Content::Stream { root } => (&[][..], Some(*root)),
        };
        let attributes = match &self.attributes {
            Attributes::Inline(_) => None,
            Attributes::Stream { root, .. } => Some(*root),
        };
        let data = extents.iter().filter_map(|extent| match extent {
            Extent::Data { blob, .. } => Some(*blob),
            Extent::Hole { .. } => None,
        });
        data.chain(stream).chain(attributes)
    }

    /// No leaf grows by more than this many bytes when the entry is added to it; a new directory adds its path and
    /// 16 bytes. A leaf whose entries and paths stay under [`limits::PAGE_PLAINTEXT_MAX`] by this measure can be encoded.
    #[must_use]
    pub fn bytes_max(&self) -> usize {
        let owner = |name: &Option<std::sync::Arc<[u8]>>| 8 + name.as_ref().map_or(0, |name| name.len());
        let extents = match &self.content {
            Content::Extents(extents) => extents.len() * 16,
            Content::Stream { .. } => 8,
        };
        let attributes = match &self.attributes {
            Attributes::Inline(list) => list.iter().map(|each| 20 + each.name.len() + each.value.len()).sum(),
            Attributes::Stream { .. } => 16,
        };
        let owners = owner(&self.metadata.user.name) + owner(&self.metadata.group.name);
        128 + self.name.len() + self.target.len() + owners + extents + attributes
    }
}

impl Timestamp {
    /// Most nanoseconds after the second.
    pub const NANOSECONDS_MAX: u32 = 999_999_999;
}

/// Checks the name of an entry.
pub(super) fn check_name(name: &[u8]) -> Result<()> {
    within("name of an entry", name.len(), limits::NAME_BYTES_MAX)?;
    if name.is_empty() || name == b"." || name == b".." || name.iter().any(|byte| matches!(byte, 0 | b'/')) {
        return Err(FormatError::Invalid("the name of an entry is empty, '.' or '..', or has a slash or a zero byte"));
    }
    Ok(())
}

/// Checks the path of a directory: empty for the root.
pub(super) fn check_path(path: &[u8]) -> Result<()> {
    within("path of a directory", path.len(), limits::PATH_BYTES_MAX)?;
    if path.is_empty() {
        return Ok(());
    }
    path.split(|byte| *byte == b'/').try_for_each(check_name)
}

/// Checks the name of an owner or group.
pub(super) fn check_owner_name(name: &[u8]) -> Result<()> {
    within("name of an owner", name.len(), limits::OWNER_NAME_BYTES_MAX)?;
    if name.is_empty() || name.contains(&0) {
        return Err(FormatError::Invalid("the name of an owner is empty or has a zero byte"));
    }
    Ok(())
}

/// Checks the target of a symlink.
pub(super) fn check_target(target: &[u8]) -> Result<()> {
    within("target of a symlink", target.len(), limits::SYMLINK_BYTES_MAX)?;
    if target.is_empty() || target.contains(&0) {
        return Err(FormatError::Invalid("the target of a symlink is empty or has a zero byte"));
    }
    Ok(())
}

/// Checks the length of attributes that stand in a stream.
pub(super) fn check_attributes_length(length: u64) -> Result<()> {
    within("extended attributes", usize::try_from(length).unwrap_or(usize::MAX), limits::ATTRIBUTES_BYTES_MAX)?;
    if length == 0 { Err(FormatError::Invalid("a stream of attributes is empty")) } else { Ok(()) }
}

/// Adds up the bytes of paths (and keys) that a page holds in full: a page that takes little room, because they share
/// much, must not take much room when it is read.
pub(super) fn check_paths_total(total: usize) -> Result<()> {
    within("paths of a page", total, limits::PAGE_PLAINTEXT_MAX)
}

/// Bytes that two names have in common at their start.
pub(super) fn shared_prefix(left: &[u8], right: &[u8]) -> usize {
    left.iter().zip(right).take_while(|(left, right)| left == right).count()
}
