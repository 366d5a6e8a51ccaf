//! Overlays through the real kustomize: what is built, what is refused before it starts, and when it is not started.
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
    Permanence, RenderError, RenderRequest, Rendered, Renderer, RendererSettings, RepoPath,
    SourceHub, SubmoduleMode,
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
        let kustomize_program = program(Program::Kustomize).await.unwrap();
        let settings = RendererSettings {
            kustomize_program,
            ..RendererSettings::default()
        };
        Self {
            world,
            hub,
            renderer: Renderer::new(settings),
        }
    }

    fn origin(&self) -> &Origin {
        &self.world.origin
    }

    async fn render(&self, path: &str) -> Result<Arc<Rendered>, RenderError> {
        let checkout = checkout_main(&self.hub, &self.world.repository()).await;
        let request = RenderRequest::detect(RepoPath::parse(path).unwrap());
        self.renderer.render(&checkout, &request).await
    }

    /// Commits a kustomization with one ConfigMap beside it and renders it.
    async fn render_kustomization(&self, text: &str) -> Result<Arc<Rendered>, RenderError> {
        self.origin()
            .write("app/kustomization.yaml", text)
            .write("app/a.yaml", config("a"))
            .commit("another kustomization");
        self.render("app").await
    }
}

fn deployment() -> &'static str {
    "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  replicas: 1\n  \
     selector: {matchLabels: {app: web}}\n  template:\n    metadata: {labels: {app: web}}\n    \
     spec: {containers: [{name: web, image: \"shop/web:v1\"}]}\n"
}

/// A base, an overlay on it, and something else.
fn write_shop(origin: &Origin) {
    origin
        .write("base/kustomization.yaml", "resources: [web.yaml]\n")
        .write("base/web.yaml", deployment())
        .write("base/config.yaml", config("unused"))
        .write(
            "deploy/prod/kustomization.yaml",
            "namespace: shop\nnamePrefix: prod-\nresources:\n- ../../base\ncomponents: [../../debug]\n\
             images: [{name: shop/web, newTag: v2}]\n\
             configMapGenerator:\n- name: files\n  files: [key=notes/hello.txt]\n  envs: [app.env]\n\
             patches:\n- path: replicas.yaml\ntransformers: [labels.yaml]\n",
        )
        .write("deploy/prod/notes/hello.txt", "hello\n")
        .write("deploy/prod/app.env", "MODE=prod\n")
        .write(
            "deploy/prod/replicas.yaml",
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {replicas: 5}\n",
        )
        .write(
            "deploy/prod/labels.yaml",
            "apiVersion: builtin\nkind: LabelTransformer\nmetadata: {name: l}\nlabels: {team: red}\nfieldSpecs:\n- {path: metadata/labels, create: true}\n",
        )
        .write(
            "debug/kustomization.yaml",
            "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nresources: [c.yaml]\n",
        )
        .write("debug/c.yaml", config("debug"))
        .write("other/x.yaml", config("x"))
        .commit("shop");
}

#[tokio::test]
async fn an_overlay_is_built_from_its_bases_components_generators_and_patches() {
    let setup = Setup::new().await;
    write_shop(setup.origin());
    let rendered = setup.render("deploy/prod").await.unwrap();
    let keys: Vec<String> = rendered
        .objects
        .iter()
        .map(|object| object.key.to_string())
        .collect();
    assert_eq!(keys.len(), 3, "{keys:?}");
    let web = rendered
        .objects
        .iter()
        .find(|object| object.key.kind == "Deployment")
        .unwrap();
    assert_eq!(web.key.to_string(), "Deployment.apps shop/prod-web");
    assert_eq!(web.value["spec"]["replicas"], 5);
    assert_eq!(
        web.value["spec"]["template"]["spec"]["containers"][0]["image"],
        "shop/web:v2"
    );
    assert_eq!(web.value["metadata"]["labels"]["team"], "red");
    assert_eq!(web.source.file, "deploy/prod/kustomization.yaml");
    let generated = rendered
        .objects
        .iter()
        .find(|o| o.key.name.starts_with("prod-files-"))
        .unwrap();
    assert_eq!(
        generated.value["data"],
        json!({"key": "hello\n", "MODE": "prod"})
    );
    assert!(
        rendered.tool.as_deref().unwrap().starts_with("kustomize "),
        "{:?}",
        rendered.tool
    );
}

