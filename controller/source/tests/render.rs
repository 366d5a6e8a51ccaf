//! Plain manifests of real repositories: what becomes of them, and when they are not read again.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests"
)]

mod support;

use std::sync::Arc;

use belay_source::{
    GitRef, Permanence, RenderError, RenderKind, RenderRequest, Rendered, Renderer,
    RendererSettings, RepoPath, SourceHub, chunks, pack, unpack,
};
use serde_json::{Value, json};
use support::{Origin, World, checkout, checkout_main, config};

fn request(path: &str) -> RenderRequest {
    RenderRequest::detect(RepoPath::parse(path).unwrap())
}

/// A repository, its hub and one renderer, as in a controller.
struct Setup {
    world: World,
    hub: SourceHub,
    renderer: Renderer,
}

impl Setup {
    fn new() -> Self {
        let world = World::new();
        let hub = world.hub();
        Self {
            world,
            hub,
            renderer: Renderer::new(RendererSettings::default()),
        }
    }

    fn origin(&self) -> &Origin {
        &self.world.origin
    }

    async fn render(&self, path: &str) -> Result<Arc<Rendered>, RenderError> {
        let checkout = checkout_main(&self.hub, &self.world.repository()).await;
        self.renderer.render(&checkout, &request(path)).await
    }

    fn performed(&self) -> u64 {
        self.renderer.counts().performed
    }
}

#[tokio::test]
async fn all_manifests_below_the_path_are_read_and_nothing_else() {
    let setup = Setup::new();
    setup
        .origin()
        .write("deploy/a.yaml", config("a"))
        .write("deploy/deep/er/b.yml", config("b"))
        .write(
            "deploy/c.json",
            r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c"}}"#,
        )
        .write("deploy/README.md", "kind: nothing")
        .write("deploy/.github/x.yaml", config("hidden"))
        .write("other/d.yaml", config("d"))
        .commit("all kinds of files");
    let rendered = setup.render("deploy").await.unwrap();
    let found: Vec<(&str, &str)> = rendered
        .objects
        .iter()
        .map(|o| (o.key.name.as_str(), o.source.file.as_str()))
        .collect();
    assert_eq!(
        found,
        [
            ("a", "deploy/a.yaml"),
            ("c", "deploy/c.json"),
            ("b", "deploy/deep/er/b.yml")
        ]
    );
    assert_eq!(
        rendered.warnings,
        ["1 hidden manifest(s) below deploy are not read"]
    );
    assert_eq!(rendered.tool, None);
}

