//! The live view: drawn again in place on a terminal, one line per change everywhere else.

use std::{io::Write, pin::pin, time::Duration};

use crossterm::{QueueableCommand as _, cursor, terminal};
use futures::StreamExt as _;
use jiff::Timestamp;
use kube::runtime::{WatchStreamExt as _, watcher};

use crate::{Error, Style, cluster::Cluster, fetch, output::Tone, subject::Subject};

/// How often times on the screen move on. The cluster is not asked: this redraws what is known.
const REDRAW: Duration = Duration::from_secs(1);

/// Shows the object of that name until it is deleted or the program is ended.
pub(crate) async fn run<K: Subject>(
    cluster: &Cluster,
    name: &str,
    style: Style,
    out: &mut dyn Write,
) -> Result<(), Error> {
    let first: K = fetch::one(cluster, name).await?;
    let mut screen = Screen::new(style);
    screen.show(&first, None, out)?;
    let events = watcher::watch_object(cluster.api::<K>(), name).default_backoff();
    let mut events = pin!(events);
    let mut last = first;
    let mut trouble: Option<String> = None;
    loop {
        let event = tokio::select! {
            event = events.next() => event,
            () = tokio::time::sleep(REDRAW), if style.live => {
                screen.show(&last, trouble.as_deref(), out)?;
                continue;
            }
        };
        match event {
            Some(Ok(Some(object))) => {
                last = object;
                trouble = None;
            }
            Some(Ok(None)) => {
                writeln!(out, "{} {name} was deleted.", K::KIND)?;
                return Ok(());
            }
            Some(Err(error)) => trouble = Some(error.to_string()),
            None => return Ok(()),
        }
        screen.show(&last, trouble.as_deref(), out)?;
    }
}

/// What was drawn last.
struct Screen {
    style: Style,
    /// Lines on the screen that the next drawing replaces.
    drawn: u16,
    /// The last printed line where nothing can be drawn again.
    printed: String,
}

impl Screen {
    const fn new(style: Style) -> Self {
        Self {
            style,
            drawn: 0,
            printed: String::new(),
        }
    }

    fn show<K: Subject>(
        &mut self,
        object: &K,
        trouble: Option<&str>,
        out: &mut dyn Write,
    ) -> Result<(), Error> {
        let trouble = trouble.map(|trouble| format!("connection lost, trying again: {trouble}"));
        if self.style.live {
            let mut lines = object.view(Timestamp::now(), self.style);
            lines.extend(trouble.map(|trouble| self.style.paint(Tone::Bad, &trouble)));
            self.draw(&lines, out)
        } else {
            self.print(&trouble.unwrap_or_else(|| object.headline()), out)
        }
    }

    /// Draws over what was drawn before. Long lines are cut by the terminal, long views at its height.
    fn draw(&mut self, lines: &[String], out: &mut dyn Write) -> Result<(), Error> {
        let height = terminal::size().map_or(24, |(_, rows)| rows).max(2);
        let shown = lines.len().min(usize::from(height) - 1);
        if self.drawn > 0 {
            out.queue(cursor::MoveToPreviousLine(self.drawn))?;
        }
        out.queue(terminal::Clear(terminal::ClearType::FromCursorDown))?;
        out.queue(terminal::DisableLineWrap)?;
        for line in lines.iter().take(shown) {
            writeln!(out, "{line}")?;
        }
        out.queue(terminal::EnableLineWrap)?;
        out.flush()?;
        self.drawn = u16::try_from(shown).unwrap_or(height);
        Ok(())
    }

    fn print(&mut self, line: &str, out: &mut dyn Write) -> Result<(), Error> {
        if self.printed != line {
            let now = Timestamp::now().strftime("%H:%M:%SZ");
            writeln!(out, "{now} {line}")?;
            out.flush()?;
            line.clone_into(&mut self.printed);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn live() -> Screen {
        Screen::new(Style {
            live: true,
            ..Style::default()
        })
    }

    fn lines(count: usize) -> Vec<String> {
        (1..=count).map(|n| format!("line {n}")).collect()
    }

    #[test]
    fn a_drawing_takes_the_place_of_the_one_before() {
        // given three lines on the screen
        let (mut screen, mut out) = (live(), Vec::new());
        screen.draw(&lines(3), &mut out).unwrap();
        assert!(!String::from_utf8_lossy(&out).contains("\u{1b}[3F"));
        out.clear();

        // when two are drawn
        screen.draw(&lines(2), &mut out).unwrap();

        // then the cursor goes up three lines and everything below is cleared first
        let drawn = String::from_utf8(out).unwrap();
        let up = drawn.find("\u{1b}[3F").unwrap();
        let clear = drawn.find("\u{1b}[J").unwrap();
        let text = drawn.find("line 1\n").unwrap();
        assert!(up < clear && clear < text, "{drawn:?}");
        assert_eq!(screen.drawn, 2);
    }

    #[test]
    fn a_view_that_is_higher_than_the_terminal_is_cut() {
        let (mut screen, mut out) = (live(), Vec::new());
        screen.draw(&lines(5000), &mut out).unwrap();
        assert!(screen.drawn < 1000, "{}", screen.drawn);
    }

    #[test]
    fn without_a_terminal_equal_lines_are_printed_once() {
        let (mut screen, mut out) = (Screen::new(Style::default()), Vec::new());
        for line in ["a", "a", "b"] {
            screen.print(line, &mut out).unwrap();
        }
        let printed = String::from_utf8(out).unwrap();
        assert_eq!(printed.lines().count(), 2, "{printed:?}");
    }
}