#[tokio::test]
async fn only_changes_of_what_a_build_reads_start_another() {
    let setup = Setup::new().await;
    write_shop(setup.origin());
    let first = setup.render("deploy/prod").await.unwrap();
    setup.origin().commit_config("other/x.yaml", "x2");
    assert!(Arc::ptr_eq(
        &first,
        &setup.render("deploy/prod").await.unwrap()
    ));
    assert_eq!(setup.renderer.counts().performed, 1);
    for (path, content) in [
        ("base/web.yaml", deployment().replace("web:v1", "other:v1")),
        ("debug/c.yaml", config("debug2")),
        ("deploy/prod/notes/hello.txt", "changed\n".to_owned()),
    ] {
        setup.origin().write(path, content).commit(path);
        setup.render("deploy/prod").await.unwrap();
    }
    assert_eq!(setup.renderer.counts().performed, 4);
}

#[tokio::test]
async fn values_survive_a_build() {
    // Kustomize itself puts words of YAML 1.1 in quotes and completes dates; `kubectl apply -k` sends the same.
    let setup = Setup::new().await;
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: p, labels: {v: \"1.0\", \"on\": \"yes\"}}\n\
               spec: {mode: 0644, quoted: \"0644\", flag: yes, word: \"off\", big: 9223372036854775808, part: 0.1, date: 2024-01-02}\n";
    setup.origin().write("app/pod.yaml", pod);
    let rendered = setup
        .render_kustomization("resources: [pod.yaml]\nnamePrefix: x-\n")
        .await
        .unwrap();
    let value = &rendered.objects.first().unwrap().value;
    assert_eq!(
        value["metadata"]["labels"],
        json!({"v": "1.0", "on": "yes"})
    );
    let expected = json!({
        "mode": 420, "quoted": "0644", "flag": "yes", "word": "off", "big": 9_223_372_036_854_775_808_u64,
        "part": 0.1, "date": "2024-01-02T00:00:00Z",
    });
    assert_eq!(value["spec"], expected);
}

#[tokio::test]
async fn links_inside_the_repository_give_copies_and_links_out_of_it_are_refused() {
    let setup = Setup::new().await;
    setup
        .origin()
        .write("common/c.yaml", config("common"))
        .link("app/linked.yaml", "../common/c.yaml");
    setup.origin().link("app/base", "../common/base");
    setup
        .origin()
        .write("common/base/kustomization.yaml", "resources: [d.yaml]\n");
    setup.origin().write("common/base/d.yaml", config("d"));
    let rendered = setup
        .render_kustomization("resources: [linked.yaml, a.yaml, base]\n")
        .await
        .unwrap();
    let names: Vec<&str> = rendered
        .objects
        .iter()
        .map(|object| object.key.name.as_str())
        .collect();
    assert_eq!(names, ["a", "common", "d"]);

    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("evil.yaml"), config("stolen")).unwrap();
    std::fs::write(
        outside.path().join("kustomization.yaml"),
        "resources: [evil.yaml]\n",
    )
    .unwrap();
    setup.origin().link(
        "app/evil.yaml",
        &format!("{}/evil.yaml", outside.path().display()),
    );
    setup
        .origin()
        .link("app/evil", &outside.path().display().to_string());
    for text in [
        "resources: [evil.yaml]\n",
        "resources: [evil]\n",
        "resources: [evil/evil.yaml]\n",
        "resources: [a.yaml]\nconfigMapGenerator: [{name: x, files: [evil.yaml]}]\n",
        "resources: [a.yaml]\npatches: [{path: evil.yaml}]\n",
    ] {
        let error = setup.render_kustomization(text).await.unwrap_err();
        assert_eq!(error.reason(), "Refused", "{text}: {error}");
        assert!(
            !error
                .to_string()
                .contains(&outside.path().display().to_string()),
            "{error}"
        );
    }
    // A link nobody refers to harms nobody.
    assert_eq!(
        setup
            .render_kustomization("resources: [a.yaml]\n")
            .await
            .unwrap()
            .objects
            .len(),
        1
    );
}

