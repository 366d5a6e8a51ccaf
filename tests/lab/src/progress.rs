//! Tells on standard error what a person waits for: a spinner on a terminal, plain lines elsewhere.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use tokio::task::JoinHandle;

/// How often a long step is mentioned again where no spinner can turn.
const REMIND_INTERVAL: Duration = Duration::from_secs(30);
/// How fast the spinner turns.
const TICK_INTERVAL: Duration = Duration::from_millis(120);

/// Where progress is told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Progress {
    terminal: bool,
}

impl Progress {
    /// Tells on standard error.
    pub(crate) fn stderr() -> Self {
        Self {
            terminal: std::io::stderr().is_terminal(),
        }
    }

    /// Begins a step; it ends with `done`, or silently when dropped.
    pub(crate) fn step(self, what: String) -> Step {
        let begun = Instant::now();
        let sign = if self.terminal {
            Sign::Spinner(spinner(&what))
        } else {
            Sign::Lines(remind(what.clone(), begun))
        };
        Step { what, begun, sign }
    }
}

/// A step under way.
#[derive(Debug)]
pub(crate) struct Step {
    what: String,
    begun: Instant,
    sign: Sign,
}

#[derive(Debug)]
enum Sign {
    Spinner(ProgressBar),
    Lines(JoinHandle<()>),
}

impl Step {
    /// Tells that the step is done and how long it took.
    pub(crate) fn done(self) {
        if let Sign::Spinner(bar) = &self.sign {
            bar.finish_and_clear();
        }
        say(&format!(
            "{}: done in {:.1} s",
            self.what,
            self.begun.elapsed().as_secs_f64()
        ));
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        match &self.sign {
            Sign::Spinner(bar) => bar.finish_and_clear(),
            Sign::Lines(task) => task.abort(),
        }
    }
}

fn spinner(what: &str) -> ProgressBar {
    let bar = ProgressBar::new_spinner().with_message(what.to_owned());
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(TICK_INTERVAL);
    bar
}

fn remind(what: String, begun: Instant) -> JoinHandle<()> {
    say(&format!("{what} …"));
    tokio::spawn(async move {
        let mut reminders = tokio::time::interval_at(
            tokio::time::Instant::now() + REMIND_INTERVAL,
            REMIND_INTERVAL,
        );
        loop {
            reminders.tick().await;
            say(&format!("{what}: {} s so far", begun.elapsed().as_secs()));
        }
    })
}

/// Writes a line; a standard error that is closed is no reason to fail.
pub(crate) fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "lab: {line}");
}
