//! What a vault offers to those who hold keys: the [`Vault`] and [`Domain`] traits, their requests and answers, and the
//! kinds of error that tell a caller what to do.
//!
//! `repository` implements them in-process; a client of the vault service implements them over HTTPS. The engine cannot
//! tell them apart. Nothing here is secret: everything that passes is sealed, signed or visible by design.

#![forbid(unsafe_code)]

mod answers;
mod domain;
mod error;
mod progress;
mod requests;

pub use answers::{
    CheckReport, CollectReport, Committed, DamagedCopy, DamagedPack, DomainStatus, ItemHead, Location, PointInfo, PointState,
    SessionOpened, SetAside,
};
pub use domain::{Domain, Vault};
pub use error::{Error, ErrorKind, Result};
pub use progress::{Progress, ProgressSink};
pub use requests::{CheckOptions, CollectOptions, OpenSession, PointFilter};