#[tokio::test]
async fn what_reaches_out_of_the_commit_is_refused_before_kustomize_starts() {
    let setup = Setup::new().await;
    setup
        .origin()
        .write("app/exec.yaml", "apiVersion: x/v1\nkind: X\nmetadata:\n  name: x\n  annotations:\n    config.kubernetes.io/function: |\n      exec: {path: /bin/touch}\n")
        .write("app/chart.yaml", "apiVersion: builtin\nkind: HelmChartInflationGenerator\nmetadata: {name: x}\nname: x\nrepo: https://127.0.0.1:1/\n")
        .write("app/inner/kustomization.yaml", "resources: [\"https://127.0.0.1:1/x.yaml\"]\n")
        .write("outside.txt", "x");
    for text in [
        "resources: [\"https://127.0.0.1:1/x.yaml\"]\n",
        "resources: [a.yaml, \"github.com/kubernetes-sigs/kustomize//examples/helloWorld?ref=v1.0.6\"]\n",
        "resources: [a.yaml, \"git@127.0.0.1:x/y\"]\n",
        "resources: [a.yaml, inner]\n",
        "resources: [a.yaml]\nconfigMapGenerator: [{name: x, files: [\"http://127.0.0.1:1/x\"]}]\n",
        "resources: [a.yaml]\nconfigMapGenerator: [{name: x, FILES: [\"http://127.0.0.1:1/x\"]}]\n",
        "resources: [a.yaml]\nconfigMapGenerator: [{name: x, files: [../outside.txt]}]\n",
        "resources: [a.yaml]\nconfigMapGenerator: [{name: x, files: [/etc/hostname]}]\n",
        "resources: [a.yaml, ../../../../../../etc]\n",
        "Resources: [\"https://127.0.0.1:1/x.yaml\"]\nresources: [a.yaml]\n",
        "resources: [a.yaml]\ngenerators: [exec.yaml]\n",
        "resources: [a.yaml]\ntransformers: [exec.yaml]\n",
        "resources: [a.yaml]\nvalidators: [exec.yaml]\n",
        "resources: [a.yaml]\ngenerators: [chart.yaml]\n",
        "resources: [a.yaml]\ngenerators: [inner]\n",
        "resources: [a.yaml]\nhelmCharts: [{name: x, repo: \"https://127.0.0.1:1/\"}]\n",
        "resources: [a.yaml]\nopenapi: {path: \"https://127.0.0.1:1/schema.json\"}\n",
        "resources: [a.yaml]\nresources: [\"https://127.0.0.1:1/x.yaml\"]\n",
        "resources: [a.yaml, missing.yaml]\n",
        "resources: [a.yaml]\n---\nresources: [a.yaml]\n",
        "- a.yaml\n",
    ] {
        let error = setup.render_kustomization(text).await.unwrap_err();
        assert!(
            matches!(
                &error,
                RenderError::Refused { .. } | RenderError::Syntax { .. }
            ),
            "{text}: {error}"
        );
        assert_eq!(error.permanence(), Permanence::Permanent);
        assert!(error.to_string().starts_with("app/"), "{error}");
    }
}

#[tokio::test]
async fn an_overlay_is_built_on_a_base_in_a_submodule_and_on_nothing_else_of_it() {
    // Given a base in another repository, with a file that leads out of it
    let setup = Setup::new().await;
    let lib = Origin::create(setup.world.path().join("lib"), &[]);
    lib.write("base/kustomization.yaml", "resources: [web.yaml]\n")
        .write("base/web.yaml", deployment())
        .write("evil/kustomization.yaml", "resources: [../../../a.yaml]\n")
        .commit("base");
    let told = "[submodule \"lib\"]\n\tpath = vendor/lib\n\turl = ../lib\n";
    let overlay = "namePrefix: prod-\nresources: [../vendor/lib/base]\n";
    let evil = "resources: [../vendor/lib/evil]\n";
    let origin = setup.origin();
    origin
        .write(".gitmodules", told)
        .write("a.yaml", config("a"))
        .write("app/kustomization.yaml", overlay)
        .write("evil/kustomization.yaml", evil)
        .commit("overlay");
    std::fs::create_dir_all(origin.path().join("vendor/lib")).unwrap();
    let entry = format!("160000,{},vendor/lib", lib.head());
    origin.git(["update-index", "--add", "--cacheinfo", &entry]);
    origin.commit("submodule");
    let checkout = checkout_main(&setup.hub, &setup.world.repository()).await;
    let checkout = checkout.through_submodules(SubmoduleMode::Fetch, &setup.hub);
    let built = async |path: &str| {
        let request = RenderRequest::detect(RepoPath::parse(path).unwrap());
        setup.renderer.render(&checkout, &request).await
    };
    // then the overlay is built, and what refers to the outside of the base is refused.
    let rendered = built("app").await.unwrap();
    assert_eq!(rendered.objects[0].key.name, "prod-web");
    let error = built("evil").await.unwrap_err();
    assert_eq!(error.reason(), "Refused", "{error}");
}

