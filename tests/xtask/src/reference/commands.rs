//! The programs' command lines, from their own definitions.

use std::fmt::Write as _;

use clap::{Arg, Command, CommandFactory as _};

use super::{NOTE, cell};
use crate::File;

/// Pages of the controller and of the plugin.
pub(super) fn files() -> Vec<File> {
    [
        ("controller.md", belay::Args::command()),
        ("kubectl-belay.md", kubectl_belay::command()),
    ]
    .into_iter()
    .map(|(name, mut command)| {
        command.build();
        File::new(format!("docs/reference/{name}"), page(&command))
    })
    .collect()
}

fn page(command: &Command) -> String {
    let name = command.get_bin_name().unwrap_or(command.get_name());
    let mut page = format!("# {name}\n\n{NOTE}\n{}\n", about(command));
    let everywhere: Vec<&Arg> = shown(command).collect();
    if !everywhere.is_empty() {
        page.push_str("\n## Arguments\n\n");
        table(&mut page, everywhere.iter().copied());
    }
    for sub in command
        .get_subcommands()
        .filter(|sub| sub.get_name() != "help")
    {
        let own = shown(sub).filter(|arg| !arg.is_global_set());
        let own: Vec<&Arg> = own.collect();
        let _ = write!(page, "\n## {name} {}\n\n{}\n", sub.get_name(), about(sub));
        if !own.is_empty() {
            page.push('\n');
            table(&mut page, own.into_iter());
        }
    }
    if let Some(notes) = command.get_after_help() {
        let _ = write!(page, "\n## Notes\n\n```text\n{notes}\n```\n");
    }
    page
}

fn shown(command: &Command) -> impl Iterator<Item = &Arg> {
    command
        .get_arguments()
        .filter(|arg| !arg.is_hide_set() && !["help", "version"].contains(&arg.get_id().as_str()))
}

fn about(command: &Command) -> String {
    command
        .get_about()
        .map(ToString::to_string)
        .unwrap_or_default()
}

fn table<'a>(page: &mut String, arguments: impl Iterator<Item = &'a Arg>) {
    page.push_str("| argument | variable | default | meaning |\n|---|---|---|---|\n");
    for arg in arguments {
        let variable = arg
            .get_env()
            .map(|name| format!("`{}`", name.to_string_lossy()))
            .unwrap_or_default();
        let help = arg.get_long_help().or(arg.get_help());
        let _ = writeln!(
            page,
            "| `{}` | {variable} | {} | {} |",
            words(arg),
            default(arg),
            cell(&help.map(ToString::to_string).unwrap_or_default()),
        );
    }
}

/// `-n, --namespace <NAMESPACE>`, or `<NAME>` for one that is known by its place.
fn words(arg: &Arg) -> String {
    let value = arg
        .get_action()
        .takes_values()
        .then(|| arg.get_value_names().and_then(|names| names.first()))
        .flatten()
        .map(|name| format!("<{name}>"));
    let short = arg.get_short().map(|short| format!("-{short}"));
    let long = arg.get_long().map(|long| format!("--{long}"));
    let flags: Vec<String> = short.into_iter().chain(long).collect();
    let mut words = flags.join(", ");
    if let Some(value) = value {
        if !words.is_empty() {
            words.push(' ');
        }
        words.push_str(&value);
    }
    words
}

fn default(arg: &Arg) -> String {
    let values: Vec<String> = arg
        .get_default_values()
        .iter()
        .filter(|_| arg.get_action().takes_values())
        .map(|value| format!("`{}`", value.to_string_lossy()))
        .collect();
    if values.is_empty() && arg.is_required_set() {
        "required".to_owned()
    } else {
        values.join(", ")
    }
}
