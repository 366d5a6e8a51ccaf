//! JSONPaths that can't be made to take long.
//!
//! Invariant: evaluating an accepted path takes time and memory in proportion to the answer, whoever wrote either. RFC 9535 allows
//! queries whose cost grows exponentially with their length; those are refused when the template is read, with a sentence.

use jsonpath_rust::{
    parser::{model::JpQuery, parse_json_path},
    query::{QueryRef, js_path_process},
};
use serde_json::Value;

/// A JSONPath.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Path {
    text: String,
    query: JpQuery,
}

impl Path {
    /// Reads `text`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        check(text)?;
        let query = parse_json_path(text).map_err(|_| {
            format!("{text:?} is not a JSONPath (RFC 9535), such as $.data[0].value")
        })?;
        Ok(Self {
            text: text.to_owned(),
            query,
        })
    }

    /// The path as it was written.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The values that it gives.
    pub(super) fn of<'a>(&self, document: &'a Value) -> Result<Vec<&'a Value>, String> {
        let found = js_path_process(&self.query, document)
            .map_err(|_| format!("the path {} can't be followed", self.text))?;
        Ok(found.into_iter().map(QueryRef::val).collect())
    }
}

/// Counts what multiplies the cost, quoted or not: that a name with two commas in it is refused is a small price.
fn check(text: &str) -> Result<(), String> {
    let limits = [
        ("..", 1),
        ("?", 2),
        (",", 4),
        ("$", 1),
        ("[", 24),
        ("(", 8),
        ("!", 8),
    ];
    for (part, limit) in limits {
        if text.matches(part).count() > limit {
            return Err(format!(
                "the path {text:?} has more than {limit} of {part:?}; such a path can take very long, write a plainer one"
            ));
        }
    }
    if let Some(function) = ["match(", "search("]
        .iter()
        .find(|name| text.contains(**name))
    {
        return Err(format!(
            "the path {text:?} uses {function}…), which can take very long; compare with == instead"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn found(path: &str, document: &Value) -> Vec<Value> {
        let path = Path::parse(path).unwrap();
        path.of(document).unwrap().into_iter().cloned().collect()
    }

    #[test]
    fn paths_give_what_the_standard_says() {
        let document = json!({
            "series": [{"pointlist": [[1, 0.5], [2, 0.25]]}],
            "alerts": [{"state": "firing", "n": 1}, {"state": "resolved", "n": 2}],
            "data": [{"count()": 7}],
        });
        for (path, expected) in [
            ("$.series[0].pointlist[-1][1]", vec![json!(0.25)]),
            ("$.alerts[?@.state == 'firing'].n", vec![json!(1)]),
            ("$.data[0]['count()']", vec![json!(7)]),
            ("$..state", vec![json!("firing"), json!("resolved")]),
            ("$.nothing[0].there", vec![]),
        ] {
            assert_eq!(found(path, &document), expected, "{path}");
        }
    }

    #[test]
    fn costly_and_broken_paths_are_refused() {
        for path in [
            "$[*,*][*,*][*,*][*,*][*,*]",
            "$..[?@..x]",
            "$[?$.a == @.b]",
            "$[?match(@.a, '(a+)+')]",
            "$.a[",
            "not a path",
        ] {
            assert!(Path::parse(path).is_err(), "{path}");
        }
        let deep = format!("$[?{}@.a{}]", "(".repeat(120), ")".repeat(120));
        assert!(Path::parse(&deep).is_err());
    }

    proptest::proptest! {
        #[test]
        fn no_path_can_end_the_process(text in r"\$([.\[\]()?@*:,'a0-9=<>&|! -]|\.\.|\[[0-9:-]{1,20}\]|length\(|count\(|value\(){0,24}") {
            let document = json!({"a": [1, {"a": "b"}, [null, 2.5]], "0": {"a": true}});
            if let Ok(path) = Path::parse(&text) {
                let _ = path.of(&document);
            }
        }
    }

    #[test]
    fn the_dearest_path_that_is_accepted_ends_soon_on_a_large_document() {
        let rows: Vec<Value> = (0..20_000).map(|n| json!({"a": [n, {"b": n}]})).collect();
        let document = Value::Array(rows);
        let path = Path::parse("$..[?@[?@ > 1],?@.b,*]");
        assert!(path.is_err(), "three filters");
        let path = Path::parse("$..[?@[?@ > 1],*,*,*,*]").unwrap();
        assert!(path.of(&document).unwrap().len() > 20_000);
    }
}
