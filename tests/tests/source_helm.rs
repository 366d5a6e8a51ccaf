//! Charts through the real Helm: what is built, what is refused, and when it is not started.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests"
)]

#[path = "../../controller/source/tests/support/mod.rs"]
mod support;

use std::sync::Arc;

use belay_lab::{Program, program};
use belay_source::{
    HelmOptions, HelmValues, Permanence, RenderError, RenderKind, RenderRequest, Rendered,
    Renderer, RendererSettings, RepoPath, Secrecy, SourceHub,
};
use serde_json::{Value, json};
use support::{Origin, World, checkout_main, config};

struct Setup {
    world: World,
    hub: SourceHub,
    renderer: Renderer,
}

impl Setup {
    async fn new() -> Self {
        let world = World::new();
        let hub = world.hub();
        let settings = RendererSettings {
            helm_program: program(Program::Helm).await.unwrap(),
            ..RendererSettings::default()
        };
        let renderer = Renderer::new(settings);
        Self {
            world,
            hub,
            renderer,
        }
    }

    fn origin(&self) -> &Origin {
        &self.world.origin
    }

    async fn render(&self, options: HelmOptions) -> Result<Arc<Rendered>, RenderError> {
        let checkout = checkout_main(&self.hub, &self.world.repository()).await;
        let request = RenderRequest::new(
            RepoPath::parse("charts/shop").unwrap(),
            RenderKind::Helm(Box::new(options)),
        );
        self.renderer.render(&checkout, &request).await
    }

    /// Commits the chart with one more file and renders it.
    async fn with(&self, path: &str, text: &str) -> Result<Arc<Rendered>, RenderError> {
        self.origin()
            .write(&format!("charts/shop/{path}"), text)
            .commit(path);
        self.render(options()).await
    }

    /// Commits the chart with one more template, and gives the words of its refusal.
    async fn refusal(&self, path: &str, text: &str) -> RenderError {
        let error = self.with(path, text).await.unwrap_err();
        let words = error.to_string();
        assert!(!words.contains("belay-render"), "{words}");
        assert_eq!(error.permanence(), Permanence::Permanent, "{words}");
        error
    }
}

fn options() -> HelmOptions {
    HelmOptions::new("prod", "shop").kube_version("1.36.0")
}

fn values(value: &Value) -> HelmValues {
    let mut values = HelmValues::new();
    values.merge(value.as_object().unwrap());
    values
}

fn write_chart(origin: &Origin) {
    origin
        .write(
            "charts/shop/Chart.yaml",
            "apiVersion: v2\nname: web-shop\nversion: 1.2.3\n",
        )
        .write(
            "charts/shop/values.yaml",
            "color: red\nsize: small\nmood: calm\nextra: {a: chart, b: chart}\n",
        )
        .write(
            "charts/shop/templates/config.yaml",
            "{{- $v := .Values }}\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: {{ .Release.Name }}}\ndata:\n  \
             color: {{ $v.color }}\n  size: {{ $v.size }}\n  mood: {{ $v.mood }}\n  extra: {{ $v.extra | toJson | quote }}\n  \
             namespace: {{ .Release.Namespace }}\n  kubernetes: {{ .Capabilities.KubeVersion.Version }}\n  \
             monitored: \"{{ .Capabilities.APIVersions.Has \"monitoring.coreos.com/v1\" }}\"\n  \
             cluster: {{ lookup \"v1\" \"Namespace\" \"\" \"default\" | toJson | quote }}\n",
        )
        .write("env/base.yaml", "size: medium\nmood: merry\nextra: {b: base}\n")
        .write("env/prod.yaml", "mood: grave\n")
        .write("other/x.yaml", config("x"))
        .commit("a chart");
}

