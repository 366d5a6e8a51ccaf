//! Artifacts of registries in local copies: read as commits are, and never asked of git.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use belay_source::{
    Artifact, Checkout, GitRef, Oid, RenderError, RenderRequest, Renderer, RendererSettings,
    RepoPath, Repository, RepositoryUrl, SourceHub,
};
use support::{World, config};
use tar::{Builder, EntryType, Header};

enum Entry<'a> {
    File(&'a str, &'a str),
    Link(&'a str, &'a str),
}

fn layer(entries: &[Entry<'_>]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for entry in entries {
        let mut header = Header::new_gnu();
        header.set_mode(0o644);
        match entry {
            Entry::File(path, content) => {
                header.set_size(u64::try_from(content.len()).unwrap());
                builder
                    .append_data(&mut header, path, content.as_bytes())
                    .unwrap();
            }
            Entry::Link(path, target) => {
                header.set_entry_type(EntryType::Symlink);
                header.set_size(0);
                builder.append_link(&mut header, path, target).unwrap();
            }
        }
    }
    builder.into_inner().unwrap()
}

fn digest(digit: char) -> Oid {
    Oid::parse(&digit.to_string().repeat(64)).unwrap()
}

fn repository(identity: Option<&str>) -> Repository {
    let url = RepositoryUrl::artifacts("oci://registry.example.com/shop").unwrap();
    Repository::artifacts(url, identity).unwrap()
}

async fn keep(hub: &SourceHub, digest: Oid, entries: &[Entry<'_>]) -> Checkout {
    let artifact = Artifact::unpack(digest, &layer(entries), "main@sha1:1f0c\nmore").unwrap();
    hub.keep_artifact(&repository(None), &artifact)
        .await
        .unwrap()
}

async fn names(checkout: &Checkout, path: &str) -> Result<Vec<String>, RenderError> {
    let request = RenderRequest::detect(RepoPath::parse(path).unwrap());
    let renderer = Renderer::new(RendererSettings::default());
    let found = renderer.render(checkout, &request).await?;
    let names = found.objects.iter().map(|object| object.key.name.clone());
    Ok(names.collect())
}

#[tokio::test]
async fn an_artifact_is_rendered_as_a_commit_is_and_stays_on_this_machine() {
    let world = World::new();
    let hub = world.hub();
    let (one, two) = (config("one"), config("two"));
    let entries = [
        Entry::File("./deploy/a.yaml", &one),
        Entry::Link("deploy/b.yaml", "../other/b.yaml"),
        Entry::File("other/b.yaml", &two),
    ];
    // When it is kept
    let kept = keep(&hub, digest('a'), &entries).await;
    assert_eq!(kept.commit(), &digest('a'));
    assert_eq!(names(&kept, "deploy").await.unwrap(), ["one", "two"]);
    assert_eq!(
        kept.describe().await.unwrap().subject,
        "main@sha1:1f0c more"
    );
    let error = names(&kept, "nowhere").await.unwrap_err().to_string();
    assert!(error.starts_with("the artifact sha256:aaaa"), "{error}");
    // then a controller that has just started has it without asking anybody, for who shares the login,
    let again = world.hub();
    let found = again.artifact(&repository(None), &digest('a')).await;
    assert_eq!(
        names(&found.unwrap().unwrap(), "deploy").await.unwrap(),
        ["one", "two"]
    );
    // and nobody else has it.
    for (repository, digest) in [
        (repository(Some("shop/other")), digest('a')),
        (repository(None), digest('b')),
    ] {
        assert!(
            again
                .artifact(&repository, &digest)
                .await
                .unwrap()
                .is_none()
        );
    }
}

#[tokio::test]
async fn equal_files_are_one_render_whatever_the_artifact() {
    let world = World::new();
    let hub = world.hub();
    let one = config("one");
    let entries = [Entry::File("a.yaml", &one)];
    let renderer = Renderer::new(RendererSettings::default());
    let request = RenderRequest::detect(RepoPath::default());
    for digit in ['a', 'b', 'a'] {
        let kept = keep(&hub, digest(digit), &entries).await;
        renderer.render(&kept, &request).await.unwrap();
    }
    assert_eq!(renderer.counts().performed, 1);
}

#[tokio::test]
async fn links_out_of_the_artifact_are_refused_as_those_out_of_a_repository() {
    let world = World::new();
    let hub = world.hub();
    for (digit, target) in [('a', "/etc/passwd"), ('b', "../../../etc/passwd")] {
        let kept = keep(&hub, digest(digit), &[Entry::Link("a.yaml", target)]).await;
        let error = names(&kept, ".").await.unwrap_err().to_string();
        assert!(error.contains("link"), "{error}");
        assert!(!error.contains("passwd"), "{error}");
    }
}

#[tokio::test]
async fn a_damaged_copy_is_forgotten_and_built_anew_from_the_next_fetch() {
    let world = World::new();
    let one = config("one");
    let entries = [Entry::File("a.yaml", &one)];
    let hub = world.hub();
    let kept = keep(&hub, digest('a'), &entries).await;
    // Given packs that are gone
    std::fs::remove_dir_all(world.mirror().join("objects/pack")).unwrap();
    // then reading tells so,
    let error = names(&kept, ".").await.unwrap_err().to_string();
    assert!(error.contains("damaged"), "{error}");
    // and afterwards it is known to be missing.
    let found = hub.artifact(&repository(None), &digest('a')).await;
    assert!(found.unwrap().is_none());
    let kept = keep(&hub, digest('a'), &entries).await;
    assert_eq!(names(&kept, ".").await.unwrap(), ["one"]);
}

#[tokio::test]
async fn many_artifacts_are_joined_in_few_packs_and_the_newest_stay() {
    let world = World::new();
    let hub = world.hub();
    let ids: Vec<Oid> = (0..42)
        .map(|index| Oid::parse(&format!("{index:064x}")).unwrap())
        .collect();
    for (index, id) in ids.iter().enumerate() {
        let text = config(&format!("c{index}"));
        let kept = keep(&hub, id.clone(), &[Entry::File("a.yaml", &text)]).await;
        assert_eq!(names(&kept, ".").await.unwrap(), [format!("c{index}")]);
    }
    let packs = std::fs::read_dir(world.mirror().join("objects/pack")).unwrap();
    assert!(packs.count() < 20, "they were joined");
    for id in &ids {
        assert!(hub.artifact(&repository(None), id).await.unwrap().is_some());
    }
}

#[tokio::test]
async fn git_is_never_asked_about_a_registry() {
    let world = World::new();
    let hub = world.hub();
    assert!(hub.list(&repository(None)).await.is_err());
    let missing = GitRef::commit(digest('c').as_str()).unwrap();
    let error = hub
        .checkout(&repository(None), &missing, &digest('c'))
        .await
        .unwrap_err();
    assert_eq!(error.reason(), "CorruptCache");
    for address in [
        "https://registry.example.com/shop",
        "oci://user:hush@registry.example.com/shop",
        "oci://registry.example.com",
        "oci://registry.example.com/shop?x",
    ] {
        let error = RepositoryUrl::artifacts(address).unwrap_err().to_string();
        assert!(!error.contains("hush"), "{error}");
    }
}
