//! Setting what belongs to an entry, in an order in which nothing undoes or opens anything:
//!
//! 1. owner, because a change of owner clears set-id bits and capabilities;
//! 2. attributes of users, because a mode without write permission would forbid them to who is not root;
//! 3. mode;
//! 4. ACLs, whose mask is part of the mode, and capabilities;
//! 5. times, which everything before may touch.

use super::target::Policy;
use crate::platform::{self, ACL_ACCESS, ACL_DEFAULT, Named};
use engine::target::Shortfall;
use format::page::{Attribute, EntryKind, Metadata};
use std::io;

/// Bits of a mode that lend the owner's or group's rights.
pub(super) const SET_ID: u16 = 0o6000;

/// Sets everything; what could not be set is answered. `may_inherit` says whether the entry may have got an ACL from its
/// directory.
pub(super) fn apply(
    what: Named<'_>,
    may_inherit: bool,
    policy: &Policy,
    metadata: &Metadata,
    attributes: &[Attribute],
) -> Vec<Shortfall> {
    let mut shortfalls = Vec::new();
    let mut note = |what: &str, done: io::Result<()>| {
        if let Err(error) = done {
            shortfalls.push(Shortfall { what: what.into(), why: error.to_string() });
        }
    };
    let owned = set_owner(what, policy, metadata);
    let lends_rights = owned.is_err() && metadata.mode & SET_ID != 0;
    note("owner", owned);
    let (last, first): (Vec<_>, Vec<_>) =
        attributes.iter().partition(|attribute| platform::is_privileged_attribute(&attribute.name));
    for attribute in first {
        note(&shown(attribute), platform::set_attribute(what, &attribute.name, &attribute.value));
    }
    if metadata.kind != EntryKind::Symlink {
        // Set-id bits for another owner than the kept one would lend the wrong user's rights.
        let mode = if lends_rights { metadata.mode & !SET_ID } else { metadata.mode };
        note("mode", platform::set_mode(what, mode));
        if lends_rights {
            note("mode", Err(io::Error::other("set-id bits are not set for another owner")));
        }
        let acls = if metadata.kind == EntryKind::Directory { [ACL_ACCESS, ACL_DEFAULT].as_slice() } else { &[ACL_ACCESS] };
        for acl in acls.iter().filter(|acl| may_inherit && !last.iter().any(|attribute| attribute.name == **acl)) {
            note("inherited ACL", platform::remove_attribute(what, acl));
        }
    }
    for attribute in last {
        note(&shown(attribute), platform::set_attribute(what, &attribute.name, &attribute.value));
    }
    note("times", platform::set_times(what, metadata.modified));
    shortfalls
}

pub(super) fn shown(attribute: &Attribute) -> String {
    format!("attribute {}", String::from_utf8_lossy(&attribute.name))
}

fn set_owner(what: Named<'_>, policy: &Policy, metadata: &Metadata) -> io::Result<()> {
    let (user, group) = policy.local_owner(metadata);
    if policy.owners {
        return platform::set_owner(what, user, group);
    }
    let (Named::Open(file) | Named::Handle(file)) = what;
    let now = platform::stat_open(file)?;
    if (now.user, now.group) == (user, group) {
        return Ok(());
    }
    // One's own files may be given to one's own groups.
    if now.user == user && platform::set_owner(what, user, group).is_ok() {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::PermissionDenied, "owners are set by root only"))
}
