//! Repositories over SSH: the real `ssh`, and a server that runs the real `git upload-pack`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    reason = "helpers of tests"
)]

mod support;

use std::path::PathBuf;
use std::process::Command;

use belay_servers::ssh::{SshServer, make_key};
use belay_source::{
    Credential, LocalRepositories, RepoPath, Repository, RepositoryUrl, SourceError, SourceHub,
};
use support::{World, checkout, main_branch, write_program};

/// A repository, a server for it, and keys.
struct Scene {
    world: World,
    server: SshServer,
}

impl Scene {
    /// Nothing where there is no `ssh`; it says so.
    async fn new() -> Option<Self> {
        if Command::new("ssh").arg("-V").output().is_err() {
            eprintln!("LEFT OUT: repositories over SSH can't be tested without ssh");
            return None;
        }
        let world = World::new();
        world.origin.commit_config("a.yaml", "a");
        for (name, passphrase) in [("host", ""), ("key", ""), ("other", "")] {
            make_key(&world.path().join(name), passphrase);
        }
        let (host, key) = (world.path().join("host"), world.path().join("key.pub"));
        let server = SshServer::start(world.path(), &host, &key).await;
        Some(Self { world, server })
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.world.path().join(name)).unwrap()
    }

    fn hub(&self) -> SourceHub {
        let mut settings = self.world.settings();
        settings.local_repositories = LocalRepositories::Refused;
        SourceHub::new(settings).unwrap()
    }

    fn repository(&self, key: &str, passphrase: Option<&str>, hosts: &str) -> Repository {
        let credential = Credential::ssh("shop/git", &self.read(key), passphrase, hosts).unwrap();
        let url = RepositoryUrl::parse(&self.server.url("origin")).unwrap();
        Repository::with_credential(url, credential).unwrap()
    }

    async fn list(
        &self,
        key: &str,
        passphrase: Option<&str>,
        hosts: &str,
    ) -> Result<usize, SourceError> {
        let repository = self.repository(key, passphrase, hosts);
        self.hub()
            .list(&repository)
            .await
            .map(|listing| listing.len())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_opens_a_repository_and_is_left_nowhere() {
    let Some(scene) = Scene::new().await else {
        return;
    };
    let repository = scene.repository("key", None, &scene.server.known_hosts());
    let checkout = checkout(&scene.hub(), &repository, &main_branch())
        .await
        .unwrap();
    assert_eq!(checkout.commit(), &scene.world.origin.head());
    checkout.tree_id(&RepoPath::default()).await.unwrap();
    let seen = scene.server.seen();
    assert!(
        seen.contains(&"git-upload-pack '/origin'".to_owned()),
        "{seen:?}"
    );
    let cache = scene.world.path().join("cache");
    let line = scene.read("key").lines().nth(1).unwrap().to_owned();
    let found = Command::new("grep")
        .args(["-rlF", "--", &line])
        .arg(cache)
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8_lossy(&found.stdout),
        "",
        "the key is in the cache"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_encrypted_key_is_opened_by_its_passphrase_which_is_on_no_command_line() {
    let Some(scene) = Scene::new().await else {
        return;
    };
    let hosts = scene.server.known_hosts();
    // The server knows the key only without its passphrase, so the locked one is made from it.
    std::fs::copy(
        scene.world.path().join("key"),
        scene.world.path().join("sealed"),
    )
    .unwrap();
    let sealed = Command::new("ssh-keygen")
        .args(["-q", "-p", "-P", "", "-N", "hunter2", "-f"])
        .arg(scene.world.path().join("sealed"))
        .output()
        .unwrap();
    assert!(sealed.status.success());
    let (ssh, calls) = (
        scene.world.path().join("noting-ssh"),
        scene.world.path().join("calls"),
    );
    write_program(
        &ssh,
        &format!(
            "#!/bin/sh\necho \"$*\" >> '{}'\nexec ssh \"$@\"\n",
            calls.display()
        ),
    );
    let mut settings = scene.world.settings();
    settings.ssh_program = ssh;
    let hub = SourceHub::new(settings).unwrap();
    let repository = scene.repository("sealed", Some("hunter2"), &hosts);
    assert_eq!(hub.list(&repository).await.unwrap().len(), 1);
    let calls = std::fs::read_to_string(calls).unwrap();
    assert!(
        calls.contains("upload-pack") && !calls.contains("hunter2"),
        "{calls}"
    );
    // A wrong one is named, and not shown.
    let error = scene
        .list("sealed", Some("letmein"), &hosts)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("passphrase"), "{error}");
    assert!(!format!("{error:?}").contains("letmein"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_key_is_refused() {
    let Some(scene) = Scene::new().await else {
        return;
    };
    let error = scene
        .list("other", None, &scene.server.known_hosts())
        .await
        .unwrap_err();
    assert_eq!(error.reason(), "AuthenticationFailed", "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_known_or_has_another_key_gets_no_key() {
    let Some(scene) = Scene::new().await else {
        return;
    };
    let hosts = scene.server.known_hosts();
    let unknown = hosts.replace("127.0.0.1", "127.0.0.2");
    let error = scene
        .list("key", None, &unknown)
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("not in known_hosts"), "{error}");
    let (host, _) = hosts.split_once(' ').unwrap();
    let changed = format!("{host} {}", scene.read("other.pub"));
    let error = scene
        .list("key", None, &changed)
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("another one than known_hosts"), "{error}");
    assert_eq!(
        scene.server.seen(),
        Vec::<String>::new(),
        "a key was offered"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_and_the_users_configuration_do_not_count() {
    let Some(scene) = Scene::new().await else {
        return;
    };
    let configuration: PathBuf = {
        let repository = scene.repository("key", None, &scene.server.known_hosts());
        let note = scene.world.path().join("settings");
        let ssh = scene.world.path().join("asking-ssh");
        // What ssh would do, as it says itself.
        write_program(
            &ssh,
            &format!(
                "#!/bin/sh\nssh -G \"$@\" > '{}'\nexec ssh \"$@\"\n",
                note.display()
            ),
        );
        let mut settings = scene.world.settings();
        settings.ssh_program = ssh;
        SourceHub::new(settings)
            .unwrap()
            .list(&repository)
            .await
            .unwrap();
        note
    };
    let text = std::fs::read_to_string(configuration).unwrap();
    for line in [
        "identityagent none",
        "identitiesonly yes",
        "stricthostkeychecking true",
        "globalknownhostsfile /dev/null",
        "forwardagent no",
        "batchmode yes",
        "passwordauthentication no",
        "permitlocalcommand no",
    ] {
        assert!(
            text.lines().any(|known| known == line),
            "{line} is not in:\n{text}"
        );
    }
    assert_eq!(
        text.lines()
            .filter(|line| line.starts_with("identityfile "))
            .count(),
        1
    );
    assert!(
        !text
            .lines()
            .any(|line| line.starts_with("proxycommand ") && line != "proxycommand none")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_repository_a_closed_port_and_no_key_are_told_apart() {
    let Some(scene) = Scene::new().await else {
        return;
    };
    let hub = scene.hub();
    let credential = || {
        Credential::ssh(
            "shop/git",
            &scene.read("key"),
            None,
            &scene.server.known_hosts(),
        )
        .unwrap()
    };
    let missing = RepositoryUrl::parse(&scene.server.url("nope")).unwrap();
    let missing = Repository::with_credential(missing, credential()).unwrap();
    assert_eq!(
        hub.list(&missing).await.unwrap_err().reason(),
        "RepositoryNotFound"
    );
    let closed = RepositoryUrl::parse("ssh://git@127.0.0.1:1/origin").unwrap();
    let closed = Repository::with_credential(closed, credential()).unwrap();
    assert_eq!(hub.list(&closed).await.unwrap_err().reason(), "Unreachable");
    let url = RepositoryUrl::parse(&scene.server.url("origin")).unwrap();
    let error = hub.list(&Repository::anonymous(url)).await.unwrap_err();
    assert!(error.to_string().contains("known_hosts"), "{error}");
}
