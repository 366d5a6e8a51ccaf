//! Certificates and proxies, before the real `git http-backend`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "helpers of tests"
)]

mod support;

#[path = "support/server.rs"]
mod server;

use std::process::Command;

use belay_servers::{
    proxy::proxy,
    tls::{Authority, authority, client, front},
};
use belay_source::{
    Credential, LocalRepositories, Proxy, Repository, RepositoryUrl, SourceError, SourceHub, Tls,
};
use server::{Behaviour, Server};
use support::{World, checkout, main_branch};

struct Scene {
    world: World,
    authority: Authority,
    url: RepositoryUrl,
}

impl Scene {
    /// A repository behind TLS; with `clients` for holders of their certificates.
    async fn new(clients: Option<&Authority>, behaviour: Behaviour) -> Self {
        let world = World::new();
        world.origin.commit_config("a.yaml", "a");
        let plain = Server::start(world.path(), behaviour).url("");
        let target = plain.trim_start_matches("http://").trim_end_matches('/');
        let authority = authority();
        let port = front(&authority, clients, target.to_owned()).await;
        let url = RepositoryUrl::parse(&format!("https://localhost:{port}/origin")).unwrap();
        Self {
            world,
            authority,
            url,
        }
    }

    fn hub(&self) -> SourceHub {
        let mut settings = self.world.settings();
        settings.local_repositories = LocalRepositories::Refused;
        SourceHub::new(settings).unwrap()
    }

    fn with(&self, tls: Result<Tls, SourceError>) -> Repository {
        let repository = Repository::anonymous(self.url.clone());
        repository.with_tls("shop/git", tls.unwrap()).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_believed_when_its_certificate_is_of_the_given_authority() {
    let scene = Scene::new(None, Behaviour::Open).await;
    let hub = scene.hub();
    let trusting = scene.with(Tls::new(Some(&scene.authority.pem()), None));
    let checkout = checkout(&hub, &trusting, &main_branch()).await.unwrap();
    assert_eq!(checkout.commit(), &scene.world.origin.head());
    // Not the usual authorities, and not another one.
    let other = scene.with(Tls::new(Some(&authority().pem()), None));
    for stranger in [Repository::anonymous(scene.url.clone()), other] {
        let error = scene.hub().list(&stranger).await.unwrap_err();
        assert_eq!(error.reason(), "Unreachable", "{error}");
        assert!(error.to_string().contains("ca.crt"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_opens_a_server_that_asks_for_one_and_is_left_nowhere() {
    let clients = authority();
    let scene = Scene::new(Some(&clients), Behaviour::Open).await;
    let ca = scene.authority.pem();
    let (own, key) = client(&clients);
    let known = scene.with(Tls::new(Some(&ca), Some((&own, &key))));
    checkout(&scene.hub(), &known, &main_branch())
        .await
        .unwrap();
    let line = key.lines().nth(1).unwrap();
    let cache = scene.world.path().join("cache");
    let found = Command::new("grep")
        .args(["-rlF", "--", line])
        .arg(cache)
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8_lossy(&found.stdout),
        "",
        "the key is in the cache"
    );
    let (own, key) = client(&authority());
    let stranger = scene.with(Tls::new(Some(&ca), Some((&own, &key))));
    let nobody = scene.with(Tls::new(Some(&ca), None));
    for refused in [stranger, nobody] {
        let error = scene.hub().list(&refused).await.unwrap_err().to_string();
        assert!(
            !error.contains(line) && !error.contains("/dev/shm"),
            "{error}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_leads_to_the_server_and_its_password_shows_nowhere() {
    let scene = Scene::new(None, Behaviour::Guarded("Bearer tick".to_owned())).await;
    let (port, targets) = proxy("bot", "p@ss/word").await;
    let address = format!("http://127.0.0.1:{port}");
    let (program, calls) = scene.world.counting_git();
    let mut settings = scene.world.settings();
    settings.git_program = program;
    let hub = SourceHub::new(settings).unwrap();
    let reach = |password: &str| {
        let credential = Credential::bearer("shop/git", "tick").unwrap();
        let tls = Tls::new(Some(&scene.authority.pem()), None).unwrap();
        let way = Proxy::new(&address, Some(("bot", password))).unwrap();
        let repository = Repository::with_credential(scene.url.clone(), credential).unwrap();
        repository
            .with_tls("shop/git", tls)
            .unwrap()
            .with_proxy(way)
            .unwrap()
    };
    checkout(&hub, &reach("p@ss/word"), &main_branch())
        .await
        .unwrap();
    let led = targets.lock().unwrap().clone();
    assert!(
        !led.is_empty() && led.iter().all(|target| target.starts_with("localhost:")),
        "{led:?}"
    );
    let calls = std::fs::read_to_string(calls).unwrap();
    assert!(
        !calls.contains("ss/word") && !calls.contains("ss%2Fword"),
        "{calls}"
    );
    let error = hub.list(&reach("letmein")).await.unwrap_err();
    assert!(error.to_string().contains("proxy wants another"), "{error}");
    assert!(!format!("{error:?}").contains("letmein"));
    let cache = scene.world.path().join("cache");
    let found = Command::new("grep")
        .args(["-rlE", "ss/word|ss%2Fword"])
        .arg(cache)
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8_lossy(&found.stdout),
        "",
        "the password is in the cache"
    );
}
