//! Submodules of real repositories: what is read of them, who is told who asks, and what is refused.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests"
)]

mod support;

#[path = "support/submodules.rs"]
mod pins;
#[path = "support/server.rs"]
mod server;

use std::sync::Arc;

use belay_source::{
    Credential, Permanence, RenderError, RenderRequest, Rendered, Renderer, RendererSettings,
    RepoPath, Repository, RepositoryUrl, SourceHub, SubmoduleMode,
};
use pins::{add, link_gitmodules, pin};
use server::{Behaviour, Server};
use support::{Origin, World, checkout_main, config};

/// `bot:hunter2`
const BASIC: &str = "Basic Ym90Omh1bnRlcjI=";

/// A repository, others beside it, and what a controller has.
struct Setup {
    world: World,
    hub: SourceHub,
    renderer: Renderer,
}

impl Setup {
    fn new() -> Self {
        let world = World::new();
        let hub = world.hub();
        let renderer = Renderer::new(RendererSettings::default());
        Self {
            world,
            hub,
            renderer,
        }
    }

    fn beside(&self, name: &str) -> Origin {
        Origin::create(self.world.path().join(name), &[])
    }

    async fn render_of(
        &self,
        repository: &Repository,
        path: &str,
        mode: SubmoduleMode,
    ) -> Result<Arc<Rendered>, RenderError> {
        let checkout = checkout_main(&self.hub, repository).await;
        let checkout = checkout.through_submodules(mode, &self.hub);
        let request = RenderRequest::detect(RepoPath::parse(path).unwrap());
        self.renderer.render(&checkout, &request).await
    }

    /// Names of the objects below a path, with submodules.
    async fn names(&self, path: &str) -> Result<Vec<String>, RenderError> {
        names(self.render(path).await)
    }

    async fn render(&self, path: &str) -> Result<Arc<Rendered>, RenderError> {
        let repository = self.world.repository();
        self.render_of(&repository, path, SubmoduleMode::Fetch)
            .await
    }

    /// What is said of a repository that has one submodule `lib`, which its `.gitmodules` tells of like this.
    async fn refusal(&self, gitmodules: &str) -> RenderError {
        let lib = self.beside("lib");
        let commit = lib.commit_config("b.yaml", "b");
        let origin = &self.world.origin;
        pin(origin, "lib", commit.as_str());
        origin.write(".gitmodules", gitmodules).commit("Hostile");
        self.render(".").await.unwrap_err()
    }
}

fn names(rendered: Result<Arc<Rendered>, RenderError>) -> Result<Vec<String>, RenderError> {
    let rendered = rendered?;
    let mut names: Vec<String> = rendered
        .objects
        .iter()
        .map(|object| object.key.name.clone())
        .collect();
    names.sort();
    Ok(names)
}

#[tokio::test]
async fn manifests_in_a_submodule_come_where_they_are_asked_for_and_move_with_its_commit() {
    // Given a directory that lies partly in a submodule with a relative address
    let setup = Setup::new();
    let (origin, lib) = (&setup.world.origin, setup.beside("lib"));
    lib.commit_config("deploy/b.yaml", "b");
    origin.commit_config("deploy/a.yaml", "a");
    add(origin, "deploy/lib", "../lib", &lib);
    // then it is whole with the submodule, and refused without, whichever came first.
    assert_eq!(setup.names("deploy").await.unwrap(), ["a", "b"]);
    assert_eq!(setup.names("deploy/lib/deploy").await.unwrap(), ["b"]);
    let repository = setup.world.repository();
    let refused = setup.render_of(&repository, "deploy", SubmoduleMode::Refuse);
    let refused = refused.await.unwrap_err().to_string();
    assert!(refused.contains("deploy/lib: a Git submodule"), "{refused}");
    // When another part of the repository changes, then nothing is rendered again.
    origin.commit_config("other/c.yaml", "c");
    let performed = setup.renderer.counts().performed;
    setup.render("deploy").await.unwrap();
    assert_eq!(setup.renderer.counts().performed, performed);
    // When the submodule has a new commit, then it comes only once the repository names it.
    lib.commit_config("deploy/b.yaml", "newer");
    assert_eq!(setup.names("deploy").await.unwrap(), ["a", "b"]);
    pin(origin, "deploy/lib", lib.head().as_str());
    origin.git(["commit", "--quiet", "--message", "Move"]);
    assert_eq!(setup.names("deploy").await.unwrap(), ["a", "newer"]);
}