#[tokio::test]
async fn a_chart_is_built_with_its_values_files_and_inline_values() {
    // Given a chart with values, two files with other values, and values of the Release.
    let setup = Setup::new().await;
    write_chart(setup.origin());
    let options = options()
        .values_files(["env/base.yaml", "env/prod.yaml"])
        .unwrap()
        .values(values(&json!({"extra": {"c": 3}, "color": "blue"})))
        .api_versions(["monitoring.coreos.com/v1".to_owned()]);
    // When it is rendered.
    let rendered = setup.render(options).await.unwrap();
    // Then the later ones win, the chart sees name, namespace and versions as told, and nothing of a cluster.
    let object = rendered.objects.first().unwrap();
    let expected = json!({
        "color": "blue", "size": "medium", "mood": "grave", "extra": r#"{"a":"chart","b":"base","c":3}"#,
        "namespace": "shop", "kubernetes": "v1.36.0", "monitored": "true", "cluster": "{}",
    });
    assert_eq!(object.value["data"], expected);
    assert_eq!(object.key.to_string(), "ConfigMap prod");
    assert_eq!(object.source.file, "charts/shop/templates/config.yaml");
    let tool = rendered.tool.as_deref().unwrap();
    assert!(tool.starts_with("helm v"), "{tool}");
}

#[tokio::test]
async fn only_changes_of_what_a_chart_reads_start_another_build() {
    let setup = Setup::new().await;
    write_chart(setup.origin());
    let options = options().values_files(["env/prod.yaml"]).unwrap();
    let first = setup.render(options.clone()).await.unwrap();
    setup.origin().commit_config("other/x.yaml", "x2");
    setup
        .origin()
        .write("env/base.yaml", "size: huge\n")
        .commit("unread");
    let again = setup.render(options.clone()).await.unwrap();
    assert!(Arc::ptr_eq(&first, &again));
    setup
        .origin()
        .write("env/prod.yaml", "mood: glad\n")
        .commit("values");
    let changed = setup.render(options.clone()).await.unwrap();
    assert_eq!(
        changed.objects.first().unwrap().value["data"]["mood"],
        "glad"
    );
    assert_ne!(changed.digest, first.digest);
    // Other options are another render, and the earlier one is remembered.
    setup
        .render(options.clone().kube_version("1.37.0"))
        .await
        .unwrap();
    setup.render(options).await.unwrap();
    assert_eq!(setup.renderer.counts().performed, 3);
}

#[tokio::test]
async fn definitions_come_along_and_hooks_and_tests_do_not() {
    let setup = Setup::new().await;
    write_chart(setup.origin());
    let hook = |name: &str, event: &str| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, annotations: {{helm.sh/hook: {event}}}}}\n"
        )
    };
    setup
        .origin()
        .write(
            "charts/shop/crds/things.yaml",
            "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: things.example.com}\n",
        )
        .write("charts/shop/templates/tests/t.yaml", hook("t", "test"));
    let rendered = setup
        .with("templates/hook.yaml", &hook("migrate", "pre-upgrade"))
        .await
        .unwrap();
    let names: Vec<&str> = rendered
        .objects
        .iter()
        .map(|object| object.key.name.as_str())
        .collect();
    assert_eq!(names, ["things.example.com", "prod"]);
    let warnings = rendered.warnings.join("\n");
    assert!(warnings.contains("Pod migrate (pre-upgrade)"), "{warnings}");
    assert!(!warnings.contains("Pod t "), "{warnings}");
}

#[tokio::test]
async fn a_chart_that_makes_something_up_is_refused_and_told_what() {
    let setup = Setup::new().await;
    write_chart(setup.origin());
    let secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: login}\nstringData: {password: {{ .Values.password | default (randAlphaNum 16) }}}\n";
    let error = setup.refusal("templates/secret.yaml", secret).await;
    let words = error.to_string();
    assert_eq!(error.reason(), "Refused");
    assert!(
        words.contains("templates/secret.yaml") && words.contains("Secret login"),
        "{words}"
    );
    // With the value given, the same chart is rendered.
    let options = options().values(values(&json!({"password": "given"})));
    assert_eq!(setup.render(options).await.unwrap().objects.len(), 2);
}

#[tokio::test]
async fn a_failing_chart_tells_why_and_quotes_no_value() {
    let setup = Setup::new().await;
    write_chart(setup.origin());
    let file = "templates/broken.yaml";
    for (text, told) in [
        (
            "{{ required \"an image is needed\" .Values.image }}",
            "an image is needed",
        ),
        ("{{ .Values.none.deep }}", "<.Values.none.deep>"),
        ("{{ include \"nowhere\" . }}", "nowhere"),
        ("{{ if }", "templates/broken.yaml"),
        ("a: b: {{ .Values.color }}", "templates/broken.yaml"),
        (
            "a: {{ mustToDate \"2006\" .Values.color }}",
            "templates/broken.yaml",
        ),
    ] {
        setup
            .origin()
            .write("charts/shop/values.yaml", "color: hunter2\nextra: {}\n");
        let error = setup.refusal(file, text).await;
        assert_eq!(error.reason(), "HelmFailed", "{error}");
        let words = error.to_string();
        assert!(words.contains(told), "{text}: {words}");
        assert!(!words.contains("hunter2"), "{words}");
    }
    // It is not built again as long as nothing changes.
    let performed = setup.renderer.counts().performed;
    setup.render(options()).await.unwrap_err();
    assert_eq!(setup.renderer.counts().performed, performed);
}