#[tokio::test]
async fn values_arrive_as_kubectl_would_send_them() {
    let setup = Setup::new();
    let text = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\n  labels: {version: \"1.0\"}\nspec:\n  \
                mode: 0644\n  octal: 0o17\n  quoted: \"0644\"\n  flag: yes\n  word: \"yes\"\n  \
                big: 9223372036854775808\n  whole: 3.0\n  part: 0.1\n  date: 2024-01-02\n  nothing: ~\n";
    setup.origin().write("a.yaml", text).commit("values");
    let rendered = setup.render(".").await.unwrap();
    let spec = &rendered.objects.first().unwrap().value["spec"];
    let expected = json!({
        "mode": 420, "octal": 15, "quoted": "0644", "flag": true, "word": "yes",
        "big": 9_223_372_036_854_775_808_u64, "whole": 3, "part": 0.1, "date": "2024-01-02", "nothing": null,
    });
    assert_eq!(spec, &expected);
}

#[tokio::test]
async fn a_commit_that_touches_nothing_below_the_path_renders_nothing() {
    let setup = Setup::new();
    setup
        .origin()
        .write("shop/a.yaml", config("a"))
        .commit_config("other/b.yaml", "b");
    let first = setup.render("shop").await.unwrap();
    assert_eq!(setup.performed(), 1);

    setup.origin().commit_config("other/b.yaml", "b2");
    let second = setup.render("shop").await.unwrap();
    assert!(Arc::ptr_eq(&first, &second));
    assert_eq!(setup.performed(), 1);

    setup.origin().commit_config("shop/a.yaml", "a2");
    let third = setup.render("shop").await.unwrap();
    assert_ne!(first.digest, third.digest);
    assert_eq!(setup.performed(), 2);

    // Back again: also known.
    setup.origin().commit_config("shop/a.yaml", "a");
    assert!(Arc::ptr_eq(&first, &setup.render("shop").await.unwrap()));
    assert_eq!((setup.performed(), setup.renderer.counts().cached), (2, 2));
}

#[tokio::test]
async fn a_hundred_commits_elsewhere_in_a_monorepo_render_nothing() {
    let setup = Setup::new();
    for app in 0..10 {
        setup
            .origin()
            .write(&format!("apps/{app}/a.yaml"), config(&format!("app{app}")));
    }
    setup.origin().commit("ten applications");
    for round in 0..20 {
        setup
            .origin()
            .commit_config("apps/0/a.yaml", &format!("changed{round}"));
        for app in 1..6 {
            setup.render(&format!("apps/{app}")).await.unwrap();
        }
    }
    assert_eq!(setup.performed(), 5);
    assert_eq!(setup.renderer.counts().cached, 95);
}

#[tokio::test]
async fn links_may_be_written_with_dots_and_lead_through_other_links() {
    let setup = Setup::new();
    setup
        .origin()
        .write("common/a.yaml", config("a"))
        .write("common/deep/b.yaml", config("b"))
        .link("shop/a.yaml", "./../common/./a.yaml")
        .link("shop/self", "./.")
        .link("common/here", ".")
        .link("shop2/b.yaml", "../common/here/./deep/b.yaml")
        .link("shop2/c", "../shop3")
        .link("shop3", "./common/deep/")
        .commit("links");
    let refused = setup.render("shop").await.unwrap_err();
    assert!(refused.to_string().contains("circle"), "{refused}");
    std::fs::remove_file(setup.origin().path().join("shop/self")).unwrap();
    setup.origin().commit("no circle");
    assert_eq!(setup.render("shop").await.unwrap().objects.len(), 1);
    let error = setup.render("shop2").await.unwrap_err();
    assert_eq!(error.reason(), "DuplicateObject", "{error}");
    assert_eq!(setup.render("shop3").await.unwrap().objects.len(), 1);
}

#[tokio::test]
async fn links_inside_the_repository_are_followed_and_their_targets_count_as_input() {
    let setup = Setup::new();
    setup
        .origin()
        .write("common/shared.yaml", config("shared"))
        .write("common/more/x.yaml", config("x"))
        .write("shop/a.yaml", config("a"))
        .link("shop/shared.yaml", "../common/shared.yaml")
        .link("shop/linked", "../common/more")
        .commit("links");
    let names = |rendered: &Rendered| {
        rendered
            .objects
            .iter()
            .map(|o| o.key.name.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        names(&setup.render("shop").await.unwrap()),
        ["a", "x", "shared"]
    );
    // The directory itself does not change now, what its links lead to does.
    setup
        .origin()
        .commit_config("common/shared.yaml", "shared2");
    assert_eq!(
        names(&setup.render("shop").await.unwrap()),
        ["a", "x", "shared2"]
    );
    setup.origin().commit_config("common/more/x.yaml", "x2");
    assert_eq!(
        names(&setup.render("shop").await.unwrap()),
        ["a", "x2", "shared2"]
    );
    setup.origin().commit_config("elsewhere/y.yaml", "y");
    setup.render("shop").await.unwrap();
    assert_eq!(setup.performed(), 3);
}

#[tokio::test]
async fn a_broken_commit_is_read_once_and_names_file_and_reason() {
    let setup = Setup::new();
    setup
        .origin()
        .write("deploy/b.yaml", "a: [\n")
        .commit_config("deploy/a.yaml", "a");
    for _ in 0..3 {
        let error = setup.render("deploy").await.unwrap_err();
        assert_eq!(
            (error.reason(), error.permanence()),
            ("InvalidSyntax", Permanence::Permanent)
        );
        assert!(
            error
                .to_string()
                .starts_with("deploy/b.yaml, document 1, line "),
            "{error}"
        );
    }
    assert_eq!(setup.performed(), 1);
    setup.origin().commit_config("deploy/b.yaml", "b");
    assert_eq!(setup.render("deploy").await.unwrap().objects.len(), 2);
}

#[tokio::test]
async fn nothing_found_is_an_error_and_never_an_empty_render() {
    let setup = Setup::new();
    setup
        .origin()
        .write("docs/README.md", "hello")
        .write("empty/a.yaml", "# nothing\n---\n")
        .commit("empty");
    for path in ["docs", "empty"] {
        let error = setup.render(path).await.unwrap_err();
        assert_eq!(error.reason(), "EmptyRender");
        assert!(error.to_string().contains("nothing is changed"), "{error}");
    }
    assert_eq!(
        setup.render("nowhere").await.unwrap_err().reason(),
        "PathNotFound"
    );
}

#[tokio::test]
async fn duplicates_across_files_are_refused_naming_both() {
    let setup = Setup::new();
    setup
        .origin()
        .write("a.yaml", config("same"))
        .commit_config("b.yaml", "same");
    let text = setup.render(".").await.unwrap_err().to_string();
    assert!(
        text.contains("a.yaml, document 1") && text.contains("b.yaml, document 1"),
        "{text}"
    );
}

#[tokio::test]
async fn errors_name_no_values() {
    let setup = Setup::new();
    let secret =
        "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData:\n  password: hunter2\n";
    for (index, broken) in [
        format!("{secret}  password: hunter2\n"),
        format!("{secret}  other: *hunter2\n"),
        format!("{secret}  other: \"hunter2\n"),
        format!("{secret}  - hunter2\n"),
        format!("{secret}\thunter2: x\n"),
        format!("{secret}  other: !hunter2 x\n"),
        "hunter2\n".to_owned(),
        "apiVersion: v1\nkind: Secret\nmetadata: {name: s, annotations: {a: [hunter2]}}\n"
            .to_owned(),
    ]
    .into_iter()
    .enumerate()
    {
        setup
            .origin()
            .write("s.yaml", broken)
            .commit(&format!("broken {index}"));
        let error = setup.render(".").await.unwrap_err();
        // The name of an undefined alias is a name, not a value, but it isn't shown either.
        assert!(
            !format!("{error} {error:?}").contains("hunter2"),
            "{index}: {error}"
        );
    }
}

#[tokio::test]
async fn a_kustomization_is_not_rendered_as_plain_manifests() {
    let setup = Setup::new();
    setup
        .origin()
        .write("app/sub/kustomization.yaml", "resources: [a.yaml]\n")
        .commit_config("app/sub/a.yaml", "a");
    let text = setup.render("app").await.unwrap_err().to_string();
    assert!(
        text.contains("app/sub/kustomization.yaml") && text.contains("point the Release"),
        "{text}"
    );
    let checkout = checkout_main(&setup.hub, &setup.world.repository()).await;
    let forced = RenderRequest::new(RepoPath::parse("app/sub").unwrap(), RenderKind::Plain);
    assert_eq!(
        setup
            .renderer
            .render(&checkout, &forced)
            .await
            .unwrap_err()
            .reason(),
        "Refused"
    );
}

#[tokio::test]
async fn a_submodule_among_manifests_is_refused_for_its_objects_would_look_removed() {
    let setup = Setup::new();
    let other = Origin::create(setup.world.path().join("other"), &[]);
    let commit = other.commit_config("b.yaml", "b");
    setup.origin().commit_config("a.yaml", "a");
    setup.origin().git([
        "update-index",
        "--add",
        "--cacheinfo",
        &format!("160000,{commit},vendor/lib"),
    ]);
    setup
        .origin()
        .git(["commit", "--quiet", "--message", "submodule"]);
    let error = setup.render(".").await.unwrap_err();
    assert_eq!(error.reason(), "Refused");
    let message = error.to_string();
    assert!(message.contains("vendor/lib: a Git submodule"), "{message}");
}

#[tokio::test]
async fn the_digest_is_the_same_for_the_same_objects_however_they_are_written() {
    let setup = Setup::new();
    let deployment = "kind: Deployment\napiVersion: apps/v1\nmetadata: {name: web}\nspec: {replicas: 3, paused: no}\n";
    setup
        .origin()
        .write("a.yaml", format!("{}---\n{deployment}", config("c")))
        .commit("together");
    let together = setup.render(".").await.unwrap();
    std::fs::remove_file(setup.origin().path().join("a.yaml")).unwrap();
    let json = json!({"spec": {"paused": false, "replicas": 3.0}, "metadata": {"name": "web"}, "apiVersion": "apps/v1", "kind": "Deployment"});
    setup
        .origin()
        .write("x/web.json", json.to_string())
        .commit_config("y.yaml", "c");
    let apart = setup.render(".").await.unwrap();
    assert_eq!(together.digest, apart.digest);
    assert_ne!(together.objects, apart.objects);
}

#[tokio::test]
async fn a_render_survives_being_stored() {
    let setup = Setup::new();
    for index in 0..200 {
        setup
            .origin()
            .write(&format!("{index}.yaml"), config(&format!("c{index}")));
    }
    setup.origin().commit("many");
    let rendered = setup.render(".").await.unwrap();
    let values: Vec<&Value> = rendered
        .objects
        .iter()
        .map(|object| &object.value)
        .collect();
    let packed = pack(values.iter().copied()).unwrap();
    let joined: Vec<u8> = chunks(&packed).flatten().copied().collect();
    let restored = unpack(&joined).unwrap();
    assert_eq!(restored.iter().collect::<Vec<_>>(), values);
}

#[tokio::test]
async fn tags_and_branches_of_one_content_share_a_render() {
    let setup = Setup::new();
    setup.origin().commit_config("a.yaml", "a");
    setup.origin().git(["tag", "v1"]);
    let repository = setup.world.repository();
    for reference in [GitRef::branch("main"), GitRef::tag("v1")] {
        let checkout = checkout(&setup.hub, &repository, &reference.unwrap())
            .await
            .unwrap();
        setup
            .renderer
            .render(&checkout, &request("."))
            .await
            .unwrap();
    }
    assert_eq!(setup.performed(), 1);
}
