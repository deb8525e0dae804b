//! A tree with every kind of file that a backup must bring back, and a comparison of trees in every attribute. For tests.

mod build;
mod compare;

pub use build::{ZooOptions, build, deep_directory};
pub use compare::compare;
