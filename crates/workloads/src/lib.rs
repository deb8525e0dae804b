//! What can be protected: file sets of a Linux machine, read by [`files::FileSet`] and restored by [`files::RestoreTarget`].
//!
//! The engine's source and target traits are implemented here; nothing here knows keys, vaults or the format of storage.

#![forbid(unsafe_code)]

mod error;
pub mod files;
mod platform;
#[cfg(any(test, feature = "zoo"))]
pub mod zoo;

pub use error::{WorkloadError, WorkloadErrorKind};
pub use platform::{raise_open_files, sees_trusted_attributes};