#[tokio::test]
async fn only_submodules_on_the_way_are_fetched_also_through_links_and_in_submodules() {
    // Given a submodule in a submodule, links across, and submodules that can't be had
    let setup = Setup::new();
    let (origin, lib, deep) = (
        &setup.world.origin,
        setup.beside("lib"),
        setup.beside("deep"),
    );
    deep.commit_config("d.yaml", "d");
    lib.write("only/e.yaml", config("e"))
        .commit_config("base/b.yaml", "b");
    add(&lib, "base/deep", "../deep", &deep);
    origin
        .link("deploy/base", "../vendor/lib/base")
        .link("deploy/e.yaml", "../vendor/lib/only/e.yaml")
        .commit_config("deploy/a.yaml", "a");
    add(origin, "vendor/lib", "../lib", &lib);
    add(origin, "vendor/gone", "../nowhere", &lib);
    // then what is on the way is read
    let rendered = setup.render("deploy").await.unwrap();
    let files: Vec<&str> = rendered.objects.iter().map(|o| &*o.source.file).collect();
    let expected = ["a.yaml", "base/b.yaml", "base/deep/d.yaml", "e.yaml"];
    assert_eq!(files, expected.map(|file| format!("deploy/{file}")));
    // and nobody asks for the others until something in them is read.
    let error = setup.render("vendor").await.unwrap_err().to_string();
    assert!(error.contains("the submodule vendor/gone"), "{error}");
}

#[tokio::test]
async fn a_link_never_leads_out_of_a_submodule() {
    let setup = Setup::new();
    let (origin, lib) = (&setup.world.origin, setup.beside("lib"));
    lib.link("x.yaml", "../a.yaml").commit("Reach out");
    origin.commit_config("a.yaml", "a");
    add(origin, "lib", "../lib", &lib);
    let error = setup.render(".").await.unwrap_err();
    assert_eq!(error.reason(), "Refused");
    assert!(error.to_string().contains("lib/x.yaml"), "{error}");
}

#[tokio::test]
async fn the_credential_goes_to_submodules_of_the_same_server_and_to_no_other() {
    // Given a guarded server with the repository and one submodule, and another server with a second one
    let setup = Setup::new();
    let (origin, lib, far) = (
        &setup.world.origin,
        setup.beside("lib"),
        setup.beside("far"),
    );
    lib.commit_config("b.yaml", "b");
    far.commit_config("c.yaml", "c");
    let home = Server::start(setup.world.path(), Behaviour::Guarded(BASIC.to_owned()));
    let other = Server::start(setup.world.path(), Behaviour::Open);
    origin.commit_config("a.yaml", "a");
    add(origin, "lib", "../lib", &lib);
    add(origin, "far", &other.url("far"), &far);
    let url = RepositoryUrl::parse(&home.url("origin")).unwrap();
    let credential = Credential::basic("shop/git", "bot", "hunter2").unwrap();
    let repository = Repository::with_credential(url, credential).unwrap();
    // then all come, and the other server is not told who asks.
    let rendered = setup
        .render_of(&repository, ".", SubmoduleMode::Fetch)
        .await;
    assert_eq!(names(rendered).unwrap(), ["a", "b", "c"]);
    let asked = other.requests();
    assert!(!asked.is_empty());
    assert!(
        asked
            .iter()
            .all(|headers| !headers.contains_key("authorization"))
    );
    // When the other server wants a credential, then it gets none, and the message says what to do.
    let closed = Server::start(setup.world.path(), Behaviour::Guarded(BASIC.to_owned()));
    origin.write(".gitmodules", "").commit("Move");
    add(origin, "lib", "../lib", &lib);
    add(origin, "far", &closed.url("far"), &far);
    let rendered = setup
        .render_of(&repository, "far", SubmoduleMode::Fetch)
        .await;
    let error = rendered.unwrap_err();
    assert_eq!(error.permanence(), Permanence::Permanent);
    let text = error.to_string();
    assert!(
        text.contains("the submodule far") && text.contains("let anyone read it"),
        "{text}"
    );
    assert!(
        closed
            .requests()
            .iter()
            .all(|headers| !headers.contains_key("authorization"))
    );
}

