//! `holdfast agent doctor`

use crate::cli::Global;
use crate::failure::{Exit, Outcome};

pub(super) async fn run(_global: &Global) -> Outcome<Exit> {
    Ok(Exit::Clean)
}
