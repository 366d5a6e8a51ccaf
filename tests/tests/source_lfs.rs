//! Files in Git LFS through the real git-lfs: what is fetched, from whom, and what is refused.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests"
)]

#[path = "../../controller/source/tests/support/mod.rs"]
mod support;

#[path = "../../controller/source/tests/support/server.rs"]
mod server;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use belay_lab::{Program, program};
use belay_source::{
    Credential, FileLimits, HelmOptions, LfsMode, Permanence, RenderError, RenderKind,
    RenderRequest, Rendered, Renderer, RendererSettings, RepoPath, Repository, RepositoryUrl,
    SourceHub, SubmoduleMode,
};
use server::{Behaviour, Server};
use support::{Origin, World, checkout_main, config};

/// `bot:hunter2`
const BASIC: &str = "Basic Ym90Omh1bnRlcjI=";

struct Setup {
    world: World,
    hub: SourceHub,
    renderer: Renderer,
    server: Server,
    lfs: PathBuf,
}

impl Setup {
    async fn new() -> Self {
        Self::with(Behaviour::Open, FileLimits::default()).await
    }

    async fn with(behaviour: Behaviour, files: FileLimits) -> Self {
        let world = World::new();
        let lfs = program(Program::GitLfs).await.unwrap();
        let mut settings = world.settings();
        settings.git_lfs_program.clone_from(&lfs);
        settings.files = files;
        let renderer = Renderer::new(RendererSettings {
            kustomize_program: program(Program::Kustomize).await.unwrap(),
            helm_program: program(Program::Helm).await.unwrap(),
            ..RendererSettings::default()
        });
        Self {
            hub: SourceHub::new(settings).unwrap(),
            server: Server::start(world.path(), behaviour),
            renderer,
            world,
            lfs,
        }
    }

    fn origin(&self) -> &Origin {
        &self.world.origin
    }

    fn anonymous(&self) -> Repository {
        Repository::anonymous(RepositoryUrl::parse(&self.server.url("origin")).unwrap())
    }

    /// Puts a content onto the server and gives the pointer that git-lfs makes of it.
    fn store(&self, content: &str) -> String {
        let (folder, file) = (self.world.path().join("lfs"), self.world.path().join("new"));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(&file, content).unwrap();
        let mut command = Command::new(&self.lfs);
        command.arg("pointer").arg("--file").arg(&file);
        let output = command.current_dir(self.origin().path()).output().unwrap();
        let pointer = String::from_utf8(output.stdout).unwrap();
        std::fs::rename(file, folder.join(digest(&pointer))).unwrap();
        pointer
    }

    async fn render_of(
        &self,
        repository: &Repository,
        request: &RenderRequest,
        mode: LfsMode,
    ) -> Result<Arc<Rendered>, RenderError> {
        let checkout = checkout_main(&self.hub, repository).await;
        let checkout = checkout
            .through_submodules(SubmoduleMode::Fetch, &self.hub)
            .through_lfs(mode);
        self.renderer.render(&checkout, request).await
    }

    async fn render(&self, path: &str) -> Result<Arc<Rendered>, RenderError> {
        self.render_of(&self.anonymous(), &request(path), LfsMode::Fetch)
            .await
    }

    /// Requests about files in LFS.
    fn asked(&self) -> usize {
        let requests = self.server.requests();
        let about = |path: &String| path.contains("/info/lfs/") || path.contains("/storage/");
        requests.iter().filter(|one| about(&one["path"])).count()
    }
}

fn digest(pointer: &str) -> &str {
    let rest = pointer.split_once("sha256:").unwrap().1;
    rest.lines().next().unwrap()
}

fn request(path: &str) -> RenderRequest {
    RenderRequest::detect(RepoPath::parse(path).unwrap())
}

fn names(rendered: &Rendered) -> Vec<&str> {
    let objects = rendered.objects.iter();
    objects.map(|object| &*object.key.name).collect()
}

#[tokio::test]
async fn files_in_lfs_come_where_they_are_read_and_are_asked_for_once() {
    // Given a manifest in LFS, one beside it, and a large file that nobody reads
    let setup = Setup::new().await;
    let pointer = setup.store(&config("b"));
    let large = format!(
        "version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize 99999999999\n",
        "0".repeat(64)
    );
    setup
        .origin()
        .write(".lfsconfig", "[lfs]\n\turl = http://127.0.0.1:1/evil\n")
        .write("deploy/a.yaml", config("a"))
        .write("deploy/film.mp4", large)
        .write("deploy/b.yaml", &pointer)
        .commit("all");
    // then it comes, and a repository that did not change is asked for nothing more.
    let rendered = setup.render("deploy").await.unwrap();
    assert_eq!(names(&rendered), ["a", "b"]);
    let asked = setup.asked();
    assert_eq!(asked, 2);
    setup.origin().commit_config("other/c.yaml", "c");
    setup.render("deploy").await.unwrap();
    assert_eq!(setup.asked(), asked);
    // Without being asked for it is refused, whichever came first.
    let (repository, request) = (setup.anonymous(), request("deploy"));
    let refused = setup.render_of(&repository, &request, LfsMode::Refuse);
    let text = refused.await.unwrap_err().to_string();
    assert!(
        text.contains("deploy/b.yaml: a pointer to Git LFS"),
        "{text}"
    );
    assert!(text.contains("source.git.lfs: Fetch"), "{text}");
    // When the pointer changes, then so does the object.
    let pointer = setup.store(&config("newer"));
    setup
        .origin()
        .write("deploy/b.yaml", &pointer)
        .commit("newer");
    let rendered = setup.render("deploy").await.unwrap();
    assert_eq!(names(&rendered), ["a", "newer"]);
}

