//! Retention: which points are kept, until when and why.
//!
//! Rules count schedule slots, not points: how long a point lives follows from its own place and the schedule, not from how many
//! others there are. The first whole scheduled point of a day, week, month or year stands for it, so that no later point, however
//! many are made, takes its place. `docs/policies.md` has the rules in full.
//!
//! Checkpoints are outside of all this, and so are points that are not committed or are soft-deleted already: they are not given.

mod calendar;
mod fate;
mod plan;
mod point;

pub use fate::{Claim, Expiry, Fate, Reason, RetentionRule};
pub use plan::{RetentionPlan, Review};
pub use point::{Completeness, Origin, RetentionPoint};

pub(crate) use fate::in_words;
pub(crate) use plan::{fates, in_chain_order};
