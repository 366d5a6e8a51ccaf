//! What holds for all conversions.

use clap::Parser as _;

use super::*;
use crate::{Args, args::Command};

const GIVEN: [&str; 2] = [
    include_str!("checkout.yaml"),
    include_str!("storefront.yaml"),
];

/// A field that nobody has heard of.
const FOREIGN: &str = "neverHeardOf";

fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            found.push(at.to_owned());
            for (key, inner) in map {
                let key = key.replace('~', "~0").replace('/', "~1");
                places(inner, &format!("{at}/{key}"), found);
            }
        }
        Value::Array(items) => {
            for (i, inner) in items.iter().enumerate() {
                places(inner, &format!("{at}/{i}"), found);
            }
        }
        _ => {}
    }
}

/// A JSON pointer as notes write it.
fn as_field(pointer: &str) -> String {
    pointer
        .split('/')
        .skip(1)
        .map(|part| {
            if part.parse::<usize>().is_ok() {
                format!("[{part}]")
            } else {
                format!(".{part}")
            }
        })
        .collect::<String>()
        .trim_start_matches('.')
        .to_owned()
}

/// Places whose contents are others' words, and nothing that could be asked of a rollout.
fn is_passed_over(place: &str) -> bool {
    [
        "/status",
        "/managedRoutes",
        "/templateVariables",
        "/metadata/annotations",
        "/metadata/name",
    ]
    .iter()
    .any(|part| place.contains(part))
}

#[test]
fn no_field_is_dropped_silently() {
    let mut tried = 0;
    for text in GIVEN {
        let documents = serde_saphyr::from_multiple::<Value>(text).unwrap();
        for (i, document) in documents.iter().enumerate() {
            if document["kind"] == "Deployment" {
                continue;
            }
            let mut found = Vec::new();
            places(document, "", &mut found);
            for place in found.into_iter().filter(|place| !is_passed_over(place)) {
                // given a manifest with one more field, in every object of it once
                let mut changed = documents.clone();
                let spot = changed[i].pointer_mut(&place).unwrap();
                spot.as_object_mut()
                    .unwrap()
                    .insert(FOREIGN.to_owned(), "x".into());
                let objects = changed.iter().map(Value::to_string).collect::<Vec<_>>();

                // when it is converted
                let converted = converted(&objects.join("\n---\n"));

                // then the field is in the result or in the notes, or all around it was left
                let told = serde_json::to_string(&converted).unwrap();
                let path = as_field(&place);
                let around = converted.notes.iter().any(|note| {
                    document["kind"] == note.kind
                        && document["metadata"]["name"] == note.name
                        && note.effect == Effect::Left
                        && (note.field == "spec" || path.starts_with(&note.field))
                });
                assert!(
                    told.contains(FOREIGN) || around,
                    "{}{place} of {}",
                    document["kind"],
                    document["metadata"]["name"]
                );
                tried += 1;
            }
        }
    }
    assert!(tried > 100, "only {tried} places were tried");
}

#[test]
fn belay_reads_every_word_of_the_result() {
    for text in GIVEN {
        for item in converted(text).items {
            if item["apiVersion"] != "belay.dev/v1alpha1" {
                continue;
            }
            let read = match item["kind"].as_str().unwrap() {
                "Rollout" => serde_json::to_value(
                    serde_json::from_value::<belay_api::Rollout>(item.clone()).unwrap(),
                ),
                "AnalysisTemplate" => serde_json::to_value(
                    serde_json::from_value::<belay_api::AnalysisTemplate>(item.clone()).unwrap(),
                ),
                _ => serde_json::to_value(
                    serde_json::from_value::<belay_api::ClusterAnalysisTemplate>(item.clone())
                        .unwrap(),
                ),
            };
            let mut found = Vec::new();
            places(&item, "", &mut found);
            let read = read.unwrap();
            for place in found {
                let ours = item.pointer(&place).unwrap().as_object().unwrap();
                let theirs = read.pointer(&place).and_then(Value::as_object);
                for key in ours.keys() {
                    assert!(
                        theirs.is_some_and(|theirs| theirs.contains_key(key)),
                        "{place}/{key} of {item:#}"
                    );
                }
            }
        }
    }
}

