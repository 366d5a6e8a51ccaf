//! Files encrypted by the real SOPS: what is opened, what is refused, and that nothing of it is told.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests"
)]

#[path = "../../controller/source/tests/support/mod.rs"]
mod support;

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;

use belay_lab::{Program, program};
use belay_source::{
    Decryption, HelmOptions, RenderError, RenderKind, RenderRequest, Rendered, Renderer,
    RendererSettings, RepoPath, Secrecy, SourceHub,
};
use serde_json::json;
use support::{Origin, World, checkout_main, config};

/// A key for these tests alone, as `age-keygen` writes it, and another one.
const KEY: &str = "# created: for tests\n# public key: age10yk9cqnjy5l34vevxr9agmnzhutp8asjaytxcufajwymztfvwd3q49dkce\n\
                   AGE-SECRET-KEY-1G2QJVDAN2FELR7NJPY57V7QAJFRGFTCZM7PL9YWSLN7VJ0YLVYPS25FD3A\n";
const RECIPIENT: &str = "age10yk9cqnjy5l34vevxr9agmnzhutp8asjaytxcufajwymztfvwd3q49dkce";
const OTHER_KEY: &str =
    "AGE-SECRET-KEY-1KN9543UCYDPUFMRCKPYT5WMJ5ZSU0Y7J0YYCQJ9VW2D0D2EPX02SQGG0UQ";

/// A value that must be told nowhere.
const CANARY: &str = "canary-4711";

struct Setup {
    world: World,
    hub: SourceHub,
    renderer: Renderer,
    sops: PathBuf,
}

impl Setup {
    async fn new() -> Self {
        let world = World::new();
        let hub = world.hub();
        let sops = program(Program::Sops).await.unwrap();
        let work = world.path().join("work");
        std::fs::create_dir(&work).unwrap();
        let settings = RendererSettings {
            sops_program: sops.clone(),
            kustomize_program: program(Program::Kustomize).await.unwrap(),
            helm_program: program(Program::Helm).await.unwrap(),
            work_directory: work,
            ..RendererSettings::default()
        };
        Self {
            renderer: Renderer::new(settings),
            world,
            hub,
            sops,
        }
    }

    fn origin(&self) -> &Origin {
        &self.world.origin
    }

    /// Encrypts a text for [`RECIPIENT`] as a file of this name, and writes it into the repository.
    fn encrypt(&self, path: &str, text: &str) -> String {
        let name = path.rsplit('/').next().unwrap();
        let clear = self.world.path().join("clear");
        std::fs::create_dir_all(&clear).unwrap();
        std::fs::write(clear.join(name), text).unwrap();
        let mut command = Command::new(&self.sops);
        command.args(["encrypt", "--age", RECIPIENT, name]);
        command.current_dir(clear).stdin(Stdio::null());
        let output = command.output().unwrap();
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{complaint}");
        let encrypted = String::from_utf8(output.stdout).unwrap();
        assert!(!encrypted.contains(CANARY), "{encrypted}");
        self.origin().write(path, &encrypted);
        encrypted
    }

    async fn render_as(
        &self,
        path: &str,
        kind: RenderKind,
        key: Option<&str>,
    ) -> Result<Arc<Rendered>, RenderError> {
        let checkout = checkout_main(&self.hub, &self.world.repository()).await;
        let mut request = RenderRequest::new(RepoPath::parse(path).unwrap(), kind);
        request.decryption = key.map(|key| Decryption::age([key]).unwrap());
        self.renderer.render(&checkout, &request).await
    }

    async fn render(&self, path: &str, key: &str) -> Result<Arc<Rendered>, RenderError> {
        self.render_as(path, RenderKind::Detect, Some(key)).await
    }

    /// The words of a refusal, which tell neither the value nor the key.
    async fn refusal(&self, key: Option<&str>) -> String {
        let error = self.render_as("deploy", RenderKind::Detect, key).await;
        let error = error.unwrap_err();
        assert!(error.lies_in_content(), "{error}");
        let words = format!("{error} {error:?}");
        assert!(
            !words.contains(CANARY) && !words.contains("AGE-SECRET"),
            "{words}"
        );
        words
    }
}

