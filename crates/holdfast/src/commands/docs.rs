//! `holdfast docs`: the reference of the command line, as Markdown (hidden).

use crate::cli::Cli;
use crate::failure::{Exit, Outcome};
use clap::CommandFactory;
use std::fmt::Write;

pub(crate) fn run() -> Outcome<Exit> {
    let mut text = String::from("# Command line\n\nMade by `holdfast docs` from the help texts; do not edit.\n");
    let mut command = Cli::command().term_width(100);
    command.build();
    describe(&mut text, &mut command, "holdfast");
    crate::terminal::say_text(format_args!("{text}"));
    Ok(Exit::Clean)
}

fn describe(text: &mut String, command: &mut clap::Command, path: &str) {
    let help = command.render_long_help().to_string();
    let lines: Vec<&str> = help.lines().map(str::trim_end).collect();
    let _ = write!(text, "\n## {path}\n\n```text\n{}\n```\n", lines.join("\n").trim_end());
    for sub in command.get_subcommands_mut() {
        if sub.is_hide_set() || sub.get_name() == "help" {
            continue;
        }
        let path = format!("{path} {}", sub.get_name());
        describe(text, sub, &path);
    }
}
