//! Retention: which points expire, by the policies of their items and the vault's clock.
//!
//! Invariant: in a domain one at a time changes which points are listed, and looks at them within its turn: what a person brings back
//! or takes away meanwhile is seen or comes after. Nothing is expired or purged by a time that is not stored, nor by the policy of an item
//! once somebody was answered that it has another.

mod by_hand;
mod item_points;
mod plan;
mod round;

pub(crate) use round::Round;