#[tokio::test]
async fn a_commit_that_is_gone_and_a_server_that_is_away_are_told_apart() {
    let setup = Setup::new();
    let (origin, lib) = (&setup.world.origin, setup.beside("lib"));
    lib.commit_config("b.yaml", "b");
    add(origin, "lib", "../lib", &lib);
    pin(origin, "lib", &"1".repeat(40));
    origin.git([
        "commit",
        "--quiet",
        "--message",
        "Name a commit that nobody has",
    ]);
    let error = setup.render(".").await.unwrap_err();
    assert_eq!(error.permanence(), Permanence::Permanent);
    assert_eq!(error.reason(), "RefNotFound");
    let text = error.to_string();
    assert!(
        text.starts_with("the submodule lib: ") && text.contains("has no commit 1111"),
        "{text}"
    );
    // When the server is away, then that is no fault of the commit, and passes by itself.
    let failing = Server::start(setup.world.path(), Behaviour::Failing(503));
    let home = Server::start(setup.world.path(), Behaviour::Open);
    origin.write(".gitmodules", "").commit("Move");
    add(origin, "lib", &failing.url("lib"), &lib);
    let repository = Repository::anonymous(RepositoryUrl::parse(&home.url("origin")).unwrap());
    let error = setup
        .render_of(&repository, ".", SubmoduleMode::Fetch)
        .await;
    let error = error.unwrap_err();
    assert_eq!(error.permanence(), Permanence::Transient);
    assert!(!error.lies_in_content(), "{error}");
    assert!(
        error
            .to_string()
            .contains("the submodule lib: cannot reach"),
        "{error}"
    );
}

#[tokio::test]
async fn a_damaged_copy_of_a_submodule_is_built_anew() {
    let setup = Setup::new();
    let (origin, lib) = (&setup.world.origin, setup.beside("lib"));
    lib.commit_config("b.yaml", "b");
    add(origin, "lib", "../lib", &lib);
    let repository = setup.world.repository();
    let checkout = checkout_main(&setup.hub, &repository).await;
    let checkout = checkout.through_submodules(SubmoduleMode::Fetch, &setup.hub);
    let whole = checkout.tree_id(&RepoPath::parse("lib").unwrap()).await;
    for copy in std::fs::read_dir(setup.world.path().join("cache/mirrors")).unwrap() {
        let packs = copy.unwrap().path().join("objects/pack");
        for file in std::fs::read_dir(packs).into_iter().flatten().flatten() {
            std::fs::remove_file(file.path()).unwrap();
        }
    }
    let request = RenderRequest::detect(RepoPath::parse("lib").unwrap());
    let rendered = setup.renderer.render(&checkout, &request).await;
    assert_eq!(names(rendered).unwrap(), ["b"]);
    assert_eq!(
        checkout.tree_id(&RepoPath::parse("lib").unwrap()).await,
        whole
    );
}