#[tokio::test]
async fn values_are_checked_against_the_schema_and_schemas_stay_in_their_file() {
    let setup = Setup::new().await;
    write_chart(setup.origin());
    let schema = |rule: &Value| json!({"properties": {"color": rule}}).to_string();
    let good = schema(&json!({"enum": ["red", "blue"]}));
    setup.with("values.schema.json", &good).await.unwrap();
    let pattern = schema(&json!({"pattern": "^blue$"}));
    let error = setup.refusal("values.schema.json", &pattern).await;
    let words = error.to_string();
    assert!(
        words.contains("/color") && !words.contains("'red'"),
        "{words}"
    );
    for target in [
        "file:///etc/hostname",
        "http://127.0.0.1:1/x",
        "../../other/x.yaml",
    ] {
        let leading_out = schema(&json!({ "$ref": target }));
        let error = setup.refusal("values.schema.json", &leading_out).await;
        assert_eq!(error.reason(), "Refused", "{error}");
    }
}

#[tokio::test]
async fn charts_of_the_repository_are_found_and_others_are_refused() {
    let setup = Setup::new().await;
    write_chart(setup.origin());
    let depends = |name: &str, repository: &str| {
        format!(
            "apiVersion: v2\nname: web-shop\nversion: 1.2.3\ndependencies:\n- {{name: {name}, version: 1.0.0, repository: \"{repository}\"}}\n"
        )
    };
    setup
        .origin()
        .write(
            "charts/common/Chart.yaml",
            "apiVersion: v2\nname: common\nversion: 1.0.0\n",
        )
        .write("charts/common/templates/a.yaml", config("common"));
    // A chart beside it is read, and a change of it is noticed.
    let rendered = setup
        .with("Chart.yaml", &depends("common", "file://../common"))
        .await;
    let rendered = rendered.unwrap();
    let found = rendered
        .objects
        .iter()
        .find(|object| object.key.name == "common");
    let file = &found.unwrap().source.file;
    assert_eq!(file, "charts/shop/charts/common/templates/a.yaml");
    setup
        .origin()
        .commit_config("charts/common/templates/a.yaml", "changed");
    let changed = setup.render(options()).await.unwrap();
    assert_ne!(changed.digest, rendered.digest);
    // One that would have to be fetched is refused, until it is committed.
    let error = setup
        .refusal("Chart.yaml", &depends("redis", "https://127.0.0.1:1/"))
        .await;
    assert!(
        error.to_string().contains("helm dependency update"),
        "{error}"
    );
    setup
        .origin()
        .write(
            "charts/shop/charts/redis/Chart.yaml",
            "apiVersion: v2\nname: redis\nversion: 1.0.0\n",
        )
        .write("charts/shop/charts/redis/templates/a.yaml", config("redis"))
        .commit("vendored");
    assert_eq!(setup.render(options()).await.unwrap().objects.len(), 2);
    // One outside of the repository, and one that needs itself.
    for repository in ["file://../../../../etc", "file://.", "file://../shop"] {
        let error = setup
            .refusal("Chart.yaml", &depends("loop", repository))
            .await;
        assert_eq!(error.reason(), "Refused", "{error}");
    }
}

#[tokio::test]
async fn a_pointer_of_git_lfs_is_no_part_of_a_chart() {
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n";
    for path in ["charts/shop/files/settings.txt", "env/prod.yaml"] {
        let setup = Setup::new().await;
        write_chart(setup.origin());
        setup.origin().write(path, pointer).commit("pointer");
        let options = options().values_files(["env/prod.yaml"]).unwrap();
        let text = setup.render(options).await.unwrap_err().to_string();
        let told = format!("{path}: a pointer to Git LFS");
        assert!(text.contains(&told), "{text}");
    }
}

