//! Repositories made to harm, through the real Kustomize, Helm and SOPS: nothing but the commit is read, nothing is run, and limits hold.
//! What needs none of these programs is in `controller/source/tests/hostile.rs`.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests"
)]

#[path = "../../controller/source/tests/support/mod.rs"]
mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use belay_lab::{Program, program};
use belay_source::{
    Decryption, HelmOptions, RenderError, RenderKind, RenderRequest, Rendered, Renderer,
    RendererSettings, RepoPath, Secrecy, SourceHub, Substitution,
};
use support::{World, checkout_main, config};

/// Seconds on a slow and busy machine, where what is refused would take for ever.
const QUICK: Duration = Duration::from_mins(2);

const CHART: &str = "apiVersion: v2\nname: web\nversion: 1.0.0\n";

struct Setup {
    world: World,
    hub: SourceHub,
    renderer: Renderer,
    /// A file of the machine that no render may tell of.
    outside: tempfile::TempDir,
}

impl Setup {
    async fn new() -> Self {
        let world = World::new();
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("secret.yaml"), config("stolen")).unwrap();
        let settings = RendererSettings {
            kustomize_program: program(Program::Kustomize).await.unwrap(),
            helm_program: program(Program::Helm).await.unwrap(),
            sops_program: program(Program::Sops).await.unwrap(),
            ..RendererSettings::default()
        };
        Self {
            hub: world.hub(),
            renderer: Renderer::new(settings),
            world,
            outside,
        }
    }

    fn stolen(&self) -> String {
        self.outside
            .path()
            .join("secret.yaml")
            .display()
            .to_string()
    }

    async fn render_as(&self, request: RenderRequest) -> Result<Arc<Rendered>, RenderError> {
        let checkout = checkout_main(&self.hub, &self.world.repository()).await;
        self.renderer.render(&checkout, &request).await
    }

    async fn render(&self, kind: RenderKind) -> Result<Arc<Rendered>, RenderError> {
        let path = RepoPath::parse("app").unwrap();
        self.render_as(RenderRequest::new(path, kind)).await
    }

    /// Commits the kustomization and gives the words of its refusal, which tell nothing of the machine.
    async fn kustomize(&self, text: &str) -> String {
        self.world
            .origin
            .write("app/kustomization.yaml", text)
            .write("app/a.yaml", config("a"))
            .commit(text);
        let error = self.render(RenderKind::Kustomize).await.unwrap_err();
        assert_ne!(error.reason(), "KustomizeFailed", "it was started: {error}");
        assert!(
            error.lies_in_content() || error.reason() == "Refused",
            "{error}"
        );
        self.silent(&error)
    }

    fn silent(&self, error: &RenderError) -> String {
        let words = format!("{error} {error:?}");
        let outside = self.outside.path().display().to_string();
        assert!(
            !words.contains("stolen") && !words.contains(&outside),
            "{words}"
        );
        words
    }
}

fn chart(options: HelmOptions) -> RenderKind {
    RenderKind::Helm(Box::new(options))
}

fn options() -> HelmOptions {
    HelmOptions::new("web", "shop")
}

#[tokio::test]
async fn remote_bases_are_refused_in_every_notation() {
    let setup = Setup::new().await;
    for base in [
        "https://127.0.0.1:1/base.yaml",
        "http://127.0.0.1:1/base?ref=main",
        "github.com/someone/base",
        "git@127.0.0.1:base.git",
        "ssh://git@127.0.0.1/base",
        "git::https://127.0.0.1/base",
        "file:///etc",
        "//127.0.0.1/base",
    ] {
        for field in ["resources", "components", "bases"] {
            setup.kustomize(&format!("{field}: [{base:?}]\n")).await;
        }
    }
}

#[tokio::test]
async fn plugins_functions_and_charts_of_a_kustomization_are_refused() {
    let setup = Setup::new().await;
    for text in [
        "generators: [a.yaml]\nresources: [a.yaml]\nhelmCharts: [{name: x, repo: \"http://127.0.0.1:1\"}]\n",
        "helmGlobals: {chartHome: /etc}\nresources: [a.yaml]\n",
        "openapi: {path: /etc/hostname}\nresources: [a.yaml]\n",
        "resources: [a.yaml]\ntransformers: [\"apiVersion: x\\nkind: Exec\\nmetadata: {name: x}\"]\n",
        "resources: [a.yaml]\nvalidators: [a.yaml]\n",
    ] {
        setup.kustomize(text).await;
    }
    // A generator that names a program or a container.
    for function in ["exec: {path: ./evil.sh}", "container: {image: evil}"] {
        let generator = format!(
            "apiVersion: x.io/v1\nkind: Evil\nmetadata:\n  name: x\n  annotations:\n    config.kubernetes.io/function: |\n      {function}\n"
        );
        setup.world.origin.write("app/evil.yaml", generator);
        setup.kustomize("generators: [evil.yaml]\n").await;
        setup
            .kustomize("resources: [a.yaml]\ntransformers: [evil.yaml]\n")
            .await;
    }
}

