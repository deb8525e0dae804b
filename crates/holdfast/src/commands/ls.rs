//! `holdfast ls`

use crate::cli::Global;
use crate::failure::{Exit, Outcome};
use clap::Args;

/// Not here yet.
#[derive(Debug, Args)]
pub(crate) struct Arguments {}

pub(crate) async fn run(_: &Global, _: Arguments) -> Outcome<Exit> {
    Ok(Exit::Clean)
}
