//! How text looks: colours and signs where a terminal shows them, plain text everywhere else.

use std::{env, io::IsTerminal as _};

use anstyle::{AnsiColor, Style as Ansi};
use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};

/// What the place that the output goes to can show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// Whether it is a terminal that can be drawn on again.
    pub live: bool,
    /// Whether it shows colours.
    pub colour: bool,
    /// Whether it shows signs beyond ASCII.
    pub signs: bool,
}

/// How good something is; a colour where there are colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    Plain,
    Good,
    Busy,
    Bad,
    Faint,
    Title,
}

impl Style {
    /// What standard output can show: nothing special unless it is a terminal; `NO_COLOR` and `TERM=dumb` are respected.
    pub fn of_terminal() -> Self {
        let live = std::io::stdout().is_terminal();
        let set = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = env::var_os("TERM").is_some_and(|term| term == "dumb");
        let utf8 = ["LC_ALL", "LC_CTYPE", "LANG"]
            .into_iter()
            .find_map(|name| env::var(name).ok().filter(|value| !value.is_empty()))
            .is_some_and(|locale| {
                locale
                    .to_ascii_lowercase()
                    .replace('-', "")
                    .contains("utf8")
            });
        Self {
            live: live && !dumb,
            colour: live && !dumb && !set("NO_COLOR"),
            signs: utf8,
        }
    }

    /// `text` in the colour of `tone`.
    pub(crate) fn paint(self, tone: Tone, text: &str) -> String {
        let ansi = match tone {
            Tone::Plain => return text.to_owned(),
            Tone::Good => Ansi::new().fg_color(Some(AnsiColor::Green.into())),
            Tone::Busy => Ansi::new().fg_color(Some(AnsiColor::Cyan.into())),
            Tone::Bad => Ansi::new().fg_color(Some(AnsiColor::Red.into())),
            Tone::Faint => Ansi::new().dimmed(),
            Tone::Title => Ansi::new().bold(),
        };
        if self.colour {
            format!("{ansi}{text}{ansi:#}")
        } else {
            text.to_owned()
        }
    }
}

/// A cell of a table.
pub(crate) struct Entry {
    text: String,
    tone: Tone,
}

impl Entry {
    pub(crate) fn toned(text: impl Into<String>, tone: Tone) -> Self {
        Self {
            text: text.into(),
            tone,
        }
    }
}

impl<T: Into<String>> From<T> for Entry {
    fn from(text: T) -> Self {
        Self::toned(text, Tone::Plain)
    }
}

/// Lines of a table without borders, its columns aligned, as kubectl prints them. Columns that are empty in every row are left out.
pub(crate) fn table(titles: &[&str], rows: Vec<Vec<Entry>>, style: Style) -> Vec<String> {
    let used: Vec<bool> = (0..titles.len())
        .map(|column| {
            rows.iter()
                .any(|row| row.get(column).is_some_and(|cell| !cell.text.is_empty()))
        })
        .collect();
    let keep = |column: &usize| used.get(*column).copied().unwrap_or(false);
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled);
    if style.colour {
        table.enforce_styling();
    } else {
        table.force_no_tty();
    }
    table.set_header(
        titles
            .iter()
            .enumerate()
            .filter(|(column, _)| keep(column))
            .map(|(_, title)| Cell::new(title)),
    );
    for row in rows {
        table.add_row(
            row.into_iter()
                .enumerate()
                .filter(|(column, _)| keep(column))
                .map(|(_, entry)| cell(&entry)),
        );
    }
    for column in table.column_iter_mut() {
        column
            .set_padding((0, 3))
            .set_cell_alignment(CellAlignment::Left);
    }
    table
        .lines()
        .map(|line| line.trim_end().to_owned())
        .collect()
}

fn cell(entry: &Entry) -> Cell {
    // One line a row: a line break inside a message would tear the table.
    let cell = Cell::new(entry.text.split_whitespace().collect::<Vec<_>>().join(" "));
    match entry.tone {
        Tone::Plain | Tone::Title => cell,
        Tone::Good => cell.fg(comfy_table::Color::Green),
        Tone::Busy => cell.fg(comfy_table::Color::Cyan),
        Tone::Bad => cell.fg(comfy_table::Color::Red),
        Tone::Faint => cell.add_attribute(comfy_table::Attribute::Dim),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_align_and_empty_ones_are_left_out() {
        let rows = vec![
            vec![
                "shop".into(),
                "".into(),
                Entry::toned("Healthy", Tone::Good),
            ],
            vec!["a-longer-name".into(), "".into(), "Pending".into()],
        ];
        let lines = table(&["NAME", "STEP", "PHASE"], rows, Style::default());
        assert_eq!(
            lines,
            [
                "NAME            PHASE",
                "shop            Healthy",
                "a-longer-name   Pending"
            ]
        );
    }

    #[test]
    fn columns_stay_aligned_in_colour() {
        let rows = || vec![vec![Entry::toned("x", Tone::Bad), "y".into()]];
        let colourful = Style {
            colour: true,
            ..Style::default()
        };
        let painted = table(&["FIRST", "SECOND"], rows(), colourful).join("\n");
        assert!(painted.contains('\u{1b}'), "{painted:?}");
        let plain = table(&["FIRST", "SECOND"], rows(), Style::default()).join("\n");
        assert_eq!(without_colours(&painted), plain);
    }

    fn without_colours(text: &str) -> String {
        let mut plain = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('\u{1b}') {
            plain.push_str(before);
            rest = after.split_once('m').map_or("", |(_, after)| after);
        }
        plain + rest
    }
}
