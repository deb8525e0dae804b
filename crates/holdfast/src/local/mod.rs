//! What this machine keeps beside the vault: directories, wraps, the pinned owner, and what was seen last.

mod chains;
mod directories;
mod files;
mod incomplete;
mod keyring;
mod login;
mod passphrase;
mod protector;
mod remembered;
mod vault_home;
mod vault_place;

pub(crate) use directories::Directories;
pub(crate) use files::{exists, write_private};
pub(crate) use incomplete::Incomplete;
pub(crate) use keyring::{
    Keys, Opened, TestedSecret, WriteOnly, open_keyless, open_rebuilt, open_to_read, open_with_keys, secret_bytes, what_it_lacks,
};
pub(crate) use login::Login;
pub(crate) use passphrase::{new_passphrase, text_of, token};
pub(crate) use protector::{LET_IN_AGAIN, Protector};
pub(crate) use remembered::alarm;
pub(crate) use vault_home::VaultHome;
pub(crate) use vault_place::VaultPlace;