#[test]
fn text_that_is_no_manifest_is_refused_without_a_panic() {
    for (text, expected) in [
        ("a: b\n", "nothing to convert"),
        (
            "apiVersion: v1\nkind: List\nitems: []\n",
            "nothing to convert",
        ),
        ("kind: Service\n", "nothing to convert"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("given.yaml");
        std::fs::write(&path, text).unwrap();
        let error = convert(&input::read(&[path]).unwrap()).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
    // and objects of the right kind that have everything in a wrong form are only noted
    for kind in ["Rollout", "AnalysisTemplate"] {
        let strange = format!(
            "apiVersion: argoproj.io/v1alpha1\nkind: {kind}\nmetadata: [1]\nspec: {{strategy: 5, args: 3, metrics: {{a: b}}, template: x, selector: y}}\n"
        );
        assert!(!converted(&strange).left().is_empty());
    }
    for kind in ["Canary", "MetricTemplate"] {
        let strange = format!(
            "apiVersion: flagger.app/v1beta1\nkind: {kind}\nmetadata: {{name: x}}\nspec: {{targetRef: {{kind: Deployment, name: x}}, service: 3, analysis: [], provider: 7}}\n"
        );
        assert!(!converted(&strange).left().is_empty());
    }
}

fn run(words: &[&str]) -> (Result<(), Error>, String) {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("a.yaml", GIVEN[0]),
        ("b.yml", GIVEN[1]),
        ("c.txt", "not: [yaml"),
    ] {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let words = words
        .iter()
        .map(|word| word.replace("DIR", folder.path().to_str().unwrap()));
    let args = Args::try_parse_from(words).unwrap();
    let Command::Convert(args) = args.command else {
        panic!("{args:?}")
    };
    let mut out = Vec::new();
    let result = super::super::run(&args, Style::default(), &mut out);
    (result, String::from_utf8(out).unwrap())
}

#[test]
fn exit_codes_tell_scripts_whether_something_was_left() {
    let (result, out) = run(&["kubectl-belay", "convert", "-f", "DIR/a.yaml"]);
    assert!(result.is_ok(), "{out}");
    let (result, _) = run(&["kubectl-belay", "convert", "-f", "DIR"]);
    assert_eq!(result.unwrap_err().exit_code(), 6);
    let (result, _) = run(&["kubectl-belay", "convert", "-f", "DIR/c.txt"]);
    assert_eq!(result.unwrap_err().exit_code(), 1);
}

#[test]
fn the_yaml_is_all_manifests_and_comments() {
    let (_, out) = run(&["kubectl-belay", "convert", "-f", "DIR"]);
    let documents = serde_saphyr::from_multiple::<Value>(&out).unwrap();
    let (_, json) = run(&["kubectl-belay", "convert", "-f", "DIR", "-o", "json"]);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["items"], Value::from(documents));
    assert_eq!(json["kind"], "List");
    assert!(
        out.contains("# left: Canary shop/search, spec.skipAnalysis: "),
        "{out}"
    );
    let (_, some) = run(&[
        "kubectl-belay",
        "convert",
        "-f",
        "DIR",
        "--kind",
        "deployment",
        "--kind",
        "Service",
    ]);
    let some = serde_saphyr::from_multiple::<Value>(&some).unwrap();
    assert_eq!(some.len(), 4, "{some:#?}");
    let (_, table) = run(&["kubectl-belay", "convert", "-f", "DIR", "-o", "table"]);
    assert!(table.lines().next().unwrap().starts_with("WHAT"), "{table}");
    assert_eq!(
        table.lines().count(),
        json["notes"].as_array().unwrap().len() + 1
    );
}
