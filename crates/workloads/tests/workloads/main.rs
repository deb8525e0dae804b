//! File sets against real file systems: walks, round trips, hostile destinations.

mod copy;
mod hostile;
mod restore;
mod round_trip;
mod unprivileged;
mod walk;
