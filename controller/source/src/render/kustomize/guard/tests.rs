use super::*;

fn check(text: &str) -> Result<Vec<Reference>, RenderError> {
    let value = yaml::parse_yaml(text, &Limits::default())
        .unwrap()
        .remove(0)
        .value;
    references("kustomization.yaml", value.as_object().unwrap())
}

#[test]
fn everything_that_is_loaded_is_found() {
    let found = check(
        "resources: [a.yaml, ../base]\ncomponents: [c]\npatches:\n- path: p.yaml\n- patch: |-\n    a: 1\n\
         replacements: [{path: r.yaml}]\nconfigMapGenerator:\n- name: x\n  files: [k=f.txt, g.txt]\n  env: e.env\n  envs: [h.env]\n\
         openapi: {path: schema.json}\npatchesStrategicMerge: [s.yaml, \"{a: 1}\"]\ncrds: [crd.json]\nnamespace: shop\n\
         transformers: [t.yaml]\nimages: [{name: web, newTag: v2}]\n",
    )
    .unwrap();
    let mut texts: Vec<&str> = found.iter().map(Reference::text).collect();
    texts.sort_unstable();
    let expected = [
        "../base",
        "a.yaml",
        "c",
        "crd.json",
        "e.env",
        "f.txt",
        "g.txt",
        "h.env",
        "p.yaml",
        "r.yaml",
        "s.yaml",
        "schema.json",
        "t.yaml",
    ];
    assert_eq!(texts, expected);
}

#[test]
fn addresses_are_refused_wherever_they_stand() {
    for address in [
        "https://example.com/a.yaml",
        "http:evil",
        "github.com/org/repo",
        "GitHub.com/org/repo//base?ref=main",
        "git@example.com:org/repo",
        "user@host/path/x",
        "ssh://git@example.com/org/repo",
        "git::https://example.com/a",
        "file:///etc",
        "/etc/passwd",
        "//server/share",
        "\\\\server\\share",
    ] {
        let quoted = Value::from(address).to_string();
        for field in [
            format!("resources: [{quoted}]"),
            format!("bases: [{quoted}]"),
            format!("components: [{quoted}]"),
            format!("patches: [{{path: {quoted}}}]"),
            format!("patches: [{{PATH: {quoted}}}]"),
            format!("configMapGenerator: [{{name: a, files: [{quoted}]}}]"),
            format!(
                "configMapGenerator: [{{name: a, files: [{}]}}]",
                Value::from(format!("k={address}"))
            ),
            format!("secretGenerator: [{{name: a, Envs: [{quoted}]}}]"),
            format!("openapi: {{path: {quoted}}}"),
            format!("crds: [{quoted}]"),
            format!("generators: [{quoted}]"),
        ] {
            assert!(check(&field).is_err(), "{field}");
        }
    }
}

#[test]
fn charts_unknown_fields_and_other_spellings_are_refused() {
    for text in [
        "helmCharts: [{name: x, repo: https://example.com}]",
        "helmGlobals: {chartHome: charts}",
        "helmChartInflationGenerator: [{}]",
        "Resources: [https://example.com/a]",
        "RESOURCES: [a.yaml]",
        "re\u{17f}ources: [a.yaml]",
        "patches: [{\"\u{17f}ath\": x}]",
        "newFieldOfKustomize9: x",
        "resources: a.yaml",
        "resources: [{a: 1}]",
    ] {
        assert!(check(text).is_err(), "{text}");
    }
}

#[test]
fn plugins_and_functions_are_refused_and_built_in_transformers_taken() {
    let good = "apiVersion: builtin\nkind: PrefixTransformer\nmetadata: {name: a}\nprefix: a-\n";
    assert_eq!(transformers("t.yaml", good).unwrap().len(), 1);
    for bad in [
        "apiVersion: builtin\nkind: HelmChartInflationGenerator\nmetadata: {name: a}\n",
        "apiVersion: builtin\nkind: ConfigMapGenerator\nmetadata: {name: a}\nfiles: [https://example.com/x]\n",
        "apiVersion: someteam.example.com/v1\nkind: SedTransformer\nmetadata: {name: a}\n",
        "apiVersion: builtin\nkind: PatchTransformer\nmetadata: {name: a}\npath: https://example.com/x\n",
        "apiVersion: builtin\nkind: PrefixTransformer\nmetadata:\n  name: a\n  annotations:\n    config.kubernetes.io/function: |\n      exec: {path: /bin/sh}\n",
        "[1, 2]\n",
    ] {
        assert!(transformers("t.yaml", bad).is_err(), "{bad}");
    }
    let inline = "transformers:\n- |-\n  apiVersion: evil/v1\n  kind: X\n";
    assert!(check(inline).is_err());
}
