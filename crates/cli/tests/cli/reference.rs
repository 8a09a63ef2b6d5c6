//! The reference of the command line is written from the arguments, and is never out of date.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use clap::{Arg, Command, CommandFactory};
use lodestore_cli::Cli;

#[test]
fn the_reference_is_up_to_date() {
    let path = Path::new("../../docs/reference/cli.md");
    let expected = reference(Cli::command());
    if std::env::var_os("LODESTORE_UPDATE").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, &expected).unwrap();
    }
    let found = fs::read_to_string(path).unwrap_or_default();
    assert!(found == expected, "docs/reference/cli.md is out of date; run the tests with LODESTORE_UPDATE=1");
}

#[test]
fn the_arguments_fit_together() {
    Cli::command().debug_assert();
}

/// Every command, argument and option has a help text.
#[test]
fn everything_is_explained() {
    let mut command = Cli::command();
    command.build();
    for command in command.get_subcommands().chain([&command]) {
        assert!(command.get_about().is_some(), "{}", command.get_name());
        for arg in command.get_arguments() {
            assert!(arg.get_help().is_some(), "{} {}", command.get_name(), arg.get_id());
        }
    }
}

fn reference(mut command: Command) -> String {
    command.build();
    let mut text = "# The command line\n\n<!-- Written by the tests of crates/cli from its arguments: LODESTORE_UPDATE=1 cargo test -p lodestore-cli -->\n".to_owned();
    section(&command, 2, &mut text);
    for command in command.get_subcommands().filter(|c| !c.is_hide_set() && c.get_name() != "help") {
        section(command, 2, &mut text);
    }
    text
}

fn section(command: &Command, level: usize, text: &mut String) {
    let name = command.get_bin_name().unwrap_or(command.get_name());
    let about = command.get_long_about().or(command.get_about()).map(ToString::to_string).unwrap_or_default();
    let usage = command.clone().render_usage().to_string();
    let _ = write!(text, "\n{} `{name}`\n\n{about}\n\n```text\n{}\n```\n", "#".repeat(level), usage.trim());
    let is_root = !name.contains(' ');
    let shown = |arg: &&Arg| !arg.is_hide_set() && !matches!(arg.get_id().as_str(), "help" | "version");
    // What all commands have is told once.
    let args: Vec<_> = command.get_arguments().filter(shown).filter(|arg| is_root || !arg.is_global_set()).collect();
    if !args.is_empty() {
        *text += "\n| argument | meaning |\n| --- | --- |\n";
        args.into_iter().for_each(|arg| row(arg, text));
    }
    if let Some(after) = command.get_after_help() {
        let _ = write!(text, "\n```text\n{after}\n```\n");
    }
}

fn row(arg: &Arg, text: &mut String) {
    let values: Vec<_> = arg.get_value_names().unwrap_or_default().iter().map(|name| format!("<{name}>")).collect();
    let mut names: Vec<String> =
        arg.get_short_and_visible_aliases().unwrap_or_default().iter().map(|c| format!("`-{c}`")).collect();
    names.extend(arg.get_long_and_visible_aliases().unwrap_or_default().iter().map(|long| format!("`--{long}`")));
    if names.is_empty() || arg.get_action().takes_values() {
        names.push(format!("`{}`", values.join(" ")));
    }
    let help = arg.get_long_help().or(arg.get_help()).map(ToString::to_string).unwrap_or_default();
    let paragraphs: Vec<_> =
        help.split("\n\n").map(|text| text.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    let mut help = paragraphs.join(". ");
    let possible = arg.get_possible_values();
    if arg.get_action().takes_values() && !possible.is_empty() {
        let values = possible.iter().filter(|value| !value.is_hide_set()).map(|value| match value.get_help() {
            Some(help) => format!("`{}`: {help}", value.get_name()),
            None => format!("`{}`", value.get_name()),
        });
        help = format!("{}. {}", help.trim_end_matches('.'), values.collect::<Vec<_>>().join("; "));
    }
    let defaults: Vec<_> = arg.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
    if arg.get_action().takes_values() && !defaults.is_empty() {
        let _ = write!(help, " [default: {}]", defaults.join(" "));
    }
    if let Some(variable) = arg.get_env() {
        let _ = write!(help, " [environment: `{}`]", variable.to_string_lossy());
    }
    let _ = writeln!(text, "| {} | {} |", names.join(" "), help.replace('|', "\\|"));
}
