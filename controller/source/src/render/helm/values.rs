//! Values that do not come from the repository.
//!
//! Invariant: later values win as with several files given to Helm: objects are merged, all else is replaced. `Debug` shows no
//! value.

use std::fmt;

use serde_json::{Map, Value};

use crate::render::{RenderError, Secrecy};
use crate::yaml::{self, Limits};

/// Names of a path to a value.
const PATH_STEPS: usize = 32;

/// Values, and whether one of them is that of a Secret.
#[derive(Clone, Default)]
pub struct HelmValues {
    merged: Map<String, Value>,
    secrecy: Secrecy,
}

impl HelmValues {
    /// No value yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts the values of a YAML text over those before. `origin` names it in errors, which quote no value.
    pub fn merge_yaml(
        &mut self,
        origin: &str,
        text: &str,
        secrecy: Secrecy,
    ) -> Result<(), RenderError> {
        let documents = yaml::parse_yaml(text, &Limits::default())
            .map_err(|problem| RenderError::syntax(origin, problem))?;
        let mut values = documents
            .into_iter()
            .map(|document| document.value)
            .filter(|value| !value.is_null());
        match (values.next(), values.next()) {
            (None, _) => {}
            (Some(Value::Object(values)), None) => merge(&mut self.merged, values),
            _ => {
                return Err(RenderError::refused(
                    origin,
                    "anything but one object",
                    "write the values as one YAML object, or name a targetPath for a single text",
                ));
            }
        }
        self.secrecy = self.secrecy.max(secrecy);
        Ok(())
    }

    /// Puts one text at a path such as `image.tag`, over what was there; a dot in a name is written `\.`.
    pub fn set(
        &mut self,
        origin: &str,
        path: &str,
        text: &str,
        secrecy: Secrecy,
    ) -> Result<(), RenderError> {
        let steps = steps(path);
        if steps.iter().any(String::is_empty) || steps.len() > PATH_STEPS {
            return Err(RenderError::refused(
                origin,
                "its targetPath",
                "write names with dots between them, for example image.tag",
            ));
        }
        let value = steps
            .into_iter()
            .rev()
            .fold(Value::from(text), |value, step| {
                Value::Object(Map::from_iter([(step, value)]))
            });
        if let Value::Object(values) = value {
            merge(&mut self.merged, values);
        }
        self.secrecy = self.secrecy.max(secrecy);
        Ok(())
    }

    /// Puts values over those before.
    pub fn merge(&mut self, values: &Map<String, Value>) {
        merge(&mut self.merged, values.clone());
    }

    /// For the program, if there is any value.
    pub(super) fn finish(self) -> Option<Given> {
        let secrecy = self.secrecy;
        (!self.merged.is_empty()).then(|| Given {
            json: Value::Object(self.merged).to_string(),
            secrecy,
        })
    }
}

impl fmt::Debug for HelmValues {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("HelmValues").finish_non_exhaustive()
    }
}

/// Values as they are handed over.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Given {
    pub(super) json: String,
    pub(super) secrecy: Secrecy,
}

impl fmt::Debug for Given {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Given").finish_non_exhaustive()
    }
}

fn steps(path: &str) -> Vec<String> {
    let mut steps = vec![String::new()];
    let mut letters = path.chars();
    while let Some(letter) = letters.next() {
        let last = steps.last_mut();
        match (letter, last) {
            ('.', _) => steps.push(String::new()),
            ('\\', Some(last)) => last.extend(letters.next()),
            (letter, Some(last)) => last.push(letter),
            (_, None) => {}
        }
    }
    steps
}

fn merge(into: &mut Map<String, Value>, values: Map<String, Value>) {
    for (key, value) in values {
        match (into.get_mut(&key), value) {
            (Some(Value::Object(into)), Value::Object(values)) => merge(into, values),
            (_, value) => {
                into.insert(key, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn later_values_win_objects_are_merged_and_paths_lead_into_them() {
        let mut values = HelmValues::new();
        let yaml = "image: {tag: a, name: web}\nlist: [1, 2]\nport: 0x10\n";
        values
            .merge_yaml("ConfigMap a/b", yaml, Secrecy::Open)
            .unwrap();
        values
            .set("Secret a/c", "image.tag", "1.10", Secrecy::Secret)
            .unwrap();
        values
            .set("Secret a/c", r"labels.x\.io/y", "3", Secrecy::Secret)
            .unwrap();
        values.merge(
            json!({"list": [3], "image": {"name": null}})
                .as_object()
                .unwrap(),
        );
        let given = values.finish().unwrap();
        assert_eq!(given.secrecy, Secrecy::Secret);
        assert_eq!(
            serde_json::from_str::<Value>(&given.json).unwrap(),
            json!({"image": {"tag": "1.10", "name": null}, "list": [3], "port": 16, "labels": {"x.io/y": "3"}})
        );
        assert_eq!(HelmValues::new().finish(), None);
    }

    #[test]
    fn what_is_no_object_is_refused_without_quoting_it() {
        let mut values = HelmValues::new();
        for text in [
            "hunter2",
            "- hunter2",
            "a: {hunter2",
            "a: 1\n---\nb: hunter2",
        ] {
            let error = values
                .merge_yaml("Secret a/c", text, Secrecy::Secret)
                .unwrap_err();
            let text = format!("{error} {error:?} {values:?}");
            assert!(
                text.contains("Secret a/c") && !text.contains("hunter2"),
                "{text}"
            );
        }
        for path in ["", "a..b", ".a"] {
            assert!(
                values.set("Secret a/c", path, "x", Secrecy::Open).is_err(),
                "{path}"
            );
        }
    }
}