fn secret() -> String {
    format!(
        "# a comment\napiVersion: v1\nkind: Secret\nmetadata: {{name: hush}}\nstringData:\n  password: {CANARY}\n  mode: \"0644\"\n"
    )
}

#[tokio::test]
async fn an_encrypted_manifest_becomes_the_object_that_it_was() {
    // Given an encrypted Secret of two documents beside a ConfigMap.
    let setup = Setup::new().await;
    let text = format!("{}---\n{}", secret(), config("b"));
    setup.encrypt("deploy/secret.yaml", &text);
    setup.origin().commit_config("deploy/a.yaml", "a");
    // When it is rendered with the key.
    let rendered = setup.render("deploy", KEY).await.unwrap();
    // Then the values are what they were, nothing of SOPS is left, and the API server's words about them are not to be repeated.
    let names: Vec<(&str, Secrecy)> = rendered
        .objects
        .iter()
        .map(|object| (object.key.name.as_str(), object.secrecy))
        .collect();
    let expected = [
        ("a", Secrecy::Open),
        ("hush", Secrecy::Secret),
        ("b", Secrecy::Secret),
    ];
    assert_eq!(names, expected);
    assert_eq!(
        rendered.objects[1].value,
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "hush"},
            "stringData": {"password": CANARY, "mode": "0644"}})
    );
    // And equal inputs are recalled, another key is another render, and nothing is left on disk.
    let again = setup.render("deploy", KEY).await.unwrap();
    assert!(Arc::ptr_eq(&rendered, &again));
    let with_both = format!("{KEY}{OTHER_KEY}\n");
    let other = setup.render("deploy", &with_both).await.unwrap();
    assert_eq!(other.digest, rendered.digest);
    assert_eq!(setup.renderer.counts().performed, 2);
    let work = setup.world.path().join("work");
    assert_eq!(std::fs::read_dir(work).unwrap().count(), 0);
}

#[tokio::test]
async fn an_encrypted_file_is_never_applied_as_it_is() {
    let setup = Setup::new().await;
    let encrypted = setup.encrypt("deploy/secret.yaml", &secret());
    setup.origin().commit("encrypted");
    // Without a key.
    let words = setup.refusal(None).await;
    assert!(
        words.contains("deploy/secret.yaml") && words.contains("decryption.sops"),
        "{words}"
    );
    // With a key that does not fit.
    let words = setup.refusal(Some(OTHER_KEY)).await;
    assert!(words.contains("other age keys"), "{words}");
    // Without what SOPS has written beside the values.
    let (values, _) = encrypted.split_once("\nsops:").unwrap();
    let plain = values.replacen("kind: ENC", "kind: Secret #", 1);
    let plain = plain.replacen("apiVersion: ENC", "apiVersion: v1 #", 1);
    let origin = setup.origin();
    origin.write("deploy/secret.yaml", plain).commit("stripped");
    let words = setup.refusal(Some(KEY)).await;
    assert!(words.contains("still encrypted"), "{words}");
}

#[tokio::test]
async fn a_file_that_was_changed_after_its_encryption_is_refused() {
    // Given a file with a name in clear text, which somebody changes without the key.
    let setup = Setup::new().await;
    let text = secret().replace("name: hush", "name_unencrypted: hush");
    let encrypted = setup.encrypt("deploy/secret.yaml", &text);
    let origin = setup.origin();
    for (from, to) in [
        ("name_unencrypted: hush", "name_unencrypted: evil"),
        ("lastmodified: \"20", "lastmodified: \"19"),
    ] {
        assert!(encrypted.contains(from), "{encrypted}");
        origin
            .write("deploy/secret.yaml", encrypted.replace(from, to))
            .commit("changed");
        let words = setup.refusal(Some(KEY)).await;
        assert!(words.contains("deploy/secret.yaml"), "{words}");
    }
    // A value that was encrypted by somebody else for the same place.
    let foreign = setup.encrypt("deploy/other.yaml", &text);
    let line = |text: &str| {
        let found = text.lines().find(|line| line.contains("password:"));
        found.unwrap().to_owned()
    };
    let swapped = encrypted.replace(&line(&encrypted), &line(&foreign));
    std::fs::remove_file(origin.path().join("deploy/other.yaml")).unwrap();
    origin
        .write("deploy/secret.yaml", swapped)
        .commit("swapped");
    let words = setup.refusal(Some(KEY)).await;
    assert!(words.contains("can't open"), "{words}");
}

