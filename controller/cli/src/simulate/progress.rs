//! How far the fetching is, on standard error: one line that is drawn again on a terminal, else a line now and then.

use std::{
    cell::RefCell,
    io::{IsTerminal as _, Write},
    rc::Rc,
};

/// Longest part of a query that is shown.
const SHOWN: usize = 60;

/// Where progress is shown.
#[derive(Clone)]
pub(crate) struct Progress {
    out: Rc<RefCell<dyn Write>>,
    live: bool,
}

impl std::fmt::Debug for Progress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Progress").finish_non_exhaustive()
    }
}

impl Progress {
    /// On standard error.
    pub(crate) fn stderr() -> Self {
        Self {
            out: Rc::new(RefCell::new(std::io::stderr())),
            live: std::io::stderr().is_terminal(),
        }
    }

    /// Something that takes `total` steps.
    pub(crate) fn task(&self, name: &str, total: usize) -> Task {
        let name = name.split_whitespace().collect::<Vec<_>>().join(" ");
        let short = name.floor_char_boundary(SHOWN);
        let ends = if short < name.len() { "…" } else { "" };
        let name = format!("{}{ends}", name.get(..short).unwrap_or_default());
        let task = Task {
            progress: self.clone(),
            name,
            done: 0,
            total,
        };
        task.show();
        task
    }
}

/// Something that takes time.
#[derive(Debug)]
pub(crate) struct Task {
    progress: Progress,
    name: String,
    done: usize,
    total: usize,
}

impl Task {
    /// One step further.
    pub(crate) fn step(&mut self) {
        self.done += 1;
        self.show();
    }

    /// Nobody reads it, perhaps: that is no failure.
    fn show(&self) {
        let Self {
            done, total, name, ..
        } = self;
        let mut out = self.progress.out.borrow_mut();
        let tenth = (total / 10).max(1);
        if self.progress.live {
            let end = if done == total { "\n" } else { "" };
            let _ = write!(out, "\r\u{1b}[K{done} of {total}  {name}{end}");
        } else if *done > 0 && (done % tenth == 0 || done == total) {
            let _ = writeln!(out, "{done} of {total}  {name}");
        }
        let _ = out.flush();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_terminal_there_is_a_line_for_each_tenth() {
        let out = Rc::new(RefCell::new(Vec::<u8>::new()));
        let progress = Progress {
            out: Rc::clone(&out) as Rc<RefCell<dyn Write>>,
            live: false,
        };
        let mut task = progress.task("sum\n  by (pod)", 20);
        for _ in 0..20 {
            task.step();
        }
        let text = String::from_utf8(out.borrow().clone()).unwrap();
        assert_eq!(text.lines().count(), 10);
        assert!(text.ends_with("20 of 20  sum by (pod)\n"), "{text}");
    }
}