#[tokio::test]
async fn paths_and_links_out_of_a_kustomization_are_refused() {
    let setup = Setup::new().await;
    let stolen = setup.stolen();
    setup.world.origin.link("app/link.yaml", &stolen);
    for text in [
        "resources: [link.yaml]\n".to_owned(),
        "resources: [../../../../../../etc]\n".to_owned(),
        format!("resources: [{stolen}]\n"),
        "resources: [a.yaml]\npatches: [{path: ../../../etc/hostname}]\n".to_owned(),
        "resources: [a.yaml]\nconfigMapGenerator: [{name: x, files: [link.yaml]}]\n".to_owned(),
        format!("resources: [a.yaml]\nconfigMapGenerator: [{{name: x, envs: [{stolen}]}}]\n"),
    ] {
        setup.kustomize(&text).await;
    }
}

#[tokio::test]
async fn a_refusal_is_remembered_until_what_it_depends_on_changes() {
    // Given a kustomization that refers to a directory that is not there.
    let setup = Setup::new().await;
    setup.kustomize("resources: [a.yaml, ../base]\n").await;
    let performed = setup.renderer.counts().performed;
    // When nothing of it changes, then it is not looked into again.
    setup.world.origin.commit_config("elsewhere.yaml", "x");
    setup.render(RenderKind::Kustomize).await.unwrap_err();
    assert_eq!(setup.renderer.counts().performed, performed);
    // When the directory comes, it is built.
    setup
        .world
        .origin
        .write("base/kustomization.yaml", "resources: [b.yaml]\n")
        .commit_config("base/b.yaml", "b");
    let rendered = setup.render(RenderKind::Kustomize).await.unwrap();
    assert_eq!(rendered.objects.len(), 2);
}

#[tokio::test]
async fn values_files_that_are_links_bombs_or_no_values_are_refused() {
    let setup = Setup::new().await;
    let stolen = setup.stolen();
    let mut bomb = "a0: &a0 [lol,lol,lol,lol,lol,lol,lol,lol,lol,lol]\n".to_owned();
    for level in 1..12 {
        let repeated = vec![format!("*a{}", level - 1); 10].join(",");
        bomb.push_str(&[format!("a{level}: &a{level} [{repeated}]"), "\n".to_owned()].concat());
    }
    setup
        .world
        .origin
        .write("app/Chart.yaml", CHART)
        .write("app/templates/a.yaml", config("a"))
        .write("bomb.yaml", bomb)
        .write("list.yaml", "[1, 2]\n")
        .link("link.yaml", &stolen)
        .link("up.yaml", "../../../../../etc/hostname")
        .commit("values");
    for file in ["bomb.yaml", "list.yaml", "link.yaml", "up.yaml"] {
        let started = Instant::now();
        let values = options().values_files([file]).unwrap();
        let error = setup.render(chart(values)).await.unwrap_err();
        setup.silent(&error);
        assert!(started.elapsed() < QUICK, "{file}");
    }
}

