//! What this machine keeps beside the vault: directories, wraps, the pinned owner, and what was seen last.

mod directories;
mod files;
mod keyring;
mod passphrase;
mod remembered;
mod vault_home;

pub(crate) use directories::Directories;
pub(crate) use files::write_private;
pub(crate) use keyring::{Keys, Opened, WriteOnly, open, open_keyless, open_with_keys, secret_bytes};
pub(crate) use passphrase::new_passphrase;
pub(crate) use vault_home::VaultHome;
