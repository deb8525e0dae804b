//! `holdfast clock …`

use super::at_service::{open_service, span};
use crate::cli::Global;
use crate::failure::{Exit, Failure, Outcome};
use crate::terminal::{self, Json, json_times, say};
use api::{ClockBody, ClockStanding};
use clap::{Args, Subcommand};

/// See and set right the clock on which points expire.
///
/// It never goes back and never takes over a jump at once: docs/policies.md.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show it. Takes an administrator's token.
    Show,
    Acknowledge(AcknowledgeArguments),
}

/// Say that the service's wall clock is right, although it is more than 30 days ahead. Takes an administrator's token.
#[derive(Debug, Args)]
pub(crate) struct AcknowledgeArguments {
    /// It is this time in truth, RFC 3339; the wall clock shows it too.
    #[arg(value_name = "TIME")]
    time: jiff::Timestamp,
}

pub(crate) async fn run(global: &Global, command: Command) -> Outcome<Exit> {
    let at = open_service(global).await?;
    let clock = match command {
        Command::Show => at.service.clock().await?,
        Command::Acknowledge(arguments) => {
            let time_ms = arguments.time.as_millisecond();
            at.service.acknowledge_clock(time_ms).await.map_err(Failure::from)?
        }
    };
    print(global, &clock);
    Ok(if clock.standing == ClockStanding::Waiting { Exit::Warnings } else { Exit::Clean })
}

fn print(global: &Global, clock: &ClockBody) {
    if global.json {
        let mut json = Json::new("clock");
        json.set("clock", json_times(clock));
        json.print();
        return;
    }
    let gap = span(clock.wall_ms - clock.now_ms);
    say!("points expire by  {}", terminal::local(clock.now_ms));
    say!("wall clock        {}", terminal::local(clock.wall_ms));
    match clock.standing {
        ClockStanding::Together => say!("They are together."),
        ClockStanding::CatchingUp => say!("The wall clock is {gap} ahead: an extra day is caught up for each hour of running."),
        ClockStanding::Waiting => {
            say!("The wall clock is {gap} ahead, too far to be believed: nothing more expires until you have looked.");
            say!("If it is right: holdfast clock acknowledge {}", terminal::utc(clock.wall_ms));
        }
        ClockStanding::Standing => say!("The wall clock is {gap} behind: this one stands still until it is not."),
    }
}
