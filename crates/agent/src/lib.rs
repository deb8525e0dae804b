//! What runs on a protected machine by itself: it keeps what the service wants protected, starts runs by their schedules whether the
//! service is there or not, does the jobs that it is given, and tells the service what came of them.
//!
//! Invariant: the service asks, this machine's own configuration bounds what it may ask for, and nothing here trusts it beyond that.

#![forbid(unsafe_code)]

mod agent;
mod bounds;
mod chance;
mod changes;
mod clock;
mod duty;
mod error;
pub mod limits;
mod link;
mod plan;
mod power;
mod reports;
mod runner;
mod state;
mod trouble;
mod trust;

pub use agent::{Agent, JobCounts, OpenAgent, Places, Secrets, run};
pub use bounds::{Bounds, JournalUse, LeastScope, Refusal, Scope};
pub use clock::{Clock, SystemClock};
pub use error::{AgentError, Kind};
pub use power::is_on_battery;
pub use state::{Begun, Glance, KeptProtection, glance};
pub use trouble::{Trouble, TroubleKind};
pub use trust::{Seen, Trust};
