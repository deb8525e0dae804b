//! The service, asked over real TLS on loopback: its API's own client, the engine through it, and requests that no client
//! would send.

#![allow(clippy::unwrap_used)]

mod access;
mod agents;
mod duties;
mod full_disk;
mod interruptions;
mod jobs;
mod made;
mod openapi;
mod program;
mod protection;
mod recorded;
mod requests;
mod retention;
mod retired;
mod running;
mod sessions;
mod told;
mod trees;
mod trust;
