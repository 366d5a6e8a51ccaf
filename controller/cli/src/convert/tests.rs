use super::*;

mod argo;
mod flagger;
mod whole;

/// What the documents of `text` come to.
fn converted(text: &str) -> Converted {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("given.yaml");
    std::fs::write(&path, text).unwrap();
    convert(&input::read(&[path]).unwrap()).unwrap()
}

impl Converted {
    fn item(&self, kind: &str, name: &str) -> &Value {
        let found = self
            .items
            .iter()
            .find(|item| item["kind"] == kind && item["metadata"]["name"] == name);
        found.unwrap_or_else(|| panic!("no {kind} {name} in {:#?}", self.items))
    }

    /// The fields that are noted so.
    fn noted(&self, effect: Effect) -> Vec<&str> {
        let notes = self.notes.iter().filter(|note| note.effect == effect);
        notes.map(|note| note.field.as_str()).collect()
    }

    fn left(&self) -> Vec<&str> {
        self.noted(Effect::Left)
    }

    /// What is said of a field.
    fn note(&self, field: &str) -> &str {
        let found = self.notes.iter().find(|note| note.field == field);
        &found
            .unwrap_or_else(|| panic!("no note on {field} in {:#?}", self.notes))
            .message
    }
}