#[tokio::test]
async fn kustomize_helm_and_submodules_read_files_in_lfs_too() {
    let setup = Setup::new().await;
    let (text, map) = (
        setup.store("hello from afar\n"),
        setup.store(&config("deep")),
    );
    let chart = "apiVersion: v2\nname: web\nversion: 1.0.0\n";
    let template = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web}\ndata: {v: {{ .Files.Get \"hello.txt\" | quote }}}\n";
    let lib = Origin::create(setup.world.path().join("lib"), &[]);
    lib.write("deep.yaml", &map).commit("deep");
    let told = "[submodule \"lib\"]\n\tpath = plain/lib\n\turl = ../lib\n";
    let origin = setup.origin();
    origin
        .write(
            "app/kustomization.yaml",
            "configMapGenerator:\n- name: files\n  files: [hello.txt]\n",
        )
        .write("app/hello.txt", &text)
        .write("chart/Chart.yaml", chart)
        .write("chart/hello.txt", &text)
        .write("chart/templates/web.yaml", template)
        .write(".gitmodules", told)
        .commit("all");
    std::fs::create_dir_all(origin.path().join("plain/lib")).unwrap();
    let entry = format!("160000,{},plain/lib", lib.head());
    origin.git(["update-index", "--add", "--cacheinfo", &entry]);
    origin.commit("submodule");
    let built = setup.render("app").await.unwrap();
    assert_eq!(
        built.objects[0].value["data"]["hello.txt"],
        "hello from afar\n"
    );
    let helm = RenderRequest::new(
        RepoPath::parse("chart").unwrap(),
        RenderKind::Helm(Box::new(HelmOptions::new("web", "shop"))),
    );
    let charted = setup
        .render_of(&setup.anonymous(), &helm, LfsMode::Fetch)
        .await;
    assert_eq!(
        charted.unwrap().objects[0].value["data"]["v"],
        "hello from afar\n"
    );
    let plain = setup.render("plain").await.unwrap();
    assert_eq!(names(&plain), ["deep"]);
    let batches = setup.server.requests();
    let batches = batches.iter().map(|one| one["path"].as_str());
    assert!(
        batches
            .into_iter()
            .any(|path| path.starts_with("/lib.git/info/lfs"))
    );
}

#[tokio::test]
async fn the_credential_goes_to_the_lfs_server_and_not_to_where_the_files_lie_and_is_told_nowhere()
{
    // Given a guarded repository
    let guarded = Behaviour::Guarded(BASIC.to_owned());
    let setup = Setup::with(guarded, FileLimits::default()).await;
    let pointer = setup.store(&config("b"));
    setup.origin().write("b.yaml", &pointer).commit("b");
    let url = RepositoryUrl::parse(&setup.server.url("origin")).unwrap();
    let login = Credential::basic("shop/git", "bot", "hunter2").unwrap();
    let repository = Repository::with_credential(url, login).unwrap();
    let render = async || {
        setup
            .render_of(&repository, &request("."), LfsMode::Fetch)
            .await
    };
    assert_eq!(names(&render().await.unwrap()), ["b"]);
    let requests = setup.server.requests();
    let to = |part: &'static str| {
        requests
            .iter()
            .filter(move |one| one["path"].contains(part))
    };
    assert!(to("/info/lfs/").any(|one| one.get("authorization").is_some_and(|sent| sent == BASIC)));
    assert_eq!(to("/storage/").count(), 1);
    assert!(to("/storage/").all(|one| !one.contains_key("authorization")));
    // When it fails, then neither the message nor any file has the credential, though git-lfs writes its environment down.
    let gone = setup.store(&config("c"));
    std::fs::remove_file(setup.world.path().join("lfs").join(digest(&gone))).unwrap();
    setup.origin().write("b.yaml", &gone).commit("c");
    let (program, seen) = keeping(&setup);
    let mut settings = setup.world.settings();
    settings.git_lfs_program = program;
    let hub = SourceHub::new(settings).unwrap();
    let checkout = checkout_main(&hub, &repository)
        .await
        .through_lfs(LfsMode::Fetch);
    let error = setup
        .renderer
        .render(&checkout, &request("."))
        .await
        .unwrap_err();
    assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
    assert!(!format!("{error} {error:?}").contains("Ym90"), "{error}");
    assert!(seen.join("lfs").is_dir());
    let found = Command::new("grep")
        .args(["-rlE", "hunter2|Ym90Omh1bnRlcjI"])
        .arg(setup.world.path())
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&found.stdout), "");
}

