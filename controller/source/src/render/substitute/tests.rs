use serde_json::json;

use super::*;
use crate::yaml::{self, Limits};

fn drafts(text: &str) -> Vec<Draft> {
    yaml::parse_yaml(text, &Limits::default())
        .unwrap()
        .into_iter()
        .map(|document| Draft::open("deploy/a.yaml".to_owned(), document))
        .collect()
}

fn substituted(substitution: &Substitution, text: &str) -> Result<Vec<Draft>, RenderError> {
    let mut drafts = drafts(text);
    substitution.apply(&mut drafts)?;
    Ok(drafts)
}

fn one(substitution: &Substitution, text: &str) -> Value {
    substituted(substitution, text)
        .unwrap()
        .remove(0)
        .document
        .value
}

fn variables() -> Substitution {
    Substitution::new()
        .with("count", "3", Secrecy::Open)
        .with("port", "8080", Secrecy::Open)
        .with("version", "1.10", Secrecy::Open)
        .with("empty", "", Secrecy::Open)
        .with("lines", "one\ntwo: ${count}\n", Secrecy::Open)
        .with("evil", "x\"}\nmetadata: {name: evil}", Secrecy::Open)
        .with("password", "hunter2\n", Secrecy::Secret)
        .with("app.properties", "can't be named", Secrecy::Open)
}

#[test]
fn values_stand_in_for_their_references_and_quotes_say_which_are_text() {
    let value = one(
        &variables(),
        "spec:\n  a: ${count}\n  b: \"${count}\"\n  c: x-${count}-${port}\n  d: ${version}\n  e: [1, '${count}']\n  \
         f: ${on:=true}\n  g: $${count} $HOME $(count)\n  h: ${empty:-none}\n  i: ${empty}\ndata:\n  PORT: ${port}\n",
    );
    assert_eq!(
        value,
        json!({
            "spec": {
                "a": 3, "b": "3", "c": "x-3-8080", "d": "1.10", "e": [1, "3"], "f": true, "g": "${count} $HOME $(count)",
                "h": "none", "i": "",
            },
            "data": {"PORT": "8080"},
        })
    );
}

#[test]
fn a_value_stays_within_its_scalar_and_is_not_searched_itself() {
    let value = one(
        &variables(),
        "kind: ConfigMap\nmetadata: {name: good}\ndata:\n  a: ${lines}\n  b: \"${evil}\"\n",
    );
    assert_eq!(
        value,
        json!({
            "kind": "ConfigMap", "metadata": {"name": "good"},
            "data": {"a": "one\ntwo: ${count}", "b": "x\"}\nmetadata: {name: evil}"},
        })
    );
}

#[test]
fn what_has_no_value_is_refused_with_name_file_and_place() {
    let text = "a: 1\n---\nspec:\n  host: www.${domain}\n";
    let error = substituted(&variables(), text).unwrap_err();
    assert_eq!(error.reason(), "InvalidVariable");
    assert!(error.lies_in_content());
    let text = error.to_string();
    for part in [
        "deploy/a.yaml, document 2",
        "/spec/host",
        "${domain}",
        "${domain:=…}",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn references_in_keys_and_broken_ones_are_refused_without_values() {
    for text in [
        "a:\n  ${count}: x\n",
        "a: hunter2 ${count\n",
        "a: ${count.x}\n",
    ] {
        let error = substituted(&variables(), text).unwrap_err();
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
    let shown = format!("{:?}", variables());
    assert!(
        shown.contains("password") && !shown.contains("hunter2"),
        "{shown}"
    );
}

#[test]
fn an_object_is_left_alone_when_it_asks_for_it_also_in_a_list() {
    let off = "metadata: {annotations: {belay.dev/substitute: Disabled}}";
    let value = one(
        &variables(),
        &format!("{off}\ndata: {{a: \"${{undefined}}\"}}\n"),
    );
    assert_eq!(value["data"]["a"], "${undefined}");
    let list = format!(
        "kind: List\nitems:\n- {off}\n  data: {{a: \"${{undefined}}\"}}\n- data: {{a: \"${{count}}\"}}\n- spec:\n    b: ${{count}}\n"
    );
    let value = one(&variables(), &list);
    assert_eq!(value["items"][0]["data"]["a"], "${undefined}");
    assert_eq!(value["items"][1]["data"]["a"], "3");
    assert_eq!(value["items"][2]["spec"]["b"], 3);
}

#[test]
fn a_document_with_the_value_of_a_secret_is_marked() {
    let drafts = substituted(&variables(), "a: ${count}\n---\nb: ${password}\n").unwrap();
    let secrecy: Vec<Secrecy> = drafts.iter().map(|draft| draft.secrecy).collect();
    assert_eq!(secrecy, [Secrecy::Open, Secrecy::Secret]);
    assert_eq!(drafts[1].document.value, json!({"b": "hunter2"}));
}

#[test]
fn many_references_to_a_large_value_are_bounded() {
    let large = Substitution::new().with("x", &"y".repeat(1 << 20), Secrecy::Open);
    let error = substituted(&large, &format!("a: \"{}\"\n", "${x}".repeat(64))).unwrap_err();
    assert_eq!(error.reason(), "TooLarge");
}
