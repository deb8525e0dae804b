//! The vault service: keeps recovery points for agents over HTTPS, and decides what is kept and what is freed.
//!
//! Invariant: nothing that this crate links can open a blob. Who may do what is decided in one place, [`Access`] of the
//! endpoint, before a handler runs; what is durable and when is `repository`'s business.
//!
//! A noun has one file at each layer: `handlers/` turns requests into calls and back, `app/` decides, `db/` keeps what is
//! the service's own. Points, sessions and packs are kept by `repository`.

#![forbid(unsafe_code)]

mod app;
mod config;
mod db;
mod error;
mod handlers;
mod http;
mod open_files;
mod router;
mod serve;
mod time;
mod tls;

pub use app::leases::{LeaseTimes, Leases};
pub use config::{Config, Duties, Limits};
pub use error::{Kind, ServiceError};
pub use http::access::Access;
pub use http::document::document;
pub use http::endpoint::Endpoint;
pub use router::endpoints;
pub use serve::{Service, one_time_token};
pub use time::Time;
