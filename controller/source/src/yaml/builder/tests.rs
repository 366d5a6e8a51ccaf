use std::fmt::Write as _;

use serde_json::json;

use super::*;

fn one(text: &str) -> Result<Value, Problem> {
    parse(text, &Limits::default()).map(|mut documents| documents.remove(0).value)
}

#[test]
fn quoted_text_stays_text_and_plain_words_become_values() {
    let value = one("a: \"yes\"\nb: yes\nc: '0644'\nd: 0644\ne: \"1.0\"\nf: |\n  12\n").unwrap();
    assert_eq!(
        value,
        json!({"a": "yes", "b": true, "c": "0644", "d": 420, "e": "1.0", "f": "12\n"})
    );
}

#[test]
fn documents_are_numbered_and_empty_ones_are_null() {
    let documents = parse(
        "---\n# only a comment\n---\na: 1\n---\nb: 2\n",
        &Limits::default(),
    )
    .unwrap();
    let found: Vec<_> = documents
        .iter()
        .map(|d| (d.number, d.value.clone()))
        .collect();
    assert_eq!(
        found,
        [(1, Value::Null), (2, json!({"a": 1})), (3, json!({"b": 2}))]
    );
}

#[test]
fn a_duplicate_key_is_refused_with_its_line_and_without_its_value() {
    let problem = one("data:\n  token: first-secret\n  token: second-secret\n").unwrap_err();
    assert_eq!((problem.document, problem.line), (1, 3));
    assert!(
        problem.text.contains("token") && !problem.text.contains("secret"),
        "{problem:?}"
    );
}

#[test]
fn aliases_and_merges_give_what_they_stand_for() {
    let value = one(
        "base: &b {x: 1, y1: 2}\nother: &o {x: 9, z: 3}\nuse:\n  <<: [*b, *o]\n  y1: 7\nsame: *b\n",
    )
    .unwrap();
    assert_eq!(value["use"], json!({"x": 1, "y1": 7, "z": 3}));
    assert_eq!(value["same"], json!({"x": 1, "y1": 2}));
}

#[test]
fn a_merge_after_the_key_it_sets_is_refused_because_tools_disagree() {
    assert!(
        one("b: &b {x: 1}\nu:\n  x: 2\n  <<: *b\n")
            .unwrap_err()
            .text
            .contains("put << first")
    );
}

#[test]
fn an_alias_bomb_is_refused_quickly() {
    let mut text = "a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]\n".to_owned();
    for level in 1..12 {
        let previous = level - 1;
        let repeated = vec![format!("*a{previous}"); 10].join(", ");
        writeln!(text, "a{level}: &a{level} [{repeated}]").unwrap();
    }
    assert!(one(&text).unwrap_err().text.contains("aliases"));
}

#[test]
fn a_value_that_contains_itself_is_refused() {
    assert!(one("a: &a [*a]\n").is_err());
}

#[test]
fn deep_nesting_is_refused_without_a_stack_overflow() {
    assert!(one(&"[".repeat(100_000)).is_err());
    let mut deep = String::new();
    for level in 0..5_000 {
        writeln!(deep, "{}a:", " ".repeat(level)).unwrap();
    }
    assert!(one(&deep).is_err());
}

#[test]
fn foreign_tags_and_composed_keys_are_refused() {
    for text in [
        "a: !!binary aGk=\n",
        "a: !ruby/object x\n",
        "? [a]\n: 1\n",
        "a: !!set {x}\n",
        "on: 1\n",
    ] {
        assert!(one(text).is_err(), "{text:?}");
    }
    assert_eq!(one("a: ! 12\n").unwrap(), json!({"a": "12"}));
}
