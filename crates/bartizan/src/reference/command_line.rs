//! Every verb, as `--help` tells it.

use std::fmt::Write;

use clap::CommandFactory;

use super::GENERATED;
use crate::verbs::Cli;

/// The width that the pages are written for.
const WIDTH: usize = 100;

pub(super) fn page() -> anyhow::Result<String> {
    let mut page = format!("{GENERATED}# Command line\n");
    let mut command = Cli::command();
    command.build();
    describe(&command, "bartizan", &mut page)?;
    Ok(page)
}

fn describe(command: &clap::Command, name: &str, page: &mut String) -> anyhow::Result<()> {
    let mut shown = command.clone().term_width(WIDTH);
    let help = shown.render_long_help().to_string();
    let help: Vec<&str> = help.lines().map(str::trim_end).collect();
    write!(page, "\n## `{name}`\n\n```text\n{}\n```\n", help.join("\n").trim_end())?;
    for verb in command.get_subcommands() {
        if !verb.is_hide_set() && verb.get_name() != "help" {
            describe(verb, &format!("{name} {}", verb.get_name()), page)?;
        }
    }
    Ok(())
}
