//! Builds JSON values from parser events.
//!
//! Invariant: the work and memory are bounded by [`Limits`] whatever the text says; an alias costs as much as the value
//! it repeats, which is what stops "billion laughs" files. No recursion: depth can't exhaust the stack.

use std::collections::{BTreeSet, HashMap, HashSet};

use serde_json::{Map, Value};
use serde_saphyr::granit_parser::{self, Event, Parser, ScalarStyle, Tag};

use super::scalar::{self, ScalarTag};
use super::{Document, Limits, Problem, push_step};

/// What a node costs beside its text.
const NODE_BYTES: usize = 32;

pub(super) fn parse(text: &str, limits: &Limits) -> Result<Vec<Document>, Problem> {
    let options = granit_parser::options! {
        emit_comments: false,
        flow_nesting_limit: limits.depth,
        block_nesting_limit: limits.depth,
    };
    let mut builder = Builder::new(*limits);
    for next in Parser::new_from_str_with_options(text, options) {
        let (event, span) =
            next.map_err(|error| builder.problem(error.marker().line(), &error.info()))?;
        let line = span.start.line();
        builder
            .take(event)
            .map_err(|problem| builder.problem(line, &problem))?;
    }
    Ok(builder.documents)
}

/// A finished value with what it cost.
#[derive(Clone)]
struct Node {
    value: Value,
    bytes: usize,
}

enum Key {
    Awaited,
    Merge,
    Named(String),
}

enum Frame {
    List {
        items: Vec<Value>,
        bytes: usize,
        anchor: usize,
    },
    Object {
        map: Map<String, Value>,
        merged: HashSet<String>,
        has_merge: bool,
        key: Key,
        bytes: usize,
        anchor: usize,
    },
}

struct Builder {
    limits: Limits,
    open: Vec<Frame>,
    anchors: HashMap<usize, Node>,
    root: Option<Value>,
    /// See [`Document::unquoted`].
    unquoted: BTreeSet<String>,
    spent_bytes: usize,
    started: usize,
    documents: Vec<Document>,
}

impl Builder {
    fn new(limits: Limits) -> Self {
        Self {
            limits,
            open: Vec::new(),
            anchors: HashMap::new(),
            root: None,
            unquoted: BTreeSet::new(),
            spent_bytes: 0,
            started: 0,
            documents: Vec::new(),
        }
    }

    fn problem(&self, line: usize, text: &str) -> Problem {
        Problem::new(self.started.max(1), line, text)
    }

