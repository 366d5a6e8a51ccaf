//! Reading an object field by field, so that none is forgotten.
//!
//! Invariant: a field is taken at most once, and [`Fields::end`] tells of every one that nobody took. So each field of a manifest
//! is either converted or in the notes, also one of a version that was never heard of here.

use std::time::Duration;

use serde_json::{Map, Value};

use super::{
    note::{Effect, Notes},
    text,
};

/// Fields that only need a word, and which: those without a counterpart.
pub(super) type Words = [(&'static str, Effect, &'static str)];

/// An object and what has not been read of it yet.
#[derive(Clone, Debug)]
pub(super) struct Fields {
    path: String,
    map: Map<String, Value>,
}

impl Fields {
    /// The fields of `value`. What is no object has none, which is told.
    pub(super) fn of(path: &str, value: Value, notes: &mut Notes) -> Self {
        let map = if let Value::Object(map) = value {
            map
        } else {
            notes.left(path, "an object is expected here");
            Map::new()
        };
        Self {
            path: path.to_owned(),
            map,
        }
    }

    /// The path of a field, as it is shown.
    pub(super) fn path(&self, name: &str) -> String {
        if self.path.is_empty() {
            name.to_owned()
        } else {
            format!("{}.{name}", self.path)
        }
    }

    /// The field as it is; `null` is as good as nothing.
    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
        self.map.remove(name).filter(|value| !value.is_null())
    }

    /// Whether it is there and says something.
    pub(super) fn has(&self, name: &str) -> bool {
        self.map.get(name).is_some_and(|value| !value.is_null())
    }

    /// A text.
    pub(super) fn text(&mut self, name: &str, notes: &mut Notes) -> Option<String> {
        match self.take(name)? {
            Value::String(text) if text.is_empty() => None,
            Value::String(text) => Some(text),
            _ => self.unfit(name, "text", notes),
        }
    }

    /// A whole number, also one that is written as text.
    pub(super) fn whole(&mut self, name: &str, notes: &mut Notes) -> Option<i64> {
        let value = self.take(name)?;
        let number = match &value {
            Value::Number(number) => number.as_i64(),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        match number {
            Some(number) => Some(number),
            None => self.unfit(name, "whole number", notes),
        }
    }

    /// A span of so many whole seconds, as Belay writes it.
    pub(super) fn seconds(&mut self, name: &str, notes: &mut Notes) -> Option<Value> {
        let seconds = u64::try_from(self.whole(name, notes)?).ok()?;
        Some(text::written(Duration::from_secs(seconds)))
    }

    /// A number.
    pub(super) fn number(&mut self, name: &str, notes: &mut Notes) -> Option<f64> {
        match self.take(name)?.as_f64() {
            Some(number) => Some(number),
            None => self.unfit(name, "number", notes),
        }
    }

    /// Yes or no.
    pub(super) fn flag(&mut self, name: &str, notes: &mut Notes) -> Option<bool> {
        match self.take(name)? {
            Value::Bool(flag) => Some(flag),
            _ => self.unfit(name, "true or false", notes),
        }
    }

    /// A span of time: seconds as a number, or text such as `1m30s`.
    pub(super) fn span(&mut self, name: &str, notes: &mut Notes) -> Option<Duration> {
        let value = self.take(name)?;
        match text::span(&value) {
            Some(span) => Some(span),
            None => self.unfit(name, "span of time such as 30s or 5m", notes),
        }
    }

    /// An object.
    pub(super) fn fields(&mut self, name: &str, notes: &mut Notes) -> Option<Self> {
        let value = self.take(name)?;
        Some(Self::of(&self.path(name), value, notes))
    }

    /// The items of a list of objects.
    pub(super) fn each(&mut self, name: &str, notes: &mut Notes) -> Vec<Self> {
        let path = self.path(name);
        self.items(name, notes)
            .into_iter()
            .enumerate()
            .map(|(i, item)| Self::of(&format!("{path}[{i}]"), item, notes))
            .collect()
    }

    /// The items of a list.
    pub(super) fn items(&mut self, name: &str, notes: &mut Notes) -> Vec<Value> {
        match self.take(name) {
            Some(Value::Array(items)) => items,
            Some(_) => self.unfit(name, "list", notes).unwrap_or_default(),
            None => Vec::new(),
        }
    }

    /// The entries of a map of texts.
    pub(super) fn texts(&mut self, name: &str, notes: &mut Notes) -> Vec<(String, String)> {
        let Some(own) = self.fields(name, notes) else {
            return Vec::new();
        };
        let entries = own.map.into_iter().map(|(key, value)| {
            let text = value.as_str().map(str::to_owned);
            (key, text.unwrap_or_else(|| value.to_string()))
        });
        entries.collect()
    }

    /// Names of the fields that are still there.
    pub(super) fn names(&self) -> Vec<String> {
        self.map.keys().cloned().collect()
    }

    /// Tells of every field that nobody took: in these words where there are some, else that nothing is known of it.
    pub(super) fn end(mut self, words: &Words, notes: &mut Notes) {
        for (name, effect, words) in words {
            // An empty list or object, and a flag that is off, ask for nothing.
            if let Some(value) = self.take(name)
                && !is_nothing(&value)
            {
                notes.add(&self.path(name), *effect, (*words).to_owned());
            }
        }
        for (name, value) in std::mem::take(&mut self.map) {
            if !value.is_null() {
                notes.left(&self.path(&name), "this field is not known here; see in its project's reference what it does, and whether you need it");
            }
        }
    }

    fn unfit<T>(&self, name: &str, wanted: &str, notes: &mut Notes) -> Option<T> {
        notes.left(
            &self.path(name),
            format!("this can't be read as {wanted}; write it so, and convert again"),
        );
        None
    }
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Bool(flag) => !flag,
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::String(text) => text.is_empty(),
        Value::Null | Value::Number(_) => false,
    }
}
