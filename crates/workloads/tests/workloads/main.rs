//! File sets against real file systems: walks, round trips, hostile destinations.

#![allow(clippy::unwrap_used)]

mod copy;
mod hostile;
mod restore;
mod round_trip;
mod unprivileged;
mod walk;
