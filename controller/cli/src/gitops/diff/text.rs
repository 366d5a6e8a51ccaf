//! Differences as people read them: lines of YAML.

use std::{io::Write, time::Duration};

use serde_json::Value;
use similar::{Algorithm, TextDiff};

use crate::{
    Error,
    gitops::{mask, yaml},
    output::{Style, Tone},
};

/// Lines around a change.
const CONTEXT: usize = 3;

/// After this long the rest of a comparison is made coarsely, which is still right.
const LIMIT: Duration = Duration::from_secs(2);

/// An object that would be there.
pub(super) fn created(
    name: &str,
    state: &str,
    after: &Value,
    style: Style,
    out: &mut dyn Write,
) -> Result<(), Error> {
    let mut after = after.clone();
    mask::hide(&mut after);
    let titles = (String::from("nothing"), format!("{name} at {state}"));
    print("", &(yaml(&after)? + "\n"), &titles, style, out)
}

/// An object that would be another one.
pub(super) fn changed(
    name: &str,
    state: &str,
    (before, after): (&Value, &Value),
    style: Style,
    out: &mut dyn Write,
) -> Result<(), Error> {
    let titles = (
        format!("{name} in the cluster"),
        format!("{name} at {state}"),
    );
    let (before, after) = (yaml(before)? + "\n", yaml(after)? + "\n");
    print(&before, &after, &titles, style, out)
}

/// An object that would go.
pub(super) fn pruned(name: &str, style: Style, out: &mut dyn Write) -> Result<(), Error> {
    writeln!(
        out,
        "{}",
        style.paint(Tone::Bad, &format!("--- {name} in the cluster"))
    )?;
    writeln!(
        out,
        "{}",
        style.paint(
            Tone::Good,
            "+++ nothing: it is pruned once the version without it is verified"
        )
    )?;
    Ok(())
}

fn print(
    before: &str,
    after: &str,
    (old, new): &(String, String),
    style: Style,
    out: &mut dyn Write,
) -> Result<(), Error> {
    let diff = TextDiff::configure()
        .algorithm(Algorithm::Myers)
        .timeout(LIMIT)
        .diff_lines(before, after);
    let text = diff
        .unified_diff()
        .context_radius(CONTEXT)
        .header(old, new)
        .to_string();
    for line in text.lines() {
        let tone = match line.chars().next() {
            Some('+') => Tone::Good,
            Some('-') => Tone::Bad,
            Some('@') => Tone::Faint,
            _ => Tone::Plain,
        };
        writeln!(out, "{}", style.paint(tone, line))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_the_lines_around_a_change_are_shown() {
        let object = |value: &str| json!({"kind": "ConfigMap", "data": {"a": "1", "b": "2", "c": "3", "d": "4", "e": value}});
        let mut out = Vec::new();
        let pair = (&object("five"), &object("six"));
        changed(
            "ConfigMap shop/a",
            "main@1",
            pair,
            Style::default(),
            &mut out,
        )
        .unwrap();
        let text = String::from_utf8(out).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "--- ConfigMap shop/a in the cluster");
        assert_eq!(lines[1], "+++ ConfigMap shop/a at main@1");
        let changes: Vec<&str> = lines[3..]
            .iter()
            .copied()
            .filter(|line| !line.starts_with(' '))
            .collect();
        assert_eq!(changes.len(), 2, "{text}");
        assert!(
            changes[0].contains("five") && changes[1].contains("six"),
            "{text}"
        );
        assert!(!text.contains("\n a:"), "far lines are left out: {text}");
    }
}