    fn take(&mut self, event: Event<'_>) -> Result<(), String> {
        match event {
            Event::DocumentStart(..) => self.start_document(),
            Event::DocumentEnd => {
                let value = self.root.take().unwrap_or(Value::Null);
                let mut document = Document::new(self.started, value);
                document.unquoted = std::mem::take(&mut self.unquoted);
                self.documents.push(document);
                Ok(())
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.scalar(&text, style, anchor, tag.as_deref())
            }
            Event::SequenceStart(_, anchor, tag) => {
                allow_only(tag.as_deref(), "seq")?;
                self.push(Frame::List {
                    items: Vec::new(),
                    bytes: NODE_BYTES,
                    anchor,
                })
            }
            Event::MappingStart(_, anchor, tag) => {
                allow_only(tag.as_deref(), "map")?;
                let (map, merged) = (Map::new(), HashSet::new());
                self.push(Frame::Object {
                    map,
                    merged,
                    has_merge: false,
                    key: Key::Awaited,
                    bytes: NODE_BYTES,
                    anchor,
                })
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            Event::Alias(anchor) => {
                let node = self.anchors.get(&anchor).cloned();
                self.place(
                    node.ok_or("an alias refers to the value it stands in; write the value out")?,
                )
            }
            _ => Ok(()),
        }
    }

    fn start_document(&mut self) -> Result<(), String> {
        self.started += 1;
        self.anchors.clear();
        if self.started > self.limits.documents {
            return Err(format!(
                "more than {} documents in one file; split the file",
                self.limits.documents
            ));
        }
        Ok(())
    }

    fn scalar(
        &mut self,
        text: &str,
        style: ScalarStyle,
        anchor: usize,
        tag: Option<&Tag>,
    ) -> Result<(), String> {
        let is_plain = style == ScalarStyle::Plain;
        if self.awaits_key() {
            return self.key(text, is_plain, anchor, tag);
        }
        if is_plain && tag.is_none() && text.starts_with("${") {
            let place = self.place_of_next();
            self.spend(place.len())?;
            self.unquoted.insert(place);
        }
        let value = match (scalar_tag(tag)?, is_plain) {
            (Some(tag), _) => scalar::tagged(text, tag)?,
            (None, true) => scalar::plain(text)?,
            (None, false) => Value::from(text),
        };
        self.finish(
            Node {
                value,
                bytes: NODE_BYTES + text.len(),
            },
            anchor,
        )
    }

    /// Where the next value will stand.
    fn place_of_next(&self) -> String {
        let mut pointer = String::new();
        for frame in &self.open {
            match frame {
                Frame::List { items, .. } => push_step(&mut pointer, &items.len().to_string()),
                Frame::Object {
                    key: Key::Named(name),
                    ..
                } => push_step(&mut pointer, name),
                Frame::Object { .. } => {}
            }
        }
        pointer
    }

    fn awaits_key(&self) -> bool {
        matches!(
            self.open.last(),
            Some(Frame::Object {
                key: Key::Awaited,
                ..
            })
        )
    }

    fn key(
        &mut self,
        text: &str,
        is_plain: bool,
        anchor: usize,
        tag: Option<&Tag>,
    ) -> Result<(), String> {
        let tag = scalar_tag(tag)?;
        if is_plain && tag.is_none() && text == "<<" {
            return self.merge_key();
        }
        let name = match (tag, is_plain) {
            (None, true) => scalar::plain_key(text)?,
            (None | Some(ScalarTag::Text), _) => text.to_owned(),
            (Some(_), _) => {
                return Err("a key carries a tag other than !!str; drop the tag".to_owned());
            }
        };
        if anchor != 0 {
            let node = Node {
                value: Value::from(name.as_str()),
                bytes: NODE_BYTES + name.len(),
            };
            self.anchors.insert(anchor, node);
        }
        self.named_key(name)
    }

    fn named_key(&mut self, name: String) -> Result<(), String> {
        self.spend(name.len())?;
        if let Some(Frame::Object {
            map,
            merged,
            key,
            bytes,
            ..
        }) = self.open.last_mut()
        {
            if map.contains_key(&name) && !merged.remove(&name) {
                return Err(format!(
                    "the key {name:?} appears twice in one object; remove one"
                ));
            }
            *bytes += name.len();
            *key = Key::Named(name);
        }
        Ok(())
    }

    fn merge_key(&mut self) -> Result<(), String> {
        if let Some(Frame::Object { has_merge, key, .. }) = self.open.last_mut() {
            if *has_merge {
                return Err("two merge keys (<<) in one object; use one with a list".to_owned());
            }
            *has_merge = true;
            *key = Key::Merge;
        }
        Ok(())
    }

    fn push(&mut self, frame: Frame) -> Result<(), String> {
        if self.awaits_key() {
            return Err(
                "a list or an object stands where a key is expected; keys are text".to_owned(),
            );
        }
        if self.open.len() >= self.limits.depth {
            return Err(format!(
                "nested more than {} levels deep",
                self.limits.depth
            ));
        }
        self.open.push(frame);
        Ok(())
    }

    fn close(&mut self) -> Result<(), String> {
        let (value, bytes, anchor) = match self.open.pop() {
            Some(Frame::List {
                items,
                bytes,
                anchor,
            }) => (Value::Array(items), bytes, anchor),
            Some(Frame::Object {
                map, bytes, anchor, ..
            }) => (Value::Object(map), bytes, anchor),
            None => return Ok(()),
        };
        // The children have been paid for one by one; only the container itself is still to be paid.
        self.spend(NODE_BYTES)?;
        self.remember(anchor, &value, bytes)?;
        self.attach(Node { value, bytes })
    }

    fn finish(&mut self, node: Node, anchor: usize) -> Result<(), String> {
        self.remember(anchor, &node.value, node.bytes)?;
        self.place(node)
    }

    fn remember(&mut self, anchor: usize, value: &Value, bytes: usize) -> Result<(), String> {
        if anchor != 0 {
            self.spend(bytes)?;
            self.anchors.insert(
                anchor,
                Node {
                    value: value.clone(),
                    bytes,
                },
            );
        }
        Ok(())
    }

    fn place(&mut self, node: Node) -> Result<(), String> {
        if self.awaits_key() {
            return match node.value {
                Value::String(name) => self.named_key(name),
                _ => Err("an alias stands where a key is expected; write the key out".to_owned()),
            };
        }
        self.spend(node.bytes)?;
        self.attach(node)
    }

    fn attach(&mut self, node: Node) -> Result<(), String> {
        if matches!(
            self.open.last(),
            Some(Frame::Object {
                key: Key::Merge,
                ..
            })
        ) {
            // Every entry is looked up and noted as well as copied.
            self.spend(node.bytes.saturating_mul(3))?;
        }
        match self.open.last_mut() {
            None => self.root = Some(node.value),
            Some(Frame::List { items, bytes, .. }) => {
                items.push(node.value);
                *bytes += node.bytes;
            }
            Some(Frame::Object {
                map,
                merged,
                key,
                bytes,
                ..
            }) => {
                *bytes += node.bytes;
                match std::mem::replace(key, Key::Awaited) {
                    Key::Named(name) => {
                        map.insert(name, node.value);
                    }
                    Key::Merge => merge(map, merged, node.value)?,
                    Key::Awaited => return Err("a value stands where a key is expected".to_owned()),
                }
            }
        }
        Ok(())
    }

    fn spend(&mut self, bytes: usize) -> Result<(), String> {
        self.spent_bytes = self.spent_bytes.saturating_add(bytes);
        if self.spent_bytes > self.limits.expanded_bytes {
            let limit = self.limits.expanded_bytes >> 20;
            return Err(format!(
                "more than {limit} MiB once its aliases are expanded; write less or fewer aliases"
            ));
        }
        Ok(())
    }
}

/// Adds the entries of merged objects that the object doesn't have. The first of several merged objects wins.
fn merge(
    map: &mut Map<String, Value>,
    merged: &mut HashSet<String>,
    value: Value,
) -> Result<(), String> {
    let sources = match value {
        Value::Array(items) => items,
        single => vec![single],
    };
    for source in sources {
        let Value::Object(source) = source else {
            return Err("a merge key (<<) takes an object or a list of objects".to_owned());
        };
        for (name, value) in source {
            if merged.contains(&name) {
                continue;
            }
            // kubectl lets the merged value win here, the YAML specification the written one. Neither is guessed.
            if map.contains_key(&name) {
                return Err(format!(
                    "the merge key (<<) comes after the key {name:?} it also sets; put << first"
                ));
            }
            merged.insert(name.clone());
            map.insert(name, value);
        }
    }
    Ok(())
}

fn scalar_tag(tag: Option<&Tag>) -> Result<Option<ScalarTag>, String> {
    let Some(tag) = tag else {
        return Ok(None);
    };
    match tag.core_suffix() {
        Some("str") => Ok(Some(ScalarTag::Text)),
        Some("bool") => Ok(Some(ScalarTag::Boolean)),
        Some("int") => Ok(Some(ScalarTag::Integer)),
        Some("float") => Ok(Some(ScalarTag::Float)),
        Some("null") => Ok(Some(ScalarTag::Null)),
        // "!" alone is YAML's way to say: plain text, don't resolve.
        None if tag.original() == "!" => Ok(Some(ScalarTag::Text)),
        _ => Err("a tag that Kubernetes manifests don't use; only !!str, !!int, !!float, !!bool, !!null, !!map and !!seq \
                  are read"
            .to_owned()),
    }
}

fn allow_only(tag: Option<&Tag>, expected: &str) -> Result<(), String> {
    match tag {
        Some(tag) if !tag.is_yaml_core_schema_tag(expected) => Err(format!(
            "a tag on a list or object other than !!{expected}; drop the tag"
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