#[tokio::test]
async fn a_pointer_of_git_lfs_never_becomes_what_is_built() {
    // Given a pointer beside a kustomization, which does no harm until a generator reads it.
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n";
    let setup = Setup::new().await;
    setup.origin().write("app/settings.txt", pointer);
    let plain = setup.render_kustomization("resources: [a.yaml]\n").await;
    plain.unwrap();
    let reading = "resources: [a.yaml]\nconfigMapGenerator: [{name: x, files: [settings.txt]}]\n";
    let error = setup.render_kustomization(reading).await.unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("app/settings.txt: a pointer to Git LFS"),
        "{text}"
    );
}

#[tokio::test]
async fn a_failing_build_tells_why_without_the_machines_paths() {
    let setup = Setup::new().await;
    setup.origin().write("app/broken.yaml", "a: [\n");
    let error = setup
        .render_kustomization("resources: [a.yaml, broken.yaml]\n")
        .await
        .unwrap_err();
    assert_eq!(error.reason(), "KustomizeFailed");
    let text = error.to_string();
    assert!(
        text.contains("broken.yaml") && !text.contains("belay-render"),
        "{text}"
    );
    let again = setup.render("app").await.unwrap_err();
    assert_eq!((again, setup.renderer.counts().performed), (error, 1));
}

#[tokio::test]
async fn a_failing_build_never_quotes_secrets() {
    let setup = Setup::new().await;
    setup.origin().write(
        "app/s.yaml",
        "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {password: hunter2}\n",
    );
    let patch = "patches:\n- target: {kind: Secret}\n  patch: '[{\"op\":\"replace\",\"path\":\"/nope/x\",\"value\":\"hunter3\"}]'\n";
    for text in [
        format!("resources: [s.yaml]\n{patch}"),
        format!(
            "resources: [a.yaml]\n{}",
            patch.replace("Secret", "ConfigMap")
        ),
        "resources: [a.yaml]\nsecretGenerator: [{name: g, literals: [hunter2]}]\n".to_owned(),
    ] {
        let error = setup.render_kustomization(&text).await.unwrap_err();
        assert_eq!(error.reason(), "KustomizeFailed", "{error}");
        assert!(!format!("{error:?}").contains("hunter"), "{error}");
    }
}

#[tokio::test]
async fn objects_of_a_build_are_checked_like_others() {
    let setup = Setup::new().await;
    setup.origin().write(
        "app/b.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: b, labels: {v: 1}}\n",
    );
    let error = setup
        .render_kustomization("resources: [b.yaml]\n")
        .await
        .unwrap_err();
    assert_eq!(error.reason(), "InvalidObject", "{error}");
    let empty = setup
        .render_kustomization("namePrefix: x-\n")
        .await
        .unwrap_err();
    assert!(
        ["EmptyRender", "KustomizeFailed"].contains(&empty.reason()),
        "{empty}"
    );
}

#[tokio::test]
async fn a_warning_of_kustomize_is_passed_on() {
    let setup = Setup::new().await;
    let rendered = setup
        .render_kustomization("resources: [a.yaml]\ncommonLabels: {a: b}\n")
        .await
        .unwrap();
    assert!(
        rendered
            .warnings
            .iter()
            .any(|warning| warning.contains("commonLabels")),
        "{:?}",
        rendered.warnings
    );
    let value: &Value = &rendered.objects.first().unwrap().value;
    assert_eq!(value["metadata"]["labels"]["a"], "b");
}