#[tokio::test]
async fn what_reaches_out_of_the_commit_is_refused() {
    let setup = Setup::new().await;
    write_chart(setup.origin());
    // Paths that leave the repository, or that Helm would take for two.
    for path in [
        "../env.yaml",
        "/etc/hostname",
        "",
        "x,/etc/hostname",
        "a\"b.yaml",
    ] {
        assert!(options().values_files([path]).is_err(), "{path:?}");
    }
    let nowhere = options().values_files(["env/none.yaml"]).unwrap();
    let error = setup.render(nowhere).await.unwrap_err();
    assert_eq!(error.reason(), "PathNotFound", "{error}");
    // Files of the machine, which a template asks for.
    let text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: reads}\ndata:\n  \
                a: {{ .Files.Get \"/etc/hostname\" | quote }}\n  b: {{ .Files.Get \"../../env/prod.yaml\" | quote }}\n";
    let rendered = setup.with("templates/reads.yaml", text).await.unwrap();
    let found = rendered
        .objects
        .iter()
        .find(|object| object.key.name == "reads");
    assert_eq!(found.unwrap().value["data"], json!({"a": "", "b": ""}));
    // Links out of the repository, whether a values file or among the chart's files.
    let outside = tempfile::tempdir().unwrap();
    let target = outside.path().join("v.yaml");
    std::fs::write(&target, "color: stolen\n").unwrap();
    let target = target.display().to_string();
    setup
        .origin()
        .link("env/link.yaml", &target)
        .commit("a link");
    let linked = options().values_files(["env/link.yaml"]).unwrap();
    let error = setup.render(linked).await.unwrap_err().to_string();
    assert!(
        error.contains("env/link.yaml") && !error.contains(&target),
        "{error}"
    );
    setup.origin().link("charts/shop/stolen.txt", &target);
    let error = setup.refusal("templates/a.txt", "").await.to_string();
    assert!(
        error.contains("stolen.txt") && !error.contains(&target),
        "{error}"
    );
}

#[tokio::test]
async fn a_directory_without_a_chart_and_a_chart_without_objects_are_told() {
    let setup = Setup::new().await;
    setup.origin().commit_config("charts/shop/a.yaml", "a");
    let error = setup.render(options()).await.unwrap_err();
    assert!(error.to_string().contains("without Chart.yaml"), "{error}");
    let chart = "apiVersion: v2\nname: shop\nversion: 1.0.0\n";
    let error = setup.refusal("Chart.yaml", chart).await;
    assert_eq!(error.reason(), "EmptyRender", "{error}");
    // A chart where plain files are expected is told as well.
    let checkout = checkout_main(&setup.hub, &setup.world.repository()).await;
    let plain = RenderRequest::detect(RepoPath::parse("charts/shop").unwrap());
    let error = setup.renderer.render(&checkout, &plain).await.unwrap_err();
    assert!(error.to_string().contains("render.helm"), "{error}");
}

#[tokio::test]
async fn values_of_a_secret_reach_the_objects_and_no_message() {
    // Given a chart that fails with its values in the message, and one that does not fit a type.
    let setup = Setup::new().await;
    write_chart(setup.origin());
    let given = || {
        let mut values = HelmValues::new();
        let yaml = "color: canary-4711\n";
        values
            .merge_yaml("Secret shop/web", yaml, Secrecy::Secret)
            .unwrap();
        options().values(values)
    };
    let rendered = setup.render(given()).await.unwrap();
    let object = rendered.objects.first().unwrap();
    assert_eq!(object.value["data"]["color"], "canary-4711");
    assert_eq!(object.secrecy, Secrecy::Secret);
    for text in [
        "{{ fail (printf \"the color %s is bad\" .Values.color) }}",
        "{{ .Values.color.shade }}",
        "a: [{{ .Values.color }}\n",
        "a: 1\n{{ .Values.color }}: 2\n{{ .Values.color }}: 3\n",
    ] {
        setup
            .origin()
            .write("charts/shop/templates/bad.yaml", text)
            .commit("bad");
        // When it is rendered with the value of a Secret, then the place is told, and the value is not.
        let error = setup.render(given()).await.unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(
            shown.contains("templates/bad.yaml") && !shown.contains("canary-4711"),
            "{shown}"
        );
    }
}
