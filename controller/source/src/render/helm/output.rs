//! What Helm prints, as documents of the templates that they were made by.
//!
//! Invariant: no hook is among the documents; those that are left out are told.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::RepoPath;
use crate::render::RenderError;
use crate::render::object::Draft;
use crate::yaml::{self, Limits};

/// Helm puts this above every document it makes.
const SOURCE: &str = "# Source: ";
const HOOK: &str = "helm.sh/hook";
/// Hooks that are named one by one.
const NAMED_HOOKS: usize = 5;

/// Documents with the file they are from, and a warning about what was left out.
type Documents = (Vec<Draft>, Option<String>);

/// The documents of an output, for the chart `name` at `root`.
pub(super) fn documents(
    output: &str,
    root: &RepoPath,
    name: &str,
) -> Result<Documents, RenderError> {
    let mut documents = Vec::new();
    let mut hooks = Vec::new();
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for (template, text) in parts(output) {
        let file = file_of(template, root, name);
        let before = seen.entry(file.clone()).or_default();
        let parsed = yaml::parse_yaml(text, &Limits::default())
            .map_err(|problem| RenderError::syntax(&file, problem))?;
        for mut document in parsed.into_iter().filter(|found| !found.value.is_null()) {
            *before += 1;
            document.number = *before;
            match hook(&document.value) {
                Some(hook) => hooks.push(hook),
                None => documents.push(Draft::open(file.clone(), document)),
            }
        }
    }
    let warning = (!hooks.is_empty()).then(|| {
        let more = hooks.len().saturating_sub(NAMED_HOOKS);
        hooks.truncate(NAMED_HOOKS);
        let rest = if more > 0 {
            format!(" and {more} more")
        } else {
            String::new()
        };
        format!("hooks of the chart are not run: {}{rest}", hooks.join(", "))
    });
    Ok((documents, warning))
}

/// The output cut at the marks of its templates.
fn parts(output: &str) -> Vec<(&str, &str)> {
    let mut parts = Vec::new();
    let mut rest = output;
    let mut template = "";
    loop {
        let mark = format!("---\n{SOURCE}");
        let next = if rest.starts_with(&mark) {
            Some(0)
        } else {
            rest.find(&format!("\n{mark}")).map(|at| at + 1)
        };
        let Some(at) = next else {
            parts.push((template, rest));
            return parts;
        };
        parts.push((template, &rest[..at]));
        let after = &rest[at + mark.len()..];
        let (line, text) = after.split_once('\n').unwrap_or((after, ""));
        template = line.trim();
        rest = text;
    }
}

/// The template's path in the repository: Helm begins it with the chart's name.
fn file_of(template: &str, root: &RepoPath, name: &str) -> String {
    let inside = template
        .strip_prefix(name)
        .and_then(|rest| rest.strip_prefix('/'));
    match inside {
        Some(inside) => root.child(inside),
        None if template.is_empty() => root.to_string(),
        None => root.child(template),
    }
}

fn hook(value: &Value) -> Option<String> {
    let annotations = value.pointer("/metadata/annotations")?;
    let events = annotations.get(HOOK)?.as_str()?;
    let kind = value.get("kind").and_then(Value::as_str).unwrap_or("?");
    let name = value.pointer("/metadata/name").and_then(Value::as_str);
    let text = format!("{kind} {} ({events})", name.unwrap_or("?"));
    Some(crate::text::one_line(&text, 120))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_know_their_template_and_hooks_are_left_out() {
        // Given what Helm prints for a definition with two documents, a template with two, a hook and a template of a subchart.
        let output = "---\n# Source: shop/crds/x.yaml\na: 1\n---\na: 2\n---\n# Source: shop/templates/web.yaml\na: 3\n\
                      ---\n# Source: shop/templates/web.yaml\na: 4\n---\n# Source: shop/templates/job.yaml\n\
                      kind: Job\nmetadata: {name: migrate, annotations: {helm.sh/hook: pre-upgrade}}\n\
                      ---\n# Source: shop/charts/sub/templates/a.yaml\na: 5\n";
        // When it is taken apart.
        let root = RepoPath::parse("charts/web").unwrap();
        let (documents, warning) = documents(output, &root, "shop").unwrap();
        // Then every document has the file it is from and its position there.
        let places: Vec<String> = documents
            .iter()
            .map(|Draft { file, document, .. }| {
                format!("{file} {} {}", document.number, document.value["a"])
            })
            .collect();
        let expected = [
            "charts/web/crds/x.yaml 1 1",
            "charts/web/crds/x.yaml 2 2",
            "charts/web/templates/web.yaml 1 3",
            "charts/web/templates/web.yaml 2 4",
            "charts/web/charts/sub/templates/a.yaml 1 5",
        ];
        assert_eq!(places, expected);
        assert_eq!(
            warning.as_deref(),
            Some("hooks of the chart are not run: Job migrate (pre-upgrade)")
        );
    }
}
