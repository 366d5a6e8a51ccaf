//! What is told about a conversion, field by field.

use serde::Serialize;

/// What became of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Effect {
    /// Nothing in the result does this.
    Left,
    /// The result does it, in a somewhat different way.
    Differs,
}

impl Effect {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::Differs => "differs",
        }
    }
}

/// One field of an object, what became of it, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Note {
    pub(super) file: String,
    pub(super) kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) namespace: Option<String>,
    pub(super) name: String,
    pub(super) field: String,
    pub(super) effect: Effect,
    pub(super) message: String,
}

/// The object that notes are about.
#[derive(Clone, Debug, Default)]
pub(super) struct About {
    pub(super) file: String,
    pub(super) kind: String,
    pub(super) namespace: Option<String>,
    pub(super) name: String,
}

/// Collects notes about one object after the other.
#[derive(Debug, Default)]
pub(super) struct Notes {
    about: About,
    all: Vec<Note>,
}

impl Notes {
    /// What follows is about this object.
    pub(super) fn turn_to(&mut self, about: About) {
        self.about = about;
    }

    pub(super) fn left(&mut self, field: &str, message: impl Into<String>) {
        self.add(field, Effect::Left, message.into());
    }

    pub(super) fn differs(&mut self, field: &str, message: impl Into<String>) {
        self.add(field, Effect::Differs, message.into());
    }

    pub(super) fn add(&mut self, field: &str, effect: Effect, message: String) {
        let About {
            file,
            kind,
            namespace,
            name,
        } = self.about.clone();
        let note = Note {
            file,
            kind,
            namespace,
            name,
            field: field.to_owned(),
            effect,
            message,
        };
        if !self.all.contains(&note) {
            self.all.push(note);
        }
    }

    /// What was told since the beginning.
    pub(super) fn into_all(self) -> Vec<Note> {
        self.all
    }
}
