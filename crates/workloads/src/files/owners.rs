//! Names of users and groups, from `/etc/passwd` and `/etc/group`.
//!
//! The files are parsed once and directly: the C library's lookup (NSS: LDAP, SSSD, systemd) cannot be called without
//! unsafe code. A user known only there is kept and restored by number.

use format::page::Owner;
use std::collections::HashMap;
use std::sync::Arc;

/// Users and groups, both ways.
#[derive(Debug, Default)]
pub(crate) struct Owners {
    users: Names,
    groups: Names,
}

#[derive(Debug, Default)]
struct Names {
    by_number: HashMap<u32, Arc<[u8]>>,
    by_name: HashMap<Arc<[u8]>, u32>,
}

impl Owners {
    /// Reads this machine's files. One that cannot be read knows nobody.
    pub(crate) fn of_this_machine() -> Self {
        let read = |path| Names::parse(&std::fs::read(path).unwrap_or_default());
        Self { users: read("/etc/passwd"), groups: read("/etc/group") }
    }

    /// A user by number, with the name.
    pub(crate) fn user(&self, id: u32) -> Owner {
        Owner { id, name: self.users.by_number.get(&id).cloned() }
    }

    /// A group by number, with the name.
    pub(crate) fn group(&self, id: u32) -> Owner {
        Owner { id, name: self.groups.by_number.get(&id).cloned() }
    }

    /// The number that a user has here: by name where that is known, otherwise as kept.
    pub(crate) fn local_user(&self, owner: &Owner, numeric: bool) -> u32 {
        self.users.local(owner, numeric)
    }

    /// The number that a group has here.
    pub(crate) fn local_group(&self, owner: &Owner, numeric: bool) -> u32 {
        self.groups.local(owner, numeric)
    }
}

impl Names {
    /// Lines `name:password:number:…`; the first line of a name or number counts.
    fn parse(file: &[u8]) -> Self {
        let mut names = Self::default();
        for line in file.split(|byte| *byte == b'\n') {
            let mut fields = line.split(|byte| *byte == b':');
            let (Some(name), Some(_), Some(number)) = (fields.next(), fields.next(), fields.next()) else { continue };
            let number = std::str::from_utf8(number).ok().and_then(|digits| digits.parse::<u32>().ok());
            // `+` and `-` start entries that include other directories.
            let (Some(number), false) = (number, name.is_empty() || name.starts_with(b"+") || name.starts_with(b"-")) else {
                continue;
            };
            let name: Arc<[u8]> = name.into();
            names.by_number.entry(number).or_insert_with(|| name.clone());
            names.by_name.entry(name).or_insert(number);
        }
        names
    }

    fn local(&self, owner: &Owner, numeric: bool) -> u32 {
        let by_name = owner.name.as_ref().filter(|_| !numeric).and_then(|name| self.by_name.get(name));
        by_name.copied().unwrap_or(owner.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_win_over_numbers_unless_numbers_are_asked_for() {
        let owners = Owners {
            users: Names::parse(b"root:x:0:0:root:/root:/bin/sh\n+nis:x:7::\nbroken\nanna:x:1000:1000::/:\nanna2:x:1000:1:::\n"),
            groups: Names::parse(b"staff:x:50:anna\n"),
        };
        assert_eq!(owners.user(1000).name.as_deref(), Some(b"anna".as_slice()));
        assert_eq!(owners.user(7).name, None);
        let elsewhere = Owner { id: 4711, name: Some(b"anna".as_slice().into()) };
        assert_eq!(owners.local_user(&elsewhere, false), 1000);
        assert_eq!(owners.local_user(&elsewhere, true), 4711);
        let unknown = Owner { id: 4711, name: Some(b"nobody here".as_slice().into()) };
        assert_eq!(owners.local_group(&unknown, false), 4711);
    }
}
