//! One object of the tree, and the tree as lines.

use belay_api::release::HealthRules;
use belay_engine::{
    health::Health,
    release::{observed::ObjectKey, status::Phase},
};
use kube::{ResourceExt as _, api::DynamicObject};
use serde::Serialize;
use serde_json::{Value, json};

use super::label;
use crate::output::{Style, Tone};

/// How an object is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum State {
    /// It was read.
    Known(Health),
    /// It is not there.
    Absent(String),
    /// It could not be read.
    Unknown(String),
}

/// An object and what it owns.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) key: ObjectKey,
    pub(super) api_version: String,
    pub(super) uid: Option<String>,
    pub(super) state: State,
    /// Labels that the object's pods carry.
    pub(super) selector: Option<Value>,
    /// What a Rollout says of itself.
    pub(super) phase: Option<String>,
    /// What else is to be said.
    pub(super) note: Option<String>,
    pub(super) children: Vec<Self>,
}

impl Node {
    /// An object that was read, judged by the rules of its Release.
    pub(super) fn of(key: &ObjectKey, object: DynamicObject, rules: &HealthRules) -> Self {
        let uid = object.uid();
        let api_version = object.types.as_ref().map(|types| types.api_version.clone());
        let value = serde_json::to_value(object).unwrap_or_default();
        let phase = value.pointer("/status/phase").and_then(Value::as_str);
        let phase = phase
            .filter(|_| key.group == "belay.dev")
            .map(str::to_owned);
        Self {
            key: key.clone(),
            api_version: api_version.unwrap_or_default(),
            uid,
            state: State::Known(rules.assess(&value)),
            selector: value.pointer("/spec/selector/matchLabels").cloned(),
            phase,
            note: None,
            children: Vec::new(),
        }
    }

    /// An object that is not there.
    pub(super) fn absent(key: &ObjectKey, why: &str) -> Self {
        Self {
            key: key.clone(),
            api_version: String::new(),
            uid: None,
            state: State::Absent(why.to_owned()),
            selector: None,
            phase: None,
            note: None,
            children: Vec::new(),
        }
    }

    /// An object that could not be read.
    pub(super) fn unknown(key: &ObjectKey, why: String) -> Self {
        Self {
            state: State::Unknown(why),
            ..Self::absent(key, "")
        }
    }

    fn words(&self) -> (&'static str, Tone, String) {
        let (word, tone, message) = match &self.state {
            State::Known(Health::Current) => ("Current", Tone::Good, String::new()),
            State::Known(Health::InProgress { message }) => {
                ("InProgress", Tone::Busy, message.clone())
            }
            State::Known(Health::Failed { message }) => ("Failed", Tone::Bad, message.clone()),
            State::Absent(why) => ("Missing", Tone::Bad, why.clone()),
            State::Unknown(why) => ("Unknown", Tone::Busy, why.clone()),
        };
        let parts = [self.phase.clone(), Some(message), self.note.clone()];
        let parts: Vec<String> = parts
            .into_iter()
            .flatten()
            .filter(|part| !part.is_empty())
            .collect();
        (word, tone, parts.join("; "))
    }
}

impl Serialize for Node {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (health, _, message) = self.words();
        let children: Vec<Value> = self
            .children
            .iter()
            .map(|child| serde_json::to_value(child).unwrap_or_default())
            .collect();
        json!({
            "apiVersion": self.api_version, "kind": self.key.kind, "namespace": self.key.namespace, "name": self.key.name,
            "health": health, "message": message, "children": children,
        })
        .serialize(serializer)
    }
}

/// One line before it is aligned.
struct Line {
    text: String,
    word: &'static str,
    tone: Tone,
    message: String,
}

/// The trees as aligned lines.
pub(super) fn lines(nodes: &[Node], style: Style) -> Vec<String> {
    let mut lines = Vec::new();
    collect(nodes, "", None, style, &mut lines);
    let widest = |of: fn(&Line) -> usize| lines.iter().map(of).max().unwrap_or_default();
    let names = widest(|line| line.text.chars().count());
    let words = widest(|line| line.word.len());
    lines
        .iter()
        .map(|line| {
            let padding = " ".repeat(names.saturating_sub(line.text.chars().count()) + 2);
            let word = style.paint(line.tone, line.word);
            let gap = " ".repeat(words.saturating_sub(line.word.len()) + 2);
            format!("{}{padding}{word}{gap}{}", line.text, line.message)
                .trim_end()
                .to_owned()
        })
        .collect()
}

fn collect(nodes: &[Node], indent: &str, home: Option<&str>, style: Style, lines: &mut Vec<Line>) {
    let (branch, last, through) = if style.signs {
        ("├─ ", "└─ ", "│  ")
    } else {
        ("|- ", "`- ", "|  ")
    };
    for (index, node) in nodes.iter().enumerate() {
        let is_last = index + 1 == nodes.len();
        let (word, tone, message) = node.words();
        let sign = if is_last { last } else { branch };
        lines.push(Line {
            text: format!("{indent}{sign}{}", label(&node.key, home)),
            word,
            tone,
            message: message.split_whitespace().collect::<Vec<_>>().join(" "),
        });
        let below = format!("{indent}{}", if is_last { "   " } else { through });
        collect(&node.children, &below, home, style, lines);
    }
}

/// The tone of a Release's phase.
pub(super) const fn tone_of(phase: Phase) -> Tone {
    match phase {
        Phase::Verified => Tone::Good,
        Phase::Rehearsing | Phase::Applying | Phase::Verifying => Tone::Busy,
        Phase::RollingBack | Phase::Rejected | Phase::Refused | Phase::Failed => Tone::Bad,
        Phase::Pending | Phase::Waiting | Phase::Terminating => Tone::Plain,
    }
}
