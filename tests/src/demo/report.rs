//! What the demo says: one line a fact, with the time since its beginning.

use std::{
    io::Write as _,
    time::{Duration, Instant},
};

/// Writes the account of the demo to standard output.
#[derive(Debug)]
pub struct Report {
    began: Instant,
    chapter: std::sync::Mutex<Chapter>,
}

#[derive(Debug)]
struct Chapter {
    title: String,
    began: Instant,
    finished: Vec<(String, Duration)>,
}

impl Default for Report {
    fn default() -> Self {
        let now = Instant::now();
        let chapter = Chapter {
            title: String::new(),
            began: now,
            finished: Vec::new(),
        };
        Self {
            began: now,
            chapter: std::sync::Mutex::new(chapter),
        }
    }
}

impl Report {
    /// Ends the present chapter and begins the next one.
    pub fn chapter(&self, title: &str) {
        self.end_chapter();
        if let Ok(mut chapter) = self.chapter.lock() {
            title.clone_into(&mut chapter.title);
            chapter.began = Instant::now();
        }
        write_line(&format!("\n== {title}"));
    }

    /// Tells one fact.
    pub fn say(&self, fact: &str) {
        write_line(&format!(
            "[{:>6.1} s] {fact}",
            self.began.elapsed().as_secs_f64()
        ));
    }

    /// Shows a line of a program's output.
    pub fn quote(&self, line: &str) {
        write_line(&format!("           | {line}"));
    }

    /// Tells how long each chapter took.
    pub fn close(&self) {
        self.end_chapter();
        let Ok(chapter) = self.chapter.lock() else {
            return;
        };
        write_line("\n== Times");
        let width = chapter
            .finished
            .iter()
            .map(|(title, _)| title.chars().count())
            .max()
            .unwrap_or(0);
        for (title, took) in &chapter.finished {
            write_line(&format!("{title:<width$}  {:>6.1} s", took.as_secs_f64()));
        }
        write_line(&format!(
            "{:<width$}  {:>6.1} s",
            "all",
            self.began.elapsed().as_secs_f64()
        ));
    }

    fn end_chapter(&self) {
        if let Ok(mut chapter) = self.chapter.lock()
            && !chapter.title.is_empty()
        {
            let took = chapter.began.elapsed();
            let title = std::mem::take(&mut chapter.title);
            chapter.finished.push((title, took));
        }
    }
}

/// A closed pipe is no reason to leave the lab half torn down: a line that can't be written is dropped.
fn write_line(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