#[tokio::test]
async fn files_for_key_services_are_refused_without_asking_them() {
    let setup = Setup::new().await;
    for (part, name) in [
        ("kms: [{arn: \"arn:aws:kms:x\", enc: x}]", "AWS KMS"),
        (
            "hc_vault: [{vault_address: \"http://127.0.0.1:1\", enc: x}]",
            "Vault",
        ),
        ("pgp: [{fp: x, enc: x}]", "PGP"),
    ] {
        let text = format!(
            "data: {{a: \"ENC[AES256_GCM,data:x]\"}}\nsops: {{{part}, mac: x, version: 3.9.0}}\n"
        );
        setup
            .origin()
            .write("deploy/secret.yaml", text)
            .commit(name);
        let words = setup.refusal(Some(KEY)).await;
        assert!(
            words.contains(name) && words.contains("not for age"),
            "{words}"
        );
    }
}

#[tokio::test]
async fn a_kustomization_reads_encrypted_files_of_every_format() {
    // Given a generator with a dotenv file and a file of bytes, and a resource, all encrypted.
    let setup = Setup::new().await;
    setup.encrypt("deploy/app.env", &format!("TOKEN={CANARY}\n"));
    setup.encrypt("deploy/app.txt", CANARY);
    setup.encrypt("deploy/secret.yaml", &secret());
    let kustomization = "namePrefix: prod-\nresources: [secret.yaml, a.yaml]\nsecretGenerator:\n- name: app\n  envs: [app.env]\n  files: [app.txt]\n  \
                         options: {disableNameSuffixHash: true}\n";
    setup
        .origin()
        .write("deploy/kustomization.yaml", kustomization)
        .commit_config("deploy/a.yaml", "a");
    // When it is built.
    let rendered = setup.render("deploy", KEY).await.unwrap();
    // Then the objects are changed by it, and hold the values.
    let find = |name: &str| {
        let found = rendered
            .objects
            .iter()
            .find(|object| object.key.name == name);
        found.unwrap()
    };
    assert_eq!(find("prod-hush").value["stringData"]["password"], CANARY);
    let app = &find("prod-app").value["data"];
    assert_eq!(
        (&app["TOKEN"], &app["app.txt"]),
        (&json!("Y2FuYXJ5LTQ3MTE="), &json!("Y2FuYXJ5LTQ3MTE="))
    );
    assert_eq!(find("prod-a").secrecy, Secrecy::Secret);
    // And one that lies beside them, for somebody else, is nobody's trouble.
    let foreign = format!("{}sops: {{kms: [{{arn: x}}], mac: x}}\n", config("x"));
    setup
        .origin()
        .write("deploy/elsewhere/foreign.yaml", foreign)
        .commit("foreign");
    let again = setup.render("deploy", KEY).await.unwrap();
    assert_eq!(again.digest, rendered.digest);
    // When it fails, then what the program says is withheld.
    let broken = kustomization.replace("app.env", "none.env");
    setup
        .origin()
        .write("deploy/kustomization.yaml", broken)
        .commit("broken");
    setup.refusal(Some(KEY)).await;
}

#[tokio::test]
async fn a_chart_reads_encrypted_values() {
    let setup = Setup::new().await;
    setup.encrypt("env/prod.yaml", &format!("password: {CANARY}\n"));
    setup
        .origin()
        .write("chart/Chart.yaml", "apiVersion: v2\nname: shop\nversion: 1.0.0\n")
        .write(
            "chart/templates/a.yaml",
            "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\nstringData: {p: {{ .Values.password }}}\n",
        )
        .commit("a chart");
    let chart = || {
        let options = HelmOptions::new("shop", "shop");
        RenderKind::Helm(Box::new(options.values_files(["env/prod.yaml"]).unwrap()))
    };
    let rendered = setup.render_as("chart", chart(), Some(KEY)).await.unwrap();
    assert_eq!(rendered.objects[0].value["stringData"]["p"], CANARY);
    assert_eq!(rendered.objects[0].secrecy, Secrecy::Secret);
    let error = setup.render_as("chart", chart(), None).await.unwrap_err();
    assert!(error.to_string().contains("env/prod.yaml"), "{error}");
}