#[tokio::test]
async fn chains_and_crowds_of_submodules_end_at_a_limit() {
    // Given submodules in submodules, five deep
    let setup = Setup::new();
    let origin = &setup.world.origin;
    let mut inner = setup.beside("m0");
    inner.commit_config("x.yaml", "x");
    for number in 1..=4 {
        let outer = setup.beside(&format!("m{number}"));
        add(&outer, "s", &format!("../m{}", number - 1), &inner);
        inner = outer;
    }
    add(origin, "s", "../m4", &inner);
    let error = setup.render(".").await.unwrap_err();
    assert_eq!(error.reason(), "TooLarge");
    assert!(
        error
            .to_string()
            .contains("depth of submodules at s/s/s/s/s"),
        "{error}"
    );
    // Given one repository at many places
    let lib = setup.beside("lib");
    lib.commit_config("y.yaml", "y");
    for number in 0..33 {
        add(origin, &format!("crowd/s{number}"), "../lib", &lib);
    }
    let error = setup.render("crowd").await.unwrap_err();
    assert_eq!(error.reason(), "TooLarge");
    assert!(
        error.to_string().contains("number of submodules"),
        "{error}"
    );
}

#[tokio::test]
async fn what_a_hostile_repository_says_of_its_submodules_is_refused_and_runs_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mark = folder.path().join("pwned");
    let evil = format!("touch {}", mark.display());
    let section = |name: &str, path: &str, url: &str| {
        format!("[submodule \"{name}\"]\n\tpath = {path}\n\turl = {url}\n\tupdate = !{evil}\n")
    };
    let two = section("a", "lib", "../lib") + &section("b", "lib", "../evil");
    for (gitmodules, said) in [
        (
            section("lib", "lib", &format!("ext::sh -c {evil}")),
            "write it plainly",
        ),
        (
            section("lib", "lib", "--upload-pack=evil"),
            "write https://",
        ),
        (
            section("lib", "lib", "ssh://-oProxyCommand=evil/x"),
            "write ssh://",
        ),
        (
            section("lib", "lib", "git@git.example.com:lib"),
            "../lib.git",
        ),
        (section("lib", "lib", "https://u:hunter2@h/lib"), "Secret"),
        (section("lib", "lib", "../../../../../../../../x"), "above"),
        (section("lib", "../lib", "../lib"), "the path"),
        (section("../../hooks", "lib", "../lib"), "the name"),
        (section("lib", ".git/hooks", "../lib"), "the path"),
        (section("lib", "-lib", "../lib"), "the path"),
        (two, "one path to two submodules"),
        (section("lib", "elsewhere", "../lib"), "no address"),
        (String::new(), "no address"),
        ("[submodule".to_owned(), "syntax"),
        ("[include]\n\tpath = /etc/passwd\n".to_owned(), "no address"),
        ("x".repeat(300 << 10), "limit"),
    ] {
        let error = Setup::new().refusal(&gitmodules).await;
        let text = error.to_string();
        assert!(text.contains(said), "{gitmodules:.200}: {text}");
        assert!(!text.contains("hunter2"), "{text}");
        assert_eq!(error.permanence(), Permanence::Permanent, "{text}");
    }
    // Nothing is read without the file, or where it is a link.
    let setup = Setup::new();
    let lib = setup.beside("lib");
    lib.commit_config("b.yaml", "b");
    pin(&setup.world.origin, "lib", lib.head().as_str());
    setup.world.origin.commit("Without");
    let text = setup.render(".").await.unwrap_err().to_string();
    assert!(text.contains("no address"), "{text}");
    link_gitmodules(&setup.world.origin, lib.head().as_str());
    let text = setup.render(".").await.unwrap_err().to_string();
    assert!(text.contains("it is no file"), "{text}");
    assert!(!mark.exists());
}

#[tokio::test]
async fn a_repository_of_this_machine_is_no_submodule_of_one_on_a_server() {
    let setup = Setup::new();
    let (origin, lib) = (&setup.world.origin, setup.beside("lib"));
    lib.commit_config("b.yaml", "b");
    let home = Server::start(setup.world.path(), Behaviour::Open);
    add(origin, "lib", lib.path().to_str().unwrap(), &lib);
    let repository = Repository::anonymous(RepositoryUrl::parse(&home.url("origin")).unwrap());
    let error = setup
        .render_of(&repository, ".", SubmoduleMode::Fetch)
        .await;
    let error = error.unwrap_err();
    assert_eq!(error.reason(), "Refused");
    assert!(error.to_string().contains("less safe"), "{error}");
}