/// A program that is git-lfs and then copies all that it left, and where to.
fn keeping(setup: &Setup) -> (PathBuf, PathBuf) {
    let (file, seen) = (
        setup.world.path().join("keeping-lfs"),
        setup.world.path().join("seen"),
    );
    let script = format!(
        "#!/bin/sh\n'{}' \"$@\"\nrc=$?\ncp -r \"$GIT_DIR\" '{}'\nexit $rc\n",
        setup.lfs.display(),
        seen.display()
    );
    support::write_program(&file, &script);
    (file, seen)
}

#[tokio::test]
async fn what_is_not_what_the_pointer_names_or_too_large_or_gone_is_refused_and_told_apart() {
    let limits = FileLimits {
        file_bytes: 4096,
        ..FileLimits::default()
    };
    let setup = Setup::with(Behaviour::Open, limits).await;
    let origin = setup.origin();
    // Given another content of the same size on the server
    let pointer = setup.store(&config("b"));
    let stored = setup.world.path().join("lfs").join(digest(&pointer));
    std::fs::write(&stored, config("x")).unwrap();
    origin.write("b.yaml", &pointer).commit("b");
    let error = setup.render(".").await.unwrap_err();
    assert_eq!(error.reason(), "Refused");
    assert!(
        error.to_string().contains("not what the pointer names"),
        "{error}"
    );
    // or much more of it
    std::fs::write(&stored, vec![b'#'; 8 << 20]).unwrap();
    setup.render(".").await.unwrap_err();
    // or none
    std::fs::remove_file(&stored).unwrap();
    let error = setup.render(".").await.unwrap_err();
    assert_eq!(error.reason(), "RefNotFound");
    assert!(
        error.to_string().starts_with("the file b.yaml: "),
        "{error}"
    );
    // or a pointer to what is too large: nobody is asked.
    let asked = setup.asked();
    let pointer = setup.store(&"#".repeat(5000));
    origin.write("b.yaml", &pointer).commit("large");
    let error = setup.render(".").await.unwrap_err();
    assert_eq!(error.reason(), "TooLarge");
    assert_eq!(setup.asked(), asked);
    // A pointer with extensions, or written by halves, is no plain one.
    for odd in [
        pointer.replace("oid", "ext-0-evil sha256:0\noid"),
        pointer[..60].to_owned(),
    ] {
        origin.write("b.yaml", odd).commit("odd");
        let error = setup.render(".").await.unwrap_err();
        assert!(
            error.to_string().contains("b.yaml: a pointer to Git LFS"),
            "{error}"
        );
    }
    assert_eq!(setup.asked(), asked);
}

#[tokio::test]
async fn without_the_program_without_a_server_and_over_other_ways_it_is_said_what_is_missing() {
    let setup = Setup::new().await;
    let pointer = setup.store(&config("b"));
    setup.origin().write("b.yaml", &pointer).commit("b");
    // A folder of this machine has no LFS server.
    let local = setup.world.repository();
    let error = setup.render_of(&local, &request("."), LfsMode::Fetch).await;
    let error = error.unwrap_err();
    assert_eq!(error.reason(), "Refused");
    assert!(error.to_string().contains("https alone"), "{error}");
    // Given a server that fails for LFS alone, then it is an outage.
    let failing = program_that(
        "echo 'Error downloading object: x: batch response: Fatal error: Server error' >&2; exit 2",
        &setup,
    );
    let error = with_program(&setup, failing).await;
    assert_eq!(error.permanence(), Permanence::Transient);
    assert_eq!(error.reason(), "Unreachable");
    // Given a controller without the program
    let error = with_program(&setup, PathBuf::from("/nowhere/git-lfs")).await;
    assert_eq!(error.reason(), "ProgramMissing");
    assert!(
        error.to_string().contains("git-lfs can't be started"),
        "{error}"
    );
    assert!(!error.lies_in_content());
}

fn program_that(does: &str, setup: &Setup) -> PathBuf {
    let file = setup.world.path().join("failing-lfs");
    support::write_program(&file, &format!("#!/bin/sh\n{does}\n"));
    file
}

async fn with_program(setup: &Setup, program: impl AsRef<Path>) -> RenderError {
    let mut settings = setup.world.settings();
    settings.git_lfs_program = program.as_ref().to_owned();
    let hub = SourceHub::new(settings).unwrap();
    let checkout = checkout_main(&hub, &setup.anonymous()).await;
    let checkout = checkout.through_lfs(LfsMode::Fetch);
    let rendered = setup.renderer.render(&checkout, &request(".")).await;
    rendered.unwrap_err()
}
