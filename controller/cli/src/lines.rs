//! In which line of a file a field stands.
//!
//! Left out: columns, and what stands behind an alias or a merge key: such a field has the line of what holds it.

use std::collections::HashMap;

use serde_saphyr::granit_parser::{Event, Parser};

/// Deepest nesting that is followed; deeper fields have the line of what holds them.
const DEPTH: usize = 128;

/// Lines of one document's fields, by their JSON pointers. The document itself has the empty pointer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lines(HashMap<String, usize>);

impl Lines {
    /// The line of `pointer`, or of the nearest field that holds it.
    pub(crate) fn of(&self, pointer: &str) -> Option<usize> {
        let mut pointer = pointer;
        loop {
            if let Some(line) = self.0.get(pointer) {
                return Some(*line);
            }
            pointer = pointer.rsplit_once('/')?.0;
        }
    }
}

enum Frame {
    List { at: String, next: usize },
    Map { at: String, key: Option<String> },
}

/// The lines of all documents of `text` that are not empty; none behind what can't be read.
pub(crate) fn documents(text: &str) -> Vec<Lines> {
    let mut documents = Vec::new();
    let mut walk = Walk::default();
    for next in Parser::new_from_str(text) {
        let Ok((event, span)) = next else { break };
        let line = span.start.line();
        match event {
            Event::DocumentStart(..) => walk = Walk::default(),
            Event::DocumentEnd => {
                let done = std::mem::take(&mut walk);
                if !done.is_empty {
                    documents.push(Lines(done.lines));
                }
            }
            Event::Scalar(text, ..) => walk.scalar(&text, line),
            Event::Alias(_) => walk.scalar("", line),
            Event::SequenceStart(..) => {
                let at = walk.begin(line);
                walk.open.push(Frame::List { at, next: 0 });
            }
            Event::MappingStart(..) => {
                let at = walk.begin(line);
                walk.open.push(Frame::Map { at, key: None });
            }
            Event::SequenceEnd | Event::MappingEnd => walk.end(),
            _ => {}
        }
    }
    documents
}

struct Walk {
    open: Vec<Frame>,
    lines: HashMap<String, usize>,
    is_empty: bool,
}

impl Default for Walk {
    fn default() -> Self {
        Self {
            open: Vec::new(),
            lines: HashMap::new(),
            is_empty: true,
        }
    }
}

impl Walk {
    fn scalar(&mut self, text: &str, line: usize) {
        if let Some(Frame::Map { at, key }) = self.open.last_mut()
            && key.is_none()
        {
            let pointer = format!("{at}/{}", escaped(text));
            *key = Some(text.to_owned());
            if self.open.len() <= DEPTH {
                self.lines.insert(pointer, line);
            }
            return;
        }
        if !(self.open.is_empty() && matches!(text, "" | "~" | "null")) {
            self.is_empty = false;
        }
        self.begin(line);
        self.done();
    }

    /// The pointer of a value that begins here.
    fn begin(&mut self, line: usize) -> String {
        let pointer = match self.open.last() {
            None => String::new(),
            Some(Frame::List { at, next }) => format!("{at}/{next}"),
            Some(Frame::Map { at, key }) => {
                format!("{at}/{}", escaped(key.as_deref().unwrap_or_default()))
            }
        };
        if self.open.len() <= DEPTH {
            // A field has the line of its name, an item that of its beginning.
            self.lines.entry(pointer.clone()).or_insert(line);
        }
        pointer
    }

    fn end(&mut self) {
        self.open.pop();
        self.is_empty = false;
        self.done();
    }

    /// The value of a field or item is over.
    fn done(&mut self) {
        match self.open.last_mut() {
            Some(Frame::List { next, .. }) => *next += 1,
            Some(Frame::Map { key, .. }) => *key = None,
            None => {}
        }
    }
}

/// A name as part of a JSON pointer.
pub(crate) fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_items_and_what_is_not_there_have_lines() {
        let text = "# a comment\nkind: A\n---\n---\nkind: B\nspec:\n  steps:\n  - weight: 1\n  - {weight: 2,\n     hold: 1s}\n  a/b: 1\n";
        let documents = documents(text);
        assert_eq!(documents.len(), 2);
        assert_eq!(documents[0].of("/kind"), Some(2));
        let second = &documents[1];
        assert_eq!(second.of("/spec"), Some(6));
        assert_eq!(second.of("/spec/steps/0/weight"), Some(8));
        assert_eq!(second.of("/spec/steps/1/hold"), Some(10));
        assert_eq!(second.of("/spec/steps/1/end"), Some(9));
        assert_eq!(second.of("/spec/a~1b"), Some(11));
        assert_eq!(second.of("/metadata/name"), Some(5));
    }
}
