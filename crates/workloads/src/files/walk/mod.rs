//! Walks over file sets.

mod children;
mod inspect;
mod met;
mod names;
mod place;
mod roots;
mod rules;
mod schedule;
mod spill;
mod walker;
mod ways;

pub(crate) use place::Place;
pub(crate) use roots::{Roots, resolve};
pub(crate) use rules::{RuleOptions, Rules};
pub(crate) use walker::Walk;
pub(crate) use ways::{Change, Ways};

pub(crate) use inspect::Inspector;