#[tokio::test]
async fn a_chart_gets_nothing_from_the_machine() {
    // Given templates that ask for the environment, for files, for a name's address, and for programs.
    let setup = Setup::new().await;
    let stolen = setup.stolen();
    setup.world.origin.write("app/Chart.yaml", CHART);
    for (name, template) in [
        ("env", "{{ env \"HOME\" }}".to_owned()),
        ("expandenv", "{{ expandenv \"$HOME\" }}".to_owned()),
        ("files", format!("{{{{ .Files.Get {stolen:?} }}}}")),
        (
            "lines",
            "{{ .Files.Lines \"../../../../etc/hostname\" }}".to_owned(),
        ),
        (
            "glob",
            "{{ range $path, $_ := .Files.Glob \"/etc/*\" }}{{ $path }}{{ end }}".to_owned(),
        ),
        ("address", "{{ getHostByName \"localhost\" }}".to_owned()),
        (
            "lookup",
            "{{ lookup \"v1\" \"Secret\" \"\" \"\" | toJson }}".to_owned(),
        ),
    ] {
        let text = format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a}}\ndata:\n  x: {{{{ (printf \"%v\" (tpl {template:?} .)) | quote }}}}\n"
        );
        setup
            .world
            .origin
            .write("app/templates/a.yaml", text)
            .commit(name);
        match setup.render(chart(options())).await {
            Ok(rendered) => {
                let found = rendered.objects[0].value["data"]["x"].as_str().unwrap();
                let is_nothing = ["", "[]", "{}"].contains(&found);
                assert!(is_nothing, "{name}: {found}");
            }
            Err(error) => {
                setup.silent(&error);
            }
        }
    }
}

#[tokio::test]
async fn templates_without_end_are_ended() {
    let setup = Setup::new().await;
    setup.world.origin.write("app/Chart.yaml", CHART);
    for template in [
        "{{- define \"x\" }}{{ include \"x\" . }}{{ end }}{{ include \"x\" . }}",
        "{{ repeat 2000000000 \"x\" }}",
        "{{ range until 2000000000 }}x{{ end }}",
    ] {
        setup
            .world
            .origin
            .write("app/templates/a.yaml", template)
            .commit(template);
        let started = Instant::now();
        assert!(setup.render(chart(options())).await.is_err(), "{template}");
        assert!(started.elapsed() < 2 * QUICK, "{template}");
    }
}

#[tokio::test]
async fn substitution_bombs_and_values_that_look_like_yaml_are_harmless() {
    let setup = Setup::new().await;
    let bomb = format!("{}  x: {:?}\n", config("a"), "${v}".repeat(10_000));
    setup.world.origin.write("app/a.yaml", bomb).commit("bomb");
    let request = |value: &str| {
        let mut request = RenderRequest::detect(RepoPath::parse("app").unwrap());
        let variables = Substitution::new().with("v", value, Secrecy::Open);
        request.substitution = Some(variables);
        request
    };
    let error = setup.render_as(request(&"y".repeat(100_000))).await;
    assert_eq!(error.unwrap_err().reason(), "TooLarge");
    // A value with references to itself is text, and one with YAML in it makes no object.
    for value in [
        "${v}",
        "x\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: evil}",
    ] {
        let rendered = setup.render_as(request(value)).await.unwrap();
        assert_eq!(rendered.objects.len(), 1, "{value}");
        let found = rendered.objects[0].value["data"]["x"].as_str().unwrap();
        assert!(found.starts_with(value), "{found}");
    }
}

#[tokio::test]
async fn files_that_only_look_encrypted_are_refused_and_ask_nobody() {
    // Given parts of SOPS as an attacker would write them: other servers, programs, other files, nonsense.
    let setup = Setup::new().await;
    let age = "age: [{recipient: age1x, enc: \"-----BEGIN AGE ENCRYPTED FILE-----\\nYQ==\\n-----END AGE ENCRYPTED FILE-----\\n\"}]";
    for own in [
        format!("{{{age}, mac: x, version: 3.9.0}}"),
        format!("{{{age}, mac: \"ENC[AES256_GCM,data:x,iv:x,tag:x,type:str]\", lastmodified: \"2026-01-01T00:00:00Z\"}}"),
        "{hc_vault: [{vault_address: \"http://127.0.0.1:1\", engine_path: x, key_name: x, enc: x}], mac: x}".to_owned(),
        "{kms: [{arn: \"arn:aws:kms:eu-west-1:1:key/x\", enc: x}], mac: x}".to_owned(),
        "{age: [], mac: x}".to_owned(),
        "{shamir_threshold: 99, key_groups: [], mac: x}".to_owned(),
    ] {
        let text = format!("{}sops: {own}\n", config("a"));
        setup.world.origin.write("app/a.yaml", text).commit(&own);
        let started = Instant::now();
        let mut request = RenderRequest::detect(RepoPath::parse("app").unwrap());
        let key = "AGE-SECRET-KEY-1KN9543UCYDPUFMRCKPYT5WMJ5ZSU0Y7J0YYCQJ9VW2D0D2EPX02SQGG0UQ";
        request.decryption = Some(Decryption::age([key]).unwrap());
        let error = setup.render_as(request).await.unwrap_err();
        assert_eq!(error.reason(), "Refused", "{own}: {error}");
        setup.silent(&error);
        assert!(started.elapsed() < QUICK, "{own}");
    }
}
